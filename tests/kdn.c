// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the test programs share, see kdn.h.
 */
#define _GNU_SOURCE
#include "kdn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TEST_SECONDS	300
#define LONG_SECONDS	3600
#define TOP_CGROUP	CGROUPS "/kdn"
#define MAX_WATCHES	8192
#define TICK_MS		10

char *reason;

void note(const char *format, ...)
{
	va_list args;

	fputs("# ", stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, REASON_SIZE, format, args);
	note("%s", reason);
	_exit(FAIL);
}

void skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, REASON_SIZE, format, args);
	_exit(SKIP);
}

int slowness(void)
{
	static int factor;
	const char *word;

	if (!factor) {
		word = strstr(get("/proc/cmdline"), "kdn.slow=");
		factor = word ? atoi(strchr(word, '=') + 1) : 1;
	}
	return factor;
}

long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000L + t.tv_nsec / 1000000;
}

void wait_a_little(long deadline, const char *what)
{
	if (now_ms() > deadline)
		fail("waited too long for this: %s", what);
	poll(NULL, 0, 5);
}

/* What the caller has open, and closes later, this one must not hold. */
static void tick(void *ticks)
{
	int cpus = sysconf(_SC_NPROCESSORS_ONLN), cpu = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close_range(3, ~0U, 0);
	for (;;) {
		run_on(cpu = (cpu + 1) % cpus);
		poll(NULL, 0, TICK_MS);
		atomic_fetch_add((atomic_long *)ticks, 1);
	}
}

long granted_ms(void)
{
	static atomic_long *ticks;

	if (!ticks) {
		ticks = share(sizeof(*ticks));
		spawn(tick, ticks);
		WAIT_FOR(*ticks);
	}
	return *ticks * TICK_MS;
}

/* Processes */

pid_t spawn(void (*run)(void *), void *argument)
{
	pid_t pid = fork();

	if (pid < 0)
		fail("fork: %m");
	if (pid == 0) {
		run(argument);
		_exit(PASS);
	}
	return pid;
}

static bool reap(pid_t pid, int flags)
{
	int child_status;
	pid_t reaped = waitpid(pid, &child_status, flags);

	if (reaped < 0)
		fail("waiting for a child: %m");
	if (reaped && child_status)
		fail("a child of the test failed");
	return reaped;
}

void end_of(pid_t pid)
{
	reap(pid, 0);
}

bool ended(pid_t pid)
{
	return reap(pid, WNOHANG);
}

void run_on(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

/* Files */

char *text(const char *format, ...)
{
	va_list args;
	char *string;

	va_start(args, format);
	if (vasprintf(&string, format, args) < 0)
		abort();
	va_end(args);
	return string;
}

char *get(const char *path)
{
	char value[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, value, sizeof(value) - 1);

	if (n < 0)
		fail("%s can't be read: %m", path);
	close(fd);
	value[n] = 0;
	value[strcspn(value, "\n")] = 0;
	return strdup(value);
}

int try_put(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

void put(const char *path, const char *value)
{
	int err = try_put(path, value);

	if (err)
		fail("writing '%s' to %s: %s", value, path, strerror(-err));
}

int hold_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char c;

	if (fd < 0 || read(fd, &c, 1) != 1)
		fail("%s can't be read: %m", path);
	return fd;
}

int hold_dir_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		fail("%s can't be opened: %m", path);
	return fd;
}

bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

bool listed(const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	DIR *dir = opendir(text("%.*s", (int)(name - path), path));
	struct dirent *entry;

	if (!dir && errno == ENOENT)
		return false;
	if (!dir)
		fail("the directory of %s can't be read: %m", path);
	while ((entry = readdir(dir)))
		if (!strcmp(entry->d_name, name))
			break;
	closedir(dir);
	return entry;
}

bool file_has(const char *path, const char *a, const char *b)
{
	FILE *file = fopen(path, "re");
	bool found = false;
	char line[1024];

	if (!file)
		fail("%s: %m", path);
	while (!found && fgets(line, sizeof(line), file))
		found = strstr(line, a) && strstr(line, b);
	fclose(file);
	return found;
}

