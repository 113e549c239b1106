/* What one changed message needs on the remote (SYNC R5, R9, R11, R14), and the order in which steps are done: additions before removals.
 *
 * Pure: no I/O.
 */
#ifndef SYNC_PLAN_H
#define SYNC_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/mail/flags.h"
#include "engine/mail/ids.h"

enum plan_kind {
	PLAN_NOTHING,
	PLAN_UPLOAD,  /* new here: APPEND, or COPY of a body the remote has */
	PLAN_MOVE,    /* to another mailbox there */
	PLAN_STORE,   /* flags differ */
	PLAN_EXPUNGE, /* a user removed it */
	PLAN_LATER,   /* it must wait: for another mailbox's lock, for its replacement, for a person */
	PLAN_FORBID,  /* the mailbox is read-only there: it is told, and tried again later */
};

enum plan_place { /* of a mailbox */
	PLAN_READY,
	PLAN_CLOSED, /* it has no counterpart there */
	PLAN_FIXED,  /* read-only there */
	PLAN_BUSY,   /* not locked in this pass, failed in it, or stopped by a hold */
};

struct plan_message {
	bool live;
	bool by_user; /* the tombstone is a user's: removed, replaced, confirmed */
	bool body_here;
	bool held;
	bool base;         /* the remote knows it, */
	bool base_here;    /* has it, as far as we know, */
	bool same_mailbox; /* and in the same mailbox */
	bool flags_differ; /* within what the remote keeps */
	bool waits_for_successor;
	enum plan_place from; /* of the base's mailbox; PLAN_READY without a base */
	enum plan_place to;   /* of the message's mailbox */
};

enum plan_kind plan_message(const struct plan_message *message);

/* Groups of equal flag changes, so that a STORE names many UIDs at once. */
struct plan_store {
	size_t item; /* the caller's index */
	uint32_t uid;
	struct flags add, remove; /* borrowed */
};
/* Sorts so that equal changes stand together, by UID within; gives the length of the group that begins at `first`. */
void plan_store_sort(struct plan_store *stores, size_t count);
size_t plan_store_group(const struct plan_store *stores, size_t count, size_t first);

/* A message on its way from one mailbox to another. */
struct plan_transfer {
	size_t item;
	uint32_t from, to; /* mailbox ids; from 0: an upload */
	uint32_t uid;      /* there, in `from` */
};
void plan_transfer_sort(struct plan_transfer *transfers, size_t count);
size_t plan_transfer_group(const struct plan_transfer *transfers, size_t count, size_t first);

#endif
