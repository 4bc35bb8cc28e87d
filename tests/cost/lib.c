// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the parts of the bench share, see bench.h.
 */
#include "bench.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define IDLE "/sys/kernel/kdn_bench/idle"

void figure(const char *part, const char *what, long x, int round,
	    long long value)
{
	printf("%s,%s,%ld,%d,%lld\n", part, what, x, round, value);
}

long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

long long busy(void)
{
	static int fd = -1;
	char idle[32] = "";

	if (fd < 0) {
		int err = try_load("kdn_bench", "");

		if (err)
			fail("insmod of kdn_bench.ko: %s", strerror(-err));
		fd = open(IDLE, O_RDONLY | O_CLOEXEC);
	}
	if (pread(fd, idle, sizeof(idle) - 1, 0) <= 0)
		fail(IDLE ": %m");
	return sysconf(_SC_NPROCESSORS_ONLN) * now_ns() - atoll(idle);
}

void settle(void)
{
	usleep(SETTLE_US);
}

void wait_for_idle(void)
{
	long deadline = now_ms() + DEADLINE_MS;
	long long was = busy();

	/* A hundredth of the time, in nanoseconds */
	while (settled_since(was) > 10 * SETTLE_US) {
		wait_a_little(deadline, "the machine to be idle");
		was = busy();
	}
}

long long settled_since(long long was_busy)
{
	settle();
	return busy() - was_busy;
}

void load_module(const char *name)
{
	int err = name ? try_load(name, "") : 0;

	if (err)
		fail("insmod of %s.ko: %s", name, strerror(-err));
}

void unload_module(const char *name)
{
	int err = name ? try_unload(name) : 0;

	if (err)
		fail("rmmod of %s: %s", name, strerror(-err));
}

int listener(void)
{
	put("/proc/sys/fs/inotify/max_user_watches", "100000");
	put("/proc/sys/fs/inotify/max_queued_events", "100000");
	return instance();
}

void listen_to(int inst, const char *path)
{
	if (inotify_add_watch(inst, path, IN_DELETE_SELF) < 0)
		fail("%s can't be watched: %m", path);
}

void read_events_of(int inst, int events)
{
	struct pollfd ready = { .fd = inst, .events = POLLIN };
	char buffer[4096];
	ssize_t n;

	for (; events > 0; events -= n / (int)sizeof(struct inotify_event)) {
		if (poll(&ready, 1, DEADLINE_MS) != 1)
			fail("%d events did not come", events);
		n = read(inst, buffer, sizeof(buffer));
		if (n < 0)
			fail("reading an inotify instance: %m");
	}
}

/* Like text(), but the next call takes the memory again. */
char *cgroup(const char *name, int i)
{
	static char path[128];

	snprintf(path, sizeof(path), CGROUPS "/kdn/%s%d", name, i);
	return path;
}

void make_cgroups(const char *name, int n)
{
	static const char on[] = "+memory +pids +cpu +io +cpuset";
	int i;

	if (!exists(CGROUPS "/kdn")) {
		put(CGROUPS "/cgroup.subtree_control", on);
		make_dir(CGROUPS "/kdn");
		put(CGROUPS "/kdn/cgroup.subtree_control", on);
	}
	for (i = 0; i < n; i++)
		make_dir(cgroup(name, i));
}

void remove_cgroups(const char *name, int n)
{
	int i;

	for (i = 0; i < n; i++)
		remove_dir(cgroup(name, i));
}
