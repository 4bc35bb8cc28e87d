// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the module shows and to whom, and what a user who may do nothing but
 * make and remove cgroups of their own can do to others with it.
 */
#define _GNU_SOURCE
#include "kdn.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARAMETERS	"/sys/module/" MODULE "/parameters"
#define TRACEFS		"/sys/kernel/debug/tracing"
#define EVENTS		TRACEFS "/events/" MODULE
#define USER		1000

static void become_user(void)
{
	if (setresgid(USER, USER, USER) || setresuid(USER, USER, USER))
		fail("becoming a user: %m");
}

/* Call for each file of a directory; return their number. */
static int each_file(const char *dir, void (*call)(const char *path))
{
	DIR *files = opendir(dir);
	struct dirent *entry;
	int count = 0;

	if (!files)
		fail("%s can't be read: %m", dir);
	while ((entry = readdir(files))) {
		if (entry->d_type != DT_REG)
			continue;
		call(text("%s/%s", dir, entry->d_name));
		count++;
	}
	closedir(files);
	return count;
}

/* Who may do what */

static void all_may_read(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		fail("%s: %m", path);
	if (st.st_uid || st.st_gid || (st.st_mode & 07777) != 0444)
		fail("%s: mode %o of user %d, group %d", path, st.st_mode,
		     st.st_uid, st.st_gid);
	get(path);
}

static void none_may_write(const char *path)
{
	if (try_put(path, "1") != -EACCES)
		fail("%s can be written to by a user", path);
}

/* Everybody may read status and parameters, and nobody write them. */
static void permissions(void)
{
	load("");
	become_user();
	if (!each_file(STATUS_DIR, all_may_read) ||
	    !each_file(PARAMETERS, all_may_read))
		fail("there are no files");
	each_file(STATUS_DIR, none_may_write);
	each_file(PARAMETERS, none_may_write);
}

/* What is shown */

/*
 * An address of the kernel is above 2^63: sixteen hexadecimal digits that begin
 * with an f, or twenty decimal ones that begin with 18.
 */
static void no_address(const char *where, const char *line)
{
	const char *word, *end;

	for (word = line; *word; word = end + !!*end) {
		bool decimal;

		for (end = word; isxdigit(*end); end++)
			;
		decimal = strspn(word, "0123456789") == (size_t)(end - word);
		if ((end - word == 16 && tolower(*word) == 'f') ||
		    (decimal && end - word == 20 && !strncmp(word, "18", 2)))
			fail("%s shows an address: %s", where, line);
	}
}

static void file_without_address(const char *path)
{
	no_address(path, get(path));
}

static void lines_without_address(const char *path, const char *with)
{
	char line[4096];
	FILE *file = fopen(path, "re");
	int count = 0;

	if (!file)
		fail("%s: %m", path);
	while (fgets(line, sizeof(line), file)) {
		if (!strstr(line, with))
			continue;
		no_address(path, line);
		if (strstr(line, "%p"))
			fail("%s shows pointers: %s", path, line);
		count++;
	}
	fclose(file);
	if (!count)
		fail("%s has no line with '%s'", path, with);
}

static void log_without_address(int mark)
{
	char line[8192];
	ssize_t n;

	while ((n = read(mark, line, sizeof(line) - 1)) > 0) {
		line[n] = 0;
		if (strstr(line, MODULE))
			no_address("the log", line);
	}
}

/* Not even to root, not even if the kernel would have no objection */
static void no_addresses(void)
{
	static const char * const names[] = {
		"kdn_noted", "kdn_delivered", "kdn_resynced",
	};
	int mark = log_mark(), inst = instance();
	bool tracing = exists(TRACEFS);
	char *dirs[2];
	size_t i;

	try_put("/proc/sys/kernel/kptr_restrict", "0");
	if (try_load(MODULE, "symbol=vfs_read") != -ENXIO)
		fail("the module probes the wrong function");
	for (i = 0; i < 2; i++) {
		dirs[i] = new_cgroup(text("shown%zu", i));
		watch(inst, dirs[i], IN_ALL_EVENTS);
		watch(inst, text("%s/cgroup.events", dirs[i]), IN_ALL_EVENTS);
	}
	load("resync_seconds=1");
	if (tracing) {
		put(TRACEFS "/trace", "");
		put(EVENTS "/enable", "1");
	}
	remove_dir(dirs[0]);
	if (exists(KPROBES)) {
		/* This one is left to the resync. */
		put(KPROBES, "0");
		remove_dir(dirs[1]);
		put(KPROBES, "1");
	} else {
		remove_dir(dirs[1]);
	}
	verify_all_gone();
	each_file(STATUS_DIR, file_without_address);
	each_file(PARAMETERS, file_without_address);
	for (i = 0; i < ARRAY_SIZE(names) && tracing; i++)
		lines_without_address(text(EVENTS "/%s/format", names[i]), "");
	if (tracing)
		lines_without_address(TRACEFS "/trace", "name=shown");
	log_without_address(mark);
}

/* What a user costs others */

