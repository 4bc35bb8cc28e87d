// SPDX-License-Identifier: GPL-2.0-only
/*
 * The probe: what it does not see is found, 'armed' says whether it sees, and
 * it never takes long.
 */
#include "kdn.h"
#include "storm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define FTRACE		"/proc/sys/kernel/ftrace_enabled"
#define PROBES		"/sys/kernel/kdn_probe"

/* Half of a storm goes unseen. When the probe is back, so are its watches. */
static void switched_off(void)
{
	int cgroups = long_run() ? 4000 : 300;

	if (!exists(KPROBES))
		skip("debugfs has no kprobes/enabled");
	load("resync_seconds=1");
	storm_begin((struct storm){ .cgroups = cgroups, .places = 32 });
	WAIT_FOR(storm_removed() > cgroups / 4);
	put(KPROBES, "0");
	WAIT_FOR(storm_removed() > 3 * cgroups / 4);
	put(KPROBES, "1");
	storm_end();
	note("%lu told by the resync", status("resync_found"));
	/* A kernel with native support may have told them all. */
	if (!status("resync_found") && !status("native"))
		fail("the resync found nothing, so the probe was never off");
}

static bool sees_removals(void)
{
	unsigned long before = status("removals");

	remove_dir(new_cgroup("seen"));
	return status("removals") != before;
}

/* Wait for two beats of the slow resync: one may be over by half. */
static void compare_armed(bool expected)
{
	unsigned long resyncs = status("resyncs");

	WAIT_FOR(status("resyncs") >= resyncs + 2);
	if (sees_removals() != expected || status("armed") != expected)
		fail("armed is %lu, but removals are %sseen", status("armed"),
		     sees_removals() ? "" : "not ");
}

/* However all probes are switched off, 'armed' knows before long. */
static void armed(void)
{
	int mark = log_mark();

	if (!exists(KPROBES))
		skip("debugfs has no kprobes/enabled");
	load("resync_seconds=1");
	WAIT_FOR(status("resyncs") >= 2);
	compare_armed(true);
	put(KPROBES, "0");
	compare_armed(false);
	if (!log_has(mark, MODULE, "removals are no longer seen",
		     "kprobes/enabled"))
		fail("the log does not tell that removals are no longer seen");
	put(KPROBES, "1");
	compare_armed(true);
	if (!log_has(mark, MODULE, "removals are seen again", ""))
		fail("the log does not tell that removals are seen again");
}

/* The same by the switch of ftrace, by which most probes work on amd64 */
static void armed_ftrace(void)
{
	bool seen;

	if (!exists(FTRACE))
		skip("no " FTRACE ": CONFIG_FUNCTION_TRACER");
	load("resync_seconds=1");
	/* The one at load, and one for watches that came late: no beats. */
	WAIT_FOR(status("resyncs") >= 2);
	if (try_put(FTRACE, "0"))
		skip(FTRACE " can't be switched off");
	seen = sees_removals();
	note("without ftrace, removals are %sseen", seen ? "" : "not ");
	compare_armed(seen);
	put(FTRACE, "1");
	compare_armed(true);
}

static char *load_probes(void)
{
	char *symbol;
	int err;

	load("");
	symbol = get(STATUS_DIR "/symbol");
	unload();
	err = try_load("kdn_probe", text("symbol=%s", symbol));
	if (err)
		fail("insmod of kdn_probe.ko: %s", strerror(-err));
	return symbol;
}

/*
 * A removal in the handler of another probe: there ours does not run. It has
 * been counted, so the next look at the rings has the resync find it.
 */
static void missed(void)
{
	char *dir = new_cgroup("missed");
	int inst = instance(), err;
	struct utsname kernel;

	/* RHEL 8's, where ftrace drops a call within a call, and counts nothing */
	if (!uname(&kernel) && atoi(kernel.release) < 5)
		skip("this kernel does not count what a probe misses");
	load_probes();
	load("resync_seconds=0");
	watch(inst, PROBES "/victim", IN_ALL_EVENTS);
	watch(inst, text("%s/cgroup.events", dir), IN_ALL_EVENTS);
	/*
	 * A handler that sleeps or is moved to another CPU is outside of the probe,
	 * and does not count as missed: wait for the walks, which take kernfs's
	 * lock, and stay here.
	 */
	WAIT_FOR(status("resyncs") >= 2);
	run_on(0);
	err = try_put(PROBES "/miss", "1");
	if (err == -EOPNOTSUPP)
		skip("this kernel does not allow a removal in a probe's handler");
	if (err)
		fail("miss: %s", strerror(-err));
	if (exists(PROBES "/victim"))
		fail("the file was not removed");
	if (!status("missed"))
		fail("the probe missed nothing");
	remove_dir(dir);
	verify_all_gone();
}

/* How long the handler took for the removal of a directory of N files */
static long handler_ns(int n)
{
	control("tree", n);
	free(get(PROBES "/longest"));
	control("tree", 0);
	return atol(get(PROBES "/longest"));
}

static int compare(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

/*
 * One call removes 20,000 files, each with an inode: the handler stops after
 * 512. The rest is found by the resync. How long it takes is only shown: on a
 * busy machine, nodes that are far apart in memory may take twenty times as long
 * as others; 'make bench' has the exact figure.
 */
static void large_subtree(void)
{
	enum { RUNS = 7, SMALL = 600, LARGE = 20000, WALK = 512 };
	long small[RUNS], large[RUNS];
	/* On a slow kernel each run takes half a minute. */
	int runs = slowness() > 1 ? 2 : RUNS;
	unsigned long noted;
	int inst = instance(), i;

	load_probes();
	load_devices();
	load("resync_seconds=0");
	put(PROBES "/begin", "1");
	for (i = 0; i < runs; i++) {
		small[i] = handler_ns(SMALL);
		large[i] = handler_ns(LARGE);
	}
	qsort(small, runs, sizeof(*small), compare);
	qsort(large, runs, sizeof(*large), compare);
	note("handler, %d files: shortest %ld ns, median %ld ns, longest %ld ns",
	     SMALL, small[0], small[runs / 2], small[runs - 1]);
	note("handler, %d files: shortest %ld ns, median %ld ns, longest %ld ns",
	     LARGE, large[0], large[runs / 2], large[runs - 1]);

	control("tree", LARGE);
	for (i = 0; i < LARGE; i++) {
		char *path = text(LEAVES "/a%d", i);

		if (i % 10 == 0) {
			watch(inst, path, IN_ALL_EVENTS);
		} else {
			exists(path);
			free(path);
		}
	}
	noted = status("noted");
	control("tree", 0);
	noted = status("noted") - noted;
	if (!noted || noted > WALK)
		fail("the handler noted %lu files", noted);
	verify_all_gone();
	if (!status("overflows") || !status("resync_found"))
		fail("overflows %lu, found by resync %lu",
		     status("overflows"), status("resync_found"));
	note("noted %lu, overflows %lu, found by resync %lu of %d", noted,
	     status("overflows"), status("resync_found"), LARGE / 10);
}

const struct kdn_test tests[] = {
	{ "switched_off", switched_off },
	{ "armed", armed },
	{ "armed_ftrace", armed_ftrace },
	{ "missed", missed },
	{ "large_subtree", large_subtree },
	{ }
};
