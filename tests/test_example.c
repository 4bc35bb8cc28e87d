// SPDX-License-Identifier: GPL-2.0-only
/*
 * The example of doc/programs.md, tests/example.c, as it stands there: it ends
 * when its file is removed, with the module at once, without it soon.
 */
#include "kdn.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXAMPLE		"/tests/example"

static void run_example(void *path)
{
	execl(EXAMPLE, EXAMPLE, path, NULL);
	fail("%s: %m", EXAMPLE);
}

/* It waits in poll(), and would be waiting now if nothing had happened. */
static bool waits(pid_t pid)
{
	const char *state = get(text("/proc/%d/stat", pid));

	return strstr(state, "(example) S");
}

/* Returns how long the example took to see the removal. */
static long told_after(void)
{
	char *cgroup = new_cgroup("waited");
	pid_t example;
	long removed;

	example = spawn(run_example, text("%s/cgroup.events", cgroup));
	WAIT_FOR(waits(example));
	remove_dir(cgroup);
	removed = now_ms();
	end_of(example);
	return now_ms() - removed;
}

static void with_module(void)
{
	long ms;

	load("");
	ms = told_after();
	note("the example took %ld ms", ms);
	if (ms > DEADLINE_MS)
		fail("it ended by its timeout, not by the event");
}

static void without_module(void)
{
	long ms = told_after();

	note("the example took %ld ms", ms);
	if (ms > DEADLINE_MS)
		fail("it did not look by itself");
}

/* The same name again, before the example looks: it is another file. */
static void other_file(void)
{
	char *cgroup = new_cgroup("again");
	pid_t example;

	example = spawn(run_example, text("%s/cgroup.events", cgroup));
	WAIT_FOR(waits(example));
	remove_dir(cgroup);
	make_dir(cgroup);
	end_of(example);
}

const struct kdn_test tests[] = {
	{ "with_module", with_module },
	{ "without_module", without_module },
	{ "other_file", other_file },
	{ }
};
