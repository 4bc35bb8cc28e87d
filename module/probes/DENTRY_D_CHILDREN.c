// SPDX-License-Identifier: GPL-2.0-only
/* v6.8, "dentry: switch the lists of children to hlist": d_subdirs became d_children */
#include <linux/dcache.h>

bool kdn_probe(struct dentry *dentry);
bool kdn_probe(struct dentry *dentry)
{
	return d_next_sibling(d_first_child(dentry));
}
