// SPDX-License-Identifier: GPL-2.0-only
/*
 * cgroup v1, by a named hierarchy without controllers.
 */
#include "kdn.h"

#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define TOP	"/tmp/cgroup1"

static void mount_hierarchy(void)
{
	mkdir(TOP, 0755);
	if (mount("cgroup", TOP, "cgroup", 0, "none,name=kdn"))
		skip("no cgroup v1 on this kernel: %m");
}

/* A file and the directory; the hierarchy is mounted after the module came. */
static void file_and_directory(void)
{
	int inst = instance();

	load("");
	mount_hierarchy();
	make_dir(TOP "/a");
	watch(inst, TOP "/a/cgroup.procs", IN_ALL_EVENTS);
	watch(inst, TOP "/a/notify_on_release", IN_ALL_EVENTS);
	watch(inst, TOP "/a", IN_ALL_EVENTS);
	remove_dir(TOP "/a");
	verify_all_gone();
}

/*
 * A rename takes a node out of its parent's tree for a moment. It is no
 * removal: the watch on the cgroup hears the VFS's IN_MOVE_SELF, and those in
 * it nothing, until the cgroup goes by its new name.
 */
static void renamed(void)
{
	int inst = instance(), i;
	struct watch *w;

	mount_hierarchy();
	make_dir(TOP "/a");
	load("");
	w = watch(inst, TOP "/a", IN_ALL_EVENTS);
	watch(inst, TOP "/a/cgroup.procs", IN_ALL_EVENTS);
	for (i = 0; i < 20; i++)
		if (rename(i % 2 ? TOP "/b" : TOP "/a",
			   i % 2 ? TOP "/a" : TOP "/b"))
			fail("rename: %m");
	/* inotify takes events that are all the same together. */
	expect(w, "MOVE_SELF");
	verify();
	if (rename(TOP "/a", TOP "/b"))
		fail("rename: %m");
	expect(w, "MOVE_SELF");
	verify();
	remove_dir(TOP "/b");
	verify_all_gone();
}

/*
 * Somebody has a reference on the superblock of an unmounted hierarchy, as sync() may
 * have for long. It is in the list of its type for as long, and does not keep the
 * worker from looking at others.
 */
static void held_after_unmount(void)
{
	char *dir = new_cgroup("held_after_unmount");
	int inst = instance();

	mount_hierarchy();
	load_devices();
	if (try_put("/sys/kernel/kdn_test/hold_super", "1"))
		skip("nothing holds a superblock on this kernel: %m");
	if (umount(TOP))
		fail("umount: %m");
	load("");
	watch(inst, dir, IN_DELETE_SELF);
	watch(inst, text("%s/cgroup.events", dir), IN_DELETE_SELF);
	remove_dir(dir);
	verify_all_gone();
	control("hold_super", 0);
}

const struct kdn_test tests[] = {
	{ "file_and_directory", file_and_directory },
	{ "renamed", renamed },
	{ "held_after_unmount", held_after_unmount },
	{ }
};
