/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * trace.h - tracepoints, for bpftrace, perf and libbpf-tools on a live system
 *
 * In tracefs they are under events/kernfs_delete_notify.  No address is shown:
 * a node is known by its inode number and its name.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kernfs_delete_notify

#if !defined(KDN_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define KDN_TRACE_H

#include <linux/fs.h>
#include <linux/kernfs.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

#include "compat.h"

#define KDN_TRACE_NAME	64

DECLARE_EVENT_CLASS(kdn_node,
		    TP_PROTO(struct kernfs_node *kn),
		    TP_ARGS(kn),
		    TP_STRUCT__entry(__field(u64, ino)
				     __array(char, name, KDN_TRACE_NAME)),
		    TP_fast_assign(__entry->ino = kernfs_ino(kn);
				   strscpy_pad(__entry->name, kdn_name(kn),
					       KDN_TRACE_NAME);),
		    TP_printk("ino=%llu name=%s", __entry->ino, __entry->name)
);

/* The worker took a node that is being removed. */
DEFINE_EVENT(kdn_node, kdn_noted,
	     TP_PROTO(struct kernfs_node *kn), TP_ARGS(kn));

/* The watchers of a node that only a walk (a resync) has found were told. */
DEFINE_EVENT(kdn_node, kdn_resynced,
	     TP_PROTO(struct kernfs_node *kn), TP_ARGS(kn));

/* The watchers of an inode were told that its file is gone. */
TRACE_EVENT(kdn_delivered,
	    TP_PROTO(struct inode *inode),
	    TP_ARGS(inode),
	    TP_STRUCT__entry(__field(dev_t, dev)
			     __field(u64, ino)
			     __array(char, name, KDN_TRACE_NAME)),
	    TP_fast_assign(struct kernfs_node *kn = inode->i_private;

			   __entry->dev = inode->i_sb->s_dev;
			   __entry->ino = inode->i_ino;
			   strscpy_pad(__entry->name, kdn_name(kn),
				       KDN_TRACE_NAME);),
	    TP_printk("dev=%d:%d ino=%llu name=%s", MAJOR(__entry->dev),
		      MINOR(__entry->dev), __entry->ino, __entry->name)
);

#endif /* KDN_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
