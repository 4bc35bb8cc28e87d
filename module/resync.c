// SPDX-License-Identifier: GPL-2.0-only
/*
 * resync.c - find by itself what the probe or the rings have missed
 *
 * Walks the inodes of all watched superblocks and tells the watchers of each
 * whose node is out.  It runs at load, for removals from before; when
 * something was lost on the way from the handler to the worker, or the probe
 * was passed over; again when it met nodes that could not be told yet; and
 * every resync_seconds, on a timer that does not wake an idle CPU.
 */
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "internal.h"
#include "trace.h"

#define KDN_RESYNC_SECONDS_MAX	86400

/* Losses come in crowds: one walk serves all of this long. */
#define KDN_RESYNC_DELAY	(HZ / 20)

/*
 * A walk for losses is followed by another, this much later: a program that
 * found a file just before its removal may watch it just after the first one.
 */
#define KDN_RESYNC_RELOOK	(HZ / 4)

/* To come back to what could not be told yet: soon at first, then less often. */
#define KDN_RETRY_MIN		(HZ / 10)
#define KDN_RETRY_MAX		(60 * HZ)

/* The most if only events from before the removal are on their way still. */
#define KDN_RETRY_UNSETTLED	HZ

/* The most inodes to pass while the superblock's list is locked. */
#define KDN_STRIDE		256

/* The most directories to tell in one pass, and the most passes in one walk. */
#define KDN_DIRS_MAX		512
#define KDN_PASSES_MAX		64

static unsigned int resync_seconds = 60;
module_param(resync_seconds, uint, 0444);
MODULE_PARM_DESC(resync_seconds, "Seconds between walks over all watched inodes, 0 for none, at most 86400 (default 60)");

static void kdn_resync(struct work_struct *work);
static DECLARE_DELAYED_WORK(kdn_resync_work, kdn_resync);

static void kdn_resync_tick(struct work_struct *work);
static DECLARE_DEFERRABLE_WORK(kdn_tick_work, kdn_resync_tick);

/* Around the look when it is due, and the change of that. */
static DEFINE_SPINLOCK(kdn_resync_lock);

/* What was lost or missed: when a resync was last asked for, and last done. */
static unsigned long kdn_asked;
static unsigned long kdn_served;

/* ... and when the last walk began.  Before the load, everything was missed. */
static unsigned long kdn_walked = ULONG_MAX;

/* The work item's own. */
static struct kdn_supers kdn_resync_supers;
static struct inode *kdn_dirs[KDN_DIRS_MAX];
static unsigned int kdn_nr_dirs;
static unsigned long kdn_retry = KDN_RETRY_MIN;
static unsigned int kdn_dirs_met;	/* in this pass */
static unsigned int kdn_dirs_skip;	/* the first ones, which are to wait */
static bool kdn_more_dirs;	/* than there was room for */
static bool kdn_again;		/* something is to be looked at again */
static bool kdn_unsettled;	/* because events from before are on their way */
static bool kdn_late;		/* then once more, for watches that came late */
static bool kdn_no_patience;	/* a barrier was not passed in this walk */

/* Since the last walk began, somebody came with something for the next. */
static int kdn_left;

/*
 * Run in @delay or, if that is sooner, when it would have run anyway.
 *
 * One caller at a time, or a retry far away could replace what another one has
 * asked for since the look.
 */
static void kdn_resync_in(unsigned long delay)
{
	/* handoff.pml: due_lock */
	spin_lock(&kdn_resync_lock);
	/*
	 * The counts that the caller knows before the look: a walk that is
	 * still pending then will count them too.  Pairs with the workqueue's
	 * barrier between not pending any more and running.
	 * handoff.pml: due_mb
	 */
	smp_mb__after_spinlock();
	/* Pending without its timer, it is about to run.  handoff.pml: due */
	if (!delayed_work_pending(&kdn_resync_work) ||
	    (timer_pending(&kdn_resync_work.timer) &&
	     time_before(jiffies + delay, kdn_resync_work.timer.expires)))
		mod_delayed_work(kdn_wq, &kdn_resync_work, delay);
	spin_unlock(&kdn_resync_lock);
}

static unsigned long kdn_resync_misses(void)
{
	return kdn_resync_lost() + kdn_hook_missed();
}

/*
 * Walk the inodes of @sb.  @want says, under the list's lock, whether one is
 * of interest; @visit gets those, with a reference and the lock dropped.  The
 * reference keeps the inode's place in the list.
 */
static void kdn_walk(struct super_block *sb, bool (*want)(struct inode *inode),
		     void (*visit)(struct inode *inode))
{
	struct inode *inode, *last = NULL;
	unsigned int passed = 0;

	spin_lock(&sb->s_inode_list_lock);
	list_for_each_entry(inode, &sb->s_inodes, i_sb_list) {
		bool wanted = want(inode);

		if (!wanted && ++passed < KDN_STRIDE)
			continue;
		if (!igrab(inode))
			continue;
		spin_unlock(&sb->s_inode_list_lock);
		passed = 0;
		iput(last);
		last = inode;
		if (wanted)
			visit(inode);
		cond_resched();
		spin_lock(&sb->s_inode_list_lock);
	}
	spin_unlock(&sb->s_inode_list_lock);
	iput(last);
}

