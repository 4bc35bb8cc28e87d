// SPDX-License-Identifier: GPL-2.0-only
/*
 * worker.c - take removed nodes, wait until each can be told, and tell, in order
 *
 * Nodes come from the rings and from the walk.  One work item does all: it
 * empties the rings, walks if a walk is due, and looks at each node whose time
 * has come.  A node that can't be told yet waits for its next time.  The work
 * item runs next when the first of them is due, or when the handler wakes it.
 */
#include <linux/delay.h>
#include <linux/hashtable.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/timerqueue.h>
#include <linux/workqueue.h>

#include "internal.h"
#include "trace.h"

/*
 * Look again at a node that can't be told yet after half of the time that it has
 * waited, but not sooner than this.
 */
#define KDN_WAIT_MIN		(50 * NSEC_PER_USEC)
/* And not later than this, unless an eighth of the time it has waited is more. */
#define KDN_WAIT_USUAL		(250 * NSEC_PER_MSEC)
#define KDN_WAIT_MAX		(60LL * NSEC_PER_SEC)

/*
 * A program that found the file just before its removal may place its watch
 * just after the worker looked.  So look again at a node that may still be in use,
 * this much later each time, at most KDN_LATE_LOOKS times.  The times are rounded
 * up, so that one wake-up serves many nodes.
 */
#define KDN_LATE		(250 * NSEC_PER_MSEC)
#define KDN_LATE_ROUND		BIT(27)		/* ns, about an eighth of a second */
#define KDN_LATE_LOOKS		8

/* Sleep through shorter waits than this: ending the work item costs more. */
#define KDN_NAP_US		800

/*
 * In a storm the work item stays on for a nap after it last found something, so
 * that the handlers need not wake it each time.  It is a storm if the work item
 * ran KDN_STORM_WAKES times in a row, each time less than KDN_STORM_US after it
 * had ended.  (The removal of one cgroup may wake it twice, for a file and for
 * the directory.)
 */
#define KDN_STORM_WAKES		3
#define KDN_STORM_US		4000

/* If nobody watches, the work item runs this much later: once for many removals. */
#define KDN_KICK_IDLE		(HZ / 20)

#define KDN_ITEMS_MAX		8192

/* If a node gives way to another, a walk looks for it this much later. */
#define KDN_GIVEN_WAY		(5LL * NSEC_PER_SEC)

/* How long a removal is fresh, and how long to wait where a node is KDN_UNSURE. */
#define KDN_PATIENCE		NSEC_PER_SEC

/* In place of the time of the next look: the node needs none. */
#define KDN_DONE		0

/* The most waiting nodes to look at in a round, before those that came meanwhile. */
#define KDN_DUE_MAX		256

/**
 * struct kdn_item - a node in the worker's hands: there is one item for it
 * @waiting: when it is to be looked at, in the queue of those that wait
 * @due: its place among those to be looked at in this round
 * @by_node: its place in the table by node
 * @by_dir: its place in the table of unsettled files by directory
 * @kn: the node, with a reference
 * @since: when it was first seen; when it was first seen to be out
 * @unsure: where each look since @unsure_for was 0 found KDN_UNSURE, see kdn_sb_bit()
 * @unsure_for: the sum of the waits asked for since then, in ns
 * @losses: of a directory, what kdn_walk_losses() was when it was seen to be out
 * @barrier: the barrier that it waits for; 0 for none
 * @take: in which emptying of the rings it came
 * @late: how often it was looked at for late watches, or is going to be
 * @out: it was seen to be out
 * @offered: it comes from a walk
 * @walked: it comes from a walk, or waited for one that has offered it since
 * @sb_told: marks on superblocks were told, or may have been
 */
struct kdn_item {
	struct timerqueue_node waiting;
	struct list_head due;
	struct hlist_node by_node;
	struct hlist_node by_dir;
	struct kernfs_node *kn;
	ktime_t since;
	u64 unsure;
	s64 unsure_for;
	unsigned long losses;
	u32 barrier;
	unsigned int take;
	u8 late;
	bool out;
	bool offered;
	bool walked;
	bool sb_told;
};

static void kdn_worker(struct work_struct *work);
static DECLARE_DELAYED_WORK(kdn_work, kdn_worker);
static struct workqueue_struct *kdn_wq;

