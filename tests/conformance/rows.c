// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rows of the conformance report: ways for a kernfs file to go that its
 * watchers are to be told of, and what they are told.
 */
#include "conform.h"
#include "marks.h"

#include <fcntl.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define V1	"/tmp/cgroup1"

static char *cgroup(void)
{
	return new_cgroup(text("row%d", row_number));
}

static char *device(void)
{
	control("add", row_number);
	return text(DEVICES "%d", row_number);
}

/* Watch what is to go. */
static void watch_it(const char *path)
{
	expect(watch(instance(), path, MASK), GONE);
}

/* Watch what is to stay, or is not to hear of it. */
static void watch_other(const char *path)
{
	watch(instance(), path, MASK);
}

/*
 * A watched inode stays in memory, its dentry need not. This row is the first,
 * as it drops what other rows have looked up.
 */
static void dropped_dentry(void)
{
	char *dir = cgroup();

	watch_it(text("%s/cgroup.events", dir));
	drop_caches();
	until(REMOVED);
	remove_dir(dir);
}

static void cgroup_file(void)
{
	char *dir = cgroup();

	watch_it(text("%s/cgroup.events", dir));
	until(REMOVED);
	remove_dir(dir);
}

static void cgroup_directory(void)
{
	char *dir = cgroup();

	watch_it(dir);
	until(REMOVED);
	remove_dir(dir);
}

/* That a parent hears of rmdir() is the VFS's doing, on every kernel. */
static void nested_cgroups(void)
{
	char *a = cgroup(), *b = text("%s/b", a), *c = text("%s/c", b);

	make_dir(b);
	make_dir(c);
	expect(watch(instance(), a, MASK), "DELETE|ISDIR:b " GONE);
	expect(watch(instance(), b, MASK), "DELETE|ISDIR:c " GONE);
	watch_it(c);
	watch_it(text("%s/cgroup.procs", a));
	watch_it(text("%s/cgroup.procs", c));
	until(REMOVED);
	remove_dir(c);
	remove_dir(b);
	remove_dir(a);
}

static void eight_watches(void)
{
	char *dir = cgroup();
	int i;

	for (i = 0; i < 8; i++)
		watch_it(text("%s/memory.events", dir));
	until(REMOVED);
	remove_dir(dir);
}

/* Without IN_DELETE_SELF in the mask, the watch ends with IN_IGNORED alone. */
static void other_masks(void)
{
	char *dir = cgroup();
	char *path = text("%s/cgroup.events", dir);

	expect(watch(instance(), path, IN_MODIFY), "IGNORED");
	expect(watch(instance(), path, IN_MODIFY | IN_ONESHOT), "IGNORED");
	expect(watch(instance(), path, IN_DELETE_SELF | IN_ONESHOT), GONE);
	until(REMOVED);
	remove_dir(dir);
}

static void cgroup_file_open(void)
{
	char *dir = cgroup();
	char *path = text("%s/memory.events", dir);
	int fd = hold_open(path);

	watch_it(path);
	until(REMOVED);
	remove_dir(dir);
	until(CLOSED);
	close(fd);
}

/* As on tmpfs: an open directory is not gone before the close. */
static void cgroup_directory_open(void)
{
	char *dir = cgroup();
	int fd = open(dir, O_RDONLY | O_CLOEXEC);

	watch_it(dir);
	until(REMOVED);
	remove_dir(dir);
	not_yet();
	close(fd);
}

/* The files of a controller go when it is switched off, the others stay. */
static void by_subtree_control(void)
{
	char *dir = cgroup();
	char *child = text("%s/child", dir);
	char *switches = text("%s/cgroup.subtree_control", dir);

	put(switches, "+pids");
	make_dir(child);
	watch_it(text("%s/pids.max", child));
	until(REMOVED);
	put(switches, "-pids");
	until(PARENT_GONE);
	remove_dir(child);
}

