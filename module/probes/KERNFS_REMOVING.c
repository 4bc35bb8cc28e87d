// SPDX-License-Identifier: GPL-2.0-only
/* v6.1, "kernfs: Skip kernfs_drain_open_files() more aggressively" and its series */
#include <linux/kernfs.h>

bool kdn_probe(struct kernfs_node *kn);
bool kdn_probe(struct kernfs_node *kn)
{
	return kn->flags & KERNFS_REMOVING;
}
