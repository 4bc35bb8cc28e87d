// SPDX-License-Identifier: GPL-2.0-only
/*
 * What watchers must read, may read and must not read, see random.h.
 *
 * There are two judges. Each event of a watch on kernfs is held against the
 * rules the moment it is read: DELETE_SELF once, if the mask asks for it, then
 * IGNORED, both not before the removal, nothing afterwards; before them the
 * change that was made before; otherwise only what the steps bring about. And
 * its list of DELETE_SELF and IGNORED is compared with the one that the same
 * watch on tmpfs has read, where the same was done.
 *
 * tmpfs tells of a file that is held open, and of a directory with such a file
 * in it, only when it is closed, the module at once; so while something is open
 * there the two are not compared.
 */
#include "kdn.h"
#include "random.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_SEEN	256

struct seen {
	struct node *node;
	bool second;
	int inst, wd, twin_wd;
	unsigned int mask;	/* what it asks for now */
	unsigned int asked;	/* and ever did */
	unsigned int may;	/* what the steps may have brought about */
	bool oneshot;
	bool fired;		/* a one-shot has had its event */
	bool dropped;		/* by the user */
	bool closed;		/* with its instance */
	bool modify_due;	/* a change is still to be read */
	unsigned int late;	/* what may come afterwards, of who goes on meanwhile */
	bool loose;		/* what it reads is not the same on tmpfs */
	bool told, ended;
	char got[8], twin_got[8];
};

static struct seen seen[MAX_SEEN];
static int seen_count, event_count;
static int insts[INSTANCES + 1], twins[INSTANCES + 1];

static const char *who(const struct seen *w)
{
	return text("%s, watched for 0x%x by %d%s", path_of(w->node, false),
		    w->asked, w->inst, w->second ? ", in the second sysfs" : "");
}

static bool live(const struct seen *w)
{
	return !w->ended && !w->closed;
}

void begin_oracle(void)
{
	int i;

	for (i = 0; i <= INSTANCES; i++) {
		insts[i] = instance();
		twins[i] = instance();
	}
}

bool add_watch(struct node *node, int inst, unsigned int mask, bool second)
{
	struct seen *w = NULL, *v;
	int wd;

	for (v = seen; v < seen + seen_count; v++)
		if (v->node == node && v->inst == inst &&
		    v->second == second && live(v) && !v->dropped)
			w = v;
	/* Which of two masks an event would meet that is on its way? */
	if (w && (w->oneshot || (mask & IN_ONESHOT)))
		return false;
	if (!w && seen_count == MAX_SEEN)
		return false;
	mask |= IN_DONT_FOLLOW;
	wd = inotify_add_watch(insts[inst], path_of(node, second), mask);
	if (wd < 0)
		fail("%s can't be watched: %m", path_of(node, second));
	if (w && w->wd != wd)
		fail("%s is forgotten already", who(w));
	if (!w) {
		w = &seen[seen_count++];
		*w = (struct seen){ .node = node, .second = second,
				    .inst = inst, .wd = wd };
	}
	/* The report of a change from before may still be on its way. */
	if (node->changed) {
		w->may |= IN_MODIFY;
		w->loose |= (mask & IN_ONESHOT) && (mask & IN_MODIFY);
	}
	w->twin_wd = inotify_add_watch(twins[inst], twin_of(node), mask);
	if (w->twin_wd < 0)
		fail("%s can't be watched: %m", twin_of(node));
	w->mask = mask & IN_MASK_ADD ? w->mask | mask : mask;
	w->asked |= mask;
	w->oneshot = mask & IN_ONESHOT;
	w->modify_due &= (w->mask & IN_MODIFY) != 0;
	/* Two watches by way of two superblocks are one on tmpfs. */
	for (v = seen; v < seen + seen_count; v++) {
		if (v != w && v->twin_wd == w->twin_wd && v->inst == inst &&
		    !v->closed && v->node == node) {
			v->loose = true;
			w->loose = true;
		}
	}
	return true;
}

/* A directory that stays: anything may happen in it, but it is not removed. */
void bystander(struct node *node)
{
	add_watch(node, INSTANCES, IN_DELETE_SELF | IN_MODIFY | IN_ATTRIB,
		  false);
	may_read(node, IN_ALL_EVENTS & ~IN_DELETE_SELF, false);
}

bool drop_watch(struct node *node, int inst, bool second)
{
	bool any = false;
	struct seen *w;

	for (w = seen; w < seen + seen_count; w++) {
		if (w->node != node || w->inst != inst || w->oneshot ||
		    w->second != second || !live(w) || w->dropped)
			continue;
		if (inotify_rm_watch(insts[inst], w->wd))
			fail("%s can't be removed: %m", who(w));
		inotify_rm_watch(twins[inst], w->twin_wd);
		w->dropped = true;
		any = true;
	}
	return any;
}

