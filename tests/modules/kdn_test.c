// SPDX-License-Identifier: GPL-2.0-only
/*
 * For the tests only: sysfs devices and directories that come and go, and do
 * what the kernel's own do at their worst, on writes to the files in
 * /sys/kernel/kdn_test/:
 *
 *	add		N: add the device /sys/devices/virtual/misc/kdn_testN
 *	del		N: remove it
 *	rename		N: rename it to kdn_movedN, or back
 *	notify		N: notify its attribute 'value'
 *	notify_del	N: the same, and remove the device at once
 *	del_value	N: remove the attribute 'value' alone
 *	release		let all blocked readers go on; reads as their number
 *	tree		N: make the directory 'leaves' here, with files a0 to
 *			aN-1, of which a0 blocks; 0: remove it, by a single call
 *			of kernfs_remove()
 *	dirs		N: make the directories 'dir0' to 'dirN-1' here; 0: remove
 *			them, one after the other
 *	netdev		1: register the network device 'kdn_test'; 0: unregister it
 *	hold_super	1: take a reference on a superblock of cgroup v1, as sync()
 *			has on the last one that it passed; 0: let go of it
 *	busy		N: keep the system workqueue of every CPU busy, by
 *			works that burn N ms and queue themselves again; 0: stop
 *
 * A device has the attributes 'value', 'block' (a read blocks until 'release')
 * and 'remove' (a write removes the device), and the group 'group' with a
 * 'value' of its own.
 */
#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/etherdevice.h>
#include <linux/fs.h>
#include <linux/kobject.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

/* Kernels up to 5.10 have minor numbers for no more than 64 misc devices. */
#define MAX_DEVICES	48

struct kdn_device {
	struct miscdevice misc;
	char name[24];
};

static struct kdn_device devices[MAX_DEVICES];

/* Whoever clears a device's bit removes it. */
static DECLARE_BITMAP(present, MAX_DEVICES);

static struct kobject *control;

static DECLARE_WAIT_QUEUE_HEAD(blocked);
static unsigned int releases;
static atomic_t readers = ATOMIC_INIT(0);

static int block(void)
{
	unsigned int seen = READ_ONCE(releases);
	int err;

	atomic_inc(&readers);
	err = wait_event_killable(blocked, READ_ONCE(releases) != seen);
	atomic_dec(&readers);
	return err;
}

/* The attributes of a device */

static ssize_t value_show(struct device *d, struct device_attribute *attr,
			  char *buf)
{
	return sysfs_emit(buf, "1\n");
}
static DEVICE_ATTR_RO(value);

static ssize_t block_show(struct device *d, struct device_attribute *attr,
			  char *buf)
{
	return block() ?: sysfs_emit(buf, "released\n");
}
static DEVICE_ATTR_RO(block);

static ssize_t remove_store(struct device *d, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	struct miscdevice *misc = dev_get_drvdata(d);
	struct kdn_device *dev = container_of(misc, struct kdn_device, misc);

	if (!device_remove_file_self(d, attr) ||
	    !test_and_clear_bit(dev - devices, present))
		return -ENODEV;
	misc_deregister(misc);
	return count;
}
static DEVICE_ATTR_WO(remove);

static struct attribute *device_attrs[] = {
	&dev_attr_value.attr,
	&dev_attr_block.attr,
	&dev_attr_remove.attr,
	NULL
};

static const struct attribute_group device_group = {
	.attrs = device_attrs,
};

static struct attribute *group_attrs[] = {
	&dev_attr_value.attr,
	NULL
};

static const struct attribute_group named_group = {
	.name = "group",
	.attrs = group_attrs,
};

static const struct attribute_group *device_groups[] = {
	&device_group,
	&named_group,
	NULL
};

/* The control files */

static int parse_device(const char *buf)
{
	unsigned int id;
	int err;

	err = kstrtouint(buf, 0, &id);
	if (err)
		return err;
	return id < MAX_DEVICES ? id : -ERANGE;
}

static int parse_present(const char *buf)
{
	int id = parse_device(buf);

	return id < 0 || test_bit(id, present) ? id : -ENODEV;
}