/*
 * Has all been sent by now that was being sent?  It may be long until kernfs's
 * work item has its turn: longer each time that a walk has to be repeated.  If
 * once was in vain, it is not waited so long for each of many files.
 */
static bool kdn_resync_barrier(void)
{
	unsigned long longest = min_t(unsigned long, kdn_retry,
				      KDN_RETRY_UNSETTLED);
	u32 barrier = kdn_order_begin();

	kdn_order_wait(kdn_no_patience ? KDN_SENDING_US :
		       jiffies_to_usecs(longest));
	kdn_no_patience |= !kdn_order_passed(barrier);
	return kdn_order_passed(barrier);
}

/* Has all been sent that kernfs had queued for @kn?  May sleep. */
static bool kdn_settled(struct kernfs_node *kn)
{
	int refs = kdn_order_refs(kn);
	int inodes;

	kdn_supers_look(&kdn_resync_supers, kn, false, &inodes);
	switch (kdn_order(refs, inodes)) {
	case KDN_SETTLED:
		return true;
	case KDN_SENDING:
		return kdn_resync_barrier();
	default:
		return false;
	}
}

static enum kdn_told kdn_resync_tell(struct inode *inode)
{
	enum kdn_told told = KDN_LATER;

	/*
	 * A mark on the whole superblock stays when it was told.  The worker
	 * tells it the first time that it comes to a node: not after us.
	 */
	if (!kdn_sb_marked(inode->i_sb) || !kdn_worker_has(inode->i_private))
		told = kdn_deliver(inode, false);
	if (told == KDN_TOLD) {
		trace_kdn_resynced(inode->i_private);
		atomic_long_inc(&kdn_counters.resync_found);
	}
	kdn_again |= told == KDN_LATER;
	return told;
}

/* A watched inode: it is set up, and it holds its node. */
static void kdn_visit_watched(struct inode *inode)
{
	struct kernfs_node *kn = inode->i_private;

	if (!kdn_node_out(kn)) {
		kdn_again |= kdn_removing(kn);
	} else if (kernfs_type(kn) != KERNFS_DIR) {
		if (kdn_settled(kn))
			kdn_resync_tell(inode);
		else
			kdn_unsettled = true;
	} else if (kdn_dirs_met++ < kdn_dirs_skip) {
		return;
	} else if (kdn_nr_dirs < KDN_DIRS_MAX && igrab(inode)) {
		kdn_dirs[kdn_nr_dirs++] = inode;
	} else {
		kdn_more_dirs = true;
	}
}

/*
 * The list's lock keeps the inode, which is taken off the list before it lets
 * go of its node.
 */
static bool kdn_want_queued(struct inode *inode)
{
	struct kernfs_node *kn = READ_ONCE(inode->i_private);

	return kn && kernfs_type(kn) == KERNFS_FILE && kdn_node_out(kn) &&
	       kdn_order_queued(kn);
}

static void kdn_visit_queued(struct inode *inode)
{
	kdn_unsettled = true;
}

static void kdn_resync_once(struct super_block *sb)
{
	kdn_dirs_met = 0;
	kdn_more_dirs = false;
	kdn_walk(sb, kdn_inode_watched, kdn_visit_watched);

	/*
	 * These directories were out by now, and so were all files in them: if
	 * none of those is queued, nothing is that their watchers must hear.
	 */
	if (kdn_nr_dirs) {
		kdn_walk(sb, kdn_want_queued, kdn_visit_queued);
		kdn_unsettled |= !kdn_resync_barrier();
	}
	while (kdn_nr_dirs) {
		struct inode *inode = kdn_dirs[--kdn_nr_dirs];

		if (!kdn_unsettled && kdn_resync_tell(inode) == KDN_LATER)
			kdn_dirs_skip++;
		iput(inode);
	}
}

static void kdn_resync_super(struct super_block *sb)
{
	unsigned int passes = KDN_PASSES_MAX;
	bool others_unsettled = kdn_unsettled;

	/*
	 * A removal whose nodes were lost may not have deactivated them yet.
	 * This waits until it has.
	 */
	kdn_super_pass(sb);

	/*
	 * More directories than there is room for: in the next pass those that
	 * were told are not met any more, and those that wait come first again,
	 * or nearly so: for what they hide, and that goes on, there's another walk.
	 */
	kdn_dirs_skip = 0;
	kdn_unsettled = false;
	do
		kdn_resync_once(sb);
	while (kdn_more_dirs && !kdn_unsettled && --passes);
	kdn_again |= kdn_more_dirs;
	kdn_unsettled |= others_unsettled;
}

