/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * handoff.pml - the hand-off from the handler to the worker, for spin
 *
 * Two CPUs whose handlers note nodes, the irq_work that wakes the worker, the
 * worker, the resync, and an unload at any time.  spin tries every order of
 * their steps, to find out whether
 *
 *   - a node can be left in a ring while nobody is about to take it,
 *   - a loss can be left behind by a walk, and no other be about to begin,
 *   - a slot can be read before it is written, or written before it is read,
 *   - anything is touched that the unload has freed,
 *   - the unload can leave a reference or a loss behind, or hang.
 *
 * 'step NAME: FUNCTION()' stands for what is marked 'handoff.pml: NAME' in that
 * function of the module.  -DNO_NAME takes the step away, and then spin must
 * find one of the above.  'make model' runs it all.
 *
 * Memory is weak.  What a handler or the worker stores is known to itself at
 * once, and seen by others later, in an order that only a release or a full
 * barrier keeps.  Each has a store buffer of its own, as if alone on a CPU; on
 * the same CPU they would see less disorder.  Loads that come too early, or too
 * late, are moved by hand (NO_TAKE, NO_FREE).  The handler's acquire of the tail
 * can't be shown so: no store goes before a branch that it depends on.  Where
 * several lines are one atomic step, others see or change at most one of them,
 * or could not tell the order.
 *
 * Left out, because the hand-off is the same with it: what the worker does
 * with a node but keep it for some time; that a walk may be cut short with room
 * in the ring; the timers, but for the walk that was asked for, because they
 * may only make good what must not happen.  Not in here: directories after
 * files; removals that the probe missed, which wake nobody.
 *
 * Taken for granted of the kernel: a work item does not run twice at a time,
 * runs again if it is queued while it runs, and sees what was stored before it
 * was queued, and so does an irq_work; cancel_delayed_work_sync() lets nobody
 * queue while it waits; unregister_kprobe() waits for the handlers.
 */

#define CPUS		2
#ifndef RING
#define RING		1	/* slots: 1 or 2 */
#endif
#ifndef REMOVALS
#define REMOVALS	2	/* on one CPU */
#define REMOVALS_1	1	/* on the other */
#endif
#ifndef WALK_MAX
#define WALK_MAX	1	/* nodes of a removal: 1 or 2 */
#endif
#ifndef ITEMS_MAX
#define ITEMS_MAX	1	/* nodes that the worker has room for */
#endif

/* capture.c.  The k-th node that is put into a ring is number k. */
typedef ring {
	byte slot[RING];
	byte head;
	byte lost;
};
ring own[CPUS];			/* as the handler knows it */
ring mem[CPUS];			/* as the others see it */
byte tail[CPUS];		/* seen at once: later it is but a fuller ring */
bool awake;
bool own_awake, own_awake_out;	/* the worker's store on its way, if it is */
bool irq_pending, irq_busy;

/* worker.c */
mtype = { IDLE, TIMER, QUEUED, NOT, SOON, LATE };

mtype work = IDLE;
bool work_runs, work_cancel;
byte items;
byte own_dropped, dropped;

/* resync.c: when is the walk due, if it is?  LATE only may help: it does not come. */
mtype due = NOT;
bool resync_runs, resync_cancel, resync_lock;
byte asked, served;

/* hook.c, main.c */
bool armed = true;
bool in_handler[CPUS];
bool rings = true, tables = true, wq = true;	/* not freed yet */

/* For the checks alone. */
byte refs;			/* taken and not put */
byte losses;			/* all there were, seen or not */
byte walked;			/* of these, known to the last walk that began */

/* What must not be: these names are in spin's report. */
bool node_left_in_ring, loss_left_behind, flag_left_set;
bool wrong_node_in_slot, use_after_free, reference_left, work_left;

inline must_not(what, condition)
{
	what = (condition);
	assert(!what)
}

/* ------------------------------------------------------------- memory */

#define SLOTS_OUT(c)	(mem[c].slot[0] != own[c].slot[0] || \
			 mem[c].slot[RING - 1] != own[c].slot[RING - 1])
#define LOST_OUT(c)	(mem[c].lost != own[c].lost)
#define HEAD_OUT(c)	(mem[c].head != own[c].head)

