// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is to be bounded: the time in the probe's handler; that of a resync, by
 * the inodes in the cache and by those that are watched; that of a load; memory;
 * and what runs when nothing happens.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void touch_leaves(int n)
{
	int i;

	for (i = 0; i < n; i++) {
		char path[64];

		snprintf(path, sizeof(path), LEAVES "/a%d", i);
		exists(path);
	}
}

/* The longest call of all that the removal of a tree of n files makes. */
static long longest_hit(int n, bool inodes)
{
	control("tree", n);
	if (inodes)
		touch_leaves(n);
	settle();
	get("/sys/kernel/kdn_bench/between");
	control("tree", 0);
	settle();
	return atol(get("/sys/kernel/kdn_bench/between"));
}

/* Between two probes, before and after the module's, and without the module. */
void part_handler(void)
{
	static const int sizes[] = { 1, 100, 400, 1000, 10000 };
	int with, round;
	size_t i;

	load_devices();
	busy();
	for (with = 0; with < 2; with++) {
		put("/sys/kernel/kdn_bench/last", "1");
		load_module(with ? MODULE : NULL);
		put("/sys/kernel/kdn_bench/first", "1");
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			for (round = 0; round < 3; round++) {
				figure("handler", with ? "module" : "none",
				       sizes[i], round,
				       longest_hit(sizes[i], true));
				figure("handler", with ? "noinode" : "none",
				       sizes[i], round,
				       longest_hit(sizes[i], false));
			}
		}
		put("/sys/kernel/kdn_bench/first", "0");
		unload_module(with ? MODULE : NULL);
		put("/sys/kernel/kdn_bench/last", "0");
	}
}

/*
 * The resync at load: so many inodes are cached, and ten of them are watched
 * and their nodes removed.
 */
void part_resync(void)
{
	static const int inodes[] = { 1, 10000, 50000, 99999 };
	int round, d;
	size_t i;

	load_devices();
	for (i = 0; i < ARRAY_SIZE(inodes); i++) {
		control("tree", inodes[i]);
		touch_leaves(inodes[i]);
		for (round = 0; round < 2; round++) {
			int inst = listener();
			long long was;

			for (d = 0; d < 10; d++) {
				control("add", d);
				listen_to(inst, text(DEVICES "%d/value", d));
				control("del", d);
			}
			settle();
			was = busy();
			load_module(MODULE);
			read_events_of(inst, 20);
			figure("resync", "module", inodes[i], round,
			       settled_since(was));
			unload_module(MODULE);
			close(inst);
		}
		control("tree", 0);
		drop_caches();
	}
}

/*
 * A walk over so many watched files, all of which stay. The module walks every
 * second; its timer does not wake an idle CPU, so something else has to.
 */
void part_walk(void)
{
	static const int files[] = { 1, 20000 };
	int inst = listener(), watched = 0, round, i;
	size_t n;

	load_devices();
	control("tree", files[1]);
	wait_for_idle();
	for (n = 0; n < ARRAY_SIZE(files); n++) {
		for (; watched < files[n]; watched++)
			listen_to(inst, text(LEAVES "/a%d", watched));
		load("resync_seconds=1");
		for (round = 0; round < 5; round++) {
			unsigned long walks;
			long long was;

			settle();
			walks = status("resyncs");
			was = busy();
			for (i = 0; i < 50; i++)
				usleep(100000);
			was = busy() - was;
			walks = status("resyncs") - walks;
			if (!walks)
				fail("there was no walk in five seconds");
			figure("walk", "module", files[n], round, was / walks);
		}
		unload();
	}
}

/* The load, until all that it has started has settled. */
void part_load(void)
{
	static const char * const modules[] = { "kdn_bare", MODULE };
	int round;
	size_t m;

	wait_for_idle();
	for (round = 0; round < 5; round++) {
		for (m = 0; m < ARRAY_SIZE(modules); m++) {
			long long was;

			settle();
			was = busy();
			load_module(modules[m]);
			figure("load", m ? "module" : "bare", 0, round,
			       settled_since(was));
			unload_module(modules[m]);
		}
	}
}

long kernel_memory(void)
{
	static const char * const kinds[] = {
		"Slab:", "KernelStack:", "PageTables:", "VmallocUsed:", "Percpu:",
	};
	FILE *file = fopen("/proc/meminfo", "re");
	char line[100];
	long sum = 0;
	size_t i;

	settle();
	while (file && fgets(line, sizeof(line), file))
		for (i = 0; i < ARRAY_SIZE(kinds); i++)
			if (!strncmp(line, kinds[i], strlen(kinds[i])))
				sum += atol(line + strlen(kinds[i]));
	if (!file)
		fail("/proc/meminfo: %m");
	fclose(file);
	return sum;
}

/* With what is there, more cgroups, and twenty watches in each of them. */
static void memory_of(const char *module, const char *what, int round)
{
	static const char * const files[] = {
		"cgroup.procs", "cgroup.threads", "cgroup.type", "cgroup.stat",
		"cgroup.events", "cgroup.freeze", "cgroup.max.depth",
		"cgroup.controllers", "cgroup.subtree_control",
		"cgroup.max.descendants", "memory.events", "memory.max",
		"memory.high", "memory.low", "memory.min", "memory.stat",
		"memory.current", "memory.oom.group", "pids.max", "pids.events",
	};
	long before, loaded, watched;
	int inst = listener(), i;
	size_t f;

	before = kernel_memory();
	load_module(module);
	loaded = kernel_memory();
	figure("memory", what, 0, round, loaded - before);
	make_cgroups("many", 500);
	for (i = 0; i < 500; i++)
		for (f = 0; f < ARRAY_SIZE(files); f++)
			listen_to(inst, text("%s/%s", cgroup("many", i), files[f]));
	watched = kernel_memory();
	figure("memory", what, 10000, round, watched - loaded);
	close(inst);
	remove_cgroups("many", 500);
	drop_caches();
	unload_module(module);
}

void part_memory(void)
{
	int round;

	memory_of(NULL, "first", 0);
	for (round = 0; round < 2; round++) {
		memory_of(NULL, "none", round);
		memory_of(MODULE, "module", round);
	}
}

long context_switches(void)
{
	FILE *file = fopen("/proc/stat", "re");
	char line[4096];
	long n = -1;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "ctxt %ld", &n) == 1)
			break;
	if (file)
		fclose(file);
	return n;
}

/* Five minutes without anything to do. */
void part_idle(void)
{
	int inst = listener(), round;

	make_cgroups("idle", 1);
	listen_to(inst, text("%s/cgroup.events", cgroup("idle", 0)));
	for (round = 0; round < 4; round++) {
		const char *module = round % 2 ? MODULE : NULL;
		long switches;

		load_module(module);
		sleep(2);
		switches = context_switches();
		sleep(300);
		figure("idle", module ? "module" : "none", 0, round,
		       context_switches() - switches);
		unload_module(module);
	}
}
