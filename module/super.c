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
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"

#define KDN_TYPES_MAX	8

/* How often to list the superblocks of a type, if some of them go meanwhile. */
#define KDN_TRIES_MAX	8

#define KDN_TYPES	"sysfs,cgroup2,cgroup,resctrl"

static char *filesystems = KDN_TYPES;
module_param(filesystems, charp, 0444);
MODULE_PARM_DESC(filesystems, "Kernfs users to serve, with commas between (default " KDN_TYPES ")");

/* The filesystem types to serve */
static struct {
	struct file_system_type *type[KDN_TYPES_MAX];
	unsigned int nr;
} kdn_served;

struct kdn_supers kdn_supers;

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

/* What all nodes of a hierarchy share; a root has no parent. */
static struct kernfs_root *kdn_root(struct kernfs_node *kn)
{
	return (kdn_parent(kn) ?: kn)->dir.root;
}

/**
 * kdn_node_whose - whose superblocks may have a node's inodes?
 * @kn: the node, removed or a root, with a reference
 *
 * The hierarchy of sysfs is there for ever, so its root is the same whenever it
 * is asked for.  Others come and go, and an address may be used again.
 *
 * Context: any.
 * Return: one of &enum kdn_whose.
 */
enum kdn_whose kdn_node_whose(struct kernfs_node *kn)
{
	return kdn_root(kn) == kdn_root(kernel_kobj->sd) ? KDN_SYSFS :
							   KDN_OTHERS;
}

/**
 * kdn_node_pass - wait until kernfs's lock is let go of
 * @kn: the node, removed or a root, with a reference
 *
 * On return, whoever held the lock of the node's hierarchy at the call is done
 * with its removal, or has let go of the lock to wait for the users of a node.
 * The lock itself is private to kernfs.  A lookup takes it for reading, and of
 * what is exported nothing does less.
 *
 * Context: process, may sleep.
 */
void kdn_node_pass(struct kernfs_node *kn)
{
	/* Only sysfs has directories where a lookup must name a namespace. */
	struct kernfs_node *dir = kdn_node_whose(kn) == KDN_SYSFS ?
				  kernel_kobj->sd : kdn_parent(kn) ?: kn;

	/* There is no such name. */
	kernfs_put(kernfs_find_and_get(dir, ""));
}

/* Is a node of the hierarchy that a superblock shows? */
static bool kdn_super_shows(struct super_block *sb, struct kernfs_node *kn)
{
	return kdn_root(kn) == kdn_root(kdn_super_root(sb));
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

	if (!kdn_super_shows(sb, kn))
		return NULL;
	inode = find_inode_by_ino_rcu(sb, kernfs_ino(kn));
	return inode && READ_ONCE(inode->i_private) == kn ? inode : NULL;
}

/**
 * kdn_super_wants - is a superblock to be told of a removed node without an inode?
 * @sb: the superblock, a kernfs one, active
 * @kn: the node, removed, with a reference
 *
 * A mark on a superblock does not keep inodes.  That of a removed cgroup's file,
 * which was in use a moment ago, is mostly gone when the worker comes.  (With
 * native support, the VFS has told these marks when the inode goes.  In sysfs a
 * removal leaves the inodes alone, and a superblock must not hear of nodes of other
 * network namespaces.)
 *
 * Context: any.
 * Return: whether it has marks of its own, and the node is of its hierarchy.
 */
bool kdn_super_wants(struct super_block *sb, struct kernfs_node *kn)
{
	return !kdn_kernel.native && kdn_sb_marked(sb) &&
	       kdn_node_whose(kn) == KDN_OTHERS && kdn_super_shows(sb, kn);
}

/**
 * kdn_supers_look - does anybody watch a removed node on any superblock?
 * @kn: the node, removed, on which the caller holds a reference
 * @first: marks on superblocks were not told of the node before
 * @inodes: gets the count of the node's inodes
 *
 * A mark on the whole superblock watches all that is on it, but leaves no trace
 * of having been told.
 *
 * Context: any.
 * Return: whether somebody does.
 */
