// SPDX-License-Identifier: GPL-2.0-only
/*
 * cgroup v2: whoever watches a control file or a directory is told, once,
 * when it goes away.
 */
#define _GNU_SOURCE		/* for F_NOTIFY */
#include "kdn.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* A cgroup's control file is watched for all there is; the cgroup goes. */
static void file(void)
{
	char *dir = new_cgroup("file");

	load("");
	watch(instance(), text("%s/cgroup.events", dir), IN_ALL_EVENTS);
	remove_dir(dir);
	verify_all_gone();
}

/* Several files of one cgroup, of the core's and of the controllers' */
static void several_files(void)
{
	static const char * const names[] = {
		"cgroup.events", "cgroup.procs", "cgroup.stat", "cgroup.type",
		"memory.events", "memory.max", "memory.stat", "pids.max",
	};
	char *dir = new_cgroup("several_files");
	int inst = instance();
	size_t i;

	need_controllers();
	load("");
	for (i = 0; i < ARRAY_SIZE(names); i++)
		watch(inst, text("%s/%s", dir, names[i]), IN_ALL_EVENTS);
	remove_dir(dir);
	verify_all_gone();
}

/* The directory itself: no IN_ISDIR, as on any file system */
static void directory(void)
{
	char *dir = new_cgroup("directory");

	load("");
	watch(instance(), dir, IN_ALL_EVENTS);
	remove_dir(dir);
	verify_all_gone();
}

/*
 * Three cgroups within each other go, the innermost first. That a parent hears
 * of rmdir() is the VFS's doing; the module adds nothing to it.
 */
static void nested_cgroups(void)
{
	char *a = new_cgroup("nested"), *b = new_cgroup("nested/b");
	char *c = new_cgroup("nested/b/c");
	char *dirs[3] = { c, b, a };
	int inst = instance();
	size_t i;

	load("");
	for (i = 0; i < ARRAY_SIZE(dirs); i++)
		expect(watch(inst, text("%s/cgroup.procs", dirs[i]),
			     IN_ALL_EVENTS), GONE);
	expect(watch(inst, a, IN_ALL_EVENTS), "DELETE|ISDIR:b " GONE);
	expect(watch(inst, b, IN_ALL_EVENTS), "DELETE|ISDIR:c " GONE);
	expect(watch(inst, c, IN_ALL_EVENTS), GONE);
	for (i = 0; i < ARRAY_SIZE(dirs); i++)
		remove_dir(dirs[i]);
	verify();
}

/* One file, watched from eight inotify instances */
static void several_instances(void)
{
	char *dir = new_cgroup("several_instances");
	int i;

	need_controllers();
	load("");
	for (i = 0; i < 8; i++)
		watch(instance(), text("%s/memory.events", dir), IN_ALL_EVENTS);
	remove_dir(dir);
	verify_all_gone();
}

/*
 * A mask that does not ask for IN_DELETE_SELF gets only the IN_IGNORED, and
 * every other flag of a mask changes nothing; for files and for directories.
 */
static void masks(void)
{
	static const struct {
		unsigned int mask;
		const char *events;
	} cases[] = {
		{ IN_DELETE_SELF, GONE },
		{ IN_DELETE_SELF | IN_MODIFY, GONE },
		{ IN_DELETE_SELF | IN_EXCL_UNLINK, GONE },
		{ IN_DELETE_SELF | IN_DONT_FOLLOW, GONE },
		{ IN_MODIFY, "IGNORED" },
		{ IN_ATTRIB | IN_CLOSE | IN_MOVE_SELF, "IGNORED" },
		{ IN_ALL_EVENTS & ~IN_DELETE_SELF, "IGNORED" },
	};
	char *dir = new_cgroup("masks");
	size_t i;

	load("");
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int inst = instance();

		expect(watch(inst, text("%s/cgroup.events", dir),
			     cases[i].mask), cases[i].events);
		expect(watch(inst, dir, cases[i].mask), cases[i].events);
	}
	remove_dir(dir);
	verify();
}

/* IN_ONESHOT ends a watch with its first event: not one IN_IGNORED too many. */
static void oneshot(void)
{
	char *dir = new_cgroup("oneshot");
	char *path = text("%s/cgroup.events", dir);

	load("");
	expect(watch(instance(), path, IN_DELETE_SELF | IN_ONESHOT), GONE);
	expect(watch(instance(), path, IN_MODIFY | IN_ONESHOT), "IGNORED");
	expect(watch(instance(), dir, IN_DELETE_SELF | IN_ONESHOT), GONE);
	remove_dir(dir);
	verify();
}

/*
 * A controller is taken from a cgroup's children: their files of that
 * controller go, the directory and the other files stay.
 */
static void controller_off(void)
{
	char *dir = new_cgroup("subtree_control");
	char *child = text("%s/child", dir);
	char *switches = text("%s/cgroup.subtree_control", dir);
	int inst = instance();
	struct watch *w;

	need_controllers();
	put(switches, "+memory +pids");
	make_dir(child);
	load("");
	watch(inst, text("%s/cgroup.events", child), IN_ALL_EVENTS);
	watch(inst, child, IN_ALL_EVENTS);
	w = watch(inst, text("%s/pids.max", child), IN_ALL_EVENTS);
	expect(watch(inst, text("%s/memory.events", child), IN_ALL_EVENTS),
	       GONE);
	put(switches, "-memory");
	verify();
	expect(w, GONE);
	put(switches, "-pids");
	verify();
}

/*
 * A process holds the file open: the events come at once all the same, and a
 * read of the descriptor fails as it does without the module.
 */
