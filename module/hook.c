// SPDX-License-Identifier: GPL-2.0-only
/*
 * hook.c - which symbol, and the kprobe on it
 *
 * GCC usually splits __kernfs_remove() into its early return, which is inlined
 * into the callers, and the rest, which gets a name of its own; the first
 * argument of both is the node.  Other variants may have lost it.  So each
 * name is only a candidate until selftest has seen it report a node of ours.
 */
#include <linux/kernel.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/percpu.h>

#include "internal.h"

static char *symbol = "";
module_param(symbol, charp, 0444);
MODULE_PARM_DESC(symbol, "Function to probe instead of the one found by itself; it is proved all the same");

/* In order of preference: where a part exists, callers enter it directly. */
static const char * const kdn_symbols[] = {
	"__kernfs_remove.part.0",
	"__kernfs_remove.part.1",
	"__kernfs_remove.part.2",
	"__kernfs_remove",
	"__kernfs_remove.isra.0",
	"__kernfs_remove.constprop.0",
	"__kernfs_remove.part.0.isra.0",
	"__kernfs_remove.part.0.constprop.0",
	"__kernfs_remove.isra.0.part.0",
	"__kernfs_remove.constprop.0.part.0",
};

/* The probe is proved and all that its handler needs is set up: it is no trial. */
static bool kdn_armed;

/*
 * Context: see kdn_capture(); until the probe is armed, the entry of whatever
 * function is on trial.  This runs at the beginning of each removal, so for each
 * file of a cgroup.  Most files have no inode, so nobody watches them: look for
 * that first, see kdn_capture().
 *
 * A node without a parent is the root of a hierarchy without superblocks; one
 * that is not linked was removed before.
 */
static int kdn_hook_hit(struct kprobe *p, struct pt_regs *regs)
{
	struct kernfs_node *kn = kdn_first_argument(regs);

	/* Pairs with the release in kdn_hook_arm(). */
	if (unlikely(!smp_load_acquire(&kdn_armed))) {
		kdn_selftest_hit(kn);
		return 0;
	}
	this_cpu_inc(kdn_captured.removals);
	if (!kn)
		return 0;
	if (kernfs_type(kn) != KERNFS_DIR && atomic_read(&kn->count) <= kdn_kernel.file_refs)
		return 0;
	if (kdn_parent(kn) && !RB_EMPTY_NODE(&kn->rb))
		kdn_capture(kn);
	return 0;
}
NOKPROBE_SYMBOL(kdn_hook_hit);

static struct kprobe kdn_kprobe;

/* The probe was seen to fire when that was last tried. */
static bool kdn_firing = true;

static int kdn_hook_register(const char *name, unsigned int offset)
{
	kdn_kprobe = (struct kprobe) {
		.symbol_name = name,
		.offset = offset,
		.pre_handler = kdn_hook_hit,
	};
	return register_kprobe(&kdn_kprobe);
}

/*
 * Probe a function, and leave the probe there if it is the one.
 *
 * Where kprobes do not use ftrace, as on riscv, the kernel refuses a probe at the
 * entry, where ftrace may put its call.  Just behind that call, all arguments are
 * still in place.
 */
static int kdn_hook_probe(const char *name)
{
	unsigned int behind = KDN_FTRACE_CALL;
	int err = kdn_hook_register(name, 0);

	if (err == -EINVAL && behind && !kdn_hook_register(name, behind)) {
		pr_info("this kernel takes no probe at the entry of %s: probing it %u bytes behind\n",
			name, behind);
		err = 0;
	}
	if (err == -ENOENT || err == -ENOMEM)
		return err;
	if (err) {
		pr_err("this kernel refuses a probe on %s: error %d\n", name, err);
		return err;
	}
	err = kdn_selftest(name);
	if (err)
		unregister_kprobe(&kdn_kprobe);
	return err;
}

/**
 * kdn_hook_find - find the function to probe, probe it, and prove it
 *
 * The probe that was proved is the one that stays: it only watches the selftest
 * until kdn_hook_arm().
 *
 * Context: process, may sleep.
 * Return: 0; -ENOENT if there is no such function, -ENXIO if none passed the
 * proof, or another error of the registration or the selftest: these with a
 * line in the log; -ENOMEM.
 */
int kdn_hook_find(void)
{
	unsigned int i;
	int err, worst = -ENOENT;

	if (*symbol) {
		err = kdn_hook_probe(symbol);
		if (err == -ENOENT)
			pr_err("symbol=%s is refused: this kernel has no function of that name to probe\n",
			       symbol);
		return err;
	}
	for (i = 0; i < ARRAY_SIZE(kdn_symbols); i++) {
		err = kdn_hook_probe(kdn_symbols[i]);
		/* An error that is not about this name alone ends the search. */
		if (err != -ENOENT && err != -EINVAL && err != -ENXIO)
			return err;
		if (err != -ENOENT)
			worst = err;
	}
	if (worst == -ENOENT)
		pr_err("this kernel has no __kernfs_remove to probe, under none of the names that compilers give it; if 'grep __kernfs_remove /proc/kallsyms' shows another, try symbol=\n");
	return worst;
}

/**
 * kdn_hook_arm - see removals from now on
 *
 * Context: any, after kdn_hook_find(); all that the handler needs is set up.
 */
void kdn_hook_arm(void)
{
	/* What is set up.  Pairs with the acquire in kdn_hook_hit(). */
	smp_store_release(&kdn_armed, true);
}

/**
 * kdn_hook_disarm - see no more removals
 *
 * Context: process, may sleep; after kdn_hook_find().  On return no handler runs
 * on any CPU.
 */
void kdn_hook_disarm(void)
{
	unregister_kprobe(&kdn_kprobe);
}

/**
 * kdn_hook_symbol - the function that is probed
 *
 * Context: any, after kdn_hook_find().
 * Return: its name.
 */
const char *kdn_hook_symbol(void)
{
	return kdn_kprobe.symbol_name;
}

/**
 * kdn_hook_try - see whether the probe still fires
 *
 * The probe may be in place and never be hit: if all probes are switched off,
 * this one's owner is not told.
 *
 * Context: the worker; may sleep.
 */
void kdn_hook_try(void)
{
	unsigned long before = kdn_capture_sum().removals + kdn_hook_missed();
	bool firing;

	/* Without memory for a file to remove, try again the next time. */
	if (kdn_selftest_remove())
		return;
	/* Any other removal proves it just as well. */
	firing = kdn_capture_sum().removals + kdn_hook_missed() != before;
	/* If the module is being unloaded, that is why it did not fire. */
	if (!data_race(module_is_live(THIS_MODULE)))
		return;
	if (!firing && kdn_firing)
		pr_warn("kprobes are switched off: removals are no longer seen at once, watchers hear at the next resync; try 1 in debugfs, kprobes/enabled, and sysctl kernel.ftrace_enabled=1\n");
	if (firing && !kdn_firing)
		pr_info("removals are seen again\n");
	WRITE_ONCE(kdn_firing, firing);
}

/**
 * kdn_hook_armed - are removals seen?
 *
 * Context: any.
 * Return: whether the probe is armed and not disabled, and fired when that was
 * last tried.
 */
bool kdn_hook_armed(void)
{
	return READ_ONCE(kdn_armed) && !kprobe_disabled(&kdn_kprobe) &&
	       READ_ONCE(kdn_firing);
}

/**
 * kdn_hook_missed - removals that went by while the probe could not fire
 *
 * Context: any.
 * Return: the count that kprobes keeps.
 */
unsigned long kdn_hook_missed(void)
{
	return READ_ONCE(kdn_kprobe.nmissed);
}