static ssize_t add_store(struct kobject *kobj, struct kobj_attribute *attr,
			 const char *buf, size_t count)
{
	int id = parse_device(buf), err;
	struct kdn_device *dev;

	if (id < 0)
		return id;
	if (test_bit(id, present))
		return -EEXIST;
	dev = &devices[id];
	snprintf(dev->name, sizeof(dev->name), "kdn_test%d", id);
	dev->misc = (struct miscdevice) {
		.minor = MISC_DYNAMIC_MINOR,
		.name = dev->name,
		/* The node in /dev keeps its name. */
		.nodename = dev->name,
		.groups = device_groups,
	};
	err = misc_register(&dev->misc);
	if (err)
		return err;
	set_bit(id, present);
	return count;
}

static ssize_t del_store(struct kobject *kobj, struct kobj_attribute *attr,
			 const char *buf, size_t count)
{
	int id = parse_device(buf);

	if (id < 0)
		return id;
	if (!test_and_clear_bit(id, present))
		return -ENODEV;
	misc_deregister(&devices[id].misc);
	return count;
}

static ssize_t rename_store(struct kobject *kobj, struct kobj_attribute *attr,
			    const char *buf, size_t count)
{
	int id = parse_present(buf), err;
	struct device *d;
	char name[24];

	if (id < 0)
		return id;
	d = devices[id].misc.this_device;
	snprintf(name, sizeof(name), "%s%d",
		 strstarts(dev_name(d), "kdn_test") ? "kdn_moved" : "kdn_test",
		 id);
	err = device_rename(d, name);
	return err ?: count;
}

static ssize_t notify_store(struct kobject *kobj, struct kobj_attribute *attr,
			    const char *buf, size_t count)
{
	int id = parse_present(buf);

	if (id < 0)
		return id;
	sysfs_notify(&devices[id].misc.this_device->kobj, NULL, "value");
	return count;
}

static ssize_t notify_del_store(struct kobject *kobj,
				struct kobj_attribute *attr,
				const char *buf, size_t count)
{
	ssize_t err = notify_store(kobj, attr, buf, count);

	return err < 0 ? err : del_store(kobj, attr, buf, count);
}

static ssize_t del_value_store(struct kobject *kobj,
			       struct kobj_attribute *attr,
			       const char *buf, size_t count)
{
	int id = parse_present(buf);

	if (id < 0)
		return id;
	device_remove_file(devices[id].misc.this_device, &dev_attr_value);
	return count;
}

static ssize_t release_show(struct kobject *kobj, struct kobj_attribute *attr,
			    char *buf)
{
	return sysfs_emit(buf, "%d\n", atomic_read(&readers));
}

static ssize_t release_store(struct kobject *kobj, struct kobj_attribute *attr,
			     const char *buf, size_t count)
{
	WRITE_ONCE(releases, releases + 1);
	wake_up_all(&blocked);
	return count;
}

/* The directory 'leaves' */

static DEFINE_MUTEX(tree_lock);
static struct kobject *tree;
static struct kobj_attribute *leaves;
static char (*leaf_names)[12];

static ssize_t leaf_show(struct kobject *kobj, struct kobj_attribute *attr,
			 char *buf)
{
	return attr == leaves ? block() : 0;
}

static void tree_remove(void)
{
	/* The last put takes the directory away, with what is in it. */
	kobject_put(tree);
	kvfree(leaves);
	kvfree(leaf_names);
	tree = NULL;
	leaves = NULL;
	leaf_names = NULL;
}

static int tree_make(unsigned int n)
{
	unsigned int i;
	int err;

	leaves = kvcalloc(n, sizeof(*leaves), GFP_KERNEL);
	leaf_names = kvcalloc(n, sizeof(*leaf_names), GFP_KERNEL);
	tree = kobject_create_and_add("leaves", control);
	err = leaves && leaf_names && tree ? 0 : -ENOMEM;
	for (i = 0; i < n && !err; i++) {
		sysfs_attr_init(&leaves[i].attr);
		snprintf(leaf_names[i], sizeof(*leaf_names), "a%u", i);
		leaves[i].attr.name = leaf_names[i];
		leaves[i].attr.mode = 0444;
		leaves[i].show = leaf_show;
		err = sysfs_create_file(tree, &leaves[i].attr);
	}
	if (err)
		tree_remove();
	return err;
}

