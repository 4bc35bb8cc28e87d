// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - kernfs_delete_notify, from load to unload
 *
 * Tells the watchers of a kernfs file (cgroup, sysfs, resctrl) that it is
 * gone: inotify readers get IN_DELETE_SELF and IN_IGNORED, as on any other
 * filesystem.  internal.h has the files in the order of a node's way.
 */
#include <linux/init.h>
#include <linux/module.h>

#include "internal.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static int __init kdn_init(void)
{
	int err;

	/* 1. What the user asked for. */
	err = kdn_walk_init();
	if (err)
		return err;
	err = kdn_capture_init();
	if (err)
		goto err_capture;
	err = kdn_super_init();
	if (err)
		goto err_super;

	/* 2. What the kernel offers. */
	err = kdn_selftest_init();
	if (err)
		goto err_super;
	err = kdn_hook_find();
	if (err)
		goto err_super;

	/* 3. What the handler relies on. */
	err = kdn_status_init();
	if (err)
		goto err_status;
	err = kdn_worker_init();
	if (err)
		goto err_status;

	/* 4. From here on removals are seen; a walk finds what came before. */
	kdn_hook_arm();
	kdn_worker_kick();

	pr_info("watchers of removed kernfs files will be told; probing %s, %s native support\n",
		kdn_hook_symbol(), kdn_kernel.native ? "with" : "without");
	return 0;

	/* What a step has begun before it failed is undone, too. */
err_status:
	kdn_status_remove();
	kdn_order_exit();
	kdn_hook_disarm();
err_super:
	kdn_super_exit();
err_capture:
	kdn_capture_exit();
	if (err == -ENOMEM)
		pr_err("not loaded: out of memory; a smaller ring_size= needs less\n");
	return err;
}

static void __exit kdn_exit(void)
{
	/* 1. Programs hear that the module goes while it can still tell them. */
	kdn_status_remove();
	/* 2. No handler runs, and none will.  handoff.pml: disarm */
	kdn_hook_disarm();
	/* 3. No wake-up of the worker is on its way.  handoff.pml: sync */
	kdn_capture_sync();
	/* 4. The worker has told what is out, and holds no node. */
	kdn_worker_exit();
	/* 5. Nothing is left to run. */
	kdn_order_exit();
	kdn_super_exit();
	kdn_capture_exit();
}

module_init(kdn_init);
module_exit(kdn_exit);

MODULE_DESCRIPTION("IN_DELETE_SELF and IN_IGNORED for watchers of removed kernfs files");
MODULE_AUTHOR("The kernfs-delete-notify authors");
MODULE_VERSION("0.2.0");
MODULE_LICENSE("GPL");
/*
 * Android's GKI keeps what it exports for file systems in this namespace.  Written out,
 * as MODULE_IMPORT_NS() takes a word before 6.13 and a string since.
 */
MODULE_INFO(import_ns, "VFS_internal_I_am_really_a_filesystem_and_am_NOT_a_driver");