void make_dir(const char *path)
{
	if (mkdir(path, 0755))
		fail("mkdir %s: %m", path);
}

void remove_dir(const char *path)
{
	if (rmdir(path))
		fail("rmdir %s: %m", path);
}

void mount_at(const char *dir, const char *type, const char *options)
{
	mkdir(dir, 0755);
	if (mount(type, dir, type, 0, options))
		fail("mounting a %s on %s: %m", type, dir);
}

/* Watches */

struct watch watches[MAX_WATCHES];
int watch_count;

static const struct {
	unsigned int bit;
	const char *name;
} event_names[] = {
	{ IN_ACCESS,		"ACCESS" },
	{ IN_MODIFY,		"MODIFY" },
	{ IN_ATTRIB,		"ATTRIB" },
	{ IN_CLOSE_WRITE,	"CLOSE_WRITE" },
	{ IN_CLOSE_NOWRITE,	"CLOSE_NOWRITE" },
	{ IN_OPEN,		"OPEN" },
	{ IN_MOVED_FROM,	"MOVED_FROM" },
	{ IN_MOVED_TO,		"MOVED_TO" },
	{ IN_CREATE,		"CREATE" },
	{ IN_DELETE,		"DELETE" },
	{ IN_DELETE_SELF,	"DELETE_SELF" },
	{ IN_MOVE_SELF,		"MOVE_SELF" },
	{ IN_UNMOUNT,		"UNMOUNT" },
	{ IN_Q_OVERFLOW,	"Q_OVERFLOW" },
	{ IN_IGNORED,		"IGNORED" },
	{ IN_ISDIR,		"ISDIR" },
};

int instance(void)
{
	int inst = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (inst < 0)
		fail("inotify_init1: %m");
	return inst;
}

static struct watch *find_watch(int inst, int wd)
{
	static int last;
	int i;

	/* Events come in about the order of the watches. */
	for (i = 0; i < watch_count; i++, last++) {
		if (last >= watch_count)
			last = 0;
		if (watches[last].inst == inst && watches[last].wd == wd)
			return &watches[last];
	}
	return NULL;
}

/* NULL if there's nothing to watch; for one that is watched, the same again */
struct watch *try_watch(int inst, const char *path, unsigned int mask)
{
	struct watch *w;
	int wd = inotify_add_watch(inst, path, mask);

	if (wd < 0 && (errno == ENOENT || errno == ENODEV))
		return NULL;
	if (wd < 0)
		fail("%s can't be watched: %m", path);
	w = find_watch(inst, wd);
	if (w)
		return w;
	if (watch_count == MAX_WATCHES)
		fail("too many watches");
	w = &watches[watch_count++];
	*w = (struct watch){ .inst = inst, .wd = wd, .expected = "" };
	w->path = strdup(path);
	return w;
}

struct watch *watch(int inst, const char *path, unsigned int mask)
{
	struct watch *w = try_watch(inst, path, mask);

	if (!w)
		fail("%s can't be watched: %m", path);
	return w;
}

void expect(struct watch *w, const char *events)
{
	w->expected = events;
}

void expect_all(const char *events)
{
	int i;

	for (i = 0; i < watch_count; i++)
		expect(&watches[i], events);
}

/* Add one event, as text, to those that the watch has got. */
static void add_event(struct watch *w, const struct inotify_event *event)
{
	size_t used = strlen(w->got), n = 0, i;
	char name[200] = "";

	for (i = 0; i < ARRAY_SIZE(event_names); i++)
		if (event->mask & event_names[i].bit)
			n += snprintf(name + n, sizeof(name) - n, "%s%s",
				      n ? "|" : "", event_names[i].name);
	/* On RHEL 8, a file's own IN_MODIFY has its name, as its directory's has. */
	if (event->len && strcmp(event->name, strrchr(w->path, '/') + 1))
		snprintf(name + n, sizeof(name) - n, ":%.60s", event->name);
	/* What does not fit is more than any test expects. */
	snprintf(w->got + used, sizeof(w->got) - used, "%s%s",
		 used ? " " : "", name);
}

