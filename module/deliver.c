// SPDX-License-Identifier: GPL-2.0-only
/*
 * deliver.c - tell the watchers of one inode that its file is gone, once
 *
 * On kernels since 7.1, and on older ones with that backported, the VFS does
 * so itself for some files, when the last dentry of an inode without links
 * dies.
 */
#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/fsnotify.h>
#include <linux/mutex.h>
#include <linux/seqlock.h>

#include "internal.h"
#include "trace.h"

/* The references on an inode that has marks, no dentry, and the caller. */
#define KDN_INODE_REFS	2

/* The worker and the resync may come to the same inode. */
static DEFINE_MUTEX(kdn_deliver_mutex);

/* To pass more children under a lock would take too long. */
#define KDN_CHILDREN_MAX	16384

/*
 * The next directory within one, after @child if that is still there.  -E2BIG if
 * it has too many children to look, -EXDEV if the next one is none of its own
 * any more: with the directory all that was in it is out.
 */
static struct dentry *kdn_next_dir(struct dentry *dir, struct dentry *child)
{
	int passed = 0;

	spin_lock(&dir->d_lock);
	if (child && READ_ONCE(child->d_parent) != dir)
		child = NULL;
	while ((child = kdn_child(dir, child))) {
		if (++passed > KDN_CHILDREN_MAX) {
			child = ERR_PTR(-E2BIG);
			break;
		}
		if (!d_is_dir(child))
			continue;
		spin_lock_nested(&child->d_lock, DENTRY_D_LOCK_NESTED);
		/* One may just be deleted, or freed, and is below zero then. */
		if (d_is_dir(child) && child->d_lockref.count >= 0) {
			bool out = kdn_node_out(d_inode(child)->i_private);

			if (out)
				dget_dlock(child);
			spin_unlock(&child->d_lock);
			if (!out)
				child = ERR_PTR(-EXDEV);
			break;
		}
		spin_unlock(&child->d_lock);
	}
	spin_unlock(&dir->d_lock);
	return child;
}

/*
 * Has anybody a reference on a directory but its children, and we @refs?  A path
 * walk that is here under RCU, without one, has to begin anew from what it holds:
 * nobody gets a reference under d_lock, and who got one compares d_seq then.
 */
static bool kdn_dir_held(struct dentry *dir, int refs)
{
	struct dentry *child = NULL;
	int children = 0;
	bool held;

	spin_lock(&dir->d_lock);
	write_seqcount_invalidate(&dir->d_seq);
	while (children <= KDN_CHILDREN_MAX && (child = kdn_child(dir, child)))
		children++;
	held = dir->d_lockref.count > children + refs;
	spin_unlock(&dir->d_lock);
	return held;
}

/*
 * A mark of dnotify must be gone before its directory's other marks are
 * destroyed: the kernel has it as a BUG_ON().  It goes when the directory is
 * closed.  So a directory that somebody has open, or works in, or can come back
 * to by '..' from one within, is told when that is over, as on tmpfs.  A file
 * that is open in it holds it, too, but leads nowhere.
 *
 * If this says that it is not open, it will not be: kernfs lets no lookup pass
 * that finds a directory removed, so who is within can only move up, and is met
 * there, as the innermost directories are looked at first; be it on a path walk
 * without references.  Nothing is pruned: who is within could make new dentries
 * faster than that.
 *
 * What was moved out of it before the removal may have its dentry here until
 * the next lookup moves that, too: it is open as long.  When any dentry was
 * moved, be it elsewhere, one may have been missed, or the way up may not be the
 * way down any more: it is open, this time.
 */
static bool kdn_dir_open(struct dentry *dir)
{
	struct dentry *pos, *done = NULL;
	unsigned int seq;
	bool open;

	if (!d_is_dir(dir))
		return false;
	seq = read_seqbegin(&rename_lock);
	/* There is a reference on @pos, which has one on its parent, and so on. */
	for (pos = dget(dir);;) {
		struct dentry *next = kdn_next_dir(pos, done);

		dput(done);
		done = NULL;
		cond_resched();
		open = IS_ERR(next);
		if (open)
			break;
		if (next) {
			dput(pos);
			pos = next;
			continue;
		}
		/* The caller has a reference on @dir. */
		open = kdn_dir_held(pos, pos == dir ? 2 : 1);
		if (open || pos == dir)
			break;
		done = pos;
		pos = dget_parent(done);
		open = read_seqretry(&rename_lock, seq);
		if (open)
			break;
	}
	dput(done);
	dput(pos);
	return open || read_seqretry(&rename_lock, seq);
}

