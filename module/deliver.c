// SPDX-License-Identifier: GPL-2.0-only
/*
 * deliver.c - tell the watchers of one inode that its file is gone, once
 *
 * On kernels since 7.1, and on older ones with that backported, the VFS does
 * so itself for some files, when the last dentry of an inode without links
 * dies.
 */
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/fsnotify.h>
#include <linux/rcupdate.h>
#include <linux/seqlock.h>
#include <linux/spinlock.h>

#include "internal.h"
#include "trace.h"

/*
 * The references on a directory's inode: its marks', its dentry's, the caller's.
 * (Marks that are all evictable have none: then one more goes unseen.)
 */
#define KDN_DIR_REFS	3

/* Passing more dentries than this under locks would take too long. */
#define KDN_DENTRIES_MAX	16384

/* The next directory within @dir, after @child.  Under the d_lock of @dir. */
static struct dentry *kdn_next_dir(struct dentry *dir, struct dentry *child,
				   unsigned int *passed)
{
	while ((child = kdn_child(dir, child)) && ++*passed < KDN_DENTRIES_MAX)
		/* One that was killed keeps its place until RCU lets it go. */
		if (d_is_dir(child) && !(child->d_flags & DCACHE_DENTRY_KILLED))
			break;
	return child;
}

/*
 * Does anyone hold a reference on @dir besides its children and our @refs?  Under
 * its d_lock.  A path walk that is here under RCU, without a reference, has to
 * begin anew: d_seq tells it so when it tries to get one.
 *
 * If the node of @dir is not out, @dir counts as held, too: it was moved elsewhere
 * before the removal, but its dentry stays here until the next lookup, and leads a
 * program from there up to here.
 */
static bool kdn_dir_held(struct dentry *dir, int refs, unsigned int *passed)
{
	struct inode *inode = d_inode(dir);
	struct dentry *child = NULL;
	int children = 0;

	write_seqcount_invalidate(&dir->d_seq);
	while ((child = kdn_child(dir, child)) && ++*passed < KDN_DENTRIES_MAX)
		children++;
	return dir->d_lockref.count > children + refs ||
	       (inode && !kdn_node_out(inode->i_private));
}

/*
 * Is a directory held, or one within?  The innermost are looked at first.  No
 * references are taken, so RCU keeps what is killed meanwhile.  If a directory
 * on the way up was moved meanwhile, treat it as held.
 */
static bool kdn_tree_held(struct dentry *top)
{
	struct dentry *dir = top, *child = NULL;
	unsigned int passed = 0;
	bool held;

	rcu_read_lock();
	spin_lock(&dir->d_lock);
	for (;;) {
		child = kdn_next_dir(dir, child, &passed);
		if (child) {
			spin_unlock(&dir->d_lock);
			dir = child;
			child = NULL;
			spin_lock(&dir->d_lock);
			continue;
		}
		/* The caller has a reference on @top. */
		held = kdn_dir_held(dir, dir == top, &passed) ||
		       passed >= KDN_DENTRIES_MAX;
		if (held || dir == top)
			break;
		child = dir;
		dir = child->d_parent;
		spin_unlock(&child->d_lock);
		spin_lock(&dir->d_lock);
		held = child->d_parent != dir;
		if (held)
			break;
	}
	spin_unlock(&dir->d_lock);
	rcu_read_unlock();
	return held;
}

/*
 * Can a program still come to a directory?  If this says no, none will, but for one
 * that has only the inode so far: see kdn_tell_dir().
 *
 * A program in a directory below can only move up, where the count meets it: kernfs
 * fails each lookup that finds a directory removed.  Nothing is pruned: such a
 * program could make new dentries faster than that.
 *
 * If any dentry was moved meanwhile, a directory may have been missed.  Then look
 * again and keep dentries from being moved, or a loop of renames elsewhere could
 * put this off for ever.
 */
static bool kdn_dir_open(struct dentry *dir)
{
	unsigned int seq = read_seqbegin(&rename_lock);
	bool open = kdn_tree_held(dir);

	if (open || !read_seqretry(&rename_lock, seq))
		return open;
	read_seqlock_excl(&rename_lock);
	open = kdn_tree_held(dir);
	read_sequnlock_excl(&rename_lock);
	return open;
}

/*
 * Tell the watchers of a directory, unless it is open.  Destroying a directory's
 * marks while it has one of dnotify is a BUG_ON() in the kernel.  That mark goes
 * when the directory is closed.  So if a program has the directory open, works in
 * it, or can come back to it by '..' from one below, its watchers are told when that
 * is over, as on tmpfs.  An open file in the directory holds it, too, but no program
 * gets from the file to the directory.
 *
 * open_by_handle_at() goes from the node to the inode to the dentry, and takes each
 * before it lets go of the last.  While the inode can't be found by its number, a
 * program that has come no further than the node gets another inode, whose dentry
 * leads nowhere.  One that has come to this inode has a reference on it, or has one
 * on the dentry by the time that those are counted.  It is waited for only while
 * @patient: a program may hold the inode for ever, and mostly it is not opening it.
 */
