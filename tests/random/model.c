// SPDX-License-Identifier: GPL-2.0-only
/*
 * What there is, as far as the steps know it, and its like on tmpfs, see
 * random.h.
 */
#define _GNU_SOURCE
#include "kdn.h"
#include "random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TWINS		"/tmp/random-tmpfs"

/* Stands for the symlink to a device, which is in another directory. */
#define LINK_TO		"/"

/* The files of a slot that can be watched; 0 stands for the directory. */
static const struct {
	enum kind kind;
	const char *name;
	int type;
	int controller;		/* that it belongs to; 0 for none */
} files[] = {
	{ CGROUP, "cgroup.events", ENTRY, 0 },
	{ CGROUP, "cgroup.procs", ENTRY, 0 },
	{ CGROUP, "cgroup.freeze", ENTRY, 0 },
	{ CGROUP, "cgroup.max.depth", ENTRY, 0 },
	{ CGROUP, "cpu.pressure", ENTRY, 0 },
	{ CGROUP, "pids.max", ENTRY, 1 },
	{ CGROUP, "pids.events", ENTRY, 1 },
	{ CGROUP, "memory.max", ENTRY, 2 },
	{ CGROUP, "memory.events", ENTRY, 2 },
	{ CGROUP1, "cgroup.procs", ENTRY, 0 },
	{ CGROUP1, "notify_on_release", ENTRY, 0 },
	{ DEVICE, "value", ENTRY, 0 },
	{ DEVICE, "block", ENTRY, 0 },
	{ DEVICE, "remove", ENTRY, 0 },
	{ DEVICE, "dev", ENTRY, 0 },
	{ DEVICE, "group", DIRECTORY, 0 },
	{ DEVICE, "group/value", ENTRY, 0 },
	{ DEVICE, "subsystem", LINK, 0 },
	{ DEVICE, LINK_TO, LINK, 0 },
	{ TREE, "a0", ENTRY, 0 },
	{ TREE, "a1", ENTRY, 0 },
	{ TREE, "a13", ENTRY, 0 },
	{ TREE, "a599", ENTRY, 0 },
};

static bool missing[ARRAY_SIZE(files)];	/* on this kernel */

const char * const controllers[CONTROLLERS] = { "pids", "memory" };

struct node nodes[MAX_NODES];
int node_count;

struct slot slots[KINDS][SLOTS];
struct node *roots[KINDS], *class_root;

/* Where a node is */

static char *path_from(const struct node *node, const char *top)
{
	if (!node->parent)
		return text("%s", top);
	return text("%s/%s", path_from(node->parent, top), node->name);
}

static const struct node *root_of(const struct node *node)
{
	while (node->parent)
		node = node->parent;
	return node;
}

char *path_of(const struct node *node, bool second)
{
	return path_from(node, root_of(node)->tops[second]);
}

char *twin_of(const struct node *node)
{
	return path_from(node, root_of(node)->twin);
}

bool below(const struct node *node, const struct node *top)
{
	while (node && node != top)
		node = node->parent;
	return node;
}

bool open_below(const struct node *top)
{
	int i;

	for (i = 0; i < node_count; i++)
		if ((nodes[i].opens[0] || nodes[i].opens[1]) &&
		    below(&nodes[i], top))
			return true;
	return false;
}

/* Is it open, or a directory within? What else is open in there leads nowhere. */
bool dir_open(const struct node *dir, bool second)
{
	int i;

	for (i = 0; i < node_count; i++)
		if (nodes[i].type == DIRECTORY && nodes[i].opens[second] &&
		    below(&nodes[i], dir))
			return true;
	return false;
}

/* What comes and goes, in the model and on tmpfs */

static struct node *new_node(struct node *parent, const char *name, int type)
{
	struct node *node = &nodes[node_count++];

	if (node_count > MAX_NODES)
		fail("too many nodes");
	*node = (struct node){ .parent = parent, .type = type };
	snprintf(node->name, sizeof(node->name), "%s", name);
	return node;
}

struct node *add_node(struct node *parent, const char *name, int type)
{
	struct node *node = new_node(parent, name, type);
	char *twin = twin_of(node);

