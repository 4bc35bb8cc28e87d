// SPDX-License-Identifier: 0BSD
/* Wait until FILE is removed: with the module or without, on any kernel. */
#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *module = "/sys/kernel/kernfs_delete_notify";
	struct pollfd queue = { .fd = inotify_init(), .events = POLLIN };
	struct stat first, now;
	char buf[4096];

	if (argc != 2)
		errx(2, "usage: example FILE");
	if (stat(argv[1], &first) ||
	    inotify_add_watch(queue.fd, argv[1], IN_MODIFY | IN_DELETE_SELF) < 0)
		err(1, "%s", argv[1]);
	/* A new file of the same name has another inode number. */
	while (!stat(argv[1], &now) && now.st_ino == first.st_ino) {
		/* Events can be relied on with it. It may come or go meanwhile. */
		int ms = access(module, F_OK) ? 1000 : 60000;

		if (poll(&queue, 1, ms) > 0 && read(queue.fd, buf, sizeof(buf)) > 0)
			puts("something happened: look");
	}
	puts("removed");
	return 0;
}
