// SPDX-License-Identifier: GPL-2.0-only
/*
 * sysfs: devices and directories that go away, in all the ways there are.
 */
#include "kdn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Watch nodes of all types of the test device 0. */
static void watch_device(int inst, unsigned int mask)
{
	watch(inst, DEVICES "0", mask);
	watch(inst, DEVICES "0/value", mask);
	watch(inst, DEVICES "0/dev", mask);
	watch(inst, DEVICES "0/group", mask);
	watch(inst, DEVICES "0/group/value", mask);
	if (exists(DEVICES "0/power")) /* with CONFIG_PM */
		watch(inst, DEVICES "0/power", mask);
	watch(inst, DEVICES "0/subsystem", mask | IN_DONT_FOLLOW);
	watch(inst, "/sys/class/misc/kdn_test0", mask | IN_DONT_FOLLOW);
}

/*
 * A device goes: its directory, attributes, the group with its attribute, and
 * the symlinks in it and to it.
 */
static void device(void)
{
	load_devices();
	control("add", 0);
	load("");
	watch_device(instance(), IN_ALL_EVENTS);
	control("del", 0);
	verify_all_gone();
}

/*
 * A device removes itself by its own attribute: kernfs_remove_self(), which
 * __kernfs_remove() meets again when the device's directory goes.
 */
static void remove_self(void)
{
	int inst = instance();

	load_devices();
	control("add", 0);
	load("");
	watch_device(inst, IN_DELETE_SELF | IN_ATTRIB | IN_DELETE);
	watch(inst, DEVICES "0/remove", IN_DELETE_SELF);
	put(DEVICES "0/remove", "1");
	verify_all_gone();
}

/* Nothing is said to the parents, nor to the neighbour device. */
static void neighbours(void)
{
	int inst = instance();

	load_devices();
	control("add", 0);
	control("add", 1);
	load("");
	watch(inst, "/sys/devices/virtual/misc", IN_ALL_EVENTS);
	watch(inst, "/sys/class/misc", IN_ALL_EVENTS);
	watch(inst, DEVICES "1", IN_ALL_EVENTS);
	watch(inst, DEVICES "1/value", IN_ALL_EVENTS);
	watch(inst, DEVICES "1/subsystem", IN_ALL_EVENTS | IN_DONT_FOLLOW);
	expect(watch(inst, DEVICES "0/value", IN_ALL_EVENTS), GONE);
	control("del", 0);
	verify();
}

/* A device comes back by the same name: the new one's watches are untouched. */
static void same_name_again(void)
{
	int inst = instance(), i;
	struct watch *w;

	load_devices();
	control("add", 0);
	load("");
	w = watch(inst, DEVICES "0/value", IN_ALL_EVENTS);
	for (i = 0; i < 5; i++) {
		control("del", 0);
		control("add", 0);
		expect(w, GONE);
		w = watch(inst, DEVICES "0/value", IN_ALL_EVENTS);
		verify();
	}
}

/* The attribute of a device that goes is held open: ENODEV, as before. */
static void open_file(void)
{
	char c;
	int fd;

	load_devices();
	control("add", 0);
	fd = hold_open(DEVICES "0/value");
	load("");
	watch(instance(), DEVICES "0/value", IN_ALL_EVENTS);
	control("del", 0);
	verify_all_gone();
	if (pread(fd, &c, 1, 0) >= 0 || errno != ENODEV)
		fail("read() of the removed file: expected ENODEV, got: %m");
}

/* A module goes, and with it /sys/module/NAME. */
static void module_directory(void)
{
	int inst = instance(), err;

	load_devices();
	load("");
	watch(inst, "/sys/module/kdn_test", IN_ALL_EVENTS);
	watch(inst, "/sys/module/kdn_test/refcnt", IN_ALL_EVENTS);
	watch(inst, "/sys/module/kdn_test/sections", IN_ALL_EVENTS);
	watch(inst, "/sys/kernel/kdn_test", IN_ALL_EVENTS);
	watch(inst, "/sys/kernel/kdn_test/add", IN_ALL_EVENTS);
	err = try_unload("kdn_test");
	if (err)
		fail("kdn_test.ko does not unload: error %d", err);
	verify_all_gone();
}

/* A CPU goes offline: its topology and its caches are no more. */
static void cpu_offline(void)
{
	static const char * const nodes[] = {
		"topology", "topology/core_id", "cache", "cache/index0",
		"cache/index0/size", "cpufreq", "thermal_throttle",
	};
	static const char cpu[] = "/sys/devices/system/cpu/cpu1";
	int inst = instance(), n = 0;
	size_t i;

	if (!exists(text("%s/online", cpu)))
		skip("there's no second CPU that can go offline");
	load("");
	for (i = 0; i < ARRAY_SIZE(nodes); i++)
		if (exists(text("%s/%s", cpu, nodes[i])) && ++n)
			expect(watch(inst, text("%s/%s", cpu, nodes[i]),
				     IN_ALL_EVENTS), GONE);
	if (!n)
		skip("nothing in sysfs goes away with a CPU");
	watch(inst, cpu, IN_DELETE | IN_ATTRIB | IN_DELETE_SELF);
	put(text("%s/online", cpu), "0");
	verify();
	put(text("%s/online", cpu), "1");
	verify();
}

