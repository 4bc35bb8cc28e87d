// SPDX-License-Identifier: GPL-2.0-only
/*
 * super.c - the superblocks of a hierarchy, and a node's inode on each
 *
 * A node of a hierarchy can have an inode on each of the hierarchy's
 * superblocks.  kernfs keeps its list of those to itself; the VFS has one per
 * filesystem type.  Superblocks that nobody watches are passed over.
 */
#include <linux/compiler.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/fsnotify.h>
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"

#define KDN_TYPES_MAX	8

/* How often to list the superblocks, if there are more and more, or some go. */
#define KDN_TRIES_MAX	8

#define KDN_TYPES	"sysfs,cgroup2,cgroup,resctrl"

static char *filesystems = KDN_TYPES;
module_param(filesystems, charp, 0444);
MODULE_PARM_DESC(filesystems, "Kernfs users to serve, with commas between (default " KDN_TYPES ")");

static struct file_system_type *kdn_types[KDN_TYPES_MAX];
static unsigned int kdn_nr_types;
static unsigned int kdn_served;		/* &enum kdn_whose: what is among them */

/**
 * kdn_node_out - is a node's removal over?
 * @kn: the node, on which the caller holds a reference
 *
 * A node without a parent is the root of a hierarchy, which goes away when its
 * last superblock has: there is nobody to tell.
 *
 * Context: any.
 * Return: whether the node is deactivated and unlinked: for good.
 */
bool kdn_node_out(struct kernfs_node *kn)
{
	if (atomic_read(&kn->active) >= 0)
		return false;
	/*
	 * A rename unlinks a node for a moment, but only an active one, and
	 * not while a removal deactivates it: read this in this order.
	 */
	smp_rmb();
	/* Once it is seen empty it stays so; until then it is asked again. */
	return data_race(RB_EMPTY_NODE(&kn->rb)) && kdn_parent(kn);
}

/**
 * kdn_node_whose - whose superblocks may have a node's inodes?
 * @kn: the node, which is being removed, with a reference
 *
 * The hierarchy of sysfs is there for ever, so its root is the same whenever it
 * is asked for.  Others come and go, and an address may be used again.
 *
 * Context: any.
 * Return: one of &enum kdn_whose.
 */
enum kdn_whose kdn_node_whose(struct kernfs_node *kn)
{
	return kdn_parent(kn)->dir.root == kernel_kobj->sd->dir.root ?
	       KDN_SYSFS : KDN_OTHERS;
}

/**
 * kdn_node_served - may a node be one of a filesystem that is served?
 * @kn: the node, which is being removed, with a reference
 *
 * Context: any.
 * Return: whether it may.
 */
bool kdn_node_served(struct kernfs_node *kn)
{
	return kdn_served & kdn_node_whose(kn);
}

/**
 * kdn_node_pass - pass once through the lock of a node's hierarchy
 * @kn: the node, which is being removed, with a reference
 *
 * What somebody holds kernfs's lock for is over on return, or has let go of it
 * to wait for the users of a node.
 *
 * Context: process, may sleep.
 */
void kdn_node_pass(struct kernfs_node *kn)
{
	/* Only sysfs has directories where a lookup must name a namespace. */
	struct kernfs_node *dir = kdn_node_whose(kn) == KDN_SYSFS ?
				  kernel_kobj->sd : kdn_parent(kn);

	/* A lookup takes the lock for reading; there is no such name. */
	kernfs_put(kernfs_find_and_get(dir, ""));
}

/**
 * kdn_super_root - the node at the root of a superblock's hierarchy
 * @sb: the superblock, a kernfs one, active
 *
 * Context: any.
 * Return: the node; it lives as long as the superblock.
 */
struct kernfs_node *kdn_super_root(struct super_block *sb)
{
	return d_inode(sb->s_root)->i_private;
}

/**
 * kdn_super_pass - pass once through the lock of a superblock's hierarchy
 * @sb: the superblock, a kernfs one, active
 *
 * Context: process, may sleep; see kdn_node_pass().
 */
void kdn_super_pass(struct super_block *sb)
{
	kernfs_put(kernfs_find_and_get(kdn_super_root(sb), ""));
}

/*
 * The inode, without a reference; the caller is in an RCU read section.  Each
 * hierarchy numbers its nodes by itself.  An inode that is just being set up,
 * for a file handle, does not have its node yet and is left to the next look.
 */
static struct inode *kdn_super_find(struct super_block *sb,
				    struct kernfs_node *kn)
{
	struct inode *inode;

