// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nothing is lost: what the rings can't take, what the probe does not see, and
 * watches that come too late for the worker.
 */
#define _GNU_SOURCE
#include "kdn.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* One call removes more files than the ring has room for. */
static void overflow(void)
{
	int inst = instance(), i;

	load_devices();
	control("tree", 5000);
	load("ring_size=16");
	for (i = 0; i < 5000; i += 5)
		watch(inst, text(LEAVES "/a%d", i), IN_ALL_EVENTS);
	watch(inst, LEAVES, IN_ALL_EVENTS);
	control("tree", 0);
	verify_all_gone();
	if (!status("overflows") || !status("resync_found"))
		fail("a ring of 16 held 5000 files: overflows %lu, found %lu",
		     status("overflows"), status("resync_found"));
}

/* Many small removals, faster than a small ring is emptied, or not */
static void full_ring(void)
{
	static char *dirs[60];
	int inst = instance();
	size_t i;

	need_controllers();
	load("ring_size=16");
	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		static const char * const files[] = {
			"cgroup.events", "cgroup.procs", "cgroup.type",
			"cgroup.stat", "memory.events", "memory.max",
			"memory.stat", "pids.max", "pids.current",
		};
		size_t j;

		dirs[i] = new_cgroup(text("small_ring%zu", i));
		for (j = 0; j < ARRAY_SIZE(files); j++)
			watch(inst, text("%s/%s", dirs[i], files[j]),
			      IN_ALL_EVENTS);
	}
	for (i = 0; i < ARRAY_SIZE(dirs); i++)
		remove_dir(dirs[i]);
	verify_all_gone();
	note("overflows: %lu", status("overflows"));
}

/*
 * A removal that the probe does not see, since kprobes are switched off. The
 * file is held open, so that a kernel with native support is silent as well.
 */
static void unseen_removal(void)
{
	char *dir = new_cgroup("unseen");
	char *path = text("%s/cgroup.events", dir);

	if (!exists(KPROBES))
		skip("debugfs has no kprobes/enabled");
	watch(instance(), path, IN_DELETE_SELF);
	hold_open(path);
	put(KPROBES, "0");
	remove_dir(dir);
	put(KPROBES, "1");
}

/* The slow resync finds it. */
static void slow_resync(void)
{
	load("resync_seconds=1");
	unseen_removal();
	verify_all_gone();
}

/* With resync_seconds=0 there's none, until the module is loaded again. */
static void no_slow_resync(void)
{
	unsigned long resyncs;

	load("resync_seconds=0");
	/* The one at load, and one for watches that came late. */
	WAIT_FOR(status("resyncs") == 2);
	unseen_removal();
	resyncs = status("resyncs");
	verify();
	if (status("resyncs") != resyncs)
		fail("a resync with resync_seconds=0, and nothing overflown");
	unload();
	load("");
	verify_all_gone();
}

static void make_and_remove(void *path)
{
	int i;

	for (i = 0; i < 500; i++) {
		make_dir(path);
		remove_dir(path);
	}
}

/*
 * A watch that comes between the two halves of fsnotify_inoderemove() gets only
 * the second. On kernfs, where a removed file can still be watched for a moment,
 * the caller can't prevent that. If it took longer than LATEST to place it, on a
 * busy machine, it may be left to the slow resync.
 */
static void watch_now(int inst, const char *path, long latest)
{
	long begin = now_ms();
	struct watch *w = try_watch(inst, path, IN_DELETE_SELF);

	if (w && now_ms() - begin < latest)
		expect(w, GONE " or IGNORED");
	else if (w)
		expect(w, GONE " or IGNORED or ");
}

/*
 * A cgroup comes and goes, and all the time somebody watches it and a file in
 * it. Each watch is told, even one placed LATEST ms after the removal.
 */
static void watch_all_the_time(int inst, long latest)
{
	char *dir = new_cgroup("late");
	char *file = text("%s/cgroup.events", dir);
	pid_t child;

	remove_dir(dir);
	child = spawn(make_and_remove, dir);
	while (!ended(child)) {
		watch_now(inst, dir, latest);
		watch_now(inst, file, latest);
	}
	note("%d watches", watch_count);
}

