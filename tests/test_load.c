// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading: what an operator reads of it, what is refused, and how.
 */
#include "kdn.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* The functions that take no probe */
#define UNPROBED	"/sys/kernel/debug/kprobes/blacklist"

/*
 * The directory has exactly the documented files, each with one line; the
 * probe is armed, on the function meant; and after rmmod all is gone.
 */
static void status_files(void)
{
	static const char * const files[] = {
		"armed", "delivered", "found", "missed", "native", "noted",
		"overflows", "pending", "removals", "resync_found", "resyncs",
	};
	struct dirent *entry;
	int count = 0;
	size_t i;
	DIR *dir;

	load("");
	for (i = 0; i < ARRAY_SIZE(files); i++)
		status(files[i]);
	dir = opendir(STATUS_DIR);
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	if (count != ARRAY_SIZE(files) + 1)
		fail("%d files in %s, expected %zu", count, STATUS_DIR,
		     ARRAY_SIZE(files) + 1);
	if (strncmp(get(STATUS_DIR "/symbol"), "__kernfs_remove", 15))
		fail("the symbol is %s", get(STATUS_DIR "/symbol"));
	if (status("armed") != 1)
		fail("the probe is not armed");
	unload();
	if (exists(STATUS_DIR))
		fail("%s is still there after rmmod", STATUS_DIR);
}

/* A cgroup with two watched files goes: the counters count it. */
static void counters(void)
{
	char *dir = new_cgroup("counters");

	need_controllers();
	load("resync_seconds=0");
	/* The walk at the load, and the one that looks for late watches. */
	WAIT_FOR(status("resyncs") == 2);
	watch(instance(), text("%s/cgroup.events", dir), IN_ALL_EVENTS);
	watch(instance(), text("%s/memory.events", dir), IN_ALL_EVENTS);
	remove_dir(dir);
	verify_all_gone();
	WAIT_FOR(!status("pending"));
	note("removals %lu, noted %lu, found %lu, delivered %lu",
	     status("removals"), status("noted"), status("found"),
	     status("delivered"));
	/* One call for each file and one for the directory */
	if (status("removals") < 3 || status("noted") < 2)
		fail("too few removals seen");
	/* The kernel's native support may have been faster. */
	if (status("delivered") > 2 ||
	    (!status("native") && status("delivered") != 2) ||
	    status("found") < status("delivered"))
		fail("two watched files went");
	if (status("overflows") || status("missed") || status("resync_found"))
		fail("overflows %lu, missed %lu, found by resync %lu",
		     status("overflows"), status("missed"),
		     status("resync_found"));
}

/* The tracepoints tell the way of a node: noted, delivered; or resynced. */
static void tracepoints(void)
{
	static const char events[] = "/tmp/tracing/events/" MODULE;
	static const char trace[] = "/tmp/tracing/trace";
	char *dir = new_cgroup("tracepoints");
	int inst, i;

	need_controllers();
	mkdir("/tmp/tracing", 0755);
	if (mount("tracefs", "/tmp/tracing", "tracefs", 0, NULL) ||
	    !exists("/tmp/tracing/events"))
		skip("no tracepoints: CONFIG_EVENT_TRACING");
	load("");
	put(text("%s/enable", events), "1");
	watch(instance(), text("%s/memory.events", dir), IN_DELETE_SELF);
	hold_open(text("%s/memory.events", dir));
	remove_dir(dir);
	verify_all_gone();
	if (!file_has(trace, "kdn_noted: ", "name=memory.events") ||
	    !file_has(trace, "kdn_delivered: ", "name=memory.events"))
		fail("not in the trace: memory.events noted and delivered");
	/* More than the handler walks. */
	load_devices();
	control("tree", 5000);
	inst = instance();
	for (i = 0; i < 5000; i += 100)
		expect(watch(inst, text(LEAVES "/a%d", i), IN_DELETE_SELF), GONE);
	control("tree", 0);
	verify();
	if (!file_has(trace, "kdn_resynced: ", "name=a"))
		fail("not in the trace: a file that a resync found");
}

/* The symbol that the module found by itself is taken as symbol= as well. */
static void symbol_given(void)
{
	char *dir = new_cgroup("symbol_given");
	char *symbol;

	load("");
	symbol = get(STATUS_DIR "/symbol");
	unload();
	load(text("symbol=%s", symbol));
	watch(instance(), text("%s/cgroup.events", dir), IN_ALL_EVENTS);
	remove_dir(dir);
	verify_all_gone();
}

