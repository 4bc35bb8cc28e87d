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

#include <dirent.h>
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
#define LINE		160

/* A run takes 25 s in an emulated guest, and more on a busy machine. */
#define RUN_SECONDS	110

/* How long a watcher has to wait until it's said that nothing comes */
#define SILENCE_MS	1000

/* How each test ended: 'not ok 3 test_memcg_min' */
struct results {
	char line[MAX_TESTS][LINE];
	int count;
};

/* The disk and the swap */

/*
 * An empty Minix file system: block 1 is the superblock, 2 and 3 the maps of
 * inodes and zones, 4 the inodes, of which the root directory's is the first,
 * and 5 its entries.
 */
static void format_disk(void)
{
	static const struct {
		uint16_t inodes, zones, inode_maps, zone_maps, first_zone;
		uint16_t zone_shift;
		uint32_t max_size;
		uint16_t magic, state;
	} super = { 32, 1024, 1, 1, 5, 0, 256 << 20, 0x137f, 1 };
	static const struct {
		uint16_t mode, uid;
		uint32_t size, time;
		uint8_t gid, links;
		uint16_t zones[9];
	} top = { .mode = S_IFDIR | 0755, .size = 32, .links = 2, .zones = { 5 } };
	static const struct {
		uint16_t inode;
		char name[14];
	} dots[] = { { 1, "." }, { 1, ".." } };
	char blocks[6][1024] = { };
	int fd = open(DISK, O_WRONLY | O_CLOEXEC);

	memcpy(blocks[1], &super, sizeof(super));
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
		skip("no ramdisks: brd.ko is not with this kernel");
	format_disk();
	mkdir(MOUNTED, 0755);
	if (mount(DISK, MOUNTED, "minix", 0, NULL))
		fail("mounting %s: %m", DISK);
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
 * The program waits for its events for ever. Take the watch away from under
 * it: it reads the IN_IGNORED of that, which is not what it wants, and goes on.
 */
static void end_wait(pid_t pid)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	DIR *dir = opendir(text("/proc/%d/fdinfo", pid));
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char *path = text("/proc/%d/fdinfo/%s", pid, entry->d_name);
		FILE *file = fopen(path, "re");
		char line[256];
		int wd, fd;

		while (file && fgets(line, sizeof(line), file)) {
			if (sscanf(line, "inotify wd:%x", &wd) != 1)
				continue;
			fd = syscall(SYS_pidfd_getfd, pidfd,
				     atoi(entry->d_name), 0);
			if (fd < 0 || inotify_rm_watch(fd, wd))
				fail("removing the program's watch: %m");
			note("nothing came, its watch was removed");
			close(fd);
		}
		if (file)
			fclose(file);
	}
	if (dir)
		closedir(dir);
	close(pidfd);
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

	alarm(RUN_SECONDS);
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

/*
 * Whatever is not about inotify ends as it does without the module. Many of
 * these tests measure how much memory is used, and may end in one way or the
 * other by themselves: if there's a difference, a second run without the module
 * tells which do that here.
 */
static void others_the_same(void)
{
	struct results alone, with, again = { .count = 0 };
	int i, wrong = 0;

	results(&alone, false);
	results(&with, true);
	for (i = 0; i < alone.count; i++) {
		const char *name = name_of(alone.line[i]);

		if (strstr(name, "inotify_delete") ||
		    !strcmp(alone.line[i], line_of(&with, name)))
			continue;
		note("without: %s; with: %s", alone.line[i],
		     line_of(&with, name));
		if (!again.count)
			run(&again, SILENCE_MS);
		if (strcmp(alone.line[i], line_of(&again, name)))
			note("it varies without the module, too");
		else
			wrong++;
	}
	if (wrong)
		fail("%d tests end differently with the module", wrong);
}

const struct kdn_test tests[] = {
	{ "inotify_alone", inotify_alone },
	{ "inotify_with_module", inotify_with_module },
	{ "others_the_same", others_the_same },
	{ }
};
