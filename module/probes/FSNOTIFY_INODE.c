// SPDX-License-Identifier: GPL-2.0-only
/* v5.9, "fsnotify: create helper fsnotify_inode()" */
#include <linux/fsnotify.h>

void kdn_probe(struct inode *inode);
void kdn_probe(struct inode *inode)
{
	fsnotify_inode(inode, FS_DELETE_SELF);
}