/* All the worker's own. */
static LIST_HEAD(kdn_due);
static struct timerqueue_head kdn_waiting;
static DEFINE_HASHTABLE(kdn_by_node, 9);
static DEFINE_HASHTABLE(kdn_unsettled, 7);
static unsigned int kdn_nr_items;
static unsigned int kdn_takes;		/* how often the rings were emptied */
static ktime_t kdn_now;		/* when this round began */
static ktime_t kdn_rested;	/* when the work item last ended */
static unsigned int kdn_rounds_left;	/* at the unload; 0 before */
static unsigned int kdn_wakes;	/* how often in a row it ran soon after that */

static bool kdn_is_dir(const struct kdn_item *item)
{
	return kernfs_type(item->kn) == KERNFS_DIR;
}

/* @item is not pending any more; it never was if it is looked at for late watches. */
static void kdn_not_pending(const struct kdn_item *item)
{
	if (!item->late)
		WRITE_ONCE(kdn_counters.pending, kdn_counters.pending - 1);
}

static void kdn_free(struct kdn_item *item)
{
	hash_del(&item->by_node);
	hash_del(&item->by_dir);
	kdn_nr_items--;
	kdn_not_pending(item);
	kernfs_put(item->kn);
	kfree(item);
}

static struct kdn_item *kdn_find(const struct kernfs_node *kn)
{
	struct kdn_item *item;

	hash_for_each_possible(kdn_by_node, item, by_node, (unsigned long)kn)
		if (item->kn == kn)
			return item;
	return NULL;
}

/*
 * Make room: the node whose next look is the farthest away gives way, and a walk
 * comes back for it.  If it is unsettled, it counts as lost, and its directory
 * waits for a walk that knows of that.  Returns false if none waits.
 */
static bool kdn_make_room(void)
{
	struct rb_node *last = rb_last(&kdn_waiting.rb_root.rb_root);
	struct kdn_item *item, *dir;

	if (!last)
		return false;
	item = rb_entry(last, struct kdn_item, waiting.node);
	timerqueue_del(&kdn_waiting, &item->waiting);
	if (hash_hashed(&item->by_dir)) {
		this_cpu_inc(kdn_captured.lost);
		dir = kdn_find(kdn_parent(item->kn));
		if (dir)
			dir->losses = kdn_walk_losses();
	} else {
		kdn_walk_by(ktime_add_ns(kdn_now, KDN_GIVEN_WAY),
			    kdn_node_whose(item->kn));
	}
	kdn_free(item);
	return true;
}

/* A node that is in hand has come again. */
static void kdn_meet_again(struct kdn_item *item, bool offered)
{
	if (offered && !(item->out && kdn_walk_knows(item->losses))) {
		/* If it is a directory, it waits for this walk: see kdn_settled(). */
		item->walked = true;
		item->barrier = 0;
	}
	/* If the walk came first, marks on superblocks were not told yet. */
	if (!offered && item->offered && !item->late)
		item->sb_told = false;
}

/**
 * kdn_worker_add - take a node in hand, unless it is in hand already
 * @kn: the node, removed; the caller keeps it from being freed
 * @offered: a walk has found it
 *
 * Context: the worker; may sleep.
 */
void kdn_worker_add(struct kernfs_node *kn, bool offered)
{
	struct kdn_item *item = kdn_find(kn);

	if (item) {
		kdn_meet_again(item, offered);
		return;
	}
	if (kdn_nr_items == KDN_ITEMS_MAX && !kdn_make_room()) {
		this_cpu_inc(kdn_captured.lost);
		return;
	}
	/* It is small: to wait for memory is better than to lose the node. */
	item = kzalloc(sizeof(*item), GFP_KERNEL | __GFP_NOFAIL);
	kernfs_get(kn);
	item->kn = kn;
	item->since = kdn_now;
	item->take = kdn_takes;
	item->offered = offered;
	item->walked = offered;
	item->sb_told = offered;
	hash_add(kdn_by_node, &item->by_node, (unsigned long)kn);
	if (kernfs_type(kn) == KERNFS_FILE)
		hash_add(kdn_unsettled, &item->by_dir,
			 (unsigned long)kdn_parent(kn));
	list_add_tail(&item->due, &kdn_due);
	kdn_nr_items++;
	kdn_count(&kdn_counters.pending);
}

/* Does nobody watch any file where @kn is?  Asks only if nobody did before. */
static bool kdn_nobody_watches(struct kernfs_node *kn)
{
	enum kdn_whose whose = kdn_node_whose(kn);

	return !kdn_supers_watched(whose) && !kdn_supers_get(whose) &&
	       !kdn_supers_watched(whose);
}

