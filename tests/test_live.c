// SPDX-License-Identifier: GPL-2.0-only
/*
 * A live kernel: CPUs come and go, and others probe, trace and patch the
 * function that the module probes, or patch a caller of it, while watched cgroups
 * and devices are removed. Nothing is lost and nothing comes twice. The slow resync
 * is off: it would make good what the probe missed.
 */
#define _GNU_SOURCE
#include "kdn.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define TURNS		5	/* of each disturbance, on and off */
#define OVERLAP		2	/* rounds of removals for each of the two */
#define ROUND		4	/* cgroups, and a device */

#define CPU1		"/sys/devices/system/cpu/cpu1/online"
#define WORKQUEUE	"/sys/devices/virtual/workqueue/" MODULE "/cpumask"
#define OPTIMIZATION	"/proc/sys/debug/kprobes-optimization"
#define KPROBE_LIST	"/sys/kernel/debug/kprobes/list"
#define TRACING		"/tmp/tracing"
#define PROBE		TRACING "/events/kprobes/kdn_live"
#define RETURN		TRACING "/events/kprobes/kdn_live_return"
#define POWER		"/sys/power"
#define PATCHES		"/sys/kernel/livepatch/"

/* What a child does to the kernel meanwhile, again and again */
struct disturbance {
	void (*on)(void);
	void (*off)(void);
	int turns;
};

static struct {
	atomic_int rounds;	/* of removals */
	atomic_int seen;	/* removals that the disturbers have seen */
} *shared;

static char *symbol;

/* How far into it the probe is, where the kernel takes none at the entry */
static int behind;

/* Removals, by the way of each CPU */

static void round_of_removals(int inst)
{
	char *dirs[ROUND];
	int i;

	run_on(shared->rounds % 2);
	control("add", 0);
	watch(inst, DEVICES "0", IN_ALL_EVENTS);
	watch(inst, DEVICES "0/value", IN_ALL_EVENTS);
	for (i = 0; i < ROUND; i++) {
		dirs[i] = new_cgroup(text("live%d", i));
		watch(inst, dirs[i], IN_ALL_EVENTS);
		watch(inst, text("%s/cgroup.events", dirs[i]), IN_ALL_EVENTS);
		watch(inst, text("%s/cgroup.procs", dirs[i]), IN_ALL_EVENTS);
	}
	for (i = 0; i < ROUND; i++)
		remove_dir(dirs[i]);
	control("del", 0);
	shared->rounds++;
	/* The queue of events has its limits, and so has the table. */
	listen_for(0);
	if (watch_count > 4000) {
		verify_all_gone();
		watch_count = 0;
	}
}

static void some_rounds(void)
{
	int until = shared->rounds + OVERLAP;

	while (shared->rounds < until)
		poll(NULL, 0, 1);
}

static void disturb(void *disturbance)
{
	const struct disturbance *d = disturbance;
	int i;

	for (i = 0; i < d->turns; i++) {
		d->on();
		some_rounds();
		d->off();
		some_rounds();
	}
}

static void begin(void)
{
	shared = share(sizeof(*shared));
	load_devices();
	load("resync_seconds=0");
	symbol = get(STATUS_DIR "/symbol");
	behind = exists(KPROBE_LIST) &&
		 file_has(KPROBE_LIST, text("%s+0x8 ", symbol), "") ? 8 : 0;
}

static void remove_under(const struct disturbance *d)
{
	int inst = instance(), watched;
	pid_t pid = spawn(disturb, (void *)d);

	while (!ended(pid))
		round_of_removals(inst);
	verify_all_gone();
	watch_count = 0;
	watched = shared->rounds * (3 * ROUND + 2);
	note("%d turns, %d removals watched, missed %lu, resyncs %lu, seen %d",
	     d->turns, watched, status("missed"), status("resyncs"),
	     shared->seen);
}

/*
 * The second CPU goes and comes back; the worker has been told to run there
 * alone, and every other round of removals runs there.
 */
static void cpu_off(void)
{
	put(CPU1, "0");
}

static void cpu_on(void)
{
	put(CPU1, "1");
}

static void cpus(void)
{
	static const struct disturbance d = { cpu_off, cpu_on, TURNS };

	if (!exists(CPU1))
		skip("there's no second CPU that can go offline");
	begin();
	put(WORKQUEUE, "2");
	remove_under(&d);
}

/*
 * The machine goes to sleep as far as the kernel's own test of that goes:
 * processes frozen, devices suspended, one CPU left; and wakes up again.
 */