/* A watcher that looks on the event finds nothing, and nothing to watch. */
static void look(struct watch *w, const struct inotify_event *event)
{
	if (!(event->mask & (IN_DELETE_SELF | IN_IGNORED)))
		return;
	if (exists(w->path) || errno != ENOENT)
		fail("%s: at %s, the path is still there", w->path, w->got);
	if (inotify_add_watch(w->inst, w->path, IN_ALL_EVENTS) >= 0 ||
	    errno != ENOENT)
		fail("%s: at %s, it can still be watched", w->path, w->got);
}

static void read_events(int inst)
{
	union {
		struct inotify_event event;
		char bytes[16384];
	} buffer;
	ssize_t n, i;

	while ((n = read(inst, &buffer, sizeof(buffer))) > 0) {
		const struct inotify_event *event;

		for (i = 0; i < n; i += sizeof(*event) + event->len) {
			struct watch *w;

			event = (const void *)(buffer.bytes + i);
			w = find_watch(inst, event->wd);
			if (!w)
				fail("an event of no watch: wd %d, mask %x",
				     event->wd, event->mask);
			add_event(w, event);
			if (w->check_gone)
				look(w, event);
		}
	}
	if (n < 0 && errno != EAGAIN)
		fail("reading an inotify instance: %m");
}

/* Is what has come one of the lists expected? */
static bool as_expected(const struct watch *w)
{
	size_t length = strlen(w->got);
	const char *list = w->expected, *end;

	for (;; list = end + strlen(" or ")) {
		end = strstr(list, " or ");
		if (!end)
			return !strcmp(list, w->got);
		if ((size_t)(end - list) == length &&
		    !strncmp(list, w->got, length))
			return true;
	}
}

/* Fill in the inotify instances to poll; return their number. */
static int list_instances(struct pollfd *polls, int room)
{
	int i, j, n = 0;

	for (i = 0; i < watch_count; i++) {
		for (j = 0; j < n && polls[j].fd != watches[i].inst; j++)
			;
		if (j == room)
			fail("too many inotify instances");
		polls[j] = (struct pollfd){ watches[i].inst, POLLIN, 0 };
		n += j == n;
	}
	return n;
}

void listen_for(int silence_ms)
{
	long deadline = now_ms() + silence_ms + DEADLINE_MS;
	struct pollfd polls[64];
	int n = list_instances(polls, ARRAY_SIZE(polls));
	int i;

	while (poll(polls, n, silence_ms)) {
		for (i = 0; i < n; i++)
			read_events(polls[i].fd);
		if (now_ms() > deadline)
			fail("the events never end");
	}
}

/* Read all instances until every watch has what is expected, or for too long. */
static void await_expected(void)
{
	long deadline = now_ms() + DEADLINE_MS, left;
	struct pollfd polls[64];
	int n = list_instances(polls, ARRAY_SIZE(polls));
	int done = 0, i;

	for (;;) {
		while (done < watch_count && as_expected(&watches[done]))
			done++;
		left = deadline - now_ms();
		if (done == watch_count || left <= 0)
			break;
		poll(polls, n, left);
		for (i = 0; i < n; i++)
			read_events(polls[i].fd);
	}
}

void collect(void)
{
	await_expected();
	listen_for(QUIET_MS);
}

static void compare(void)
{
	int wrong = 0, i;

	for (i = 0; i < watch_count; i++) {
		struct watch *w = &watches[i];

		if (!as_expected(w) && ++wrong <= 10)
			note("%s: expected '%s', read '%s'", w->path,
			     w->expected, w->got);
		w->got[0] = 0;
		w->expected = "";
	}
	if (wrong)
		fail("%d of %d watches got other events than expected", wrong,
		     watch_count);
}

void verify(void)
{
	collect();
	compare();
}

void verify_within(long begin, long ms)
{
	long took;

	await_expected();
	took = granted_ms() - begin;
	listen_for(QUIET_MS);
	compare();
	note("told after %ld ms", took);
	if (took > ms)
		fail("told after %ld ms, %ld are allowed", took, ms);
}

void verify_soon(long begin)
{
	verify_within(begin, soon_ms());
}