/* As a statement it waits until all has been seen: smp_mb(). */
#define HANDLER_MB(c)	(!SLOTS_OUT(c) && !LOST_OUT(c) && !HEAD_OUT(c))
#define WORKER_MB	(!own_awake_out && own_dropped == dropped)

/* step publish: kdn_capture(): what it stored before the head goes first */
#ifdef NO_PUBLISH
#define RELEASED(c)	true
#else
#define RELEASED(c)	(!SLOTS_OUT(c) && !LOST_OUT(c))
#endif

/* Slots and losses as one: who has not seen the head does not read slots. */
#define SEE(c) \
	:: d_step { SLOTS_OUT(c) || LOST_OUT(c) -> \
		mem[c].slot[0] = own[c].slot[0]; \
		mem[c].slot[RING - 1] = own[c].slot[RING - 1]; \
		mem[c].lost = own[c].lost; \
		printf("memory: slots and losses of CPU %d are seen\n", c) } \
	:: d_step { HEAD_OUT(c) && RELEASED(c) -> \
		mem[c].head = own[c].head; \
		printf("memory: the head of CPU %d is seen\n", c) }

/* --------------------------------------------- the handler: capture.c */

active [CPUS] proctype cpu()
{
	byte left = (_pid == 0 -> REMOVALS : REMOVALS_1);
	byte nodes, limit;

end:	do
	:: atomic {
		armed && left ->
		in_handler[_pid] = true;
		left--;
		if
		:: nodes = 1
		:: nodes = WALK_MAX
		fi;
		limit = tail[_pid] + RING;	/* step room: kdn_capture() */
		do
#ifndef NO_ROOM
		:: nodes && own[_pid].head == limit ->
#ifndef NO_LOST
			own[_pid].lost++;	/* step lost: kdn_capture() */
#endif
			losses++;
			printf("CPU %d: no room, a loss\n", _pid);
			break
#endif
		:: else ->
			if
			:: nodes == 0 -> break
			:: else
			fi;
			refs++;			/* step note: kdn_capture() */
			own[_pid].slot[own[_pid].head % RING] = own[_pid].head + 1;
			own[_pid].head++;
			printf("CPU %d: notes node %d\n", _pid, own[_pid].head);
			nodes--
		od;
		nodes = 0;
		limit = 0
	   }
	   atomic {
#ifndef NO_PUBLISH_MB
		HANDLER_MB(_pid);		/* step publish_mb: kdn_capture() */
#endif
		must_not(use_after_free, !rings);
		if
		:: awake -> printf("CPU %d: the flag is set\n", _pid); goto out
		:: else
		fi
	   }
#ifndef NO_WAKE
	   /* step wake: kdn_capture(): a full barrier; queues if not pending */
	   d_step {
		HANDLER_MB(_pid) ->
		must_not(use_after_free, !wq);
		irq_pending = true;
		irq_busy = true;
		printf("CPU %d: the flag is clear: wakes\n", _pid)
	   }
#endif
out:	   in_handler[_pid] = false
	od
}

active proctype memory()
{
end:	do
	SEE(0)
	SEE(1)
	:: d_step {
		own_dropped != dropped ->
		dropped = own_dropped;
		printf("memory: the worker's losses are seen\n")
	   }
	:: d_step {
		own_awake_out ->
		awake = own_awake;
		printf("memory: the flag is seen as %d\n", awake);
		own_awake = false;
		own_awake_out = false
	   }
	od
}

/* The flag is seen set before the work is queued: it needs no buffer. */
active proctype kdn_wake()
{
end:	do
	:: d_step {
		irq_pending ->
		irq_pending = false;
		awake = true;
		printf("irq_work: sets the flag\n")
	   }
	   d_step {
		must_not(use_after_free, !wq);
#ifndef NO_KICK
		if
		:: !work_cancel -> work = QUEUED	/* step kick: kdn_wake() */
		:: else
		fi;
#endif
		irq_busy = irq_pending;
		printf("irq_work: kicks the worker\n")
	   }
	od
}

/* ---------------------------------------- the worker: worker.c, capture.c */

/* kdn_keep() */
inline keep(c, at, node)
{
	printf("worker: reads node %d in slot %d of CPU %d\n", node, at, c);
	must_not(wrong_node_in_slot, node != at + 1);
	if
	:: items < ITEMS_MAX ->
		items++
	:: else ->
		printf("worker: no room, a loss\n");
		refs--;
		own_dropped++;
		losses++
	fi;
	at++
}