/* Hiding the pressure files removes nothing, the rmdir() does. */
static void hidden_before(void)
{
	char *dir = cgroup();
	char *path = text("%s/cpu.pressure", dir);
	char *hide = text("%s/cgroup.pressure", dir);

	if (!exists(path) || !exists(hide))
		skip("this kernel has no file cgroup.pressure");
	watch_it(path);
	until(REMOVED);
	put(hide, "0");
	not_yet();
	remove_dir(dir);
}

static void idle(void *unused)
{
	(void)unused;
	pause();
}

/*
 * Processes leave cgroups that are removed at once, with the workqueue busy
 * that sends IN_MODIFY. It is to be read, and before the rest. Between a
 * process's coming and its going there must be the pause that verify() makes.
 */
static void cgroup_file_changed(void)
{
	char *dirs[20], *pids[20];
	int inst = instance();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		dirs[i] = new_cgroup(text("row%d-%zu", row_number, i));
		watch(inst, text("%s/cgroup.events", dirs[i]), MASK);
		pids[i] = text("%d", spawn(idle, NULL));
		put(text("%s/cgroup.procs", dirs[i]), pids[i]);
	}
	expect_all("MODIFY");
	verify();
	expect_all("MODIFY " GONE);
	until(REMOVED);
	control("busy", 5);
	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		put(CGROUPS "/cgroup.procs", pids[i]);
		remove_dir(dirs[i]);
	}
	control("busy", 0);
}

static void cgroup_neighbours(void)
{
	char *dir = cgroup(), *other = text("%s-other", dir);

	make_dir(other);
	watch_other(other);
	watch_other(text("%s/cgroup.events", other));
	watch(instance(), CGROUPS "/kdn", IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF);
	watch_it(text("%s/cgroup.events", dir));
	until(REMOVED);
	remove_dir(dir);
}

/* A hierarchy of this row and run */
static void mount_cgroup1(void)
{
	mkdir(V1, 0755);
	if (mount("cgroup", V1, "cgroup", 0, text("none,name=%d", getpid())))
		skip("no cgroup v1 on this kernel: %m");
}

static void cgroup_v1(void)
{
	mount_cgroup1();
	make_dir(V1 "/row");
	watch_it(V1 "/row");
	watch_it(V1 "/row/cgroup.procs");
	until(REMOVED);
	remove_dir(V1 "/row");
}

static void attribute(void)
{
	watch_it(text("%s/value", device()));
	until(REMOVED);
	control("del", row_number);
}

static void directory(void)
{
	char *dir = device();

	watch_it(dir);
	watch_it(text("%s/group", dir));
	until(REMOVED);
	control("del", row_number);
}

static void symbolic_link(void)
{
	expect(watch(instance(), text("%s/subsystem", device()),
		     MASK | IN_DONT_FOLLOW), GONE);
	expect(watch(instance(), text("/sys/class/misc/kdn_test%d", row_number),
		     MASK | IN_DONT_FOLLOW), GONE);
	until(REMOVED);
	control("del", row_number);
}

static void attribute_alone(void)
{
	watch_it(text("%s/value", device()));
	until(REMOVED);
	control("del_value", row_number);
	until(PARENT_GONE);
	control("del", row_number);
}

static void attribute_open(void)
{
	char *path = text("%s/value", device());
	int fd = hold_open(path);

	watch_it(path);
	until(REMOVED);
	control("del", row_number);
	until(CLOSED);
	close(fd);
}

static void attribute_changed(void)
{
	expect(watch(instance(), text("%s/value", device()), MASK),
	       "MODIFY " GONE);
	until(REMOVED);
	control("busy", 5);
	control("notify_del", row_number);
	control("busy", 0);
}

static void remove_self(void)
{
	static const char * const names[] = { "value", "remove", "group/value" };
	char *dir = device();
	size_t i;

	expect(watch(instance(), dir, IN_DELETE_SELF), GONE);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		expect(watch(instance(), text("%s/%s", dir, names[i]),
			     IN_DELETE_SELF), GONE);
	until(REMOVED);
	put(text("%s/remove", dir), "1");
}