static enum kdn_told kdn_tell_dir(struct inode *inode, struct dentry *dir,
				  bool patient)
{
	enum kdn_told told = KDN_TOLD;

	remove_inode_hash(inode);
	/* Whoever takes a reference after this looks whether the inode is hashed. */
	smp_mb();
	/* The inode's references before the dentries'. */
	if (atomic_read_acquire(&inode->i_count) > KDN_DIR_REFS && patient)
		told = KDN_UNSURE;
	else if (kdn_dir_open(dir))
		told = KDN_LATER;
	else
		fsnotify_inoderemove(inode);
	insert_inode_hash(inode);
	return told;
}

/*
 * Is the VFS about to tell?  It tells when the last dentry dies.  In rmdir() that is
 * before it unlocks the parent directory, and the event names the process then.
 * Others lock the directory, too, for as long as they like: a lookup, a readdir().
 * So this is asked only while the removal is fresh.
 */
static bool kdn_vfs_telling(struct dentry *alias)
{
	struct inode *dir;
	bool locked;

	rcu_read_lock();
	dir = d_inode_rcu(READ_ONCE(alias->d_parent));
	locked = dir && inode_is_locked(dir);
	rcu_read_unlock();
	return locked;
}

/*
 * Will the VFS tell of this inode when its last dentry dies?  kernfs clears the
 * link count just after it unlinks the node, without letting go of its lock in
 * between.  Before 7.3 a stat() of a directory that somebody holds may bring the
 * count back; then the VFS does not tell, and marks on the superblock alone are
 * not told.
 */
static bool kdn_vfs_tells(struct inode *inode)
{
	if (!kdn_kernel.native)
		return false;
	if (READ_ONCE(inode->i_nlink))
		kdn_node_pass(inode->i_private);
	return !READ_ONCE(inode->i_nlink);
}

/**
 * kdn_alias_put - let go of a dentry of a removed node
 * @alias: the dentry, or NULL
 *
 * If nobody else uses the dentry, it goes for good: the remover of a cgroup passes
 * over dentries that are in use, and would leave this one in the caches, and its
 * directory with it.
 *
 * Context: process, may sleep.
 */
void kdn_alias_put(struct dentry *alias)
{
	if (!alias)
		return;
	spin_lock(&alias->d_lock);
	if (alias->d_lockref.count == 1)
		__d_drop(alias);
	spin_unlock(&alias->d_lock);
	dput(alias);
}

/**
 * kdn_deliver - tell an inode's watchers that its file is gone
 * @inode: the inode of a node that is out and settled; the caller holds a
 *         reference on it and keeps its superblock active
 * @first: marks on the superblock were not told of the node before
 * @fresh: return KDN_LATER if the VFS is about to tell; else go on
 * @patient: return KDN_UNSURE where that may be; else go on
 *
 * inotify readers get IN_DELETE_SELF, where they asked for it, and IN_IGNORED;
 * the watches are gone.
 *
 * Context: the worker; may sleep; nothing of kernfs and no superblock is locked.
 * Return: see &enum kdn_told.
 */
enum kdn_told kdn_deliver(struct inode *inode, bool first, bool fresh,
			  bool patient)
{
	bool found = kdn_inode_watched(inode), vfs_tells, watched, tell_sb;
	struct super_block *sb = inode->i_sb;
	enum kdn_told told = KDN_TOLD;
	struct dentry *alias;

	/*
	 * The VFS tells at the death of the last dentry: it can't while we hold
	 * one.  If there is none, either it is telling just now, or it never will:
	 * the last dentry died before the removal.  The same goes for a dentry
	 * without a parent: open_by_handle_at() has made it since.
	 */
	alias = d_find_any_alias(inode);
	/* If the VFS has just destroyed the marks, this is to be seen below. */
	smp_rmb();

	/*
	 * A mark on an inode is gone once it was told.  One on a superblock
	 * stays, but as long as the VFS is still to tell it, nobody has.
	 */
	vfs_tells = alias && kdn_vfs_tells(inode);
	tell_sb = (kdn_kernel.native ? vfs_tells : first) &&
		  kdn_sb_marked(sb);
	watched = kdn_inode_watched(inode);
	if (!watched && !tell_sb)
		told = KDN_NOBODY;
	else if (patient && kdn_kernel.native && (!alias || IS_ROOT(alias)))
		told = KDN_UNSURE;
	else if (fresh && vfs_tells && kdn_vfs_telling(alias))
		told = KDN_LATER;
	else if (!watched)
		/*
		 * There were no marks, so destroy none: if this is an open
		 * directory, one of dnotify may have come since.
		 */
		fsnotify_inode(inode, FS_DELETE_SELF);
	else if (!alias || !d_is_dir(alias))
		/*
		 * A directory without a dentry is not open, and can't be opened: one
		 * made by handle can't be connected, as lookups in it fail by now.
		 */
		fsnotify_inoderemove(inode);
	else
		told = kdn_tell_dir(inode, alias, patient);

	if (told == KDN_TOLD) {
		trace_kdn_delivered(inode);
		/*
		 * The VFS would tell the superblock's marks again.  It looks at
		 * the link count when no dentry is left, ours included.
		 */
		if (vfs_tells && kdn_sb_marked(sb))
			set_nlink(inode, 1);
		kdn_count(&kdn_counters.delivered);
	}
	/* If the dentry went now, the VFS would tell, in the worker's name. */
	if (told == KDN_LATER || told == KDN_UNSURE)
		dput(alias);
	else
		kdn_alias_put(alias);
	if (told == KDN_TOLD || (found && told == KDN_NOBODY))
		kdn_count(&kdn_counters.found);
	return told;
}
