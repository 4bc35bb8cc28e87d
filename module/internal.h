/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * internal.h - what the files of kernfs_delete_notify share, by file
 *
 * A node's way is down this page: hook sees its removal and capture keeps it,
 * or walk finds it; worker takes it, order lets earlier events pass, super
 * finds its inodes and deliver tells their watchers.
 *
 * The words that all files use:
 *
 *	removed		the removal of a node has begun
 *	out		the removal is over: deactivated and unlinked, for good
 *	settled		kernfs has sent every event that it had queued for it
 *	told		the node's watchers have been sent the events
 *	late		a watch placed when the node was out already
 *	held		referenced by its remover or its owner
 *	noted		put into a ring by the probe's handler
 *	offered		found by a walk; users know a walk as a resync
 *	lost		not noted although it should have been, or let go unsettled:
 *			a walk is owed
 */
#ifndef KDN_INTERNAL_H
#define KDN_INTERNAL_H

#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/kernfs.h>
#include <linux/kobject.h>
#include <linux/ktime.h>
#include <linux/percpu.h>
#include <linux/types.h>

#include "compat.h"

#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

/* hook.c */
int kdn_hook_find(void);
void kdn_hook_arm(void);
void kdn_hook_disarm(void);
const char *kdn_hook_symbol(void);
void kdn_hook_try(void);
bool kdn_hook_armed(void);
unsigned long kdn_hook_missed(void);

/* capture.c */

/**
 * struct kdn_captured - what a CPU's handler has counted; @lost the worker, too
 * @removals: calls of the probed function
 * @noted: nodes put into a ring
 * @lost: how often nodes were left to a walk: removals that did not fit a ring or
 *        the handler's time, and unsettled nodes that did not fit the worker's table
 */
struct kdn_captured {
	unsigned long removals;
	unsigned long noted;
	unsigned long lost;
};

DECLARE_PER_CPU(struct kdn_captured, kdn_captured);

int kdn_capture_init(void);
void kdn_capture_exit(void);
void kdn_capture(struct kernfs_node *kn);
bool kdn_capture_take(void (*keep)(struct kernfs_node *kn));
void kdn_capture_awake(void);
bool kdn_capture_sleep(void);
void kdn_capture_sync(void);
struct kdn_captured kdn_capture_sum(void);

/* walk.c */
int kdn_walk_init(void);
void kdn_walk_by(ktime_t when, unsigned int whose);
bool kdn_walk_check(void);
unsigned long kdn_walk_losses(void);
bool kdn_walk_knows(unsigned long losses);
ktime_t kdn_walk_due(bool last);
void kdn_walk(bool last);

/* worker.c */
int kdn_worker_init(void);
void kdn_worker_exit(void);
void kdn_worker_kick(void);
void kdn_worker_add(struct kernfs_node *kn, bool offered);

/* order.c */
int kdn_order_init(struct kobject *dir);
void kdn_order_exit(void);
bool kdn_order_queued(struct kernfs_node *kn);
u32 kdn_order_begin(void);
bool kdn_order_passed(u32 barrier);

/* super.c */

/**
 * enum kdn_whose - whose superblocks; a set
 * @KDN_SYSFS: those of sysfs: each network namespace may have one
 * @KDN_OTHERS: those of all others: few
 * @KDN_ALL: both
 */
enum kdn_whose {
	KDN_SYSFS = 1,
	KDN_OTHERS = 2,
	KDN_ALL = KDN_SYSFS | KDN_OTHERS,
};

/**
 * struct kdn_supers - the superblocks of kernfs users that somebody watches
 * @sb: the superblocks, each kept active
 * @nr: how many there are
 * @room: how many @sb has room for; it is kept for the next time
 * @whose: which are in the list: a set of &enum kdn_whose
 * @watched: by &enum kdn_whose, the jiffies when somebody was last seen to watch
 */
struct kdn_supers {
	struct super_block **sb;
	unsigned int nr;
	unsigned int room;
	unsigned int whose;
	unsigned long watched[KDN_ALL];
};

