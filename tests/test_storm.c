// SPDX-License-Identifier: GPL-2.0-only
/*
 * Storms: nothing is lost and nothing doubled, however many cgroups go at once
 * and whatever happens meanwhile. storm.h tells what a storm is. The slow
 * resync is off in all of them: it would make good what the module loses.
 */
#define _GNU_SOURCE
#include "kdn.h"
#include "storm.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

/* Ten thousand cgroups; less where there's little time */
#define SHORT		20
#define CGROUPS_ALL	10000

static int scaled(int n)
{
	return long_run() ? n : n / SHORT / slowness();
}

static void note_counters(void)
{
	note("removals %lu, noted %lu, found %lu, delivered %lu",
	     status("removals"), status("noted"), status("found"),
	     status("delivered"));
	note("overflows %lu, missed %lu, resyncs %lu, resync_found %lu",
	     status("overflows"), status("missed"), status("resyncs"),
	     status("resync_found"));
}

/* However many go at once, and however late a watch was: all are told in time. */
static struct account_sums end_in_time(void)
{
	struct account_sums sums = storm_end();

	note_counters();
	if (sums.longest_ms > soon_ms() || sums.longest_late_ms > soon_ms())
		fail("told after up to %ld ms, late watches %ld ms, %ld are allowed",
		     sums.longest_ms, sums.longest_late_ms, soon_ms());
	return sums;
}

/* With rings that are large enough, and with nothing but removals */
static void rings(void)
{
	struct account_sums sums;

	load("resync_seconds=0");
	storm_begin((struct storm){ .cgroups = scaled(CGROUPS_ALL) });
	sums = end_in_time();
	if (sums.overflows)
		fail("the readers were too slow");
	if (status("missed"))
		fail("the probe missed %lu removals", status("missed"));
	/* On others the kernel itself tells most of them. */
	if (!status("native") &&
	    status("delivered") != (unsigned long)sums.placed)
		fail("%d watches, %lu of them told by the module", sums.placed,
		     status("delivered"));
}

/* With the smallest rings there are, and more inodes than those hold. */
static void small_rings(void)
{
	load("ring_size=16 resync_seconds=0");
	storm_begin((struct storm){
		.cgroups = scaled(CGROUPS_ALL),
		.look_up = true,
	});
	end_in_time();
	if (!lost_and_found())
		fail("rings of 16 have held it all");
}

/* Whoever gets a watch is told, however late it was. */
static void tell_latecomers(const char *parameters)
{
	load(parameters);
	storm_begin((struct storm){
		.cgroups = scaled(CGROUPS_ALL),
		.places = 16,
		.late = true,
	});
	if (!end_in_time().late)
		fail("no watch was late");
}

static void late_watches(void)
{
	tell_latecomers("resync_seconds=0");
}

/*
 * The file was found before its removal, but it takes long until its watch is
 * placed. This does it by way of a descriptor, which counts as much.
 */
static void slow_latecomer(int pause_ms)
{
	char *dir = new_cgroup(text("slow%d", pause_ms));
	int fd = open(text("%s/cgroup.events", dir), O_PATH | O_CLOEXEC);
	long begin;

	remove_dir(dir);
	poll(NULL, 0, pause_ms);
	begin = granted_ms();
	watch(instance(), text("/proc/self/fd/%d", fd), IN_ALL_EVENTS);
	expect_all(GONE);
	note("a watch %d ms after the removal:", pause_ms);
	verify_soon(begin);
	watch_count = 0;
	close(fd);
}

static void slow_latecomers(void)
{
	int inst = instance(), pause_ms;

	if (inotify_add_watch(inst, CGROUPS "/cgroup.procs", IN_MODIFY) < 0)
		fail("cgroup.procs can't be watched: %m");
	load("resync_seconds=0");
	for (pause_ms = 0; pause_ms <= 1500; pause_ms += 300)
		slow_latecomer(pause_ms);
}

static void late_watches_small_rings(void)
{
	tell_latecomers("resync_seconds=0 ring_size=16");
}

const struct kdn_test tests[] = {
	{ "rings", rings },
	{ "small_rings", small_rings },
	{ "late_watches", late_watches },
	{ "slow_latecomers", slow_latecomers },
	{ "late_watches_small_rings", late_watches_small_rings },
	{ }
};
