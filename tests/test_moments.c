// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moments between two steps of the module or of the kernel that are too short to
 * be met: kdn_delay.ko makes them longer.
 */
#define _GNU_SOURCE
#include "kdn.h"
#include "marks.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Processes wait at one function, kernel threads at another; NULL: at none. */
static void delay(const char *process, int process_ms, const char *thread,
		  int thread_ms)
{
	int err = try_load("kdn_delay",
			   text("process=%s process_ms=%d thread=%s thread_ms=%d",
				process ?: "", process_ms, thread ?: "", thread_ms));

	if (err == -ENOENT || err == -EINVAL)
		skip("no probe for %s or %s: %s", process ?: "", thread ?: "",
		     strerror(-err));
	if (err)
		fail("insmod of kdn_delay.ko: %s", strerror(-err));
}

/* How often a process has begun to wait, and how often a kernel thread has */
static long delays(void)
{
	return atol(get("/sys/module/kdn_delay/parameters/waits"));
}

static long thread_delays(void)
{
	return atol(get("/sys/module/kdn_delay/parameters/thread_waits"));
}

static long inodes(void)
{
	return atol(get("/proc/sys/fs/inode-nr"));
}

#define NODES "/sys/kernel/slab/kernfs_node_cache"

/* kernfs's nodes, without those that the slab keeps to use again; 0 if not known */
static long nodes(void)
{
	if (try_put(NODES "/shrink", "1") || !exists(NODES "/objects"))
		return 0;
	return atol(get(NODES "/objects"));
}

/*
 * rmdir() passes over a dentry that the worker holds at that moment. It must not
 * stay in the caches, and the removed directory with it.
 */
static void caches(void)
{
	enum { REMOVALS = 10 };
	long nodes_before, inodes_before;
	int inst = instance(), i;

	load("");
	delay("shrink_dcache_parent", 100, "dput", 300);
	/* With the first one comes the cgroup that all are in, and stays. */
	remove_dir(new_cgroup("caches"));
	nodes_before = nodes();
	inodes_before = inodes();
	for (i = 0; i < REMOVALS; i++) {
		char *dir = new_cgroup("caches");

		watch(inst, text("%s/cgroup.events", dir), IN_DELETE_SELF);
		watch(inst, dir, IN_DELETE_SELF);
		remove_dir(dir);
	}
	verify_all_gone();
	WAIT_FOR(inodes() <= inodes_before && nodes() <= nodes_before);
	note("%ld inodes and %ld nodes, as before", inodes_before, nodes_before);
}

