/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fanotify marks for FAN_DELETE_SELF, and what they are told; see kdn.h for
 * what else the test programs share.
 */
#ifndef MARKS_H
#define MARKS_H

struct file_handle;

/* A file whose events are counted, known by its handle */
struct target {
	const char *path;
	struct file_handle *handle;
	int events;
};

extern struct target targets[];
extern int target_count;

/* What this kernel does not allow skips the test. */
struct target *target(const char *path);
int group(void);
void add_mark(int fd, unsigned int type, const char *path);

/*
 * count_marks() counts the events that are there; read_marks() waits until
 * there were as many of the targets as expected, and listens whether more come.
 */
void count_marks(int fd);
void read_marks(int fd, int expected);
void once(const struct target *t);

#endif