static void open_file(void)
{
	char *dir = new_cgroup("open_file"), c;
	char *path = text("%s/memory.events", dir);
	int fd;

	need_controllers();
	fd = hold_open(path);
	load("");
	watch(instance(), path, IN_ALL_EVENTS);
	remove_dir(dir);
	verify_all_gone();
	if (pread(fd, &c, 1, 0) >= 0 || errno != ENODEV)
		fail("read() of the removed file: expected ENODEV, got: %m");
	close(fd);
	verify();
}

/*
 * A process has the directory open and a mark of dnotify on it, which the
 * kernel must not find destroyed. As on tmpfs, the events come at the close;
 * those of a file that is open below it do not wait for that.
 */
static void open_directory(void)
{
	char *dir = new_cgroup("open_directory");
	char *path = text("%s/memory.events", dir);
	int inst = instance();
	int fd = open(dir, O_RDONLY | O_CLOEXEC);

	need_controllers();
	load("");
	if (fcntl(fd, F_NOTIFY, DN_RENAME | DN_MULTISHOT))
		skip("no dnotify: CONFIG_DNOTIFY");
	hold_open(path);
	watch(inst, dir, IN_DELETE_SELF);
	expect(watch(inst, path, IN_DELETE_SELF), GONE);
	remove_dir(dir);
	verify();
	close(fd);
	expect(&watches[0], GONE);
	verify();
}

/*
 * A directory within that is still in use leads back to its parent by '..', and
 * so to a dnotify mark on that: the parent is told when both are closed.
 */
static void open_subdirectory(void)
{
	char *dir = new_cgroup("open_subdirectory");
	char *below = text("%s/below", dir);
	int inst = instance(), fd, parent;

	make_dir(below);
	fd = open(below, O_PATH | O_CLOEXEC);
	load("");
	watch(inst, dir, IN_DELETE_SELF);
	watch(inst, below, IN_DELETE_SELF);
	remove_dir(below);
	remove_dir(dir);
	verify();
	parent = openat(fd, "..", O_RDONLY | O_CLOEXEC);
	if (parent < 0)
		fail("no way back from a removed directory: %m");
	if (fcntl(parent, F_NOTIFY, DN_RENAME | DN_MULTISHOT))
		skip("no dnotify: CONFIG_DNOTIFY");
	close(fd);
	expect(&watches[1], GONE);
	verify();
	close(parent);
	expect(&watches[0], GONE);
	verify();
}

/*
 * A watched inode stays in memory, its dentry need not: the kernel's caches
 * are dropped between the watch and the removal.
 */
static void dropped_dentry(void)
{
	char *dir = new_cgroup("dropped_dentry");
	int inst = instance();

	need_controllers();
	load("");
	watch(inst, text("%s/cgroup.events", dir), IN_ALL_EVENTS);
	watch(inst, text("%s/memory.events", dir), IN_ALL_EVENTS);
	watch(inst, dir, IN_ALL_EVENTS);
	drop_caches();
	remove_dir(dir);
	verify_all_gone();
}

/* Hiding the pressure files removes nothing; the rmdir after it does. */
static void hidden_file(void)
{
	char *dir = new_cgroup("hidden_file");
	char *hide = text("%s/cgroup.pressure", dir);

	if (!exists(hide))
		skip("no cgroup.pressure: since 6.1, with CONFIG_PSI");
	load("");
	watch(instance(), text("%s/cpu.pressure", dir), IN_ALL_EVENTS);
	put(hide, "0");
	verify();
	remove_dir(dir);
	verify_all_gone();
}

/* The cgroup goes, the watches on its neighbour and its parent stay silent. */
static void neighbours(void)
{
	char *dir = new_cgroup("neighbours"), *other = new_cgroup("other");
	int inst = instance();

	load("");
	watch(inst, text("%s/cgroup.events", other), IN_ALL_EVENTS);
	watch(inst, other, IN_ALL_EVENTS);
	watch(inst, CGROUPS "/cgroup.procs", IN_ALL_EVENTS);
	watch(inst, CGROUPS "/kdn", IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF);
	expect(watch(inst, text("%s/cgroup.events", dir), IN_ALL_EVENTS), GONE);
	remove_dir(dir);
	verify();
}

/* 300 cgroups with three watches each go as fast as rmdir() can. */
static void at_once(void)
{
	static char *dirs[300];
	int inst = instance();
	size_t i;

	need_controllers();
	load("");
	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		dirs[i] = new_cgroup(text("many%zu", i));
		watch(inst, dirs[i], IN_ALL_EVENTS);
		watch(inst, text("%s/cgroup.events", dirs[i]), IN_ALL_EVENTS);
		watch(inst, text("%s/memory.events", dirs[i]), IN_ALL_EVENTS);
	}
	for (i = 0; i < ARRAY_SIZE(dirs); i++)
		remove_dir(dirs[i]);
	verify_all_gone();
}

const struct kdn_test tests[] = {
	{ "file", file },
	{ "several_files", several_files },
	{ "directory", directory },
	{ "nested_cgroups", nested_cgroups },
	{ "several_instances", several_instances },
	{ "masks", masks },
	{ "oneshot", oneshot },
	{ "controller_off", controller_off },
	{ "open_file", open_file },
	{ "open_directory", open_directory },
	{ "open_subdirectory", open_subdirectory },
	{ "dropped_dentry", dropped_dentry },
	{ "hidden_file", hidden_file },
	{ "neighbours", neighbours },
	{ "at_once", at_once },
	{ }
};
