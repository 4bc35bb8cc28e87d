// SPDX-License-Identifier: GPL-2.0-only
/*
 * Storms of removals, and an exact account of every watch in them: see storm.h.
 */
#define _GNU_SOURCE
#include "kdn.h"
#include "storm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVENTS		(IN_ALL_EVENTS & ~(IN_ACCESS | IN_OPEN | IN_CLOSE))
#define MAX_FATES	131072		/* of an instance */
#define MAX_ITEMS	131072

/* What became of a watch; of that of number wd in its instance. */
struct fate {
	atomic_uchar placed, selfs, ignored, unmounts, wrong;
	unsigned char flags;
	int item;
	long placed_ms, read_ms;
};

/* Shared by all processes of a test. An item is what is removed as one. */
static struct account {
	struct fate fates[INSTANCES][MAX_FATES];
	atomic_long gone_ms[MAX_ITEMS];	/* 0: it is there */
	atomic_int placed, ignored, events, overflows[INSTANCES];
	atomic_bool close;
} *account;

static int insts[INSTANCES];
static pid_t readers[INSTANCES];

static void book(int inst, const struct inotify_event *event)
{
	struct fate *fate;

	account->events++;
	if (event->mask & IN_Q_OVERFLOW) {
		account->overflows[inst]++;
		return;
	}
	if (event->wd < 0 || event->wd >= MAX_FATES)
		fail("an event of no watch: wd %d", event->wd);
	fate = &account->fates[inst][event->wd];
	if (fate->ignored) {
		fate->wrong++;
	} else if (event->mask == IN_DELETE_SELF) {
		fate->selfs++;
	} else if ((event->mask & ~IN_ISDIR) == IN_UNMOUNT) {
		fate->unmounts++;
	} else if (event->mask == IN_IGNORED) {
		fate->read_ms = granted_ms();
		fate->ignored++;
		account->ignored++;
	} else {
		fate->wrong++;
		note("wd %d of instance %d read %x", event->wd, inst,
		     event->mask);
	}
}

static void read_instance(int inst)
{
	union {
		struct inotify_event event;
		char bytes[16384];
	} buffer;
	ssize_t n, i;

	while ((n = read(insts[inst], &buffer, sizeof(buffer))) > 0) {
		const struct inotify_event *event;

		for (i = 0; i < n; i += sizeof(*event) + event->len) {
			event = (const void *)(buffer.bytes + i);
			book(inst, event);
		}
	}
}

static void reader(void *number)
{
	int inst = *(int *)number;
	struct pollfd p = { insts[inst], POLLIN, 0 };

	while (!account->close) {
		poll(&p, 1, 20);
		read_instance(inst);
	}
	read_instance(inst);
}

/* With read_them false, nobody reads before start_readers(). */
void open_account(bool read_them)
{
	int i;

	granted_ms();
	account = share(sizeof(*account));
	for (i = 0; i < INSTANCES; i++)
		insts[i] = instance();
	if (read_them)
		start_readers();
}

void start_readers(void)
{
	int i;

	for (i = 0; i < INSTANCES; i++)
		readers[i] = spawn(reader, &i);
}

/* Place a watch; return -errno if that can't be done. */
int place_watch(int inst, const char *path, int item, int flags)
{
	int wd = inotify_add_watch(insts[inst], path, EVENTS);
	struct fate *fate;

	if (wd < 0)
		return -errno;
	if (wd >= MAX_FATES)
		fail("too many watches");
	fate = &account->fates[inst][wd];
	/* The same again, if it was watched already. */
	if (atomic_exchange(&fate->placed, 1))
		return 0;
	fate->item = item;
	fate->flags = flags;
	fate->placed_ms = granted_ms();
	account->placed++;
	return 0;
}

/* All that was placed on the item is due now. */
void item_gone(int item)
{
	account->gone_ms[item] = granted_ms();
}

/* Without a word to the reader, if its queue overflowed: /proc knows. */
static bool watches_left(int inst)
{
	char *path = text("/proc/self/fdinfo/%d", insts[inst]);
	FILE *file = fopen(path, "re");
	char line[256] = "";

	if (!file)
		fail("%s: %m", path);
	while (fgets(line, sizeof(line), file) && strncmp(line, "inotify", 7))
		;
	fclose(file);
	free(path);
	return !strncmp(line, "inotify", 7);
}

static bool all_told(void)
{
	int i;

	if (account->ignored == account->placed)
		return true;
	for (i = 0; i < INSTANCES; i++)
		if (watches_left(i))
			return false;
	return true;
}

/* Wait until all watches have been told, or until nothing comes any more. */
static void await_all(void)
{
	long deadline = now_ms() + DEADLINE_MS;
	int events = account->events;

	while (!all_told() && now_ms() < deadline) {
		if (account->events != events) {
			events = account->events;
			deadline = now_ms() + DEADLINE_MS;
		}
		poll(NULL, 0, 20);
	}
	/* Now what should not come. */
	poll(NULL, 0, QUIET_MS);
}

