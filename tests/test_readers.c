// SPDX-License-Identifier: GPL-2.0-only
/*
 * Readers that do not read: their queues overflow as they do on tmpfs, their
 * watches end all the same, and others are told meanwhile.
 */
#include "kdn.h"
#include "storm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define MAX_EVENTS	"/proc/sys/fs/inotify/max_queued_events"
#define FILES		400

/* So many events without memory on tmpfs tell how long one of them takes. */
#define TRIED		100

/* Far from the cgroups of the tests, as other users' are */
#define RICH		CGROUPS "/kdn_rich"

/* What a reader finds who comes too late */
struct found {
	int selfs, ignored, overflows, others;
};

static struct found read_late(int inst)
{
	union {
		struct inotify_event event;
		char bytes[16384];
	} buffer;
	struct found found = { 0 };
	ssize_t n, i;

	while ((n = read(inst, &buffer, sizeof(buffer))) > 0) {
		const struct inotify_event *event;

		for (i = 0; i < n; i += sizeof(*event) + event->len) {
			event = (const void *)(buffer.bytes + i);
			found.selfs += event->mask == IN_DELETE_SELF;
			found.ignored += event->mask == IN_IGNORED;
			found.overflows += event->mask == IN_Q_OVERFLOW;
			found.others += !(event->mask & (IN_DELETE_SELF |
				IN_IGNORED | IN_Q_OVERFLOW));
		}
	}
	note("read late: DELETE_SELF %d, IGNORED %d, Q_OVERFLOW %d, others %d",
	     found.selfs, found.ignored, found.overflows, found.others);
	return found;
}

/* An instance with a short queue, and watches on all files of a directory */
static int watch_all(const char *dir)
{
	char *before = get(MAX_EVENTS);
	int inst, i;

	put(MAX_EVENTS, "100");
	inst = instance();
	put(MAX_EVENTS, before);
	for (i = 0; i < FILES; i++)
		if (inotify_add_watch(inst, text("%s/a%d", dir, i),
				      IN_DELETE_SELF) < 0)
			fail("%s/a%d can't be watched: %m", dir, i);
	return inst;
}

static void none_left(int inst)
{
	int i, left = 0;

	for (i = 1; i <= FILES; i++)
		left += !inotify_rm_watch(inst, i);
	if (left)
		fail("%d watches are still there", left);
}

/* The same on tmpfs and in sysfs; somebody else reads all the time. */
static void full_queue(void)
{
	struct found tmpfs, sysfs;
	int late, inst, i;

	mount_at("/tmp/tmpfs", "tmpfs", NULL);
	for (i = 0; i < FILES; i++)
		close(open(text("/tmp/tmpfs/a%d", i), O_CREAT | O_WRONLY, 0644));
	late = watch_all("/tmp/tmpfs");
	for (i = 0; i < FILES; i++)
		unlink(text("/tmp/tmpfs/a%d", i));
	tmpfs = read_late(late);
	none_left(late);

	load_devices();
	control("tree", FILES);
	load("resync_seconds=0");
	late = watch_all(LEAVES);
	inst = instance();
	for (i = 0; i < FILES; i++)
		watch(inst, text(LEAVES "/a%d", i), IN_DELETE_SELF);
	control("tree", 0);
	verify_all_gone();
	sysfs = read_late(late);
	none_left(late);
	if (memcmp(&tmpfs, &sysfs, sizeof(tmpfs)))
		fail("on tmpfs it is something else");
	if (!sysfs.overflows)
		fail("the queue did not overflow");
}

/* Wait until all of the others are told, as long as anybody at all is. */
static void wait_for_others(void)
{
	long deadline = now_ms() + DEADLINE_MS;
	unsigned long delivered = 0;
	int told = 0;

	for (;;) {
		unsigned long now = status("delivered");

		if (now != delivered)
			deadline = now_ms() + DEADLINE_MS;
		delivered = now;
		listen_for(0);
		while (told < watch_count && watches[told].got[0])
			told++;
		if (told == watch_count)
			break;
		wait_a_little(deadline, "others are told");
	}
}

/* How long does this kernel itself take to send events that there is no memory for? */
static long events_on_tmpfs(int inst, int events)
{
	long begin;
	int i;

	mount_at("/tmp/tmpfs", "tmpfs", NULL);
	for (i = 0; i < events / 2; i++) {
		char *path = text("/tmp/tmpfs/a%d", i);

		close(open(path, O_CREAT | O_WRONLY, 0644));
		if (inotify_add_watch(inst, path, IN_DELETE_SELF) < 0)
			fail("%s can't be watched: %m", path);
	}
	begin = granted_ms();
	for (i = 0; i < events / 2; i++)
		unlink(text("/tmp/tmpfs/a%d", i));
	return granted_ms() - begin;
}

