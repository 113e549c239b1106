/* What the parts of one mount share. */
#ifndef FS_MOUNT_INTERNAL_H
#define FS_MOUNT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/base/mutex.h"
#include "fs/displaced.h"
#include "fs/inode_map.h"
#include "fs/mount.h"
#include "fs/node.h"
#include "fs/reply.h"

#define MOUNT_ACCOUNTS_MAX 256
#define MOUNT_OPCODES_MAX  64 /* counters by the kernel's number of an operation */

struct handle;
struct park;
struct notify;
struct file;

struct mount_account {
	struct account *account; /* NULL: no account has this octet */
	char *directory;         /* its name above several accounts */
	bool read_only;          /* direction = pull */
};

struct mount {
	struct engine *engine;
	struct mount_options options;
	char *dir;
	struct fuse_session *session;
	int device_fd; /* /dev/fuse */
	bool attached;
	int abort_fd; /* attach_abort_open */
	pid_t guard;  /* a process, or 0 */
	int wakeup;   /* eventfd: a signal came, or a thread ended */
	_Atomic bool stop;
	pthread_mutex_t
		taking; /* who has it reads the next request; beneath all ranks, for it is held while brief ones are answered */
	bool can_expire;
	_Atomic bool maildir_used; /* somebody looked into the Maildir view: the kernel may know names of it */
	bool unopened; /* -o ro where all bodies are kept: OPEN and OPENDIR are answered with ENOSYS, and none comes again (design 5) */
	uid_t uid;
	gid_t gid;
	mode_t umask;
	int64_t started_ns;
	_Atomic uint64_t own_counts[MOUNT_OPCODES_MAX];
	_Atomic uint64_t *counts; /* own_counts, or a mapped file that a test reads */

	struct mount_account accounts[MOUNT_ACCOUNTS_MAX]; /* by octet */
	size_t account_count;
	uint8_t sole; /* the octet of the only account, whose directory is the root; else 0 */

	struct park *park;
	struct notify *notify;

	struct mutex lock;        /* rank FS: held for a moment, never while the engine is called */
	struct inode_map aliases; /* under lock: inode the kernel knows -> inode of what it became (file.h) */
	struct inode_map
		shown; /* under lock: message -> the inode number that it shows, of the one it replaced in place (file.h) */
	_Atomic bool some_shown;          /* it is not empty */
	struct inode_map dir_times;       /* under lock: directory -> when this mount last changed it, ns (dir.h) */
	struct handle *open_handles;      /* under lock */
	struct inode_map open_bodies;     /* under lock: message -> its first open struct handle (handle.h) */
	struct inode_map bodies_here;     /* under lock: messages whose body was here -> their mtime (handle.h) */
	struct inode_map files;           /* under lock: inode -> struct file written through this mount (file.h) */
	struct file *named_files;         /* under lock: those whose name is nowhere else yet */
	size_t named_file_count;          /* under lock */
	struct displaced_table displaced; /* under lock: messages under a temporary's name (displaced.h) */
	struct control_reader *readers;   /* under lock: who has .mailfs/events open (view_control.c) */
	struct inode_map
		unmade; /* under lock: mailbox in the Maildir view -> which of cur, new, tmp are not made yet (view_maildir.c) */
};

/* The directory of an account in the view that is the root. */
static inline struct node
mount_top(const struct mount *mount, uint8_t octet)
{
	return (struct node){
		.kind = mount->options.view == MOUNT_VIEW_MAILDIR ? NODE_MAILDIR : NODE_MAILBOX, .account = octet};
}

/* The inode number of a node: the root's own where it is the root. */
static inline uint64_t
mount_inode(const struct mount *mount, struct node node)
{
	if (mount->sole != 0 && node_equal(node, mount_top(mount, mount->sole))) {
		return NODE_ROOT_INODE;
	}
	return node_pack(node);
}

/* What an inode number stands for by itself; false for a number that was never given, or of an account that is not here. */
static inline bool
mount_node(const struct mount *mount, uint64_t inode, struct node *out)
{
	if (!node_unpack(inode, out)) {
		return false;
	}
	if (out->kind == NODE_ACCOUNTS && mount->sole != 0) {
		*out = mount_top(mount, mount->sole);
	}
	return out->kind == NODE_ACCOUNTS || mount->accounts[out->account].account != NULL;
}

static inline struct account *
mount_account(const struct mount *mount, uint8_t octet)
{
	return mount->accounts[octet].account;
}

/* The account there, if it has anything that may change: not one that is unusable. */
static inline struct account *
mount_living_account(const struct mount *mount, uint8_t octet)
{
	struct account *account = mount->accounts[octet].account;

	return account != NULL && account_failure(account) == NULL ? account : NULL;
}

static inline bool
mount_is_read_only(const struct mount *mount, uint8_t octet)
{
	return mount->options.read_only || mount->accounts[octet].read_only;
}

#endif
