// SPDX-License-Identifier: GPL-2.0-only
/*
 * sysfs has a superblock for each network namespace that mounted it. A node
 * may be on one of them or on all.
 */
#include "kdn.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Have the network device move to another network namespace. */
static void move_device(const char *name, int netns)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg info;
		struct rtattr attribute;
		int netns;
	} request = {
		.header.nlmsg_len = sizeof(request),
		.header.nlmsg_type = RTM_NEWLINK,
		.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
		.info.ifi_index = if_nametoindex(name),
		.attribute.rta_len = RTA_LENGTH(sizeof(netns)),
		.attribute.rta_type = IFLA_NET_NS_FD,
		.netns = netns,
	};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char request[sizeof(request)];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || send(fd, &request, sizeof(request), 0) < 0 ||
	    recv(fd, &answer, sizeof(answer), 0) < 0)
		fail("a request to move %s: %m", name);
	if (answer.error.error)
		fail("moving %s: %s", name, strerror(-answer.error.error));
	close(fd);
}

/*
 * A namespace ends, and with it its loopback device. Its sysfs, mounted after
 * the module came, tells; that of the other namespace has a device of the same
 * name, and is silent.
 */
static void device_of_one(void)
{
	struct netns ns;
	int inst = instance();

	load("");
	ns = netns_make("one");
	expect(watch(inst, text("%s/devices/virtual/net/lo/mtu", ns.sysfs),
		     IN_ALL_EVENTS), GONE);
	expect(watch(inst, text("%s/devices/virtual/net/lo", ns.sysfs),
		     IN_ALL_EVENTS), GONE);
	expect(watch(inst, text("%s/class/net/lo", ns.sysfs),
		     IN_ALL_EVENTS | IN_DONT_FOLLOW), GONE);
	watch(inst, "/sys/devices/virtual/net/lo/mtu", IN_ALL_EVENTS);
	watch(inst, "/sys/devices/virtual/net/lo", IN_ALL_EVENTS);
	watch(inst, "/sys/class/net/lo", IN_ALL_EVENTS | IN_DONT_FOLLOW);
	netns_end(&ns);
	verify();
}

/* A device that all namespaces see goes: the watchers on each mount hear it. */
static void device_of_all(void)
{
	struct netns a, b;

	load_devices();
	control("add", 0);
	a = netns_make("a");
	load("");
	b = netns_make("b");
	watch(instance(), DEVICES "0/value", IN_ALL_EVENTS);
	watch(instance(), text("%s/devices/virtual/misc/kdn_test0/value",
			       a.sysfs), IN_ALL_EVENTS);
	watch(instance(), text("%s/devices/virtual/misc/kdn_test0",
			       b.sysfs), IN_ALL_EVENTS);
	control("del", 0);
	verify_all_gone();
}

/* Renaming a network device removes nothing. It goes by its new name. */
static void renamed_device(void)
{
	struct netns ns = netns_make("renamed");
	int inst = instance();

	load("");
	watch(inst, text("%s/devices/virtual/net/lo/mtu", ns.sysfs),
	      IN_ALL_EVENTS);
	watch(inst, text("%s/devices/virtual/net/lo", ns.sysfs), IN_ALL_EVENTS);
	netns_rename_lo(&ns, "kdn0");
	if (!exists(text("%s/devices/virtual/net/kdn0", ns.sysfs)))
		fail("the device is not there by its new name");
	verify();
	netns_end(&ns);
	verify_all_gone();
}

/*
 * A device that moves to another namespace is renamed as well: its old path is gone,
 * and nothing is told. When the device goes, those who watched it there hear it.
 */
static void moved_device(void)
{
	struct netns ns = netns_make("moved");
	const char *dir = "/sys/devices/virtual/net/kdn_test";
	int inst = instance();

	load_devices();
	control("netdev", 1);
	load("");
	watch(inst, text("%s/mtu", dir), IN_ALL_EVENTS);
	watch(inst, dir, IN_ALL_EVENTS);
	move_device("kdn_test", ns.fd);
	if (exists(dir))
		fail("the device has not moved");
	watch(inst, text("%s/devices/virtual/net/kdn_test/mtu", ns.sysfs),
	      IN_ALL_EVENTS);
	verify();
	control("netdev", 0);
	verify_all_gone();
}

const struct kdn_test tests[] = {
	{ "device_of_one", device_of_one },
	{ "device_of_all", device_of_all },
	{ "renamed_device", renamed_device },
	{ "moved_device", moved_device },
	{ }
};
