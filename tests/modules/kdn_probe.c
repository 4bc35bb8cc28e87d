// SPDX-License-Identifier: GPL-2.0-only
/*
 * For the tests only: probes beside the one of kernfs_delete_notify, by files
 * in /sys/kernel/kdn_probe/:
 *
 *	begin	written to, after the module under test was loaded: measure its
 *		handler. Probes on the same function run one after the other,
 *		the newest first: one of ours comes before the module's, another
 *		one, which was there before it, after
 *	longest	the nanoseconds that it took at most since this was last read
 *	miss	written to: remove the file 'victim' in the handler of a probe,
 *		where other probes don't run but are counted as missed
 */
#include <linux/kobject.h>
#include <linux/kprobes.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/percpu.h>
#include <linux/sysfs.h>

#include "kdn_entry.h"

static char *symbol = "";
module_param(symbol, charp, 0444);
MODULE_PARM_DESC(symbol, "The function that the module under test probes");

static struct kobject *control;

/* The handler's time */

static DEFINE_PER_CPU(u64, began_ns);
static unsigned long longest_ns;

static int before_hit(struct kprobe *p, struct pt_regs *regs)
{
	this_cpu_write(began_ns, ktime_get_mono_fast_ns());
	return 0;
}
NOKPROBE_SYMBOL(before_hit);

static int after_hit(struct kprobe *p, struct pt_regs *regs)
{
	u64 began = this_cpu_read(began_ns);
	unsigned long took = ktime_get_mono_fast_ns() - began;

	/* Removals of one hierarchy come one at a time. */
	if (began && took > READ_ONCE(longest_ns))
		WRITE_ONCE(longest_ns, took);
	return 0;
}
NOKPROBE_SYMBOL(after_hit);

static struct kprobe before = { .pre_handler = before_hit };
static struct kprobe after = { .pre_handler = after_hit };

static ssize_t begin_store(struct kobject *kobj, struct kobj_attribute *attr,
			   const char *buf, size_t count)
{
	int err;

	if (before.addr)
		return -EEXIST;
	before.symbol_name = symbol;
	err = kdn_probe_entry(&before);
	if (err)
		before.addr = NULL;
	return err ?: count;
}

static ssize_t longest_show(struct kobject *kobj, struct kobj_attribute *attr,
			    char *buf)
{
	return sysfs_emit(buf, "%lu\n", xchg(&longest_ns, 0));
}

/* A removal that no probe sees */

static struct kobj_attribute victim_attr = {
	.attr = { .name = "victim", .mode = 0400 },
};

static noinline void miss_canary(void)
{
	/* Not so empty that the call could be left out. */
	barrier();
}

/*
 * A removal may sleep, and this may not. Nobody else uses sysfs while the test
 * runs, so it does not wait; but some kernels complain that it might, and others
 * let another task run: the test must stay on its CPU.
 */
static int miss_hit(struct kprobe *p, struct pt_regs *regs)
{
	sysfs_remove_file(control, &victim_attr.attr);
	return 0;
}
NOKPROBE_SYMBOL(miss_hit);

static ssize_t miss_store(struct kobject *kobj, struct kobj_attribute *attr,
			  const char *buf, size_t count)
{
	struct kprobe kp = {
		.symbol_name = KBUILD_MODNAME ":miss_canary",
		.pre_handler = miss_hit,
	};
	int err;

	if (!IS_ENABLED(CONFIG_X86) || IS_ENABLED(CONFIG_PREEMPT_RT) ||
	    IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP))
		return -EOPNOTSUPP;
	err = register_kprobe(&kp);
	if (err)
		return err;
	miss_canary();
	unregister_kprobe(&kp);
	return count;
}

static struct kobj_attribute begin_attr = __ATTR_WO(begin);
static struct kobj_attribute longest_attr = __ATTR_RO(longest);
static struct kobj_attribute miss_attr = __ATTR_WO(miss);

static const struct attribute *control_attrs[] = {
	&begin_attr.attr,
	&longest_attr.attr,
	&victim_attr.attr,
	&miss_attr.attr,
	NULL
};

static int __init kdn_probe_init(void)
{
	int err = -ENOMEM;

	control = kobject_create_and_add("kdn_probe", kernel_kobj);
	if (!control)
		return err;
	err = sysfs_create_files(control, control_attrs);
	if (!err) {
		after.symbol_name = symbol;
		err = kdn_probe_entry(&after);
	}
	if (err)
		kobject_put(control);
	return err;
}

static void __exit kdn_probe_exit(void)
{
	sysfs_remove_files(control, control_attrs);
	if (before.addr)
		unregister_kprobe(&before);
	unregister_kprobe(&after);
	kobject_put(control);
}

module_init(kdn_probe_init);
module_exit(kdn_probe_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Probes beside that of kernfs_delete_notify");