/* kdn_capture_take(), the ring of one CPU */
inline take(c, at, to, node)
{
#ifdef NO_TAKE
	node = mem[c].slot[tail[c] % RING];
#endif
	d_step {
		must_not(use_after_free, !rings || !tables);
		to = mem[c].head;	/* step take: kdn_capture_take() */
		at = tail[c];
		printf("worker: CPU %d's ring has %d nodes\n", c, to - at)
	}
#ifdef NO_FREE
	tail[c] = to;
#endif
	d_step {
		do
		:: at != to ->
#ifndef NO_TAKE
			node = mem[c].slot[at % RING];
#endif
			keep(c, at, node);
#ifdef NO_TAKE
			node = mem[c].slot[at % RING]
#endif
		:: else ->
			break
		od;
		tail[c] = to;		/* step free: kdn_capture_take() */
		at = 0;
		to = 0;
		node = 0
	}
}

/* kdn_round(): all that are in hand are kept, or done with. */
inline round(at, to, node)
{
	take(0, at, to, node);
	take(1, at, to, node);
	if
	:: d_step { items -> refs = refs - items; items = 0 }
	:: true
	fi
}

inline store_awake(value)
{
	own_awake = value;
	own_awake_out = true;
	printf("worker: stores %d in the flag\n", value)
}

/* kdn_resync_in(); 'mb' waits for the stores of the caller. */
inline resync_in(when, seen, mb)
{
#ifndef NO_DUE_LOCK
	/* step due_lock: kdn_resync_in() */
	d_step { !resync_lock -> resync_lock = true }
#endif
	d_step {
#ifndef NO_DUE_MB
		mb ->			/* step due_mb: kdn_resync_in() */
#endif
		seen = due;
		printf("resync_in(%e): now it is due %e\n", when, seen)
	}
	d_step {
		/* step due: kdn_resync_in(): sooner, and not later; a full barrier */
		if
#ifndef NO_DUE
		:: when == SOON && seen == LATE && !resync_cancel && mb -> due = when
#endif
		:: seen == NOT && !resync_cancel && mb -> due = when
		:: resync_cancel || seen == SOON || (seen == LATE && when == LATE)
#ifdef NO_DUE
		:: when == SOON && seen == LATE
#endif
		fi;
		printf("resync_in(%e): from now on %e\n", when, due);
		seen = NOT;
		resync_lock = false
	}
}

#define MISSES(of_worker) (mem[0].lost + mem[1].lost + of_worker)

/* kdn_resync_check() */
inline resync_check(seen)
{
	if
	:: d_step { MISSES(own_dropped) != asked -> asked = MISSES(own_dropped) }
	   resync_in(SOON, seen, WORKER_MB)
	:: MISSES(own_dropped) == asked
	fi
}

active proctype kdn_worker()
{
	byte at, to, node;
	mtype seen = NOT;

end:	do
	:: d_step {
		work != IDLE ->
		work = IDLE;
		work_runs = true;
		printf("worker: starts\n");
		store_awake(true)
	   }
	   do
	   :: round(at, to, node);
	      resync_check(seen);
	      if
	      :: true				/* stay on */
	      :: d_step {
			true ->
#ifndef NO_SLEEP
			store_awake(false)	/* step sleep: kdn_capture_sleep() */
#endif
		 }
#ifndef NO_SLEEP_MB
		 WORKER_MB;			/* step sleep_mb: kdn_capture_sleep() */
#endif
#ifdef NO_SLEEP_LOOK
		 break
#else
		 /* step sleep_look: kdn_capture_sleep() */
		 if
		 :: d_step { mem[0].head != tail[0] -> store_awake(true) }
		 :: mem[0].head == tail[0] ->
			if
			:: d_step { mem[1].head != tail[1] -> store_awake(true) }
			:: mem[1].head == tail[1] -> break
			fi
		 fi
#endif
	      fi
	   od;
#ifndef NO_LAST_CHECK
	   resync_check(seen);			/* step last_check: kdn_worker() */
#endif
	   atomic {
		WORKER_MB ->
		must_not(use_after_free, !tables || !wq);
		if
		:: items && work == IDLE && !work_cancel -> work = TIMER
		:: else
		fi;
		work_runs = false;
		printf("worker: ends\n")
	   }
	od
}

