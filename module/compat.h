/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * compat.h - older kernels under the names of the newest
 *
 * The only reader of HAVE_*: each is the answer of the file of that name in
 * probes/, which tells what made the difference and since when.
 */
#ifndef KDN_COMPAT_H
#define KDN_COMPAT_H

#include <linux/fs.h>
#include <linux/fsnotify.h>
#include <linux/kernfs.h>
#include <linux/mount.h>

#include "config.h"

/*
 * The parent of a node that can't be moved meanwhile: the caller keeps kernfs
 * from it, or has seen the node deactivated and holds a reference on it.
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

#ifdef HAVE_FSNOTIFY_SB_INFO
static inline bool kdn_sb_marked(struct super_block *sb)
{
	struct fsnotify_sb_info *info = fsnotify_sb_info(sb);

	return info && rcu_access_pointer(info->sb_marks);
}
#else
static inline bool kdn_sb_marked(struct super_block *sb)
{
	return rcu_access_pointer(sb->s_fsnotify_marks);
}

static inline bool fsnotify_sb_has_watchers(struct super_block *sb)
{
	return atomic_long_read(&sb->s_fsnotify_connectors);
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

#endif /* KDN_COMPAT_H */
