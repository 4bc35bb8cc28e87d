// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's init: runs the test programs one after the other, says on a
 * serial port what they say, and reboots.
 *
 * From the kernel's command line:
 *
 *	kdn.tests=A,B:T	run only these programs of /tests; of B, only
 *			the test T, that is, run it with the argument T
 *	kdn.timeout=S	how long one program may take (1200)
 *	kdn.long	for the tests: they may take longer
 *	kdn.slow=N	this kernel is slow: all deadlines N times as far away
 *	kdn.verdict=TTY	the port to write to (ttyS1)
 *	panic_on_warn=0	go on after a warning; the default here is 1
 *
 * The lines on the port, NAME being a program's name:
 *
 *	NAME|TEXT	a line that the program printed
 *	NAME!STATUS	it ended: the exit status, 'signal N' or 'timeout'
 *	NAME*TEXT	it left that behind
 *	NAME?TEXT	after that, a line of the report of kmemleak
 *	#TEXT		a remark
 *	end N		all is done, N programs were run
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define MODULE		"kernfs_delete_notify"
#define TESTS		"/tests/"
#define MAX_ARGS	32
#define KMEMLEAK	"/sys/kernel/debug/kmemleak"
#define PANIC_ON_WARN	"/proc/sys/kernel/panic_on_warn"
#define WATCHDOG	"/proc/sys/kernel/watchdog_thresh"
#define RCU_WATCHDOG	"/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout"
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#ifndef SYS_pidfd_open
#define SYS_pidfd_open	434
#endif

/* kmemleak does not call anything younger a leak. */
#define LEAK_AGE_MS	5500

/* What can't be killed in this time is stuck in the kernel. */
#define KILL_MS		30000

static const struct {
	const char *type, *dir;
} mounts[] = {
	{ "proc", "/proc" },
	{ "sysfs", "/sys" },
	{ "devtmpfs", "/dev" },
	{ "tmpfs", "/tmp" },
	{ "cgroup2", "/sys/fs/cgroup" },
	{ "debugfs", "/sys/kernel/debug" },
	{ NULL, NULL }
};

static FILE *port;

/* A line goes out at once: the guest may not live to write the next one. */
[[gnu::format(printf, 1, 2)]] static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(port, format, args);
	va_end(args);
	fputc('\n', port);
	fflush(port);
}

static void mount_all(void)
{
	int i;

	for (i = 0; mounts[i].type; i++) {
		mkdir(mounts[i].dir, 0755);
		mount(mounts[i].type, mounts[i].dir, mounts[i].type, 0, NULL);
	}
}

static void open_port(const char *tty)
{
	struct termios raw;
	char path[64];

	snprintf(path, sizeof(path), "/dev/%s", tty);
	port = fopen(path, "we");
	if (!port) {
		port = fopen("/dev/console", "we");
		if (!port)
			port = stdout;
		say("#no %s: %s", path, strerror(errno));
		return;
	}
	if (tcgetattr(fileno(port), &raw) == 0) {
		cfmakeraw(&raw);
		tcsetattr(fileno(port), TCSANOW, &raw);
	}
}

/* The value of NAME= on the kernel's command line, or what else is given. */
static const char *argument(const char *name, const char *otherwise)
{
	static char line[4096];
	char *words, *word;
	size_t length = strlen(name);
	FILE *file = fopen("/proc/cmdline", "re");

	if (!file || !fgets(line, sizeof(line), file))
		line[0] = 0;
	if (file)
		fclose(file);
	words = strdup(line);
	while ((word = strsep(&words, "\n ")))
		if (!strncmp(word, name, length) && word[length] == '=')
			return word + length + 1;
	return otherwise;
}

/* Split TEXT at MARKS into LIST, which ends with a NULL. */
static void split(const char *text, const char *marks, char **list)
{
	char *words = strdup(text);
	char *word;
	int n = 0;

	while (n < MAX_ARGS - 1 && (word = strsep(&words, marks)))
		if (*word)
			list[n++] = word;
	list[n] = NULL;
}

/*
 * Is the program of the list to run?  ARGV gets its name and the tests that
 * belong to it there; no list is one of all programs.
 */
static bool chosen(char *name, char **list, char **argv)
{
	bool found = !list[0];
	int i, j, n = 0;

	argv[n++] = name;
	for (i = 0; list[i]; i++) {
		char *entry[MAX_ARGS];

		split(list[i], ":", entry);
		if (strcmp(entry[0], name))
			continue;
		found = true;
		for (j = 1; entry[j] && n < MAX_ARGS - 1; j++)
			argv[n++] = entry[j];
	}
	argv[n] = NULL;
	return found;
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000L + t.tv_nsec / 1000000;
}

/* Kill all that is left of a program, and say so if something stays. */
static void kill_rest(const char *name)
{
	long deadline = now_ms() + KILL_MS;

	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, WNOHANG) >= 0) {
		if (now_ms() > deadline) {
			say("%s*processes that can't be killed", name);
			return;
		}
		poll(NULL, 0, 10);
	}
}

