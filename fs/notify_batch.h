/* A batch of the feed: what it tells, copied, and what follows from it. Used by notify alone. */
#ifndef FS_NOTIFY_BATCH_H
#define FS_NOTIFY_BATCH_H

#include "engine/base/arena.h"
#include "engine/base/mutex.h"
#include "engine/view.h"
#include "fs/inode_map.h"
#include "fs/node.h"

struct mount;

struct notify_told { /* view_change, with its texts kept */
	uint8_t octet;
	enum view_change_kind kind;
	uint64_t modseq;
	uint64_t number; /* of a message or local name; of a mailbox its id */
	uint32_t mailbox;
	struct slice name; /* as told: of a mailbox the whole one */
	struct slice leaf; /* the file name */
	bool live, here;
	int parent_kind;
	uint64_t parent;
};

struct notify_batch {
	uint8_t octet;
	struct arena arena;
	struct notify_told *items;
	size_t count, capacity;
	uint64_t *marked; /* directories that changed */
	size_t marked_count, marked_capacity;
	struct inode_map changed; /* mailbox ids: 1 where the directory changed in this batch, else 0 */
};

/* What is kept from one batch to the next. Mailboxes by their inode. */
struct notify_known {
	struct inode_map changed_ns; /* the directory's time when it was last looked at; 0: to be taken as changed */
	struct inode_map uidnext;    /* under the lock: messages below it are known to who listens */
	bool heard[256];             /* under the lock: uidnext is kept, by octet */
};

/* Takes a change into a batch; for view_changes. */
bool notify_batch_collect(void *batch, const struct view_change *change);
/* Finds out which directories changed, and which only hold messages that did. `until`: the modseq up to which the batch tells. */
void notify_batch_look(struct mount *mount, struct notify_known *known, struct notify_batch *batch, uint64_t until);
/* Tells whether a message's name may be new in its directory. */
bool notify_batch_is_new(const struct notify_batch *batch, const struct notify_told *told);
/* Finds the directory that a mailbox's name is in; false if it is not there any more. */
bool notify_batch_parent(struct mount *mount, const struct notify_told *told, uint32_t *out_mailbox);
/* Marks a directory, or all of an account, to be listed anew. */
void notify_batch_mark(struct notify_batch *batch, uint64_t dir_inode);
void notify_batch_mark_all(struct mount *mount, struct notify_batch *batch, uint8_t octet);
/* Writes the lines of .mailfs/events. */
void notify_batch_tell(struct mount *mount, struct mutex *lock, struct notify_known *known, struct notify_batch *batch);
void notify_batch_finish(struct notify_batch *batch);

bool notify_known_messages(struct mount *mount, struct mutex *lock, struct notify_known *known, uint8_t octet,
	struct error *err) MUST_CHECK;
void notify_known_finish(struct notify_known *known);

#endif
