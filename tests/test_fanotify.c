// SPDX-License-Identifier: GPL-2.0-only
/*
 * fanotify, on kernels where it works on kernfs (since 6.7, which gave it a
 * file system ID): FAN_DELETE_SELF on an inode, and on the whole file system.
 */
#define _GNU_SOURCE
#include "kdn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <unistd.h>

#ifndef AT_HANDLE_FID
#define AT_HANDLE_FID	0x200
#endif
#define HANDLE_MAX	128

/* A file whose events are counted, known by its handle */
struct target {
	const char *path;
	struct file_handle *handle;
	int events;
};

static struct target targets[4];
static int target_count;

static struct target *target(const char *path)
{
	struct target *t = &targets[target_count++];
	int mount_id;

	t->path = path;
	t->handle = calloc(1, sizeof(*t->handle) + HANDLE_MAX);
	t->handle->handle_bytes = HANDLE_MAX;
	if (!name_to_handle_at(AT_FDCWD, path, t->handle, &mount_id,
			       AT_HANDLE_FID))
		return t;
	t->handle->handle_bytes = HANDLE_MAX;
	if (name_to_handle_at(AT_FDCWD, path, t->handle, &mount_id, 0))
		skip("no file handles for %s: %m", path);
	return t;
}

static int group(void)
{
	int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_NONBLOCK |
			       FAN_CLOEXEC, O_RDONLY);

	if (fd < 0)
		skip("fanotify_init: %m");
	return fd;
}

static void add_mark(int fd, unsigned int type, const char *path)
{
	if (fanotify_mark(fd, FAN_MARK_ADD | type,
			  FAN_DELETE_SELF | FAN_ONDIR, AT_FDCWD, path))
		skip("no fanotify mark on %s: %m", path);
}

static void count(const struct fanotify_event_metadata *event)
{
	const struct fanotify_event_info_fid *fid = (const void *)(event + 1);
	const struct file_handle *handle = (const void *)fid->handle;
	int i;

	if ((event->mask & ~FAN_ONDIR) != FAN_DELETE_SELF)
		fail("an event of mask %llx", (unsigned long long)event->mask);
	for (i = 0; i < target_count; i++) {
		struct file_handle *want = targets[i].handle;

		if (want->handle_bytes == handle->handle_bytes &&
		    !memcmp(want->f_handle, handle->f_handle,
			    want->handle_bytes)) {
			targets[i].events++;
			return;
		}
	}
}

static int total(void)
{
	int i, sum = 0;

	for (i = 0; i < target_count; i++)
		sum += targets[i].events;
	return sum;
}

/* Read until there were EXPECTED events of the targets, and then no more. */
static void read_marks(int fd, int expected)
{
	static struct fanotify_event_metadata buffer[256];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	long deadline = now_ms() + DEADLINE_MS;
	bool quiet;
	ssize_t n;

	for (;;) {
		struct fanotify_event_metadata *event = buffer;

		quiet = total() >= expected || now_ms() > deadline;
		if (!poll(&p, 1, quiet ? QUIET_MS : DEADLINE_MS) && quiet)
			return;
		n = read(fd, buffer, sizeof(buffer));
		for (; n > 0 && FAN_EVENT_OK(event, n);
		     event = FAN_EVENT_NEXT(event, n))
			count(event);
	}
}

static void once(const struct target *t)
{
	if (t->events != 1)
		fail("%s: expected one FAN_DELETE_SELF, read %d", t->path,
		     t->events);
}

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
 * A mark on the file system hears of a watched file once, and of one that is
 * only in the kernel's caches at most once; also when the dentries die later.
 * A kernel with native support tells of both.
 */
static void filesystem_mark(void)
{
	bool native = kernel_is_native();
	char *dir = new_cgroup("filesystem_mark");
	struct target *watched = target(text("%s/cgroup.events", dir));
	struct target *cached = target(text("%s/memory.events", dir));
	int fd = group();

	load("");
	add_mark(fd, FAN_MARK_FILESYSTEM, CGROUPS);
	watch(instance(), watched->path, IN_ALL_EVENTS);
	remove_dir(dir);
	read_marks(fd, native ? 2 : 1);
	verify_all_gone();
	if (exists(dir))
		fail("%s is still there", dir);
	put(DROP_CACHES, "2");
	read_marks(fd, 0);
	note("of the file without a watch: %d", cached->events);
	once(watched);
	if (native || cached->events)
		once(cached);
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
	put(DROP_CACHES, "2");
	read_marks(fd, 0);
	once(file);
}

const struct kdn_test tests[] = {
	{ "inode_marks", inode_marks },
	{ "inode_mark_sysfs", inode_mark_sysfs },
	{ "filesystem_mark", filesystem_mark },
	{ "filesystem_mark_late", filesystem_mark_late },
	{ }
};
