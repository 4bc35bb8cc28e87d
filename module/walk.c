// SPDX-License-Identifier: GPL-2.0-only
/*
 * walk.c - find what the probe or the rings have lost
 *
 * A walk looks at all inodes of the watched superblocks and offers the worker
 * each removed node that is watched.  It tells nobody and waits for no event.
 * A walk runs at load, for removals from before; shortly after a loss; once
 * more after those, for late watches; when the worker had to let go of a node
 * that may have to be told later; and every resync_seconds.
 */
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

#include "internal.h"

#define KDN_SECONDS_MAX		86400

/* Losses come in crowds: one walk serves all of this long. */
#define KDN_WALK_DELAY		(50 * NSEC_PER_MSEC)

/*
 * A program that found a file just before its removal may watch it just after
 * a walk.  So a walk for losses is followed by another, this much later.
 */
#define KDN_WALK_LATE		(250 * NSEC_PER_MSEC)

/* The most inodes to pass while the superblock's list is locked. */
#define KDN_STRIDE		256

static unsigned int resync_seconds = 60;
module_param(resync_seconds, uint, 0444);
MODULE_PARM_DESC(resync_seconds, "Seconds between walks over the inodes of watched filesystems, 0 for none, at most 86400 (default 60)");

/**
 * struct kdn_asked - the walk that was asked for, if one was
 * @at: when it is due: at once, for what was removed before the load
 * @until: the latest time that was asked for, by &enum kdn_whose: there is another
 *         one then
 * @whose: whose superblocks it is for, a set of &enum kdn_whose; 0 for no walk
 * @twice: it is for losses: have another one after it, for late watches
 */
struct kdn_asked {
	ktime_t at;
	ktime_t until[KDN_ALL];
	unsigned int whose;
	bool twice;
};

static struct kdn_asked kdn_asked = { .whose = KDN_ALL, .twice = true };

/* When the walk that comes by time is due. */
static ktime_t kdn_slow_at;

/* The losses that a walk was asked for, and those that the last one knew of. */
static unsigned long kdn_losses_asked;
static unsigned long kdn_losses_known = ULONG_MAX;

static ktime_t kdn_slow_after(ktime_t now)
{
	if (!resync_seconds)
		return KTIME_MAX;
	return ktime_add_ns(now, (u64)resync_seconds * NSEC_PER_SEC);
}

/*
 * Is an inode's node removed, and watched or still to be sent an event?  The
 * second is for the watchers of its directory, who must read that event first.
 * The list's lock keeps the inode's node: an inode leaves the list before it
 * lets go of its node.
 */
static bool kdn_wanted(struct inode *inode)
{
	struct kernfs_node *kn = READ_ONCE(inode->i_private);

	if (!kn || !kdn_removing(kn))
		return false;
	return kdn_inode_watched(inode) || kdn_order_queued(kn);
}

/* The reference on @last keeps its place in the list while that is unlocked. */
static void kdn_walk_super(struct super_block *sb)
{
	struct inode *inode, *last = NULL;
	unsigned int passed = 0;

	/*
	 * A removal counts as lost before its nodes look removed, and a walk in
	 * between would miss them.  Its remover holds kernfs's lock then: wait.
	 */
	kdn_node_pass(kdn_super_root(sb));
	spin_lock(&sb->s_inode_list_lock);
	list_for_each_entry(inode, &sb->s_inodes, i_sb_list) {
		bool wanted = kdn_wanted(inode);

		if (!wanted && ++passed < KDN_STRIDE)
			continue;
		if (!igrab(inode))
			continue;
		spin_unlock(&sb->s_inode_list_lock);
		passed = 0;
		iput(last);
		last = inode;
		if (wanted)
			kdn_worker_add(inode->i_private, true);
		cond_resched();
		spin_lock(&sb->s_inode_list_lock);
	}
	spin_unlock(&sb->s_inode_list_lock);
	iput(last);
}

/**
 * kdn_walk_by - ask for a walk at some time
 * @when: the time; there may be walks before it, too
 * @whose: whose superblocks it is for: a set of &enum kdn_whose
 *
 * Context: the worker.
 */