static ssize_t tree_store(struct kobject *kobj, struct kobj_attribute *attr,
			  const char *buf, size_t count)
{
	unsigned int n;
	int err;

	err = kstrtouint(buf, 0, &n);
	if (err || n > 99999)
		return err ?: -ERANGE;
	mutex_lock(&tree_lock);
	if (!n == !tree)
		err = n ? -EEXIST : -ENOENT;
	else if (n)
		err = tree_make(n);
	else
		tree_remove();
	mutex_unlock(&tree_lock);
	return err ?: count;
}

/* Many directories */

static DEFINE_MUTEX(dirs_lock);
static struct kobject **dirs;
static unsigned int nr_dirs;

static void dirs_remove(void)
{
	while (nr_dirs)
		kobject_put(dirs[--nr_dirs]);
	kvfree(dirs);
	dirs = NULL;
}

static int dirs_make(unsigned int n)
{
	char name[16];

	dirs = kvcalloc(n, sizeof(*dirs), GFP_KERNEL);
	if (!dirs)
		return -ENOMEM;
	for (; nr_dirs < n; nr_dirs++) {
		snprintf(name, sizeof(name), "dir%u", nr_dirs);
		dirs[nr_dirs] = kobject_create_and_add(name, control);
		if (!dirs[nr_dirs]) {
			dirs_remove();
			return -ENOMEM;
		}
	}
	return 0;
}

static ssize_t dirs_store(struct kobject *kobj, struct kobj_attribute *attr,
			  const char *buf, size_t count)
{
	unsigned int n;
	int err;

	err = kstrtouint(buf, 0, &n);
	if (err || n > 99999)
		return err ?: -ERANGE;
	mutex_lock(&dirs_lock);
	if (!n == !dirs)
		err = n ? -EEXIST : -ENOENT;
	else if (n)
		err = dirs_make(n);
	else
		dirs_remove();
	mutex_unlock(&dirs_lock);
	return err ?: count;
}

/* The network device */

static struct net_device *netdev;
static const struct net_device_ops netdev_ops = { };

static int netdev_make(void)
{
	int err;

	netdev = alloc_netdev(0, "kdn_test", NET_NAME_UNKNOWN, ether_setup);
	if (!netdev)
		return -ENOMEM;
	netdev->netdev_ops = &netdev_ops;
	netdev->needs_free_netdev = true;
	eth_hw_addr_random(netdev);
	err = register_netdevice(netdev);
	if (err) {
		free_netdev(netdev);
		netdev = NULL;
	}
	return err;
}

static int netdev_set(bool on)
{
	if (on == !!netdev)
		return on ? -EEXIST : -ENOENT;
	if (on)
		return netdev_make();
	unregister_netdevice(netdev);
	netdev = NULL;
	return 0;
}

static ssize_t netdev_store(struct kobject *kobj, struct kobj_attribute *attr,
			    const char *buf, size_t count)
{
	bool on;
	int err;

	/* Without networking, the compiler leaves out what is above. */
	if (!IS_ENABLED(CONFIG_NET))
		return -EOPNOTSUPP;
	err = kstrtobool(buf, &on);
	if (err)
		return err;
	rtnl_lock();
	err = netdev_set(on);
	rtnl_unlock();
	return err ?: count;
}

/* The held superblock: it may be unmounted all the same */

static struct super_block *held;

#ifdef HAVE_S_COUNT
/* The count is under a lock of fs/super.c: nobody else may mount or unmount now. */
static void hold(struct super_block *sb, void *arg)
{
	if (held)
		return;
	sb->s_count++;
	held = sb;
}

static int hold_super(void)
{
	struct file_system_type *type = get_fs_type("cgroup");

	if (!type)
		return -ENODEV;
	iterate_supers_type(type, hold, NULL);
	module_put(type->owner);
	return held ? 0 : -ENOENT;
}
#else
static int hold_super(void)
{
	return -EOPNOTSUPP;
}
#endif

