/* A batch of the feed: what it tells, copied, and what follows from it. Used by notify alone. */
#ifndef FS_NOTIFY_BATCH_H
#define FS_NOTIFY_BATCH_H

#include "engine/base/arena.h"
#include "engine/view.h"
#include "fs/inode_map.h"
#include "fs/node.h"

struct mount;

struct notify_told { /* view_change, with its texts kept */
	uint8_t octet;
	enum view_change_kind kind;
	uint64_t modseq; /* 0: not known, and late enough */
	uint64_t number; /* of a message or local name; of a mailbox its id */
	uint32_t mailbox;
	struct slice name;    /* as told: of a mailbox the whole one */
	struct slice leaf;    /* the file name */
	struct slice maildir; /* of a message: its name in the Maildir view, as cur/BASE:2,S */
	bool live, here;
	int parent_kind;
	uint64_t parent;
};

#define NOTIFY_BATCH_PART 4096

struct notify_batch {
	uint8_t octet;
	struct arena arena;
	struct notify_told *items;
	size_t count, capacity;
	struct notify_told *begun; /* names of messages that began: a part of them, at most NOTIFY_BATCH_PART */
	size_t begun_count, begun_capacity;
	struct arena begun_arena;
	uint32_t *unfinished; /* mailboxes of which there are more */
	size_t unfinished_count, unfinished_capacity;
	uint64_t *marked; /* directories that changed */
	size_t marked_count, marked_capacity;
};

/* What is kept from one batch to the next, by inode. */
struct notify_known {
	struct inode_map uids;     /* mailbox -> the highest UID of which was told */
	struct inode_map fresh;    /* messages found new whose own change is still to be told */
	struct inode_map unlisted; /* messages that had no name yet when they were told */
};

/* Notes how far an account's mailboxes go by now. */
bool notify_known_begin(struct mount *mount, struct notify_known *known, uint8_t octet, struct error *err) MUST_CHECK;
void notify_known_finish(struct notify_known *known);

/* Takes a change into a batch; for view_changes. */
bool notify_batch_collect(void *batch, const struct view_change *change);
/* Finds the names of messages that began: what the feed tells of a message does not say whether it is new. */
bool notify_batch_look(struct mount *mount, struct notify_known *known, struct notify_batch *batch, struct error *err)
	MUST_CHECK;
/* Finds the next part of them, in place of the last one; false when there are no more. */
bool notify_batch_look_on(struct mount *mount, struct notify_known *known, struct notify_batch *batch);
/* Finds the directory that a mailbox's name is in; false if it is not there any more. */
bool notify_batch_parent(struct mount *mount, const struct notify_told *told, uint32_t *out_mailbox);
/* The same as told of the file name in the Maildir view, and its directory there; false if it has none, or the kernel knows nothing of that view. */
bool notify_batch_in_maildir(
	struct mount *mount, const struct notify_told *told, struct notify_told *out_told, struct node *out_dir);
/* Marks cur and new of a mailbox, whose times move with each change in it, to be listed anew. */
void notify_batch_mark_maildir(struct mount *mount, struct notify_batch *batch, uint8_t octet, uint32_t mailbox);
/* Marks a directory, or all of an account, to be listed anew. */
void notify_batch_mark(struct notify_batch *batch, uint64_t dir_inode);
void notify_batch_mark_all(struct mount *mount, struct notify_batch *batch);
/* Writes the lines of .mailfs/events. */
void notify_batch_tell(struct mount *mount, struct notify_known *known, struct notify_batch *batch);
void notify_batch_finish(struct notify_batch *batch);

#endif
