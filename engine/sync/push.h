/* What the files of the push share: the items gathered from our feed and how their effects are settled. Not for other files.
 *
 * push.c gathers and orders, push_transfer.c uploads, copies and moves, push_change.c stores flags and expunges.
 */
#ifndef SYNC_PUSH_H
#define SYNC_PUSH_H

#include "engine/sync/plan.h"
#include "engine/sync/run.h"

#define PUSH_APPEND_MESSAGES 100
#define PUSH_APPEND_BYTES    (8u << 20)

struct push_item {
	enum plan_kind kind;
	struct number number;
	struct mailbox_id mailbox; /* where it is here */
	struct flags flags;
	int64_t internaldate_s;
	uint64_t body;
	int64_t expunged_s;
	bool confirmed; /* a person let it pass */
	bool has_base;
	struct base_message base;
	struct flags add, remove; /* for PLAN_STORE */
	bool copy;                /* an upload whose body the remote has: `source` */
	struct base_message source;
};

struct push_forbidden {
	struct number number;
	struct mailbox_id mailbox; /* where it is here */
	struct mailbox_id fixed;   /* the one that is read-only there */
};

struct push {
	struct run *run;
	struct store_txn *txn; /* while gathering */
	bool changes;          /* second round: flags and expunges; else transfers */
	struct push_item *items;
	size_t count, capacity;
	uint64_t *aside; /* numbers set aside and not due, rising */
	size_t aside_count;
	uint64_t *confirmed; /* numbers of confirmed holds, rising */
	size_t confirmed_count;
	uint64_t *stale; /* numbers set aside for what is no more */
	size_t stale_count;
	struct push_forbidden *forbidden; /* what cannot be done there */
	size_t forbidden_count;
	enum plan_kind last; /* of the change just looked at */
	uint64_t *no_copy;   /* numbers whose COPY was refused in this pass */
	size_t no_copy_count;
};

/* After a call that failed: true when the session lives on and only this was lost; the boxes are looked at again. */
bool push_survives(struct push *push, struct run_box *a, struct run_box *b, struct error *err);
bool push_transfers(struct push *push, struct error *err) MUST_CHECK;
bool push_changes(struct push *push, struct error *err) MUST_CHECK;

#endif
