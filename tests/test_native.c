// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel says by itself, and that with the module every kernel says
 * the same. Kernels before 7.1 are silent; later ones, and those with a
 * backport, tell of some removals and not of others.
 */
#define _GNU_SOURCE		/* for O_PATH */
#include "kdn.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define V1	"/tmp/cgroup1"

static char *dirs[4];

/*
 * Removals of every kind, each watched, in two steps: what's to be removed is
 * made and watched, and then removed.
 */
static void prepare(void)
{
	static const char * const names[] = {
		"dentry_dropped", "rmdir", "held_open", "controller"
	};
	int inst = instance();
	size_t i;

	need_controllers();
	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		dirs[i] = new_cgroup(names[i]);
		watch(inst, dirs[i], IN_DELETE_SELF);
		watch(inst, text("%s/memory.events", dirs[i]), IN_ALL_EVENTS);
		if (i == 0)
			drop_caches();
	}
	hold_open(text("%s/pids.max", dirs[2]));
	watch(inst, text("%s/pids.max", dirs[2]), IN_ALL_EVENTS);
	put(text("%s/cgroup.subtree_control", dirs[3]), "+pids");
	make_dir(text("%s/child", dirs[3]));
	watch(inst, text("%s/child/pids.max", dirs[3]), IN_ALL_EVENTS);

	mkdir(V1, 0755);
	if (!mount("cgroup", V1, "cgroup", 0, "none,name=kdn")) {
		make_dir(V1 "/v1");
		watch(inst, V1 "/v1/cgroup.procs", IN_ALL_EVENTS);
	}

	load_devices();
	control("add", 0);
	watch(inst, DEVICES "0", IN_ALL_EVENTS);
	watch(inst, DEVICES "0/value", IN_ALL_EVENTS);
	watch(inst, DEVICES "0/subsystem", IN_ALL_EVENTS | IN_DONT_FOLLOW);
}

static void remove_all(void)
{
	size_t i;

	put(text("%s/cgroup.subtree_control", dirs[3]), "-pids");
	remove_dir(text("%s/child", dirs[3]));
	for (i = 0; i < ARRAY_SIZE(dirs); i++)
		remove_dir(dirs[i]);
	if (exists(V1 "/v1"))
		remove_dir(V1 "/v1");
	control("del", 0);
}

/*
 * Without the module, a kernel without native support says nothing at all. Of
 * one with it, it is noted what it says; there is nothing but the usual.
 */
static void kernel_alone(void)
{
	bool native = kernel_is_native();
	int i;

	note("this kernel has %s native support", native ? "a" : "no");
	prepare();
	remove_all();
	if (native)
		expect_all(" or " GONE);
	collect();
	for (i = 0; native && i < watch_count; i++)
		note("%s: '%s'", watches[i].path, watches[i].got);
	verify();
}

/* The module knows whether the kernel has native support. */
static void answer(void)
{
	bool native = kernel_is_native();

	load("");
	note("fact symbol %s", get(STATUS_DIR "/symbol"));
	note("fact native %s", status("native") ? "yes" : "no");
	if (status("native") != native)
		fail("the file 'native' says %lu, the kernel behaves as %d",
		     status("native"), native);
}

/* The module is there: the same everywhere, and exactly once. */
static void with_module(void)
{
	load("");
	prepare();
	remove_all();
	verify_all_gone();
}

/*
 * Watches that were orphaned before the module came are served when it comes,
 * unless the kernel did it by itself; and none twice.
 */
static void orphans(void)
{
	prepare();
	remove_all();
	collect();
	load("");
	verify_all_gone();
}

/* A ruleset of Landlock, which holds each inode that it has a rule for */
static int ruleset(void)
{
	struct landlock_ruleset_attr attr = {
		.handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE,
	};
	int fd = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	if (fd < 0)
		skip("no Landlock: %m");
	return fd;
}

static void add_rule(int set, const char *path)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE,
		.parent_fd = open(path, O_PATH | O_CLOEXEC),
	};

	if (syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
		fail("a rule for %s: %m", path);
	close(rule.parent_fd);
}

/*
 * Somebody holds the inodes as long as they like, without dentries: of watched
 * files, and of a directory. They are told within two seconds, and without a walk.
 */
static void held_inodes(void)
{
	static const char * const files[] = {
		"cgroup.procs", "cgroup.events", "cgroup.stat", "cgroup.type"
	};
	char *dir = new_cgroup("held_inodes");
	int inst = instance(), set = ruleset();
	unsigned long resyncs;
	long begin;
	size_t i;

	load("resync_seconds=0");
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		char *path = text("%s/%s", dir, files[i]);

		watch(inst, path, IN_DELETE_SELF);
		add_rule(set, path);
	}
	watch(inst, dir, IN_DELETE_SELF);
	add_rule(set, dir);
	drop_caches();
	WAIT_FOR(status("resyncs") >= 2);
	resyncs = status("resyncs");
	begin = granted_ms();
	remove_dir(dir);
	expect_all(GONE);
	verify_within(begin, 2000L * slowness());
	if (status("resyncs") != resyncs)
		fail("found by a walk: %lu resyncs", status("resyncs") - resyncs);
	close(set);
	verify();
}

/*
 * The module is unloaded before it has waited for long enough: the unload does not
 * make the directory's second shorter. An open file keeps its dentry.
 */
static void held_at_unload(void)
{
	char *dir = new_cgroup("held_at_unload");
	int inst = instance(), set = ruleset();
	int file = hold_open(text("%s/cgroup.events", dir));
	struct watch *w = watch(inst, dir, IN_DELETE_SELF);

	load("");
	add_rule(set, dir);
	remove_dir(dir);
	listen_for(300);
	unload();
	verify();
	load("");
	expect(w, GONE);
	verify();
	close(file);
	close(set);
}

/*
 * A directory is open for as long as somebody likes, and its watcher told when it is
 * closed. In another sysfs the same directory has an inode without a dentry, and
 * its watcher does not wait for that.
 */
static void dropped_beside_open(void)
{
	struct netns ns = netns_make("other");
	struct watch *here, *there;
	int inst = instance(), held;

	load_devices();
	load("resync_seconds=0");
	control("add", 0);
	there = watch(inst, text("%s/devices/virtual/misc/kdn_test0", ns.sysfs),
		      IN_DELETE_SELF);
	/* For drop_caches(), which may leave the last one there */
	get(text("%s/kernel/uevent_seqnum", ns.sysfs));
	drop_caches();
	held = hold_dir_open(DEVICES "0");
	here = watch(inst, DEVICES "0", IN_DELETE_SELF);
	control("del", 0);
	expect(there, GONE);
	verify();
	close(held);
	expect(here, GONE);
	verify();
}

const struct kdn_test tests[] = {
	{ "kernel_alone", kernel_alone },
	{ "answer", answer },
	{ "with_module", with_module },
	{ "orphans", orphans },
	{ "held_inodes", held_inodes },
	{ "held_at_unload", held_at_unload },
	{ "dropped_beside_open", dropped_beside_open },
	{ }
};