static bool fate_is_right(const struct fate *fate, bool overflown)
{
	if (!fate->placed)
		return !fate->selfs && !fate->ignored && !fate->unmounts &&
		       !fate->wrong;
	if (fate->wrong || fate->ignored > 1 ||
	    fate->selfs + fate->unmounts > 1)
		return false;
	if (fate->unmounts && !(fate->flags & MOUNTED))
		return false;
	if (overflown)
		return true;
	return fate->ignored && (fate->selfs || fate->unmounts ||
				 (fate->flags & LATE));
}

static long latency_ms(const struct fate *fate)
{
	long due;

	if (!fate->ignored || fate->item < 0 || !account->gone_ms[fate->item])
		return 0;
	due = account->gone_ms[fate->item];
	if (due < fate->placed_ms)
		due = fate->placed_ms;
	return fate->read_ms > due ? fate->read_ms - due : 0;
}

static void sum_up(struct account_sums *sums, const struct fate *fate)
{
	long ms = latency_ms(fate);

	sums->placed++;
	sums->late += !!(fate->flags & LATE);
	sums->halves += fate->ignored && !fate->selfs && !fate->unmounts;
	sums->unmounted += fate->unmounts;
	if (fate->flags & LATE) {
		if (sums->longest_late_ms < ms)
			sums->longest_late_ms = ms;
	} else if (sums->longest_ms < ms) {
		sums->longest_ms = ms;
	}
}

static void show(int inst, int wd, bool lost)
{
	const struct fate *fate = &account->fates[inst][wd];

	note("watch %d of instance %d, on item %d%s%s%s:", wd, inst, fate->item,
	     fate->placed ? "" : ", never placed",
	     fate->flags & LATE ? ", late" : "", lost ? ", still there" : "");
	note("    DELETE_SELF %d, IGNORED %d, UNMOUNT %d, others %d",
	     fate->selfs, fate->ignored, fate->unmounts, fate->wrong);
}

struct account_sums close_account(void)
{
	struct account_sums sums = { 0 };
	int wrong = 0, inst, wd;

	await_all();
	account->close = true;
	for (inst = 0; inst < INSTANCES; inst++)
		end_of(readers[inst]);
	sums.events = account->events;
	for (inst = 0; inst < INSTANCES; inst++) {
		bool overflown = account->overflows[inst];

		sums.overflows += account->overflows[inst];
		for (wd = 0; wd < MAX_FATES; wd++) {
			const struct fate *fate = &account->fates[inst][wd];
			bool lost = fate->placed &&
				    !inotify_rm_watch(insts[inst], wd);

			if (fate->placed)
				sum_up(&sums, fate);
			if (!lost && fate_is_right(fate, overflown))
				continue;
			if (++wrong <= 10)
				show(inst, wd, lost);
		}
		close(insts[inst]);
	}
	note("%d watches, told within %ld ms; %d of them late, within %ld ms",
	     sums.placed, sums.longest_ms, sums.late, sums.longest_late_ms);
	note("%d events, %d overflows; IGNORED alone %d, UNMOUNT %d",
	     sums.events, sums.overflows, sums.halves, sums.unmounted);
	if (wrong)
		fail("%d of %d watches did not end as they should", wrong,
		     sums.placed);
	return sums;
}

/* The storm */

#define PLACES		256		/* for cgroups */
#define BURST		8		/* leaves one in so many */
#define MAKERS		2
#define REMOVERS	4
#define LATECOMERS	2

enum { EMPTY, MAKING, FULL, REMOVING };

static struct {
	struct slot {
		atomic_int state, item;
	} slots[PLACES];
	atomic_int making;		/* makers */
	atomic_int next, made, alive, removed, met;
	atomic_bool burst, stop;
} *sky;

static struct storm storm;
static long began_ms;
static pid_t workers[MAKERS + REMOVERS + LATECOMERS + 1];

static const char * const watched[] = {
	"", "/cgroup.events", "/memory.events",
};

static void slot_path(char *path, int i, const char *file)
{
	sprintf(path, CGROUPS "/kdn/storm%d%s", i, file);
}

/* A system call that has failed may be tried again only for want of memory. */
static void may_fail(const char *what, const char *path)
{
	if (!storm.faults || (errno != ENOMEM && errno != EAGAIN))
		fail("%s %s: %m", what, path);
}

static void look_up_all(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir)))
		fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW);
	if (dir)
		closedir(dir);
}

