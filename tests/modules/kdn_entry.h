/* SPDX-License-Identifier: GPL-2.0-only */
/* For the tests only: a probe where the module under test has its own */
#ifndef KDN_ENTRY_H
#define KDN_ENTRY_H

#include <linux/ftrace.h>
#include <linux/kprobes.h>

/* At a function's entry or, where that is refused, behind the call of ftrace. */
static inline int kdn_probe_entry(struct kprobe *probe)
{
	int err = register_kprobe(probe);

#ifdef MCOUNT_INSN_SIZE
	if (err == -EINVAL) {
		probe->addr = NULL;
		probe->offset = MCOUNT_INSN_SIZE;
		err = register_kprobe(probe);
	}
#endif
	return err;
}

#endif /* KDN_ENTRY_H */
