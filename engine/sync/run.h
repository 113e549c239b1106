/* What the files of engine/sync share: one pass in progress. Not for other layers.
 *
 * A pass goes through mailboxes (tree), scan, pull, push, removals; each has its file. It holds no transaction over the network: what the remote says is
 * gathered in batches and written in short transactions.
 */
#ifndef SYNC_RUN_H
#define SYNC_RUN_H

#include "engine/base/arena.h"
#include "engine/mime/identity.h"
#include "engine/store/base.h"
#include "engine/store/body.h"
#include "engine/store/hold.h"
#include "engine/store/intent.h"
#include "engine/store/mailbox.h"
#include "engine/sync/merge.h"
#include "engine/sync/sync.h"

#define RUN_BATCH_MESSAGES 500
#define RUN_BATCH_BYTES    (4u << 20) /* two of them are in memory: one comes in while the other is written */
#define RUN_DEFERRED_MAX   20000      /* arrivals kept until all mailboxes are scanned, because they may be moves */

#define RUN_ALIKE_MAX   1000 /* arrivals without GUIDs that wait so, and are compared by octets with what is gone */
#define RUN_ALIKE_BYTES (64u << 20)

struct sync {
	struct io *io;
	struct store *store;
	const struct sync_settings *settings;
	struct io_lock_file *locks;
	int64_t last_run_ms;  /* for the clock of running time */
	int64_t last_full_ms; /* the daily comparison */
	uint64_t *missed;     /* numbers that moved here and were gone there in the last pass that saw all */
	size_t missed_count;
	bool doubted; /* a mailbox was missing from the last listing: believed when a new connection says so too */
};

/* A mailbox of the remote's listing. */
struct run_remote {
	struct remote_mailbox mailbox; /* raw_name in the arena */
	struct slice name;             /* ours, in the arena */
	struct mailbox_id paired;      /* our row, 0: none */
};

/* A message that is new there. */
struct run_arrival {
	size_t box;
	uint32_t uid;
	struct flags flags;
	uint64_t modseq;
	int64_t internaldate_s;
	uint64_t size_bytes;
	struct guid guid;
	struct identity identity;
	struct envelope envelope;
	bool has_header;
	struct body_prepared *body; /* or NULL */
	bool done;                  /* settled otherwise */
	bool waits;                 /* for a pass that sees more */
};

/* Flags of a message of the base. */
struct run_flag {
	size_t box;
	uint32_t uid;
	struct flags flags;
	uint64_t modseq;
};

/* A message of the base that is gone there. */
struct run_gone {
	struct number number;
	size_t box;
	uint32_t uid;
	struct guid guid;
	bool settled; /* moved, or gone on both sides */
	bool lost;    /* not found again in a mailbox that was rebuilt (R7) */
};

/* What came and is to be written together. */
struct run_batch {
	struct run_arrival *arrivals; /* of RUN_BATCH_MESSAGES */
	size_t arrival_count, arrival_bytes;
	struct run_flag *flags; /* of RUN_BATCH_MESSAGES */
	size_t flag_count;
};

struct run_box {
	struct mailbox_id id;
	char *name; /* ours */
	bool live;  /* false: removed here, to be removed there */
	bool in_trash;
	struct base_mailbox base;
	const struct run_remote *remote; /* NULL: not listed (local_only), or vanished */
	bool vanished;
	bool locked, busy;
	bool wants_scan, wants_push;
	bool has_unpaired; /* messages here without a base */
	bool reused; /* its UIDs are given anew: what a scan tells of them is not believed. The listing thread's */
	bool other;  /* a UID of the base names another message. The writing thread's */
	uint32_t highest_uid;       /* that the base has */
	bool rebuilt;               /* found in this pass to be another one than its base knows (R7) */
	bool repairs;               /* its messages are being paired again */
	bool held_here, held_there; /* a hold waits: nothing more is expunged on that side */
	bool set_aside;             /* what is to be done to it there is not tried again yet */
	bool scanned;               /* successfully in this pass */
	bool differs;               /* there, from what the last scan saw */
	bool waits;                 /* something in it is left for a pass that sees more */
	bool doubtful;              /* not listed, and that is not believed yet */
	bool look_again;            /* left alone by R2, and what came elsewhere may have been moved out of it */
	bool passed_over;           /* something new in it was not taken */
	bool dead;                  /* removed here while the pass runs: the next one sees to it */
	bool failed;
	struct remote_selected selected; /* as of the end of the scan */
	struct uidset known;
	bool push_incomplete; /* something must be looked at again: `merged` stays */
	bool left_out;        /* it has something to push, and this pass is not about it */
};

struct run {
	uint64_t id; /* of the pass, for the log */
	struct sync *sync;
	struct remote_session *session;
	const struct sync_pass *pass;
	struct sync_result *result;
	struct arena arena;
	enum sync_direction direction;

