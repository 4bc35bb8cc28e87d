/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the rows of the conformance report and the program have in common.
 *
 * A row is a function that makes something, watches it, says by expect() what
 * the watchers are to read, and removes it. All rows go through the same
 * stages, each in a process of its own: until() waits for a stage to begin.
 * After each stage, all listen.
 */
#ifndef CONFORM_H
#define CONFORM_H

#include "kdn.h"

/* What may come late comes with one of the stages after the removal. */
enum stage {
	PREPARED,	/* everything is there, and watched */
	REMOVED,
	CLOSED,		/* who had it open closes it */
	PARENT_GONE,	/* the directory that it was in goes too */
	LOOKED_UP,	/* somebody looks for it, by its path */
	CACHES_DROPPED,	/* the kernel drops all dentries that it can */
	OVER
};

/* All that a removal may give by mistake; a close() is an event of its own. */
#define MASK	(IN_ALL_EVENTS & ~IN_CLOSE)

extern const struct kdn_test rows[];

/* In a row: its number, and the fanotify group that is to be read, if any */
extern int row_number;
extern int fanotify_group;

void until(enum stage stage);

/* The removal is not over: nothing may be told yet. */
void not_yet(void);

#endif