/* Every program starts without the module; they are to leave it that way. */
static void unload(const char *name)
{
	if (syscall(SYS_delete_module, MODULE, O_NONBLOCK) == 0)
		say("%s*the module, loaded", name);
	else if (errno != ENOENT)
		say("%s*the module, which can't be unloaded: %s", name,
		    strerror(errno));
}

static bool command(const char *path, const char *word)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, word, strlen(word)) > 0;

	if (fd >= 0)
		close(fd);
	return done;
}

/*
 * Where the kernel has kmemleak: what memory is nobody's any more?  The first
 * scan sees what changes, only then the second sees leaks.
 */
static void find_leaks(const char *name)
{
	char line[4096];
	FILE *report;

	if (!command(KMEMLEAK, "scan"))
		return;
	poll(NULL, 0, LEAK_AGE_MS);
	command(KMEMLEAK, "scan");
	report = fopen(KMEMLEAK, "re");
	while (report && fgets(line, sizeof(line), report))
		say("%s?%.*s", name, (int)strcspn(line, "\n"), line);
	if (report)
		fclose(report);
	command(KMEMLEAK, "clear");
}

static pid_t start(char **argv, int output)
{
	char path[256];
	pid_t pid = fork();

	if (pid)
		return pid;
	snprintf(path, sizeof(path), TESTS "%s", argv[0]);
	setsid();
	dup2(open("/dev/null", O_RDONLY), 0);
	dup2(output, 1);
	dup2(output, 2);
	execv(path, argv);
	_exit(127);
}

/* Pass the lines on that have come. Returns false at the end of all output. */
static bool pass_on(int fd, const char *name)
{
	static char line[4096];
	static size_t length;
	char c[512];
	ssize_t i, n;

	while ((n = read(fd, c, sizeof(c))) > 0) {
		for (i = 0; i < n; i++) {
			if (c[i] != '\n')
				line[length++] = c[i];
			if (c[i] == '\n' || length == sizeof(line)) {
				say("%s|%.*s", name, (int)length, line);
				length = 0;
			}
		}
	}
	if (n < 0 && errno == EAGAIN)
		return true;
	if (length)
		say("%s|%.*s", name, (int)length, line);
	length = 0;
	return false;
}

static void run(char **argv, long timeout_ms)
{
	const char *name = argv[0];
	long begin = now_ms(), deadline = begin + timeout_ms;
	struct pollfd p[2] = { { .events = POLLIN }, { .events = POLLIN } };
	int out[2], status = 0;
	bool late = false;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC)) {
		say("#%s: no pipe: %s", name, strerror(errno));
		return;
	}
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	pid = start(argv, out[1]);
	close(out[1]);
	/*
	 * The bench wants it quiet: nothing runs here until there is something. But
	 * kernels before 5.3 have no pidfd_open(): there, ask ten times a second.
	 */
	p[0].fd = syscall(SYS_pidfd_open, pid, 0);
	p[1].fd = out[0];
	while (waitpid(pid, &status, WNOHANG) == 0 && !late) {
		poll(p, ARRAY_SIZE(p), p[0].fd < 0 ? 100 : deadline - now_ms());
		if (!pass_on(out[0], name))
			p[1].fd = -1;
		late = now_ms() >= deadline;
	}
	if (p[0].fd >= 0)
		close(p[0].fd);
	kill_rest(name);
	pass_on(out[0], name);
	close(out[0]);
	if (late)
		say("%s!timeout", name);
	else if (WIFSIGNALED(status))
		say("%s!signal %d", name, WTERMSIG(status));
	else
		say("%s!%d", name, WEXITSTATUS(status));
	say("#%s took %ld ms", name, now_ms() - begin);
	unload(name);
	find_leaks(name);
}

int main(void)
{
	char *tests[MAX_ARGS], *argv[MAX_ARGS];
	struct utsname kernel;
	glob_t programs = { 0 };
	long timeout_ms;
	int count = 0;
	size_t i;

	mount_all();
	open_port(argument("kdn.verdict", "ttyS1"));
	uname(&kernel);
	say("#kernel %s", kernel.release);
	/* Not earlier: a warning of the boot is not the module's. */
	if (!command(PANIC_ON_WARN, argument("panic_on_warn", "1")))
		say("#no %s: %s", PANIC_ON_WARN, strerror(errno));
	/* A busy host may let a guest stand still for a minute: that is no hang of its. */
	command(WATCHDOG, "60");
	command(RCU_WATCHDOG, "180");
	split(argument("kdn.tests", ""), ",", tests);
	timeout_ms = 1000 * atol(argument("kdn.timeout", "1200")) *
		     atol(argument("kdn.slow", "1"));

	/* A program that is no test runs when it is named. */
	glob(tests[0] ? TESTS "*" : TESTS "test_*", 0, NULL, &programs);
	for (i = 0; i < programs.gl_pathc; i++) {
		if (!chosen(programs.gl_pathv[i] + strlen(TESTS), tests, argv))
			continue;
		run(argv, timeout_ms);
		count++;
	}
	say("end %d", count);
	tcdrain(fileno(port));
	sync();
	/* QEMU ends here; not every kernel can switch the power off. */
	reboot(RB_AUTOBOOT);
	return 1;
}