	if (kdn_parent(kn)->dir.root != kdn_super_root(sb)->dir.root)
		return NULL;
	inode = find_inode_by_ino_rcu(sb, kernfs_ino(kn));
	return inode && READ_ONCE(inode->i_private) == kn ? inode : NULL;
}

static enum kdn_look kdn_super_look(struct super_block *sb,
				    struct kernfs_node *kn, bool first)
{
	enum kdn_look look = KDN_NO_INODE;
	struct inode *inode;

	rcu_read_lock();
	inode = kdn_super_find(sb, kn);
	if (inode)
		look = kdn_inode_watched(inode) ||
		       (first && kdn_sb_marked(sb)) ?
		       KDN_WATCHED : KDN_UNWATCHED;
	rcu_read_unlock();
	return look;
}

/**
 * kdn_supers_look - does anybody watch a removed node on any superblock?
 * @supers: the superblocks
 * @kn: the node, out, on which the caller holds a reference
 * @first: the node was not looked for before
 * @inodes: gets the count of the node's inodes
 *
 * A mark on the whole superblock watches each of its inodes, but leaves no
 * trace of having been told: it counts on the first look only.
 *
 * Context: any.
 * Return: see &enum kdn_look; the most of what the superblocks have.
 */
enum kdn_look kdn_supers_look(const struct kdn_supers *supers,
			      struct kernfs_node *kn, bool first, int *inodes)
{
	enum kdn_look most = KDN_NO_INODE;
	unsigned int i;

	*inodes = 0;
	for (i = 0; i < supers->nr; i++) {
		enum kdn_look look = kdn_super_look(supers->sb[i], kn, first);

		*inodes += look != KDN_NO_INODE;
		most = max(most, look);
	}
	return most;
}

/**
 * kdn_super_inode - the inode of a removed node on a superblock
 * @sb: the superblock, a kernfs one, active
 * @kn: the node, out, on which the caller holds a reference; so its inode
 *      number is not used again
 *
 * Context: any.
 * Return: the inode with a reference, or NULL if there is none.
 */
struct inode *kdn_super_inode(struct super_block *sb, struct kernfs_node *kn)
{
	struct inode *inode;

	rcu_read_lock();
	inode = kdn_super_find(sb, kn);
	if (inode)
		inode = igrab(inode);
	rcu_read_unlock();
	return inode;
}

/**
 * kdn_supers_in_hand - could somebody place a watch on a removed node?
 * @supers: the superblocks
 * @kn: the node, out, on which the caller holds a reference
 *
 * A dentry that is only cached leads nobody to the inode any more.  One that is
 * in use does: by an open file, or by a path lookup that is not over.
 *
 * Context: process, may sleep.
 * Return: whether there is a dentry in use, or more than one, or another
 * reference on an inode.
 */
bool kdn_supers_in_hand(const struct kdn_supers *supers,
			struct kernfs_node *kn)
{
	bool in_hand = false;
	unsigned int i;

	for (i = 0; i < supers->nr && !in_hand; i++) {
		struct inode *inode = kdn_super_inode(supers->sb[i], kn);
		struct dentry *alias;

		if (!inode)
			continue;
		alias = d_find_any_alias(inode);
		in_hand = atomic_read(&inode->i_count) > 1 + !!alias ||
			  (alias && d_count(alias) > 1);
		dput(alias);
		iput(inode);
	}
	return in_hand;
}

/* For iterate_supers_type(), which holds the superblock's s_umount. */
static void kdn_super_add(struct super_block *sb, void *arg)
{
	struct kdn_supers *supers = arg;

	supers->cut = READ_ONCE(sb->s_instances.next);
	if (sb->s_op != kdn_selftest_ops() || !kdn_sb_watched(sb))
		return;
	/* Without room they are only counted: see kdn_supers_get(). */
	if (supers->nr >= supers->room) {
		supers->nr++;
		return;
	}
	/*
	 * It has a root and can't lose it now, so it is active, and stays so:
	 * an unmount meanwhile is completed by kdn_supers_put().
	 */
	if (atomic_inc_not_zero(&sb->s_active))
		supers->sb[supers->nr++] = sb;
}

static enum kdn_whose kdn_type_whose(const struct file_system_type *type)
{
	return strcmp(type->name, "sysfs") ? KDN_OTHERS : KDN_SYSFS;
}

