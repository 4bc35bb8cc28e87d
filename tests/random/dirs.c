// SPDX-License-Identifier: GPL-2.0-only
/*
 * Steps that make, change, rename and remove what is in the slots, on kernfs
 * and in the same way on tmpfs, see random.h. Beforehand the oracle is told
 * what each of them may cause to be read.
 */
#define _GNU_SOURCE
#include "kdn.h"
#include "random.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A process to put into a cgroup, and where it is */
static pid_t process;
static struct slot *populated;

/* Writes by us, and what is to be read of them */

static void write_to(struct node *dir, const char *name, const char *value)
{
	struct node *node = find_child(dir, name);

	if (node) {
		may_read(node, IN_OPEN | IN_MODIFY | IN_CLOSE_WRITE, true);
		put(twin_of(node), value);
	} else {
		may_read(dir, IN_OPEN | IN_MODIFY | IN_CLOSE_WRITE, false);
	}
	put(text("%s/%s", path_of(dir, false), name), value);
}

/* kernfs is asked to report a change of the file, and the twin is changed. */
static void change(struct node *node, bool must)
{
	if (must)
		must_read_modify(node);
	else
		may_read(node, IN_MODIFY, false);
	node->changed = now_ms();
	node->parent->changed = node->changed;
	put(twin_of(node), "x");
}

/*
 * A cgroup's state changes, which its ancestors may report, too. Cgroups report
 * changes of 10 ms only once; so must this one only after a while.
 */
static void state_changes(struct node *dir)
{
	struct node *node, *events;
	bool must;
	int i;

	for (i = 0; i < node_count; i++) {
		node = &nodes[i];
		if (strcmp(node->name, "cgroup.events") ||
		    node->state != THERE || node->parent == dir ||
		    (!below(node->parent, dir) && !below(dir, node->parent)))
			continue;
		may_read(node, IN_MODIFY, false);
		node->changed = now_ms();
		node->parent->changed = node->changed;
	}
	events = find_child(dir, "cgroup.events");
	must = now_ms() - events->changed > 50;
	change(events, must);
}

bool leave(void)
{
	if (!populated)
		return false;
	state_changes(populated->dir);
	put(CGROUPS "/cgroup.procs", text("%d", process));
	populated = NULL;
	return true;
}

static void idle(void *unused)
{
	(void)unused;
	for (;;)
		pause();
}

/* Before anything is open: it would hold that. */
void begin_dirs(void)
{
	process = spawn(idle, NULL);
}

bool enter(int n)
{
	struct slot *slot = &slots[CGROUP][n];

	if (!there(CGROUP, n) || populated || slot->controllers[0] ||
	    slot->controllers[1])
		return false;
	populated = slot;
	state_changes(slot->dir);
	write_to(slot->dir, "cgroup.procs", text("%d", process));
	return true;
}

/* Directories come and go */

static void make_cgroup(struct slot *slot, struct node *parent, int n)
{
	struct slot *up = NULL;
	size_t i;

	for (i = 0; i < SLOTS; i++)
		if (slots[CGROUP][i].dir == parent)
			up = &slots[CGROUP][i];
	may_read(parent, IN_CREATE, true);
	slot->dir = add_node(parent, text("c%d", n), DIRECTORY);
	make_dir(path_of(slot->dir, false));
	add_files(CGROUP, slot->dir, 0);
	for (i = 0; i < CONTROLLERS; i++)
		if (!up || up->controllers[i])
			add_files(CGROUP, slot->dir, i + 1);
}