void kdn_walk_by(ktime_t when, unsigned int whose)
{
	if (!kdn_asked.whose || when < kdn_asked.at)
		kdn_asked.at = when;
	if (whose & KDN_SYSFS && when > kdn_asked.until[KDN_SYSFS])
		kdn_asked.until[KDN_SYSFS] = when;
	if (whose & KDN_OTHERS && when > kdn_asked.until[KDN_OTHERS])
		kdn_asked.until[KDN_OTHERS] = when;
	kdn_asked.whose |= whose;
}

/**
 * kdn_walk_check - ask for a walk if anything was lost since the last check
 *
 * Context: the worker.
 * Return: whether there was something.
 */
bool kdn_walk_check(void)
{
	unsigned long losses = kdn_walk_losses();

	if (losses == kdn_losses_asked)
		return false;
	kdn_losses_asked = losses;
	kdn_asked.twice = true;
	kdn_walk_by(ktime_add_ns(ktime_get(), KDN_WALK_DELAY), KDN_ALL);
	return true;
}

/**
 * kdn_walk_losses - how often nodes were lost, or their removal was missed
 *
 * Context: any.
 * Return: the count; it only grows.
 */
unsigned long kdn_walk_losses(void)
{
	return kdn_capture_sum().lost + kdn_hook_missed();
}

/**
 * kdn_walk_knows - has a walk looked for what was lost?
 * @losses: what kdn_walk_losses() returned when it was lost
 *
 * Context: the worker.
 * Return: whether one that began after that is over.
 */
bool kdn_walk_knows(unsigned long losses)
{
	return (long)(kdn_losses_known - losses) >= 0;
}

/**
 * kdn_walk_due - when is the next walk due?
 * @last: at the unload: a walk that was asked for is due at once, no other is
 *
 * Context: the worker.
 * Return: the time; KTIME_MAX for never.
 */
ktime_t kdn_walk_due(bool last)
{
	if (last)
		return kdn_asked.whose ? 0 : KTIME_MAX;
	return kdn_asked.whose ? min(kdn_asked.at, kdn_slow_at) : kdn_slow_at;
}

/**
 * kdn_walk - offer the worker all removed nodes that are watched
 * @last: at the unload: don't come back for late watches
 *
 * Walks even if its time has not come.  Looks only at the superblocks that it was
 * asked for, or at all if the walk that comes by time is due.
 *
 * Context: the worker; may sleep.
 */
void kdn_walk(bool last)
{
	/* Before the walk, which can't know of later ones.  handoff.pml: count */
	unsigned long losses = kdn_walk_losses();
	unsigned int whose = kdn_asked.whose, i;
	ktime_t now = ktime_get();

	if (kdn_slow_at <= now) {
		kdn_slow_at = kdn_slow_after(now);
		kdn_hook_try();
		whose = KDN_ALL;
	}
	kdn_asked.whose = 0;
	if (kdn_asked.until[KDN_SYSFS] > now && !last)
		kdn_walk_by(kdn_asked.until[KDN_SYSFS], KDN_SYSFS);
	if (kdn_asked.until[KDN_OTHERS] > now && !last)
		kdn_walk_by(kdn_asked.until[KDN_OTHERS], KDN_OTHERS);
	if (kdn_supers_get(whose)) {
		kdn_walk_by(ktime_add_ns(now, KDN_WALK_DELAY), whose);
		return;
	}
	for (i = 0; i < kdn_supers.nr; i++)
		kdn_walk_super(kdn_supers.sb[i]);
	/* handoff.pml: whole */
	if (whose != KDN_ALL)
		return;
	kdn_losses_known = losses;		/* handoff.pml: known */
	kdn_count(&kdn_counters.walks);
	if (kdn_asked.twice && !last)
		kdn_walk_by(ktime_add_ns(now, KDN_WALK_LATE), KDN_ALL);
	kdn_asked.twice = false;
}

/**
 * kdn_walk_init - check the interval, and begin to count it
 *
 * Context: process.
 * Return: 0, or -EINVAL with a line in the log for bad resync_seconds.
 */
int kdn_walk_init(void)
{
	if (resync_seconds > KDN_SECONDS_MAX) {
		pr_err("resync_seconds=%u is refused: it takes 0 to %u\n",
		       resync_seconds, KDN_SECONDS_MAX);
		return -EINVAL;
	}
	kdn_slow_at = kdn_slow_after(ktime_get());
	return 0;
}
