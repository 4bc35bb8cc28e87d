// SPDX-License-Identifier: GPL-2.0-only
/* No kernel: this does not compile, or no other probe's "yes" means anything. */
#include <linux/kernfs.h>

int kdn_probe(struct kernfs_node *kn);
int kdn_probe(struct kernfs_node *kn)
{
	return kn->no_kernel_has_such_a_field;
}