/* The worker's, from kdn_supers_get() to kdn_supers_put(). */
extern struct kdn_supers kdn_supers;

/* For so long it is remembered that somebody watched: two walks' time by default. */
#define KDN_WATCHED_LATELY	(120 * HZ)

/* Does anybody watch a file in a hierarchy, or did lately?  The worker's guess. */
static inline bool kdn_supers_watched(enum kdn_whose whose)
{
	unsigned long last = READ_ONCE(kdn_supers.watched[whose]);

	return jiffies - last < KDN_WATCHED_LATELY;
}

static inline struct kernfs_node *kdn_super_root(struct super_block *sb)
{
	return d_inode(sb->s_root)->i_private;
}

int kdn_super_init(void);
void kdn_super_exit(void);
int kdn_supers_get(unsigned int whose);
void kdn_supers_put(void);
bool kdn_supers_look(struct kernfs_node *kn, bool first, int *inodes);
bool kdn_supers_in_use(struct kernfs_node *kn);
bool kdn_super_wants(struct super_block *sb, struct kernfs_node *kn);
struct inode *kdn_super_inode(struct super_block *sb, struct kernfs_node *kn);
struct inode *kdn_super_stand_in(struct super_block *sb, struct kernfs_node *kn);
bool kdn_node_out(struct kernfs_node *kn);
enum kdn_whose kdn_node_whose(struct kernfs_node *kn);
void kdn_node_pass(struct kernfs_node *kn);

/* deliver.c */

/**
 * enum kdn_told - what became of an inode's watchers
 * @KDN_TOLD: they have read, or will now read, that the file is gone
 * @KDN_NOBODY: there were none left to tell
 * @KDN_LATER: not now: the directory is open, or the VFS is about to tell them
 * @KDN_UNSURE: not now: the VFS may be telling them, or a program just opening the
 *              directory; nothing but time shows that neither is
 */
enum kdn_told {
	KDN_TOLD,
	KDN_NOBODY,
	KDN_LATER,
	KDN_UNSURE,
};

enum kdn_told kdn_deliver(struct inode *inode, bool first, bool fresh,
			  bool patient);
void kdn_alias_put(struct dentry *alias);

static inline bool kdn_inode_watched(struct inode *inode)
{
	return rcu_access_pointer(inode->i_fsnotify_marks);
}

/* selftest.c */

/**
 * struct kdn_kernel - what the selftest has learnt of this kernel
 * @ops: the superblock operations of kernfs: how to know a superblock of it
 * @native: it tells watchers by itself: it clears the link count of a removed
 *          node's inode
 * @file_refs: the references on a file without an inode when kernfs removes it by
 *             its name; no other caller removes a file that can have an inode
 *
 * Set at load, before the probe is armed.
 */
struct kdn_kernel {
	const struct super_operations *ops;
	bool native;
	int file_refs;
};

extern struct kdn_kernel kdn_kernel;

int kdn_selftest_init(void);
int kdn_selftest(const char *symbol);
void kdn_selftest_hit(struct kernfs_node *kn);
int kdn_selftest_remove(void);

/* status.c */

/**
 * struct kdn_counters - what happened since the module was loaded, and what is now
 * @found: watched inodes of removed nodes
 * @delivered: of those, inodes whose watchers this module told
 * @walks: walks over all watched inodes
 * @walk_found: of @delivered, those that only a walk found
 * @pending: nodes whose removal is not over or not yet told
 *
 * Written by the worker alone.
 */
struct kdn_counters {
	unsigned long found;
	unsigned long delivered;
	unsigned long walks;
	unsigned long walk_found;
	unsigned long pending;
};

extern struct kdn_counters kdn_counters;

static inline void kdn_count(unsigned long *counter)
{
	WRITE_ONCE(*counter, *counter + 1);
}

int kdn_status_init(void);
void kdn_status_remove(void);

#endif /* KDN_INTERNAL_H */