	struct run_remote *remotes;
	size_t remote_count, remote_capacity;
	struct run_box *boxes;
	size_t box_count;
	struct intent *intents; /* unsettled, of earlier runs */
	size_t intent_count;

	struct modseq snapshot; /* ours as of which changes here were gathered */
	struct modseq gathered; /* the first one, as of which boxes were found to have changes or none */
	bool tree_locked;

	/* scanning */
	bool fresh;               /* there was no base at all when the pass began: nothing can have moved */
	struct run_batch batch;   /* that is being filled */
	struct run_batch written; /* that is being written beside, else empty */
	struct store_behind
		*behind; /* ... or NULL. Meanwhile nothing of the run is touched but `batch` and what has come so far */
	struct run_arrival *deferred;
	size_t deferred_count, deferred_capacity;
	uint64_t deferred_bytes;
	uint64_t *waiting; /* numbers that are not sent, because what came may be them */
	size_t waiting_count;
	struct run_gone *gone;
	size_t gone_count, gone_capacity;
	uint64_t progress_done, progress_total;
};

#define RUN_REMOTE BASE_REMOTE

#define RUN_TREE 0 /* the octet of the tree in locks/mailboxes; a mailbox has that of its row */

/* --- run.c --- */
/* Takes a lock of locks/mailboxes (R1); ERROR_RETRY: somebody else has it. The log tells of both ends, from within the lock. */
bool run_lock(struct run *run, uint64_t octet, int64_t timeout_ms, struct error *err) MUST_CHECK;
void run_unlock(struct run *run, uint64_t octet);
/* A line of the result's text: "INBOX: 3 messages are held: …". */
void run_say(struct run *run, const char *format, ...) PRINTF_LIKE(2, 3);
void run_progress(struct run *run, const char *phase);
/* Notes that a message or mailbox failed and is tried again later (R13). */
bool run_set_aside(struct run *run, struct number number, struct mailbox_id mailbox, enum side direction,
	const struct error *why, struct error *err) MUST_CHECK;
struct run_box *run_box_of(struct run *run, struct mailbox_id id); /* or NULL */
/* Looks whether the mount has removed a mailbox since the pass began; then box->dead, and nothing more is written into it. */
bool run_look_at_box(struct run *run, struct store_txn *txn, struct run_box *box, struct error *err) MUST_CHECK;
size_t run_box_index(const struct run *run, const struct run_box *box);
struct remote_target run_target(const struct run_box *box);
struct merge_mask run_mask(const struct run_box *box);
void run_arrival_finish(struct run_arrival *arrival);
void run_batch_init(struct run_batch *batch);
void run_batch_clear(struct run_batch *batch); /* lets go of what is in it */
void run_batch_finish(struct run_batch *batch);
/* Commits a write of a pass, lazily, unless the pass is dry. */
bool run_write(struct run *run, bool (*write)(struct run *run, struct store_txn *txn, void *context, struct error *err),
	void *context, enum store_durability durability, struct error *err) MUST_CHECK;
/* The same item by item, 0 to count - 1: between two of them it commits and begins anew when the mount waits, or it took long (S8). `first`: of a transaction. Where
 * one fails what was committed before stays. */
typedef bool run_write_one(
	struct run *run, struct store_txn *txn, void *context, size_t index, bool first, struct error *err);
bool run_write_each(struct run *run, run_write_one *write, void *context, size_t count, struct error *err) MUST_CHECK;
/* The same in a reading transaction. */
bool run_read(struct run *run, bool (*read)(struct run *run, struct store_txn *txn, void *context, struct error *err),
	void *context, struct error *err) MUST_CHECK;
/* Tells whether an error ends the pass (the session, the store) or only what it is about. */
bool run_error_is_local(const struct error *err);
/* Whether it is time to try again; a full pass tries all. */
bool run_aside_is_due(const struct run *run, const struct aside *aside);
/* What failed before has been done: it is set aside no more. */
bool run_clear_failure(struct store_txn *txn, struct number number, struct error *err) MUST_CHECK;
/* Notes the size that the remote tells of what was uploaded, and by it whether it serves our octets. */
bool run_complete_base(struct store_txn *txn, struct base_message *base, uint64_t size_bytes, struct error *err)
	MUST_CHECK;
/* Remembers an intent that this pass made and could not settle; the detail is in the arena. */
void run_add_intent(struct run *run, const struct intent *intent);
/* Where an intent of a message brings it; 0 for those of mailboxes. */
struct mailbox_id run_intent_target(const struct intent *intent);
/* The flags it is to have there, kept in intent->detail: the ancestor of what is found there. */
char *run_intent_detail(struct run *run, const struct flags *flags);
void run_intent_flags(const struct intent *intent, struct flags *out);

