// SPDX-License-Identifier: GPL-2.0-only
/*
 * When the events come: after what kernfs had queued before the removal, and
 * not before the node is gone.
 */
#include "kdn.h"

#include <sys/syscall.h>
#include <unistd.h>

static void idle(void *unused)
{
	(void)unused;
	pause();
}

/*
 * Processes leave their cgroups, which are removed at once: of each, it is read
 * that its cgroup.events has changed, and then that it is gone.
 *
 * Between a process's coming and its going there must be a pause, which
 * verify() makes: of changes within 10 ms, cgroups themselves report but one.
 *
 * A kernel with native support tells of a removal before rmdir() returns. It
 * loses a change that is still queued then, or sends it in the midst of the
 * removal's events or after them (without the module, on 7.3: 35 of 50 lost, 2
 * of 2,000 in the midst; on 7.2: 1 of 24,000 after IGNORED). Not so with files
 * that somebody holds open, which are left to the module.
 */
static void leave_and_remove(int count, bool busy, bool held_open)
{
	bool native = kernel_is_native();
	char *dirs[count], *pids[count];
	int inst = instance(), i;

	load("");
	for (i = 0; i < count; i++) {
		char *path;

		dirs[i] = new_cgroup(text("order%d", i));
		path = text("%s/cgroup.events", dirs[i]);
		if (held_open)
			hold_open(path);
		watch(inst, path, IN_MODIFY | IN_DELETE_SELF);
		pids[i] = text("%d", spawn(idle, NULL));
		put(text("%s/cgroup.procs", dirs[i]), pids[i]);
	}
	expect_all("MODIFY");
	verify();
	if (busy)
		control("busy", 5);
	for (i = 0; i < count; i++) {
		put(CGROUPS "/cgroup.procs", pids[i]);
		remove_dir(dirs[i]);
	}
	expect_all(native && !held_open ?
		   "MODIFY " GONE " or " GONE " or DELETE_SELF MODIFY IGNORED or "
		   GONE " MODIFY" : "MODIFY " GONE);
	verify();
}

static void modify_first(void)
{
	leave_and_remove(1, false, false);
}

/* The same with the workqueue busy by which kernfs sends IN_MODIFY */
static void modify_first_busy(void)
{
	load_devices();
	leave_and_remove(50, true, false);
}

/* The same with the files held open */
static void modify_first_open(void)
{
	load_devices();
	leave_and_remove(50, true, true);
}

/*
 * Devices whose attribute changes in the moment before they go, 192 of them
 * with the system workqueue busy. A directory watch hears of its files' MODIFY
 * too, and gets no event of them afterwards.
 */
static void modify_first_sysfs(void)
{
	int inst = instance(), round, i;

	load_devices();
	load("");
	for (round = 0; round < 4; round++) {
		for (i = 0; i < 48; i++) {
			char *dir = text(DEVICES "%d", i);

			control("add", i);
			expect(watch(inst, dir, IN_ALL_EVENTS),
			       "MODIFY:value " GONE);
			expect(watch(inst, text("%s/value", dir),
				     IN_ALL_EVENTS), "MODIFY " GONE);
		}
		control("busy", 5);
		for (i = 0; i < 48; i++)
			control("notify_del", i);
		control("busy", 0);
		verify();
	}
}

/* A watcher looks on the event: the path is gone, and can't be watched again. */
static void gone_by_then(void)
{
	char *dir = new_cgroup("gone_by_then");
	int inst = instance(), i;

	need_controllers();
	load_devices();
	control("add", 0);
	control("tree", 500);
	load("");
	watch(inst, dir, IN_ALL_EVENTS);
	watch(inst, text("%s/cgroup.events", dir), IN_ALL_EVENTS);
	watch(inst, text("%s/memory.events", dir), IN_ALL_EVENTS);
	watch(inst, DEVICES "0", IN_ALL_EVENTS);
	watch(inst, DEVICES "0/value", IN_ALL_EVENTS);
	for (i = 0; i < 500; i++)
		watch(inst, text(LEAVES "/a%d", i), IN_ALL_EVENTS);
	for (i = 0; i < watch_count; i++)
		watches[i].check_gone = true;
	remove_dir(dir);
	control("del", 0);
	control("tree", 0);
	verify_all_gone();
}

