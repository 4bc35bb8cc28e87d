// SPDX-License-Identifier: GPL-2.0-only
/*
 * selftest.c - nothing is believed about this kernel until it was seen
 *
 * At load: do kprobes fire?  Does the function to be probed get the node that
 * is removed as its first argument, once, at the beginning of the removal?
 * Does the kernel clear the link count of a removed node's inode, that is, has
 * it support of its own?  The node is a file of the module in sysfs.
 */
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/sysfs.h>

#include "internal.h"

/* A file /sys/module/kernfs_delete_notify/selftest that nobody can read. */
static struct module_attribute kdn_attr = {
	.attr = { .name = "selftest", .mode = 0400 },
};

static const struct super_operations *kdn_ops;
static bool kdn_native;

/**
 * struct kdn_proof - what a probe on trial has reported
 * @kn: the node that will be removed
 * @fired: it was called
 * @hits: it was called with @kn as the first argument
 * @linked: @kn was linked and active at the last hit
 */
static struct kdn_proof {
	struct kernfs_node *kn;
	bool fired;
	unsigned int hits;
	bool linked;
} kdn_proof;

/*
 * Context: a kprobe's handler, on any function at all: the argument is compared
 * and not followed.
 */
static int kdn_proof_hit(struct kprobe *p, struct pt_regs *regs)
{
	struct kernfs_node *kn = kdn_proof.kn;

	kdn_proof.fired = true;
	if (kn && (void *)regs_get_kernel_argument(regs, 0) == kn) {
		kdn_proof.hits++;
		kdn_proof.linked = !kdn_node_leaving(kn) &&
				   !RB_EMPTY_NODE(&kn->rb);
	}
	return 0;
}
NOKPROBE_SYMBOL(kdn_proof_hit);

static int kdn_file_create(void)
{
	struct kobject *dir = &THIS_MODULE->mkobj.kobj;
	int err = sysfs_create_file(dir, &kdn_attr.attr);

	if (err) {
		pr_err("the selftest could not create its file in sysfs: error %d\n",
		       err);
		return err;
	}
	kdn_proof = (struct kdn_proof) {
		.kn = kernfs_find_and_get(dir->sd, kdn_attr.attr.name),
	};
	return 0;
}

static void kdn_file_remove(void)
{
	sysfs_remove_file(&THIS_MODULE->mkobj.kobj, &kdn_attr.attr);
}

/* Something of our own to probe, for the question whether probes fire. */
static noinline void kdn_canary(void)
{
	/* Not so empty that the call could be left out. */
	barrier();
}

static int kdn_test_kprobes(void)
{
	struct kprobe kp = {
		.addr = (kprobe_opcode_t *)kdn_canary,
		.pre_handler = kdn_proof_hit,
	};
	int err;

	kdn_proof.fired = false;
	err = register_kprobe(&kp);
	if (!err) {
		kdn_canary();
		unregister_kprobe(&kp);
	}
	if (!err && kdn_proof.fired)
		return 0;
	pr_err("kprobes do not work here (error %d): this kernel is built without them, or they are switched off in debugfs, kprobes/enabled\n",
	       err);
	return -EOPNOTSUPP;
}

/*
 * Remove the file and look at its inode.  A mount of our own does not
 * depend on where, or whether, the caller of insmod sees sysfs.
 */
static int kdn_test_native(void)
{
	struct file_system_type *type = get_fs_type("sysfs");
	struct vfsmount *mnt;
	struct file *file;

	mnt = type ? kern_mount(type) : ERR_PTR(-ENODEV);
	if (IS_ERR(mnt)) {
		kdn_file_remove();
		pr_err("the selftest could not mount sysfs for itself: error %ld\n",
		       PTR_ERR(mnt));
		return PTR_ERR(mnt);
	}
	kdn_ops = mnt->mnt_sb->s_op;
	file = file_open_root_mnt(mnt, "module/" KBUILD_MODNAME "/selftest",
				  O_PATH, 0);
	kdn_file_remove();
	if (IS_ERR(file)) {
		pr_err("the selftest could not look at its file in sysfs: error %ld\n",
		       PTR_ERR(file));
	} else {
		kdn_native = !file_inode(file)->i_nlink;
		fput(file);
	}
	kern_unmount(mnt);
	return PTR_ERR_OR_ZERO(file);
}

/**
 * kdn_selftest_init - learn what this kernel can do
 *
 * Context: process, may sleep.
 * Return: 0; -EOPNOTSUPP if kprobes do not fire, or another error; with a line
 * in the log.
 */
int kdn_selftest_init(void)
{
	int err = kdn_test_kprobes();

	if (err)
		return err;
	err = kdn_file_create();
	if (err)
		return err;
	err = kdn_test_native();
	kernfs_put(kdn_proof.kn);
	return err;
}

/**
 * kdn_selftest - prove that a function is the one to probe
 * @symbol: its name
 *
 * Removes a file under a probe that only compares.  To pass, the function must
 * have been called with the file's node as first argument exactly once, when
 * the node was still linked and active.
 *
 * Context: process, may sleep.
 * Return: 0; -ENOENT if there is no such function; -ENXIO if it failed, or
 * another error: these with a line in the log.
 */
int kdn_selftest(const char *symbol)
{
	struct kprobe kp = {
		.symbol_name = symbol,
		.pre_handler = kdn_proof_hit,
	};
	int err;

	err = kdn_file_create();
	if (err)
		return err;
	err = register_kprobe(&kp);
	kdn_file_remove();
	if (!err)
		unregister_kprobe(&kp);
	kernfs_put(kdn_proof.kn);
	if (err == -ENOENT)
		return err;
	if (err) {
		pr_err("the probe on %s could not be registered: error %d\n",
		       symbol, err);
		return err;
	}
	if (kdn_proof.hits == 1 && kdn_proof.linked)
		return 0;
	pr_err("the proof failed: %s %s when a file was removed; it is not the function to probe\n",
	       symbol, !kdn_proof.fired ? "was not called" :
	       !kdn_proof.hits ? "did not get its node as first argument" :
	       "got its node, but not once and at the beginning,");
	return -ENXIO;
}

/**
 * kdn_selftest_native - does this kernel tell watchers by itself?
 *
 * Context: any, after kdn_selftest_init().
 * Return: whether it clears the link count of removed nodes' inodes.
 */
bool kdn_selftest_native(void)
{
	return kdn_native;
}

/**
 * kdn_selftest_ops - how to know a superblock of kernfs
 *
 * Context: any, after kdn_selftest_init().
 * Return: the superblock operations of kernfs.
 */
const struct super_operations *kdn_selftest_ops(void)
{
	return kdn_ops;
}