bool kdn_supers_look(struct kernfs_node *kn, bool first, int *inodes)
{
	bool watched = false;
	unsigned int i;

	*inodes = 0;
	for (i = 0; i < kdn_supers.nr; i++) {
		struct super_block *sb = kdn_supers.sb[i];
		struct inode *inode;

		rcu_read_lock();
		inode = kdn_super_find(sb, kn);
		if (inode) {
			watched |= kdn_inode_watched(inode) ||
				   (first && kdn_sb_marked(sb));
			++*inodes;
		}
		rcu_read_unlock();
		watched |= first && kdn_super_wants(sb, kn);
	}
	return watched;
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
 * kdn_super_stand_in - an inode to tell a superblock's marks of a removed node
 * @sb: the superblock, a kernfs one, active
 * @kn: the node, out, on which the caller holds a reference
 *
 * fsnotify and fanotify take number, generation, type and node from it.  It is not
 * hashed, so no lookup finds it.  It goes with the caller's reference.
 *
 * Context: process, may sleep.
 * Return: the inode with a reference, or NULL without memory.
 */
struct inode *kdn_super_stand_in(struct super_block *sb, struct kernfs_node *kn)
{
	struct inode *inode = new_inode(sb);

	if (!inode)
		return NULL;
	inode->i_ino = kernfs_ino(kn);
	inode->i_generation = kernfs_gen(kn);
	inode->i_mode = kn->mode;
	/* kernfs lets go of it with the inode. */
	kernfs_get(kn);
	inode->i_private = kn;
	return inode;
}

/**
 * kdn_supers_in_use - could a program still place a watch on a removed node?
 * @kn: the node, out, on which the caller holds a reference
 *
 * A dentry that is only cached leads no program to the inode any more.  One that
 * is in use does: an open file uses it, or a path lookup that is not over.
 *
 * Context: process, may sleep.
 * Return: whether there is a dentry in use, or more than one, or another
 * reference on an inode.
 */
bool kdn_supers_in_use(struct kernfs_node *kn)
{
	bool in_use = false;
	unsigned int i;

	for (i = 0; i < kdn_supers.nr && !in_use; i++) {
		struct inode *inode = kdn_super_inode(kdn_supers.sb[i], kn);
		struct dentry *alias;

		if (!inode)
			continue;
		alias = d_find_any_alias(inode);
		in_use = atomic_read(&inode->i_count) > 1 + !!alias ||
			 (alias && d_count(alias) > 1);
		kdn_alias_put(alias);
		iput(inode);
	}
	return in_use;
}

static bool kdn_supers_room(void)
{
	unsigned int room = max(2 * kdn_supers.room, 8U);
	struct super_block **sb;

	if (kdn_supers.nr < kdn_supers.room)
		return true;
	sb = krealloc(kdn_supers.sb, room * sizeof(*sb), GFP_KERNEL);
	if (!sb)
		return false;
	kdn_supers.sb = sb;
	kdn_supers.room = room;
	return true;
}

/*
 * Is a superblock behind @link in the list of its type?  Dying ones don't count: they
 * may stay there for as long as somebody has a reference.  RCU keeps one that leaves
 * the list just now; then the walk that we are part of goes on to what is behind it.
 */
static bool kdn_supers_behind(struct hlist_node * const *link)
{
	struct hlist_node *node;

	rcu_read_lock();
	for (node = READ_ONCE(*link); node; node = READ_ONCE(node->next))
		if (!kdn_sb_dying(hlist_entry(node, struct super_block,
					      s_instances)))
			break;
	rcu_read_unlock();
	return node;
}

/* For iterate_supers_type(), which holds the superblock's s_umount. */
static void kdn_super_add(struct super_block *sb, void *arg)
{
	int *err = arg;

	if (*err == -ENOMEM)
		return;
	*err = kdn_supers_behind(&sb->s_instances.next) ? -EAGAIN : 0;
	if (sb->s_op != kdn_kernel.ops || !kdn_sb_watched(sb))
		return;
	/*
	 * It has a root and can't lose it now, so it is active, and stays so:
	 * an unmount meanwhile is completed by kdn_supers_put().
	 */
	if (!kdn_supers_room())
		*err = -ENOMEM;
	else if (atomic_inc_not_zero(&sb->s_active))
		kdn_supers.sb[kdn_supers.nr++] = sb;
}

static void kdn_supers_put_from(unsigned int nr)
{
	while (kdn_supers.nr > nr)
		deactivate_super(kdn_supers.sb[--kdn_supers.nr]);
}

/*
 * iterate_supers_type() waits at a superblock that is being unmounted.  If that is
 * off the list afterwards, it stops there, and misses those behind.  So the list is
 * complete only if the superblock that it came to last was the end of the list.
 */
static int kdn_supers_get_type(struct file_system_type *type)
{
	unsigned int tries = KDN_TRIES_MAX, nr = kdn_supers.nr;
	int err;

	do {
		err = kdn_supers_behind(&type->fs_supers.first) ? -EAGAIN : 0;
		iterate_supers_type(type, kdn_super_add, &err);
		if (err)
			kdn_supers_put_from(nr);
	} while (err == -EAGAIN && --tries);
	return err;
}

static enum kdn_whose kdn_type_whose(const struct file_system_type *type)
{
	return strcmp(type->name, "sysfs") ? KDN_OTHERS : KDN_SYSFS;
}

/**
 * kdn_supers_get - have the superblocks that somebody watches in kdn_supers
 * @whose: a set of &enum kdn_whose: only those are looked at, it takes a while
 *         for each
 *
 * What is in the list already is not looked at again before kdn_supers_put().
 *
 * No lock of a superblock is held after this, only a reference that keeps it
 * active: events are not sent under a lock that their allocation could need.
 *
 * Context: the worker; may sleep, also until a mount or unmount is over.
 * Return: 0; -ENOMEM; or -EAGAIN if too many were unmounted meanwhile.
 */
int kdn_supers_get(unsigned int whose)
{
	unsigned int missing = whose & ~kdn_supers.whose, i;

	for (i = 0; i < kdn_served.nr && missing; i++) {
		enum kdn_whose of_type = kdn_type_whose(kdn_served.type[i]);
		unsigned int nr = kdn_supers.nr;
		int err;

		if (!(missing & of_type))
			continue;
		err = kdn_supers_get_type(kdn_served.type[i]);
		if (err) {
			kdn_supers_put();
			return err;
		}
		if (kdn_supers.nr > nr)
			WRITE_ONCE(kdn_supers.watched[of_type], jiffies);
	}
	kdn_supers.whose |= missing;
	return 0;
}

/**
 * kdn_supers_put - let go of the superblocks in kdn_supers
 *
 * Context: the worker; may sleep: what was unmounted meanwhile goes away here.
 */
void kdn_supers_put(void)
{
	kdn_supers_put_from(0);
	kdn_supers.whose = 0;
}

static bool kdn_type_known(const struct file_system_type *type)
{
	unsigned int i;

	for (i = 0; i < kdn_served.nr; i++)
		if (kdn_served.type[i] == type)
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
 * Return: 0; -EINVAL for bad filesystems=, with a line in the log; -ENOMEM.  After
 * an error kdn_super_exit() is still to be called.
 */
int kdn_super_init(void)
{
	unsigned long never = jiffies - KDN_WATCHED_LATELY;
	bool named = strcmp(filesystems, KDN_TYPES);
	char *names, *pos, *name;
	int err = 0;

	kdn_supers.watched[KDN_SYSFS] = never;
	kdn_supers.watched[KDN_OTHERS] = never;
	names = kstrdup(filesystems, GFP_KERNEL);
	if (!names)
		return -ENOMEM;
	for (pos = names; (name = strsep(&pos, ",")) && !err;) {
		struct file_system_type *type;

		if (kdn_served.nr == KDN_TYPES_MAX) {
			pr_err("filesystems=%s is refused: it takes %u names at most\n",
			       filesystems, KDN_TYPES_MAX);
			err = -EINVAL;
			break;
		}
		type = get_fs_type(name);
		if (type && !kdn_type_known(type)) {
			kdn_served.type[kdn_served.nr++] = type;
		} else if (type) {
			module_put(type->owner);
		} else if (named) {
			pr_err("filesystems=%s is refused: this kernel has no '%s'; it takes names from /proc/filesystems\n",
			       filesystems, name);
			err = -EINVAL;
		}
	}
	kfree(names);
	return err;
}

/**
 * kdn_super_exit - give the filesystem types back
 *
 * Context: process; the worker is off.
 */
void kdn_super_exit(void)
{
	kfree(kdn_supers.sb);
	while (kdn_served.nr)
		module_put(kdn_served.type[--kdn_served.nr]->owner);
}