/*
 * The events of all instances of the account are charged to a cgroup that has
 * no memory for them. Each of them has the kernel try to reclaim some, in vain,
 * for milliseconds. The others wait, but no longer than that takes.
 */
static void no_memory_for_events(void)
{
	static const char * const files[] = {
		"", "/cgroup.events", "/cgroup.procs", "/cgroup.type",
		"/memory.events", "/memory.max", "/pids.max", "/pids.current",
	};
	int units = 120, inst, other_inst, lost, i, j;
	char *poor = new_cgroup("poor");
	struct account_sums sums;
	long begin, others, tried, allowed;

	need_controllers();
	/* Its process is not to be charged there. */
	granted_ms();
	/* An instance is charged to where it was made. */
	put(text("%s/cgroup.procs", poor), "0");
	open_account(false);
	other_inst = instance();
	put(CGROUPS "/cgroup.procs", "0");
	for (i = 0; i < units; i++) {
		char *dir = new_cgroup(text("unit%d", i));

		for (j = 0; j < (int)ARRAY_SIZE(files); j++)
			if (place_watch(i % INSTANCES,
					text("%s%s", dir, files[j]), i, 0))
				fail("%s%s can't be watched", dir, files[j]);
	}
	make_dir(RICH);
	inst = instance();
	for (i = 0; i < 10; i++) {
		make_dir(text(RICH "/%d", i));
		watch(inst, text(RICH "/%d/cgroup.events", i), IN_DELETE_SELF);
	}
	load("resync_seconds=0");
	/* An event takes 32 bytes, or more on a debug kernel: all units 60 KiB. */
	put(text("%s/memory.max", poor), "49152");

	for (i = 0; i < units; i++) {
		remove_dir(text(CGROUPS "/kdn/unit%d", i));
		item_gone(i);
	}
	begin = granted_ms();
	for (i = 0; i < 10; i++)
		remove_dir(text(RICH "/%d", i));
	wait_for_others();
	others = granted_ms() - begin;
	note("others were told in %ld ms, when %lu nodes were still to be told",
	     others, status("pending"));
	verify_all_gone();
	WAIT_FOR(!status("pending"));
	tried = events_on_tmpfs(other_inst, TRIED);

	start_readers();
	sums = close_account();
	note("all were told in %ld ms", granted_ms() - begin);
	remove_dir(RICH);
	if (!sums.overflows) {
		/* Those of tmpfs came last: if all of them came, nobody is charged. */
		if (!read_late(other_inst).overflows)
			skip("events are not charged to a cgroup: CONFIG_SLOB, or nokmem");
		fail("there was memory for all events");
	}
	lost = 2 * sums.placed - (sums.events - sums.overflows);
	note("there was no memory for %d events; on tmpfs, %d such take %ld ms",
	     lost, TRIED, tried);
	/* Up to 1.8 times as much as on tmpfs was seen. */
	allowed = soon_ms() + 4 * lost * tried / TRIED;
	if (others > allowed)
		fail("others waited %ld ms, %ld are allowed", others, allowed);
}

/*
 * The events of each of these instances are charged to a cgroup of its own, which
 * has more memory than its memory.high wants. For that the kernel makes the sender
 * sleep, up to two seconds for two events, also for kernfs's own events. The others
 * wait, but no longer than that.
 */
static void throttled_events(void)
{
	char *dir = new_cgroup("throttling"), *other = new_cgroup("other"), *poor;
	long begin;
	int inst, i;

	need_controllers();
	for (i = 0; i < 3; i++) {
		poor = new_cgroup(text("poor%d", i));
		put(text("%s/cgroup.procs", poor), "0");
		inst = instance();
		put(CGROUPS "/cgroup.procs", "0");
		watch(inst, text("%s/cgroup.events", dir), IN_DELETE_SELF);
		put(text("%s/memory.high", poor), "0");
	}
	watch(instance(), text("%s/cgroup.events", other), IN_DELETE_SELF);
	load("resync_seconds=0");
	begin = now_ms();
	remove_dir(dir);
	remove_dir(other);
	verify_all_gone();
	note("all were told in %ld ms", now_ms() - begin - QUIET_MS);
}

const struct kdn_test tests[] = {
	{ "full_queue", full_queue },
	{ "no_memory_for_events", no_memory_for_events },
	{ "throttled_events", throttled_events },
	{ }
};
