/* What the files of the pull share. Not for other files.
 *
 * pull.c writes what a scan brings while it goes on; pull_match.c pairs what had to wait and places the rest; pull_gone.c removes.
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

/* --- pull_match.c --- */
/* Pairs what had to wait with messages here; what finds no partner moved, or is new. */
bool pull_match(struct run *run, struct error *err) MUST_CHECK;

#endif
