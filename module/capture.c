// SPDX-License-Identifier: GPL-2.0-only
/*
 * capture.c - from the handler to the worker: a bounded ring per CPU
 *
 * The handler must not wait, allocate or lock, so each CPU has a ring of its
 * own that only the handler on that CPU fills and only the worker empties.
 * A node in a ring has a reference.  What does not fit is counted as lost and
 * left to resync.
 *
 * The handler wakes the worker only if that is not up already: see
 * kdn_capture_sleep() for how the two can't miss each other.  Lines marked
 * handoff.pml, here and in other files, are steps of tests/model/handoff.pml,
 * where a model checker tries them in every order.
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
 * @noted: nodes put in; the handler's
 * @lost: walks cut short by a full ring or a large subtree; the handler's
 * @tail: where the oldest one is; the worker's
 */
struct kdn_ring {
	struct kernfs_node **slot;
	unsigned int head;
	unsigned long noted;
	unsigned long lost;
	unsigned int tail ____cacheline_aligned_in_smp;
};

static DEFINE_PER_CPU_ALIGNED(struct kdn_ring, kdn_rings);

/* The worker is up, or has been told to get up. */
static bool kdn_awake;

/* In an interrupt; on PREEMPT_RT, where waking takes locks that sleep, a thread. */
static void kdn_wake(struct irq_work *work)
{
	kdn_capture_awake();
	/* handoff.pml: kick */
	kdn_worker_kick();
}

static struct irq_work kdn_wake_work;

/* The node after @pos in the subtree of @top, parents first, or NULL. */
static struct kernfs_node *kdn_next(struct kernfs_node *pos,
				    struct kernfs_node *top)
{
	struct rb_node *rb = NULL;

	if (kernfs_type(pos) == KERNFS_DIR)
		rb = rb_first(&pos->dir.children);
	while (!rb && pos != top) {
		rb = rb_next(&pos->rb);
		pos = kdn_parent(pos);
	}
	return rb ? rb_entry(rb, struct kernfs_node, rb) : NULL;
}

/**
 * kdn_capture - note the nodes that a removal is about to take away
 * @kn: the node that __kernfs_remove() was called for
 * @held: the references that its caller is known to hold on @kn
 *
 * Takes a reference on each node of @kn's subtree that may have an inode and
 * puts it into this CPU's ring.  Walks at most KDN_WALK_MAX nodes: climbing
 * from a node happens once per node, so that bounds the time as well.
 *
 * Context: the kprobe's handler.  Preemption is off; maybe interrupts are too,
 * and where the probe is a breakpoint it may count as NMI.  So on PREEMPT_RT
 * not even a spinlock_t could be taken: there are only atomic operations here,
 * and irq_work_queue(), which is made for such contexts.  It does not nest: a
 * probe that hits within a handler is only counted (see kdn_hook_missed()).
 * The caller of __kernfs_remove() holds kernfs's lock for writing, so that the
 * subtree does not change.
 */
void kdn_capture(struct kernfs_node *kn, int held)
{
	struct kdn_ring *ring = this_cpu_ptr(&kdn_rings);
	unsigned int head = ring->head;
	/*
	 * Pairs with the release in kdn_capture_take(): the slot was read.
	 * handoff.pml: room
	 */
	unsigned int end = smp_load_acquire(&ring->tail) + ring_size;
	unsigned int steps = KDN_WALK_MAX;
	struct kernfs_node *pos = kn;

	do {
		if (!kdn_may_have_inode(pos, pos == kn ? held : 0))
			continue;
		if (head == end)
			break;
		/* handoff.pml: note */
		kernfs_get(pos);
		ring->slot[head++ & (ring_size - 1)] = pos;
	} while ((pos = kdn_next(pos, kn)) && --steps);

	/* The whole subtree is passed and there is nothing to tell of it. */
	if (!pos && head == ring->head)
		return;

	WRITE_ONCE(ring->noted, ring->noted + head - ring->head);
	/* handoff.pml: lost */
	if (pos)
		WRITE_ONCE(ring->lost, ring->lost + 1);
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
 * kdn_capture_has - is a node in one of the rings?
 * @kn: the node, out: it is in no ring yet to come
 *
 * Context: any, but nobody empties the rings meanwhile.
 * Return: whether it is.
 */
bool kdn_capture_has(const struct kernfs_node *kn)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct kdn_ring *ring = per_cpu_ptr(&kdn_rings, cpu);
		/* Pairs with the release in kdn_capture(). */
		unsigned int head = smp_load_acquire(&ring->head);
		unsigned int pos;

		for (pos = ring->tail; pos != head; pos++)
			if (ring->slot[pos & (ring_size - 1)] == kn)
				return true;
	}
	return false;
}

/**
 * kdn_capture_awake - the worker is up: do not wake it
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
 * Either the handler, after it has published a node, reads the flag cleared
 * and wakes the worker; or it published before the flag was cleared, and the
 * look at the heads below finds the node.  The two barriers rule out neither.
 *
 * Context: the worker alone.
 * Return: true if it may rest; false if there is something to take, and the
 * worker counts as up again.
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

		if (READ_ONCE(ring->head) != ring->tail) {
			kdn_capture_awake();
			return false;
		}
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

static unsigned long kdn_sum(size_t offset)
{
	unsigned long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*(unsigned long *)
				 ((void *)per_cpu_ptr(&kdn_rings, cpu) + offset));
	return sum;
}

/**
 * kdn_capture_noted - nodes put into a ring
 *
 * Context: any.
 * Return: the count, over all CPUs.
 */
unsigned long kdn_capture_noted(void)
{
	return kdn_sum(offsetof(struct kdn_ring, noted));
}

/**
 * kdn_capture_lost - removals of which not all nodes went into a ring
 *
 * Context: any.
 * Return: the count, over all CPUs.
 */
unsigned long kdn_capture_lost(void)
{
	return kdn_sum(offsetof(struct kdn_ring, lost));
}

/**
 * kdn_capture_init - check the ring size, allocate the rings
 *
 * Context: process, may sleep.
 * Return: 0; -EINVAL for a bad ring_size, with a line in the log; -ENOMEM.
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
		if (!ring->slot) {
			kdn_capture_exit();
			return -ENOMEM;
		}
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

	for_each_possible_cpu(cpu) {
		struct kdn_ring *ring = per_cpu_ptr(&kdn_rings, cpu);

		kvfree(ring->slot);
		ring->slot = NULL;
	}
}
