// SPDX-License-Identifier: GPL-2.0-only
/*
 * capture.c - from the handler to the worker: a bounded ring per CPU
 *
 * The handler must not wait, allocate or lock, so each CPU has a ring of its
 * own that only the handler on that CPU fills and only the worker empties.
 * A node in a ring has a reference.  What does not fit is counted as lost, and
 * a walk looks for it.
 *
 * The handler wakes the worker only if it sleeps: see kdn_capture_sleep() for how
 * the two can't miss each other.  Lines marked handoff.pml, here and in other
 * files, are steps of tests/model/handoff.pml, where a model checker tries them in
 * every order.
 */
#include <linux/irq_work.h>
#include <linux/log2.h>
#include <linux/moduleparam.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "internal.h"

#define KDN_RING_MIN	16
#define KDN_RING_MAX	65536

/* The most nodes that one removal may make the handler walk. */
#define KDN_WALK_MAX	512

static unsigned int ring_size = 1024;
module_param(ring_size, uint, 0444);
MODULE_PARM_DESC(ring_size, "Nodes that a CPU's ring can hold, a power of two from 16 to 65536 (default 1024)");

/**
 * struct kdn_ring - nodes on their way from one CPU's handler to the worker
 * @slot: the nodes, each with a reference
 * @head: where the next one goes; the handler's
 * @tail: where the oldest one is; the worker's
 */
struct kdn_ring {
	struct kernfs_node **slot;
	unsigned int head;
	unsigned int tail ____cacheline_aligned_in_smp;
};

static DEFINE_PER_CPU_ALIGNED(struct kdn_ring, kdn_rings);
DEFINE_PER_CPU(struct kdn_captured, kdn_captured);

/* The worker is awake, or about to be: the handler need not wake it. */
static bool kdn_awake;

/* Runs in an interrupt; on PREEMPT_RT in a thread, as waking takes locks that sleep. */
static void kdn_wake(struct irq_work *work)
{
	kdn_capture_awake();
	/* handoff.pml: kick */
	kdn_worker_kick();
}

static struct irq_work kdn_wake_work;

/* The first node of @kn's subtree to go: children go before their directory. */
static struct kernfs_node *kdn_first(struct kernfs_node *kn, unsigned int *steps)
{
	struct rb_node *child;

	while (kernfs_type(kn) == KERNFS_DIR && *steps) {
		child = rb_first(&kn->dir.children);
		if (!child)
			break;
		kn = rb_entry(child, struct kernfs_node, rb);
		--*steps;
	}
	return kn;
}

/* The node that goes after @pos, which is not the top of the subtree. */
static struct kernfs_node *kdn_next(struct kernfs_node *pos, unsigned int *steps)
{
	struct rb_node *sibling = rb_next(&pos->rb);

	if (!sibling)
		return kdn_parent(pos);
	return kdn_first(rb_entry(sibling, struct kernfs_node, rb), steps);
}

/**
 * kdn_capture - note the nodes that a removal is about to take away
 * @kn: the node that __kernfs_remove() was called for
 *
 * Takes a reference on each node of @kn's subtree that may have an inode, and
 * puts it into this CPU's ring, children before their directory.  An inode holds
 * a reference on its node, on top of the one that keeps each linked node.  A node
 * without such a reference has no inode, and since it is about to be deactivated
 * it will not get one: there is nobody to tell.  (open_by_handle_at() may slip
 * in between: a walk finds that one.)
 *
 * Walks at most KDN_WALK_MAX nodes.
 *
 * Context: the kprobe's handler.  Preemption is off; maybe interrupts are too,
 * and where the probe is a breakpoint it may count as NMI.  So on PREEMPT_RT
 * not even a spinlock_t could be taken: there are only atomic operations here,
 * and irq_work_queue(), which is made for such contexts.  It does not nest: a
 * probe that hits within a handler is only counted (see kdn_hook_missed()).
 * The caller of __kernfs_remove() holds kernfs's lock for writing, so that the
 * subtree does not change.
 */
void kdn_capture(struct kernfs_node *kn)
{
	struct kdn_ring *ring = this_cpu_ptr(&kdn_rings);
	unsigned int head = ring->head;
	/*
	 * Pairs with the release in kdn_capture_take(): the slot was read.
	 * handoff.pml: room
	 */
	unsigned int end = smp_load_acquire(&ring->tail) + ring_size;
	unsigned int steps = KDN_WALK_MAX;
	struct kernfs_node *pos = kdn_first(kn, &steps);

	while (pos) {
		if (atomic_read(&pos->count) > 1) {
			if (head == end)
				break;
			/* handoff.pml: note */
			kernfs_get(pos);
			ring->slot[head++ & (ring_size - 1)] = pos;
		}
		if (pos != kn && !steps--)
			break;
		pos = pos == kn ? NULL : kdn_next(pos, &steps);
	}
	/* The whole subtree is passed, and nobody can be watching it. */
	if (!pos && head == ring->head)
		return;

	this_cpu_add(kdn_captured.noted, head - ring->head);
	/* handoff.pml: lost */
	if (pos)
		this_cpu_inc(kdn_captured.lost);
	/*
	 * The slots before the head.  Pairs with the acquire there.
	 * handoff.pml: publish
	 */
	smp_store_release(&ring->head, head);
	/*
	 * The head before the flag.  Pairs with kdn_capture_sleep().
	 * handoff.pml: publish_mb
	 */
	smp_mb();
	/* handoff.pml: wake */
	if (!READ_ONCE(kdn_awake))
		irq_work_queue(&kdn_wake_work);
}

