// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's own tests of the memory controller (test_memcontrol.c of
 * tools/testing/selftests/cgroup, as it is in a newer kernel's source), run
 * without the module and with it. The last two are of what the module is for;
 * of the others, none may end in another way.
 *
 * That program wants a disk, to have files of it in the page cache, and swap.
 * Both are ramdisks here, by modules that come with the kernel.
 */
#define _GNU_SOURCE
#include "kdn.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM		"/upstream/test_memcontrol"
#define DISK		"/dev/ram0"
#define SWAP		"/dev/ram1"
#define MOUNTED		"/tmp/upstream"
#define MAX_TESTS	64
#define MAX_RUNS	4
#define LINE		160

/* A run takes 25 s in an emulated guest, and far more on a busy machine. */
#define RUN_SECONDS	300

/* More runs, where one run is not enough, begin in this time. */
#define MORE_RUNS_MS	400000

/* How long a watcher has to wait until it's said that nothing comes */
#define SILENCE_MS	1000

/* How each test ended: 'not ok 3 test_memcg_min' */
struct results {
	char line[MAX_TESTS][LINE];
	int count;
};

/* The disk and the swap */

/*
 * An empty Minix file system, version 3 with blocks of 4 KiB: the superblock in
 * block 0, maps of inodes and zones in 2 and 3, in 4 the inodes, of which the
 * root directory's is the first, and in 5 its entries.
 */
static void format_disk(void)
{
	static const struct {
		uint32_t inodes;
		uint16_t pad, inode_maps, zone_maps, first_zone, zone_shift;
		uint16_t pad1;
		uint32_t max_size, zones;
		uint16_t magic, pad2, block_size;
		uint8_t version;
	} super = { 64, 0, 1, 1, 5, 0, 0, 1 << 30, 1024, 0x4d5a, 0, 4096, 0 };
	static const struct {
		uint16_t mode, links, uid, gid;
		uint32_t size, times[3], zones[10];
	} top = { .mode = S_IFDIR | 0755, .links = 2, .size = 128, .zones = { 5 } };
	static const struct {
		uint32_t inode;
		char name[60];
	} dots[] = { { 1, "." }, { 1, ".." } };
	static char blocks[6][4096];
	int fd = open(DISK, O_WRONLY | O_CLOEXEC);

	memcpy(blocks[0] + 1024, &super, sizeof(super));
	blocks[2][0] = 3;
	blocks[3][0] = 3;
	memcpy(blocks[4], &top, sizeof(top));
	memcpy(blocks[5], dots, sizeof(dots));
	if (write(fd, blocks, sizeof(blocks)) != sizeof(blocks))
		fail("formatting %s: %m", DISK);
	close(fd);
}

static void format_swap(void)
{
	size_t page = sysconf(_SC_PAGESIZE);
	int fd = open(SWAP, O_WRONLY | O_CLOEXEC);
	char *header = calloc(1, page);
	uint32_t info[2] = { 1 };	/* the version, the last page */
	uint64_t size;

	if (ioctl(fd, BLKGETSIZE64, &size))
		fail("the size of %s: %m", SWAP);
	info[1] = size / page - 1;
	memcpy(header + 1024, info, sizeof(info));
	memcpy(header + page - 10, "SWAPSPACE2", 10);
	if (write(fd, header, page) != (ssize_t)page)
		fail("formatting %s: %m", SWAP);
	close(fd);
}

/* Set up what the program needs of its surroundings. */
static void prepare(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int sk = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	FILE *hosts;

	if (access(PROGRAM, X_OK))
		skip("there's no %s", PROGRAM);
	if (exists("/modules/minix.ko"))
		try_load("minix", "");
	if (exists("/modules/brd.ko"))
		try_load("brd", "rd_nr=2 rd_size=65536");
	if (!exists(SWAP))
		skip("no ramdisks: CONFIG_BLK_DEV_RAM, or its module");
	format_disk();
	mkdir(MOUNTED, 0755);
	if (mount(DISK, MOUNTED, "minix", 0, NULL))
		skip("no Minix file system: %m");
	swapoff(SWAP);
	format_swap();
	if (swapon(SWAP, 0))
		note("there is no swap: %m");

	if (sk >= 0 && ioctl(sk, SIOCSIFFLAGS, &lo))
		fail("lo does not come up: %m");
	mkdir("/etc", 0755);
	hosts = fopen("/etc/hosts", "we");
	if (!hosts || fputs("127.0.0.1 localhost\n", hosts) < 0 || fclose(hosts))
		fail("/etc/hosts: %m");
}

/* Running the program */

static const char *name_of(const char *line)
{
	return strrchr(line, ' ') + 1;
}

/*
 * If the program is in a read() from inotify, which may never return, take the
 * watch away from under it: it reads the IN_IGNORED of that, which is not what
 * it waits for, and goes on.
 */
static void end_wait(pid_t pid)
{
	FILE *file = fopen(text("/proc/%d/syscall", pid), "re");
	char line[256];
	int call, fd, pidfd;
	unsigned int wd;

	if (!file)
		return;
	if (fscanf(file, "%d %i", &call, &fd) != 2 || call != SYS_read)
		fd = -1;
	fclose(file);
	file = fopen(text("/proc/%d/fdinfo/%d", pid, fd), "re");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "inotify wd:%x", &wd) != 1)
			continue;
		/* So that call answers where there is one. */
		if (syscall(SYS_pidfd_getfd, -1, -1, 0) && errno != EBADF)
			skip("no pidfd_getfd(), to take the program's watch away");
		pidfd = syscall(SYS_pidfd_open, pid, 0);
		fd = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
		if (fd < 0 || inotify_rm_watch(fd, wd))
			fail("removing the program's watch: %m");
		note("nothing came, its watch was removed");
		close(fd);
		close(pidfd);
		break;
	}
	fclose(file);
}