/*
 * Somebody has read a part of a directory, and kernfs holds the file that comes
 * next: the module can't know that this is no event that is being sent. It is
 * told all the same, also where the system's workqueue takes long.
 */
static void held_by_reader(void)
{
	/* Room for '.' and '..', and none for a file. */
	char entries[48];
	int inst = instance(), dir;

	load_devices();
	control("tree", 1);
	load("");
	watch(inst, LEAVES "/a0", IN_ALL_EVENTS);
	dir = hold_dir_open(LEAVES);
	if (syscall(SYS_getdents64, dir, entries, sizeof(entries)) !=
	    sizeof(entries))
		fail("reading a part of " LEAVES ": %m");
	control("busy", 200);
	control("tree", 0);
	verify_all_gone();
	control("busy", 0);
	close(dir);
}

/*
 * A process reads an attribute and is stuck there; the device is to go, and
 * its removal waits for the reader, in kernfs_drain(). Nothing is said of what
 * is not gone yet, and other removals are told as ever. Then the reader goes
 * on, and all comes.
 */
static void hanging_removal(void)
{
	char *other = new_cgroup("other");
	int inst = instance();
	struct watch *value, *w;
	pid_t remover;

	load_devices();
	control("add", 0);
	load("");
	watch(inst, DEVICES "0", IN_DELETE_SELF);
	watch(inst, DEVICES "0/block", IN_DELETE_SELF | IN_MODIFY);
	value = watch(inst, DEVICES "0/value", IN_ALL_EVENTS);
	w = watch(inst, text("%s/cgroup.events", other), IN_ALL_EVENTS);
	remover = hang_removal(DEVICES "0/block", "del", 0);
	if (exists(DEVICES "0/block"))
		fail("who looks up what is being removed still finds it");
	/* It's the file before the one that blocks. */
	expect(value, GONE);
	verify();
	WAIT_FOR(status("pending"));

	remove_dir(other);
	expect(w, GONE);
	verify();

	finish_removal(remover);
	expect_all(GONE);
	expect(value, "");
	expect(w, "");
	verify();
}

/*
 * One call removes a directory, and hangs in the middle. Some of the files are
 * gone by then, the others are not although nobody can find them any more: the
 * lookups have the kernel drop their dentries. Each is told of once, those in
 * the middle of it and after it only when it has gone on.
 */
static void hanging_subtree(void)
{
	int inst = instance(), early = 0, i;
	struct watch *top, *block;
	pid_t remover;

	load_devices();
	control("tree", 50);
	load("");
	top = watch(inst, LEAVES, IN_DELETE_SELF);
	block = watch(inst, LEAVES "/a0", IN_DELETE_SELF);
	for (i = 1; i < 50; i++)
		watch(inst, text(LEAVES "/a%d", i), IN_ALL_EVENTS);
	remover = hang_removal(LEAVES "/a0", "tree", 0);
	for (i = 0; i < 50; i++)
		WAIT_FOR(!exists(text(LEAVES "/a%d", i)));
	collect();
	for (i = 0; i < watch_count; i++)
		early += watches[i].got[0] != 0;
	note("%d of 51 were told of while the removal hung", early);
	if (top->got[0] || block->got[0])
		fail("events of what is not gone yet: '%s', '%s'", top->got,
		     block->got);
	finish_removal(remover);
	verify_all_gone();
}

/*
 * The module comes when a removal has begun and hangs: it has not seen it
 * begin, and can't tell of it before it is through.
 */
static void loaded_during_removal(void)
{
	int inst = instance();
	pid_t remover;

	load_devices();
	control("tree", 1);
	watch(inst, LEAVES, IN_DELETE_SELF);
	watch(inst, LEAVES "/a0", IN_DELETE_SELF);
	remover = hang_removal(LEAVES "/a0", "tree", 0);
	load("");
	WAIT_FOR(status("resyncs"));
	verify();
	finish_removal(remover);
	verify_all_gone();
}

const struct kdn_test tests[] = {
	{ "modify_first", modify_first },
	{ "modify_first_busy", modify_first_busy },
	{ "modify_first_open", modify_first_open },
	{ "modify_first_sysfs", modify_first_sysfs },
	{ "gone_by_then", gone_by_then },
	{ "held_by_reader", held_by_reader },
	{ "hanging_removal", hanging_removal },
	{ "hanging_subtree", hanging_subtree },
	{ "loaded_during_removal", loaded_during_removal },
	{ }
};