/* One call removes a directory of 1000 files, each of them watched. */
static void subtree(void)
{
	int inst = instance(), i;

	load_devices();
	control("tree", 1000);
	load("");
	for (i = 0; i < 1000; i++)
		watch(inst, text(LEAVES "/a%d", i), IN_ALL_EVENTS);
	watch(inst, LEAVES, IN_ALL_EVENTS);
	control("tree", 0);
	verify_all_gone();
}

struct lookups {
	int dir;
	atomic_bool stop;
};

static void look_up(void *shared)
{
	struct lookups *l = shared;
	unsigned long i;
	struct stat st;
	char name[40];

	for (i = 0; !l->stop; i++) {
		snprintf(name, sizeof(name), "%d.%lu", getpid(), i);
		fstatat(l->dir, name, &st, 0);
	}
}

/*
 * Who has a removed directory open looks up one name after another in it, and
 * leaves a dentry each time. Others are told meanwhile; its own watcher when it is
 * closed, and not before.
 */
static void lookups(void)
{
	struct lookups *l = share(sizeof(*l));
	int inst = instance();
	pid_t pids[4];
	size_t i;

	load_devices();
	control("add", 0);
	control("add", 1);
	l->dir = hold_dir_open(DEVICES "0");
	load("");
	watch(inst, DEVICES "0", IN_DELETE_SELF);
	watch(inst, DEVICES "1/value", IN_ALL_EVENTS);
	for (i = 0; i < ARRAY_SIZE(pids); i++)
		pids[i] = spawn(look_up, l);
	control("del", 0);
	verify();
	control("del", 1);
	expect(&watches[1], GONE);
	verify();
	l->stop = true;
	for (i = 0; i < ARRAY_SIZE(pids); i++)
		end_of(pids[i]);
	close(l->dir);
	drop_caches();
	expect(&watches[0], GONE);
	verify();
}

static void rename_on(void *unused)
{
	char *a = text("/tmp/%d.a", getpid()), *b = text("/tmp/%d.b", getpid());

	(void)unused;
	close(open(a, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	for (;;) {
		if (rename(a, b) || rename(b, a))
			fail("rename: %m");
	}
}

/*
 * Files are renamed elsewhere all the time, while it is looked whether a directory
 * with others in it is open.
 */
static void renames(void)
{
	int inst = instance(), i;
	pid_t pids[4];

	load_devices();
	load("");
	for (i = 0; i < 16; i++) {
		control("add", i);
		watch(inst, text(DEVICES "%d", i), IN_DELETE_SELF);
		watch(inst, text(DEVICES "%d/group", i), IN_DELETE_SELF);
	}
	for (i = 0; i < 4; i++)
		pids[i] = spawn(rename_on, NULL);
	for (i = 0; i < 16; i++)
		control("del", i);
	verify_all_gone();
	for (i = 0; i < 4; i++)
		if (ended(pids[i]))
			fail("nobody renames any more");
}

/*
 * Others rename files all the time, elsewhere.  To look whether a directory of
 * many names is open takes longer than a rename does.  It is told all the same.
 */
static void renames_elsewhere(void)
{
	pid_t pid;
	long begin;
	int i;

	load_devices();
	control("tree", 2000);
	load("resync_seconds=0");
	WAIT_FOR(status("resyncs") == 2);
	watch(instance(), LEAVES, IN_DELETE_SELF);
	for (i = 0; i < 2000; i++) {
		char path[64];

		snprintf(path, sizeof(path), LEAVES "/a%d", i);
		exists(path);
	}
	pid = spawn(rename_on, NULL);
	control("tree", 0);
	begin = now_ms();
	verify_all_gone();
	note("told after %ld ms", now_ms() - begin - QUIET_MS);
	if (ended(pid))
		fail("nobody renames any more");
}

const struct kdn_test tests[] = {
	{ "device", device },
	{ "remove_self", remove_self },
	{ "neighbours", neighbours },
	{ "same_name_again", same_name_again },
	{ "open_file", open_file },
	{ "module_directory", module_directory },
	{ "cpu_offline", cpu_offline },
	{ "subtree", subtree },
	{ "lookups", lookups },
	{ "renames", renames },
	{ "renames_elsewhere", renames_elsewhere },
	{ }
};