/* Only the file systems named are served, here sysfs; in both ways round. */
static void filesystems_chosen(void)
{
	char *dir = new_cgroup("filesystems");
	char *path = text("%s/cgroup.events", dir);
	struct watch *w;
	pid_t remover;

	load_devices();
	control("add", 0);
	load("filesystems=sysfs");
	w = watch(instance(), path, IN_DELETE_SELF);
	/* Held open, it gets nothing from a native kernel either. */
	hold_open(path);
	remove_dir(dir);
	verify();
	expect(watch(instance(), DEVICES "0/value", IN_ALL_EVENTS), GONE);
	control("del", 0);
	verify();
	unload();
	load("filesystems=cgroup2,sysfs");
	expect(w, GONE);
	verify();
	unload();

	/* What is not served is no work either. */
	control("add", 0);
	load("filesystems=cgroup2");
	remover = hang_removal(DEVICES "0/block", "del", 0);
	WAIT_FOR(status("noted"));
	verify();
	if (status("pending"))
		fail("it waits for a removal in sysfs");
	finish_removal(remover);
}

/*
 * A load that must fail with this error, one line in the log that has the
 * module's name and both texts, and nothing left behind.
 */
static void refused(const char *parameters, int error, const char *a,
		    const char *b)
{
	int mark = log_mark();
	int err = try_load(MODULE, parameters);

	if (err != -error)
		fail("insmod with '%s': expected '%s', got '%s'", parameters,
		     strerror(error), strerror(-err));
	if (!log_has(mark, MODULE ": ", a, b))
		fail("no clear line in the log for '%s'", parameters);
	if (exists(STATUS_DIR) || exists("/sys/module/" MODULE))
		fail("something is left of the load with '%s'", parameters);
}

/* The line names the parameter, its value and what is allowed. */
static void bad_numbers(void)
{
	refused("ring_size=0", EINVAL, "ring_size=0", "from 16 to 65536");
	refused("ring_size=8", EINVAL, "ring_size=8", "from 16 to 65536");
	refused("ring_size=100", EINVAL, "ring_size=100", "power of two");
	refused("ring_size=131072", EINVAL, "ring_size=131072", "65536");
	refused("resync_seconds=86401", EINVAL, "resync_seconds=86401",
		"86400");
	/* These the kernel itself refuses, with a line of its own. */
	refused("resync_seconds=-1", EINVAL, "resync_seconds", "-1");
	refused("ring_size=many", EINVAL, "ring_size", "many");
	load("ring_size=16 resync_seconds=86400");
	unload();
	load("ring_size=65536 resync_seconds=0");
}

static void unknown_filesystem(void)
{
	refused("filesystems=sysfs,nosuchfs", EINVAL, "filesystems=",
		"nosuchfs");
}

/* A file system that is not kernfs's is no node's home, and left alone. */
static void foreign_filesystem(void)
{
	char *dir = new_cgroup("foreign");

	load("filesystems=tmpfs,cgroup2");
	make_dir("/tmp/foreign");
	watch(instance(), "/tmp/foreign", IN_DELETE_SELF);
	watch(instance(), text("%s/cgroup.events", dir), IN_DELETE_SELF);
	remove_dir(dir);
	remove_dir("/tmp/foreign");
	verify_all_gone();
}

static void no_such_symbol(void)
{
	refused("symbol=kdn_no_such_symbol", ENOENT, "symbol=",
		"kdn_no_such_symbol");
}

/*
 * Functions that are called in a removal, or elsewhere, but are not the one to
 * probe: the proof fails. Some do get the node as their first argument. The
 * compiler may have left no trace of the last two.
 */
static void wrong_symbol(void)
{
	static const char * const symbols[] = {
		"vfs_rmdir", "ksys_read", "kernfs_put", "kernfs_get",
		"kernfs_drain", "kernfs_unlink_sibling",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(symbols); i++)
		if (i < 4 || file_has("/proc/kallsyms",
				      text(" %s\n", symbols[i]), ""))
			refused(text("symbol=%s", symbols[i]), ENXIO, "proof",
				symbols[i]);
}

/*
 * A function that kprobes itself needs takes no probe. Before 6.1, clang's CFI puts
 * another address of it on the kernel's list of them, so that it does take one.
 */
static void probe_refused(void)
{
	if (!file_has("/proc/kallsyms", " notify_die\n", ""))
		skip("no function notify_die");
	if (exists(UNPROBED) && !file_has(UNPROBED, "\tnotify_die\n", ""))
		skip("this kernel takes a probe at notify_die");
	refused("symbol=notify_die", EINVAL, "refuses a probe", "notify_die");
}

/* Kprobes are switched off in debugfs. */
static void kprobes_off(void)
{
	if (!exists(KPROBES))
		skip("debugfs has no kprobes/enabled");
	put(KPROBES, "0");
	refused("", ENXIO, "kprobes", "off");
	put(KPROBES, "1");
	load("");
}

const struct kdn_test tests[] = {
	{ "status_files", status_files },
	{ "counters", counters },
	{ "tracepoints", tracepoints },
	{ "symbol_given", symbol_given },
	{ "filesystems_chosen", filesystems_chosen },
	{ "bad_numbers", bad_numbers },
	{ "unknown_filesystem", unknown_filesystem },
	{ "foreign_filesystem", foreign_filesystem },
	{ "no_such_symbol", no_such_symbol },
	{ "wrong_symbol", wrong_symbol },
	{ "probe_refused", probe_refused },
	{ "kprobes_off", kprobes_off },
	{ }
};
