// SPDX-License-Identifier: GPL-2.0-only
/* v5.15, "fsnotify: count all objects with attached connectors", and 5.10.220 */
#include <linux/fs.h>

long kdn_probe(struct super_block *sb);
long kdn_probe(struct super_block *sb)
{
	return atomic_long_read(&sb->s_fsnotify_connectors);
}