/*
 * Will the VFS tell of this inode when its last dentry dies?  kernfs clears the
 * link count just after it unlinks the node, in one go under its lock: after
 * passing through that, it has.  A stat() of a directory that somebody holds
 * brings its count back; then the VFS does not tell, and marks on the superblock
 * alone are not told.
 */
static bool kdn_vfs_tells(struct inode *inode)
{
	if (!kdn_selftest_native())
		return false;
	if (READ_ONCE(inode->i_nlink))
		kdn_super_pass(inode->i_sb);
	return !READ_ONCE(inode->i_nlink);
}

static enum kdn_told __kdn_deliver(struct inode *inode, bool first)
{
	struct super_block *sb = inode->i_sb;
	enum kdn_told told = KDN_TOLD;
	bool vfs_telling, vfs_tells, watched, tell_sb;
	struct dentry *alias;

	/*
	 * The VFS tells at the death of the last dentry, and keeps that one's
	 * reference on the inode meanwhile.  While we hold a dentry it can't;
	 * when there is none, and no reference that could be such a one, it
	 * has not and will not: the last dentry died before the removal.
	 */
	alias = d_find_any_alias(inode);
	vfs_telling = kdn_selftest_native() && !alias &&
		      atomic_read(&inode->i_count) > KDN_INODE_REFS;
	/* If the VFS has just destroyed the marks, this is to be seen below. */
	smp_rmb();

	/*
	 * Told marks on an inode are gone.  Those on a superblock stay, but
	 * as long as the VFS is to tell them, nobody has.
	 */
	vfs_tells = alias && kdn_vfs_tells(inode);
	tell_sb = (kdn_selftest_native() ? vfs_tells : first) &&
		  kdn_sb_marked(sb);
	watched = kdn_inode_watched(inode);
	if (!watched && !tell_sb)
		told = KDN_NOBODY;
	else if (vfs_telling || (watched && alias && kdn_dir_open(alias)))
		told = KDN_LATER;

	if (told == KDN_TOLD) {
		/*
		 * Where there were no marks none is destroyed: one of dnotify
		 * may have come since, if it is a directory that is open.
		 */
		if (watched)
			fsnotify_inoderemove(inode);
		else
			fsnotify_inode(inode, FS_DELETE_SELF);
		trace_kdn_delivered(inode);
		/*
		 * The VFS would tell the superblock's marks again.  It looks at
		 * the link count when no dentry is left, ours included.
		 */
		if (vfs_tells && kdn_sb_marked(sb))
			set_nlink(inode, 1);
	}
	dput(alias);
	return told;
}

/**
 * kdn_deliver - tell an inode's watchers that its file is gone
 * @inode: the inode of a node that is out and settled; the caller holds a
 *         reference on it and keeps its superblock active
 * @first: the node was not looked for before: tell marks on the superblock too
 *
 * inotify readers get IN_DELETE_SELF, where they asked for it, and IN_IGNORED;
 * the watches are gone.
 *
 * Context: process, may sleep; nothing of kernfs and no superblock is locked.
 * Return: see &enum kdn_told.
 */
enum kdn_told kdn_deliver(struct inode *inode, bool first)
{
	bool watched;
	enum kdn_told told;

	mutex_lock(&kdn_deliver_mutex);
	watched = kdn_inode_watched(inode);
	told = __kdn_deliver(inode, first);
	mutex_unlock(&kdn_deliver_mutex);

	if (told == KDN_TOLD)
		atomic_long_inc(&kdn_counters.delivered);
	if (told == KDN_TOLD || (watched && told == KDN_NOBODY))
		atomic_long_inc(&kdn_counters.found);
	return told;
}
