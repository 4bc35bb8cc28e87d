// SPDX-License-Identifier: GPL-2.0-only
/*
 * selftest.c - nothing is believed about this kernel until it was seen
 *
 * At load: does the function to be probed get the node that is removed as its
 * first argument, once, at the beginning of the removal?  Does the kernel clear
 * the link count of a removed node's inode, that is, has it support of its own?
 * The nodes are the module's own, in sysfs.
 */
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/sysfs.h>

#include "internal.h"

/* The module's directory, and in it something that nobody can read. */
#define KDN_DIR		(&THIS_MODULE->mkobj.kobj)
#define KDN_NAME	"selftest"

static struct module_attribute kdn_attr = {
	.attr = { .name = KDN_NAME, .mode = 0400 },
};

struct kdn_kernel kdn_kernel;

/**
 * struct kdn_proof - what the probe on trial has reported
 * @kn: the node that is removed, on which the trial holds a reference
 * @fired: the probe fired
 * @hits: it fired with @kn as the first argument
 * @linked: @kn was linked and active then
 * @alone: nobody but the trial had a reference on it just before
 * @refs: the references on @kn then
 */
struct kdn_proof {
	struct kernfs_node *kn;
	bool fired;
	unsigned int hits;
	bool linked;
	bool alone;
	int refs;
};

static struct kdn_proof kdn_proof;

/**
 * kdn_selftest_init - set kdn_kernel.ops and kdn_kernel.native
 *
 * Removes a file and looks at its inode.  A mount of our own does not depend on
 * where, or whether, the caller of insmod sees sysfs; it lasts until insmod
 * returns, when the last reference on the file goes.
 *
 * Context: process, may sleep.
 * Return: 0, or an error with a line in the log.
 */
int kdn_selftest_init(void)
{
	struct file_system_type *type = get_fs_type("sysfs");
	struct vfsmount *mnt;
	struct file *file;
	int err;

	mnt = type ? kern_mount(type) : ERR_PTR(-ENODEV);
	if (IS_ERR(mnt)) {
		err = PTR_ERR(mnt);
		goto out_type;
	}
	kdn_kernel.ops = mnt->mnt_sb->s_op;

	err = sysfs_create_file(KDN_DIR, &kdn_attr.attr);
	if (err)
		goto out_mnt;
	file = file_open_root_mnt(mnt, "module/" KBUILD_MODNAME "/" KDN_NAME,
				  O_PATH, 0);
	sysfs_remove_file(KDN_DIR, &kdn_attr.attr);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto out_mnt;
	}
	kdn_kernel.native = !file_inode(file)->i_nlink;
	fput(file);
out_mnt:
	kern_unmount(mnt);
out_type:
	if (type)
		module_put(type->owner);
	if (err)
		pr_err("the selftest could not look at a file of its own in sysfs: error %d\n",
		       err);
	return err;
}

/**
 * kdn_selftest_hit - look at a call of the function on trial
 * @kn: its first argument, whatever that is: not followed unless it is our node
 *
 * Context: the kprobe's handler, until the probe is armed.
 */
void kdn_selftest_hit(struct kernfs_node *kn)
{
	WRITE_ONCE(kdn_proof.fired, true);
	/* Pairs with the release in kdn_trial_begin(). */
	if (!kn || kn != smp_load_acquire(&kdn_proof.kn))
		return;
	kdn_proof.hits++;
	kdn_proof.linked = atomic_read(&kn->active) >= 0 &&
			   !RB_EMPTY_NODE(&kn->rb);
	kdn_proof.refs = atomic_read(&kn->count);
}
NOKPROBE_SYMBOL(kdn_selftest_hit);

/*
 * From here on the removal of @kn is looked for; takes over a reference on it.
 * Others remove nodes meanwhile: of those it is noted only that the probe fired.
 * (Others may call a wrong function for @kn: mostly that makes more hits than one.)
 */
static void kdn_trial_begin(struct kernfs_node *kn)
{
	WRITE_ONCE(kdn_proof.fired, false);
	kdn_proof.hits = 0;
	kdn_proof.alone = atomic_read(&kn->count) == 2;
	/* No hits so far.  Pairs with the acquire in kdn_selftest_hit(). */
	smp_store_release(&kdn_proof.kn, kn);
}

/* Remove a file by its name. */
static int kdn_try_file(void)
{
	int err = sysfs_create_file(KDN_DIR, &kdn_attr.attr);

	if (err)
		return err;
	kdn_trial_begin(kernfs_find_and_get(KDN_DIR->sd, KDN_NAME));
	sysfs_remove_file(KDN_DIR, &kdn_attr.attr);
	/*
	 * Count all but the trial's own reference: that of every linked node, and
	 * the remover's.  If a program looked the file up or read the directory, it
	 * may have had one as well, and the count proves nothing.  Then leave out
	 * the remover's: noting a file too many does no harm.  One that came and went
	 * in between was not noticed, so never count more than the two.
	 */
	kdn_kernel.file_refs = 1;
	if (kdn_proof.alone && atomic_read(&kdn_proof.kn->count) == 1)
		kdn_kernel.file_refs = min(kdn_proof.refs - 1, 2);
	return 0;
}

/* Remove a directory, which has a way of its own into kernfs. */
static int kdn_try_dir(void)
{
	struct kobject *dir = kobject_create_and_add(KDN_NAME, KDN_DIR);

	if (!dir)
		return -ENOMEM;
	kernfs_get(dir->sd);
	kdn_trial_begin(dir->sd);
	kobject_del(dir);
	kobject_put(dir);
	return 0;
}

static int kdn_prove(const char *symbol, int (*try)(void))
{
	int err = try();
	struct kernfs_node *kn = kdn_proof.kn;

	WRITE_ONCE(kdn_proof.kn, NULL);
	kernfs_put(kn);
	if (err) {
		if (err != -ENOMEM)
			pr_err("the selftest could not make something of its own in sysfs: error %d\n",
			       err);
		return err;
	}
	if (kdn_proof.hits == 1 && kdn_proof.linked)
		return 0;
	if (!READ_ONCE(kdn_proof.fired))
		pr_err("the proof failed: %s was not seen to be called when a file was removed: kprobes are switched off (see kprobes/enabled in debugfs, and sysctl kernel.ftrace_enabled), or it is not the function to probe\n",
		       symbol);
	else
		pr_err("the proof failed: %s %s when a file was removed; it is not the function to probe\n",
		       symbol, kdn_proof.hits ?
		       "got its node, but not once and at the beginning," :
		       "did not get its node as first argument");
	return -ENXIO;
}

/**
 * kdn_selftest - prove that a function is the one to probe
 * @symbol: its name, for the log; a probe on it calls kdn_selftest_hit()
 *
 * Removes a file and a directory.  To pass, the function must have been called
 * with the node as first argument exactly once, when it was still linked and
 * active.  Sets kdn_kernel.file_refs.
 *
 * Context: process, may sleep.
 * Return: 0; -ENOMEM; -ENXIO if it failed, or another error: these with a line
 * in the log.
 */
int kdn_selftest(const char *symbol)
{
	int err = kdn_prove(symbol, kdn_try_file);

	return err ?: kdn_prove(symbol, kdn_try_dir);
}

/**
 * kdn_selftest_remove - have kernfs remove a file
 *
 * Context: process, may sleep; after kdn_selftest().
 * Return: 0, or why there is no file to remove.
 */
int kdn_selftest_remove(void)
{
	int err = sysfs_create_file(KDN_DIR, &kdn_attr.attr);

	if (!err)
		sysfs_remove_file(KDN_DIR, &kdn_attr.attr);
	return err;
}
