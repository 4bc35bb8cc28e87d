// SPDX-License-Identifier: GPL-2.0-only
/*
 * Without memory: insmod fails and says so, or works; and in a storm no watch
 * is lost. For kernels with CONFIG_FAILSLAB and CONFIG_FAIL_PAGE_ALLOC.
 */
#include "kdn.h"
#include "storm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CONSOLE		"/proc/sys/kernel/printk"
#define PANIC		"/proc/sys/kernel/panic_on_warn"
#define DEBUG		"/sys/kernel/debug"

static const char * const injectors[] = {
	DEBUG "/failslab", DEBUG "/fail_page_alloc",
};

static char *panic_on_warn;
static int mark;

/*
 * Allocations of some tasks fail, those that may sleep as well. The kernel has
 * warnings of its own for some of these, which are no business of ours. They
 * are kept from the console, and look_at_log() tells them from others.
 */
static void set_up_faults(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(injectors); i++) {
		const char *dir = injectors[i];

		if (!exists(dir))
			skip("no %s: CONFIG_FAULT_INJECTION", dir);
		put(text("%s/probability", dir), "0");
		put(text("%s/task-filter", dir), "Y");
		put(text("%s/ignore-gfp-wait", dir), "N");
		put(text("%s/interval", dir), "1");
		put(text("%s/times", dir), "-1");
		put(text("%s/verbose", dir), "0");
	}
	put(DEBUG "/fail_page_alloc/min-order", "0");
	mark = log_mark();
	panic_on_warn = get(PANIC);
	put(PANIC, "0");
	put(CONSOLE, "4");
}

/* A bug of anybody is one; a warning, if it is in the module. */
static void look_at_log(void)
{
	static const char * const bugs[] = {
		"BUG", "KASAN: ", "Oops", "possible", "suspicious RCU", "ODEBUG",
	};
	char line[8192];
	ssize_t n;
	size_t i;

	put(PANIC, panic_on_warn);
	while ((n = read(mark, line, sizeof(line) - 1)) > 0) {
		line[n] = 0;
		for (i = 0; i < ARRAY_SIZE(bugs); i++)
			if (strstr(line, bugs[i]))
				fail("in the log: %.120s", line);
		if (strstr(line, "[" MODULE "]") &&
		    (strstr(line, "WARNING:") || strstr(line, "RIP:")))
			fail("in the log: %.120s", line);
	}
	if (n < 0 && errno != EAGAIN)
		fail("the kernel's log was overrun: %m");
}

static void set_faults(const char *percent)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(injectors); i++)
		put(text("%s/probability", injectors[i]), percent);
}

static void remove_for_ever(void *unused)
{
	char *dir = new_cgroup("beside");

	(void)unused;
	for (;;) {
		remove_dir(dir);
		make_dir(dir);
	}
}

/*
 * In one insmod after the other, the first allocation fails, then the second,
 * and so on, until none is left to fail; in less time, some of them. Cgroups are
 * removed all the time.
 */
static void insmod(void)
{
	int ko = open("/modules/" MODULE ".ko", O_RDONLY | O_CLOEXEC);
	int failed = 0, loaded = 0, other = 0, tries = 0, n;
	int nth = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);
	char left[16];

	set_up_faults();
	if (nth < 0)
		skip("no /proc/self/fail-nth: CONFIG_FAULT_INJECTION");
	spawn(remove_for_ever, NULL);
	for (n = 1;; n += long_run() ? 1 : 1 + n / 5) {
		char *count = text("%d", n);
		int before = log_mark(), err;

		if (pwrite(nth, count, strlen(count), 0) < 0)
			fail("fail-nth: %m");
		err = syscall(SYS_finit_module, ko, "", 0) ? errno : 0;
		memset(left, 0, sizeof(left));
		if (pread(nth, left, sizeof(left) - 1, 0) < 0)
			fail("fail-nth: %m");
		if (pwrite(nth, "0", 1, 0) < 0)
			fail("fail-nth: %m");
		if (!err) {
			loaded++;
			unload();
		} else if (err == ENOMEM) {
			failed++;
		} else {
			other++;
			note("allocation %d failed: %s", n, strerror(err));
			if (!log_has(before, MODULE ": ", "", ""))
				fail("%s, and no line in the log", strerror(err));
		}
		if (exists(STATUS_DIR))
			fail("%s is there when allocation %d failed",
			     STATUS_DIR, n);
		close(before);
		free(count);
		tries++;
		if (atoi(left))
			break;
	}
	note("%d allocations failed, all before number %d", tries - 1, n);
	note("insmod: ENOMEM %d, other errors %d, worked all the same %d",
	     failed, other, loaded);
	if (!failed)
		fail("no insmod failed");
	look_at_log();
	load("");
}

/* The kernel's own workers, and those that it will make */
static void kernel_suffers(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int workers = 0;

	while ((entry = readdir(proc))) {
		char comm[32] = "";
		int fd;

		if (!atoi(entry->d_name))
			continue;
		fd = open(text("/proc/%s/comm", entry->d_name), O_RDONLY);
		if (fd >= 0 && read(fd, comm, sizeof(comm) - 1) > 0 &&
		    (!strncmp(comm, "kworker", 7) ||
		     !strncmp(comm, "kthreadd", 8)))
			workers += !try_put(text("/proc/%s/make-it-fail",
						 entry->d_name), "1");
		close(fd);
	}
	closedir(proc);
	if (!workers)
		fail("no kworker was found");
}

static void storm_with(const char *percent, const char *parameters)
{
	struct account_sums sums;

	set_up_faults();
	load(parameters);
	kernel_suffers();
	set_faults(percent);
	storm_begin((struct storm){
		.cgroups = long_run() ? 3000 : 60,
		.places = 32,
		.late = true,
		.faults = true,
	});
	while (!storm_over())
		poll(NULL, 0, 5);
	set_faults("0");
	sums = storm_end();
	note("%s %%: overflows of the rings %lu, found by resync %lu", percent,
	     status("overflows"), status("resync_found"));
	if (!sums.overflows)
		fail("no event was without memory");
	look_at_log();
}

static void storm_1(void)
{
	storm_with("1", "resync_seconds=1");
}

static void storm_20(void)
{
	storm_with("20", "resync_seconds=1 ring_size=16");
}

const struct kdn_test tests[] = {
	{ "insmod", insmod },
	{ "storm_1", storm_1 },
	{ "storm_20", storm_20 },
	{ }
};