/**
 * kdn_capture_take - empty the rings
 * @keep: is handed each node, and with it the reference on it
 *
 * Nodes of one CPU come in the order in which they were noted.  A node that
 * was noted before another one, on whatever CPU, comes in the same call or in
 * an earlier one, or else in the very next.
 *
 * Context: process, may sleep; the worker alone, or anybody after the probe and
 * the worker are off.
 * Return: whether there was anything.
 */
bool kdn_capture_take(void (*keep)(struct kernfs_node *kn))
{
	bool any = false;
	int cpu;

	for_each_possible_cpu(cpu) {
		struct kdn_ring *ring = per_cpu_ptr(&kdn_rings, cpu);
		/* Pairs with the release in kdn_capture().  handoff.pml: take */
		unsigned int head = smp_load_acquire(&ring->head);
		unsigned int tail = ring->tail;

		any |= tail != head;
		while (tail != head)
			keep(ring->slot[tail++ & (ring_size - 1)]);
		/*
		 * Pairs with the acquire in kdn_capture(): slots are free.
		 * handoff.pml: free
		 */
		smp_store_release(&ring->tail, tail);
		cond_resched();
	}
	return any;
}

/**
 * kdn_capture_awake - the worker is awake: do not wake it
 *
 * Context: any.
 */
void kdn_capture_awake(void)
{
	WRITE_ONCE(kdn_awake, true);
}

/**
 * kdn_capture_sleep - the worker is about to rest: wake it from now on
 *
 * Either the handler, after it has published a node or a loss, reads the flag
 * cleared and wakes the worker; or it published before the flag was cleared, and
 * the worker sees that now.  The two barriers ensure that at least one of the two
 * happens.
 *
 * Context: the worker alone; it looks for losses after this.
 * Return: whether all rings are empty.
 */
bool kdn_capture_sleep(void)
{
	int cpu;

	/* handoff.pml: sleep */
	WRITE_ONCE(kdn_awake, false);
	/*
	 * The flag before the heads.  Pairs with kdn_capture().
	 * handoff.pml: sleep_mb
	 */
	smp_mb();
	/* handoff.pml: sleep_look */
	for_each_possible_cpu(cpu) {
		struct kdn_ring *ring = per_cpu_ptr(&kdn_rings, cpu);

		if (READ_ONCE(ring->head) != ring->tail)
			return false;
	}
	return true;
}

/**
 * kdn_capture_sync - wait until no wake-up of the worker is on its way
 *
 * Context: process, may sleep; the probe is off.
 */
void kdn_capture_sync(void)
{
	irq_work_sync(&kdn_wake_work);
}

/**
 * kdn_capture_sum - what the handlers, and the worker, have counted
 *
 * Context: any.
 * Return: the counts, over all CPUs.
 */
struct kdn_captured kdn_capture_sum(void)
{
	struct kdn_captured sum = { };
	int cpu;

	for_each_possible_cpu(cpu) {
		sum.removals += READ_ONCE(per_cpu(kdn_captured.removals, cpu));
		sum.noted += READ_ONCE(per_cpu(kdn_captured.noted, cpu));
		sum.lost += READ_ONCE(per_cpu(kdn_captured.lost, cpu));
	}
	return sum;
}

/**
 * kdn_capture_init - check the ring size, allocate the rings
 *
 * Context: process, may sleep.
 * Return: 0; -EINVAL for a bad ring_size, with a line in the log; -ENOMEM: then
 * kdn_capture_exit() is still to be called.
 */
int kdn_capture_init(void)
{
	int cpu;

	if (ring_size < KDN_RING_MIN || ring_size > KDN_RING_MAX ||
	    !is_power_of_2(ring_size)) {
		pr_err("ring_size=%u is refused: it takes a power of two from %u to %u\n",
		       ring_size, KDN_RING_MIN, KDN_RING_MAX);
		return -EINVAL;
	}
	init_irq_work(&kdn_wake_work, kdn_wake);
	for_each_possible_cpu(cpu) {
		struct kdn_ring *ring = per_cpu_ptr(&kdn_rings, cpu);

		ring->slot = kvcalloc(ring_size, sizeof(*ring->slot),
				      GFP_KERNEL);
		if (!ring->slot)
			return -ENOMEM;
	}
	return 0;
}

/**
 * kdn_capture_exit - free the rings
 *
 * Context: process, may sleep; the probe and the worker are off and the rings
 * are empty.
 */
void kdn_capture_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		kvfree(per_cpu_ptr(&kdn_rings, cpu)->slot);
}
