// SPDX-License-Identifier: GPL-2.0-only
/*
 * fanotify marks for FAN_DELETE_SELF, see marks.h.
 */
#define _GNU_SOURCE
#include "marks.h"
#include "kdn.h"

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
#define MAX_TARGETS	8192

struct target targets[MAX_TARGETS];
int target_count;

struct target *target(const char *path)
{
	struct target *t = &targets[target_count++];
	int mount_id;

	if (target_count == MAX_TARGETS)
		fail("too many targets");
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

int group(void)
{
	int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_NONBLOCK |
			       FAN_UNLIMITED_QUEUE | FAN_CLOEXEC, O_RDONLY);

	if (fd < 0)
		skip("no fanotify (CONFIG_FANOTIFY) by file handles: %m");
	return fd;
}

void add_mark(int fd, unsigned int type, const char *path)
{
	if (fanotify_mark(fd, FAN_MARK_ADD | type,
			  FAN_DELETE_SELF | FAN_ONDIR, AT_FDCWD, path))
		skip("no fanotify mark on %s: %m", path);
}

static bool is_of(const struct target *t, const struct file_handle *handle)
{
	return t->handle->handle_bytes == handle->handle_bytes &&
	       !memcmp(t->handle->f_handle, handle->f_handle,
		       handle->handle_bytes);
}

static void count(const struct fanotify_event_metadata *event)
{
	const struct fanotify_event_info_fid *fid = (const void *)(event + 1);
	static int last;
	int i;

	if ((event->mask & ~FAN_ONDIR) != FAN_DELETE_SELF)
		fail("an event of mask %llx", (unsigned long long)event->mask);
	/* Events come in about the order of the targets. */
	for (i = 0; i < target_count; i++, last++) {
		if (last >= target_count)
			last = 0;
		if (is_of(&targets[last], (const void *)fid->handle)) {
			targets[last].events++;
			return;
		}
	}
}

void count_marks(int fd)
{
	static struct fanotify_event_metadata buffer[256];
	ssize_t n;

	while ((n = read(fd, buffer, sizeof(buffer))) > 0) {
		struct fanotify_event_metadata *event = buffer;

		for (; FAN_EVENT_OK(event, n); event = FAN_EVENT_NEXT(event, n))
			count(event);
	}
}

static int total(void)
{
	int i, sum = 0;

	for (i = 0; i < target_count; i++)
		sum += targets[i].events;
	return sum;
}

void read_marks(int fd, int expected)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	long deadline = now_ms() + DEADLINE_MS;
	bool quiet;

	for (;;) {
		quiet = total() >= expected || now_ms() > deadline;
		if (!poll(&p, 1, quiet ? QUIET_MS : DEADLINE_MS) && quiet)
			return;
		count_marks(fd);
	}
}

void once(const struct target *t)
{
	if (t->events != 1)
		fail("%s: expected one FAN_DELETE_SELF, read %d", t->path,
		     t->events);
}