/* Meanwhile another file is watched as well, and stays. */
static void late_watch(void)
{
	struct watch *other;
	int inst = instance();

	load("");
	other = watch(inst, CGROUPS "/cgroup.procs", IN_DELETE_SELF);
	watch_all_the_time(inst, 1000);
	expect(other, "");
	verify();
}

/* Nothing else is watched: the late watch is the first on its superblock. */
static void late_first_watch(void)
{
	load("");
	watch_all_the_time(instance(), 150);
	verify();
}

/*
 * Files that the rings had no room for are watched just after the resync has
 * looked for them: most of these are such. The next look must find them; only
 * of the last one, if that look was on by then, it can't be known. If this CPU
 * was too slow for more than one, it's done again.
 */
static void late_for_resync(void)
{
	struct watch *last = NULL;
	unsigned long resyncs;
	int fds[20], inst = -1, tries = 0;
	size_t i;

	load_devices();
	load("resync_seconds=0");
	WAIT_FOR(status("resyncs") == 2);
	do {
		tries++;
		/* The watches of a try that was too slow are not told of. */
		close(inst);
		inst = instance();
		watch_count = 0;
		/* In sysfs, for the resync to wait until this removal is over. */
		expect(watch(inst, "/sys/kernel/kdn_test/add", IN_DELETE_SELF),
		       "");
		resyncs = status("resyncs");
		control("tree", 5000);
		for (i = 0; i < ARRAY_SIZE(fds); i++)
			fds[i] = open(text(LEAVES "/a%zu", i),
				      O_PATH | O_CLOEXEC);
		control("tree", 0);
		WAIT_FOR(status("resyncs") > resyncs);
		for (i = 0; i < ARRAY_SIZE(fds); i++) {
			if (status("resyncs") > resyncs + 1)
				break;
			last = watch(inst, text("/proc/self/fd/%d", fds[i]),
				     IN_ALL_EVENTS);
			expect(last, GONE);
		}
	} while (i < 2);
	note("%zu watches between two resyncs, at try %d", i, tries);
	if (status("resyncs") > resyncs + 1)
		expect(last, GONE " or ");
	verify_soon(granted_ms());
}

/*
 * A program stays in a removed directory for so long, and the module looks at
 * that less and less often.
 */
static void stay_in_removed(int inst, const char *dir, int ms)
{
	load("resync_seconds=0");
	WAIT_FOR(status("resyncs") == 2);
	watch(inst, dir, IN_DELETE_SELF);
	hold_dir_open(dir);
	remove_dir(dir);
	WAIT_FOR(status("pending"));
	/* This is silence: of looks in vain nothing is to be read. */
	listen_for(ms);
}

/* What is lost later does not have to wait as long. */
static void patient_resync(void)
{
	char *dir = new_cgroup("patient");
	int inst = instance();
	unsigned long resyncs;
	pid_t remover;
	long begin, took;

	load_devices();
	control("tree", 5000);
	stay_in_removed(inst, dir, 6000);
	resyncs = status("resyncs");
	expect(watch(inst, LEAVES "/a4998", IN_ALL_EVENTS), GONE);
	remover = hang_removal(LEAVES "/a0", "tree", 0);
	begin = granted_ms();
	WAIT_FOR(status("resyncs") > resyncs);
	took = granted_ms() - begin;
	if (took > SOON_MS)
		fail("the resync came after %ld ms, %ld are allowed", took, SOON_MS);
	/* To remove so much takes the kernel itself a while. */
	finish_removal(remover);
	verify_soon(granted_ms());
}

/*
 * A program stays in a removed directory for long, and another one in another
 * directory for some seconds: that one's watcher does not wait as long as the
 * first's.
 */
static void impatient_resync(void)
{
	char *long_open = new_cgroup("long_open"), *open = new_cgroup("open");
	int inst = instance(), fd;
	long begin;

	stay_in_removed(inst, long_open, 8000);
	expect(watch(inst, open, IN_DELETE_SELF), GONE);
	fd = hold_dir_open(open);
	remove_dir(open);
	listen_for(2000);
	begin = granted_ms();
	close(fd);
	verify_soon(begin);
}

