// SPDX-License-Identifier: GPL-2.0-only
/*
 * Removals in sysfs: a directory of 1,000 attributes; one of few, and a cgroup,
 * while sysfs has more and more superblocks: each network namespace has its own.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define REMOVALS	10

/* Directories that are removed whole, by a single call. */
static long removals(const char *module, int attributes, bool watched)
{
	int inst = listener(), i;
	long sum = 0, was;

	load_module(module);
	for (i = 0; i < REMOVALS; i++) {
		control("tree", attributes);
		if (watched)
			listen_to(inst, LEAVES "/a1");
		settle();
		was = busy();
		control("tree", 0);
		if (watched && module)
			read_events_of(inst, 2);
		sum += settled_since(was);
	}
	unload_module(module);
	close(inst);
	return sum / REMOVALS;
}

void part_device(void)
{
	int elsewhere, round;

	load_devices();
	removals(NULL, 1000, false);
	for (round = 0; round < 5; round++) {
		figure("device", "none", 0, round, removals(NULL, 1000, false));
		figure("device", "module", 0, round,
		       removals(MODULE, 1000, false));
		elsewhere = listener();
		listen_to(elsewhere, "/sys/kernel/kdn_test");
		figure("device", "module", 1, round,
		       removals(MODULE, 1000, false));
		close(elsewhere);
	}
}

/* A network namespace, and a sysfs that shows it. */
static void add_super(int i)
{
	char *dir = text("/tmp/super%d", i);

	if (unshare(CLONE_NEWNET))
		skip("no network namespaces: CONFIG_NET_NS");
	mount_at(dir, "sysfs", "");
	if (open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC) < 0)
		fail("/proc/self/ns/net: %m");
}

void part_supers(void)
{
	static const int supers[] = { 1, 10, 100, 1000 };
	struct rlimit files = { 4096, 4096 };
	int have = 1, round;
	size_t i;

	setrlimit(RLIMIT_NOFILE, &files);
	load_devices();
	removals(NULL, 10, true);
	for (i = 0; i < ARRAY_SIZE(supers); i++) {
		for (; have < supers[i]; have++)
			add_super(have);
		for (round = 0; round < 3; round++) {
			figure("supers", "none", supers[i], round,
			       removals(NULL, 10, true));
			figure("supers", "module", supers[i], round,
			       removals(MODULE, 10, true));
			figure("others", "none", supers[i], round,
			       cgroup_removal(false));
			figure("others", "module", supers[i], round,
			       cgroup_removal(true));
		}
	}
}
