// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exactly once, and nothing else, whatever races with the removals: each watch
 * reads DELETE_SELF once and then IGNORED once, and a fanotify mark on the
 * whole file system hears of each watched node once.
 *
 * While this process removes nodes, a child on the other CPU does one thing
 * with them all the time. The slow resync is off: it would make good what the
 * module loses.
 */
#define _GNU_SOURCE
#include "kdn.h"
#include "marks.h"

#include <assert.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * On a native kernel the module races with the kernel itself, so there the
 * tests together remove more than 20,000 nodes, each with a watch, which takes
 * half a minute. On others the module is alone, and a few thousand have to do.
 */
#define NODES	1080		/* that a test removes */

#define EVENTS		(IN_ALL_EVENTS & ~(IN_ACCESS | IN_OPEN | IN_CLOSE))
#define CACHES		"/proc/sys/vm/drop_caches"

/* What is removed: a unit has some nodes, a round some units. */
struct kind {
	const char *fs;
	int units, nodes;
	void (*make)(int unit);
	void (*remove)(int unit);
};

/* What the child does with a unit: before, again and again with a node, after */
struct race {
	void (*begin)(void);
	bool (*step)(int node);		/* may it have met the node? */
	void (*end)(void);
	bool once;			/* it can meet each node but once */
};

static const struct kind *kind;
static const struct race *race;
static int inst, units;
static bool with_targets;

/* Shared with the child: the units it is ready for, and those removed */
static struct {
	atomic_int ready, begun, removed, met;
} *shared;

/* The child's: the first node of its unit, among the watches */
static int first;

static void add_node(const char *path)
{
	struct watch *w = watch(inst, path, EVENTS);

	if (with_targets)
		target(w->path);
}

static void add_nodes(const char *dir, const char * const *names, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		add_node(text("%s/%s", dir, names[i]));
}

/* Cgroups with their files, by rmdir() */

static const char * const core[] = {
	"cgroup.controllers", "cgroup.events", "cgroup.freeze",
	"cgroup.max.depth", "cgroup.max.descendants", "cgroup.procs",
	"cgroup.stat", "cgroup.subtree_control", "cgroup.threads",
	"cgroup.type",
};

static const char * const controllers[] = {
	"memory.current", "memory.events", "memory.events.local",
	"memory.high", "memory.low", "memory.max", "memory.min",
	"memory.oom.group", "memory.stat", "pids.current", "pids.events",
	"pids.max",
};

static void make_cgroup(int unit)
{
	char *dir = new_cgroup(text("once%d", unit));

	add_node(dir);
	add_nodes(dir, core, ARRAY_SIZE(core));
	add_nodes(dir, controllers, ARRAY_SIZE(controllers));
}

static void remove_cgroup(int unit)
{
	remove_dir(text(CGROUPS "/kdn/once%d", unit));
}

static const struct kind cgroups = {
	.fs = CGROUPS,
	.units = 24,
	.nodes = 1 + ARRAY_SIZE(core) + ARRAY_SIZE(controllers),
	.make = make_cgroup,
	.remove = remove_cgroup,
};

/* The files of two controllers, taken from a cgroup that stays */

static void make_files(int unit)
{
	char *dir = text(CGROUPS "/kdn/once%d", unit);
	char *child = text("%s/child", dir);

	if (!exists(dir)) {
		new_cgroup(text("once%d", unit));
		make_dir(child);
	}
	put(text("%s/cgroup.subtree_control", dir), "+memory +pids");
	add_nodes(child, controllers, ARRAY_SIZE(controllers));
}

static void remove_files(int unit)
{
	put(text(CGROUPS "/kdn/once%d/cgroup.subtree_control", unit),
	    "-memory -pids");
}

static const struct kind files = {
	.fs = CGROUPS,
	.units = 45,
	.nodes = ARRAY_SIZE(controllers),
	.make = make_files,
	.remove = remove_files,
};

/* A directory of sysfs with its files, by a single call of kernfs_remove() */

#define FILES	359

static void make_leaves(int unit)
{
	int i;

	(void)unit;
	control("tree", FILES);
	add_node(LEAVES);
	for (i = 0; i < FILES; i++)
		add_node(text(LEAVES "/a%d", i));
}