static void kdn_resync(struct work_struct *work)
{
	/* Before the walk: it can't know of later ones.  handoff.pml: count */
	unsigned long misses = kdn_resync_misses();

	/* What waits long must not keep others waiting. */
	if (xchg(&kdn_left, 0) || misses != kdn_walked)
		kdn_retry = KDN_RETRY_MIN;
	kdn_late |= misses != kdn_walked;
	kdn_walked = misses;
	atomic_long_inc(&kdn_counters.resyncs);
	kdn_again = false;
	kdn_no_patience = false;
	/* Without a list of the superblocks, nothing is settled. */
	kdn_unsettled = kdn_supers_get(&kdn_resync_supers, KDN_ALL);
	while (kdn_resync_supers.nr) {
		kdn_resync_super(kdn_resync_supers.sb[kdn_resync_supers.nr - 1]);
		kdn_supers_put_last(&kdn_resync_supers);
	}
	/* handoff.pml: served */
	if (!kdn_unsettled)
		WRITE_ONCE(kdn_served, misses);

	if (kdn_again || kdn_unsettled) {
		if (kdn_unsettled)
			kdn_retry = min_t(unsigned long, kdn_retry,
					  KDN_RETRY_UNSETTLED);
		kdn_resync_in(kdn_retry);
		kdn_retry = min_t(unsigned long, 2 * kdn_retry, KDN_RETRY_MAX);
		return;
	}
	kdn_retry = KDN_RETRY_MIN;
	if (kdn_late)
		kdn_resync_in(KDN_RESYNC_RELOOK);
	kdn_late = false;
}

static void kdn_resync_tick(struct work_struct *work)
{
	kdn_hook_try();
	kdn_resync_in(0);
	queue_delayed_work(kdn_wq, &kdn_tick_work, resync_seconds * HZ);
}

/**
 * kdn_resync_soon - start a resync shortly, for something new
 *
 * Context: process.
 */
void kdn_resync_soon(void)
{
	WRITE_ONCE(kdn_left, 1);
	kdn_resync_in(KDN_RESYNC_DELAY);
}

/**
 * kdn_resync_check - start a resync shortly if anything was lost or missed
 *
 * Context: the worker; or the unload, after that is off.
 */
void kdn_resync_check(void)
{
	unsigned long misses = kdn_resync_misses();

	if (misses == kdn_asked)
		return;
	kdn_asked = misses;
	kdn_resync_soon();
}

/**
 * kdn_resync_behind - are there losses that no resync has made good yet?
 *
 * Context: any.
 * Return: whether nodes may be missing among those that the worker has.
 */
bool kdn_resync_behind(void)
{
	return READ_ONCE(kdn_served) != kdn_resync_misses();
}

/**
 * kdn_resync_lost - how often nodes were left to the resync
 *
 * Context: any.
 * Return: the count of removals that did not fit a ring or a walk, and of
 * nodes that did not fit the worker's tables.
 */
unsigned long kdn_resync_lost(void)
{
	return kdn_capture_lost() + kdn_worker_dropped();
}

/**
 * kdn_resync_init - check the interval
 *
 * Context: process.
 * Return: 0, or -EINVAL with a line in the log for bad resync_seconds.
 */
int kdn_resync_init(void)
{
	if (resync_seconds <= KDN_RESYNC_SECONDS_MAX)
		return 0;
	pr_err("resync_seconds=%u is refused: it takes 0 to %u\n",
	       resync_seconds, KDN_RESYNC_SECONDS_MAX);
	return -EINVAL;
}

/**
 * kdn_resync_start - serve removals from before, start the timer
 *
 * Context: process; the probe is armed.
 */
void kdn_resync_start(void)
{
	kdn_resync_in(0);
	if (resync_seconds)
		queue_delayed_work(kdn_wq, &kdn_tick_work, resync_seconds * HZ);
}

/**
 * kdn_resync_stop - stop the timer
 *
 * Context: process, may sleep.
 */
void kdn_resync_stop(void)
{
	cancel_delayed_work_sync(&kdn_tick_work);
}

/**
 * kdn_resync_exit - stop it; if a walk was due, after that
 *
 * Context: process, may sleep; the timer and the worker are off.
 */
void kdn_resync_exit(void)
{
	/*
	 * The worker may have been stopped before it saw the last losses.
	 * handoff.pml: exit_check
	 */
	kdn_resync_check();
	/* handoff.pml: cancel_resync */
	if (cancel_delayed_work_sync(&kdn_resync_work)) {
		/* handoff.pml: exit_walk */
		kdn_resync(NULL);
		/* handoff.pml: cancel_again */
		cancel_delayed_work_sync(&kdn_resync_work);
	}
	kdn_supers_free(&kdn_resync_supers);
}
