// SPDX-License-Identifier: GPL-2.0-only
/* v5.8, "vfs, afs, ext4: Make the inode hash table RCU searchable" */
#include <linux/fs.h>

struct inode *kdn_probe(struct super_block *sb);
struct inode *kdn_probe(struct super_block *sb)
{
	return find_inode_by_ino_rcu(sb, 1);
}