/* A busy machine may spoil a meeting: it counts for nothing then, and there is another. */
#define MEET(meeting)								\
	do {									\
		int tries = 30;							\
										\
		while (!(meeting))						\
			if (!--tries)						\
				skip("too busy: 30 times in vain, " #meeting);	\
	} while (0)

/* A mark on the only target */
static struct target *mark(int fd, unsigned int flags, const char *path)
{
	struct target *t;

	target_count = 0;
	t = target(path);
	t->events = 0;
	add_mark(fd, FAN_MARK_INODE | flags, path);
	return t;
}

/*
 * It is told once. Returns false if the kernel, which began then, took longer than the
 * module waits for it.
 */
static bool once_in_time(int fd, const struct target *t, long begun)
{
	long took = now_ms() - begun;
	bool in_time = took < 900;

	note("the kernel took %ld ms", took);
	read_marks(fd, 1);
	if (in_time)
		once(t);
	return in_time;
}

#ifdef FAN_MARK_EVICTABLE
static bool meet_removal(int fd)
{
	char *dir = new_cgroup("evictable_mark");
	struct target *file = mark(fd, FAN_MARK_EVICTABLE,
				   text("%s/cgroup.events", dir));
	long begun = now_ms();

	remove_dir(dir);
	return once_in_time(fd, file, begun);
}
#endif

/*
 * The kernel's native support tells of an inode, and the module comes before the
 * marks are gone. An evictable mark is not what keeps the inode.
 */
static void evictable_mark(void)
{
#ifdef FAN_MARK_EVICTABLE
	int fd = group();

	if (!kernel_is_native())
		skip("without native support nothing keeps the inode");
	load("");
	delay("__fsnotify_inode_delete", 100, "d_find_any_alias", 50);
	MEET(meet_removal(fd));
#else
	skip("no FAN_MARK_EVICTABLE where this was built");
#endif
}

/* Returns false if the worker did not look two to five times meanwhile. */
static bool meet_looks(int fd)
{
	char *dir = new_cgroup("slow_machine");
	struct target *file = mark(fd, 0, text("%s/cgroup.events", dir));
	long before = thread_delays(), looks;
	bool met;

	remove_dir(dir);
	looks = thread_delays() - before;
	met = looks >= 2 && looks <= 5;
	note("looked at %ld times", looks);
	read_marks(fd, 1);
	if (met)
		once(file);
	return met;
}

/*
 * The whole machine is slow: the worker takes a second to look, and the kernel takes
 * four times as long to tell of an inode. The worker waits for a second of waits
 * that it has asked for: here, until its sixth look.
 */
static void slow_machine(void)
{
	int fd = group();

	if (!kernel_is_native())
		skip("without native support the module is alone");
	load("");
	delay("fsnotify_detach_mark", 4200, "d_find_any_alias", 1050);
	MEET(meet_looks(fd));
}

/* A thread that reads a directory, and keeps it locked until it gets memory for that */
struct reader {
	pthread_t thread;
	int dir, memory;
	void *page;
};

#define PAGE	((size_t)sysconf(_SC_PAGESIZE))

static void *read_dir(void *arg)
{
	struct reader *r = arg;

	if (syscall(SYS_getdents64, r->dir, r->page, PAGE) <= 0)
		fail("getdents64: %m");
	return NULL;
}

static void begin_reading(struct reader *r, const char *path)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct pollfd p = { .events = POLLIN };

	r->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r->page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	range.range = (struct uffdio_range){ (uintptr_t)r->page, PAGE };
	r->memory = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (r->memory < 0)
		skip("no userfaultfd: %m");
	p.fd = r->memory;
	if (ioctl(r->memory, UFFDIO_API, &api) ||
	    ioctl(r->memory, UFFDIO_REGISTER, &range) ||
	    pthread_create(&r->thread, NULL, read_dir, r))
		fail("a page that does not come: %m");
	if (poll(&p, 1, DEADLINE_MS) != 1)
		fail("nothing is read of %s", path);
}

static void end_reading(struct reader *r)
{
	close(r->memory);
	pthread_join(r->thread, NULL);
	munmap(r->page, PAGE);
	close(r->dir);
}

/* The delay is met twice: when the kernel tells, and when it frees the inode. */
static bool meet_close(int fd, bool beside_reader)
{
	char *dir = new_cgroup("closed_directory");
	int held = hold_dir_open(dir);
	struct target *top = mark(fd, 0, dir);
	struct reader reader;
	bool in_time;
	long begun;

	remove_dir(dir);
	if (beside_reader)
		begin_reading(&reader, CGROUPS "/kdn");
	listen_for(beside_reader ? 850 : 1500);
	begun = now_ms();
	close(held);
	in_time = once_in_time(fd, top, begun);
	if (beside_reader)
		end_reading(&reader);
	return in_time;
}

/*
 * The same for a directory that was open: the kernel tells of it at the close, long
 * after the removal. The module waits a second for it.
 */
static void meet_closes(int n, bool beside_reader)
{
	int fd = group(), tries = 30, met = 0;

	if (!kernel_is_native())
		skip("no native support");
	load("");
	delay("__fsnotify_inode_delete", 300, NULL, 0);
	while (met < n && tries--)
		met += meet_close(fd, beside_reader);
	if (!met)
		skip("too busy: each time it took a second to close a directory");
}

static void closed_directory(void)
{
	meet_closes(1, false);
}

/*
 * The same while somebody has the parent directory locked, as rmdir() has while it
 * tells: that takes nothing off the second. It does not meet each time.
 */
static void closed_beside_reader(void)
{
	meet_closes(8, true);
}

/*
 * The worker comes while rmdir() has yet to let go of the dentries. Where the kernel
 * tells by itself then, the event names who removed the file.
 */