/*
 * Is there nobody to tell of a node?  If nobody else has a reference on it, it has no
 * inode; then only marks on a superblock may want to hear of it.
 */
static bool kdn_nobody_to_tell(struct kernfs_node *kn, bool sb_told)
{
	int inodes;

	if (atomic_read(&kn->count) > 1)
		return false;
	if (sb_told || kdn_kernel.native || kdn_node_whose(kn) == KDN_SYSFS)
		return true;
	return !kdn_supers_get(KDN_OTHERS) && !kdn_supers_look(kn, true, &inodes);
}

/*
 * A node from the rings.  If nobody watches, drop it: a walk will find a watch that
 * is placed just now.
 *
 * The node's remover may still hold kernfs's lock.  Waiting for the lock is quicker
 * than looking again and again, and takes no longer than this removal does: a
 * remover that has to drain readers drops the lock first.  One wait serves all
 * nodes of the removal.
 */
static void kdn_keep(struct kernfs_node *kn)
{
	trace_kdn_noted(kn);
	if (kdn_nobody_to_tell(kn, false))
		goto put;
	if (kdn_nobody_watches(kn)) {
		kdn_walk_by(ktime_add_ns(kdn_now, KDN_LATE), kdn_node_whose(kn));
		goto put;
	}
	if (!kdn_node_out(kn))
		kdn_node_pass(kn);
	kdn_worker_add(kn, false);
put:
	kernfs_put(kn);
}

/*
 * Has kernfs sent every event that it had queued for a file?  The list holds a
 * reference until the event has been sent.  If all of the file's references are
 * @known, no event is on its way.  A reference for another reason costs a barrier.
 *
 * A walk does not see files whose event is off the list but not yet sent.  So
 * a node that a walk has found needs a barrier begun after that: it may be their
 * directory.  (Not after each walk: in a storm there is always a next one.)
 */
static bool kdn_settled(struct kdn_item *item, bool known)
{
	if (kdn_order_queued(item->kn)) {
		item->barrier = 0;
		return false;
	}
	if (!item->walked && (known || kernfs_type(item->kn) != KERNFS_FILE))
		return true;
	if (!item->barrier)
		item->barrier = kdn_order_begin();
	return kdn_order_passed(item->barrier);
}

/*
 * May a directory be told?  A file's last IN_MODIFY goes to the watcher of its
 * directory as well.  So the directory waits for
 *
 * - the files that are at hand;
 * - the files that another CPU has noted before it: they are in the rings by the
 *   next time that these are emptied;
 * - a walk, if files may have been lost before the directory was out.
 */
static bool kdn_files_settled(const struct kdn_item *dir)
{
	struct kdn_item *file;

	if (dir->take == kdn_takes || !kdn_walk_knows(dir->losses))
		return false;
	hash_for_each_possible(kdn_unsettled, file, by_dir, (unsigned long)dir->kn)
		if (kdn_parent(file->kn) == dir->kn)
			return false;
	return true;
}

/* When to look again at a node that can't be told yet */
static ktime_t kdn_wait(const struct kdn_item *item)
{
	s64 waited = ktime_sub(kdn_now, item->since);
	s64 usual = min_t(s64, waited / 2, KDN_WAIT_USUAL);
	/* It may have been open for long, and given way to others before. */
	s64 least = item->offered && kdn_is_dir(item) ? KDN_WAIT_USUAL :
							KDN_WAIT_MIN;

	return ktime_add_ns(kdn_now, clamp_t(s64, max(usual, waited / 8), least,
					     KDN_WAIT_MAX));
}

/* When to look for late watches, now that a node is told or nobody watches it */
static ktime_t kdn_look_late(struct kdn_item *item)
{
	kdn_not_pending(item);
	item->sb_told = true;
	if (item->late++ == KDN_LATE_LOOKS)
		return KDN_DONE;
	return ktime_add_ns(kdn_now, KDN_LATE) | (KDN_LATE_ROUND - 1);
}

/*
 * Two superblocks may have the same bit.  Then one may be told as soon as patience
 * with the other is over.
 */
static u64 kdn_sb_bit(const struct super_block *sb)
{
	return BIT_ULL(sb->s_dev % 64);
}

/*
 * On which superblocks to tell of a node although that is unsure?  At the unload
 * there is no time to wait: being told twice is better than not at all.  But a
 * directory that a program is opening must not be told.
 */
static u64 kdn_impatient(const struct kdn_item *item)
{
	if (kdn_rounds_left == 1)
		return kdn_is_dir(item) ? 0 : U64_MAX;
	return item->unsure_for < KDN_PATIENCE ? 0 : item->unsure;
}

