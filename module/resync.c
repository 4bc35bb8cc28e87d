// SPDX-License-Identifier: GPL-2.0-only
/*
 * resync.c - find by itself what the probe or the rings have missed
 *
 * Walks the inodes of all watched superblocks and tells the watchers of each
 * whose node is out.  It runs at load, for removals from before; when
 * something was lost on the way from the handler to the worker, or the probe
 * was passed over; again when it met nodes in the middle of their removal; and
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

/* To come back to what could not be told yet: soon at first, then less often. */
#define KDN_RETRY_MIN		(HZ / 10)
#define KDN_RETRY_MAX		(60 * HZ)

/* The most inodes to pass while the superblock's list is locked. */
#define KDN_STRIDE		256

static unsigned int resync_seconds = 60;
module_param(resync_seconds, uint, 0444);
MODULE_PARM_DESC(resync_seconds, "Seconds between walks over all watched inodes, 0 for none, at most 86400 (default 60)");

/* What was lost or missed, when last looked at. */
static unsigned long kdn_seen;
static unsigned long kdn_retry = KDN_RETRY_MIN;
static struct kdn_supers kdn_supers;

static void kdn_resync(struct work_struct *work);
static DECLARE_DELAYED_WORK(kdn_resync_work, kdn_resync);

static void kdn_resync_tick(struct work_struct *work);
static DECLARE_DEFERRABLE_WORK(kdn_tick_work, kdn_resync_tick);

/* Has all been sent that kernfs had queued for @kn?  May sleep. */
static bool kdn_resync_order(struct kernfs_node *kn)
{
	unsigned int i;
	int inodes = 0;

	for (i = 0; i < kdn_supers.nr; i++)
		if (kdn_super_look(kdn_supers.sb[i], kn, false) != KDN_NO_INODE)
			inodes++;

	switch (kdn_order(kn, inodes)) {
	case KDN_SETTLED:
		return true;
	case KDN_SENDING:
		return kdn_order_barrier();
	default:
		return false;
	}
}

/* Returns false if @inode is to be looked at again. */
static bool kdn_resync_inode(struct inode *inode)
{
	/* The inode is watched, so it is set up, and it holds its node. */
	struct kernfs_node *kn = inode->i_private;

	if (!kdn_node_leaving(kn))
		return true;
	if (!kdn_node_out(kn) || !kdn_resync_order(kn))
		return false;

	switch (kdn_deliver(inode, false)) {
	case KDN_TOLD:
		trace_kdn_resynced(kn);
		atomic_long_inc(&kdn_counters.resync_found);
		return true;
	case KDN_LATER:
		return false;
	default:
		return true;
	}
}

/*
 * Walk the inodes of @sb.  The one in hand has a reference and so keeps its
 * place in the list while the lock is dropped.  Returns false if some are to
 * be looked at again.
 */
static bool kdn_resync_super(struct super_block *sb)
{
	struct inode *inode, *last = NULL;
	unsigned int passed = 0;
	bool done = true;

	/*
	 * A removal whose nodes were lost may not have deactivated them yet.
	 * This waits until it has: it takes kernfs's lock for reading.
	 */
	kernfs_put(kernfs_find_and_get(kdn_super_root(sb), ""));

	spin_lock(&sb->s_inode_list_lock);
	list_for_each_entry(inode, &sb->s_inodes, i_sb_list) {
		if (!kdn_inode_watched(inode) && ++passed < KDN_STRIDE)
			continue;
		if (!igrab(inode))
			continue;
		spin_unlock(&sb->s_inode_list_lock);
		passed = 0;
		iput(last);
		last = inode;
		if (kdn_inode_watched(inode) && !kdn_resync_inode(inode))
			done = false;
		cond_resched();
		spin_lock(&sb->s_inode_list_lock);
	}
	spin_unlock(&sb->s_inode_list_lock);
	iput(last);
	return done;
}

static void kdn_resync(struct work_struct *work)
{
	unsigned int i;
	bool done;

	atomic_long_inc(&kdn_counters.resyncs);
	done = !kdn_supers_get(&kdn_supers);
	for (i = 0; i < kdn_supers.nr; i++)
		done &= kdn_resync_super(kdn_supers.sb[i]);
	kdn_supers_put(&kdn_supers);

	if (done) {
		kdn_retry = KDN_RETRY_MIN;
	} else {
		queue_delayed_work(kdn_wq, &kdn_resync_work, kdn_retry);
		kdn_retry = min_t(unsigned long, 2 * kdn_retry, KDN_RETRY_MAX);
	}
}

static void kdn_resync_tick(struct work_struct *work)
{
	kdn_resync_now();
	queue_delayed_work(kdn_wq, &kdn_tick_work, resync_seconds * HZ);
}

/**
 * kdn_resync_now - start a resync
 *
 * Context: any.
 */
void kdn_resync_now(void)
{
	mod_delayed_work(kdn_wq, &kdn_resync_work, 0);
}

/**
 * kdn_resync_check - start a resync soon if anything was lost or missed
 *
 * Context: any.
 */
void kdn_resync_check(void)
{
	unsigned long now = kdn_resync_lost() + kdn_hook_missed();

	if (now != READ_ONCE(kdn_seen)) {
		WRITE_ONCE(kdn_seen, now);
		queue_delayed_work(kdn_wq, &kdn_resync_work, KDN_RESYNC_DELAY);
	}
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
	kdn_resync_now();
	if (resync_seconds)
		queue_delayed_work(kdn_wq, &kdn_tick_work, resync_seconds * HZ);
}

/**
 * kdn_resync_exit - stop it
 *
 * Context: process, may sleep; the worker is off.
 */
void kdn_resync_exit(void)
{
	cancel_delayed_work_sync(&kdn_tick_work);
	cancel_delayed_work_sync(&kdn_resync_work);
	kdn_supers_free(&kdn_supers);
}
