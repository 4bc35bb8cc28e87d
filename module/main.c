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
#include <linux/workqueue.h>

#include "internal.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* The worker's and the resync's. */
struct workqueue_struct *kdn_wq;

static int __init kdn_init(void)
{
	int err;

	/* 1. What the user asked for. */
	err = kdn_resync_init();
	if (err)
		return err;
	err = kdn_capture_init();
	if (err)
		goto err;
	err = kdn_super_init();
	if (err)
		goto err_capture;

	/* 2. What the kernel offers. */
	err = kdn_selftest_init();
	if (err)
		goto err_super;
	err = kdn_hook_find();
	if (err)
		goto err_super;

	/* 3. What the handler relies on. */
	err = kdn_worker_init();
	if (err)
		goto err_hook;
	err = -ENOMEM;
	kdn_wq = alloc_workqueue(KBUILD_MODNAME, WQ_UNBOUND | WQ_SYSFS, 0);
	if (!kdn_wq)
		goto err_worker;
	err = kdn_status_init();
	if (err)
		goto err_wq;

	/* 4. From here on removals are seen; then what came before. */
	kdn_hook_arm();
	kdn_resync_start();

	pr_info("watchers of removed kernfs files will be told; probing %s, %s native support\n",
		kdn_hook_symbol(), kdn_selftest_native() ? "with" : "without");
	return 0;

err_wq:
	destroy_workqueue(kdn_wq);
err_worker:
	kdn_worker_exit();
err_hook:
	kdn_hook_disarm();
err_super:
	kdn_super_exit();
err_capture:
	kdn_capture_exit();
err:
	if (err == -ENOMEM)
		pr_err("not loaded: out of memory; a smaller ring_size= needs less\n");
	return err;
}

static void __exit kdn_exit(void)
{
	/* 1. Programs are told that it goes while they can be. */
	kdn_status_remove();
	/* 2. Nobody tries any more whether the probe fires. */
	kdn_resync_stop();
	/* 3. No handler runs, and none will.  handoff.pml: disarm */
	kdn_hook_disarm();
	/* 4. No wake-up of the worker is on its way.  handoff.pml: sync */
	kdn_capture_sync();
	/* 5. The worker has served what is out, and holds no node. */
	kdn_worker_exit();
	/* 6. The worker can't start a resync any more; none runs. */
	kdn_resync_exit();
	/* 7. Nothing is left to run. */
	destroy_workqueue(kdn_wq);
	kdn_status_exit();
	kdn_super_exit();
	kdn_capture_exit();
}

module_init(kdn_init);
module_exit(kdn_exit);

MODULE_DESCRIPTION("IN_DELETE_SELF and IN_IGNORED for watchers of removed kernfs files");
MODULE_AUTHOR("The kernfs-delete-notify authors");
MODULE_VERSION("0.1.0");
MODULE_LICENSE("GPL");
