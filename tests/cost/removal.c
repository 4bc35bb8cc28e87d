// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rmdir of a cgroup with five controllers: nobody watches; watches are
 * elsewhere; a file of each removed cgroup is watched, and the events are read.
 *
 * The cases take turns. What is measured is all that the machine does from the
 * first rmdir to the end of the last one, or to the last event: the module's
 * worker, too. With a pause after each, it is all that comes of the removal, at
 * once or later: the worker is woken for each of them then, and has to wait for
 * the next.
 */
#include "bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define CGROUPS_EACH	60
#define PAUSE_US	10000

/* Watches elsewhere: on the files of so many cgroups, which are always there. */
#define ELSEWHERE	200

struct work {
	const char *what;	/* the name of the case */
	const char *module;	/* is loaded */
	bool watched;		/* a file of each removed cgroup is */
	bool told;		/* and that brings events */
	bool spaced;		/* there is a pause after each */
};

static long removals(const struct work *work)
{
	int inst = listener(), i;
	long long was;

	make_cgroups("removed", CGROUPS_EACH);
	for (i = 0; i < CGROUPS_EACH && work->watched; i++)
		listen_to(inst, text("%s/memory.events", cgroup("removed", i)));
	load_module(work->module);
	settle();
	was = busy();
	for (i = 0; i < CGROUPS_EACH; i++) {
		remove_dir(cgroup("removed", i));
		if (work->spaced && work->told)
			read_events_of(inst, 2);
		if (work->spaced)
			usleep(PAUSE_US);
	}
	if (work->told && !work->spaced)
		read_events_of(inst, 2 * CGROUPS_EACH);
	/* What comes later counts as well. */
	was = settled_since(was);
	unload_module(work->module);
	close(inst);
	return was / CGROUPS_EACH;
}

static const struct work unwatched[] = {
	{ .what = "none" },
	{ .what = "bare", .module = "kdn_bare" },
	{ .what = "module", .module = MODULE },
};

static const struct work spaced[] = {
	{ .what = "none", .spaced = true },
	{ .what = "bare", .module = "kdn_bare", .spaced = true },
	{ .what = "module", .module = MODULE, .spaced = true },
	{ .what = "told", .module = MODULE, .spaced = true,
	  .watched = true, .told = true },
};

/* All in turn, so many times. */
static void measure(const char *part, const struct work *works, int n, long x,
		    int rounds)
{
	int round, i;

	for (round = 0; round < rounds; round++)
		for (i = 0; i < n; i++)
			figure(part, works[i].what, x, round,
			       removals(&works[i]));
}

long cgroup_removal(const char *module, bool told)
{
	const struct work work = {
		.module = module, .spaced = true, .watched = told, .told = told,
	};

	return removals(&work);
}

/* The kernel's own work of telling, and ours of reading, on a tmpfs. */
static long tmpfs_removals(bool told)
{
	int inst = listener(), i;
	long long was;

	for (i = 0; i < CGROUPS_EACH; i++) {
		char *path = text("/tmp/removed%d", i);

		close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
		if (told)
			listen_to(inst, path);
	}
	settle();
	was = busy();
	for (i = 0; i < CGROUPS_EACH; i++)
		unlink(text("/tmp/removed%d", i));
	if (told)
		read_events_of(inst, 2 * CGROUPS_EACH);
	was = busy() - was;
	close(inst);
	return was / CGROUPS_EACH;
}

/* Watch n files of the cgroups elsewhere; the same for the same n. */
static int watch_elsewhere(int n)
{
	static const char * const files[] = {
		"cgroup.procs", "cgroup.threads", "cgroup.type", "cgroup.stat",
		"cgroup.events", "cgroup.controllers", "cgroup.freeze",
		"cgroup.subtree_control", "cgroup.max.depth",
		"cgroup.max.descendants", "memory.current", "memory.min",
		"memory.low", "memory.high", "memory.max", "memory.events",
		"memory.stat", "memory.oom.group", "memory.events.local",
		"memory.swap.current", "memory.swap.max", "memory.swap.events",
		"memory.swap.high", "memory.numa_stat", "pids.current",
		"pids.max", "pids.events", "cpu.stat", "cpu.weight", "cpu.max",
		"cpu.weight.nice", "cpu.max.burst", "cpu.idle", "io.stat",
		"io.max", "cpuset.cpus", "cpuset.mems",
		"cpuset.cpus.effective", "cpuset.mems.effective",
		"cpuset.cpus.partition", "cpu.pressure", "memory.pressure",
		"io.pressure", "cgroup.kill", "memory.peak", "cpu.uclamp.min",
		"cpu.uclamp.max", "memory.reclaim", "cgroup.pressure", ".",
		"memory.zswap.current", "memory.zswap.max",
	};
	int elsewhere = listener(), placed = 0, i;
	size_t f;

	for (f = 0; f < ARRAY_SIZE(files) && placed < n; f++)
		for (i = 0; i < ELSEWHERE && placed < n; i++)
			placed += inotify_add_watch(elsewhere,
				text("%s/%s", cgroup("elsewhere", i), files[f]),
				IN_DELETE_SELF) >= 0;
	if (placed < n)
		note("%d watches elsewhere is all there is room for", placed);
	return elsewhere;
}

/* Only what the guard needs. */
void part_guard(void)
{
	removals(&unwatched[0]);
	measure("guard", unwatched, ARRAY_SIZE(unwatched), 0, 7);
}

void part_removal(void)
{
	static const int watches[] = { 0, 1, 100, 10000 };
	struct work told = { .module = MODULE, .watched = true, .told = true };
	struct work alone = { .watched = true };
	int round, elsewhere;
	size_t i;

	make_cgroups("elsewhere", ELSEWHERE);
	alone.told = kernel_is_native();
	removals(&unwatched[0]);
	for (i = 0; i < ARRAY_SIZE(watches); i++) {
		elsewhere = watch_elsewhere(watches[i]);
		measure("removal", unwatched, ARRAY_SIZE(unwatched), watches[i],
			5);
		close(elsewhere);
	}
	for (round = 0; round < 5; round++) {
		figure("watched", alone.told ? "native" : "none", 1, round,
		       removals(&alone));
		figure("watched", "module", 1, round, removals(&told));
		figure("tmpfs", "none", 0, round, tmpfs_removals(false));
		figure("tmpfs", "told", 1, round, tmpfs_removals(true));
	}
	measure("spaced", spaced, ARRAY_SIZE(spaced), 0, 3);
	remove_cgroups("elsewhere", ELSEWHERE);
}

/* The same, the more cgroups there are. */
void part_cgroups(void)
{
	static const int others[] = { 1, 10, 100, 1000 };
	size_t i;

	removals(&unwatched[0]);
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		make_cgroups("other", others[i]);
		measure("cgroups", unwatched, ARRAY_SIZE(unwatched), others[i],
			3);
		remove_cgroups("other", others[i]);
	}
}
