// SPDX-License-Identifier: GPL-2.0-only
/*
 * Carries out a list of steps, see random.h. Each list works in cgroups and
 * devices of its own, and removes what is left of them at its end.
 */
#define _GNU_SOURCE
#include "kdn.h"
#include "random.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define CGROUPS1	"/tmp/random-cgroup1"
#define CACHES		"/proc/sys/vm/drop_caches"

bool native_kernel, module_loaded;
int patience_ms;

static const char *second_sysfs;

static struct {
	int fd, twin;
	struct node *node;
	bool second;
} handles[HANDLES];

/* The removal that hangs, if one does, and who waits in it */
struct slot *hanging;
static pid_t remover;

/* What is held open: some by O_PATH, which nobody hears of. */

static bool close_it(int n)
{
	struct node *node = handles[n].node;

	if (!node)
		return false;
	may_read(node, IN_CLOSE, true);
	node->opens[handles[n].second]--;
	close(handles[n].fd);
	close(handles[n].twin);
	handles[n].node = NULL;
	return true;
}

static bool open_it(struct node *node, int n, bool second)
{
	int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
	int h = n % HANDLES;

	if (node->type == LINK || n % 3 == 0 || !strcmp(node->name, "remove"))
		flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
	close_it(h);
	may_read(node, IN_OPEN, true);
	handles[h].fd = open(path_of(node, second), flags);
	handles[h].twin = open(twin_of(node), flags);
	if (handles[h].fd < 0 || handles[h].twin < 0)
		fail("%s can't be opened: %m", path_of(node, second));
	handles[h].node = node;
	handles[h].second = second;
	node->opens[second]++;
	return true;
}

/* A reader keeps a removal from being over, and somebody waits for that. */

static bool go_on(void)
{
	if (!hanging)
		return false;
	finish_removal(remover);
	if (hanging->link)
		gone(hanging->link);
	gone(hanging->dir);
	hanging = NULL;
	return true;
}

static bool hang(const struct step *s)
{
	struct slot *slot = &slots[s->kind][s->slot];
	enum kind kind = s->kind;
	struct node *file;

	if (hanging || kind < DEVICE || !there(kind, s->slot))
		return false;
	file = find_child(slot->dir, kind == DEVICE ? "block" : "a0");
	add_watch(file, s->n % INSTANCES, IN_DELETE_SELF, false);
	add_watch(slot->dir, s->n % INSTANCES, IN_DELETE_SELF, false);
	may_read(file, IN_OPEN | IN_ACCESS | IN_CLOSE, false);
	late_events(file, IN_ACCESS);
	may_read(slot->dir->parent, IN_ALL_EVENTS & ~IN_DELETE_SELF, false);
	going(slot->dir);
	if (slot->link)
		going(slot->link);
	file->stuck = true;
	slot->dir->stuck = true;
	hanging = slot;
	remover = hang_removal(path_of(file, false),
			       kind == DEVICE ? "del" : "tree", s->slot);
	return true;
}

/* kernfs reports changes by a workqueue, which can be made to take its time. */
static bool keep_busy(bool wanted)
{
	static bool busy;

	if (busy == wanted)
		return false;
	busy = wanted;
	control("busy", busy ? 3 : 0);
	return true;
}

static bool drop(void)
{
	if (exists(CACHES))
		put(CACHES, "2");
	return true;
}

/* The module comes and goes */

static const char *module_parameters = "";

static bool load_module(int choice)
{
	static const char * const parameters[] = {
		"", "ring_size=16", "resync_seconds=1",
		"ring_size=16 resync_seconds=1",
	};
	if (module_loaded)
		return false;
	module_loaded = true;
	removals_seen();
	module_parameters = parameters[choice % ARRAY_SIZE(parameters)];
	load(module_parameters);
	return true;
}

static bool unload_module(void)
{
	if (!module_loaded)
		return false;
	unload();
	read_all();
	module_loaded = false;
	return true;
}

/* Steps */

static bool file_step(const struct step *s, struct node *node)
{
	bool second = node && s->second && has_second(node);

	if (!node || node->hidden)
		return false;
	if (s->op == CHMOD)
		return chmod_it(node);
	if (s->op == WATCH)
		return add_watch(node, s->n % INSTANCES, s->mask, second);
	if (s->op == UNWATCH)
		return drop_watch(node, s->n % INSTANCES, second);
	return open_it(node, s->n, second);
}

