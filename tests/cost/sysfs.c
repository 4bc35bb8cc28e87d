// SPDX-License-Identifier: GPL-2.0-only
/*
 * Removals in sysfs: a directory of 1,000 attributes; and a small directory, a
 * network device and a module, while sysfs has more and more superblocks, one for
 * each network namespace. Beside those, the rmdir of a cgroup, too.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define REMOVALS	10

/*
 * N: make the directory or the device, by the control file 'what' of kdn_test;
 * 0: remove it. For 'rmmod' it is kdn_test itself that comes and goes.
 */
static void set(const char *what, int n)
{
	if (strcmp(what, "rmmod"))
		control(what, n);
	else if (n)
		load_devices();
	else
		unload_module("kdn_test");
}

static long removals(const char *module, const char *what, int n, bool watched)
{
	int inst = listener(), i;
	long long sum = 0, was;

	load_module(module);
	for (i = 0; i < REMOVALS; i++) {
		set(what, n);
		if (watched)
			listen_to(inst, LEAVES "/a1");
		settle();
		was = busy();
		set(what, 0);
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
	removals(NULL, "tree", 1000, false);
	for (round = 0; round < 5; round++) {
		figure("device", "none", 0, round,
		       removals(NULL, "tree", 1000, false));
		figure("device", "module", 0, round,
		       removals(MODULE, "tree", 1000, false));
		elsewhere = listener();
		listen_to(elsewhere, "/sys/kernel/kdn_test");
		figure("device", "module", 1, round,
		       removals(MODULE, "tree", 1000, false));
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

/* Have n superblocks; in a part, n only grows. */
static void have_supers(int n)
{
	static const struct rlimit files = { 4096, 4096 };
	static int have = 1;

	setrlimit(RLIMIT_NOFILE, &files);
	for (; have < n; have++)
		add_super(have);
}

void part_supers(void)
{
	static const int supers[] = { 1, 10, 100, 1000 };
	int round;
	size_t i;

	load_devices();
	removals(NULL, "tree", 10, true);
	for (i = 0; i < ARRAY_SIZE(supers); i++) {
		have_supers(supers[i]);
		for (round = 0; round < 3; round++) {
			figure("supers", "none", supers[i], round,
			       removals(NULL, "tree", 10, true));
			figure("supers", "module", supers[i], round,
			       removals(MODULE, "tree", 10, true));
			figure("others", "none", supers[i], round,
			       cgroup_removal(NULL, false));
			figure("others", "module", supers[i], round,
			       cgroup_removal(MODULE, true));
		}
	}
}

/* The parts of one run after the other: the namespaces of the last go first. */
static const int namespaces[] = { 1, 100, 1000 };

/* Nobody watches sysfs, or somebody does, but nothing that is removed. */
static void beside_namespaces(const char *what, int n)
{
	int elsewhere, round;

	for (round = 0; round < 5; round++) {
		figure(what, "none", n, round, removals(NULL, what, 1, false));
		figure(what, "module", n, round,
		       removals(MODULE, what, 1, false));
		elsewhere = listener();
		listen_to(elsewhere, "/sys/kernel");
		figure(what, "elsewhere", n, round,
		       removals(MODULE, what, 1, false));
		close(elsewhere);
	}
}

void part_namespaces(void)
{
	size_t i;

	wait_for_idle();
	for (i = 0; i < ARRAY_SIZE(namespaces); i++) {
		have_supers(namespaces[i]);
		beside_namespaces("rmmod", namespaces[i]);
		load_devices();
		beside_namespaces("netdev", namespaces[i]);
		unload_module("kdn_test");
	}
}

/*
 * To compare native support with the module: one kernel with a patch for it and
 * the same kernel without measure this.
 */
void part_native(void)
{
	static const char * const modules[] = { NULL, MODULE };
	int round, n;
	size_t i, m;

	wait_for_idle();
	load_devices();
	for (i = 0; i < ARRAY_SIZE(namespaces); i++) {
		n = namespaces[i];
		have_supers(n);
		for (round = 0; round < 3; round++) {
			for (m = 0; m < ARRAY_SIZE(modules); m++) {
				figure("native", m ? "rmdir-module" : "rmdir",
				       n, round,
				       cgroup_removal(modules[m], false));
				figure("native", m ? "netdev-module" : "netdev",
				       n, round,
				       removals(modules[m], "netdev", 1, false));
			}
		}
	}
}