/* Tell the watchers of a node on every superblock. */
static ktime_t kdn_tell(struct kdn_item *item)
{
	bool fresh = kdn_rounds_left != 1 &&
		     ktime_sub(kdn_now, item->since) < KDN_PATIENCE;
	u64 impatient = kdn_impatient(item), unsure = 0;
	bool told = false, later = false;
	unsigned int i;

	for (i = 0; i < kdn_supers.nr; i++) {
		struct super_block *sb = kdn_supers.sb[i];
		struct inode *inode = kdn_super_inode(sb, item->kn);
		enum kdn_told result;

		if (!inode && !item->sb_told && kdn_super_wants(sb, item->kn)) {
			inode = kdn_super_stand_in(sb, item->kn);
			later |= !inode;
		}
		if (!inode)
			continue;
		result = kdn_deliver(inode, !item->sb_told, fresh,
				     !(impatient & kdn_sb_bit(sb)));
		iput(inode);
		told |= result == KDN_TOLD;
		later |= result == KDN_LATER;
		if (result == KDN_UNSURE)
			unsure |= kdn_sb_bit(sb);
		if (result == KDN_TOLD && item->offered) {
			trace_kdn_resynced(item->kn);
			kdn_count(&kdn_counters.walk_found);
		}
	}
	item->sb_told |= told;
	item->unsure &= unsure;
	if (!item->unsure) {
		item->unsure = unsure;
		item->unsure_for = 0;
	}
	if (unsure) {
		ktime_t usual = ktime_add_ns(kdn_now, KDN_WAIT_USUAL);
		ktime_t again = min(kdn_wait(item), usual);

		/*
		 * Not the time that passed: if the machine stood still, so did the
		 * VFS.  At the unload the next look does not wait at all.
		 */
		if (!kdn_rounds_left)
			item->unsure_for += ktime_sub(again, kdn_now);
		return again;
	}
	if (later)
		return kdn_wait(item);
	return told || !item->late ? kdn_look_late(item) : KDN_DONE;
}

/* A node that is out: are there watchers to tell, and may they be told now? */
static ktime_t kdn_look_at(struct kdn_item *item)
{
	struct kernfs_node *kn = item->kn;
	/* Before the inodes: if one goes meanwhile, it counts as unknown. */
	int refs = atomic_read_acquire(&kn->count);
	bool watched;
	int inodes;

	if (kdn_nobody_to_tell(kn, item->sb_told))
		return KDN_DONE;
	if (kdn_supers_get(kdn_node_whose(kn)))
		return kdn_wait(item);

	watched = kdn_supers_look(kn, !item->sb_told, &inodes);
	/* An unwatched file's event is read, too, by its directory's watcher. */
	if (inodes && !kdn_settled(item, refs <= inodes + 1))
		return kdn_wait(item);
	hash_del(&item->by_dir);

	if (watched && kdn_is_dir(item) && !kdn_files_settled(item))
		return kdn_wait(item);
	if (watched)
		return kdn_tell(item);
	if (item->late && !kdn_supers_in_use(kn))
		return KDN_DONE;
	return kdn_look_late(item);
}

/* Look at a node.  Returns when to look again; KDN_DONE for never. */
static ktime_t kdn_look(struct kdn_item *item)
{
	struct kernfs_node *kn = item->kn;

	if (item->out)
		return kdn_look_at(item);
	if (!kdn_node_out(kn))
		return kdn_wait(item);
	item->out = true;
	item->since = kdn_now;
	item->losses = kdn_is_dir(item) ? kdn_walk_losses() : 0;
	/*
	 * In sysfs a directory's owner lets go of it just after the removal, and
	 * without another reference no superblock has to be looked at: there may
	 * be thousands.  So if it is held, come back a little later.
	 */
	if (kdn_is_dir(item) && atomic_read(&kn->count) > 1 &&
	    kdn_node_whose(kn) == KDN_SYSFS)
		return kdn_wait(item);
	return kdn_look_at(item);
}

/*
 * The rings are emptied twice, see kdn_files_settled(): so most directories need
 * not wait.  Returns whether there was anything in them.
 */
