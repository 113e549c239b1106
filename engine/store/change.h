/* The one feed: what changed since a modseq (S3). Sync, kernel invalidation and (later) search read it and nothing else. */
#ifndef STORE_CHANGE_H
#define STORE_CHANGE_H

#include "engine/store/message.h"

enum change_kind {
	CHANGE_MESSAGE, /* the row is as told: live or tombstone, its listing if any */
	CHANGE_NAME_ENDED, /* a message's name in a mailbox ended (moved, renamed, expunged), or the one in the Maildir view */
	CHANGE_MAILBOX,       /* a mailbox's row: created, renamed, attributes, expunged */
	CHANGE_MAILBOX_ENDED, /* a mailbox's whole name ended */
	CHANGE_LOCAL,         /* a local name: made, changed or removed */
	CHANGE_RESET,         /* tombstones above your modseq were purged: drop all and list anew */
};

struct change {
	enum change_kind kind;
	struct modseq modseq;
	struct number number; /* message or local id */
	struct mailbox_id mailbox;
	struct slice
		name; /* as shown; for mailboxes the whole name; valid during the callback; of NAME_ENDED empty: it goes on */
	struct slice maildir; /* the one in the Maildir view, as cur/BASE:2,LETTERS; the same */
	uint32_t flags;
	bool live;
	bool here;       /* body is here */
	int parent_kind; /* LOCAL */
	uint64_t parent;
};

/* Calls back for every change above `since` in the order of modseqs, at most `limit`; gives the modseq up to which it has told. */
bool change_each(struct store_txn *txn, struct modseq since, size_t limit,
	bool (*each)(void *context, const struct change *change), void *context, struct modseq *out_until,
	struct error *err) MUST_CHECK;

#endif