static void remove_leaves(int unit)
{
	(void)unit;
	control("tree", 0);
}

static const struct kind leaves = {
	.units = 1,
	.nodes = 1 + FILES,
	.make = make_leaves,
	.remove = remove_leaves,
};

/* Everything is open before the removal, and closed in the midst of it. */

static int fds[1 + FILES];

static void open_all(void)
{
	int i;

	for (i = 0; i < kind->nodes; i++) {
		fds[i] = open(watches[first + i].path, O_RDONLY | O_CLOEXEC);
		if (fds[i] < 0)
			fail("%s can't be opened: %m", watches[first + i].path);
	}
}

static bool close_one(int node)
{
	if (fds[node] < 0)
		return false;
	close(fds[node]);
	fds[node] = -1;
	return true;
}

static void close_all(void)
{
	int i;

	for (i = 0; i < kind->nodes; i++)
		close_one(i);
}

static const struct race closes = {
	.begin = open_all,
	.step = close_one,
	.end = close_all,
	.once = true,
};

/* Path lookups: they drop the dentries of what is removed when they meet it. */

static bool look_up(int node)
{
	exists(watches[first + node].path);
	return true;
}

static const struct race lookups = { .step = look_up };

/* The kernel's caches are dropped, and with them the dentries. */

static bool drop_dentries(int node)
{
	(void)node;
	put(CACHES, "2");
	return true;
}

static const struct race drops = { .step = drop_dentries };

/* Nodes are opened by their handles, which gives them other dentries. */

static int fs_fd;

static void open_fs(void)
{
	fs_fd = open(kind->fs, O_RDONLY | O_CLOEXEC);
	if (fs_fd < 0)
		fail("%s: %m", kind->fs);
}

