// SPDX-License-Identifier: GPL-2.0-only
/*
 * Are the debug kernels' detectors on?  Plants a bug of each kind, by kdn_bug.ko,
 * and waits for the report. scripts/check-debug runs this, with the tests that
 * a kernel is to pass, in an order in which no report hides a later one: lockdep
 * stops after its first, and when memory was found to be damaged; PROVE_RCU
 * stops with it.
 *
 * The marks in the kernel's log are for scripts/judge/verdict: between them there must
 * be a complaint that it knows.
 */
#define _GNU_SOURCE
#include "kdn.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define PLANT	"/sys/module/kdn_bug/parameters/plant"
#define DEBUGFS	"/sys/kernel/debug"
#define KMEMLEAK DEBUGFS "/kmemleak"

/* kmemleak does not call anything younger a leak. */
#define LEAK_AGE_MS	5500

static void load_bugs(void)
{
	int err = try_load("kdn_bug", "");

	if (err && err != -EEXIST)
		fail("insmod of kdn_bug.ko: %s", strerror(-err));
}

static int plant(const char *bug)
{
	load_bugs();
	return try_put(PLANT, bug);
}

/* scripts/judge/verdict does not look at the log before the first of our modules. */
static void expect_complaint(void)
{
	load_bugs();
	put("/dev/kmsg", "kdn: a complaint is expected");
}

/* Plant a bug; the log must have a line with both words then. */
static void reported(const char *bug, const char *a, const char *b)
{
	int mark = log_mark(), err;

	expect_complaint();
	err = plant(bug);
	if (err)
		fail("kdn_bug.ko could not plant '%s': %s", bug, strerror(-err));
	if (!log_has(mark, a, b, ""))
		fail("the planted bug was not reported");
	put("/dev/kmsg", "kdn: no complaint is expected");
}

static void leak(void)
{
	int mark = log_mark();

	expect_complaint();
	if (plant("leak"))
		fail("kdn_bug.ko could not leak");
	/* The first scan sees what changes, only then the second sees leaks. */
	put(KMEMLEAK, "scan");
	poll(NULL, 0, LEAK_AGE_MS);
	put(KMEMLEAK, "scan");
	if (!log_has(mark, "kmemleak: ", "new suspected memory leaks", ""))
		fail("the planted leak was not reported");
	put(KMEMLEAK, "clear");
	put("/dev/kmsg", "kdn: no complaint is expected");
}

static void sleep_in_atomic(void)
{
	reported("sleep", "BUG: sleeping function called", "invalid context");
}

static void rcu_unlocked(void)
{
	reported("rcu", "WARNING: suspicious RCU usage", "");
}

static void active_timer(void)
{
	reported("timer", "ODEBUG: free active", "timer_list");
}

static void lock_order(void)
{
	reported("locks", "possible circular locking dependency", "");
}

static void redzone(void)
{
	reported("redzone", "Redzone overwritten", "");
}

static void use_after_free(void)
{
	reported("use_after_free", "BUG: KASAN: ", "use-after-free");
}

static void race(void)
{
	reported("race", "BUG: KCSAN: data-race in", "");
}

static void indirect_call(void)
{
	reported("call", "CFI failure at", "");
}

/* Have all allocations of a kind fail that the filters let through. */
static void fault(const char *kind, const char *filter, const char *value)
{
	char *dir = text(DEBUGFS "/%s", kind);

	put(text("%s/%s", dir, filter), value);
	put(text("%s/ignore-gfp-wait", dir), "N");
	put(text("%s/verbose", dir), "0");
	put(text("%s/times", dir), "-1");
	put(text("%s/probability", dir), "100");
}

static void end_fault(const char *kind)
{
	put(text(DEBUGFS "/%s/probability", kind), "0");
}

static void failing_slab(void)
{
	if (plant("object"))
		fail("an allocation failed that should not");
	put("/sys/kernel/slab/kdn_bug/failslab", "1");
	fault("failslab", "cache-filter", "Y");
	if (plant("object") != -ENOMEM)
		fail("failslab did not make an allocation fail");
	end_fault("failslab");
}

static void failing_pages(void)
{
	if (plant("pages"))
		fail("an allocation failed that should not");
	fault("fail_page_alloc", "min-order", "4");
	if (plant("pages") != -ENOMEM)
		fail("fail_page_alloc did not make an allocation fail");
	end_fault("fail_page_alloc");
}

const struct kdn_test tests[] = {
	{ "leak", leak },
	{ "sleep_in_atomic", sleep_in_atomic },
	{ "rcu_unlocked", rcu_unlocked },
	{ "failing_slab", failing_slab },
	{ "failing_pages", failing_pages },
	{ "active_timer", active_timer },
	{ "lock_order", lock_order },
	{ "redzone", redzone },
	{ "use_after_free", use_after_free },
	{ "race", race },
	{ "indirect_call", indirect_call },
	{ NULL, NULL }
};