/* Modules */

int try_load(const char *module, const char *parameters)
{
	char *path = text("/modules/%s.ko", module);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		fail("%s: %m", path);
	if (syscall(SYS_finit_module, fd, parameters, 0))
		err = -errno;
	close(fd);
	return err;
}

int try_unload(const char *module)
{
	return syscall(SYS_delete_module, module, 0) ? -errno : 0;
}

void load(const char *parameters)
{
	int err = try_load(MODULE, parameters);

	if (err)
		fail("insmod with '%s': %s", parameters, strerror(-err));
}

void unload(void)
{
	int err = try_unload(MODULE);

	if (err)
		fail("rmmod: %s", strerror(-err));
}

unsigned long status(const char *name)
{
	char *value = get(text(STATUS_DIR "/%s", name)), *end;
	unsigned long n = strtoul(value, &end, 10);

	if (end == value || *end)
		fail("%s says '%s', not a number", name, value);
	return n;
}

long soon_ms(void)
{
	return SOON_MS + (status("native") ? 1000 : 0);
}

bool lost_and_found(void)
{
	return status("overflows") && (status("native") || status("resync_found"));
}

void load_devices(void)
{
	int err = try_load("kdn_test", "");

	if (err)
		fail("insmod of kdn_test.ko: %s", strerror(-err));
}

void control(const char *file, int n)
{
	put(text("/sys/kernel/kdn_test/%s", file), text("%d", n));
}

/* What the test has open, and closes later, these two are not to hold. */
static void read_it(void *path)
{
	close_range(3, ~0U, 0);
	get(path);
}

struct removal {
	const char *file;
	int n;
};

static void remove_it(void *removal)
{
	const struct removal *r = removal;

	close_range(3, ~0U, 0);
	control(r->file, r->n);
}

pid_t hang_removal(const char *path, const char *file, int n)
{
	struct removal removal = { file, n };
	pid_t remover;

	spawn(read_it, (void *)path);
	WAIT_FOR(!strcmp(get("/sys/kernel/kdn_test/release"), "1"));
	remover = spawn(remove_it, &removal);
	WAIT_FOR(!listed(path));
	return remover;
}

void finish_removal(pid_t remover)
{
	control("release", 0);
	end_of(remover);
}

/* The kernel's caches and log */

static long unused_dentries(void)
{
	char *numbers = get("/proc/sys/fs/dentry-state");

	return strtol(numbers + strcspn(numbers, "\t"), NULL, 10);
}

void drop_caches(void)
{
	long least, left;
	int i;

	if (!exists("/proc/sys/vm/drop_caches"))
		skip("no /proc/sys/vm/drop_caches: CONFIG_PROC_SYSCTL");
	least = unused_dentries();
	for (i = 0; i < 8; i++) {
		put("/proc/sys/vm/drop_caches", "2");
		left = unused_dentries();
		if (left < least) {
			least = left;
			i = 0;
		}
	}
}

bool long_run(void)
{
	return strstr(get("/proc/cmdline"), "kdn.long");
}

int log_mark(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || lseek(fd, 0, SEEK_END) < 0)
		fail("/dev/kmsg: %m");
	return fd;
}

bool log_has(int mark, const char *a, const char *b, const char *c)
{
	char line[8192];
	ssize_t n;

	while ((n = read(mark, line, sizeof(line) - 1)) > 0) {
		line[n] = 0;
		if (strstr(line, a) && strstr(line, b) && strstr(line, c))
			return true;
		note("in the log: %.*s", (int)strcspn(line, "\n"), line);
	}
	note("no line in the log has '%s', '%s' and '%s'", a, b, c);
	return false;
}

/* cgroups and namespaces */

static const struct {
	const char *name, *on, *option;
} controllers[] = {
	{ "memory", "+memory", "CONFIG_MEMCG" },
	{ "pids", "+pids", "CONFIG_CGROUP_PIDS" },
};

static bool has_controller(const char *name)
{
	char *list = get(CGROUPS "/cgroup.controllers"), *word;

	while ((word = strsep(&list, " ")))
		if (!strcmp(word, name))
			return true;
	return false;
}

