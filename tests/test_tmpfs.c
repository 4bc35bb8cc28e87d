// SPDX-License-Identifier: GPL-2.0-only
/*
 * tmpfs is the judge: the same steps there and on cgroup2 give the same
 * IN_DELETE_SELF and IN_IGNORED.
 */
#include "kdn.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JUDGE		"/tmp/judge"
#define DIRS		24
#define INSTANCES	4

/* Files that a cgroup has, and that are made on tmpfs */
static const char * const files[] = {
	"cgroup.events", "cgroup.procs", "cgroup.stat"
};

/*
 * What a mask may have here: nothing of what the steps themselves do differs,
 * such as making files or their link count.
 */
static const unsigned int bits[] = {
	IN_DELETE_SELF, IN_MODIFY, IN_MOVE_SELF, IN_MOVED_FROM, IN_ONESHOT,
	IN_EXCL_UNLINK,
};

static unsigned int random_mask(void)
{
	unsigned int mask = rand() % 3 ? IN_DELETE_SELF : IN_MODIFY;
	size_t i;

	for (i = 1; i < ARRAY_SIZE(bits); i++)
		if (rand() % 4 == 0)
			mask |= bits[i];
	return mask;
}

static void make(const char *path)
{
	size_t i;

	make_dir(path);
	if (strncmp(path, JUDGE, strlen(JUDGE)))
		return;
	for (i = 0; i < ARRAY_SIZE(files); i++)
		close(open(text("%s/%s", path, files[i]), O_CREAT, 0644));
}

static void take_away(const char *path)
{
	size_t i;

	if (!strncmp(path, JUDGE, strlen(JUDGE)))
		for (i = 0; i < ARRAY_SIZE(files); i++)
			unlink(text("%s/%s", path, files[i]));
	remove_dir(path);
}

/*
 * A random tree below TOP with random watches, the same for the same seed,
 * which then goes, in some order from the leaves to the top.
 */
static void steps(const char *top, unsigned int seed)
{
	int inst[INSTANCES], i, j;
	char *dirs[DIRS] = { text("%s/tree", top) };

	srand(seed);
	for (i = 0; i < INSTANCES; i++)
		inst[i] = instance();
	for (i = 0; i < DIRS; i++) {
		if (i)
			dirs[i] = text("%s/d%d", dirs[rand() % i], i);
		make(dirs[i]);
		for (j = rand() % 8; j > 0; j--) {
			int name = rand() % (ARRAY_SIZE(files) + 1);
			int who = rand() % INSTANCES;
			unsigned int mask = random_mask();

			watch(inst[who], name ? text("%s/%s", dirs[i],
						     files[name - 1]) : dirs[i],
			      mask);
		}
	}
	for (i = DIRS - 1; i >= 0; i--)
		take_away(dirs[i]);
}

static void same_as_tmpfs(unsigned int seed)
{
	char *judged[DIRS * 8];
	int n, i;

	mount_at(JUDGE, "tmpfs", "");
	steps(JUDGE, seed);
	collect();
	n = watch_count;
	for (i = 0; i < n; i++)
		judged[i] = strdup(watches[i].got);
	expect_all("IGNORED or " GONE);
	verify();

	steps(new_cgroup("judged"), seed);
	if (watch_count != 2 * n)
		fail("%d watches on tmpfs, %d on both", n, watch_count);
	for (i = 0; i < n; i++)
		expect(&watches[n + i], judged[i]);
	note("seed %u: %d watches", seed, n);
	verify();
}

static void seed_1(void)
{
	load("");
	same_as_tmpfs(1);
}

static void seed_2(void)
{
	load("");
	same_as_tmpfs(2);
}

const struct kdn_test tests[] = {
	{ "seed_1", seed_1 },
	{ "seed_2", seed_2 },
	{ }
};
