// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a program that watches cgroups can do to hear that one is gone, with the
 * module and without it. There are 100 parents with 10 cgroups each, in each of
 * them a process, and a watch on one of its files. Every 10 ms a process is
 * killed and its cgroup removed. A watcher who learns of that takes the watch
 * away, if the kernel has not.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PARENTS		100
#define CHILDREN	10
#define ALL		(PARENTS * CHILDREN)
#define REMOVALS	200

#ifndef SYS_pidfd_open
#define SYS_pidfd_open	434
#endif

/* Shared by who removes and who watches. */
static struct {
	bool ready;
	long long gone[ALL], noticed[ALL];
} *shared;

static pid_t process[ALL];

/* The watcher's */
static int inst, epoll, wd_of[ALL], fd_of[ALL], index_of[2 * ALL];
static bool told_by_kernel;

static char *child(int i, const char *file)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/c%d/%s",
		 cgroup("parent", i / CHILDREN), i, file);
	return path;
}

static void notice(int i)
{
	if (shared->noticed[i])
		return;
	shared->noticed[i] = now_ns();
	if (!told_by_kernel)
		inotify_rm_watch(inst, wd_of[i]);
}

/* inotify, for what the parent's watch or the watch itself says */
static void read_inotify(void)
{
	union {
		struct inotify_event event;
		char bytes[4096];
	} buffer;
	const struct inotify_event *event;
	ssize_t n, i;

	n = read(inst, &buffer, sizeof(buffer));
	for (i = 0; i < n; i += sizeof(*event) + event->len) {
		event = (const void *)(buffer.bytes + i);
		if (event->mask & IN_DELETE)
			notice(atoi(event->name + 1));
		else if (event->mask & IN_DELETE_SELF)
			notice(index_of[event->wd]);
	}
}

static void wait_inotify(void)
{
	struct epoll_event event;

	if (epoll_wait(epoll, &event, 1, -1) == 1)
		read_inotify();
}

