/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the test programs share.
 *
 * A program is a table of tests. Each test runs in a process of its own, with
 * its own mount namespace, and ends there as soon as something is not as it
 * should be: no helper returns an error unless its name begins with try_. What
 * a test leaves behind (processes, modules, cgroups, mounts) is removed after
 * it, so tests don't clean up.
 */
#ifndef KDN_H
#define KDN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdnoreturn.h>
#include <sys/inotify.h>
#include <sys/types.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define MODULE		"kernfs_delete_notify"
#define STATUS_DIR	"/sys/kernel/" MODULE
#define CGROUPS		"/sys/fs/cgroup"
#define DEVICES		"/sys/devices/virtual/misc/kdn_test"
#define LEAVES		"/sys/kernel/kdn_test/leaves"
#define DIRECTORIES	"/sys/kernel/kdn_test/dir"
#define KPROBES		"/sys/kernel/debug/kprobes/enabled"

/* What a watcher reads of a removal, whatever else its mask asks for */
#define GONE		"DELETE_SELF IGNORED"

/*
 * How long to wait for what must come, which only ends a test that hangs, and how
 * long to listen to silence; on a slow kernel, 'kdn.slow=N', N times as long.
 * SOON_MS is less than the two seconds that doc/operating.md promises, so that a
 * second lost in the worker shows. Measure it with granted_ms().
 */
#define DEADLINE_MS	(30000L * slowness())
#define QUIET_MS	(150 * slowness())
#define SOON_MS		(800L * slowness())

/* The table that a program has; its end is an entry without a name. */
struct kdn_test {
	const char *name;
	void (*run)(void);
};

extern const struct kdn_test tests[];

/*
 * The process of a test, for the program that runs them: start() runs a
 * function in one, and clean_up() removes what it left behind, also all
 * modules. How it ends is as in kselftest; why it failed or was skipped is in
 * 'reason' then, REASON_SIZE bytes of memory that share() gives.
 */
#define REASON_SIZE	200

enum { PASS = 0, FAIL = 1, SKIP = 4 };

extern char *reason;

void *share(size_t size);
pid_t start(void (*run)(void));
void clean_up(pid_t test);

/* note() prints a remark; fail() and skip() end the test, with the reason. */
[[gnu::format(printf, 1, 2)]] void note(const char *format, ...);
[[gnu::format(printf, 1, 2)]] noreturn void fail(const char *format, ...);
[[gnu::format(printf, 1, 2)]] noreturn void skip(const char *format, ...);

/* Wait until the condition is true; fail if that takes too long. */
#define WAIT_FOR(condition)						\
	do {								\
		long deadline = now_ms() + DEADLINE_MS;			\
									\
		while (!(condition))					\
			wait_a_little(deadline, #condition);		\
	} while (0)

int slowness(void);
long now_ms(void);
void wait_a_little(long deadline, const char *what);

/*
 * A clock that stands still while the machine is too busy to run the guest, for
 * bounds on time that mean the module and not the load. A process sleeps 10 ms on
 * one CPU after the other, and each time counts as 10 ms, however late it wakes up.
 * The first call starts it: the process is in the cgroup and the namespaces that
 * the test is in then.
 */
long granted_ms(void);

/*
 * Processes: spawn() runs a function in a child; end_of() waits for its end.
 * run_on() moves the caller to that CPU, if it is there.
 */
pid_t spawn(void (*run)(void *), void *argument);
void end_of(pid_t pid);
bool ended(pid_t pid);
void run_on(int cpu);

/*
 * Files: text() makes a path, or another string, that nobody has to free.
 * exists() looks a path up; listed() reads the directory instead, as a lookup
 * may have the kernel notice that a file is gone. file_has() looks for a line
 * with both texts.
 */
[[gnu::format(printf, 1, 2)]] char *text(const char *format, ...);
char *get(const char *path);
void put(const char *path, const char *value);
int try_put(const char *path, const char *value);
int hold_open(const char *path);
int hold_dir_open(const char *path);
bool exists(const char *path);
bool listed(const char *path);
bool file_has(const char *path, const char *a, const char *b);
void make_dir(const char *path);
void remove_dir(const char *path);
void mount_at(const char *dir, const char *type, const char *options);

/*
 * Watches. instance() is a new inotify instance, watch() adds a watch there.
 * expect() and expect_all() say what is to come next, verify() waits for it,
 * listens whether more comes, and compares, for each watch the whole list: the
 * names of the events with spaces between. A watch of which nothing was said
 * is to be silent. Alternatives are separated by ' or '. After verify(), all
 * are expected to be silent again. listen_for() reads until nothing has come
 * for so long; collect() does so when all has come that is expected. verify_within()
 * is verify(), but all must have come MS after BEGIN, by granted_ms(); verify_soon()
 * allows soon_ms().
 */
struct watch {
	int inst, wd;
	const char *path;
	const char *expected;
	char got[128];
	bool check_gone;	/* at each event: does the path give ENOENT? */
};

extern struct watch watches[];
extern int watch_count;

int instance(void);
struct watch *watch(int inst, const char *path, unsigned int mask);
struct watch *try_watch(int inst, const char *path, unsigned int mask);
void expect(struct watch *w, const char *events);
void expect_all(const char *events);
void listen_for(int silence_ms);
void collect(void);
void verify(void);
void verify_within(long begin, long ms);
void verify_soon(long begin);

/* All are told now that what they watch is gone. */
static inline void verify_all_gone(void)
{
	expect_all(GONE);
	verify();
}

/*
 * Modules: load() and unload() are for the module under test, and status() for
 * its files. load_devices() and control() are for kdn_test.ko, which tells what
 * its control files do. hang_removal() has a child read a file that blocks and
 * another child remove it, by writing N to a control file: the removal hangs
 * until finish_removal().
 */
int try_load(const char *module, const char *parameters);
int try_unload(const char *module);
void load(const char *parameters);
void unload(void);
unsigned long status(const char *name);
/*
 * How long a watcher may wait whom others keep waiting: SOON_MS; with native support a
 * second more, for which the module leaves a file to the kernel if a lookup during its
 * removal has dropped its dentry.
 */
long soon_ms(void);
/* With native support the kernel may have told all that was lost by itself. */
bool lost_and_found(void);
void load_devices(void);
void control(const char *file, int n);
pid_t hang_removal(const char *path, const char *file, int n);
void finish_removal(pid_t remover);

/*
 * Drop all dentries that are not in use. One request is not enough: kernfs has
 * the kernel leave its own alone at first, and each that was looked up again
 * is given another chance. The kernel may leave the last one of a superblock: look
 * another file up there after the one whose dentry is to go.
 */
void drop_caches(void);

/* 'make check-long': is there time for the whole work, not just a part of it? */
bool long_run(void);

/* The kernel's log since log_mark(): is there a line with all of these? */
int log_mark(void);
bool log_has(int mark, const char *a, const char *b, const char *c);

/*
 * A new cgroup, below one for the tests that has the memory and pids controllers
 * on. A test that uses files of theirs says so, to be skipped where they aren't.
 */
char *new_cgroup(const char *name);
void need_controllers(void);

/* Does this kernel send events of its own? To be asked without the module. */
bool kernel_is_native(void);

/* A network namespace that only its descriptors hold, and a sysfs in it */
struct netns {
	int fd, socket;
	const char *sysfs;
};

struct netns netns_make(const char *name);
void netns_rename_lo(struct netns *ns, const char *name);
void netns_end(struct netns *ns);

#endif
