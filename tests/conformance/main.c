// SPDX-License-Identifier: GPL-2.0-only
/*
 * The conformance report: what a kernel tells watchers of removed files by
 * itself, and what with the module. Every row of rows.c is run twice
 * without the module, to see whether the kernel always does the same, and once
 * with it. What the kernel does alone is only reported; with the module, each
 * row is a test point of KTAP.
 *
 * Before its test point, a row has a line for each run, with tabs between:
 *
 *	# RUN: OUTCOME AFTER SUCH WATCHES EXPECTED READ PATH
 *
 * A late outcome came AFTER that stage. Of all WATCHES, SUCH had the outcome;
 * the one of PATH was EXPECTED to read that, and has READ this. For a row that
 * was skipped or has failed, the reason is in the place of the path.
 */
#include "conform.h"
#include "marks.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>

/*
 * How long all listen after each stage. Kernels send their own events in the
 * system call that ends the last use of a dentry; what others do about it, in
 * works and RCU callbacks, takes some milliseconds, and here up to a hundred.
 */
#define LISTEN_MS	1000

/* kdn_test.ko has no more devices. */
#define MAX_ROWS	48

/* In rising order: a row's outcome is the worst of its watches'. */
enum outcome {
	DELIVERED,
	LATE,
	SILENT,
	UNORDERED,
	EARLY,
	DOUBLED,
	WRONG,
	SKIPPED,
	FAILED
};

static const char * const outcome_names[] = {
	"delivered", "late", "silent", "unordered", "early", "doubled", "wrong",
	"skipped", "failed"
};

static const char * const stage_names[] = {
	[CLOSED] = "closed",
	[PARENT_GONE] = "parent gone",
	[LOOKED_UP] = "looked up",
	[CACHES_DROPPED] = "caches dropped",
};

enum { ALONE, ALONE_AGAIN, WITH_MODULE, RUNS };

static const char * const run_names[] = {
	"alone", "alone again", "with the module"
};

struct result {
	enum outcome outcome;
	enum stage after;
	int watches, such;
	char expected[128], read[sizeof(watches->got)], path[128];
	char reason[REASON_SIZE];
};

/* Shared by all processes; each row's writes its own. */
static struct result (*results)[MAX_ROWS];

/* A row's process */

int row_number;
int fanotify_group = -1;

static struct result *result;
static enum stage now = PREPARED;
static enum stage *done_at;
static bool early;

/* What one watch, or one target of a fanotify mark, is to read and has read */
struct heard {
	const char *path, *expected, *got;
};

static struct heard heard(int i)
{
	static const char * const times[] = {
		"", "DELETE_SELF", "DELETE_SELF DELETE_SELF"
	};
	struct target *t;

	if (i < watch_count)
		return (struct heard){ watches[i].path, watches[i].expected,
				       watches[i].got };
	t = &targets[i - watch_count];
	return (struct heard){ t->path, times[1],
			       times[t->events < 2 ? t->events : 2] };
}

static void hear(void)
{
	int n = watch_count + target_count, i;

	listen_for(0);
	if (fanotify_group >= 0)
		count_marks(fanotify_group);
	if (!done_at)
		done_at = calloc(n, sizeof(*done_at));
	for (i = 0; i < n; i++) {
		struct heard h = heard(i);

		if (!done_at[i] && !strcmp(h.got, h.expected))
			done_at[i] = now;
	}
}

void until(enum stage stage)
{
	int i;

	while (now < stage) {
		raise(SIGSTOP);
		hear();
		now++;
		for (i = 0; now == LOOKED_UP && i < watch_count; i++)
			exists(watches[i].path);
		for (i = 0; now == LOOKED_UP && i < target_count; i++)
			exists(targets[i].path);
	}
}

void not_yet(void)
{
	int i;

	listen_for(QUIET_MS);
	for (i = 0; i < watch_count; i++)
		early |= watches[i].got[0] != 0;
}

static int count(const char *events, const char *name)
{
	int n = 0;

	while ((events = strstr(events, name))) {
		events += strlen(name);
		n++;
	}
	return n;
}

/* Is each of the events one of those expected? */
static bool known(const char *got, const char *expected)
{
	char *words = strdup(got), *word;

	while ((word = strsep(&words, " ")))
		if (!strstr(expected, word))
			return false;
	return true;
}

static enum outcome judge(const struct heard *h, enum stage done)
{
	int deletes = count(h->got, "DELETE_SELF");
	int ends = count(h->got, "IGNORED");
	int more_deletes = deletes - count(h->expected, "DELETE_SELF");
	int more_ends = ends - count(h->expected, "IGNORED");

	if (!strcmp(h->got, h->expected))
		return early ? EARLY : done > REMOVED ? LATE : DELIVERED;
	if (!*h->expected || !known(h->got, h->expected))
		return WRONG;
	if (more_deletes > 0 || more_ends > 0)
		return DOUBLED;
	if (!deletes && !ends)
		return SILENT;
	return more_deletes || more_ends ? WRONG : UNORDERED;
}