static void make(int i, int item)
{
	char path[64];
	size_t w;
	int err;

	slot_path(path, i, "");
	while (mkdir(path, 0755))
		may_fail("mkdir", path);
	if (storm.look_up)
		look_up_all(path);
	for (w = 0; w < ARRAY_SIZE(watched); w++) {
		slot_path(path, i, watched[w]);
		while ((err = place_watch(i % INSTANCES, path, item, 0))) {
			errno = -err;
			may_fail("watching", path);
		}
	}
}

/* Claim a slot in a state, the next one from *i on. */
static bool claim(int *i, int from, int to)
{
	int n;

	for (n = 0; n < storm.places; n++) {
		int state = from;

		*i = (*i + 1) % storm.places;
		if (atomic_compare_exchange_strong(&sky->slots[*i].state,
						   &state, to))
			return true;
	}
	return false;
}

/* Other processes, and the kernel's own, may: see test_fault. */
static void suffer_faults(void)
{
	if (storm.faults)
		put("/proc/self/make-it-fail", "1");
}

static void maker(void *unused)
{
	int i = 0, item;

	(void)unused;
	while (!sky->stop && (item = sky->next++) < storm.cgroups) {
		while (!claim(&i, EMPTY, MAKING))
			poll(NULL, 0, 1);
		make(i, item);
		sky->made++;
		sky->slots[i].item = item;
		sky->slots[i].state = FULL;
		if (++sky->alive == storm.places)
			sky->burst = true;
		if (storm.pause_ms)
			poll(NULL, 0, storm.pause_ms);
	}
	sky->making--;
}

static bool clear(void)
{
	return !sky->making && sky->removed == sky->made;
}

static void remover(void *unused)
{
	int i = 0;
	char path[64];

	(void)unused;
	suffer_faults();
	while (!clear()) {
		if ((sky->making && !sky->burst) || !claim(&i, FULL, REMOVING)) {
			poll(NULL, 0, 1);
			continue;
		}
		slot_path(path, i, "");
		while (rmdir(path))
			may_fail("rmdir", path);
		item_gone(sky->slots[i].item);
		sky->slots[i].state = EMPTY;
		sky->removed++;
		if (--sky->alive == storm.places / BURST)
			sky->burst = false;
	}
}

/* Opens and reads what is about to go. */
static void visitor(void *unused)
{
	char path[64], text[4096];
	int i, fd;

	(void)unused;
	suffer_faults();
	for (i = 0; !clear(); i = (i + 1) % storm.places) {
		slot_path(path, i, watched[1 + i % 2]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			sky->met += read(fd, text, sizeof(text)) > 0;
			close(fd);
		}
		if (i == 0)
			poll(NULL, 0, 1);
	}
}

/* Watches what is being removed, or about to be. */
static void latecomer(void *number)
{
	int inst = *(int *)number % INSTANCES, i = 0, w = 0;
	char path[64];

	suffer_faults();
	while (!clear()) {
		int err;

		if (!sky->burst && sky->making) {
			poll(NULL, 0, 1);
			continue;
		}
		i = (i + 1) % storm.places;
		slot_path(path, i, watched[w++ % ARRAY_SIZE(watched)]);
		err = place_watch(inst, path, sky->slots[i].item, LATE);
		errno = -err;
		if (err && err != -ENOENT && err != -ENODEV)
			may_fail("watching", path);
	}
}

void storm_begin(struct storm s)
{
	int n = 0, i;

	need_controllers();
	rmdir(new_cgroup("storm"));
	storm = s;
	if (!s.cgroups)
		storm.cgroups = MAX_ITEMS;
	if (!s.places)
		storm.places = PLACES;
	sky = share(sizeof(*sky));
	sky->making = MAKERS;
	try_put("/proc/sys/fs/inotify/max_user_watches", "262144");
	open_account(true);
	began_ms = granted_ms();
	for (i = 0; i < MAKERS; i++)
		workers[n++] = spawn(maker, NULL);
	for (i = 0; i < REMOVERS; i++)
		workers[n++] = spawn(remover, NULL);
	workers[n++] = spawn(visitor, NULL);
	for (i = 0; s.late && i < LATECOMERS; i++)
		workers[n++] = spawn(latecomer, &i);
}

int storm_removed(void)
{
	return sky->removed;
}

/* Fails if one of the processes has. */
bool storm_over(void)
{
	bool over = true;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(workers); i++) {
		if (workers[i] && ended(workers[i]))
			workers[i] = 0;
		over &= !workers[i];
	}
	return over;
}

struct account_sums storm_end(void)
{
	int shown = 0;

	if (storm.cgroups == MAX_ITEMS)
		sky->stop = true;
	while (!storm_over()) {
		poll(NULL, 0, 5);
		if (sky->removed >= shown + 1000) {
			shown = sky->removed;
			note("%d cgroups removed so far", shown);
		}
	}
	note("%d cgroups removed in %ld ms, %d files of theirs read meanwhile",
	     sky->removed, granted_ms() - began_ms, sky->met);
	return close_account();
}
