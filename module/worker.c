// SPDX-License-Identifier: GPL-2.0-only
/*
 * worker.c - take the noted nodes, wait until each is out, hand it on in order
 *
 * One work item does it all.  It works in rounds: take what the rings hold,
 * look for watchers of the nodes that are out, tell those for whom no earlier
 * event is on its way.  While nodes keep coming it stays on, so that the
 * handler need not wake it for each.
 */
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "internal.h"
#include "trace.h"

/*
 * When to look again for nodes that are not out yet, or not settled: soon at
 * first.  And how long to gather new ones: in a storm each look costs, and so
 * does each wake-up.  Where nobody watches anything nobody waits either.
 */
#define KDN_POLL_MIN_US	50
#define KDN_POLL_MAX_US	800
#define KDN_POLL_IDLE_US	2000

/* How long to rest while a removal or an earlier event takes its time. */
#define KDN_REST_MIN	1
#define KDN_REST_MAX	(HZ / 4)

/*
 * After this long a node that is out, but which kdn_deliver() puts off, is left
 * to the resync.  And for so long it is remembered that somebody watched.
 */
#define KDN_PATIENCE	(2 * HZ)

/*
 * A program that found the file just before its removal may place its watch
 * just after the worker looked.  So a node that somebody may still have in
 * hand is looked at once more, this much later, and again, up to so often, if
 * somebody has: the file may be open, or its finder have got no CPU or memory.
 */
#define KDN_RELOOK	(HZ / 4)
#define KDN_RELOOK_EARLY	(HZ / 16)	/* if the worker is up anyway */
#define KDN_RELOOKS	8

#define KDN_ITEMS_MAX	8192

/**
 * enum kdn_todo - what a round decides for a node
 * @KDN_KEEP: nothing yet: come back in the next round
 * @KDN_LOOK: it is out: look who watches it
 * @KDN_TELL: tell them, as soon as what came before has been sent
 * @KDN_RELOOK_LATER: look once more after KDN_RELOOK
 * @KDN_DROP: done
 */
enum kdn_todo {
	KDN_KEEP,
	KDN_LOOK,
	KDN_TELL,
	KDN_RELOOK_LATER,
	KDN_DROP,
};

/**
 * struct kdn_item - a node in the worker's hands
 * @kn: the node, with a reference
 * @since: when it was seen to be out; until then, when last looked at
 * @barrier: what it waits for since it was KDN_SENDING first; 0 if it wasn't
 * @relooks: how often it was looked at before
 * @told: some of its watchers were told, marks on superblocks among them
 * @todo: see &enum kdn_todo
 * @order: see &enum kdn_order; of this round
 */
struct kdn_item {
	struct kernfs_node *kn;
	unsigned long since;
	u32 barrier;
	u8 relooks;
	bool told;
	enum kdn_todo todo;
	enum kdn_order order;
};

/* All the worker's own; the counts are read by the status files too. */
static struct kdn_item *kdn_items;		/* to do, oldest first */
static unsigned int kdn_nr_items;
static struct kdn_item *kdn_relook;		/* a ring, oldest first */
static unsigned int kdn_relook_head, kdn_relook_tail;
static unsigned long kdn_dropped;		/* there was no room for these */
static unsigned long kdn_rest = KDN_REST_MIN;
static struct kdn_supers kdn_supers;
static unsigned int kdn_watched;		/* &enum kdn_whose: not long ago */
static unsigned long kdn_watched_at;		/* when a look last found that */

/* Around a round, for who wants to know between two what is in hand. */
static DEFINE_MUTEX(kdn_round_mutex);

static void kdn_worker(struct work_struct *work);
static DECLARE_DELAYED_WORK(kdn_work, kdn_worker);

static void kdn_drop(struct kernfs_node *kn)
{
	kernfs_put(kn);
	WRITE_ONCE(kdn_dropped, kdn_dropped + 1);
}

static void kdn_add(struct kernfs_node *kn, unsigned int relooks)
{
	if (kdn_nr_items == KDN_ITEMS_MAX) {
		kdn_drop(kn);
		return;
	}
	kdn_items[kdn_nr_items] = (struct kdn_item) {
		.kn = kn,
		.since = jiffies,
		.relooks = relooks,
	};
	WRITE_ONCE(kdn_nr_items, kdn_nr_items + 1);
}

static void kdn_keep(struct kernfs_node *kn)
{
	trace_kdn_noted(kn);
	if (kdn_node_served(kn))
		kdn_add(kn, 0);
	else
		kernfs_put(kn);
}

static void kdn_relook_add(const struct kdn_item *item)
{
	if (kdn_relook_head - kdn_relook_tail == KDN_ITEMS_MAX) {
		kdn_drop(item->kn);
		return;
	}
	kdn_relook[kdn_relook_head++ % KDN_ITEMS_MAX] = (struct kdn_item) {
		.kn = item->kn,
		.since = jiffies,
		.relooks = item->relooks + 1,
	};
}

