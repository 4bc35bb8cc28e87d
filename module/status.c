// SPDX-License-Identifier: GPL-2.0-only
/*
 * status.c - what an operator reads, in /sys/kernel/kernfs_delete_notify/
 *
 * One value a file.  The directory's presence tells programs that events will
 * be delivered; its removal is told like any other.
 */
#include <linux/kobject.h>
#include <linux/sysfs.h>

#include "internal.h"

struct kdn_counters kdn_counters;

static struct kobject *kdn_kobj;

#define KDN_STATUS(name, format, value)					\
static ssize_t name##_show(struct kobject *kobj,			\
			   struct kobj_attribute *attr, char *buf)	\
{									\
	return sysfs_emit(buf, format "\n", value);			\
}									\
static struct kobj_attribute kdn_##name = __ATTR_RO(name)

KDN_STATUS(symbol, "%s", kdn_hook_symbol());
KDN_STATUS(native, "%d", kdn_kernel.native);
KDN_STATUS(armed, "%d", kdn_hook_armed());
KDN_STATUS(removals, "%lu", kdn_capture_sum().removals);
KDN_STATUS(noted, "%lu", kdn_capture_sum().noted);
KDN_STATUS(overflows, "%lu", kdn_capture_sum().lost);
KDN_STATUS(missed, "%lu", kdn_hook_missed());
KDN_STATUS(pending, "%lu", READ_ONCE(kdn_counters.pending));
KDN_STATUS(found, "%lu", READ_ONCE(kdn_counters.found));
KDN_STATUS(delivered, "%lu", READ_ONCE(kdn_counters.delivered));
KDN_STATUS(resyncs, "%lu", READ_ONCE(kdn_counters.walks));
KDN_STATUS(resync_found, "%lu", READ_ONCE(kdn_counters.walk_found));

static const struct attribute *kdn_attrs[] = {
	&kdn_symbol.attr,
	&kdn_native.attr,
	&kdn_armed.attr,
	&kdn_removals.attr,
	&kdn_noted.attr,
	&kdn_found.attr,
	&kdn_delivered.attr,
	&kdn_overflows.attr,
	&kdn_missed.attr,
	&kdn_resyncs.attr,
	&kdn_resync_found.attr,
	&kdn_pending.attr,
	NULL
};

/**
 * kdn_status_init - create the directory and its files, and in it the barrier
 *
 * Context: process, may sleep; all that the files show is set up.
 * Return: 0, or an error with a line in the log.  After an error
 * kdn_status_remove() and kdn_order_exit() are still to be called.
 */
int kdn_status_init(void)
{
	int err;

	kdn_kobj = kobject_create_and_add(KBUILD_MODNAME, kernel_kobj);
	err = kdn_kobj ? sysfs_create_files(kdn_kobj, kdn_attrs) : -ENOMEM;
	if (!err)
		err = kdn_order_init(kdn_kobj);
	if (err)
		pr_err("/sys/kernel/" KBUILD_MODNAME " could not be created: error %d\n",
		       err);
	return err;
}

/**
 * kdn_status_remove - remove the directory and its files
 *
 * Context: process, may sleep.  On return nobody is reading them.
 */
void kdn_status_remove(void)
{
	kobject_del(kdn_kobj);
	kobject_put(kdn_kobj);
}
