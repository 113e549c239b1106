/* What the files of the pull share. Not for other files.
 *
 * pull.c writes what a scan brings while it goes on; pull_match.c pairs what had to wait; pull_move.c finds moves and places the rest;
 * pull_gone.c removes.
 */
#ifndef SYNC_PULL_H
#define SYNC_PULL_H

#include "engine/sync/run.h"

/* Merges the remote's flags of a message of the base into its row here; the base becomes what the remote has. */
bool pull_merge_flags(struct run *run, struct store_txn *txn, struct run_box *box, const struct base_message *base,
	const struct flags *theirs, uint64_t modseq, struct error *err) MUST_CHECK;
/* The base row of an arrival; its flags are the arrival's, not to be finished. */
struct base_message pull_base_of(const struct run *run, const struct run_arrival *arrival, struct number number);

struct pull_mate { /* a message with the same GUID */
	uint64_t body;
	struct number tombstone;
	bool elsewhere;
	struct number held; /* gone there as it seemed, and held */
	struct store_txn *txn;
	struct error *err;
	bool failed;
};
bool pull_find_mate(struct store_txn *txn, const struct guid *guid, struct pull_mate *out, struct error *err)
	MUST_CHECK;
bool pull_create(struct run *run, struct store_txn *txn, struct run_arrival *arrival, uint64_t body_of_mate,
	struct error *err) MUST_CHECK;
/* The remote removed it from one mailbox in an earlier pass and put it into another now: the tombstone lives again (R11). */
bool pull_revive(struct run *run, struct store_txn *txn, struct run_arrival *arrival, struct number number,
	struct error *err) MUST_CHECK;

/* --- pull_move.c --- */
/* What is gone in one mailbox and new in another with the same GUID moved. */
bool pull_moves(struct run *run, struct error *err) MUST_CHECK;
/* The same by octets, where one of them has no GUID. */
bool pull_moves_alike(struct run *run, struct error *err) MUST_CHECK;
/* What is left of what had to wait is new, or comes back. */
bool pull_place_all(struct run *run, struct error *err) MUST_CHECK;

/* --- pull_wait.c --- */
/* Marks what is left for a pass that looks at more mailboxes. */
bool pull_wait(struct run *run, struct error *err) MUST_CHECK;

/* Whether no mailbox is left out that something may have moved to or from. */
bool pull_sees_all(const struct run *run);
/* Whether what moved here and is gone there may be sent to where it is here: when two passes that saw all have not found it elsewhere there, for it may move while
 * one of them looks. */
bool pull_is_surely_gone(struct run *run, struct number number);
/* This message is not sent by this pass: what came, or will be seen to have come, may be it. */
void pull_let_wait(struct run *run, struct number number);

/* --- pull_match.c --- */
/* It was found: what was on its way to somewhere is not looked for any more. */
bool pull_settle_intents_of(struct run *run, struct store_txn *txn, struct number number, struct error *err) MUST_CHECK;
/* Pairs what had to wait with messages here; what finds no partner moved, or is new. */
bool pull_match(struct run *run, struct error *err) MUST_CHECK;

#endif