/* The jiffies until the oldest node of the relook ring is due, if there is one. */
static unsigned long kdn_relook_due(void)
{
	unsigned long age;

	age = jiffies - kdn_relook[kdn_relook_tail % KDN_ITEMS_MAX].since;
	return age < KDN_RELOOK ? KDN_RELOOK - age : 0;
}

static void kdn_relook_take(void)
{
	while (kdn_relook_head != kdn_relook_tail &&
	       kdn_relook_due() <= KDN_RELOOK_EARLY) {
		unsigned int oldest = kdn_relook_tail++ % KDN_ITEMS_MAX;

		kdn_add(kdn_relook[oldest].kn, kdn_relook[oldest].relooks);
	}
}

/* Marks on superblocks, which stay when they were told, are still to be told. */
static bool kdn_first(const struct kdn_item *item)
{
	return !item->relooks && !item->told;
}

/* Somebody who does not watch a node, which is out, may do so yet. */
static bool kdn_relook_worth(const struct kdn_item *item, bool held)
{
	if (!held || item->relooks >= KDN_RELOOKS)
		return false;
	return !item->relooks || kdn_supers_in_hand(&kdn_supers, item->kn);
}

/* Who watches a node that is out, and must they read something else before? */
static void kdn_look(struct kdn_item *item)
{
	/* Before the inodes: one that goes meanwhile errs on the safe side. */
	int refs = kdn_order_refs(item->kn);
	bool held = atomic_read(&item->kn->count) > 1;
	enum kdn_look look;
	int inodes;

	look = kdn_supers_look(&kdn_supers, item->kn, kdn_first(item), &inodes);
	/* An unwatched file counts: its directory's watcher hears of it too. */
	if (inodes)
		item->order = kdn_order(refs, inodes + 1);

	if (look == KDN_WATCHED || item->order != KDN_SETTLED)
		item->todo = KDN_TELL;
	else if (kdn_relook_worth(item, held))
		item->todo = KDN_RELOOK_LATER;
	else
		item->todo = KDN_DROP;
}

/* Tell the watchers of a node on every superblock. */
static void kdn_tell(struct kdn_item *item)
{
	bool first = kdn_first(item), later = false;
	unsigned int i;

	for (i = 0; i < kdn_supers.nr; i++) {
		struct inode *inode;

		inode = kdn_super_inode(kdn_supers.sb[i], item->kn);
		if (!inode)
			continue;
		switch (kdn_deliver(inode, first)) {
		case KDN_TOLD:
			item->told = true;
			break;
		case KDN_LATER:
			later = true;
			break;
		case KDN_NOBODY:
			break;
		}
		iput(inode);
	}

	if (!later) {
		item->todo = !item->relooks ||
			     (item->told && item->relooks < KDN_RELOOKS) ?
			     KDN_RELOOK_LATER : KDN_DROP;
	} else if (time_before(jiffies, item->since + KDN_PATIENCE)) {
		item->todo = KDN_KEEP;
	} else {
		item->todo = KDN_DROP;
		kdn_resync_soon();
	}
}

/*
 * A file's last IN_MODIFY goes to the watcher of its directory as well.  The
 * directory waits for the files that are at hand, and if some were lost on the
 * way here, for the resync that looks for them.
 */
static bool kdn_dir_may_go(struct kernfs_node *dir, bool unsettled)
{
	unsigned int i;

	if (kdn_resync_behind())
		return false;
	for (i = 0; unsettled && i < kdn_nr_items; i++)
		if (kdn_items[i].order != KDN_SETTLED &&
		    kdn_parent(kdn_items[i].kn) == dir)
			return false;
	return true;
}

/*
 * Let what is being sent be sent.  A node that is not queued needs one barrier,
 * be it passed in a later round.  Returns whether all nodes are settled.
 */
static bool kdn_pass_barrier(void)
{
	bool sending = false, settled = true;
	u32 barrier = 0;
	unsigned int i;

	for (i = 0; i < kdn_nr_items; i++) {
		struct kdn_item *item = &kdn_items[i];

		if (item->order == KDN_QUEUED)
			item->barrier = 0;
		if (item->order != KDN_SENDING)
			continue;
		sending = true;
		if (item->barrier)
			continue;
		if (!barrier)
			barrier = kdn_order_begin();
		item->barrier = barrier;
	}
	if (sending)
		kdn_order_wait(KDN_SENDING_US);
	for (i = 0; i < kdn_nr_items; i++) {
		struct kdn_item *item = &kdn_items[i];

		if (item->order == KDN_SENDING &&
		    kdn_order_passed(item->barrier))
			item->order = KDN_SETTLED;
		settled &= item->order == KDN_SETTLED;
	}
	return settled;
}

