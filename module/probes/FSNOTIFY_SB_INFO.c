// SPDX-License-Identifier: GPL-2.0-only
/* v6.10, "fsnotify: lazy attach fsnotify_sb_info state to sb" and its series */
#include <linux/fsnotify.h>

bool kdn_probe(struct super_block *sb);
bool kdn_probe(struct super_block *sb)
{
	return fsnotify_sb_has_watchers(sb) &&
	       rcu_access_pointer(fsnotify_sb_info(sb)->sb_marks);
}
