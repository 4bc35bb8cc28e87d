/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * compat.h - older kernels under the names of the newest
 *
 * The only reader of HAVE_*: each is the answer of the file of that name in
 * probes/, which tells what made the difference and since when.
 */
#ifndef KDN_COMPAT_H
#define KDN_COMPAT_H

#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/fsnotify.h>
#include <linux/ftrace.h>
#include <linux/kernfs.h>
#include <linux/mount.h>
#include <linux/ptrace.h>

#include "config.h"

/*
 * The first argument of a function, when no instruction of its own has run yet.
 * s390 does not export what regs_get_kernel_argument() calls there, and kernels
 * before 4.20 have no such function.
 */
static inline void *kdn_first_argument(struct pt_regs *regs)
{
#if defined(CONFIG_S390)
	return (void *)regs->gprs[2];
#elif defined(CONFIG_ARM)
	return (void *)regs->ARM_r0;
#elif defined(CONFIG_HAVE_FUNCTION_ARG_ACCESS_API)
	return (void *)regs_get_kernel_argument(regs, 0);
#elif defined(CONFIG_X86_64)
	return (void *)regs->di;
#else
#error "kernfs_delete_notify: this architecture can't tell a kprobe a function's arguments"
#endif
}

/*
 * How long the call is that ftrace may put at the entry of a function.  A kernel
 * without kprobes by way of ftrace may refuse a probe there, not behind it.
 */
#ifdef MCOUNT_INSN_SIZE
#define KDN_FTRACE_CALL		MCOUNT_INSN_SIZE
#else
#define KDN_FTRACE_CALL		0
#endif

/*
 * The parent of a node that can't be moved meanwhile: the caller keeps kernfs
 * from it, or holds a reference on a node whose removal has begun.
 */
static inline struct kernfs_node *kdn_parent(const struct kernfs_node *kn)
{
#ifdef HAVE_KERNFS_RCU_PARENT
	return rcu_dereference_raw(kn->__parent);
#else
	return kn->parent;
#endif
}

/* The name of such a node; an RCU pointer since the parent is one. */
static inline const char *kdn_name(const struct kernfs_node *kn)
{
	return (__force const char *)READ_ONCE(kn->name);
}

/*
 * Has the removal of a linked node begun?  cgroup can hide files: those are
 * deactivated, too, for the time being.
 */
static inline bool kdn_removing(const struct kernfs_node *kn)
{
#ifdef HAVE_KERNFS_REMOVING
	return READ_ONCE(kn->flags) & KERNFS_REMOVING;
#else
	return atomic_read(&kn->active) < 0;
#endif
}

/* Was it unmounted?  Since 6.6 it may still be in its type's list then. */
static inline bool kdn_sb_dying(const struct super_block *sb)
{
#ifdef SB_DYING
	return READ_ONCE(sb->s_flags) & SB_DYING;
#else
	return false;
#endif
}

#ifdef HAVE_FSNOTIFY_SB_INFO
static inline bool kdn_sb_marked(struct super_block *sb)
{
	struct fsnotify_sb_info *info = fsnotify_sb_info(sb);

	return info && rcu_access_pointer(info->sb_marks);
}

static inline bool kdn_sb_watched(struct super_block *sb)
{
	return fsnotify_sb_has_watchers(sb);
}
#else
static inline bool kdn_sb_marked(struct super_block *sb)
{
	return rcu_access_pointer(sb->s_fsnotify_marks);
}

/* Without a count of its watchers, each superblock may have some. */
static inline bool kdn_sb_watched(struct super_block *sb)
{
#ifdef HAVE_FSNOTIFY_CONNECTORS
	return atomic_long_read(&sb->s_fsnotify_connectors);
#else
	return true;
#endif
}
#endif

/* The child after @prev, or the first one, or NULL; under the d_lock of @dir. */
#ifdef HAVE_DENTRY_D_CHILDREN
static inline struct dentry *kdn_child(struct dentry *dir, struct dentry *prev)
{
	return prev ? d_next_sibling(prev) : d_first_child(dir);
}
#else
static inline struct dentry *kdn_child(struct dentry *dir, struct dentry *prev)
{
	struct list_head *node = prev ? prev->d_child.next :
					dir->d_subdirs.next;

	return node == &dir->d_subdirs ? NULL :
	       list_entry(node, struct dentry, d_child);
}
#endif

#ifndef HAVE_FILE_OPEN_ROOT_MNT
static inline struct file *file_open_root_mnt(struct vfsmount *mnt,
					      const char *name, int flags,
					      umode_t mode)
{
	return file_open_root(mnt->mnt_root, mnt, name, flags, mode);
}
#endif

#ifndef HAVE_FIND_INODE_BY_INO_RCU
static inline int kdn_inode_matches(struct inode *inode, unsigned long ino,
				    void *data)
{
	return inode->i_ino == ino &&
	       !(READ_ONCE(inode->i_state) & (I_FREEING | I_WILL_FREE));
}

/* RCU keeps the inode here, too; only the hash table wants its lock. */
static inline struct inode *find_inode_by_ino_rcu(struct super_block *sb,
						  unsigned long ino)
{
	return find_inode_nowait(sb, ino, kdn_inode_matches, NULL);
}
#endif

#ifndef HAVE_FSNOTIFY_INODE
static inline void fsnotify_inode(struct inode *inode, __u32 mask)
{
	if (S_ISDIR(inode->i_mode))
		mask |= FS_ISDIR;
	fsnotify(inode, mask, inode, FSNOTIFY_EVENT_INODE, NULL, 0);
}
#endif

#endif /* KDN_COMPAT_H */
