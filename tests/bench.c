// SPDX-License-Identifier: GPL-2.0-only
/*
 * bench.c - the init of a guest that measures what removals cost
 *
 * Meant for QEMU's -icount on one CPU, where time counts instructions: the
 * figures are those of rmdir and of all that the kernel does meanwhile, the
 * module's worker included.  The cases take turns within one boot; each figure
 * is the median of its rounds.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define ROUNDS	15
#define CGROUPS	60
#define TOP	"/sys/fs/cgroup"

static int inotify = -1;

static void fail(const char *what)
{
	printf("bench: %s: %s\n", what, strerror(errno));
	reboot(RB_POWER_OFF);
}

static char *path(int i, const char *file)
{
	static char text[128];

	snprintf(text, sizeof(text), TOP "/bench%d/%s", i, file);
	return text;
}

static void load(const char *name)
{
	char file[64];
	int fd;

	snprintf(file, sizeof(file), "/modules/%s.ko", name);
	fd = open(file, O_RDONLY);
	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		fail(file);
	close(fd);
}

static void unload(const char *name)
{
	if (syscall(SYS_delete_module, name, 0))
		fail(name);
}

static void watch(const char *file)
{
	if (inotify_add_watch(inotify, file, IN_DELETE_SELF) < 0)
		fail(file);
}

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

/* Nanoseconds, that is instructions, for each of CGROUPS removals. */
static long removals(int watched, int events)
{
	struct pollfd ready = { .fd = inotify, .events = POLLIN };
	char buf[4096];
	long start;
	int i, n;

	for (i = 0; i < CGROUPS; i++) {
		if (mkdir(path(i, ""), 0755))
			fail("mkdir");
		if (watched)
			watch(path(i, "memory.events"));
	}
	/* What loading and mkdir left to do later is not to be measured. */
	usleep(500000);
	start = now();
	for (i = 0; i < CGROUPS; i++)
		if (rmdir(path(i, "")))
			fail("rmdir");
	for (i = 0; i < events; i += n / (int)sizeof(struct inotify_event)) {
		if (poll(&ready, 1, 10000) != 1)
			fail("no event");
		n = read(inotify, buf, sizeof(buf));
	}
	return (now() - start) / CGROUPS;
}

static int by_value(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

static const struct bench {
	const char *name;
	const char *module;	/* loaded for this case */
	int elsewhere;		/* somebody watches another cgroup */
	int watched;		/* a file of each removed cgroup is watched */
	int events;		/* how many events that brings */
} cases[] = {
	{ "no probe", NULL, 0, 0, 0 },
	{ "a bare kprobe", "kdn_bare", 0, 0, 0 },
	{ "nobody watches", "kernfs_delete_notify", 0, 0, 0 },
	{ "a watch elsewhere", "kernfs_delete_notify", 1, 0, 0 },
	{ "no probe, one watch in each, told nothing", NULL, 0, 1, 0 },
	{ "one watch in each, told", "kernfs_delete_notify", 0, 1, 2 * CGROUPS },
};

#define CASES	ARRAY_SIZE(cases)

static long once(const struct bench *bench)
{
	long cost;

	inotify = inotify_init();
	if (bench->elsewhere) {
		mkdir(TOP "/elsewhere", 0755);
		watch(TOP "/elsewhere/memory.events");
	}
	if (bench->module)
		load(bench->module);
	cost = removals(bench->watched, bench->events);
	if (bench->module)
		unload(bench->module);
	close(inotify);
	rmdir(TOP "/elsewhere");
	return cost;
}

int main(void)
{
	static const char controllers[] = "+memory +pids +cpu +io +cpuset";
	static long cost[CASES][ROUNDS];
	unsigned int i, round;
	int fd;

	setbuf(stdout, NULL);
	mkdir("/sys", 0755);
	if (mount("sysfs", "/sys", "sysfs", 0, NULL) ||
	    mount("cgroup2", TOP, "cgroup2", 0, NULL))
		fail("mount");
	fd = open(TOP "/cgroup.subtree_control", O_WRONLY);
	if (write(fd, controllers, strlen(controllers)) !=
	    (ssize_t)strlen(controllers))
		fail("controllers");
	once(&cases[0]);
	for (round = 0; round < ROUNDS; round++)
		for (i = 0; i < CASES; i++)
			cost[i][round] = once(&cases[i]);
	printf("\ninstructions for the rmdir of a cgroup, median of %d rounds of %d\n",
	       ROUNDS, CGROUPS);
	for (i = 0; i < CASES; i++) {
		qsort(cost[i], ROUNDS, sizeof(long), by_value);
		printf("%8ld  %+5.1f %%  (%ld to %ld)  %s\n",
		       cost[i][ROUNDS / 2],
		       100.0 * cost[i][ROUNDS / 2] / cost[0][ROUNDS / 2] - 100,
		       cost[i][ROUNDS / 4], cost[i][3 * ROUNDS / 4],
		       cases[i].name);
	}
	reboot(RB_POWER_OFF);
	return 0;
}