/**
 * kdn_supers_get - the superblocks of kernfs users that somebody watches
 * @supers: gets them; all zero the first time
 * @whose: of &enum kdn_whose, those to look at: it takes a while for each
 *
 * No lock of a superblock is held after this, only a reference that keeps it
 * active: events are not sent under a lock that their allocation could need.
 *
 * iterate_supers_type() waits at a superblock that is being unmounted, and if
 * that is off the list then, it goes no further.  So what it came to last must
 * have been the end of the list.
 *
 * Context: process, may sleep, also until a mount or unmount is over.
 * Return: 0; -ENOMEM; or -EAGAIN if too many were unmounted meanwhile.  After an
 * error there is nothing to put.
 */
int kdn_supers_get(struct kdn_supers *supers, unsigned int whose)
{
	unsigned int tries = KDN_TRIES_MAX, i, nr;

	while (tries--) {
		supers->nr = 0;
		supers->cut = false;
		for (i = 0; i < kdn_nr_types && !supers->cut; i++) {
			if (!(whose & kdn_type_whose(kdn_types[i])))
				continue;
			supers->cut = !hlist_empty(&kdn_types[i]->fs_supers);
			iterate_supers_type(kdn_types[i], kdn_super_add,
					    supers);
		}
		nr = supers->nr;
		if (nr <= supers->room && !supers->cut)
			return 0;

		supers->nr = min(nr, supers->room);
		kdn_supers_put(supers);
		if (nr <= supers->room)
			continue;
		/* Make room for some more than there were, and start over. */
		kdn_supers_free(supers);
		nr = roundup_pow_of_two(nr + 1);
		supers->sb = kcalloc(nr, sizeof(*supers->sb), GFP_KERNEL);
		if (!supers->sb)
			return -ENOMEM;
		supers->room = nr;
	}
	return -EAGAIN;
}

/**
 * kdn_supers_put_last - give back the last one of what kdn_supers_get() took
 * @supers: the superblocks
 *
 * Context: process, may sleep: if it was unmounted meanwhile, it goes away here.
 */
void kdn_supers_put_last(struct kdn_supers *supers)
{
	deactivate_super(supers->sb[--supers->nr]);
}

/**
 * kdn_supers_put - give back what kdn_supers_get() took
 * @supers: the superblocks; none afterwards
 *
 * Context: process, may sleep: what was unmounted meanwhile goes away here.
 */
void kdn_supers_put(struct kdn_supers *supers)
{
	while (supers->nr)
		kdn_supers_put_last(supers);
}

/**
 * kdn_supers_free - free the room for superblocks
 * @supers: none are in it
 *
 * Context: process.
 */
void kdn_supers_free(struct kdn_supers *supers)
{
	kfree(supers->sb);
	*supers = (struct kdn_supers) { };
}

static bool kdn_type_known(const struct file_system_type *type)
{
	unsigned int i;

	for (i = 0; i < kdn_nr_types; i++)
		if (kdn_types[i] == type)
			return true;
	return false;
}

/**
 * kdn_super_init - find the filesystem types to serve
 *
 * A type that this kernel does not have is refused if the user named it and
 * passed over if it is one of the default list.
 *
 * Context: process, may sleep.
 * Return: 0; -EINVAL for bad filesystems=, with a line in the log; -ENOMEM.
 */
int kdn_super_init(void)
{
	bool named = strcmp(filesystems, KDN_TYPES);
	char *names, *pos, *name;
	int err = 0;

	names = kstrdup(filesystems, GFP_KERNEL);
	if (!names)
		return -ENOMEM;
	for (pos = names; (name = strsep(&pos, ",")) && !err;) {
		struct file_system_type *type;

		if (kdn_nr_types == KDN_TYPES_MAX) {
			pr_err("filesystems=%s is refused: it takes %u names at most\n",
			       filesystems, KDN_TYPES_MAX);
			err = -EINVAL;
			break;
		}
		type = get_fs_type(name);
		if (type && !kdn_type_known(type)) {
			kdn_types[kdn_nr_types++] = type;
			kdn_served |= kdn_type_whose(type);
		} else if (type) {
			module_put(type->owner);
		} else if (named) {
			pr_err("filesystems=%s is refused: this kernel has no '%s'; it takes names from /proc/filesystems\n",
			       filesystems, name);
			err = -EINVAL;
		}
	}
	kfree(names);
	if (err)
		kdn_super_exit();
	return err;
}

/**
 * kdn_super_exit - give the filesystem types back
 *
 * Context: process.
 */
void kdn_super_exit(void)
{
	while (kdn_nr_types)
		module_put(kdn_types[--kdn_nr_types]->owner);
}
