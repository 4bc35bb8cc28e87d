// SPDX-License-Identifier: GPL-2.0-only
/*
 * For the tests only: a bug of each kind that the debug kernels look for. The
 * name of one, written to /sys/module/kdn_bug/parameters/plant, makes it:
 *
 *	use_after_free	an object is read after it was freed
 *	redzone		a byte after an object is written, unseen by KASAN
 *	leak		objects are forgotten
 *	timer		an object is freed while a timer in it runs
 *	locks		two locks are taken in both orders
 *	sleep		memory is waited for under a spinlock
 *	rcu		a pointer is followed outside of a read section
 *	race		two threads count on the same variable
 *	call		a function is called by a pointer of another type
 *
 * These are no bugs, they fail with ENOMEM when they are made to:
 *
 *	object		an object of the cache 'kdn_bug' is allocated
 *	pages		many pages in a row are allocated
 */
#include <linux/compiler.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>

#define LEAKS		16
#define PAGES_ORDER	4
#define RACE_SECONDS	5

struct kdn_bug {
	struct timer_list timer;
	unsigned long value;
};

static struct kmem_cache *cache;

static struct kdn_bug *new_bug(void)
{
	return kmem_cache_zalloc(cache, GFP_KERNEL);
}

static int use_after_free(void)
{
	struct kdn_bug *bug = new_bug();

	if (!bug)
		return -ENOMEM;
	kmem_cache_free(cache, bug);
	/* Or the compiler would see it, too. */
	OPTIMIZER_HIDE_VAR(bug);
	(void)READ_ONCE(bug->value);
	return 0;
}

/* KASAN is not to see it before the slab allocator does. */
static noinline __no_sanitize_address void overwrite(char *end)
{
	WRITE_ONCE(*end, 0);
}

static int redzone(void)
{
	struct kdn_bug *bug = new_bug();

	if (!bug)
		return -ENOMEM;
	overwrite((char *)(bug + 1));
	kmem_cache_free(cache, bug);
	/* Freed objects wait in a quarantine; this lets them go. */
	kmem_cache_shrink(cache);
	return 0;
}

static int leak(void)
{
	int i;

	/* Some of the last ones may still have a pointer on a stack. */
	for (i = 0; i < LEAKS; i++)
		if (!new_bug())
			return -ENOMEM;
	return 0;
}

static void timer_over(struct timer_list *timer)
{
}

static int timer(void)
{
	struct kdn_bug *bug = new_bug();

	if (!bug)
		return -ENOMEM;
	timer_setup(&bug->timer, timer_over, 0);
	mod_timer(&bug->timer, jiffies + 3600 * HZ);
	kmem_cache_free(cache, bug);
	return 0;
}

static DEFINE_MUTEX(lock_a);
static DEFINE_MUTEX(lock_b);

static int locks(void)
{
	mutex_lock(&lock_a);
	mutex_lock(&lock_b);
	mutex_unlock(&lock_b);
	mutex_unlock(&lock_a);

	mutex_lock(&lock_b);
	mutex_lock(&lock_a);
	mutex_unlock(&lock_a);
	mutex_unlock(&lock_b);
	return 0;
}

static DEFINE_SPINLOCK(lock);

static int sleep(void)
{
	struct kdn_bug *bug;

	spin_lock(&lock);
	bug = new_bug();
	spin_unlock(&lock);
	if (!bug)
		return -ENOMEM;
	kmem_cache_free(cache, bug);
	return 0;
}

static struct kdn_bug __rcu *pointer;

static int rcu(void)
{
	return rcu_dereference(pointer) ? -EBUSY : 0;
}

static unsigned long counter;

static int count(void *data)
{
	while (!kthread_should_stop()) {
		counter++;
		cond_resched();
	}
	return 0;
}

static int race(void)
{
	unsigned long end = jiffies + RACE_SECONDS * HZ;
	struct task_struct *thread;

	thread = kthread_run(count, NULL, "kdn_bug");
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	while (time_before(jiffies, end)) {
		counter++;
		/* Or the compiler would count in a register. */
		barrier();
		cond_resched();
	}
	return kthread_stop(thread);
}

static noinline int takes_an_argument(unsigned long value)
{
	return 0;
}

static int call(void)
{
	int (*without_argument)(void) = (void *)takes_an_argument;

	/* Or the compiler would call it directly. */
	OPTIMIZER_HIDE_VAR(without_argument);
	return without_argument();
}

static int object(void)
{
	struct kdn_bug *bug = new_bug();

	if (!bug)
		return -ENOMEM;
	kmem_cache_free(cache, bug);
	return 0;
}

static int pages(void)
{
	unsigned long page = __get_free_pages(GFP_KERNEL, PAGES_ORDER);

	if (!page)
		return -ENOMEM;
	free_pages(page, PAGES_ORDER);
	return 0;
}

static const struct {
	const char *name;
	int (*plant)(void);
} bugs[] = {
	{ "use_after_free", use_after_free },
	{ "redzone", redzone },
	{ "leak", leak },
	{ "timer", timer },
	{ "locks", locks },
	{ "sleep", sleep },
	{ "rcu", rcu },
	{ "race", race },
	{ "call", call },
	{ "object", object },
	{ "pages", pages },
};

static int plant_set(const char *name, const struct kernel_param *kp)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(bugs); i++)
		if (sysfs_streq(name, bugs[i].name))
			return bugs[i].plant();
	return -EINVAL;
}

static const struct kernel_param_ops plant_ops = {
	.set = plant_set,
};

module_param_cb(plant, &plant_ops, NULL, 0200);

static int __init kdn_bug_init(void)
{
	cache = kmem_cache_create("kdn_bug", sizeof(struct kdn_bug), 0, 0,
				  NULL);
	return cache ? 0 : -ENOMEM;
}

/* It can't be unloaded: what it broke stays broken until the next boot. */
module_init(kdn_bug_init);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Planted bugs, to see the debug kernels find them");
