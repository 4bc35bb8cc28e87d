/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the bench share.
 *
 * A part measures one thing and prints raw figures, a line each:
 *
 *	PART,WHAT,X,ROUND,VALUE
 *
 * WHAT is one of the cases that the part compares, X a number that the part
 * varies, ROUND tells repeated measurements apart. scripts/judge/costs makes medians
 * and verdicts of them.
 */
#ifndef BENCH_H
#define BENCH_H

#include "../kdn.h"

/* How long to listen for what comes late: the module's worker, RCU, ... */
#define SETTLE_US	400000

void figure(const char *part, const char *what, long x, int round,
	    long long value);
long long now_ns(void);

/*
 * What all CPUs have been at so far, in nanoseconds, idle time left out; with
 * QEMU's -icount, that is in instructions.
 */
long long busy(void);

/* What it took from then on, now that all that came of it has settled. */
long long settled_since(long long was_busy);

/* Let go by what was begun before and is not to be measured. */
void settle(void);

/* The same, however long that takes: until the machine is idle, or nearly so. */
void wait_for_idle(void);

/* The module of a case, NULL for none. */
void load_module(const char *name);
void unload_module(const char *name);

/* A fresh inotify instance with room for many watches, and reading from it. */
int listener(void);
void listen_to(int inst, const char *path);
void read_events_of(int inst, int events);

/* Cgroups NAME0 to NAMEn-1, with all controllers on. */
char *cgroup(const char *name, int i);
void make_cgroups(const char *name, int n);
void remove_cgroups(const char *name, int n);

/*
 * What the rmdir of a cgroup takes, and all that follows, with this module or
 * without any (NULL). If told, there is a watch in the cgroup, which hears of it.
 */
long cgroup_removal(const char *module, bool told);

/* What the kernel has in use, in KiB, apart from user memory and page cache. */
long kernel_memory(void);

/* The parts */
void part_guard(void);
void part_removal(void);
void part_cgroups(void);
void part_device(void);
void part_supers(void);
void part_namespaces(void);
void part_native(void);
void part_latency(void);
void part_handler(void);
void part_resync(void);
void part_walk(void);
void part_load(void);
void part_memory(void);
void part_idle(void);
void part_users(void);

#endif
