// SPDX-License-Identifier: GPL-2.0-only
/*
 * Superblocks come and go in the midst of a storm, with watches on them: cgroup
 * v1 hierarchies, and sysfs in network namespaces. What the module holds of
 * them while it works it gives back: no umount hangs, and the kernel does not
 * find busy inodes, which 'make check' would see in its log.
 */
#define _GNU_SOURCE
#include "kdn.h"
#include "storm.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

static int rounds(void)
{
	return long_run() ? 1000 : 25;
}

static long longest_umount;

static void unmount(const char *dir)
{
	long begin = now_ms(), took;

	if (umount(dir))
		fail("umount %s: %m", dir);
	took = now_ms() - begin;
	if (longest_umount < took)
		longest_umount = took;
	if (took > DEADLINE_MS)
		fail("umount took %ld ms", took);
}

static void place_there(int round, const char *path)
{
	int err = place_watch(round % INSTANCES, path, -1, MOUNTED);

	if (err) {
		errno = -err;
		fail("%s can't be watched: %m", path);
	}
}

/* Some of the watched files are removed, and some are unmounted with the rest. */
static void hierarchies(void)
{
	static const char top[] = "/tmp/hierarchy";
	struct account_sums sums;
	int i;

	mkdir(top, 0755);
	load("resync_seconds=0");
	storm_begin((struct storm){ .places = 32, .pause_ms = 5 });
	for (i = 0; i < rounds(); i++) {
		char *name = text("none,name=kdn%d", i % 7);
		char *dir = text("%s/cgroup", top);

		if (mount("cgroup", top, "cgroup", 0, name)) {
			if (i)
				fail("mounting %s: %m", name);
			skip("no cgroup v1: %m");
		}
		make_dir(dir);
		place_there(i, dir);
		place_there(i, text("%s/cgroup.procs", dir));
		place_there(i, text("%s/tasks", dir));
		place_there(i, text("%s/tasks", top));
		remove_dir(dir);
		poll(NULL, 0, i % 4);
		unmount(top);
		storm_over();
	}
	sums = storm_end();
	note("%d mounts; longest umount %ld ms", rounds(), longest_umount);
	if (sums.unmounted < rounds())
		fail("of %d unmounted files, the watchers of %d were told",
		     rounds(), sums.unmounted);
}

/* The namespace ends, and with it its devices; then its sysfs is unmounted. */
static void namespaces(void)
{
	int i;

	load("resync_seconds=0");
	storm_begin((struct storm){ .places = 32, .pause_ms = 5 });
	for (i = 0; i < rounds(); i++) {
		struct netns ns = netns_make(text("netns%d", i));

		place_there(i, text("%s/class/net/lo", ns.sysfs));
		place_there(i, text("%s/devices/virtual/net/lo", ns.sysfs));
		place_there(i, text("%s/devices/virtual/net/lo/mtu",
				    ns.sysfs));
		netns_end(&ns);
		poll(NULL, 0, 5 * (i % 8));
		unmount(ns.sysfs);
		storm_over();
	}
	storm_end();
	note("%d namespaces; longest umount %ld ms", rounds(), longest_umount);
}

static void mount_and_unmount(void *dir)
{
	if (unshare(CLONE_NEWNET))
		fail("unshare: %m");
	for (;;) {
		if (mount("sysfs", dir, "sysfs", 0, NULL) || umount(dir))
			fail("mount and umount of a sysfs: %m");
	}
}

/*
 * Somebody else's sysfs is mounted and unmounted all the time: the worker, when it
 * lists the superblocks, meets one that goes, and must not miss those behind it.
 */
static void others_unmount(void)
{
	static const char * const others[] = { "/tmp/other0", "/tmp/other1" };
	int inst = instance(), i;
	pid_t pids[2];

	if (!exists("/proc/self/ns/net"))
		skip("no network namespaces: CONFIG_NET_NS");
	for (i = 0; i < 2; i++)
		mkdir(others[i], 0755);
	load_devices();
	load("resync_seconds=0");
	for (i = 0; i < 2; i++)
		pids[i] = spawn(mount_and_unmount, (void *)others[i]);
	for (i = 0; i < 20 * rounds(); i++) {
		control("tree", 1);
		expect(watch(inst, LEAVES "/a0", IN_DELETE_SELF), GONE);
		control("tree", 0);
		if (i % 20 == 19) {
			verify();
			watch_count = 0;
		}
	}
	for (i = 0; i < 2; i++)
		if (ended(pids[i]))
			fail("nothing was mounted in the end");
}

const struct kdn_test tests[] = {
	{ "hierarchies", hierarchies },
	{ "namespaces", namespaces },
	{ "others_unmount", others_unmount },
	{ }
};
