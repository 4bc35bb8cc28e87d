// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random work against an oracle: lists of steps, each made from a seed. What
 * the watchers read is compared with the rules, and with what tmpfs tells of
 * the same steps; see random/random.h.
 *
 * A list that fails is cut down to the fewest steps that fail. It is printed,
 * together with how to run it again, which is by kernel arguments:
 *
 *	kdn.seed=N	run the list of this seed, again and again for a while;
 *			without_module: begin with the list of this seed
 *	kdn.keep=A,B,C	of that list, only these steps
 */
#include "kdn.h"
#include "random/random.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define SHORT_SECONDS	20
#define LONG_SECONDS	600

/* What may be spent on making a list short, and the steps it may then have */
#define SHRINK_SECONDS	180

/*
 * What goes wrong only now and then has to be given as many chances before a
 * list counts as one that does not fail.
 */
#define MANY_RUNS	60

/* And one that fails so often in a row does not do so by chance. */
#define SURE_RUNS	3

/*
 * Steps that a list may need to fail without the module: on a native kernel as
 * many as a cgroup, one in it, a watch on the outer one, something open in the
 * inner one, both removed, and a look at what has come; two more for chance.
 */
#define FEW_STEPS	8

static struct step steps[MAX_STEPS];
static int step_count;
static struct counts *counts;
static bool with_module = true;

/* Run the list, or what is kept of it, in a process and places of its own. */
static bool passes(const bool *keep, bool quiet)
{
	pid_t pid = fork();
	int end;

	if (pid < 0)
		fail("fork: %m");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0);
		memset(counts->done, 0, sizeof(counts->done));
		if (quiet)
			dup2(open("/dev/null", O_WRONLY), 1);
		run_steps(steps, step_count, keep, counts);
		_exit(PASS);
	}
	if (waitpid(pid, &end, 0) != pid)
		fail("waitpid: %m");
	/* What is left are processes that it had, or all that it made. */
	if (end == PASS) {
		kill(-pid, SIGKILL);
		while (waitpid(-pid, NULL, 0) > 0)
			;
		return true;
	}
	if (WIFSIGNALED(end))
		snprintf(reason, REASON_SIZE, "it died of: %s",
			 strsignal(WTERMSIG(end)));
	clean_up(pid);
	return false;
}

/* What is wrong, without the name of the file that it was found at */
static const char *problem(const char *why)
{
	const char *colon = strstr(why, ": ");

	return colon ? colon : why;
}

/*
 * The same, so many times, or until it fails; if it is given what to look for,
 * because of that.
 */
static bool keeps_passing(const bool *keep, int runs, const char *why)
{
	while (runs--) {
		if (!exists("/sys/module/kdn_test")) {
			load_devices();
			/* The directory of all misc devices goes with the last. */
			control("add", SLOTS);
		}
		if (with_module && !exists(STATUS_DIR))
			load("");
		if (!passes(keep, true) &&
		    (!why || !strcmp(problem(why), problem(reason))))
			return false;
	}
	return true;
}

static int kept(const bool *keep)
{
	int n = 0, i;

	for (i = 0; i < step_count; i++)
		n += keep[i];
	return n;
}

/* Leave out N of the steps that are kept, after the first FROM of them. */
static void leave_out(const bool *keep, bool *less, int from, int n)
{
	int i;

	for (i = 0; i < step_count; i++) {
		less[i] = keep[i] && (from > 0 || n <= 0);
		if (keep[i] && from-- <= 0)
			n--;
	}
}

/*
 * Leave out half of the steps, then quarters and so on, as long as what is left
 * still fails; in the end every single one, and these are not kept because it
 * passed once by chance.
 */
static void shrink(bool *keep, int runs, const char *why)
{
	long deadline = now_ms() + SHRINK_SECONDS * 1000L * slowness();
	int chunk = (kept(keep) + 1) / 2, from;
	bool less[MAX_STEPS], shorter;

	do {
		if (chunk == 1 && runs < SURE_RUNS)
			runs = SURE_RUNS;
		shorter = false;
		for (from = 0; from < kept(keep); ) {
			leave_out(keep, less, from, chunk);
			if (now_ms() > deadline) {
				note("there was no time to leave out more");
				return;
			}
			if (keeps_passing(less, runs, why)) {
				from += chunk;
			} else {
				memcpy(keep, less, sizeof(less));
				shorter = true;
			}
		}
		if (chunk == 1 && !shorter)
			return;
		if (chunk > 1)
			chunk = (chunk + 1) / 2;
	} while (kept(keep));
}

static void print_list(unsigned int seed, const bool *keep)
{
	char *list = "";
	int i;

	for (i = 0; i < step_count; i++) {
		if (!keep[i])
			continue;
		note("%4d: %s", i, describe(&steps[i]));
		list = text("%s%s%d", list, *list ? "," : "", i);
	}
	if (with_module)
		note("again: TESTS=test_random:seeds APPEND='kdn.seed=%u kdn.keep=%s'",
		     seed, list);
	else
		note("again: TESTS=test_random:without_module APPEND=kdn.seed=%u",
		     seed);
}

