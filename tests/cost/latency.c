// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the return of rmdir to the event in the hands of a reader, who sleeps
 * until then; and from the return of a write to the IN_MODIFY that kernfs
 * itself sends of it, on the same file.
 */
#include "bench.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SAMPLES	400

struct read_time {
	long long time;
	int count;
};

static struct read_time *last_read;

/* One event at a time is read, as soon as it is there. */
static void reader(void *argument)
{
	int inst = *(int *)argument;
	struct pollfd ready = { .fd = inst, .events = POLLIN };
	struct inotify_event event;

	for (;;) {
		poll(&ready, 1, -1);
		while (read(inst, &event, sizeof(event)) > 0) {
			if (event.mask & IN_IGNORED)
				continue;
			last_read->time = now_ns();
			last_read->count++;
		}
	}
}

static void sample(const char *what, int round, long long since, int count)
{
	long deadline = now_ms() + DEADLINE_MS;

	while (last_read->count < count)
		wait_a_little(deadline, "an event");
	figure("latency", what, 0, round, last_read->time - since);
}

void part_latency(void)
{
	int inst = listener(), count = 0, i;
	long long since;

	last_read = share(sizeof(*last_read));
	srand(1);
	make_cgroups("quiet", 1);
	load_module(MODULE);
	spawn(reader, &inst);
	/* The namespaces of another part may take seconds to go away. */
	wait_for_idle();
	for (i = 0; i < SAMPLES; i++) {
		char *file = text("%s/cgroup.events", cgroup("late", i));

		make_dir(cgroup("late", i));
		if (inotify_add_watch(inst, file, IN_MODIFY | IN_DELETE_SELF) < 0)
			fail("%s can't be watched: %m", file);
		/* At any moment, seen from the timers of the kernel. */
		usleep(20000 + rand() % 20000);
		put(text("%s/cgroup.freeze", cgroup("late", i)), "1");
		since = now_ns();
		sample("modify", i, since, ++count);
		usleep(20000 + rand() % 20000);
		remove_dir(cgroup("late", i));
		since = now_ns();
		sample("delete", i, since, ++count);
	}
}