/* --- mailboxes.c: the tree (R8) --- */
/* Both under the tree's lock: what is listed before it may be gone by then. */
bool mailboxes_check(struct run *run, struct error *err) MUST_CHECK;
bool mailboxes_sync(struct run *run, struct error *err) MUST_CHECK;
/* --- gather.c --- */
bool gather_boxes(struct run *run, struct error *err)
	MUST_CHECK; /* fills run->boxes; under the tree's lock where there is a listing */
/* Reads again what others may have changed before the boxes were locked: bases and intents (R1). */
bool gather_again(struct run *run, struct error *err) MUST_CHECK;
/* --- removals.c: mailboxes that end (R8) --- */
/* Those that vanished there and have nothing left here; before push. */
bool removals_here(struct run *run, struct error *err) MUST_CHECK;
/* Those removed here whose messages are settled; last of all. */
bool removals_there(struct run *run, struct error *err) MUST_CHECK;
/* What an earlier run left half done, so that the listing that follows shows no names of ours. */
bool removals_settle(struct run *run, struct error *err) MUST_CHECK;

/* --- scan.c: what the remote says (R3) --- */
bool scan_boxes(struct run *run, struct error *err) MUST_CHECK;
/* The mailbox is not the one of its base (R7): from the next pass on its messages are paired again. */
bool scan_begin_repair(struct run *run, struct run_box *box, const char *reason, struct error *err) MUST_CHECK;

/* --- pull.c, pull_match.c, pull_gone.c: into the store (R4-R6, R11) --- */
/* Writes run->batch, beside; what was being written before is written when it returns. */
bool pull_batch_behind(struct run *run, struct error *err) MUST_CHECK;
/* After a failure: lets what is being written end, and drops the rest, which comes again. */
void pull_batch_drop(struct run *run);
/* Writes all that came, and returns when it is written. */
bool pull_batch(struct run *run, struct error *err) MUST_CHECK;
bool pull_gone_uids(struct run *run, struct run_box *box, const struct uidset *uids, struct error *err) MUST_CHECK;
/* What was uploaded and is not in a complete scan: it went before the remote told of it. */
bool pull_gone_untold(struct run *run, struct run_box *box, struct error *err) MUST_CHECK;
/* What was not found again in a mailbox that was rebuilt. */
bool pull_gone_lost(struct run *run, struct run_box *box, struct error *err) MUST_CHECK;
/* The whole mailbox vanished: all its base is gone, unless it turns up elsewhere. */
bool pull_gone_all(struct run *run, struct run_box *box, struct error *err) MUST_CHECK;
bool pull_finish(struct run *run, struct error *err) MUST_CHECK; /* what had to wait, then what is gone */

/* --- remnant.c --- */
/* A move that is COPY and EXPUNGE has left its source behind, as `base` has it: gives it a tombstone of its own, which takes the base row over. It names
 * the message that moved as its successor, so it goes when that one is settled there (R14). Where it can only be marked, that is how it ends. */
bool remnant_make(struct store_txn *txn, const struct base_message *base, struct error *err) MUST_CHECK;

/* --- push.c: to the remote (R9-R11, R14) --- */
bool push_boxes(struct run *run, struct error *err) MUST_CHECK;

/* --- holds.c: the brake --- */
/* Decides for deletions of one mailbox on `side`: each passes (true in `passes`, and is noted), or all that count are made a hold of. */
bool holds_decide(struct run *run, struct store_txn *txn, struct run_box *box, enum side side,
	const struct number *numbers, size_t count, uint64_t left, bool *passes, struct error *err) MUST_CHECK;
bool holds_make(struct run *run, struct store_txn *txn, struct mailbox_id mailbox, enum side side, enum hold_kind kind,
	const char *reason, const struct number *numbers, size_t count, struct error *err) MUST_CHECK;
/* It is there after all: the hold lists it no more, and is over when it lists nothing. */
bool holds_release(struct store_txn *txn, uint64_t hold, struct number number, struct error *err) MUST_CHECK;
/* Carries out what a person answered since the last pass, as far as it is ours to do; what goes to the remote is left to push. */
bool holds_answer(struct run *run, struct error *err) MUST_CHECK;
/* A mailbox that was held as vanished is back: what the hold kept is as it was. */
bool holds_unhold_vanished(struct store_txn *txn, struct mailbox_id mailbox, struct error *err) MUST_CHECK;
/* Marks boxes by the holds that wait. */
bool holds_mark(struct run *run, struct error *err) MUST_CHECK;
/* Numbers of the live messages of the account, for the brake. */
bool holds_note_sizes(struct run *run, struct error *err) MUST_CHECK;

#endif