static pid_t start_program(int *output)
{
	int out[2];
	pid_t pid;

	if (pipe2(out, O_CLOEXEC))
		fail("pipe: %m");
	pid = fork();
	if (pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		dup2(out[1], STDERR_FILENO);
		if (!chdir(MOUNTED))
			execl(PROGRAM, PROGRAM, NULL);
		_exit(127);
	}
	close(out[1]);
	*output = out[0];
	return pid;
}

/* Who waits for an inotify event has PATIENCE ms from the line before it. */
static void run(struct results *r, long patience)
{
	struct pollfd p = { .events = POLLIN };
	int number, planned = 0;
	char line[LINE];
	pid_t pid;
	FILE *out;

	alarm(RUN_SECONDS * slowness());
	prepare();
	r->count = 0;
	pid = start_program(&p.fd);
	out = fdopen(p.fd, "r");
	setvbuf(out, NULL, _IONBF, 0);
	for (;;) {
		if (!poll(&p, 1, patience)) {
			end_wait(pid);
			continue;
		}
		if (!fgets(line, sizeof(line), out))
			break;
		line[strcspn(line, "\n")] = 0;
		note("%s", line);
		if (sscanf(line, "1..%d", &planned) == 1 && !planned)
			skip("upstream's program says: %s", line);
		if ((sscanf(line, "ok %d ", &number) == 1 ||
		     sscanf(line, "not ok %d ", &number) == 1) &&
		    r->count < MAX_TESTS)
			memcpy(r->line[r->count++], line, sizeof(line));
	}
	fclose(out);
	waitpid(pid, NULL, 0);
	swapoff(SWAP);
	WAIT_FOR(!umount(MOUNTED));
	if (!planned || r->count != planned)
		fail("%d of the program's %d tests ended", r->count, planned);
}

/* The results of a run with or without the module; one of each is enough. */
static void results(struct results *r, bool module)
{
	const char *path = module ? "/tmp/upstream.with" : "/tmp/upstream.alone";
	bool native = kernel_is_native();
	FILE *file = fopen(path, "re");

	if (!file || fread(r, sizeof(*r), 1, file) != 1) {
		if (module)
			load("");
		run(r, module || native ? DEADLINE_MS : SILENCE_MS);
		if (module)
			unload();
		file = fopen(path, "we");
		if (!file || fwrite(r, sizeof(*r), 1, file) != 1)
			fail("%s: %m", path);
	}
	fclose(file);
}

static const char *line_of(const struct results *r, const char *name)
{
	int i;

	for (i = 0; i < r->count; i++)
		if (!strcmp(name_of(r->line[i]), name))
			return r->line[i];
	fail("the program has no %s", name);
}

static void expect_inotify(const struct results *r, bool ok)
{
	static const char * const names[] = {
		"test_memcg_inotify_delete_file",
		"test_memcg_inotify_delete_dir",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (strncmp(line_of(r, names[i]), ok ? "ok " : "not ok ", 3))
			fail("expected %s: %s", ok ? "a success" : "a failure",
			     line_of(r, names[i]));
}

/* Without the module, they fail on kernels that have no native support. */
static void inotify_alone(void)
{
	struct results alone;

	results(&alone, false);
	expect_inotify(&alone, kernel_is_native());
}

static void inotify_with_module(void)
{
	struct results with;

	results(&with, true);
	expect_inotify(&with, true);
}

/* Runs of one kind */
struct runs {
	struct results r[MAX_RUNS];
	int count;
};

static bool ended_so(const struct runs *runs, const char *line)
{
	int i;

	for (i = 0; i < runs->count; i++)
		if (!strcmp(line_of(&runs->r[i], name_of(line)), line))
			return true;
	return false;
}

/* How many tests ended in no run with the module as in one without it? */
static int different(const struct runs *alone, const struct runs *with)
{
	int i, j, count = 0;

	for (i = 0; i < alone->r[0].count; i++) {
		const char *name = name_of(alone->r[0].line[i]);
		bool same = strstr(name, "inotify_delete");

		for (j = 0; j < with->count; j++)
			same |= ended_so(alone, line_of(&with->r[j], name));
		if (same)
			continue;
		note("of %d without the module: '%s'; of %d with it: '%s'",
		     alone->count, alone->r[0].line[i], with->count,
		     line_of(&with->r[0], name));
		count++;
	}
	return count;
}

/*
 * Whatever is not about inotify ends as it does without the module. Some tests
 * wait for 50 MB to be read, and not for long: on a busy machine they end in
 * one way or the other, with and without the module, and a run may find what the
 * one before it left. So if there's a difference, it must be there in four runs of
 * each to be the module's, and neither kind always follows the other.
 */
static void others_the_same(void)
{
	static struct runs alone = { .count = 1 }, with = { .count = 1 };
	long end = now_ms() + MORE_RUNS_MS;
	int count;

	results(&alone.r[0], false);
	results(&with.r[0], true);
	while (different(&alone, &with)) {
		count = alone.count + with.count;
		if (count == 2 * MAX_RUNS)
			fail("tests end differently with the module");
		if (now_ms() > end)
			skip("this machine is too busy to tell what differs");
		/* alone, with, with, alone, and so again */
		if (count % 4 == 0 || count % 4 == 3) {
			run(&alone.r[alone.count++], SILENCE_MS);
		} else {
			load("");
			run(&with.r[with.count++], DEADLINE_MS);
			unload();
		}
	}
}

const struct kdn_test tests[] = {
	{ "inotify_alone", inotify_alone },
	{ "inotify_with_module", inotify_with_module },
	{ "others_the_same", others_the_same },
	{ }
};
