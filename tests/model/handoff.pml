/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * handoff.pml - the hand-off from the handler to the worker, for spin
 *
 * Two CPUs whose handlers note nodes, the irq_work that wakes the worker, the
 * worker with its walks, and an unload at any time.  spin tries every order of
 * their steps, to find out whether
 *
 *   - a node can be left in a ring while nobody is about to take it,
 *   - a loss can be left that no walk has looked for and none is about to,
 *   - a walk can claim a loss that came after the walk had begun,
 *   - the worker can end with work left to do and no time to come back,
 *   - a slot can be read before it is written, or written before it is read,
 *   - anything can be touched that the unload has freed,
 *   - the unload can leave a reference or a loss behind, or hang.
 *
 * 'step NAME: FUNCTION()' stands for the line marked 'handoff.pml: NAME' in that
 * function of the module.  -DNO_NAME takes the step away, and then spin must
 * find one of the above.  'make model' runs it all.
 *
 * Memory is weak.  A handler or the worker sees its own stores at once; others
 * see them later, in an order that only a release or a full barrier keeps.
 * Each has a store buffer of its own, as if alone on a CPU; on the same CPU they
 * would see less disorder.  Loads that come too early or too late are moved by
 * hand (NO_TAKE, NO_FREE).  The handler's acquire of the tail can't be shown
 * this way: no store goes before a branch that it depends on.  Several lines are
 * one atomic step where others see or change at most one of them, or could not
 * tell the order.
 *
 * Left out, because the hand-off is the same with it:
 *
 *   - what the worker does with a node but keep it for some time,
 *   - that a round empties the rings twice,
 *   - that a removal may be cut short with room in the ring,
 *   - times: what is due may come at any time, or not yet,
 *   - the second walk after a loss: it could only hide that the first is wrong.
 *
 * Not checked here: that directories are told after their files; that removals
 * are made good that the probe missed, which wake nobody.
 *
 * Taken for granted of the kernel: a work item does not run twice at a time,
 * runs again if it is queued while it runs, and sees what was stored before it
 * was queued, and so does an irq_work; cancel_delayed_work_sync() lets nobody
 * queue while it waits; unregister_kprobe() waits for the handlers.
 *
 * Taken for granted of the module: a walk finds the nodes of every loss counted
 * before it began.
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
#define ITEMS_MAX	1	/* nodes that the worker has room for */
#define OFFERS		1	/* nodes that all walks find together */

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

/* worker.c.  kdn_init() has kicked it. */
mtype = { IDLE, TIMER, QUEUED };

mtype work = QUEUED;
bool work_runs, work_cancel;
byte items, pending;		/* nodes in hand; of these, not yet told */
byte dropped;			/* the worker's part of kdn_captured.lost */

/* walk.c.  The first walk looks for removals from before the load. */
#define NONE		0
#define SOME		1
#define ALL		2

byte asked = ALL;		/* whose superblocks a walk was asked for */
byte losses_asked;
byte known = 255;

/* hook.c, main.c */
bool armed = true;
bool in_handler[CPUS];
bool freed;

/* For the checks alone. */
byte refs;			/* taken and not put */
byte losses;			/* all there were, seen or not */
byte offers = OFFERS;		/* that are still to come */

/* What must not be: these names are in spin's report. */
bool node_left_in_ring, loss_left_behind, flag_left_set, nobody_comes;
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
#define WORKER_MB	(!own_awake_out)

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
		must_not(use_after_free, freed);
		if
		:: awake -> printf("CPU %d: the flag is set\n", _pid); goto out
		:: else
		fi
	   }