static bool open_handle(int node)
{
	int fd = open_by_handle_at(fs_fd, targets[first + node].handle,
				   O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static void close_fs(void)
{
	close(fs_fd);
}

static const struct race handles = {
	.begin = open_fs,
	.step = open_handle,
	.end = close_fs,
};

/* A test */

static void child(void *first_of_round)
{
	int unit, i, left;

	run_on(1);
	for (unit = 0; unit < units; unit++) {
		first = *(int *)first_of_round + unit * kind->nodes;
		left = 1 + rand() % kind->nodes;
		if (race->begin)
			race->begin();
		for (i = 0; shared->removed <= unit; i++) {
			bool met;

			/* All would be over when the removal begins. */
			while (race->once && i == left && shared->begun <= unit)
				;
			met = race->step(i % kind->nodes);
			/* What ends before the removal begins is no race. */
			shared->met += met && shared->begun > unit;
			/* Not before: this CPU may have been slow to start. */
			shared->ready = unit + 1;
		}
		if (race->end)
			race->end();
	}
}

/* Any time between now and what the child may take for all nodes of a unit */
static void wait_at_random(void)
{
	int turns = rand() % (200 * kind->nodes);

	while (turns--)
		atomic_thread_fence(memory_order_seq_cst);
}

static void round_of_removals(int fan)
{
	int before = watch_count, unit;
	pid_t pid;

	for (unit = 0; unit < units; unit++)
		kind->make(unit);
	shared->ready = 0;
	shared->begun = 0;
	shared->removed = 0;
	pid = spawn(child, &before);
	for (unit = 0; unit < units; unit++) {
		while (shared->ready <= unit)
			ended(pid);
		wait_at_random();
		shared->begun = unit + 1;
		kind->remove(unit);
		shared->removed = unit + 1;
		/* Two events of a node would be made one if both are unread. */
		if (fan >= 0)
			count_marks(fan);
	}
	end_of(pid);
	for (; before < watch_count; before++)
		expect(&watches[before], GONE);
	verify();
	if (fan >= 0)
		count_marks(fan);
}

/*
 * Each node that was watched was reported once; also after the last dentry has
 * gone. But in the midst of a removal, an open by handle may come with a new
 * dentry just after a native kernel told of the old one's end: it tells of the
 * new one's again (without the module, of 7 nodes of 4,500).
 */
static void verify_marks(int fan, bool native)
{
	int i;

	read_marks(fan, target_count);
	drop_caches();
	read_marks(fan, 0);
	for (i = 0; i < target_count; i++)
		if (!native || race != &handles || targets[i].events != 2)
			once(&targets[i]);
}

static void remove_under(const struct race *r, const struct kind *k, bool mark)
{
	int nodes = NODES, fan = -1;
	bool native;

	if (k != &leaves)
		need_controllers();
	if (!exists(CACHES))
		skip("no %s: CONFIG_PROC_SYSCTL", CACHES);
	race = r;
	kind = k;
	inst = instance();
	with_targets = mark || race == &handles;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		fail("mmap: %m");
	load_devices();
	load("resync_seconds=0");
	native = status("native");
	units = kind->units;
	if (!native) {
		nodes /= 10;
		units = 1 + units / 10;
	}
	if (mark) {
		fan = group();
		add_mark(fan, FAN_MARK_FILESYSTEM, kind->fs);
	}
	run_on(0);
	/* From now on, nothing in the log of the caches that are dropped. */
	put(CACHES, "4");

	/* On a busy machine it may take some more until anything races. */
	while (watch_count < nodes ||
	       (native && !shared->met && watch_count < 3 * nodes))
		round_of_removals(fan);

	note("%d nodes removed, each watched; the child met %d", watch_count,
	     shared->met);
	/* In the few of a silent kernel, it may be that nothing did. */
	if (native && !shared->met)
		fail("nothing raced with the removals");
	if (mark)
		verify_marks(fan, native);
}

static void close_cgroups(void)
{
	remove_under(&closes, &cgroups, false);
}

static void close_cgroups_marked(void)
{
	remove_under(&closes, &cgroups, true);
}

static void close_files(void)
{
	remove_under(&closes, &files, false);
}

static void close_files_marked(void)
{
	remove_under(&closes, &files, true);
}

static void close_sysfs(void)
{
	remove_under(&closes, &leaves, false);
}

static void lookup_cgroups(void)
{
	remove_under(&lookups, &cgroups, false);
}

static void lookup_cgroups_marked(void)
{
	remove_under(&lookups, &cgroups, true);
}

static void lookup_files(void)
{
	remove_under(&lookups, &files, false);
}

static void lookup_files_marked(void)
{
	remove_under(&lookups, &files, true);
}

static void lookup_sysfs(void)
{
	remove_under(&lookups, &leaves, false);
}

static void drop_cgroups(void)
{
	remove_under(&drops, &cgroups, false);
}

static void drop_cgroups_marked(void)
{
	remove_under(&drops, &cgroups, true);
}

static void drop_files(void)
{
	remove_under(&drops, &files, false);
}

static void drop_files_marked(void)
{
	remove_under(&drops, &files, true);
}

static void drop_sysfs(void)
{
	remove_under(&drops, &leaves, false);
}

static void handle_cgroups(void)
{
	remove_under(&handles, &cgroups, false);
}

static void handle_cgroups_marked(void)
{
	remove_under(&handles, &cgroups, true);
}

static void handle_files(void)
{
	remove_under(&handles, &files, false);
}

static void handle_files_marked(void)
{
	remove_under(&handles, &files, true);
}

const struct kdn_test tests[] = {
	{ "close_cgroups", close_cgroups },
	{ "close_cgroups_marked", close_cgroups_marked },
	{ "close_files", close_files },
	{ "close_files_marked", close_files_marked },
	{ "close_sysfs", close_sysfs },
	{ "lookup_cgroups", lookup_cgroups },
	{ "lookup_cgroups_marked", lookup_cgroups_marked },
	{ "lookup_files", lookup_files },
	{ "lookup_files_marked", lookup_files_marked },
	{ "lookup_sysfs", lookup_sysfs },
	{ "drop_cgroups", drop_cgroups },
	{ "drop_cgroups_marked", drop_cgroups_marked },
	{ "drop_files", drop_files },
	{ "drop_files_marked", drop_files_marked },
	{ "drop_sysfs", drop_sysfs },
	{ "handle_cgroups", handle_cgroups },
	{ "handle_cgroups_marked", handle_cgroups_marked },
	{ "handle_files", handle_files },
	{ "handle_files_marked", handle_files_marked },
	{ }
};

static_assert((ARRAY_SIZE(tests) - 1) * NODES > 20000, "too few removals");
