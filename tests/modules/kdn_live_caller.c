// SPDX-License-Identifier: GPL-2.0-only
/*
 * For the tests only: a live patch of kernfs_remove(), one of the functions that
 * call the one that kernfs_delete_notify probes.
 *
 * The new function does what the old one does, in code of its own, and calls the
 * old __kernfs_remove(), as a live patch does that only changes the caller.
 */
#include <linux/kprobes.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "kernfs-internal.h"

static char *symbol = "";
module_param(symbol, charp, 0444);
MODULE_PARM_DESC(symbol, "Function to call: __kernfs_remove, or the part of it that is one");

static unsigned int calls;
module_param(calls, uint, 0444);
MODULE_PARM_DESC(calls, "How often the new function has removed a node");

static void (*kdn_remove)(struct kernfs_node *kn);

/* A call that is not counted, as two hierarchies count at once, is no matter. */
static void kdn_live_kernfs_remove(struct kernfs_node *kn)
{
	struct kernfs_root *root;

	if (!kn)
		return;
	root = kernfs_root(kn);
	down_write(&root->kernfs_rwsem);
	/* If the function is a part only, its caller is to see to this. */
	if (kn == root->kn || !RB_EMPTY_NODE(&kn->rb)) {
		WRITE_ONCE(calls, calls + 1);
		kdn_remove(kn);
	}
	up_write(&root->kernfs_rwsem);
}

static struct klp_func kdn_funcs[] = {
	{ .old_name = "kernfs_remove", .new_func = kdn_live_kernfs_remove },
	{ }
};

static struct klp_object kdn_objects[] = {
	{ .funcs = kdn_funcs },		/* vmlinux */
	{ }
};

static struct klp_patch kdn_patch = {
	.mod = THIS_MODULE,
	.objs = kdn_objects,
};

/* Tools that make live patches have the loader find it; kprobes find it, too. */
static int find_function(void)
{
	struct kprobe probe = {
		.symbol_name = symbol,
		.flags = KPROBE_FLAG_DISABLED,
	};
	int err = register_kprobe(&probe);

	if (err)
		return err;
	kdn_remove = (void *)probe.addr;
	unregister_kprobe(&probe);
	return 0;
}

static int __init kdn_live_caller_init(void)
{
	int err = find_function();

	return err ?: klp_enable_patch(&kdn_patch);
}

/* It is disabled by its file in sysfs first. */
static void __exit kdn_live_caller_exit(void)
{
}

module_init(kdn_live_caller_init);
module_exit(kdn_live_caller_exit);

MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("A live patch of a caller, for the tests of kernfs_delete_notify");