void restart(int inst)
{
	struct seen *w;

	close(insts[inst]);
	close(twins[inst]);
	insts[inst] = instance();
	twins[inst] = instance();
	for (w = seen; w < seen + seen_count; w++)
		if (w->inst == inst)
			w->closed = true;
}

/*
 * These events may be read now of the node, and some of them of the directory
 * that it is in. Unless they are exactly the same on tmpfs, a one-shot watch
 * that asks for them is no longer comparable.
 */
void may_read(struct node *node, unsigned int events, bool exact)
{
	struct seen *w;

	for (w = seen; w < seen + seen_count; w++) {
		if (!live(w))
			continue;
		if (w->node == node)
			w->may |= events;
		else if (w->node == node->parent)
			w->may |= events & (IN_MODIFY | IN_ATTRIB | IN_OPEN |
					    IN_ACCESS | IN_CLOSE);
		else
			continue;
		w->loose |= w->oneshot && (w->asked & events) &&
			    (!exact || w->second);
	}
}

static bool has_inode(const struct node *node, bool second)
{
	struct seen *w;

	if (node->opens[second])
		return true;
	for (w = seen; w < seen + seen_count; w++)
		if (w->node == node && w->second == second && live(w) &&
		    !w->oneshot && !w->dropped)
			return true;
	return false;
}

/*
 * kernfs has been asked to tell of a change: whoever asks for IN_MODIFY reads
 * it, of the directory if there is an inode that it can be told of.
 */
void must_read_modify(struct node *node)
{
	struct seen *w;

	may_read(node, IN_MODIFY, true);
	for (w = seen; w < seen + seen_count; w++) {
		if (!live(w) || w->dropped || w->fired ||
		    !(w->mask & IN_MODIFY))
			continue;
		if (w->node == node)
			w->modify_due = true;
		else if (w->node != node->parent)
			continue;
		else if (has_inode(node, w->second))
			w->modify_due = true;
		else
			w->loose |= w->oneshot;
	}
}

/*
 * A write to a file removes it, or its removal waits for a reader: the end of
 * the write() or read() comes afterwards.
 */
void late_events(struct node *node, unsigned int events)
{
	struct seen *w;

	for (w = seen; w < seen + seen_count; w++) {
		if (w->node != node && w->node != node->parent)
			continue;
		w->late |= events;
		w->loose |= w->oneshot;
	}
}

/*
 * Here begins what is allowed to a removal. What a kernel with native support
 * tells by itself may overtake a change; of files that are open it tells
 * nothing.
 */
void begins_to_go(struct node *node)
{
	struct seen *w;

	if (!native_kernel)
		return;
	for (w = seen; w < seen + seen_count; w++) {
		if (w->node != node || node->opens[w->second])
			continue;
		w->loose |= w->oneshot && w->modify_due;
		w->modify_due = false;
	}
}

static bool may_be_told(const struct seen *w)
{
	const struct node *node = w->node;

	return node->state != THERE && !node->stuck &&
	       (node->seen || native_kernel) &&
	       !(node->type == DIRECTORY && dir_open(node, w->second));
}

/*
 * May this still be read after DELETE_SELF? And after IGNORED: on any
 * filesystem the kernel may have found the watch for an event when the watch is
 * removed, and queue the event afterwards. What a native kernel sends is not
 * ordered.
 */
static bool may_be_late(const struct seen *w, unsigned int event)
{
	unsigned int late = w->late | IN_CLOSE;

	if (native_kernel)
		late |= IN_MODIFY;
	return !(event & ~IN_ISDIR & ~late);
}

/* One event of a watch, against the rules */
static void judge(struct seen *w, unsigned int event)
{
	/* Two changes at once may both meet a one-shot watch, on any kernel. */
	if (w->oneshot && w->fired && !w->told &&
	    !(event & ~IN_ISDIR & ~(w->asked & w->may)))
		return;
	if (w->ended && !may_be_late(w, event))
		fail("%s: event 0x%x after IGNORED", who(w), event);
	if (w->fired && event != IN_IGNORED)
		fail("%s: event 0x%x after the only one", who(w), event);
	if (event & IN_DELETE_SELF) {
		if (event != IN_DELETE_SELF || !(w->mask & IN_DELETE_SELF))
			fail("%s: event 0x%x was not asked for", who(w), event);
		if (w->told)
			fail("%s: DELETE_SELF twice", who(w));
		if (!may_be_told(w))
			fail("%s: DELETE_SELF before it is due", who(w));
		if (w->modify_due)
			fail("%s: DELETE_SELF, and no MODIFY before", who(w));
		w->told = true;
	} else if (event & IN_IGNORED) {
		bool gone = may_be_told(w) &&
			    (w->told || !(w->mask & IN_DELETE_SELF));

		if (!gone && !w->fired && !w->dropped)
			fail("%s: IGNORED, and no %s", who(w), may_be_told(w) ?
			     "DELETE_SELF before" : "reason for it");
		if (gone && w->modify_due && !w->fired && !w->dropped)
			fail("%s: IGNORED, and no MODIFY before", who(w));
		w->ended = true;
	} else {
		if (w->told && !may_be_late(w, event))
			fail("%s: event 0x%x after DELETE_SELF", who(w), event);
		if (event & ~IN_ISDIR & ~(w->asked & w->may))
			fail("%s: event 0x%x, which nothing brought about",
			     who(w), event);
		if (event & IN_MODIFY)
			w->modify_due = false;
	}
	w->fired |= w->oneshot && event != IN_IGNORED;
	event_count++;
}