/*
 * Tell all that can be told.  @first_lot: directories from here on wait for
 * the next round.
 */
static void kdn_tell_all(unsigned int first_lot)
{
	bool unsettled = !kdn_pass_barrier();
	unsigned int i;

	for (i = 0; i < kdn_nr_items; i++) {
		struct kdn_item *item = &kdn_items[i];

		cond_resched();
		if (item->todo != KDN_TELL || item->order != KDN_SETTLED)
			continue;
		if (kernfs_type(item->kn) == KERNFS_DIR &&
		    (i >= first_lot || !kdn_dir_may_go(item->kn, unsettled)))
			continue;
		kdn_tell(item);
	}
}

/* Carry out what was decided; what is left moves up. */
static void kdn_settle(void)
{
	unsigned int i, kept = 0;

	for (i = 0; i < kdn_nr_items; i++) {
		struct kdn_item *item = &kdn_items[i];

		switch (item->todo) {
		case KDN_KEEP:
		case KDN_LOOK:
		case KDN_TELL:
			kdn_items[kept++] = *item;
			break;
		case KDN_RELOOK_LATER:
			kdn_relook_add(item);
			break;
		case KDN_DROP:
			kernfs_put(item->kn);
			break;
		}
	}
	WRITE_ONCE(kdn_nr_items, kept);
}

/*
 * What is there to be done for each node?  One that nobody else has a reference
 * on has no inode and no event on its way.  Returns whose superblocks have to be
 * looked at: there is no need to visit all of sysfs's for the sake of a cgroup.
 */
static unsigned int kdn_triage(void)
{
	unsigned int i, whose = 0;

	for (i = 0; i < kdn_nr_items; i++) {
		struct kdn_item *item = &kdn_items[i];

		item->order = KDN_SETTLED;
		if (!kdn_node_out(item->kn)) {
			item->todo = KDN_KEEP;
			item->since = jiffies;
		} else if (atomic_read(&item->kn->count) > 1) {
			item->todo = KDN_LOOK;
			whose |= kdn_node_whose(item->kn);
		} else {
			item->todo = KDN_DROP;
		}
	}
	return whose;
}

/*
 * When a cgroup's one watcher is told of a file, nobody watches while its
 * directory is looked at, and the next cgroup's watcher is there soon.
 */
static void kdn_note_watched(unsigned int whose)
{
	if (kdn_supers.nr) {
		kdn_watched |= whose;
		kdn_watched_at = jiffies;
	} else if (time_after(jiffies, kdn_watched_at + KDN_PATIENCE)) {
		kdn_watched &= ~whose;
	}
}

/*
 * The remover holds kernfs's lock.  To wait for that is quicker than to look
 * again and again, and it takes no longer than the removal of the nodes that were
 * noted under it, and what others in line for the lock do; who has to wait for a
 * reader drops the lock.  Where nobody watches there is no hurry, and nobody to be
 * disturbed.
 */
static void kdn_wait_for_removers(unsigned int from)
{
	const struct kernfs_root *root = NULL;
	unsigned int i;

	for (i = from; i < kdn_nr_items; i++) {
		struct kernfs_node *kn = kdn_items[i].kn;

		/* Those of a removal are next to each other. */
		if (kdn_parent(kn)->dir.root == root ||
		    !(kdn_watched & kdn_node_whose(kn)) || kdn_node_out(kn))
			continue;
		root = kdn_parent(kn)->dir.root;
		kdn_node_pass(kn);
	}
}

/*
 * The rings are emptied twice: a file that was noted before its directory, but
 * on another CPU, may be in the second lot while the directory is in the first;
 * the other way round it can't be.
 */
static bool __kdn_round(void)
{
	unsigned int i, first_lot, before, whose;
	bool found;

	kdn_relook_take();
	before = kdn_nr_items;
	found = kdn_capture_take(kdn_keep);
	first_lot = kdn_nr_items;
	kdn_wait_for_removers(before);
	found |= kdn_capture_take(kdn_keep);
	before = kdn_nr_items;
	whose = kdn_triage();
	if (whose) {
		/* Without a list of the superblocks, all stay for the next round. */
		if (kdn_supers_get(&kdn_supers, whose))
			return found;
		kdn_note_watched(whose);
		for (i = 0; i < kdn_nr_items; i++) {
			if (kdn_items[i].todo == KDN_LOOK)
				kdn_look(&kdn_items[i]);
			cond_resched();
		}
		kdn_tell_all(first_lot);
		kdn_supers_put(&kdn_supers);
	}
	kdn_settle();
	if (found || kdn_nr_items != before)
		kdn_rest = KDN_REST_MIN;
	return found;
}