static bool kdn_round(void)
{
	bool last = kdn_rounds_left;
	struct timerqueue_node *first;
	struct kdn_item *item, *next;
	unsigned int due = 0;
	bool found;

	kdn_now = ktime_get();
	while ((first = timerqueue_getnext(&kdn_waiting)) &&
	       (last || (first->expires <= kdn_now && due++ < KDN_DUE_MAX))) {
		timerqueue_del(&kdn_waiting, first);
		item = rb_entry(first, struct kdn_item, waiting);
		list_add_tail(&item->due, &kdn_due);
	}
	kdn_takes++;
	found = kdn_capture_take(kdn_keep);
	kdn_takes++;
	found |= kdn_capture_take(kdn_keep);
	/* List the superblocks anew: the first watch on one may have come since. */
	kdn_supers_put();
	/* handoff.pml: check */
	kdn_walk_check();
	if (kdn_walk_due(last) <= kdn_now)
		kdn_walk(last);

	list_for_each_entry_safe(item, next, &kdn_due, due) {
		ktime_t again = kdn_look(item);

		list_del(&item->due);
		if (again == KDN_DONE) {
			kdn_free(item);
		} else {
			timerqueue_init(&item->waiting);
			item->waiting.expires = again;
			timerqueue_add(&kdn_waiting, &item->waiting);
		}
		cond_resched();
	}
	kdn_supers_put();
	return found;
}

/* When is there something to do, if no node comes? */
static ktime_t kdn_next_due(void)
{
	struct timerqueue_node *first = timerqueue_getnext(&kdn_waiting);

	return min(first ? first->expires : KTIME_MAX, kdn_walk_due(false));
}

static void kdn_worker(struct work_struct *work)
{
	ktime_t due;

	if (ktime_us_delta(ktime_get(), kdn_rested) >= KDN_STORM_US)
		kdn_wakes = 0;
	for (;;) {
		bool found;
		s64 us;

		kdn_capture_awake();
		found = kdn_round();
		due = kdn_next_due();
		us = ktime_us_delta(due, ktime_get());
		if (us <= KDN_NAP_US || (found && kdn_wakes >= KDN_STORM_WAKES)) {
			us = clamp_t(s64, us, 1, KDN_NAP_US);
			usleep_range(us, us + us / 4);
		} else if (kdn_capture_sleep() && !kdn_walk_check()) {
			/* handoff.pml: last_check */
			break;
		}
	}
	kdn_rested = ktime_get();
	kdn_wakes++;
	/* handoff.pml: queue */
	if (due != KTIME_MAX)
		queue_delayed_work(kdn_wq, &kdn_work, 1 +
				   nsecs_to_jiffies(max_t(s64, due - kdn_rested, 0)));
}

/**
 * kdn_worker_kick - let the worker run now, or soon if nobody watches
 *
 * To come later is cheaper: the removal is over by then, and maybe others are.
 *
 * Context: any; not after kdn_capture_sync().
 */
void kdn_worker_kick(void)
{
	bool watched = kdn_supers_watched(KDN_SYSFS) ||
		       kdn_supers_watched(KDN_OTHERS);

	mod_delayed_work(kdn_wq, &kdn_work, watched ? 0 : KDN_KICK_IDLE);
}

/**
 * kdn_worker_init - make the workqueue
 *
 * Context: process, may sleep.
 * Return: 0, or -ENOMEM.
 */
int kdn_worker_init(void)
{
	kdn_wq = alloc_workqueue(KBUILD_MODNAME, WQ_UNBOUND | WQ_SYSFS, 0);
	return kdn_wq ? 0 : -ENOMEM;
}

/**
 * kdn_worker_exit - stop the worker and let go of all nodes
 *
 * Watchers of nodes that are out are told, if that is possible within some
 * milliseconds, lost ones included.  The others' nodes are forgotten: the unload
 * does not wait for somebody else's removal.
 *
 * Context: process, may sleep; the probe is off and no wake-up on its way.
 */
void kdn_worker_exit(void)
{
	struct kdn_item *item;
	struct hlist_node *next;
	unsigned int bucket;

	/* handoff.pml: cancel */
	cancel_delayed_work_sync(&kdn_work);
	kdn_rounds_left = 10;
	/* handoff.pml: exit_round */
	kdn_round();
	/* handoff.pml: exit_again */
	while ((kdn_counters.pending || kdn_walk_check() || !kdn_walk_due(true)) &&
	       --kdn_rounds_left) {
		usleep_range(1000, 2000);
		kdn_round();
	}
	/* handoff.pml: exit_put */
	hash_for_each_safe(kdn_by_node, bucket, next, item, by_node)
		kdn_free(item);
	destroy_workqueue(kdn_wq);
}
