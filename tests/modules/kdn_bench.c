// SPDX-License-Identifier: GPL-2.0-only
/*
 * kdn_bench.c - what the bench can't know from user space
 *
 * Files in /sys/kernel/kdn_bench/:
 *
 *	idle	how long all CPUs together have been idle, in nanoseconds; the
 *		kernel's own account comes in ticks, since 7.3
 *	first	1: place a probe on the function that the module probes; 0: take
 *		it away.  Placed after the module's, it is called before it
 *	last	the same; placed before the module's, it is called after it
 *	between	the nanoseconds between the two in the call that took longest,
 *		and forget it
 */
#include <linux/cpumask.h>
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/sysfs.h>
#include <linux/timekeeping.h>
#include <linux/tracepoint.h>
#include <trace/events/power.h>

#include "kdn_entry.h"

static struct kobject *control;

/* 0 for a CPU that is not idle. Written there only. */
static DEFINE_PER_CPU(u64, idle_since);
static DEFINE_PER_CPU(u64, idle_sum);

static void idle_end(void)
{
	u64 since = this_cpu_read(idle_since);

	if (!since)
		return;
	this_cpu_write(idle_since, 0);
	this_cpu_add(idle_sum, ktime_get_mono_fast_ns() - since);
}
NOKPROBE_SYMBOL(idle_end);

static void idle_change(void *data, unsigned int state, unsigned int cpu)
{
	if (state == (u32)PWR_EVENT_EXIT)
		idle_end();
	else
		this_cpu_write(idle_since, ktime_get_mono_fast_ns());
}

/* An interrupt comes before the end of idling is traced. */
static int idle_interrupted(struct kprobe *p, struct pt_regs *regs)
{
	idle_end();
	return 0;
}
NOKPROBE_SYMBOL(idle_interrupted);

static struct kprobe interrupt = {
	.symbol_name = "tick_irq_enter",
	.pre_handler = idle_interrupted,
};

/* For one CPU: the bench has no more when it asks for this. */
static u64 first_time;
static u64 longest;

static int first_hit(struct kprobe *p, struct pt_regs *regs)
{
	first_time = ktime_get_mono_fast_ns();
	return 0;
}
NOKPROBE_SYMBOL(first_hit);

static int last_hit(struct kprobe *p, struct pt_regs *regs)
{
	u64 now = ktime_get_mono_fast_ns();

	if (first_time)
		longest = max(longest, now - first_time);
	first_time = 0;
	return 0;
}
NOKPROBE_SYMBOL(last_hit);

static struct kprobe first = { .pre_handler = first_hit };
static struct kprobe last = { .pre_handler = last_hit };

static void probe_off(struct kprobe *probe)
{
	if (probe->addr)
		unregister_kprobe(probe);
	*probe = (struct kprobe) { .pre_handler = probe->pre_handler };
}

static int probe_on(struct kprobe *probe)
{
	int err;

	probe_off(probe);
	probe->symbol_name = "__kernfs_remove.part.0";
	err = kdn_probe_entry(probe);
	if (err != -ENOENT)
		return err;
	probe->symbol_name = "__kernfs_remove";
	return kdn_probe_entry(probe);
}

static ssize_t probe_set(struct kprobe *probe, const char *buf, size_t count)
{
	int err = 0;
	bool on;

	if (kstrtobool(buf, &on))
		return -EINVAL;
	if (on)
		err = probe_on(probe);
	else
		probe_off(probe);
	return err ?: count;
}

static ssize_t first_store(struct kobject *kobj, struct kobj_attribute *attr,
			   const char *buf, size_t count)
{
	return probe_set(&first, buf, count);
}

static ssize_t last_store(struct kobject *kobj, struct kobj_attribute *attr,
			  const char *buf, size_t count)
{
	return probe_set(&last, buf, count);
}

static ssize_t between_show(struct kobject *kobj, struct kobj_attribute *attr,
			    char *buf)
{
	u64 was = longest;

	longest = 0;
	return sysfs_emit(buf, "%llu\n", was);
}

static ssize_t idle_show(struct kobject *kobj, struct kobj_attribute *attr,
			 char *buf)
{
	u64 now = ktime_get_mono_fast_ns(), sum = 0, since;
	unsigned int cpu;

	for_each_online_cpu(cpu) {
		since = READ_ONCE(per_cpu(idle_since, cpu));
		sum += READ_ONCE(per_cpu(idle_sum, cpu));
		if (since && since < now)
			sum += now - since;
	}
	return sysfs_emit(buf, "%llu\n", sum);
}

static struct kobj_attribute idle_attribute = __ATTR_RO(idle);
static struct kobj_attribute first_attribute = __ATTR_WO(first);
static struct kobj_attribute last_attribute = __ATTR_WO(last);
static struct kobj_attribute between_attribute = __ATTR_RO(between);

static const struct attribute *attrs[] = {
	&idle_attribute.attr,
	&first_attribute.attr,
	&last_attribute.attr,
	&between_attribute.attr,
	NULL
};

static int __init kdn_bench_init(void)
{
	int err = kdn_probe_entry(&interrupt);

	if (err)
		return err;
	err = register_trace_cpu_idle(idle_change, NULL);
	if (err)
		goto err_kprobe;
	err = -ENOMEM;
	control = kobject_create_and_add("kdn_bench", kernel_kobj);
	if (!control)
		goto err_trace;
	err = sysfs_create_files(control, attrs);
	if (!err)
		return 0;
	kobject_put(control);
err_trace:
	unregister_trace_cpu_idle(idle_change, NULL);
	tracepoint_synchronize_unregister();
err_kprobe:
	unregister_kprobe(&interrupt);
	return err;
}

static void __exit kdn_bench_exit(void)
{
	sysfs_remove_files(control, attrs);
	probe_off(&first);
	probe_off(&last);
	kobject_put(control);
	unregister_trace_cpu_idle(idle_change, NULL);
	tracepoint_synchronize_unregister();
	unregister_kprobe(&interrupt);
}

module_init(kdn_bench_init);
module_exit(kdn_bench_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("For the bench of kernfs_delete_notify: idle time, and time in a handler");