/* Returns whether nodes came. */
static bool kdn_round(void)
{
	bool found;

	mutex_lock(&kdn_round_mutex);
	found = __kdn_round();
	mutex_unlock(&kdn_round_mutex);
	return found;
}

static void kdn_worker(struct work_struct *work)
{
	unsigned int soon = KDN_POLL_MIN_US, poll = KDN_POLL_MAX_US;

	kdn_capture_awake();
	for (;;) {
		bool found = kdn_round();

		kdn_resync_check();
		if (!found && poll >= KDN_POLL_MAX_US && kdn_capture_sleep())
			break;
		if (kdn_nr_items && soon < KDN_POLL_MAX_US) {
			poll = soon;
			soon *= 2;
		} else {
			poll = kdn_watched ? KDN_POLL_MAX_US : KDN_POLL_IDLE_US;
		}
		usleep_range(poll, poll + poll / 4);
	}

	/*
	 * Once more after the flag was cleared: a loss from now on wakes us.
	 * handoff.pml: last_check
	 */
	kdn_resync_check();

	if (kdn_nr_items) {
		queue_delayed_work(kdn_wq, &kdn_work, kdn_rest);
		kdn_rest = min_t(unsigned long, 2 * kdn_rest, KDN_REST_MAX);
	} else if (kdn_relook_head != kdn_relook_tail) {
		queue_delayed_work(kdn_wq, &kdn_work, kdn_relook_due());
	}
}

/**
 * kdn_worker_kick - let the worker run now
 *
 * Context: any; not after kdn_capture_sync().
 */
void kdn_worker_kick(void)
{
	mod_delayed_work(kdn_wq, &kdn_work, 0);
}

/**
 * kdn_worker_has - is the worker still to tell a removed node's watchers?
 * @kn: the node, out, on which the caller holds a reference
 *
 * Context: process, may sleep, also for as long as a round takes.
 * Return: whether it has the node and has told nobody yet.  If not, it will
 * not get it any more.
 */
bool kdn_worker_has(const struct kernfs_node *kn)
{
	unsigned int i;
	bool has;

	mutex_lock(&kdn_round_mutex);
	has = kdn_capture_has(kn);
	for (i = 0; i < kdn_nr_items && !has; i++)
		has = kdn_items[i].kn == kn && kdn_first(&kdn_items[i]);
	mutex_unlock(&kdn_round_mutex);
	return has;
}

/**
 * kdn_worker_pending - nodes whose removal is not over or not yet told
 *
 * Context: any.
 * Return: the count.
 */
unsigned int kdn_worker_pending(void)
{
	return READ_ONCE(kdn_nr_items);
}

/**
 * kdn_worker_dropped - nodes for which the worker had no room
 *
 * Context: any.
 * Return: the count.
 */
unsigned long kdn_worker_dropped(void)
{
	return READ_ONCE(kdn_dropped);
}

/**
 * kdn_worker_init - allocate the worker's tables
 *
 * Context: process, may sleep.
 * Return: 0, or -ENOMEM.
 */
int kdn_worker_init(void)
{
	kdn_items = kvcalloc(KDN_ITEMS_MAX, sizeof(*kdn_items), GFP_KERNEL);
	kdn_relook = kvcalloc(KDN_ITEMS_MAX, sizeof(*kdn_relook), GFP_KERNEL);
	if (!kdn_items || !kdn_relook) {
		kvfree(kdn_items);
		kvfree(kdn_relook);
		return -ENOMEM;
	}
	return 0;
}

/**
 * kdn_worker_exit - stop the worker and let go of all nodes
 *
 * Watchers of nodes that are out are told, if that is possible within some
 * milliseconds; the others' nodes are forgotten: the unload does not wait for
 * somebody else's removal.
 *
 * Context: process, may sleep; the probe is off and no wake-up on its way.
 */
void kdn_worker_exit(void)
{
	unsigned int i, tries = 10;

	/* handoff.pml: cancel_worker */
	cancel_delayed_work_sync(&kdn_work);
	/* handoff.pml: exit_round */
	kdn_round();
	while (kdn_nr_items && tries--) {
		usleep_range(1000, 2000);
		kdn_round();
	}
	/* A resync may be about to ask for one.  handoff.pml: exit_put */
	mutex_lock(&kdn_round_mutex);
	for (i = 0; i < kdn_nr_items; i++)
		kernfs_put(kdn_items[i].kn);
	WRITE_ONCE(kdn_nr_items, 0);
	mutex_unlock(&kdn_round_mutex);
	while (kdn_relook_head != kdn_relook_tail)
		kernfs_put(kdn_relook[kdn_relook_tail++ % KDN_ITEMS_MAX].kn);
	kdn_supers_free(&kdn_supers);
	kvfree(kdn_items);
	kvfree(kdn_relook);
}
