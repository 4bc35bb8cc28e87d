// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moments between two steps of the module or of the kernel that are too short to
 * be met: kdn_delay.ko makes them longer.
 */
#include "kdn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void delay(const char *parameters)
{
	int err = try_load("kdn_delay", parameters);

	if (err == -ENOENT || err == -EINVAL)
		skip("no probe for '%s': %s", parameters, strerror(-err));
	if (err)
		fail("insmod of kdn_delay.ko: %s", strerror(-err));
}

static long inodes(void)
{
	return atol(get("/proc/sys/fs/inode-nr"));
}

/*
 * rmdir() passes over dentries that the worker holds at that moment. They must not
 * stay in the caches, and the removed directories with them: whether somebody
 * watched, or a file was only looked up.
 */
static void caches(void)
{
	enum { REMOVALS = 40 };
	int inst = instance(), i;
	long before;

	need_controllers();
	load("");
	delay("thread=dput thread_ms=3");
	before = inodes();
	for (i = 0; i < REMOVALS; i++) {
		char *dir = new_cgroup("caches");

		watch(inst, dir, IN_DELETE_SELF);
		watch(inst, text("%s/cgroup.events", dir), IN_DELETE_SELF);
		watch(inst, text("%s/pids.max", dir), IN_DELETE_SELF);
		exists(text("%s/memory.events", dir));
		remove_dir(dir);
	}
	verify_all_gone();
	WAIT_FOR(inodes() <= before + REMOVALS / 10);
}

const struct kdn_test tests[] = {
	{ "caches", caches },
	{ }
};
