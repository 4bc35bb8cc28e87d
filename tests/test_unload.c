// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading and unloading, again and again, with removals going on meanwhile.
 */
#include "kdn.h"

#include <unistd.h>

#define ROUNDS	20
#define CGROUPS_PER_ROUND	20

static char *dirs[ROUNDS][CGROUPS_PER_ROUND];
static int go[2];

static void remove_in_rounds(void *unused)
{
	int round, i;
	char c;

	(void)unused;
	for (round = 0; round < ROUNDS; round++) {
		if (read(go[0], &c, 1) != 1)
			fail("the other end of the pipe is gone");
		for (i = 0; i < CGROUPS_PER_ROUND; i++)
			remove_dir(dirs[round][i]);
	}
}

/*
 * 400 cgroups go, 20 in each round of insmod and rmmod, at the same time.
 * Whoever was not told when the module was there is told when it's back.
 */
static void under_load(void)
{
	int inst = instance(), round, i;
	pid_t child;

	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < CGROUPS_PER_ROUND; i++) {
			char *dir = new_cgroup(text("load%d.%d", round, i));

			dirs[round][i] = dir;
			watch(inst, dir, IN_ALL_EVENTS);
			watch(inst, text("%s/cgroup.events", dir),
			      IN_ALL_EVENTS);
		}
	}
	if (pipe(go))
		fail("pipe: %m");
	child = spawn(remove_in_rounds, NULL);
	for (round = 0; round < ROUNDS; round++) {
		if (write(go[1], "", 1) != 1)
			fail("writing to the pipe: %m");
		load("");
		unload();
	}
	end_of(child);
	load("");
	verify_all_gone();
}

/* A removal hangs while the module is unloaded: it does not wait for it. */
static void during_removal(void)
{
	pid_t remover;

	load_devices();
	control("add", 0);
	load("");
	watch(instance(), DEVICES "0/block", IN_DELETE_SELF);
	remover = hang_removal(DEVICES "0/block", "del", 0);
	WAIT_FOR(status("pending"));
	unload();
	verify();
	finish_removal(remover);
	load("");
	verify_all_gone();
}

const struct kdn_test tests[] = {
	{ "under_load", under_load },
	{ "during_removal", during_removal },
	{ }
};
