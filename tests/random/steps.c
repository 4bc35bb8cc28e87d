// SPDX-License-Identifier: GPL-2.0-only
/*
 * From a seed to a list of steps, see random.h; and a step in words.
 */
#include "kdn.h"
#include "random.h"

#include <string.h>

/* How often which step comes: while the trees are made, and afterwards */
static const struct {
	const char *name;
	unsigned char early, later;
} ops[OPS] = {
	[MAKE]		= { "make", 30, 12 },
	[REMOVE]	= { "remove", 1, 12 },
	[REMOVE_SELF]	= { "remove by its own file", 0, 2 },
	[REMOVE_FILE]	= { "remove the file 'value' of", 0, 2 },
	[CHANGE_REMOVE]	= { "change and remove at once", 0, 4 },
	[RENAME]	= { "rename", 1, 4 },
	[CONTROLLER]	= { "switch a controller for the children of", 6, 6 },
	[HIDE]		= { "hide or show the pressure files of", 0, 2 },
	[CHANGE]	= { "change", 2, 8 },
	[WRITE]		= { "write to", 1, 3 },
	[CHMOD]		= { "chmod", 1, 2 },
	[ENTER]		= { "have a process in", 1, 3 },
	[LEAVE]		= { "have the process leave", 0, 3 },
	[WATCH]		= { "watch", 30, 24 },
	[UNWATCH]	= { "remove the watch on", 0, 2 },
	[RESTART]	= { "close and open again", 0, 1 },
	[OPEN]		= { "open", 3, 6 },
	[CLOSE]		= { "close", 1, 5 },
	[BUSY]		= { "keep the workqueue busy, or stop", 0, 2 },
	[DROP]		= { "drop caches", 1, 2 },
	[SETTLE]	= { "wait for all events", 1, 4 },
	[UNLOAD]	= { "unload the module", 0, 1 },
	[LOAD]		= { "load the module", 1, 2 },
	[HANG]		= { "watch, and have a removal hang of", 0, 3 },
	[GO_ON]		= { "let the removal go on", 0, 3 },
};

static unsigned long long state;

/* 0 to N - 1, the same on every machine */
static unsigned int below_n(unsigned int n)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (state >> 33) % n;
}

static enum op random_op(bool early)
{
	unsigned int sum = 0, i, choice;

	for (i = 0; i < OPS; i++)
		sum += early ? ops[i].early : ops[i].later;
	choice = below_n(sum);
	for (i = 0; i < OPS; i++) {
		unsigned int weight = early ? ops[i].early : ops[i].later;

		if (choice < weight)
			break;
		choice -= weight;
	}
	return i;
}

/*
 * A one-shot watch may ask for what is the same on tmpfs alone: what comes
 * first decides what else is read.
 */
static unsigned int random_mask(void)
{
	static const unsigned int bits[] = {
		IN_MODIFY, IN_ATTRIB, IN_OPEN, IN_CLOSE, IN_ACCESS,
		IN_CREATE, IN_DELETE, IN_MOVE, IN_MOVE_SELF,
	};
	unsigned int mask = below_n(4) ? IN_DELETE_SELF : 0, i;

	if (below_n(6) == 0) {
		mask |= below_n(2) ? IN_MODIFY : 0;
		return (mask ? mask : IN_DELETE_SELF) | IN_ONESHOT;
	}
	if (below_n(3) == 0)
		mask = IN_ALL_EVENTS;
	else
		for (i = 0; i < ARRAY_SIZE(bits); i++)
			mask |= below_n(3) ? 0 : bits[i];
	if (below_n(5) == 0)
		mask |= IN_EXCL_UNLINK;
	if (below_n(4) == 0)
		mask |= IN_MASK_ADD;
	return mask & IN_ALL_EVENTS ? mask : mask | IN_DELETE_SELF;
}

int make_steps(unsigned int seed, struct step *steps)
{
	enum kind kinds[2];
	int n, i;

	state = seed;
	below_n(1);
	/* Most lists are about one or two kinds of trees: more meet there. */
	for (i = 0; i < 2; i++)
		kinds[i] = below_n(KINDS);
	n = MAX_STEPS / 4 + below_n(MAX_STEPS * 3 / 4);
	for (i = 0; i < n; i++) {
		enum kind kind = kinds[below_n(2)];

		if (below_n(8) == 0)
			kind = below_n(KINDS);
		steps[i] = (struct step){
			.op = random_op(i < n / 3),
			.kind = kind,
			/* There's only one tree of leaves. */
			.slot = below_n(SLOTS) * (kind != TREE),
			.file = below_n(3) ? below_n(14) : 0,
			.n = below_n(60),
			.second = below_n(5) == 0,
			.mask = random_mask(),
		};
	}
	return n;
}

static const char *mask_text(unsigned int mask)
{
	static const struct {
		unsigned int bit;
		const char *name;
	} names[] = {
		{ IN_DELETE_SELF, "delete_self" }, { IN_MODIFY, "modify" },
		{ IN_ONESHOT, "oneshot" }, { IN_MASK_ADD, "add" },
		{ IN_EXCL_UNLINK, "excl_unlink" },
	};
	unsigned int others = mask;
	const char *all = "";
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		others &= ~names[i].bit;
		if (mask & names[i].bit)
			all = text("%s%s%s", all, *all ? "," : "",
				   names[i].name);
	}
	return others ? text("%s%s0x%x", all, *all ? "," : "", others) : all;
}

/* Some steps are for one kind alone, whatever else they say. */
static enum kind only_for(const struct step *s)
{
	switch (s->op) {
	case CONTROLLER:
	case HIDE:
	case ENTER:
		return CGROUP;
	case REMOVE_SELF:
	case REMOVE_FILE:
	case CHANGE_REMOVE:
		return DEVICE;
	default:
		return s->kind;
	}
}

const char *describe(const struct step *s)
{
	static const char * const kinds[KINDS] = {
		"cgroup", "cgroup1", "device", "leaves",
	};
	enum kind kind = only_for(s);
	const char *place = text("%s %d", kinds[kind], s->slot);
	const char *file = text("%s, file %d%s", place, s->file,
				s->second ? ", in the second sysfs" : "");

	switch (s->op) {
	case DROP:
	case SETTLE:
	case UNLOAD:
	case LEAVE:
	case GO_ON:
		return ops[s->op].name;
	case BUSY:
	case LOAD:
	case RESTART:
	case CLOSE:
		return text("%s: %d", ops[s->op].name, s->n);
	case WATCH:
		return text("%s %s, for %s, by %d", ops[s->op].name, file,
			    mask_text(s->mask), s->n % INSTANCES);
	case UNWATCH:
		return text("%s %s, by %d", ops[s->op].name, file,
			    s->n % INSTANCES);
	case OPEN:
		return text("%s %s: %d", ops[s->op].name, file, s->n);
	case WRITE:
	case CHMOD:
		return text("%s %s", ops[s->op].name, file);
	case MAKE:
	case CONTROLLER:
		return text("%s %s (%d)", ops[s->op].name, place, s->n);
	default:
		return text("%s %s", ops[s->op].name, place);
	}
}
