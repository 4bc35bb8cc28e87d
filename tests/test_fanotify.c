// SPDX-License-Identifier: GPL-2.0-only
/*
 * fanotify, on kernels where it works on kernfs (since 6.7, which gave it a
 * file system ID): FAN_DELETE_SELF on an inode, and on the whole file system.
 */
#include "kdn.h"
#include "marks.h"

#include <fcntl.h>
#include <sys/fanotify.h>
#include <unistd.h>

/* Inode marks on a cgroup's file and directory */
static void inode_marks(void)
{
	char *dir = new_cgroup("inode_marks");
	struct target *file = target(text("%s/cgroup.events", dir));
	struct target *top = target(dir);
	int fd = group();

	load("");
	add_mark(fd, FAN_MARK_INODE, file->path);
	add_mark(fd, FAN_MARK_INODE, top->path);
	remove_dir(dir);
	read_marks(fd, 2);
	once(file);
	once(top);
}

/* An inode mark on a device's attribute in sysfs, together with inotify */
static void inode_mark_sysfs(void)
{
	struct target *file;
	int fd = group();

	load_devices();
	control("add", 0);
	file = target(DEVICES "0/value");
	load("");
	add_mark(fd, FAN_MARK_INODE, file->path);
	watch(instance(), file->path, IN_ALL_EVENTS);
	control("del", 0);
	read_marks(fd, 1);
	once(file);
	verify_all_gone();
}

/*
 * A mark on the file system keeps no inode, and nothing else watches: it hears once
 * of each directory, and of each file that was in use, whether the file's inode is
 * still there or not; also when the dentries die later.
 */
static void filesystem_mark(void)
{
	enum { REMOVALS = 100 };
	int fd = group(), i;

	load("");
	add_mark(fd, FAN_MARK_FILESYSTEM, CGROUPS);
	for (i = 0; i < REMOVALS; i++) {
		char *dir = new_cgroup("filesystem_mark");
		char *file = text("%s/cgroup.procs", dir);

		target(dir);
		target(file);
		close(open(file, O_RDONLY | O_CLOEXEC));
		remove_dir(dir);
		count_marks(fd);
	}
	read_marks(fd, target_count);
	drop_caches();
	read_marks(fd, target_count);
	for (i = 0; i < target_count; i++)
		once(&targets[i]);
}

/* The same where somebody has a watch besides */
static void filesystem_mark_watched(void)
{
	char *dir = new_cgroup("filesystem_mark_watched");
	struct target *file = target(text("%s/cgroup.events", dir));
	int fd = group();

	load("");
	add_mark(fd, FAN_MARK_FILESYSTEM, CGROUPS);
	watch(instance(), file->path, IN_ALL_EVENTS);
	remove_dir(dir);
	read_marks(fd, 1);
	verify_all_gone();
	if (exists(dir))
		fail("%s is still there", dir);
	drop_caches();
	read_marks(fd, 1);
	once(file);
}

/*
 * Files that go while their directory stays: the kernel's own event comes when
 * a lookup meets the dead dentry. Nobody hears twice.
 */
static void filesystem_mark_late(void)
{
	char *dir = new_cgroup("filesystem_mark_late");
	char *switches = text("%s/cgroup.subtree_control", dir);
	struct target *file;
	int fd = group();

	need_controllers();
	put(switches, "+pids");
	make_dir(text("%s/child", dir));
	file = target(text("%s/child/pids.max", dir));
	load("");
	add_mark(fd, FAN_MARK_FILESYSTEM, CGROUPS);
	watch(instance(), file->path, IN_ALL_EVENTS);
	put(switches, "-pids");
	read_marks(fd, 1);
	verify_all_gone();
	if (exists(file->path))
		fail("%s is still there", file->path);
	remove_dir(text("%s/child", dir));
	drop_caches();
	read_marks(fd, 0);
	once(file);
}

/*
 * A directory that is open keeps both the worker and the resync coming back, and
 * at its close now one and now the other comes first. Nobody hears twice, though
 * the inode is there for both: a file in the directory is open, too.
 */
static void filesystem_mark_resync(void)
{
	enum { ROUNDS = 12 };
	int inst = instance(), fd = group(), i, held, file;
	unsigned long resyncs;

	load("resync_seconds=1");
	add_mark(fd, FAN_MARK_FILESYSTEM, CGROUPS);
	for (i = 0; i < ROUNDS; i++) {
		char *dir = new_cgroup("filesystem_mark_resync");

		target(dir);
		expect(watch(inst, dir, IN_DELETE_SELF), GONE);
		held = hold_dir_open(dir);
		file = hold_open(text("%s/cgroup.events", dir));
		remove_dir(dir);
		resyncs = status("resyncs");
		WAIT_FOR(status("resyncs") > resyncs);
		close(held);
		read_marks(fd, i + 1);
		verify();
		close(file);
	}
	note("found by resync: %lu of %d", status("resync_found"), ROUNDS);
	read_marks(fd, ROUNDS);
	for (i = 0; i < ROUNDS; i++)
		once(&targets[i]);
}

/* A mark on the file system alone does not wait until a directory is closed. */
static void filesystem_mark_open(void)
{
	char *dir = new_cgroup("filesystem_mark_open");
	struct target *top = target(dir);
	int fd = group(), held;

	load("");
	add_mark(fd, FAN_MARK_FILESYSTEM, CGROUPS);
	held = hold_dir_open(dir);
	remove_dir(dir);
	read_marks(fd, 1);
	close(held);
	drop_caches();
	read_marks(fd, 1);
	once(top);
}

const struct kdn_test tests[] = {
	{ "inode_marks", inode_marks },
	{ "inode_mark_sysfs", inode_mark_sysfs },
	{ "filesystem_mark", filesystem_mark },
	{ "filesystem_mark_watched", filesystem_mark_watched },
	{ "filesystem_mark_late", filesystem_mark_late },
	{ "filesystem_mark_resync", filesystem_mark_resync },
	{ "filesystem_mark_open", filesystem_mark_open },
	{ }
};
