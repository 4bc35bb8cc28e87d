// SPDX-License-Identifier: GPL-2.0-only
/*
 * For the tests only: make a moment longer that is too short to be met. Whoever
 * calls a function waits at its entry: processes at one function, kernel threads
 * at another. They wait with the CPU, for a probe's handler may not sleep.
 */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>

#include "kdn_entry.h"

static char *process = "";
module_param(process, charp, 0444);
MODULE_PARM_DESC(process, "The function at which processes wait");

static unsigned int process_ms;
module_param(process_ms, uint, 0444);
MODULE_PARM_DESC(process_ms, "For so long");

static char *thread = "";
module_param(thread, charp, 0444);
MODULE_PARM_DESC(thread, "The function at which kernel threads wait");

static unsigned int thread_ms;
module_param(thread_ms, uint, 0444);
MODULE_PARM_DESC(thread_ms, "For so long");

static unsigned int thread_waits;
module_param(thread_waits, uint, 0444);
MODULE_PARM_DESC(thread_waits, "How often one has begun to wait");

static unsigned int waits;
module_param(waits, uint, 0444);
MODULE_PARM_DESC(waits, "How often a process has begun to wait");

/*
 * By the clock: under QEMU, a busy machine spoils what the kernel finds out at boot for
 * mdelay(), for each CPU for itself.
 */
static void wait_ms(unsigned int ms)
{
	u64 end = ktime_get_mono_fast_ns() + (u64)ms * NSEC_PER_MSEC;

	while (ktime_get_mono_fast_ns() < end)
		cpu_relax();
}
NOKPROBE_SYMBOL(wait_ms);

static int process_hit(struct kprobe *p, struct pt_regs *regs)
{
	if (current->flags & PF_KTHREAD)
		return 0;
	WRITE_ONCE(waits, waits + 1);
	wait_ms(process_ms);
	return 0;
}
NOKPROBE_SYMBOL(process_hit);

static int thread_hit(struct kprobe *p, struct pt_regs *regs)
{
	if (!(current->flags & PF_KTHREAD))
		return 0;
	WRITE_ONCE(thread_waits, thread_waits + 1);
	wait_ms(thread_ms);
	return 0;
}
NOKPROBE_SYMBOL(thread_hit);

static struct kprobe process_probe = { .pre_handler = process_hit };
static struct kprobe thread_probe = { .pre_handler = thread_hit };

static int __init kdn_delay_init(void)
{
	int err = 0;

	if (*process) {
		process_probe.symbol_name = process;
		err = kdn_probe_entry(&process_probe);
	}
	if (err || !*thread)
		return err;
	thread_probe.symbol_name = thread;
	err = kdn_probe_entry(&thread_probe);
	if (err && *process)
		unregister_kprobe(&process_probe);
	return err;
}

static void __exit kdn_delay_exit(void)
{
	if (*process)
		unregister_kprobe(&process_probe);
	if (*thread)
		unregister_kprobe(&thread_probe);
}

module_init(kdn_delay_init);
module_exit(kdn_delay_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Delays beside kernfs_delete_notify");