#ifndef NO_WAKE
	   /* step wake: kdn_capture(): a full barrier; queues if not pending */
	   d_step {
		HANDLER_MB(_pid) ->
		must_not(use_after_free, freed);
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
		must_not(use_after_free, freed);
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

/* --------------------------------------- the worker: worker.c, capture.c */

/*
 * kdn_worker_add(), and the put after it: here the item gets the caller's reference.
 * The node is another one each time.
 */
inline add()
{
	if
	:: items < ITEMS_MAX ->
		items++;
		pending++
	:: else ->
		refs--;			/* kdn_make_room() */
		if
		:: pending == items ->
			printf("worker: no room, a loss\n");
			dropped++;
			losses++
		:: else ->
			printf("worker: no room, asks for a walk\n");
			asked = (asked == NONE -> SOME : asked);
			pending++
		fi
	fi
}

/* kdn_capture_take(), the ring of one CPU */
inline take(c)
{
#ifdef NO_TAKE
	node = mem[c].slot[tail[c] % RING];
#endif
	d_step {
		must_not(use_after_free, freed);
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
			printf("worker: reads node %d in slot %d of CPU %d\n",
			       node, at, c);
			must_not(wrong_node_in_slot, node != at + 1);
			add();
			at++;
#ifdef NO_TAKE
			node = mem[c].slot[at % RING]
#endif
		:: else -> break
		od;
		tail[c] = to;		/* step free: kdn_capture_take() */
		at = 0; to = 0; node = 0
	}
}

#define LOSSES	(mem[0].lost + mem[1].lost + dropped)

/* kdn_walk_check(): executable if it returns true */
#define CHECK_ASKS \
	d_step { \
		LOSSES != losses_asked -> \
		losses_asked = LOSSES; \
		asked = ALL; \
		printf("worker: sees %d losses, asks for a walk\n", losses_asked) \
	}

/* kdn_walk(): looks at the superblocks of 'whose', or fails and asks again */
inline walk()
{
	d_step {
		must_not(use_after_free, freed);
		counted = LOSSES;	/* step count: kdn_walk() */
		printf("walk: begins, of %d losses\n", counted);
		before = (whose == ALL -> losses : known)
	}
	if
	:: d_step {
		true ->
		asked = (whose > asked -> whose : asked);
		printf("walk: failed\n")
	   }
	:: asked = NONE;
	   if
	   :: d_step {
		offers ->
		offers--;
		printf("walk: finds a node\n");
		refs++;
		add()
	      }
	   :: true
	   fi;
	   d_step {
#ifdef NO_COUNT
		counted = LOSSES;
#endif
		if
#ifndef NO_WHOLE
		:: whose != ALL		/* step whole: kdn_walk() */
#endif
		:: else ->
			must_not(loss_left_behind, counted > before);
#ifndef NO_KNOWN
			known = counted;	/* step known: kdn_walk() */
#endif
			printf("walk: has looked for %d losses\n", counted)
		fi
	   }
	fi;
	d_step { counted = 0; before = 0; whose = NONE }
}

/* kdn_round() */
inline round(last)
{
	take(0);
	take(1);
	/* step check: kdn_round(): or a storm, in which there's no rest, would go on */
	if
	:: CHECK_ASKS
	:: else
	fi;
	/* Due may be the walk that was asked for, the one by time, or none. */
	if
	:: asked -> whose = asked
	:: !(last) -> whose = ALL
	:: !(last) || !asked
	fi;
	if
	:: whose -> walk()
	:: else
	fi;
	/* The loop over kdn_due. */
	if
	:: true
	:: d_step { pending -> pending = 0 }
	:: d_step { items -> refs = refs - items; items = 0; pending = 0 }
	fi
}

inline store_awake(value)
{
	d_step {
		own_awake = value;
		own_awake_out = true;
		printf("worker: stores %d in the flag\n", value)
	}
}

inline on_if(condition)
{
	if
	:: condition -> goto on
	:: else
	fi
}

active proctype kdn_worker()
{
	byte at, to, node, counted, before, whose;

end:	do
	:: d_step {
		work != IDLE ->
		work = IDLE;
		work_runs = true;
		printf("worker: starts\n")
	   }
on:	   store_awake(true);
	   round(false);
	   if
	   :: goto on				/* after a nap */
	   :: true
	   fi;
#ifndef NO_SLEEP
	   store_awake(false);			/* step sleep: kdn_capture_sleep() */
#endif
#ifndef NO_SLEEP_MB
	   WORKER_MB;				/* step sleep_mb: kdn_capture_sleep() */
#endif
#ifndef NO_SLEEP_LOOK
	   /* step sleep_look: kdn_capture_sleep() */
	   on_if(mem[0].head != tail[0]);
	   on_if(mem[1].head != tail[1]);
#endif
#ifndef NO_LAST_CHECK
	   if
	   :: CHECK_ASKS -> goto on		/* step last_check: kdn_worker() */
	   :: else
	   fi;
#endif
	   atomic {
		WORKER_MB ->
		must_not(use_after_free, freed);
		if
#ifndef NO_QUEUE
		/* step queue: kdn_worker() */
		:: (items || asked) && work == IDLE && !work_cancel -> work = TIMER
#endif
		:: else
		fi;
		work_runs = false;
		printf("worker: ends\n")
	   }
	od
}

/* --------------------------------------------------- the unload: main.c */

active proctype kdn_exit()
{
	byte at, to, node, counted, before, whose;

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
#ifndef NO_CANCEL
	/* step cancel: kdn_worker_exit() */
	d_step { work = IDLE; work_cancel = true }
	d_step { !work_runs -> work_cancel = false }
#endif
#ifndef NO_EXIT_ROUND
	do
	:: round(true);			/* step exit_round: kdn_worker_exit() */
	   if
#ifndef NO_EXIT_AGAIN
	   /* step exit_again: kdn_worker_exit() */
	   :: CHECK_ASKS
	   :: pending || asked
	   :: pending || asked -> break	/* after ten times */
#endif
	   :: else ->
		must_not(loss_left_behind, known != losses);
		break
	   fi
	od;
#endif
	printf("unload: the worker is off\n");
	d_step {
#ifndef NO_EXIT_PUT
		refs = refs - items;	/* step exit_put: kdn_worker_exit() */
#endif
		items = 0;
		freed = true;
		printf("unload: all is freed\n");
		must_not(work_left, work != IDLE || work_runs);
		must_not(reference_left, refs)
	}
}

/* Whenever all that is left to do is due later, all must be well. */
active proctype at_rest()
{
end:	do
	:: d_step {
		armed && !in_handler[0] && !in_handler[1] &&
		HANDLER_MB(0) && HANDLER_MB(1) && WORKER_MB && !irq_busy &&
		work != QUEUED && !work_runs ->
		must_not(node_left_in_ring, mem[0].head != tail[0] ||
			 mem[1].head != tail[1]);
		must_not(loss_left_behind, known != losses && asked != ALL);
		must_not(nobody_comes, (items || asked) && work != TIMER);
		must_not(flag_left_set, awake)
	   }
	od
}