static void let_go_of_super(void)
{
	if (!held)
		return;
	down_read(&held->s_umount);
	drop_super(held);
	held = NULL;
}

static ssize_t hold_super_store(struct kobject *kobj, struct kobj_attribute *attr,
				const char *buf, size_t count)
{
	bool on;
	int err;

	err = kstrtobool(buf, &on);
	if (err)
		return err;
	if (on)
		err = hold_super();
	else
		let_go_of_super();
	return err ?: count;
}

/* The busy workqueue */

static DEFINE_PER_CPU(struct work_struct, busy_works);
static unsigned int busy_ms;

static void busy_work(struct work_struct *work)
{
	unsigned int ms = READ_ONCE(busy_ms), i;

	/* Others get the CPU, and its workqueue is busy all the same. */
	for (i = 0; i < ms; i++) {
		mdelay(1);
		cond_resched();
	}
	if (ms)
		schedule_work_on(raw_smp_processor_id(), work);
}

static void busy_set(unsigned int ms)
{
	unsigned int cpu;

	WRITE_ONCE(busy_ms, ms);
	for_each_possible_cpu(cpu) {
		if (!ms)
			cancel_work_sync(per_cpu_ptr(&busy_works, cpu));
		else if (cpu_online(cpu))
			schedule_work_on(cpu, per_cpu_ptr(&busy_works, cpu));
	}
}

static ssize_t busy_store(struct kobject *kobj, struct kobj_attribute *attr,
			  const char *buf, size_t count)
{
	unsigned int ms;
	int err;

	err = kstrtouint(buf, 0, &ms);
	if (err || ms > 1000)
		return err ?: -ERANGE;
	busy_set(ms);
	return count;
}

static struct kobj_attribute add_attribute = __ATTR_WO(add);
static struct kobj_attribute del_attribute = __ATTR_WO(del);
static struct kobj_attribute rename_attribute = __ATTR_WO(rename);
static struct kobj_attribute notify_attribute = __ATTR_WO(notify);
static struct kobj_attribute notify_del_attribute = __ATTR_WO(notify_del);
static struct kobj_attribute del_value_attribute = __ATTR_WO(del_value);
static struct kobj_attribute release_attribute = __ATTR_RW(release);
static struct kobj_attribute tree_attribute = __ATTR_WO(tree);
static struct kobj_attribute dirs_attribute = __ATTR_WO(dirs);
static struct kobj_attribute netdev_attribute = __ATTR_WO(netdev);
static struct kobj_attribute hold_super_attribute = __ATTR_WO(hold_super);
static struct kobj_attribute busy_attribute = __ATTR_WO(busy);

static const struct attribute *control_attrs[] = {
	&add_attribute.attr,
	&del_attribute.attr,
	&rename_attribute.attr,
	&notify_attribute.attr,
	&notify_del_attribute.attr,
	&del_value_attribute.attr,
	&release_attribute.attr,
	&tree_attribute.attr,
	&dirs_attribute.attr,
	&netdev_attribute.attr,
	&hold_super_attribute.attr,
	&busy_attribute.attr,
	NULL
};

static int __init kdn_test_init(void)
{
	unsigned int cpu;
	int err;

	for_each_possible_cpu(cpu)
		INIT_WORK(per_cpu_ptr(&busy_works, cpu), busy_work);
	control = kobject_create_and_add("kdn_test", kernel_kobj);
	if (!control)
		return -ENOMEM;
	err = sysfs_create_files(control, control_attrs);
	if (err)
		kobject_put(control);
	return err;
}

static void __exit kdn_test_exit(void)
{
	unsigned int i;

	/* No new work once the control files are gone. */
	sysfs_remove_files(control, control_attrs);
	busy_set(0);
	let_go_of_super();
	for_each_set_bit(i, present, MAX_DEVICES)
		misc_deregister(&devices[i].misc);
	if (tree)
		tree_remove();
	dirs_remove();
	if (IS_ENABLED(CONFIG_NET) && netdev)
		unregister_netdev(netdev);
	kobject_put(control);
}

module_init(kdn_test_init);
module_exit(kdn_test_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Test devices for kernfs_delete_notify");
