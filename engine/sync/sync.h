/* One account's sync: the pass that brings store and remote to agreement (SYNC R1-R14), hydration, and holds.
 *
 * A `struct sync` belongs to one thread at a time; it blocks in the sessions it is given and ends early by their cancel. It reads and writes the
 * store in short transactions and never holds one over the network. While a listing comes in, what came before is written by a thread beside
 * (store_behind_begin); it has ended when the call returns.
 */
#ifndef SYNC_SYNC_H
#define SYNC_SYNC_H

#include "engine/remote/remote.h"
#include "engine/store/store.h"

enum sync_direction { SYNC_BOTH, SYNC_PULL, SYNC_PUSH };

struct sync_settings {         /* borrowed for the sync's life */
	const char *mailboxes; /* globs */
	enum sync_direction direction;
	bool deletes_keep;
	unsigned hold_percent, hold_number;
	bool hold_off;
	unsigned undelete_days;
	const char *trash;
	/* Bodies wanted without being asked: internaldate at least this (INT64_MIN: all, INT64_MAX: none). */
	int64_t (*bodies_since_s)(void *context);
	void (*thread_begins)(void); /* called by a thread that writes beside; may be NULL */
	void *context;
};

struct sync_result {
	uint64_t new_here, new_there, moved_here, moved_there, flags_here, flags_there, expunged_here, expunged_there,
		bodies;
	uint64_t mailboxes_scanned;
	uint64_t mailboxes_changed; /* created, renamed, removed, subscribed, on either side */
	uint64_t failed, held, deferred;
	bool again; /* something waits for another pass soon (a lost race, a lost answer to look for) */
	int64_t again_in_ms;
	bool reconnect; /* what this connection tells contradicts itself or the base: the next pass is to have a new one */
	struct buf text; /* a line per failure, hold, deferral; with dry_run the plan */
};

struct sync_pass {
	const struct slice *mailboxes; /* names of ours; count 0: all */
	size_t mailbox_count;
	bool full, dry_run;
	bool local_only;       /* only what changed here: no account check (a local change starts its upload at once) */
	bool bodies_with_scan; /* let new messages come with their bodies (a pass without a mount) */
	int64_t lock_timeout_ms;
	void (*progress)(void *context, const char *phase, uint64_t done, uint64_t total);
	void (*mailbox_done)(void *context, struct mailbox_id mailbox); /* may be NULL */
	void *context;
};

struct sync;
struct sync *sync_create(struct io *io, struct store *store, const struct sync_settings *settings);
void sync_destroy(struct sync **sync);

/* One pass. Fails as a whole only when the session or the store does; what failed of it is in the result, which is filled in either case. */
bool sync_pass_run(struct sync *sync, struct remote_session *session, const struct sync_pass *pass,
	struct sync_result *result, struct error *err) MUST_CHECK;
void sync_result_finish(struct sync_result *result);

/* Brings the bodies of these messages of one mailbox; those that are here already are passed over. `done` hears of each, with an error (NULL: it is here). Any number of
 * threads may hydrate with sessions of their own while a pass runs. */
bool sync_hydrate(struct io *io, struct store *store, struct remote_session *session, struct mailbox_id mailbox,
	const struct number *numbers, size_t count,
	void (*done)(void *context, struct number number, const struct error *error), void *context, struct error *err)
	MUST_CHECK;
/* All bodies that the policy wants and that are not here, until there are none. */
bool sync_hydrate_wanted(struct sync *sync, struct remote_session *session, const struct sync_pass *pass,
	struct sync_result *result, struct error *err) MUST_CHECK;

/* A person's answer to a hold: marks it in the store; the next pass carries it out. ERROR_GONE if there is no such waiting hold. */
bool sync_confirm(struct store *store, uint64_t hold, struct buf *out_text, struct error *err) MUST_CHECK;
bool sync_revert(struct store *store, uint64_t hold, struct buf *out_text, struct error *err) MUST_CHECK;
/* Lists waiting holds: a line each, or JSON. */
bool sync_held(struct store_txn *txn, bool json, struct buf *out, uint64_t *out_count, struct error *err) MUST_CHECK;
/* Changes here that the remote has not settled; per mailbox when each is not NULL. */
bool sync_queued(struct store_txn *txn, uint64_t *out, struct error *err) MUST_CHECK;
/* `user.mailfs.state` of a message: "local", "remote", "queued", "sending", "synced", "held", "failed". */
bool sync_message_state(struct store_txn *txn, struct number number, const char **out, struct error *err) MUST_CHECK;
/* The remote's GUID and modseq as text, for xattrs; empty where none. */
bool sync_message_remote(struct store_txn *txn, struct number number, struct buf *out_guid, uint64_t *out_modseq,
	struct error *err) MUST_CHECK;

#endif