/* ----------------------------------------------------- the walk: resync.c */

/* kdn_resync() */
inline resync(misses, before, seen, dropped_seen)
{
	d_step {
		must_not(use_after_free, !wq);
		misses = MISSES(dropped_seen);	/* step count: kdn_resync() */
		walked = misses;
		printf("resync: knows of %d losses\n", misses);
		before = losses
	}
#ifdef NO_COUNT
	misses = MISSES(dropped_seen);
#endif
	/* The walk found all; or something could not be told yet. */
	if
	:: d_step {
		must_not(loss_left_behind, misses > before);
		served = misses;		/* step served: kdn_resync() */
		printf("resync: has served %d\n", misses);
		misses = 0;
		before = 0
	   }
	:: d_step { misses = 0; before = 0 }
	   resync_in(LATE, seen, true)
	fi
}

active proctype kdn_resync()
{
	byte misses, before;
	mtype seen = NOT;

end:	do
	:: d_step { due == SOON -> due = NOT; resync_runs = true }
	   resync(misses, before, seen, dropped);
	   resync_runs = false
	od
}

/* --------------------------------------------------- the unload: main.c */

inline cancel_resync(was_due)
{
	d_step { was_due = (due != NOT); due = NOT; resync_cancel = true }
	d_step { !resync_runs -> resync_cancel = false }
}

active proctype kdn_exit()
{
	byte at, to, node, misses, before;
	mtype seen = NOT;
	bool was_due;

	d_step {
#ifndef NO_DISARM
		/* step disarm: kdn_exit() */
		!in_handler[0] && !in_handler[1] && HANDLER_MB(0) && HANDLER_MB(1) &&
#endif
#ifndef NO_SYNC
		!irq_busy &&		/* step sync: kdn_exit() */
#endif
		true ->
		armed = false;
		printf("unload: the probe is off\n")
	}

	/* kdn_worker_exit() */
#ifndef NO_CANCEL_WORKER
	/* step cancel_worker: kdn_worker_exit() */
	d_step { work = IDLE; work_cancel = true }
	d_step { !work_runs -> work_cancel = false }
#endif
#ifndef NO_EXIT_ROUND
	round(at, to, node);		/* step exit_round: kdn_worker_exit() */
#endif
	d_step {
#ifndef NO_EXIT_PUT
		refs = refs - items;	/* step exit_put: kdn_worker_exit() */
#endif
		items = 0;
		tables = false;
		printf("unload: the worker is off\n")
	}

	/* kdn_resync_exit() */
#ifndef NO_EXIT_CHECK
	resync_check(seen);		/* step exit_check: kdn_resync_exit() */
#endif
#ifndef NO_CANCEL_RESYNC
	cancel_resync(was_due);		/* step cancel_resync: kdn_resync_exit() */
#endif
	if
	:: was_due ->
#ifndef NO_EXIT_WALK
		/* step exit_walk: kdn_resync_exit() */
		resync(misses, before, seen, own_dropped);
#endif
#ifndef NO_CANCEL_AGAIN
		/* step cancel_again: kdn_resync_exit() */
		cancel_resync(was_due)
#endif
	:: else
	fi;

	d_step {
		wq = false;
		rings = false;
		printf("unload: all is freed\n");
		must_not(work_left, work != IDLE || work_runs ||
			 due != NOT || resync_runs);
		must_not(reference_left, refs);
		must_not(loss_left_behind, walked != losses)
	}
}

/* Whenever nobody has anything to do but what is late, all must be well. */
active proctype at_rest()
{
end:	do
	:: d_step {
		armed && !in_handler[0] && !in_handler[1] &&
		HANDLER_MB(0) && HANDLER_MB(1) && WORKER_MB && !irq_busy &&
		work != QUEUED && !work_runs && due != SOON && !resync_runs ->
		must_not(node_left_in_ring, mem[0].head != tail[0] ||
			 mem[1].head != tail[1]);
		must_not(loss_left_behind, walked != losses ||
			 (served != losses && due == NOT));
		must_not(flag_left_set, awake)
	   }
	od
}
