// SPDX-License-Identifier: GPL-2.0-only
/*
 * bench PART...: what removals cost, and the rest of what the module takes.
 *
 * Meant for QEMU's -icount on one CPU, where time counts instructions. Each
 * part runs in a process of its own, like a test.
 */
#include "bench.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static const struct {
	const char *name;
	void (*run)(void);
} parts[] = {
	{ "guard", part_guard },
	{ "removal", part_removal },
	{ "cgroups", part_cgroups },
	{ "device", part_device },
	{ "supers", part_supers },
	{ "namespaces", part_namespaces },
	{ "native", part_native },
	{ "latency", part_latency },
	{ "handler", part_handler },
	{ "resync", part_resync },
	{ "walk", part_walk },
	{ "load", part_load },
	{ "memory", part_memory },
	{ "idle", part_idle },
	{ "users", part_users },
};

static int run_part(const char *name)
{
	size_t i = 0;
	pid_t pid;
	int end;

	while (i < ARRAY_SIZE(parts) && strcmp(parts[i].name, name))
		i++;
	if (i == ARRAY_SIZE(parts)) {
		note("%s: there is no such part", name);
		return FAIL;
	}
	*reason = 0;
	pid = start(parts[i].run);
	waitpid(pid, &end, 0);
	clean_up(pid);
	try_unload("kdn_bare");
	try_unload("kdn_bench");
	if (end)
		note("%s failed: %s", name, *reason ? reason : "it died");
	return end ? FAIL : PASS;
}

int main(int argc, char **argv)
{
	int status = PASS;

	reason = share(REASON_SIZE);
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (*++argv && argc)
		status |= run_part(*argv);
	return status;
}