bool make(enum kind kind, int n, int choice)
{
	static const int sizes[] = { 1, 2, 20, 600 };
	struct slot *slot = &slots[kind][n];
	struct node *parent = roots[kind];

	if (there(kind, n) || !parent || slot == hanging)
		return false;
	*slot = (struct slot){ };
	if (kind <= CGROUP1 && there(kind, choice % SLOTS))
		parent = slots[kind][choice % SLOTS].dir;
	switch (kind) {
	case CGROUP:
		make_cgroup(slot, parent, n);
		break;
	case CGROUP1:
		may_read(parent, IN_CREATE, true);
		slot->dir = add_node(parent, text("v%d", n), DIRECTORY);
		make_dir(path_of(slot->dir, false));
		add_files(kind, slot->dir, 0);
		break;
	case DEVICE:
		if (hanging)
			return false;
		slot->dir = add_node(parent, text("kdn_test%d", n), DIRECTORY);
		slot->link = add_node(class_root, slot->dir->name, LINK);
		control("add", n);
		add_files(kind, slot->dir, 0);
		break;
	default:
		if (n)
			return false;
		slot->dir = add_node(parent, "leaves", DIRECTORY);
		choice = sizes[choice % ARRAY_SIZE(sizes)];
		control("tree", choice);
		add_leaves(slot->dir, choice);
	}
	return true;
}

/* With all that is in it */
static void take_cgroup(enum kind kind, struct slot *slot)
{
	char *path = path_of(slot->dir, false);
	int i;

	for (i = 0; i < SLOTS; i++)
		if (there(kind, i) && slots[kind][i].dir->parent == slot->dir)
			take(kind, i);
	if (slot == populated)
		leave();
	may_read(slot->dir->parent, IN_DELETE, true);
	going(slot->dir);
	remove_dir(path);
}

static void device_goes(struct slot *slot)
{
	going(slot->dir);
	going(slot->link);
}

bool take(enum kind kind, int n)
{
	struct slot *slot = &slots[kind][n];

	if (!there(kind, n) || (kind == DEVICE && hanging))
		return false;
	if (kind <= CGROUP1) {
		take_cgroup(kind, slot);
	} else if (kind == DEVICE) {
		device_goes(slot);
		control("del", n);
		gone(slot->link);
	} else {
		going(slot->dir);
		control("tree", 0);
	}
	gone(slot->dir);
	return true;
}

bool remove_self(int n)
{
	struct slot *slot = &slots[DEVICE][n];
	struct node *file;

	if (!there(DEVICE, n) || hanging)
		return false;
	file = find_child(slot->dir, "remove");
	may_read(file, IN_OPEN | IN_MODIFY | IN_CLOSE_WRITE, false);
	late_events(file, IN_MODIFY);
	device_goes(slot);
	put(path_of(file, false), "1");
	gone(slot->link);
	gone(slot->dir);
	return true;
}

bool remove_file(int n)
{
	struct node *file;

	if (!there(DEVICE, n) || hanging)
		return false;
	file = find_child(slots[DEVICE][n].dir, "value");
	if (!file)
		return false;
	going(file);
	control("del_value", n);
	gone(file);
	return true;
}

bool change_remove(int n)
{
	struct slot *slot = &slots[DEVICE][n];
	struct node *file;

	if (!there(DEVICE, n) || hanging)
		return false;
	file = find_child(slot->dir, "value");
	if (!file)
		return false;
	change(file, true);
	device_goes(slot);
	control("notify_del", n);
	gone(slot->link);
	gone(slot->dir);
	return true;
}

bool rename_it(enum kind kind, int n)
{
	struct slot *slot = &slots[kind][n];
	char *from, *twin, *link;

	if (!there(kind, n) || (kind == DEVICE && hanging) ||
	    (kind != DEVICE && kind != CGROUP1))
		return false;
	from = path_of(slot->dir, false);
	twin = twin_of(slot->dir);
	slot->renamed = !slot->renamed;
	if (kind == CGROUP1) {
		may_read(slot->dir, IN_MOVE_SELF, true);
		may_read(slot->dir->parent, IN_MOVE, true);
		snprintf(slot->dir->name, sizeof(slot->dir->name), "%s%d",
			 slot->renamed ? "w" : "v", n);
		if (rename(from, path_of(slot->dir, false)))
			fail("renaming %s: %m", from);
	} else {
		control("rename", n);
		snprintf(slot->dir->name, sizeof(slot->dir->name), "%s%d",
			 slot->renamed ? "kdn_moved" : "kdn_test", n);
		link = twin_of(slot->link);
		memcpy(slot->link->name, slot->dir->name,
		       sizeof(slot->link->name));
		if (rename(link, twin_of(slot->link)))
			fail("renaming %s: %m", link);
	}
	if (rename(twin, twin_of(slot->dir)))
		fail("renaming %s: %m", twin);
	return true;
}

