// SPDX-License-Identifier: GPL-2.0-only
/*
 * For the tests only: a live patch of the function that kernfs_delete_notify
 * probes.
 *
 * The new function counts its calls and does what the old one does. To call
 * that would only lead back here; so it enters the old one behind the call of
 * ftrace at its beginning, by which live patching, and the kprobe, get in. Only
 * a test may do so, and only on a kernel without indirect branch tracking.
 */
#include <linux/atomic.h>
#include <linux/ftrace.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#define KDN_CALL	0xe8
#define KDN_ENDBR_SIZE	4

struct kernfs_node;

static char *symbol = "";
module_param(symbol, charp, 0444);
MODULE_PARM_DESC(symbol, "Function to patch: __kernfs_remove, or the part of it that is one");

static unsigned int calls;
module_param(calls, uint, 0444);
MODULE_PARM_DESC(calls, "How often the new function was called");

static void kdn_live_remove(struct kernfs_node *kn);

static struct klp_func kdn_funcs[] = {
	{ .new_func = kdn_live_remove },
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

/* A call that is not counted, as two hierarchies count at once, is no matter. */
static void kdn_live_remove(struct kernfs_node *kn)
{
	u8 *entry = kdn_funcs[0].old_func;
	void (*rest)(struct kernfs_node *kn);

	WRITE_ONCE(calls, calls + 1);
	if (*entry != KDN_CALL)
		entry += KDN_ENDBR_SIZE;
	rest = (void *)(entry + MCOUNT_INSN_SIZE);
	rest(kn);
}

static int __init kdn_live_init(void)
{
	kdn_funcs[0].old_name = symbol;
	return klp_enable_patch(&kdn_patch);
}

/* It is disabled by its file in sysfs first. */
static void __exit kdn_live_exit(void)
{
}

module_init(kdn_live_init);
module_exit(kdn_live_exit);

MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("A live patch for the tests of kernfs_delete_notify");
