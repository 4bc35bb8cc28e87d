// SPDX-License-Identifier: GPL-2.0-only
/*
 * order.c - what kernfs sent before a removal is read before it
 *
 * kernfs_notify() puts a file on a list, with a reference, and a work item
 * takes one file after the other off the list and sends its IN_MODIFY.  To
 * tell a watcher of the removal destroys the watch: a modification that is
 * still on the list, or off it but not yet sent, would be lost.
 */
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/kernfs.h>
#include <linux/kobject.h>
#include <linux/limits.h>
#include <linux/mutex.h>
#include <linux/sysfs.h>

#include "internal.h"

/* How far apart to look whether a barrier is passed. */
#define KDN_BARRIER_US		20

/*
 * A file of our own, for kernfs to notify; and how often it was put on the list.
 * It is gone already, so it has no inode, and nobody hears of that.
 */
static struct kernfs_node *kdn_barrier_kn;
static u32 kdn_barriers;

/* The worker and the resync may begin one at the same time. */
static DEFINE_MUTEX(kdn_barrier_mutex);

/**
 * kdn_order_queued - is a file on the list of those to be notified?
 * @kn: the node, a file, which the caller keeps from being freed
 *
 * Context: any.
 * Return: whether it is.
 */
bool kdn_order_queued(struct kernfs_node *kn)
{
	return READ_ONCE(kn->attr.notify_next);
}

/**
 * kdn_order_refs - what kdn_order() needs to be told of a removed node
 * @kn: the node, out, so that its owner should notify it no more: an owner that
 *      does delays this
 *
 * To be called before the node's inodes are counted, for kdn_order() to err on
 * the side of caution if one of them goes away meanwhile.
 *
 * Context: any.
 * Return: the references on the node; of a directory or symlink, which kernfs
 * does not notify, none; and more than there can be while the node is queued.
 */
int kdn_order_refs(struct kernfs_node *kn)
{
	if (kernfs_type(kn) != KERNFS_FILE)
		return 0;
	/* The count before the inodes. */
	return kdn_order_queued(kn) ? INT_MAX : atomic_read_acquire(&kn->count);
}

/**
 * kdn_order - has kernfs sent all that it had queued for a removed node?
 * @refs: what kdn_order_refs() returned for it
 * @known: the references on it that the caller can account for: those of its
 *         inodes and its own
 *
 * The list holds a reference until the event has been sent.  If there is none
 * that the caller does not know of, no event is on its way.  There may be one
 * for another reason, such as a remover that has not yet returned: that only
 * costs a barrier.
 *
 * Context: any.
 * Return: see &enum kdn_order.
 */
enum kdn_order kdn_order(int refs, int known)
{
	if (refs == INT_MAX)
		return KDN_QUEUED;
	return refs > known ? KDN_SENDING : KDN_SETTLED;
}

/**
 * kdn_order_begin - begin a barrier for events that are being sent
 *
 * kernfs's work item does not run twice at the same time.  Once it has taken
 * our file off the list, it has finished the one that it was at while our file
 * was there.  So a barrier that was begun before, and is not passed, serves.
 *
 * Context: process, may sleep.
 * Return: the barrier, for kdn_order_passed().
 */
u32 kdn_order_begin(void)
{
	u32 barrier;

	mutex_lock(&kdn_barrier_mutex);
	/* The caller saw other files off the list: before this. */
	smp_rmb();
	if (!kdn_order_queued(kdn_barrier_kn)) {
		WRITE_ONCE(kdn_barriers, kdn_barriers + 1);
		kernfs_notify(kdn_barrier_kn);
	}
	barrier = kdn_barriers;
	mutex_unlock(&kdn_barrier_mutex);
	return barrier;
}

/**
 * kdn_order_passed - has all been sent that was being sent?
 * @barrier: what kdn_order_begin() returned after it was seen to be on its way
 *
 * Context: any.
 * Return: whether it has; a later barrier is begun after that only.
 */
bool kdn_order_passed(u32 barrier)
{
	return READ_ONCE(kdn_barriers) != barrier ||
	       !kdn_order_queued(kdn_barrier_kn);
}

/**
 * kdn_order_wait - wait until the last barrier is passed, but not for long
 * @us: the microseconds after which to give up
 *
 * Context: process, may sleep, up to some more than twice as long.
 */
void kdn_order_wait(unsigned int us)
{
	unsigned int waited = 0, step;

	while (waited < us && kdn_order_queued(kdn_barrier_kn)) {
		/* Soon at first; not thousands of times if it takes long. */
		step = max_t(unsigned int, waited / 8, KDN_BARRIER_US);
		usleep_range(step, 2 * step);
		waited += step;
	}
}

/**
 * kdn_order_init - make the file that serves as the barrier
 * @dir: a directory of our own
 *
 * Context: process, may sleep.
 * Return: 0, or an error.
 */
int kdn_order_init(struct kobject *dir)
{
	static struct kobj_attribute file = __ATTR(barrier, 0400, NULL, NULL);
	int err;

	err = sysfs_create_file(dir, &file.attr);
	if (err)
		return err;
	kdn_barrier_kn = kernfs_find_and_get(dir->sd, file.attr.name);
	sysfs_remove_file(dir, &file.attr);
	return kdn_barrier_kn ? 0 : -ENOENT;
}

/**
 * kdn_order_exit - let go of that file
 *
 * Context: process; the worker and the resync are off.
 */
void kdn_order_exit(void)
{
	kernfs_put(kdn_barrier_kn);
}
