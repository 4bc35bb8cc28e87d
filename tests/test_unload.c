// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading and unloading, again and again, with removals going on meanwhile.
 */
#include "kdn.h"
#include "storm.h"

#include <poll.h>

/*
 * The module comes and goes. What it was not there for it serves when back. On
 * a slow machine, there are fewer rounds.
 */
static void in_storm(void)
{
	int rounds = long_run() ? 500 : 10, i;
	long end = now_ms() + (long_run() ? 2400000 : 25000);
	long begin, longest = 0;

	storm_begin((struct storm){ .places = 32, .pause_ms = 10 });
	for (i = 0; i < rounds && now_ms() < end; i++) {
		load(i % 2 ? "resync_seconds=0" : "resync_seconds=0 ring_size=16");
		poll(NULL, 0, i % 8);
		begin = now_ms();
		unload();
		if (longest < now_ms() - begin)
			longest = now_ms() - begin;
		poll(NULL, 0, i % 5);
		if (storm_over())
			fail("the storm was over after %d rounds", i);
	}
	note("%d times insmod and rmmod; the longest rmmod took %ld ms",
	     i, longest);
	load("");
	storm_end();
}

/* A removal hangs while the module is unloaded: it does not wait for it. */
static void during_removal(void)
{
	pid_t remover;

	load_devices();
	control("add", 0);
	load("");
	watch(instance(), DEVICES "0/block", IN_DELETE_SELF);
	remover = hang_removal(DEVICES "0/block", "del", 0);
	WAIT_FOR(status("pending"));
	unload();
	verify();
	finish_removal(remover);
	load("");
	verify_all_gone();
}

/*
 * A removal hangs in the midst of a storm, and the module goes: it does not
 * wait for the removal, and does not touch the node any more.
 */
static void during_removal_in_storm(void)
{
	enum { PLACES = 32 };
	pid_t remover;
	long begin;

	load_devices();
	control("add", 0);
	load("resync_seconds=0");
	watch(instance(), DEVICES "0/block", IN_DELETE_SELF);
	storm_begin((struct storm){ .places = PLACES, .look_up = true });
	remover = hang_removal(DEVICES "0/block", "del", 0);
	WAIT_FOR(status("pending"));
	WAIT_FOR(storm_removed() > PLACES);
	begin = now_ms();
	unload();
	note("rmmod took %ld ms", now_ms() - begin);
	if (now_ms() - begin > DEADLINE_MS)
		fail("rmmod took %ld ms", now_ms() - begin);
	poll(NULL, 0, long_run() ? 60000 : 1000);
	finish_removal(remover);
	poll(NULL, 0, long_run() ? 10000 : 500);
	load("resync_seconds=0");
	verify_all_gone();
	storm_end();
}

/* A program that relies on the module hears that it goes, as of any removal. */
static void own_directory(void)
{
	int inst = instance();

	/* No walk is to come that finds them. */
	load("resync_seconds=0");
	WAIT_FOR(status("resyncs") == 2);
	watch(inst, STATUS_DIR, IN_ALL_EVENTS);
	watch(inst, STATUS_DIR "/delivered", IN_ALL_EVENTS);
	unload();
	verify_all_gone();
}

const struct kdn_test tests[] = {
	{ "in_storm", in_storm },
	{ "during_removal", during_removal },
	{ "during_removal_in_storm", during_removal_in_storm },
	{ "own_directory", own_directory },
	{ }
};
