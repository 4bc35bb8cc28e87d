// SPDX-License-Identifier: GPL-2.0-only
/*
 * Audit rules. The kernel keeps them by marks on inodes, as it does watches: a
 * rule on a file (auditctl -w) by a mark on the file's directory, a rule on a
 * directory (-F dir=) by one on that. When the directory is gone, so is the rule.
 *
 * No rule is added here on a cgroup that may be removed before the kernel has
 * answered: to log a new rule, the kernel reads it after it has dropped the lock that
 * keeps the rule from being freed. That is a bug of audit, with tmpfs as well.
 */
#define _GNU_SOURCE
#include "kdn.h"
#include "storm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/limits.h>
#include <linux/netlink.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define JUDGE		"/tmp/judge"
#define REMOVALS	400

static int requests, records;

static int audit_socket(unsigned int groups)
{
	struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = groups,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);

	if (fd < 0)
		skip("no audit (CONFIG_AUDIT): %m");
	if (bind(fd, (void *)&address, sizeof(address)))
		fail("audit's records can't be read: %m");
	return fd;
}

/* Returns what the kernel answers: 0, or an error. */
static int request(int type, const void *data, size_t size)
{
	struct {
		struct nlmsghdr header;
		char data[sizeof(struct audit_rule_data) + PATH_MAX];
	} message = {
		.header.nlmsg_len = NLMSG_LENGTH(size),
		.header.nlmsg_type = type,
		.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
	};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char request[sizeof(message)];
	} answer;

	memcpy(message.data, data, size);
	if (send(requests, &message, message.header.nlmsg_len, 0) < 0 ||
	    recv(requests, &answer, sizeof(answer), 0) < 0)
		fail("a request to audit: %m");
	if (answer.header.nlmsg_type != NLMSG_ERROR)
		fail("audit answers with a message of type %d",
		     answer.header.nlmsg_type);
	return answer.error.error;
}

/* Rules are logged as long as audit is on. */
static void switch_audit(bool on)
{
	struct audit_status state = {
		.mask = AUDIT_STATUS_ENABLED,
		.enabled = on,
	};
	int err = request(AUDIT_SET, &state, sizeof(state));

	if (err)
		fail("audit can't be switched: %s", strerror(-err));
}

static void open_audit(void)
{
	requests = audit_socket(0);
	records = audit_socket(1 << (AUDIT_NLGRP_READLOG - 1));
	switch_audit(true);
}

/* Add or delete a rule: a change of mode of this file, or below this directory */
static int try_rule(int type, int field, const char *path)
{
	union {
		struct audit_rule_data rule;
		char bytes[sizeof(struct audit_rule_data) + PATH_MAX];
	} u = {
		.rule = {
			.flags = AUDIT_FILTER_EXIT,
			.action = AUDIT_ALWAYS,
			.field_count = 2,
			.fields = { field, AUDIT_PERM },
			.values = { strlen(path), AUDIT_PERM_ATTR },
			.fieldflags = { AUDIT_EQUAL, AUDIT_EQUAL },
			.buflen = strlen(path),
		},
	};

	memset(u.rule.mask, 0xff, sizeof(u.rule.mask));
	memcpy(u.rule.buf, path, u.rule.buflen);
	return request(type, &u, sizeof(u.rule) + u.rule.buflen);
}

static void rule(int type, int field, const char *path)
{
	int err = try_rule(type, field, path);

	if (err)
		fail("a rule on %s can't be %s: %s", path, type == AUDIT_ADD_RULE ?
		     "added" : "deleted", strerror(-err));
}

static void rule_is_gone(int field, const char *path)
{
	if (try_rule(AUDIT_DEL_RULE, field, path) != -ENOENT)
		fail("the rule on %s is still there", path);
}

/* Is that the record of the end of a rule on something in the directory? */
static bool rule_ended(const char *dir)
{
	struct {
		struct nlmsghdr header;
		char text[8192];
	} record;
	ssize_t n = recv(records, &record, sizeof(record) - 1, 0);

	if (n < 0)
		fail("audit's records can't be read: %m");
	record.text[n - sizeof(record.header)] = 0;
	return record.header.nlmsg_type == AUDIT_CONFIG_CHANGE &&
	       strstr(record.text, "op=remove_rule") &&
	       strstr(record.text, text("=\"%s", dir));
}

/* Both kinds of rules go with their directory; audit keeps a record of it. */
static void rules_go_with(const char *dir, void (*take_away)(const char *dir))
{
	struct pollfd p = { .fd = records, .events = POLLIN };
	const char *file = text("%s/cgroup.events", dir);
	int ended = 0;

	rule(AUDIT_ADD_RULE, AUDIT_WATCH, file);
	rule(AUDIT_ADD_RULE, AUDIT_DIR, dir);
	take_away(dir);
	while (ended < 2) {
		if (poll(&p, 1, DEADLINE_MS) <= 0)
			fail("%s: of 2 rules %d were removed with it", dir, ended);
		ended += rule_ended(dir);
	}
	rule_is_gone(AUDIT_WATCH, file);
	rule_is_gone(AUDIT_DIR, dir);
}

static void take_away(const char *dir)
{
	unlink(text("%s/cgroup.events", dir));
	remove_dir(dir);
}

static void as_on_tmpfs(void)
{
	open_audit();
	load("");
	mount_at(JUDGE, "tmpfs", "");
	make_dir(JUDGE "/dir");
	close(open(JUDGE "/dir/cgroup.events", O_CREAT | O_CLOEXEC, 0644));
	rules_go_with(JUDGE "/dir", take_away);
	rules_go_with(new_cgroup("as_on_tmpfs"), remove_dir);
	switch_audit(false);
}

/* Or they are deleted before. */
static void delete_rules(const char *dir)
{
	const char *file = text("%s/cgroup.events", dir);

	rule(AUDIT_ADD_RULE, AUDIT_WATCH, file);
	rule(AUDIT_ADD_RULE, AUDIT_DIR, dir);
	rule(AUDIT_DEL_RULE, AUDIT_WATCH, file);
	rule(AUDIT_DEL_RULE, AUDIT_DIR, dir);
	remove_dir(dir);
}

/* Rules come and go in a storm, on cgroups whose watchers hear what all hear. */
static void in_a_storm(void)
{
	int count = 0;

	open_audit();
	load("resync_seconds=0");
	storm_begin((struct storm){ .places = 16, .pause_ms = 2 });
	while (storm_removed() < REMOVALS / slowness() || count < 2) {
		char *dir = new_cgroup("in_a_storm");

		if (place_watch(0, text("%s/cgroup.events", dir), -1, 0) ||
		    place_watch(1, dir, -1, 0))
			fail("%s can't be watched", dir);
		if (count++ % 2)
			delete_rules(dir);
		else
			rules_go_with(dir, remove_dir);
	}
	storm_end();
	switch_audit(false);
	note("%d cgroups with rules, %d without", count, storm_removed());
}

const struct kdn_test tests[] = {
	{ "as_on_tmpfs", as_on_tmpfs },
	{ "in_a_storm", in_a_storm },
	{ }
};
