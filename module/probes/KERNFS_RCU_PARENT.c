// SPDX-License-Identifier: GPL-2.0-only
/* v6.15, "kernfs: Use RCU to access kernfs_node::parent.": parent became __parent */
#include <linux/kernfs.h>

struct kernfs_node *kdn_probe(struct kernfs_node *kn);
struct kernfs_node *kdn_probe(struct kernfs_node *kn)
{
	return rcu_access_pointer(kn->__parent);
}
