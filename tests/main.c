// SPDX-License-Identifier: GPL-2.0-only
/*
 * The main() of the test programs: runs the table of tests, one after the
 * other, and says in KTAP how each went. Arguments name those to run.
 */
#include "kdn.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static int run_test(const struct kdn_test *test)
{
	pid_t pid = start(test->run);
	int end;

	if (pid < 0 || waitpid(pid, &end, 0) != pid)
		return FAIL;
	clean_up(pid);
	if (WIFEXITED(end))
		return WEXITSTATUS(end);
	note("the test died of: %s", strsignal(WTERMSIG(end)));
	return FAIL;
}

static bool chosen(const struct kdn_test *test, char **names)
{
	int i;

	for (i = 0; names[i]; i++)
		if (!strcmp(names[i], test->name))
			return true;
	return !names[0];
}

/* A name that is none of the table's, or NULL */
static const char *unknown(char **names)
{
	const struct kdn_test *test = tests;

	for (; *names; names++, test = tests) {
		while (test->name && strcmp(test->name, *names))
			test++;
		if (!test->name)
			return *names;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	char **names = argv + (argc > 0);
	const struct kdn_test *test;
	int plan = 0, number = 0, failed = 0;

	if (unknown(names)) {
		printf("KTAP version 1\n1..1\nnot ok 1 %s\n# no such test\n",
		       unknown(names));
		return FAIL;
	}
	reason = share(REASON_SIZE);
	for (test = tests; test->name; test++)
		plan += chosen(test, names);
	printf("KTAP version 1\n1..%d\n", plan);
	fflush(stdout);
	for (test = tests; test->name; test++) {
		int result;

		if (!chosen(test, names))
			continue;
		result = run_test(test);
		failed += result != PASS && result != SKIP;
		printf("%sok %d %s%s%s\n",
		       result == PASS || result == SKIP ? "" : "not ",
		       ++number, test->name, result == SKIP ? " # SKIP " : "",
		       result == SKIP ? reason : "");
		fflush(stdout);
	}
	return failed ? FAIL : PASS;
}