/* Leave out the steps that had nothing to do. */
static void leave_out_idle(bool *keep, int runs, const char *why)
{
	bool less[MAX_STEPS];
	int i;

	for (i = 0; i < step_count; i++)
		less[i] = keep[i] && counts->done[i];
	if (!keeps_passing(less, runs, why))
		memcpy(keep, less, sizeof(less));
}

/* How often the list has to be run to see it fail; 0 if it does not again */
static int runs_to_fail(const bool *keep, const char *why)
{
	if (!keeps_passing(keep, 1, why))
		return 1;
	return keeps_passing(keep, MANY_RUNS, why) ? 0 : MANY_RUNS;
}

/* A list has failed: find the shortest that does, print it. */
static void report(unsigned int seed, bool *keep, int trial_ms)
{
	char *why = strdup(reason);
	int runs;

	alarm((SHRINK_SECONDS + 120) * slowness());
	note("seed %u fails: %s; making its %d steps fewer", seed, why,
	     kept(keep));
	patience_ms = trial_ms;
	runs = runs_to_fail(keep, why);
	if (runs) {
		leave_out_idle(keep, runs, why);
		shrink(keep, runs, why);
	} else {
		note("it did not fail again, %d times", MANY_RUNS);
	}
	patience_ms = DEADLINE_MS;
	print_list(seed, keep);
	snprintf(reason, REASON_SIZE, "%s", why);
}

static char *argument(const char *name)
{
	char *line = strstr(get("/proc/cmdline"), name);

	return line ? strndup(line + strlen(name),
			      strcspn(line + strlen(name), " ")) : NULL;
}

static void keep_all(bool *keep)
{
	memset(keep, true, MAX_STEPS * sizeof(*keep));
}

static void set_up(void)
{
	/* The processes that the lists leave behind are for us to wait for. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	/* Or each list would start that clock. */
	granted_ms();
	counts = share(sizeof(*counts));
	patience_ms = DEADLINE_MS;
	prepare_worlds();
}

/* The list of one seed, or of it what the user wants to keep */
static void one_seed(unsigned int seed)
{
	char *list = argument("kdn.keep="), *number;
	bool keep[MAX_STEPS] = { };

	step_count = make_steps(seed, steps);
	if (!list)
		keep_all(keep);
	while (list && (number = strsep(&list, ",")))
		keep[atoi(number) % MAX_STEPS] = true;
	print_list(seed, keep);
	if (!keeps_passing(keep, MANY_RUNS, NULL))
		fail("seed %u: %s", seed, strdup(reason));
	note("it has passed %d times", MANY_RUNS);
}

/* Lists of new seeds, for a while */
static void seeds(void)
{
	long deadline = now_ms() + (long_run() ? LONG_SECONDS :
						 SHORT_SECONDS) * 1000;
	char *given = argument("kdn.seed=");
	unsigned int first = time(NULL), seed;
	bool keep[MAX_STEPS];

	set_up();
	if (given)
		return one_seed(strtoul(given, NULL, 10));
	first *= 1000;
	for (seed = first; now_ms() < deadline; seed++) {
		step_count = make_steps(seed, steps);
		keep_all(keep);
		if (!keeps_passing(keep, 1, NULL)) {
			report(seed, keep, 2000 * slowness());
			fail("seed %u: %s", seed, strdup(reason));
		}
	}
	note("seeds %u to %u: %d steps, %d watches, %d events", first,
	     seed - 1, counts->steps, counts->watches, counts->events);
	if (!counts->events)
		fail("nothing was told of");
}

/* Without the module: what a kernel tells by itself may be a matter of chance. */
static bool surely_fails(const bool *keep)
{
	char *why = NULL;
	int run;

	for (run = 0; run < SURE_RUNS; run++) {
		if (keeps_passing(keep, 1, why))
			return false;
		why = strdup(reason);
	}
	return true;
}

/*
 * The judges are judged: without the module a list must fail, and be cut down
 * to a few steps; somebody watches something, and it goes.
 */
static void without_module(void)
{
	char *given = argument("kdn.seed=");
	unsigned int seed = time(NULL);
	bool keep[MAX_STEPS];
	int i;

	if (given)
		seed = strtoul(given, NULL, 10);
	set_up();
	with_module = false;
	patience_ms = 300 * slowness();
	for (;; seed++) {
		step_count = make_steps(seed, steps);
		keep_all(keep);
		for (i = 0; i < step_count; i++)
			keep[i] = steps[i].op != LOAD && steps[i].op != UNLOAD;
		for (; i < MAX_STEPS; i++)
			keep[i] = false;
		if (surely_fails(keep))
			break;
	}
	report(seed, keep, patience_ms);
	if (kept(keep) > FEW_STEPS)
		fail("%d steps are too many", kept(keep));
}

const struct kdn_test tests[] = {
	{ "without_module", without_module },
	{ "seeds", seeds },
	{ }
};
