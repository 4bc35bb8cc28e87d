// SPDX-License-Identifier: GPL-2.0-only
/* Any kernel: this compiles, or no other probe's "no" means anything. */
#include <linux/kernfs.h>

int kdn_probe(struct kernfs_node *kn);
int kdn_probe(struct kernfs_node *kn)
{
	return atomic_read(&kn->count);
}
