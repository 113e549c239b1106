/* Holds, and what the brake counts (design 8). A hold is durable and frozen: it lists the messages that a person's answer is about. */
#ifndef STORE_HOLD_H
#define STORE_HOLD_H

#include "engine/mail/side.h"
#include "engine/store/store.h"

enum hold_kind {
	HOLD_DELETIONS = 1, /* too many */
	HOLD_VANISHED = 2,  /* the remote's mailbox is gone, with messages in it */
	HOLD_REBUILT = 3,   /* R7 */
	HOLD_REMOVED = 4,   /* our mailbox is gone, the remote's has messages in it that we did not settle */
	HOLD_SETTINGS = 5,  /* direction or deletes changed */
};
enum hold_state { HOLD_WAITING = 0, HOLD_CONFIRMED = 1, HOLD_REVERTED = 2 };

struct hold {
	uint64_t id;
	struct mailbox_id mailbox; /* 0: the account */
	enum side side;            /* on which messages would be expunged */
	enum hold_kind kind;
	enum hold_state state;
	struct modseq modseq;
	int64_t created_s;
	char *reason;
	uint64_t messages; /* how many it lists; filled on reading */
};
void hold_finish(struct hold *hold);
bool hold_add(struct store_txn *txn, uint32_t remote, struct hold *hold, struct error *err)
	MUST_CHECK; /* fills hold->id */
bool hold_add_message(struct store_txn *txn, uint64_t hold, struct number number, struct error *err) MUST_CHECK;
bool hold_remove_message(struct store_txn *txn, uint64_t hold, struct number number, struct error *err) MUST_CHECK;
bool hold_load(struct store_txn *txn, uint64_t id, struct hold *out, struct error *err) MUST_CHECK; /* ERROR_GONE */
bool hold_each(struct store_txn *txn, uint32_t remote,
	bool (*each)(void *context, const struct hold *hold, struct error *err), void *context, struct error *err)
	MUST_CHECK;
bool hold_each_message(struct store_txn *txn, uint64_t hold,
	bool (*each)(void *context, struct number number, struct error *err), void *context, struct error *err)
	MUST_CHECK;
bool hold_set_state(struct store_txn *txn, uint64_t id, enum hold_state state, struct error *err) MUST_CHECK;
/* Removes it with its list. */
bool hold_remove(struct store_txn *txn, uint64_t id, struct error *err) MUST_CHECK;
/* Makes a removed mailbox live again under its name, or beside the one that took it ("X (recovered)"); its parents too. */
bool hold_revive_mailbox(struct store_txn *txn, struct mailbox_id mailbox, struct error *err) MUST_CHECK;

/* Counts of the last hour of running time, per mailbox (0: the account) and side. */
bool hold_note_deletion(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, enum side side,
	struct number number, struct error *err) MUST_CHECK;
bool hold_note_size(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox_or_0, enum side side,
	uint64_t messages, struct error *err) MUST_CHECK;
bool hold_passed(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox_or_0, enum side side, uint64_t *out,
	struct error *err) MUST_CHECK;
bool hold_largest(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox_or_0, enum side side, uint64_t *out,
	struct error *err) MUST_CHECK;
/* Adds seconds of running time and forgets what is older than an hour of it. */
bool hold_run_clock(struct store_txn *txn, uint32_t remote, uint64_t seconds, struct error *err) MUST_CHECK;

#endif