static void add_to_epoll(int fd, unsigned int events, int i)
{
	struct epoll_event event = { .events = events, .data.u32 = i };

	if (fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		fail("epoll: %m");
}

static void begin_module(void)
{
	told_by_kernel = true;
	add_to_epoll(inst, EPOLLIN, 0);
}

static void begin_parent(void)
{
	int i;

	for (i = 0; i < PARENTS; i++)
		if (inotify_add_watch(inst, cgroup("parent", i), IN_DELETE) < 0)
			fail("watching a parent: %m");
	add_to_epoll(inst, EPOLLIN, 0);
}

static void begin_pidfd(void)
{
	int i;

	for (i = 0; i < ALL; i++) {
		fd_of[i] = syscall(SYS_pidfd_open, process[i], 0);
		add_to_epoll(fd_of[i], EPOLLIN, i);
	}
}

static void wait_pidfd(void)
{
	struct epoll_event event;

	if (epoll_wait(epoll, &event, 1, -1) != 1)
		return;
	notice(event.data.u32);
	close(fd_of[event.data.u32]);
}

/* Every second: which cgroups do the processes say that they are in? */
static void wait_scan(void)
{
	static bool seen[ALL];
	struct dirent *entry;
	DIR *proc;
	int i;

	sleep(1);
	memset(seen, 0, sizeof(seen));
	proc = opendir("/proc");
	while (proc && (entry = readdir(proc))) {
		char path[300], line[256];
		const char *name;
		ssize_t n;
		int fd;

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/cgroup", entry->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = read(fd, line, sizeof(line) - 1);
		close(fd);
		if (n <= 0)
			continue;
		line[n] = 0;
		name = strrchr(line, '/');
		if (name && name[1] == 'c')
			seen[atoi(name + 2)] = true;
	}
	closedir(proc);
	for (i = 0; i < ALL; i++)
		if (!seen[i])
			notice(i);
}

static void begin_poll(void)
{
	char line[256];
	int i;

	for (i = 0; i < ALL; i++) {
		fd_of[i] = open(child(i, "cgroup.events"), O_RDONLY | O_CLOEXEC);
		if (read(fd_of[i], line, sizeof(line)) <= 0)
			fail("%s: %m", child(i, "cgroup.events"));
		add_to_epoll(fd_of[i], EPOLLPRI, i);
	}
}

static void wait_poll(void)
{
	struct epoll_event event;
	char line[256] = "";
	int i;

	if (epoll_wait(epoll, &event, 1, -1) != 1)
		return;
	i = event.data.u32;
	if (pread(fd_of[i], line, sizeof(line) - 1, 0) > 0 &&
	    !strstr(line, "populated 0"))
		return;
	notice(i);
	close(fd_of[i]);
}

static void nothing(void)
{
}

static void wait_nothing(void)
{
	pause();
}

static const struct way {
	const char *name, *module;
	int extra_watches;
	void (*begin)(void);
	void (*wait)(void);
} ways[] = {
	{ "nothing", NULL, 0, nothing, wait_nothing },
	{ "module", MODULE, 0, begin_module, wait_inotify },
	{ "parent", NULL, PARENTS, begin_parent, wait_inotify },
	{ "pidfd", NULL, 0, begin_pidfd, wait_pidfd },
	{ "scan", NULL, 0, nothing, wait_scan },
	{ "poll", NULL, 0, begin_poll, wait_poll },
};

static void watcher(void *argument)
{
	const struct way *way = argument;
	int i;

	inst = listener();
	epoll = epoll_create1(EPOLL_CLOEXEC);
	for (i = 0; i < ALL; i++) {
		wd_of[i] = inotify_add_watch(inst, child(i, "memory.events"),
					     IN_MODIFY | IN_DELETE_SELF);
		if (wd_of[i] < 0 || wd_of[i] >= (int)ARRAY_SIZE(index_of))
			fail("%s can't be watched: %m", child(i, "memory.events"));
		index_of[wd_of[i]] = i;
	}
	way->begin();
	shared->ready = true;
	for (;;)
		way->wait();
}

static long files_of(pid_t pid)
{
	DIR *dir = opendir(text("/proc/%d/fd", pid));
	long n = 0;

	while (dir && readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

/* What was removed is made again. */
static void populate(void)
{
	int i;

	for (i = 0; i < ALL; i++) {
		if (process[i])
			continue;
		make_dir(child(i, ""));
		process[i] = fork();
		if (!process[i])
			for (;;)
				pause();
		put(child(i, "cgroup.procs"), text("%d", process[i]));
	}
}

static void kill_and_remove(int i)
{
	kill(process[i], SIGKILL);
	waitpid(process[i], NULL, 0);
	while (rmdir(child(i, "")))
		if (errno != EBUSY)
			fail("rmdir %s: %m", child(i, ""));
	shared->gone[i] = now_ns();
	process[i] = 0;
}

static void try_way(const struct way *way)
{
	long long was;
	long memory;
	pid_t pid;
	int i;

	memset(shared, 0, sizeof(*shared));
	populate();
	memory = kernel_memory();
	load_module(way->module);
	pid = spawn(watcher, (void *)way);
	WAIT_FOR(shared->ready);
	figure("users", way->name, 0, 0, kernel_memory() - memory);
	figure("users", way->name, 1, 0, files_of(pid));
	figure("users", way->name, 2, 0, ALL + way->extra_watches);
	was = busy();
	for (i = 0; i < REMOVALS; i++) {
		kill_and_remove(i);
		usleep(10000 - 200);
	}
	sleep(2);
	figure("users", way->name, 3, 0, (busy() - was) / REMOVALS);
	for (i = 0; i < REMOVALS; i++)
		if (shared->noticed[i])
			figure("notice", way->name, 0, i,
			       shared->noticed[i] - shared->gone[i]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unload_module(way->module);
}

void part_users(void)
{
	struct rlimit files = { 8192, 8192 };
	size_t i;

	setrlimit(RLIMIT_NOFILE, &files);
	shared = share(sizeof(*shared));
	make_cgroups("parent", PARENTS);
	for (i = 0; i < PARENTS; i++)
		put(text("%s/cgroup.subtree_control", cgroup("parent", i)),
		    "+memory +pids +cpu +io +cpuset");
	for (i = 0; i < ARRAY_SIZE(ways); i++)
		try_way(&ways[i]);
}
