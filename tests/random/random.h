/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Random work against an oracle, by file: steps.c makes a list of steps
 * from a seed, world.c carries them out, on kernfs and, where tmpfs can,
 * in the same way on tmpfs; oracle.c knows what the watchers must read.
 * test_random.c has seeds tried, and cuts the list of one that fails short.
 *
 * A step names places, not what happens to be there: a slot may have a
 * directory or not. A step that has nothing to do does nothing, so that each
 * step can be left out of a list, and the others still mean the same.
 */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdbool.h>

#define MAX_STEPS	160
#define SLOTS		4	/* for directories of a kind */
#define INSTANCES	3	/* of inotify, and one for bystanders */
#define HANDLES		4	/* for what is held open */
#define CONTROLLERS	2
#define MAX_NODES	2048

/* What the slots are for, each kind with files of its own */
enum kind { CGROUP, CGROUP1, DEVICE, TREE, KINDS };

enum op {
	MAKE, REMOVE, REMOVE_SELF, REMOVE_FILE, CHANGE_REMOVE, RENAME,
	CONTROLLER, HIDE,
	CHANGE, WRITE, CHMOD, ENTER, LEAVE,
	WATCH, UNWATCH, RESTART, OPEN, CLOSE,
	BUSY, DROP, SETTLE, UNLOAD, LOAD, HANG, GO_ON,
	OPS
};

struct step {
	enum op op;
	enum kind kind;
	int slot;
	int file;		/* of the slot's; 0 is the directory itself */
	int n;			/* the parent, instance, handle, or a choice */
	bool second;		/* by way of a second sysfs, of another namespace */
	unsigned int mask;	/* of a watch */
};

/* steps.c */
int make_steps(unsigned int seed, struct step *steps);
const char *describe(const struct step *step);

/* world.c */

/* What a list of steps came to; shared with who runs it. */
struct counts {
	int steps, watches, events;
	bool done[MAX_STEPS];	/* in the last list, and not for nothing */
};

extern bool native_kernel, module_loaded;
extern int patience_ms;
extern struct slot *hanging;

void prepare_worlds(void);
void run_steps(const struct step *steps, int n, const bool *keep,
	       struct counts *counts);

/* model.c */

/* A directory, file or symlink that a step made; never freed. */
struct node {
	struct node *parent;
	char name[24];
	const char *tops[2];	/* of one without a parent: where it is ... */
	const char *twin;	/* ... and its like on tmpfs */
	enum { DIRECTORY, ENTRY, LINK } type;
	enum { THERE, GOING, REMOVED } state;
	bool stuck;		/* its removal can't be over yet */
	bool seen;		/* the module was loaded since it is going */
	bool hidden;
	int opens[2];		/* by superblock */
	long changed;		/* when kernfs was last asked to report it */
};

/* What is in a place; of a cgroup, what else is known */
struct slot {
	struct node *dir, *link;
	bool controllers[CONTROLLERS];	/* that its children have */
	bool frozen, renamed;
};

extern struct node nodes[MAX_NODES];
extern int node_count;
extern struct slot slots[KINDS][SLOTS];
extern struct node *roots[KINDS], *class_root;
extern const char * const controllers[CONTROLLERS];

void prepare_model(const char *probe);
void begin_model(void);
struct node *new_root(const char *top, const char *second, const char *name);
struct node *add_node(struct node *parent, const char *name, int type);
void add_files(enum kind kind, struct node *dir, int controller);
void add_leaves(struct node *dir, int size);
void going(struct node *top);
void controller_goes(struct node *dir, int controller);
void gone(struct node *top);
void removals_seen(void);
struct node *find_child(const struct node *dir, const char *name);
struct node *place(const struct step *step);
bool there(enum kind kind, int slot);
char *path_of(const struct node *node, bool second);
char *twin_of(const struct node *node);
bool has_second(const struct node *node);
bool below(const struct node *node, const struct node *top);
bool open_below(const struct node *top);
bool dir_open(const struct node *dir, bool second);

/* dirs.c: the steps of these names; was there anything to do? */
void begin_dirs(void);
bool make(enum kind kind, int n, int choice);
bool take(enum kind kind, int n);
bool remove_self(int n);
bool remove_file(int n);
bool change_remove(int n);
bool rename_it(enum kind kind, int n);
bool switch_controller(int n, int choice);
bool hide(int n);
bool change_it(enum kind kind, int n);
bool write_it(enum kind kind, int n);
bool chmod_it(struct node *node);
bool enter(int n);
bool leave(void);

/* oracle.c */
void begin_oracle(void);
bool add_watch(struct node *node, int inst, unsigned int mask, bool second);
void bystander(struct node *node);
bool drop_watch(struct node *node, int inst, bool second);
void restart(int inst);
void may_read(struct node *node, unsigned int events, bool exact);
void must_read_modify(struct node *node);
void late_events(struct node *node, unsigned int events);
void begins_to_go(struct node *node);
void read_all(void);
void settle(void);
void end_oracle(struct counts *counts);

#endif