/* Of the watches with the worst outcome, the first tells the details. */
static void judge_all(void)
{
	int i;

	for (i = 0; i < watch_count + target_count; i++) {
		struct heard h = heard(i);
		enum outcome outcome = judge(&h, done_at[i]);
		enum stage after = outcome == LATE ? done_at[i] : PREPARED;
		bool worse = outcome > result->outcome || after > result->after;

		/* Those that are to hear nothing count when they hear. */
		if (!*h.expected && outcome == DELIVERED)
			continue;
		result->watches++;
		if (result->such && !worse) {
			result->such += outcome == result->outcome &&
					after == result->after;
			continue;
		}
		result->outcome = outcome;
		result->after = after;
		result->such = 1;
		snprintf(result->expected, sizeof(result->expected), "%s",
			 h.expected);
		snprintf(result->read, sizeof(result->read), "%s", h.got);
		snprintf(result->path, sizeof(result->path), "%s", h.path);
	}
}

static void run_row(void)
{
	rows[row_number].run();
	until(OVER);
	judge_all();
}

/* The program */

/* Wait for the row to come to its next stage, or its end. */
static bool stopped(pid_t pid, struct result *r)
{
	int end;

	if (waitpid(pid, &end, WUNTRACED) != pid)
		fail("waiting for a row: %m");
	if (WIFSTOPPED(end))
		return true;
	if (WIFSIGNALED(end)) {
		r->outcome = FAILED;
		snprintf(r->reason, REASON_SIZE, "it died of: %s",
			 strsignal(WTERMSIG(end)));
	} else if (WEXITSTATUS(end) != PASS) {
		r->outcome = WEXITSTATUS(end) == SKIP ? SKIPPED : FAILED;
	}
	return false;
}

static void listen(void)
{
	long end = granted_ms() + LISTEN_MS, left;

	while ((left = end - granted_ms()) > 0)
		poll(NULL, 0, left);
}

/*
 * One row after the other goes through a stage, and then all listen: a row's
 * removal does not disturb those of the others, and the whole takes not much
 * longer than one row.
 */
static void run(int number, int count)
{
	bool running[MAX_ROWS];
	pid_t pids[MAX_ROWS];
	enum stage stage;
	int i;

	load_devices();
	if (number == WITH_MODULE)
		load("");
	for (i = 0; i < count; i++) {
		result = &results[number][i];
		reason = result->reason;
		row_number = i;
		pids[i] = start(run_row);
		running[i] = stopped(pids[i], result);
	}
	for (stage = REMOVED; stage <= OVER; stage++) {
		for (i = 0; i < count; i++) {
			if (!running[i])
				continue;
			kill(pids[i], SIGCONT);
			running[i] = stopped(pids[i], &results[number][i]);
		}
		if (stage == CACHES_DROPPED)
			drop_caches();
		if (stage != OVER)
			listen();
	}
	for (i = 0; i < count; i++)
		clean_up(pids[i]);
}

/* What a kernel says first, and without order, the module can't take back. */
static bool told_first(int row)
{
	enum outcome alone = results[ALONE][row].outcome;
	enum outcome again = results[ALONE_AGAIN][row].outcome;

	return alone == UNORDERED || again == UNORDERED ||
	       alone == DELIVERED || again == DELIVERED;
}

static bool report(int row)
{
	const struct result *r = &results[WITH_MODULE][row];
	const char *skipped = NULL;
	int i;

	for (i = 0; i < RUNS; i++) {
		const struct result *one = &results[i][row];

		note("%s: %s\t%s\t%d\t%d\t%s\t%s\t%s", run_names[i],
		     outcome_names[one->outcome],
		     one->after ? stage_names[one->after] : "",
		     one->such, one->watches, one->expected, one->read,
		     one->reason[0] ? one->reason : one->path);
	}
	if (r->outcome == SKIPPED)
		skipped = r->reason;
	else if (r->outcome == UNORDERED && told_first(row))
		skipped = "the kernel itself tells first, and without order";
	printf("%sok %d %s%s%s\n", r->outcome == DELIVERED || skipped ? "" :
	       "not ", row + 1, rows[row].name, skipped ? " # SKIP " : "",
	       skipped ? skipped : "");
	fflush(stdout);
	return r->outcome == DELIVERED || skipped;
}

int main(void)
{
	int count = 0, failed = 0, i;
	struct utsname kernel;

	reason = share(REASON_SIZE);
	results = share(RUNS * sizeof(*results));
	while (rows[count].name)
		count++;
	if (count > MAX_ROWS)
		fail("more than %d rows", MAX_ROWS);
	printf("KTAP version 1\n1..%d\n", count);
	uname(&kernel);
	note("kernel: %s %s", kernel.release, kernel.machine);
	for (i = 0; i < RUNS; i++)
		run(i, count);
	for (i = 0; i < count; i++)
		failed += !report(i);
	return failed ? FAIL : PASS;
}