static void sleep_and_wake(void)
{
	put(POWER "/state", "mem");
}

static void nothing(void)
{
}

static void suspend(void)
{
	static const struct disturbance d = { sleep_and_wake, nothing, 2 };

	if (!exists(POWER "/pm_test"))
		skip("no test of suspend: CONFIG_PM_SLEEP_DEBUG");
	/* The other way of sleeping has no test, and nobody to wake it up. */
	if (!strstr(get(POWER "/mem_sleep"), "[deep]"))
		skip("this machine can't suspend to RAM");
	begin();
	try_put("/sys/module/suspend/parameters/pm_test_delay", "0");
	put(POWER "/pm_test", "processors");
	remove_under(&d);
	put(POWER "/pm_test", "none");
}

/* Kprobes are rewritten as jumps, and back; ftrace's stay calls. */
static void optimize(void)
{
	put(OPTIMIZATION, "1");
	if (!file_has(KPROBE_LIST, symbol, "[FTRACE]"))
		WAIT_FOR(file_has(KPROBE_LIST, symbol, "[OPTIMIZED]"));
}

static void deoptimize(void)
{
	put(OPTIMIZATION, "0");
}

static void optimization(void)
{
	static const struct disturbance d = { deoptimize, optimize, TURNS };

	if (!exists(OPTIMIZATION))
		skip("kprobes are not optimized here: CONFIG_OPTPROBES");
	begin();
	if (file_has(KPROBE_LIST, symbol, "[FTRACE]"))
		note("the module's probe is one of ftrace's");
	remove_under(&d);
}

/* Tracing, of all kinds; what it has seen is counted as proof. */

static void mount_tracing(const char *file, const char *option)
{
	mkdir(TRACING, 0755);
	if (mount("tracefs", TRACING, "tracefs", 0, NULL) ||
	    !exists(text(TRACING "/%s", file)))
		skip("no %s: %s", file, option);
}

static void count_lines(void)
{
	FILE *file = fopen(TRACING "/trace", "re");
	char line[1024];

	if (!file)
		fail("the trace: %m");
	while (fgets(line, sizeof(line), file))
		shared->seen += line[0] != '#' && strstr(line, symbol);
	fclose(file);
	put(TRACING "/trace", "");
}

static void remove_seen(const struct disturbance *d)
{
	remove_under(d);
	if (!shared->seen)
		fail("the removals were not seen by who disturbed them");
}

/* ftrace's function tracer on the function that is probed */
static void tracer_on(void)
{
	put(TRACING "/current_tracer", "function");
}

static void tracer_off(void)
{
	count_lines();
	put(TRACING "/current_tracer", "nop");
}

static void tracer(void)
{
	static const struct disturbance d = { tracer_on, tracer_off, TURNS };

	begin();
	mount_tracing("set_ftrace_filter", "CONFIG_FUNCTION_TRACER");
	put(TRACING "/set_ftrace_filter", symbol);
	remove_seen(&d);
}

/* A second kprobe, and a kretprobe, which has to be at the entry, on the function */
static void probes_on(void)
{
	put(TRACING "/kprobe_events", text("p:kdn_live %s+%d", symbol, behind));
	put(PROBE "/enable", "1");
	if (behind)
		return;
	put(TRACING "/kprobe_events", text("r:kdn_live_return %s", symbol));
	put(RETURN "/enable", "1");
}

/* How often they fired: not all kernels can trace in a probe's handler. */
static void count_hits(void)
{
	FILE *file = fopen(TRACING "/kprobe_profile", "re");
	char line[256], name[64];
	int hits;

	if (!file)
		fail("the profile of the probes: %m");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " %63s %d", name, &hits) == 2 &&
		    !strncmp(name, "kdn_live", strlen("kdn_live")))
			shared->seen += hits;
	fclose(file);
}

static void probes_off(void)
{
	count_hits();
	put(PROBE "/enable", "0");
	put(TRACING "/kprobe_events", "-:kdn_live");
	if (behind)
		return;
	put(RETURN "/enable", "0");
	put(TRACING "/kprobe_events", "-:kdn_live_return");
}

static void probes(void)
{
	static const struct disturbance d = { probes_on, probes_off, TURNS };

	begin();
	mount_tracing("kprobe_events", "CONFIG_KPROBE_EVENTS");
	remove_seen(&d);
}

/* A BPF program on the function, attached as bpftrace does, on each CPU */

static int bpf_fds[2], bpf_cpus, bpf_program;

