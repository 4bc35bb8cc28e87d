/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * internal.h - what the files of kernfs_delete_notify share, by file
 *
 * A node's way is down this page: hook sees its removal, capture keeps it,
 * worker takes it, order lets earlier events pass, super finds its inodes and
 * deliver tells their watchers.  resync joins at super.
 */
#ifndef KDN_INTERNAL_H
#define KDN_INTERNAL_H

#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/kernfs.h>
#include <linux/kobject.h>
#include <linux/types.h>

#include "compat.h"

#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

/* main.c */
extern struct workqueue_struct *kdn_wq;

/* hook.c */
int kdn_hook_find(void);
void kdn_hook_arm(void);
void kdn_hook_disarm(void);
const char *kdn_hook_symbol(void);
void kdn_hook_try(void);
bool kdn_hook_armed(void);
unsigned long kdn_hook_missed(void);
unsigned long kdn_hook_removals(void);

/* capture.c */
int kdn_capture_init(void);
void kdn_capture_exit(void);
void kdn_capture(struct kernfs_node *kn, int held);

/*
 * An inode holds a reference on its node, on top of the one that keeps every
 * linked node and of those that the remover is known to hold.  So a node with
 * these alone has no inode, and since it is about to be deactivated it will
 * not get one: nobody is to be told.  (open_by_handle_at() may slip in between
 * and leave one to the resync.)
 */
static inline bool kdn_may_have_inode(struct kernfs_node *kn, int held)
{
	return atomic_read(&kn->count) > 1 + held;
}

bool kdn_capture_take(void (*keep)(struct kernfs_node *kn));
bool kdn_capture_has(const struct kernfs_node *kn);
void kdn_capture_awake(void);
bool kdn_capture_sleep(void);
void kdn_capture_sync(void);
unsigned long kdn_capture_noted(void);
unsigned long kdn_capture_lost(void);

/* worker.c */
int kdn_worker_init(void);
void kdn_worker_exit(void);
void kdn_worker_kick(void);
bool kdn_worker_has(const struct kernfs_node *kn);
unsigned int kdn_worker_pending(void);
unsigned long kdn_worker_dropped(void);

/* order.c */

/**
 * enum kdn_order - may a node's watchers be told of its removal already?
 * @KDN_SETTLED: every event that kernfs queued for it has been sent
 * @KDN_SENDING: one may be on its way; kdn_order_begin() has a barrier for it
 * @KDN_QUEUED: one is still in kernfs's list
 */
enum kdn_order {
	KDN_SETTLED,
	KDN_SENDING,
	KDN_QUEUED,
};

/* How long to wait for a barrier where others wait, too. */
#define KDN_SENDING_US	1000

int kdn_order_init(struct kobject *dir);
void kdn_order_exit(void);
bool kdn_order_queued(struct kernfs_node *kn);
int kdn_order_refs(struct kernfs_node *kn);
enum kdn_order kdn_order(int refs, int known);
u32 kdn_order_begin(void);
bool kdn_order_passed(u32 barrier);
void kdn_order_wait(unsigned int us);

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
 * @cut: the last one met was not the end of the list
 */
struct kdn_supers {
	struct super_block **sb;
	unsigned int nr;
	unsigned int room;
	bool cut;
};

/**
 * enum kdn_look - what there is of a removed node, in rising order
 * @KDN_NO_INODE: no inode, so nobody watches it
 * @KDN_UNWATCHED: an inode without a watcher
 * @KDN_WATCHED: an inode with watchers
 */
enum kdn_look {
	KDN_NO_INODE,
	KDN_UNWATCHED,
	KDN_WATCHED,
};

int kdn_super_init(void);
void kdn_super_exit(void);
int kdn_supers_get(struct kdn_supers *supers, unsigned int whose);
void kdn_supers_put(struct kdn_supers *supers);
void kdn_supers_put_last(struct kdn_supers *supers);
void kdn_supers_free(struct kdn_supers *supers);
struct kernfs_node *kdn_super_root(struct super_block *sb);
void kdn_super_pass(struct super_block *sb);
enum kdn_look kdn_supers_look(const struct kdn_supers *supers,
			      struct kernfs_node *kn, bool first, int *inodes);
bool kdn_supers_in_hand(const struct kdn_supers *supers,
			struct kernfs_node *kn);
struct inode *kdn_super_inode(struct super_block *sb, struct kernfs_node *kn);
bool kdn_node_out(struct kernfs_node *kn);
enum kdn_whose kdn_node_whose(struct kernfs_node *kn);
bool kdn_node_served(struct kernfs_node *kn);
void kdn_node_pass(struct kernfs_node *kn);

/* deliver.c */

/**
 * enum kdn_told - what became of an inode's watchers
 * @KDN_TOLD: they have read, or will now read, that the file is gone
 * @KDN_NOBODY: there were none left to tell
 * @KDN_LATER: not now: the VFS may be about to, or the directory is open
 */
enum kdn_told {
	KDN_TOLD,
	KDN_NOBODY,
	KDN_LATER,
};

enum kdn_told kdn_deliver(struct inode *inode, bool first);

static inline bool kdn_inode_watched(struct inode *inode)
{
	return rcu_access_pointer(inode->i_fsnotify_marks);
}

/* resync.c */
int kdn_resync_init(void);
void kdn_resync_start(void);
void kdn_resync_stop(void);
void kdn_resync_exit(void);
void kdn_resync_soon(void);
void kdn_resync_check(void);
bool kdn_resync_behind(void);
unsigned long kdn_resync_lost(void);

/* selftest.c */

/**
 * struct kdn_remover - the caller of __kernfs_remove() that removes by name
 * @caller: where it is returned to; 0 if it can't be told from others
 * @held: the references that it holds on the node, or 0
 *
 * Most removals come from there.  Nothing is known of other callers.
 */
struct kdn_remover {
	unsigned long caller;
	int held;
};

extern struct kdn_remover kdn_remover;
int kdn_selftest_init(void);
int kdn_selftest(const char *symbol);
void kdn_selftest_hit(struct kernfs_node *kn, struct pt_regs *regs);
int kdn_selftest_remove(void);
bool kdn_selftest_native(void);
const struct super_operations *kdn_selftest_ops(void);

/* status.c */

/**
 * struct kdn_counters - what happened since the module was loaded
 * @found: watched inodes of removed nodes
 * @delivered: of those, inodes whose watchers this module told
 * @resyncs: walks over all watched inodes
 * @resync_found: of @delivered, those that only a resync found
 */
struct kdn_counters {
	atomic_long_t found;
	atomic_long_t delivered;
	atomic_long_t resyncs;
	atomic_long_t resync_found;
};

extern struct kdn_counters kdn_counters;

int kdn_status_init(void);
void kdn_status_remove(void);
void kdn_status_exit(void);

#endif /* KDN_INTERNAL_H */
