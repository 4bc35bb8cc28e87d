/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Storms of removals, and an exact account of every watch in them; see kdn.h
 * for what else the test programs share.
 */
#ifndef STORM_H
#define STORM_H

#include <stdbool.h>

/*
 * The account: it has some inotify instances, each with a process that reads
 * it, and knows what became of every watch that was ever placed there. Any
 * process may place watches. What is removed as one is an item, known by a
 * number, for the latency; it may be -1.
 *
 * close_account() waits until all watches have ended. Then each must have read
 * DELETE_SELF and IGNORED, once and in this order, and nothing else. There are
 * exceptions: of a watch whose instance's queue overflowed, events may be
 * missing; of a watch placed late(), DELETE_SELF may be; where something was
 * unmounted, UNMOUNT may be there in its place. A watch that is still there has
 * been lost in any case.
 */
#define INSTANCES	4

enum {
	LATE = 1,	/* the file may be gone already */
	MOUNTED = 2,	/* the file system may be unmounted */
};

struct account_sums {
	int placed, late;	/* watches, and those of them placed late */
	int events, overflows;
	int halves;		/* of those placed late, told IGNORED alone */
	int unmounted;
	/* By granted_ms(), from the removal to IGNORED */
	long longest_ms;
	long longest_late_ms;	/* the same, or from the watch if that was later */
};

void open_account(bool read_them);
int place_watch(int inst, const char *path, int item, int flags);
void item_gone(int item);
void start_readers(void);
struct account_sums close_account(void);

/*
 * A storm: cgroups come and go in the same places, by two processes that make
 * them, with three watches each, and four that remove them, in bursts, while
 * others look at their files. storm_end() waits until all are gone and closes
 * the account.
 */
struct storm {
	int cgroups;		/* how many; 0 for as many as until storm_end() */
	int places;		/* they come and go in; 0 for 256 */
	int pause_ms;		/* after each that a process makes */
	bool look_up;		/* each file is looked up: all have an inode */
	bool late;		/* watches are placed in the midst of removals */
	bool faults;		/* memory may fail all but those that make cgroups */
};

void storm_begin(struct storm storm);
int storm_removed(void);
bool storm_over(void);
struct account_sums storm_end(void);

#endif
