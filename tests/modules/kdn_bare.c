// SPDX-License-Identifier: GPL-2.0-only
/*
 * kdn_bare.c - the floor that the bench measures against
 *
 * The probe of kernfs_delete_notify with a handler that does nothing.
 */
#include <linux/kprobes.h>
#include <linux/module.h>

#include "kdn_entry.h"

static int kdn_bare_hit(struct kprobe *p, struct pt_regs *regs)
{
	return 0;
}

static struct kprobe kdn_bare = {
	.symbol_name = "__kernfs_remove.part.0",
	.pre_handler = kdn_bare_hit,
};

static int __init kdn_bare_init(void)
{
	int err = kdn_probe_entry(&kdn_bare);

	if (err != -ENOENT)
		return err;
	kdn_bare.symbol_name = "__kernfs_remove";
	return kdn_probe_entry(&kdn_bare);
}

static void __exit kdn_bare_exit(void)
{
	unregister_kprobe(&kdn_bare);
}

module_init(kdn_bare_init);
module_exit(kdn_bare_exit);

MODULE_DESCRIPTION("A kprobe that does nothing, to measure against");
MODULE_LICENSE("GPL");