static void note_end(char *got, size_t size, unsigned int event)
{
	size_t used = strlen(got);

	if (event & (IN_DELETE_SELF | IN_IGNORED))
		snprintf(got + used, size - used, "%c",
			 event & IN_IGNORED ? 'I' : 'D');
}

static void event_of(int inst, bool twin, const struct inotify_event *event)
{
	struct seen *w;

	/*
	 * Of two changes that meet a one-shot watch, the second may have lost the
	 * number, on kernels before 6.4 that lack its fix.
	 */
	if (event->wd < 0 && event->mask == IN_MODIFY)
		return;
	for (w = seen; w < seen + seen_count; w++) {
		if (w->inst != inst || w->closed ||
		    (twin ? w->twin_wd : w->wd) != event->wd)
			continue;
		if (!twin)
			judge(w, event->mask);
		note_end(twin ? w->twin_got : w->got, sizeof(w->got),
			 event->mask);
		if (!twin)
			return;
	}
	if (!twin)
		fail("an event 0x%x of no watch", event->mask);
}

static void read_inst(int inst, bool twin)
{
	union {
		struct inotify_event event;
		char bytes[8192];
	} buffer;
	int fd = (twin ? twins : insts)[inst];
	ssize_t n, i;

	while ((n = read(fd, &buffer, sizeof(buffer))) > 0) {
		const struct inotify_event *event;

		for (i = 0; i < n; i += sizeof(*event) + event->len) {
			event = (const void *)(buffer.bytes + i);
			event_of(inst, twin, event);
		}
	}
	if (n < 0 && errno != EAGAIN)
		fail("reading an inotify instance: %m");
}

void read_all(void)
{
	int i;

	for (i = 0; i <= INSTANCES; i++) {
		read_inst(i, false);
		read_inst(i, true);
	}
}

/* What is this watch still to read now, if anything? */
static const char *due(const struct seen *w)
{
	if (!live(w))
		return NULL;
	if (w->dropped || w->fired)
		return "IGNORED";
	if (w->node->state != REMOVED || !may_be_told(w) || !module_loaded)
		return w->modify_due && w->node->state == THERE ?
		       "MODIFY" : NULL;
	return !w->told && w->mask & IN_DELETE_SELF ? "DELETE_SELF" :
						       "IGNORED";
}

static void compare(void)
{
	struct seen *w;

	for (w = seen; w < seen + seen_count; w++) {
		if (w->closed || w->loose || w->dropped ||
		    (w->node->state != THERE && !w->ended) ||
		    open_below(w->node) || w->node->state == GOING)
			continue;
		if (strcmp(w->got, w->twin_got))
			fail("%s: read '%s' of its removal, on tmpfs '%s'",
			     who(w), w->got, w->twin_got);
	}
}

/* Read until all is read that is due, and compare with tmpfs. */
void settle(void)
{
	long deadline = granted_ms() + patience_ms;
	struct pollfd polls[INSTANCES + 1];
	const char *missing = NULL;
	int i;

	for (i = 0; i <= INSTANCES; i++)
		polls[i] = (struct pollfd){ insts[i], POLLIN, 0 };
	for (;;) {
		struct seen *first = NULL, *w;
		long left = deadline - granted_ms();

		read_all();
		for (w = seen; w < seen + seen_count; w++) {
			if (!first && due(w)) {
				first = w;
				missing = due(w);
			}
		}
		if (!first)
			break;
		if (left <= 0)
			fail("%s: %s does not come", who(first), missing);
		poll(polls, INSTANCES + 1, left);
	}
	compare();
}

/* After the last step: all that was removed has been told, and no more. */
void end_oracle(struct counts *counts)
{
	settle();
	counts->watches += seen_count;
	counts->events += event_count;
}