void need_controllers(void)
{
	size_t i;

	if (!exists(CGROUPS "/cgroup.controllers"))
		skip("no cgroup2: CONFIG_CGROUPS");
	for (i = 0; i < ARRAY_SIZE(controllers); i++)
		if (!has_controller(controllers[i].name))
			skip("no %s controller: %s", controllers[i].name,
			     controllers[i].option);
}

char *new_cgroup(const char *name)
{
	char *path = text(TOP_CGROUP "/%s", name);
	size_t i;

	if (!exists(CGROUPS "/cgroup.controllers"))
		skip("no cgroup2: CONFIG_CGROUPS");
	if (!exists(TOP_CGROUP)) {
		make_dir(TOP_CGROUP);
		for (i = 0; i < ARRAY_SIZE(controllers); i++) {
			if (!has_controller(controllers[i].name))
				continue;
			put(CGROUPS "/cgroup.subtree_control",
			    controllers[i].on);
			put(TOP_CGROUP "/cgroup.subtree_control",
			    controllers[i].on);
		}
	}
	make_dir(path);
	return path;
}

bool kernel_is_native(void)
{
	char *dir = new_cgroup("native");
	struct pollfd p = { .fd = instance(), .events = POLLIN };

	if (exists(STATUS_DIR))
		fail("the module is loaded, the kernel can't be heard alone");
	if (inotify_add_watch(p.fd, text("%s/cgroup.events", dir),
			      IN_DELETE_SELF) < 0)
		fail("%s/cgroup.events can't be watched: %m", dir);
	remove_dir(dir);
	poll(&p, 1, 2 * QUIET_MS);
	close(p.fd);
	return p.revents & POLLIN;
}

struct netns netns_make(const char *name)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct netns ns = { .sysfs = text("/tmp/%s", name) };

	if (home < 0 || unshare(CLONE_NEWNET))
		skip("no network namespaces: CONFIG_NET_NS");
	mount_at(ns.sysfs, "sysfs", "");
	ns.fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	ns.socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ns.fd < 0 || ns.socket < 0 || setns(home, CLONE_NEWNET))
		fail("setting up a network namespace: %m");
	close(home);
	return ns;
}

void netns_rename_lo(struct netns *ns, const char *name)
{
	struct ifreq ifr = { .ifr_name = "lo" };

	snprintf(ifr.ifr_newname, sizeof(ifr.ifr_newname), "%s", name);
	if (ioctl(ns->socket, SIOCSIFNAME, &ifr))
		fail("renaming lo to %s: %m", name);
}

void netns_end(struct netns *ns)
{
	close(ns->socket);
	close(ns->fd);
}

/* The processes of the tests */

static int remove_entry(const char *path, const struct stat *st, int type,
			struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type == FTW_DP)
		rmdir(path);
	return 0;
}

void *share(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

pid_t start(void (*run)(void))
{
	pid_t pid;

	/* The processes that a test leaves behind are for us to wait for. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid = fork();
	if (pid)
		return pid;
	setpgid(0, 0);
	alarm((long_run() ? LONG_SECONDS : TEST_SECONDS) * slowness());
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		fail("a mount namespace: %m");
	run();
	_exit(PASS);
}

/* Undo what a test may have switched; while memory fails, that takes a while. */
static void put_back(const char *path, const char *value)
{
	int tries = 100;

	while (tries-- && exists(path) && try_put(path, value))
		;
}

void clean_up(pid_t test)
{
	kill(-test, SIGKILL);
	while (waitpid(-test, NULL, 0) > 0)
		;
	put_back(KPROBES, "1");
	put_back("/proc/sys/kernel/ftrace_enabled", "1");
	put_back("/proc/sys/kernel/printk", "7");
	put_back("/sys/kernel/debug/failslab/probability", "0");
	put_back("/sys/kernel/debug/fail_page_alloc/probability", "0");
	try_unload(MODULE);
	try_unload("kdn_test");
	try_unload("kdn_delay");
	try_unload("kdn_probe");
	nftw(TOP_CGROUP, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