	if (type == DIRECTORY)
		make_dir(twin);
	else if (type == LINK ? symlink("there", twin) :
			       mknod(twin, S_IFREG | 0644, 0))
		fail("making %s: %m", twin);
	return node;
}

struct node *find_child(const struct node *dir, const char *name)
{
	int i;

	for (i = 0; i < node_count; i++)
		if (nodes[i].parent == dir && nodes[i].state == THERE &&
		    !strcmp(nodes[i].name, name))
			return &nodes[i];
	return NULL;
}

/* Some or all of the files that a slot's directory has */
void add_files(enum kind kind, struct node *dir, int controller)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		const char *name = files[i].name, *slash = strchr(name, '/');
		struct node *parent = dir;

		if (files[i].kind != kind || files[i].controller != controller ||
		    missing[i] || name[0] == '/')
			continue;
		if (slash)
			parent = find_child(dir, "group");
		add_node(parent, slash ? slash + 1 : name, files[i].type);
	}
}

/* From here on it may be told that the node and what is in it is gone. */
void going(struct node *top)
{
	int i;

	for (i = 0; i < node_count; i++) {
		if (nodes[i].state != THERE || !below(&nodes[i], top))
			continue;
		begins_to_go(&nodes[i]);
		nodes[i].state = GOING;
		nodes[i].seen = module_loaded;
	}
}

void gone(struct node *top)
{
	int i;

	/* What is in a directory was made after it. */
	for (i = node_count - 1; i >= 0; i--) {
		if (nodes[i].state != GOING || !below(&nodes[i], top))
			continue;
		nodes[i].stuck = false;
		nodes[i].state = REMOVED;
		if (remove(twin_of(&nodes[i])))
			fail("removing %s: %m", twin_of(&nodes[i]));
	}
}

/* The file of a step, or if that is not there, the directory */
struct node *place(const struct step *s)
{
	struct slot *slot = &slots[s->kind][s->slot];
	const char *name, *slash;
	struct node *dir = slot->dir, *file;
	int n = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++)
		n += files[i].kind == s->kind;
	if (!dir || dir->state != THERE)
		return NULL;
	n = s->file % (n + 1);
	if (!n)
		return dir;
	for (i = 0; i < ARRAY_SIZE(files); i++)
		if (files[i].kind == s->kind && --n == 0)
			break;
	name = files[i].name;
	if (name[0] == '/')
		return slot->link;
	slash = strchr(name, '/');
	file = find_child(slash ? find_child(dir, "group") : dir,
			  slash ? slash + 1 : name);
	return file ? file : dir;
}

bool there(enum kind kind, int slot)
{
	struct node *dir = slots[kind][slot].dir;

	return dir && dir->state == THERE;
}

/* The files of a controller in a cgroup begin to go. */
void controller_goes(struct node *dir, int controller)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		struct node *file = NULL;

		if (files[i].controller == controller)
			file = find_child(dir, files[i].name);
		if (file)
			going(file);
	}
}

/* Some of the files that 'leaves' has, if it is of this size */
void add_leaves(struct node *dir, int size)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++)
		if (files[i].kind == TREE && atoi(files[i].name + 1) < size)
			add_node(dir, files[i].name, ENTRY);
}

/* The module is loaded: what is going may be told of. */
void removals_seen(void)
{
	int i;

	for (i = 0; i < node_count; i++)
		nodes[i].seen |= nodes[i].state != THERE;
}

/* Does a node have a path by the second sysfs, too? */
bool has_second(const struct node *node)
{
	return root_of(node)->tops[1];
}

struct node *new_root(const char *top, const char *second, const char *name)
{
	struct node *node = new_node(NULL, name, DIRECTORY);

	node->tops[0] = top;
	node->tops[1] = second;
	node->twin = text(TWINS "/%d/%s", getpid(), name);
	make_dir(node->twin);
	return node;
}

/* For the lists to come: which files does this kernel's cgroup PROBE have? */
void prepare_model(const char *probe)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++)
		if (files[i].kind == CGROUP)
			missing[i] = !exists(text("%s/%s", probe,
						  files[i].name));
	mount_at(TWINS, "tmpfs", "");
}

void begin_model(void)
{
	make_dir(text(TWINS "/%d", getpid()));
}