static void who_removed(void)
{
	char *dir = new_cgroup("who_removed");
	char *file = text("%s/cgroup.events", dir);
	struct fanotify_event_metadata event[16];
	struct pollfd p = { .fd = group(), .events = POLLIN };

	if (!kernel_is_native())
		skip("no native support");
	load("");
	add_mark(p.fd, FAN_MARK_INODE, file);
	delay("shrink_dcache_parent", 50, NULL, 0);
	remove_dir(dir);
	if (poll(&p, 1, DEADLINE_MS) != 1 || read(p.fd, event, sizeof(event)) <= 0)
		fail("no event");
	if (event->pid != getpid())
		fail("the event names process %d, not %d", event->pid, getpid());
}

struct opening {
	const struct file_handle *handle;
	int fs, error;
	long took_ms;
	bool open, close;
};

static void open_by_handle(void *arg)
{
	struct opening *o = arg;
	long begun = now_ms();
	int fd = open_by_handle_at(o->fs, (struct file_handle *)o->handle,
				   O_RDONLY | O_CLOEXEC);

	o->took_ms = now_ms() - begun;
	o->error = fd < 0 ? errno : 0;
	__atomic_store_n(&o->open, true, __ATOMIC_RELEASE);
	if (fd < 0)
		return;
	WAIT_FOR(__atomic_load_n(&o->close, __ATOMIC_ACQUIRE));
	close(fd);
}

/*
 * The function that finds or makes an inode's dentry. clang's LTO inlines it into
 * callers in other files, but not what it calls, whose name may end in a number then.
 */
static const char *dentry_finder(void)
{
	FILE *symbols = fopen("/proc/kallsyms", "re");
	char line[1024], name[512];
	const char *found = "d_obtain_alias";

	if (!symbols)
		fail("/proc/kallsyms: %m");
	while (fgets(line, sizeof(line), symbols))
		if (sscanf(line, "%*s %*s %511s", name) == 1 &&
		    (!strcmp(name, "__d_obtain_alias") ||
		     !fnmatch("__d_obtain_alias.llvm.*", name, 0)))
			found = text("%s", name);
	fclose(symbols);
	return found;
}

/* Returns false if the machine was so slow that the module did not wait for it. */
static bool meet_opening(int inst, int fs)
{
	struct opening *o = share(sizeof(*o));
	char *dir = new_cgroup("opened_by_handle");
	int file = hold_open(text("%s/cgroup.events", dir));
	struct watch *w = watch(inst, dir, IN_DELETE_SELF);
	long before = delays();
	pid_t opener;

	o->handle = target(dir)->handle;
	o->fs = fs;
	opener = spawn(open_by_handle, o);
	WAIT_FOR(delays() > before);
	remove_dir(dir);
	WAIT_FOR(__atomic_load_n(&o->open, __ATOMIC_ACQUIRE));
	if (o->error)
		fail("open_by_handle_at(): %s", strerror(o->error));
	if (o->took_ms < 900) {
		listen_for(1000);
		verify();
	}
	__atomic_store_n(&o->close, true, __ATOMIC_RELEASE);
	end_of(opener);
	expect(w, GONE);
	verify();
	close(file);
	return o->took_ms < 900;
}

/*
 * A program opens a directory by its handle. It has the inode, not yet the dentry,
 * when the worker sees whether the directory is open, and has the directory open
 * before the worker destroys the marks: nobody is told before it is closed. (A file
 * that is open in the directory keeps the dentry.) The module waits a second for it.
 */
static void opened_by_handle(void)
{
	int fs = open(CGROUPS, O_RDONLY | O_CLOEXEC), inst = instance();

	load("");
	delay(dentry_finder(), 200, "fsnotify", 600);
	MEET(meet_opening(inst, fs));
}

const struct kdn_test tests[] = {
	{ "caches", caches },
	{ "evictable_mark", evictable_mark },
	{ "slow_machine", slow_machine },
	{ "closed_directory", closed_directory },
	{ "closed_beside_reader", closed_beside_reader },
	{ "who_removed", who_removed },
	{ "opened_by_handle", opened_by_handle },
	{ }
};