/* Returns whether there was anything to do. */
static bool take_step(const struct step *s)
{
	switch (s->op) {
	case MAKE:
		return make(s->kind, s->slot, s->n);
	case REMOVE:
		return take(s->kind, s->slot);
	case REMOVE_SELF:
		return remove_self(s->slot);
	case REMOVE_FILE:
		return remove_file(s->slot);
	case CHANGE_REMOVE:
		return change_remove(s->slot);
	case RENAME:
		return rename_it(s->kind, s->slot);
	case CONTROLLER:
		return switch_controller(s->slot, s->n);
	case HIDE:
		return hide(s->slot);
	case CHANGE:
		return change_it(s->kind, s->slot);
	case WRITE:
		return write_it(s->kind, s->slot);
	case ENTER:
		return enter(s->slot);
	case LEAVE:
		return leave();
	case RESTART:
		restart(s->n % INSTANCES);
		return true;
	case CLOSE:
		return close_it(s->n % HANDLES);
	case BUSY:
		return keep_busy(s->n % 2);
	case DROP:
		return drop();
	case SETTLE:
		settle();
		return true;
	case UNLOAD:
		return unload_module();
	case LOAD:
		return load_module(s->n);
	case HANG:
		return hang(s);
	case GO_ON:
		return go_on();
	case CHMOD:
	case WATCH:
	case UNWATCH:
	case OPEN:
		return file_step(s, place(s));
	case OPS:
		break;
	}
	fail("no such step");
}

/* The places for all lists: mounts, devices, and what this kernel has */

static bool mounted(const char *dir)
{
	return exists(text("%s/cgroup.procs", dir));
}

void prepare_worlds(void)
{
	char *probe = "";

	if (exists(CGROUPS "/cgroup.controllers")) {
		native_kernel = kernel_is_native();
		probe = new_cgroup("probe");
	}
	prepare_model(probe);
	if (*probe)
		remove_dir(probe);
	mkdir(CGROUPS1, 0755);
	mount("cgroup", CGROUPS1, "cgroup", 0, "none,name=random");
	if (exists("/proc/self/ns/net"))
		second_sysfs = netns_make("random-sysfs").sysfs;
	if (exists(CACHES))
		/* From now on, nothing in the log of each time. */
		put(CACHES, "4");
}

static struct node *sysfs_root(const char *path, const char *name)
{
	return new_root(text("/sys%s", path),
			second_sysfs ? text("%s%s", second_sysfs, path) : NULL,
			name);
}

static void begin(void)
{
	char *name = text("random%d", getpid()), *dir;
	size_t i;

	begin_model();
	begin_dirs();
	begin_oracle();
	if (mounted(CGROUPS)) {
		dir = new_cgroup(name);
		roots[CGROUP] = new_root(dir, NULL, "cgroup");
		for (i = 0; i < CONTROLLERS; i++)
			if (exists(text("%s/%s.max", dir, controllers[i])))
				put(text("%s/cgroup.subtree_control", dir),
				    text("+%s", controllers[i]));
	}
	if (mounted(CGROUPS1)) {
		roots[CGROUP1] = new_root(text(CGROUPS1 "/%s", name), NULL,
					  "cgroup1");
		make_dir(roots[CGROUP1]->tops[0]);
	}
	roots[DEVICE] = sysfs_root("/devices/virtual/misc", "devices");
	roots[TREE] = sysfs_root("/kernel/kdn_test", "leaves");
	class_root = sysfs_root("/class/misc", "class");
	for (i = 0; i < KINDS; i++)
		if (roots[i])
			bystander(roots[i]);
	bystander(class_root);
}

/* All that is left goes. */
static void end(void)
{
	int i, n;

	go_on();
	keep_busy(false);
	if (module_loaded && *module_parameters)
		unload_module();
	load_module(0);
	for (i = 0; i < HANDLES; i++)
		close_it(i);
	for (i = 0; i < KINDS; i++)
		for (n = 0; n < SLOTS; n++)
			take(i, n);
	for (i = 0; i <= CGROUP1; i++) {
		if (!roots[i])
			continue;
		drop_watch(roots[i], INSTANCES, false);
		going(roots[i]);
		remove_dir(roots[i]->tops[0]);
		gone(roots[i]);
	}
}

void run_steps(const struct step *steps, int n, const bool *keep,
	       struct counts *counts)
{
	int i;

	module_loaded = true;
	begin();
	for (i = 0; i < n; i++) {
		if (!keep[i])
			continue;
		read_all();
		counts->done[i] = true;
		counts->done[i] = take_step(&steps[i]);
		counts->steps += counts->done[i];
	}
	end();
	end_oracle(counts);
}