/* Switch a controller on or off for a cgroup's children. */
bool switch_controller(int n, int choice)
{
	struct slot *slot = &slots[CGROUP][n], *child;
	int which = choice % CONTROLLERS, i;
	const char *name = controllers[which];
	bool on;

	if (!there(CGROUP, n) || populated)
		return false;
	on = !slot->controllers[which];
	for (i = 0; i < SLOTS; i++) {
		child = &slots[CGROUP][i];
		if (there(CGROUP, i) && child->dir->parent == slot->dir &&
		    child->controllers[which])
			return false;
		/* What it does not have it can't pass on. */
		if (on && there(CGROUP, i) && slot->dir->parent == child->dir &&
		    !child->controllers[which])
			return false;
	}
	if (!exists(text("%s/%s.max", path_of(roots[CGROUP], false), name)))
		return false;
	slot->controllers[which] = on;
	may_read(slot->dir, IN_OPEN | IN_MODIFY | IN_CLOSE_WRITE, false);
	for (i = 0; i < SLOTS && !on; i++) {
		child = &slots[CGROUP][i];
		if (there(CGROUP, i) && child->dir->parent == slot->dir)
			controller_goes(child->dir, which + 1);
	}
	put(text("%s/cgroup.subtree_control", path_of(slot->dir, false)),
	    text("%c%s", on ? '+' : '-', name));
	for (i = 0; i < SLOTS; i++) {
		child = &slots[CGROUP][i];
		if (!there(CGROUP, i) || child->dir->parent != slot->dir)
			continue;
		if (on)
			add_files(CGROUP, child->dir, which + 1);
		else
			gone(child->dir);
	}
	return true;
}

bool hide(int n)
{
	struct node *dir = slots[CGROUP][n].dir, *file;
	char *path;

	if (!there(CGROUP, n))
		return false;
	path = text("%s/cgroup.pressure", path_of(dir, false));
	file = find_child(dir, "cpu.pressure");
	if (!file || !exists(path))
		return false;
	file->hidden = !file->hidden;
	write_to(dir, "cgroup.pressure", file->hidden ? "0" : "1");
	return true;
}

bool change_it(enum kind kind, int n)
{
	struct slot *slot = &slots[kind][n];
	struct node *file;

	if (!there(kind, n))
		return false;
	if (kind == CGROUP) {
		slot->frozen = !slot->frozen;
		state_changes(slot->dir);
		write_to(slot->dir, "cgroup.freeze", slot->frozen ? "1" : "0");
	} else if (kind == DEVICE && !hanging) {
		file = find_child(slot->dir, "value");
		if (!file)
			return false;
		change(file, true);
		control("notify", n);
	} else {
		return false;
	}
	return true;
}

bool write_it(enum kind kind, int n)
{
	if (!there(kind, n))
		return false;
	if (kind == CGROUP)
		write_to(slots[kind][n].dir, "cgroup.max.depth", "7");
	else if (kind == CGROUP1)
		write_to(slots[kind][n].dir, "notify_on_release", "0");
	else
		return false;
	return true;
}

bool chmod_it(struct node *node)
{
	mode_t mode = node->type == DIRECTORY ? 0755 : 0600;

	if (node->type == LINK)
		return false;
	may_read(node, IN_ATTRIB, true);
	if (chmod(path_of(node, false), mode) || chmod(twin_of(node), mode))
		fail("chmod %s: %m", path_of(node, false));
	return true;
}