static int load_program(void)
{
	static const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_KPROBE,
		.insns = (uintptr_t)code,
		.insn_cnt = ARRAY_SIZE(code),
		.license = (uintptr_t)"GPL",
	};

	return syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

static int perf_event(int cpu)
{
	struct perf_event_attr attr = {
		.type = atoi(get("/sys/bus/event_source/devices/kprobe/type")),
		.size = sizeof(attr),
		.kprobe_func = (uintptr_t)symbol,
		.probe_offset = behind,
	};

	return syscall(SYS_perf_event_open, &attr, -1, cpu, -1,
		       PERF_FLAG_FD_CLOEXEC);
}

static void bpf_on(void)
{
	int i;

	for (i = 0; i < bpf_cpus; i++) {
		bpf_fds[i] = perf_event(i);
		if (bpf_fds[i] < 0 ||
		    ioctl(bpf_fds[i], PERF_EVENT_IOC_SET_BPF, bpf_program) ||
		    ioctl(bpf_fds[i], PERF_EVENT_IOC_ENABLE, 0))
			fail("a BPF program on %s: %m", symbol);
	}
}

static void bpf_off(void)
{
	uint64_t count;
	int i;

	for (i = 0; i < bpf_cpus; i++) {
		if (read(bpf_fds[i], &count, sizeof(count)) != sizeof(count))
			fail("the count of the BPF program: %m");
		shared->seen += count;
		close(bpf_fds[i]);
	}
}

static void bpf(void)
{
	static const struct disturbance d = { bpf_on, bpf_off, TURNS };
	int fd;

	if (!exists("/sys/bus/event_source/devices/kprobe"))
		skip("no perf events of kprobes: CONFIG_KPROBE_EVENTS");
	bpf_program = load_program();
	if (bpf_program < 0)
		skip("no BPF: CONFIG_BPF_SYSCALL");
	bpf_cpus = get_nprocs() > 1 ? 2 : 1;
	begin();
	fd = perf_event(0);
	/* So it is on RHEL 8. */
	if (fd < 0 && strchr(symbol, '.'))
		skip("no perf event of a function with a dot in its name: %m");
	close(fd);
	remove_seen(&d);
}

/*
 * The function is live patched, see modules/kdn_live.c; then one that calls it, see
 * modules/kdn_live_caller.c. The module is loaded anew, and finds the function also
 * when it is patched. Then the patch is taken back.
 */

static const char *patch;

/* The kernel takes its time until no process needs the old code any more. */
static void wait_for_patch(bool there)
{
	long deadline = now_ms() + 5 * DEADLINE_MS;
	char *dir = text(PATCHES "%s", patch);

	while (exists(dir) != there ||
	       (there && strcmp(get(text("%s/transition", dir)), "0")))
		wait_a_little(deadline, "the live patch's transition");
}

static void patch_on(void)
{
	int err = try_load(patch, text("symbol=%s", symbol));

	if (err)
		fail("insmod of %s.ko: %s", patch, strerror(-err));
	wait_for_patch(true);
}

static void patch_off(void)
{
	shared->seen += atoi(get(text("/sys/module/%s/parameters/calls", patch)));
	put(text(PATCHES "%s/enabled", patch), "0");
	wait_for_patch(false);
	WAIT_FOR(!try_unload(patch));
}

static void remove_patched(const char *module)
{
	static const struct disturbance on = { patch_on, nothing, 1 };
	static const struct disturbance off = { nothing, patch_off, 1 };

	patch = module;
	shared->seen = 0;
	remove_under(&on);
	unload();
	load("resync_seconds=0");
	remove_seen(&off);
}

static void live_patch(void)
{
	if (!exists(PATCHES) || !exists("/modules/kdn_live.ko"))
		skip("no live patching: CONFIG_LIVEPATCH");
	if (!long_run() &&
	    file_has("/proc/kallsyms", "sched_dynamic_klp_enable", ""))
		skip("it patches each cond_resched(), for minutes: make check-long");
	begin();
	remove_patched("kdn_live");
	if (exists("/modules/kdn_live_caller.ko"))
		remove_patched("kdn_live_caller");
	else
		note("no live patch of a caller: it wants the kernel's source");
}

const struct kdn_test tests[] = {
	{ "cpus", cpus },
	{ "suspend", suspend },
	{ "optimization", optimization },
	{ "tracer", tracer },
	{ "probes", probes },
	{ "bpf", bpf },
	{ "live_patch", live_patch },
	{ }
};