/* Read events of an instance, without looking at them; returns how many. */
static int count_events(int inst)
{
	char buffer[65536];
	int count = 0;
	ssize_t n;

	while ((n = read(inst, buffer, sizeof(buffer))) > 0)
		count += n / sizeof(struct inotify_event);
	return count;
}

/*
 * A program has more removed directories open than the worker has room for.
 * Others do not wait for that: their watchers are told within two seconds, of a
 * file and of a directory; or, where everything is slow, within the time that the
 * kernel itself takes to remove as many directories.  When all are closed, the
 * program is told of all.
 */
static void ten_thousand_open(void)
{
	enum { OPEN = 10000 };
	struct rlimit limit = { 2 * OPEN, 2 * OPEN };
	static int fds[OPEN];
	int inst = instance(), other, events = 0, i;
	long begin, allowed;

	if (setrlimit(RLIMIT_NOFILE, &limit))
		fail("no more files can be opened: %m");
	try_put("/proc/sys/fs/inotify/max_user_watches", "262144");
	put("/proc/sys/fs/inotify/max_queued_events", "262144");
	other = instance();
	load_devices();
	control("dirs", OPEN);
	load("resync_seconds=0");
	for (i = 0; i < OPEN; i++) {
		char path[64];

		snprintf(path, sizeof(path), DIRECTORIES "%d", i);
		fds[i] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fds[i] < 0 ||
		    inotify_add_watch(other, path, IN_DELETE_SELF) < 0)
			fail("%s can't be opened and watched: %m", path);
	}
	begin = granted_ms();
	control("dirs", 0);
	allowed = granted_ms() - begin;
	note("to remove %d directories took %ld ms", OPEN, allowed);
	if (allowed < soon_ms())
		allowed = soon_ms();
	for (i = 0; i < 5; i++) {
		char *dir = new_cgroup(text("beside%d", i));

		begin = granted_ms();
		watch(inst, text("%s/cgroup.events", dir), IN_DELETE_SELF);
		watch(inst, dir, IN_DELETE_SELF);
		expect_all(GONE);
		remove_dir(dir);
		verify_within(begin, allowed);
		note("pending %lu", status("pending"));
		watch_count = 0;
	}
	if (count_events(other))
		fail("told of directories that are open");
	for (i = 0; i < OPEN; i++)
		close(fds[i]);
	for (i = 0; i < 6 && events < 2 * OPEN; i++) {
		long deadline = now_ms() + DEADLINE_MS;

		while (events < 2 * OPEN && now_ms() < deadline) {
			poll(NULL, 0, 50);
			events += count_events(other);
		}
	}
	note("when they were closed: %d events", events);
	if (events != 2 * OPEN)
		fail("%d events of %d directories", events, OPEN);
}

/*
 * Many removed directories, and all but the one that a walk comes to last are
 * open: that one is told of all the same.
 */
static void many_open_directories(void)
{
	enum { OPEN = 600 };
	char *dirs[OPEN], *first = new_cgroup("many_open_directories");
	int inst = instance(), i;

	expect(watch(inst, first, IN_DELETE_SELF), GONE);
	for (i = 0; i < OPEN; i++) {
		dirs[i] = new_cgroup(text("many_open_directories%d", i));
		watch(inst, dirs[i], IN_DELETE_SELF);
		hold_dir_open(dirs[i]);
	}
	for (i = 0; i < OPEN; i++)
		remove_dir(dirs[i]);
	remove_dir(first);
	/* A kernel with native support tells of it already. */
	load("resync_seconds=0");
	verify();
}

const struct kdn_test tests[] = {
	{ "overflow", overflow },
	{ "full_ring", full_ring },
	{ "slow_resync", slow_resync },
	{ "no_slow_resync", no_slow_resync },
	{ "late_for_resync", late_for_resync },
	{ "patient_resync", patient_resync },
	{ "impatient_resync", impatient_resync },
	{ "many_open_directories", many_open_directories },
	{ "ten_thousand_open", ten_thousand_open },
	{ "late_watch", late_watch },
	{ "late_first_watch", late_first_watch },
	{ }
};
