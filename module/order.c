// SPDX-License-Identifier: GPL-2.0-only
/*
 * order.c - what kernfs sent before a removal is read before it
 *
 * kernfs_notify() puts a file on a list, with a reference, and a work item
 * takes one file after the other off the list and sends its IN_MODIFY.  To
 * tell a watcher of the removal destroys the watch: a modification that is
 * still on the list, or off it but not yet sent, would be lost.
 */
#include <linux/compiler.h>
#include <linux/kernfs.h>
#include <linux/kobject.h>
#include <linux/sysfs.h>

#include "internal.h"

/*
 * A file of our own for kernfs to notify, and how often that was done.  The file
 * is removed already: it has no inode, so nobody hears of it.
 */
static struct {
	struct kernfs_node *kn;
	u32 count;
} kdn_barrier;

/**
 * kdn_order_queued - is a node on the list of those to be notified?
 * @kn: the node, which the caller keeps from being freed
 *
 * Context: any.
 * Return: whether it is.
 */
bool kdn_order_queued(struct kernfs_node *kn)
{
	return kernfs_type(kn) == KERNFS_FILE && READ_ONCE(kn->attr.notify_next);
}

/**
 * kdn_order_begin - begin a barrier for events that are being sent
 *
 * kernfs's work item does not run twice at the same time.  Once it has taken
 * our file off the list, it is done with the file that it had taken off before.
 * So a barrier that was begun before, and is not passed, serves as well.
 *
 * Context: the worker.
 * Return: the barrier, for kdn_order_passed(); never 0.
 */
u32 kdn_order_begin(void)
{
	/* The caller saw other files off the list: before this. */
	smp_rmb();
	if (!kdn_order_queued(kdn_barrier.kn)) {
		kdn_barrier.count = kdn_barrier.count + 1 ?: 1;
		kernfs_notify(kdn_barrier.kn);
	}
	return kdn_barrier.count;
}

/**
 * kdn_order_passed - has kernfs sent the events that it was sending?
 * @barrier: what kdn_order_begin() returned while they were being sent
 *
 * Context: the worker.
 * Return: whether it has.  A later barrier is begun only once this one is passed.
 */
bool kdn_order_passed(u32 barrier)
{
	return kdn_barrier.count != barrier || !kdn_order_queued(kdn_barrier.kn);
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
	kdn_barrier.kn = kernfs_find_and_get(dir->sd, file.attr.name);
	sysfs_remove_file(dir, &file.attr);
	return kdn_barrier.kn ? 0 : -ENOENT;
}

/**
 * kdn_order_exit - let go of that file
 *
 * Context: process; the worker is off.
 */
void kdn_order_exit(void)
{
	kernfs_put(kdn_barrier.kn);
}