static void name_again(void)
{
	char *dir = device();

	watch_it(dir);
	watch_it(text("%s/value", dir));
	until(REMOVED);
	control("del", row_number);
	control("add", row_number);
}

/*
 * As many as the module takes note of at once: with more, its resync would come
 * to help, and hide what it leaves out in other rows.
 */
static void many_by_one_call(void)
{
	int inst = instance(), i;

	control("tree", 400);
	for (i = 0; i < 400; i++)
		watch(inst, text(LEAVES "/a%d", i), MASK);
	watch(inst, LEAVES, MASK);
	expect_all(GONE);
	until(REMOVED);
	control("tree", 0);
}

/* Somebody reads the attribute, and the removal waits for him. */
static void hanging(void)
{
	char *dir = device();
	char *path = text("%s/block", dir);
	pid_t remover;

	expect(watch(instance(), dir, IN_DELETE_SELF), GONE);
	expect(watch(instance(), path, IN_DELETE_SELF), GONE);
	until(REMOVED);
	remover = hang_removal(path, "del", row_number);
	not_yet();
	finish_removal(remover);
}

/* A device that is on one sysfs only goes; the one here has the same name. */
static void network_namespace(void)
{
	struct netns ns = netns_make("ns");
	char *lo = text("%s/devices/virtual/net/lo", ns.sysfs);

	watch_it(lo);
	watch_it(text("%s/mtu", lo));
	watch_other("/sys/devices/virtual/net/lo");
	watch_other("/sys/devices/virtual/net/lo/mtu");
	until(REMOVED);
	netns_end(&ns);
	WAIT_FOR(!listed(lo));
}

static void inode_mark(void)
{
	char *dir = cgroup();
	struct target *file = target(text("%s/cgroup.events", dir));

	fanotify_group = group();
	add_mark(fanotify_group, FAN_MARK_INODE, file->path);
	until(REMOVED);
	remove_dir(dir);
}

/* Not on cgroup2, where the mark would be on the other rows' files, too */
static void filesystem_mark(void)
{
	mount_cgroup1();
	make_dir(V1 "/row");
	target(V1 "/row/cgroup.procs");
	fanotify_group = group();
	add_mark(fanotify_group, FAN_MARK_FILESYSTEM, V1);
	until(REMOVED);
	remove_dir(V1 "/row");
}

const struct kdn_test rows[] = {
	{ "cgroup file, dentry dropped before", dropped_dentry },
	{ "cgroup file", cgroup_file },
	{ "cgroup directory", cgroup_directory },
	{ "cgroups within each other", nested_cgroups },
	{ "cgroup file with eight watches", eight_watches },
	{ "cgroup file with other masks", other_masks },
	{ "cgroup file held open", cgroup_file_open },
	{ "cgroup directory held open", cgroup_directory_open },
	{ "cgroup file, by subtree_control", by_subtree_control },
	{ "cgroup file, hidden before", hidden_before },
	{ "cgroup file, changed just before", cgroup_file_changed },
	{ "cgroup file, not its neighbours", cgroup_neighbours },
	{ "cgroup v1 file and directory", cgroup_v1 },
	{ "sysfs attribute", attribute },
	{ "sysfs directory", directory },
	{ "sysfs symlink", symbolic_link },
	{ "sysfs attribute, alone", attribute_alone },
	{ "sysfs attribute held open", attribute_open },
	{ "sysfs attribute, changed just before", attribute_changed },
	{ "sysfs device that removes itself", remove_self },
	{ "sysfs name that comes again at once", name_again },
	{ "sysfs directory of 400 files", many_by_one_call },
	{ "sysfs removal that hangs", hanging },
	{ "sysfs of a network namespace", network_namespace },
	{ "fanotify mark on a cgroup file", inode_mark },
	{ "fanotify mark on a file system", filesystem_mark },
	{ }
};