#define STORMERS	2
#define STORM_MS	5000
#define BATCH		64

/* How many cgroups the storm has removed */
static unsigned long *removed;

/*
 * A user, in a directory of cgroups of their own, does what costs most: cgroups
 * whose files and directories are watched, and go as soon as they have changed.
 */
static void be_a_storm(void *dir)
{
	char *dirs[BATCH], *events[BATCH], *freeze[BATCH];
	int inst = instance(), i;
	char buffer[65536];

	become_user();
	for (i = 0; i < BATCH; i++) {
		dirs[i] = text("%s/%d-%d", (char *)dir, getpid(), i);
		events[i] = text("%s/cgroup.events", dirs[i]);
		freeze[i] = text("%s/cgroup.freeze", dirs[i]);
	}
	for (;;) {
		for (i = 0; i < BATCH; i++) {
			make_dir(dirs[i]);
			if (inotify_add_watch(inst, dirs[i], IN_ALL_EVENTS) < 0 ||
			    inotify_add_watch(inst, events[i], IN_ALL_EVENTS) < 0)
				fail("%s can't be watched: %m", dirs[i]);
		}
		for (i = 0; i < BATCH; i++) {
			put(freeze[i], "1");
			remove_dir(dirs[i]);
		}
		__atomic_add_fetch(removed, BATCH, __ATOMIC_RELAXED);
		while (read(inst, buffer, sizeof(buffer)) > 0)
			;
	}
}

/*
 * Make a cgroup, watch PATH of it (the cgroup itself, or a file), remove it;
 * after how many granted ms have both events been read?
 */
static long wait_of_victim(const char *dir, const char *path)
{
	struct pollfd p = { .fd = instance(), .events = POLLIN };
	struct inotify_event events[4];
	size_t n = 0;
	long begin;

	make_dir(dir);
	if (inotify_add_watch(p.fd, path, IN_DELETE_SELF) < 0)
		fail("%s can't be watched: %m", path);
	remove_dir(dir);
	begin = granted_ms();
	while (n < 2 * sizeof(*events)) {
		ssize_t got;

		if (!poll(&p, 1, DEADLINE_MS))
			fail("%s: nothing was heard of its removal", path);
		got = read(p.fd, (char *)events + n, sizeof(events) - n);
		if (got < 0)
			fail("reading an inotify instance: %m");
		n += got;
	}
	if (events[0].mask != IN_DELETE_SELF || events[1].mask != IN_IGNORED)
		fail("%s: events %x, %x", path, events[0].mask, events[1].mask);
	close(p.fd);
	return granted_ms() - begin;
}

/*
 * Meanwhile another user's watches are served in time. A LOSSY storm goes on until
 * nodes were lost: on a slow kernel the worker mostly keeps up with it.
 */
static void storm(const char *parameters, bool lossy)
{
	char *user = new_cgroup("user"), *other = new_cgroup("other");
	char *dir = text("%s/a", other), *file = text("%s/cgroup.events", dir);
	long longest_file = 0, longest_dir = 0, end;
	pid_t stormers[STORMERS];
	int i, rounds = 0;

	removed = share(sizeof(*removed));
	load(parameters);
	if (chown(user, USER, USER))
		fail("chown %s: %m", user);
	for (i = 0; i < STORMERS; i++)
		stormers[i] = spawn(be_a_storm, user);
	WAIT_FOR(*removed);
	granted_ms();
	end = now_ms() + STORM_MS;
	while (now_ms() < end ||
	       (lossy && !lost_and_found() && now_ms() < end + DEADLINE_MS)) {
		long ms;

		ms = wait_of_victim(dir, file);
		if (ms > longest_file)
			longest_file = ms;
		ms = wait_of_victim(dir, dir);
		if (ms > longest_dir)
			longest_dir = ms;
		rounds++;
	}
	note("removed by the storm: %lu, by the victim: %d", *removed,
	     2 * rounds);
	note("pending %lu, overflows %lu, resyncs %lu, resync_found %lu",
	     status("pending"), status("overflows"), status("resyncs"),
	     status("resync_found"));
	note("the longest waits: %ld ms for a file, %ld ms for a directory",
	     longest_file, longest_dir);
	for (i = 0; i < STORMERS; i++)
		if (ended(stormers[i]))
			fail("the storm is over");
	if (longest_file > soon_ms() || longest_dir > soon_ms())
		fail("others waited %ld ms for a file, %ld ms for a directory, %ld are allowed",
		     longest_file, longest_dir, soon_ms());
}

static void removals_by_user(void)
{
	storm("", false);
}

/* With rings that are always full, almost all is found by resyncs. */
static void losses_by_user(void)
{
	storm("ring_size=16", true);
	if (!lost_and_found())
		fail("nothing was lost: overflows %lu, found by resyncs %lu",
		     status("overflows"), status("resync_found"));
}

const struct kdn_test tests[] = {
	{ "permissions", permissions },
	{ "no_addresses", no_addresses },
	{ "removals_by_user", removals_by_user },
	{ "losses_by_user", losses_by_user },
	{ NULL, NULL }
};
