/* The store: the local replica, one SQLite database with the index and the small bodies, and files for large bodies (design 6).
 *
 * Reading goes through a snapshot (store_read_begin), writing through a transaction (store_write_begin); every function below and in
 * mailbox.h, message.h, body.h, base.h, change.h takes the `struct store_txn` of either. A reading function works in both; a changing one asserts that it is in a
 * write. Within the process writers queue and the mount goes first; between processes `locks/writer` (S8). No transaction outlives its
 * request or waits for the network, and who has begun a write takes no lock ranked before the store's until it has ended.
 *
 * Durability: a commit is DURABLE (synchronous=FULL, it is on disk when it returns) or LAZY (it rides on the next durable one, at the latest after 100 ms, done by
 * a thread of the store). Bodies swept and checkpoints are store_maintain's, called by the driver.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "engine/io/io.h"
#include "engine/mail/ids.h"

struct store;
struct store_txn;

enum store_priority { STORE_MOUNT, STORE_ENGINE };
enum store_durability { STORE_DURABLE, STORE_LAZY };

struct store_identity { /* whose account it is (S6) */
	const char *server;
	const char *user;
};

/* Opens the store at `path`, making it when there is none. ERROR_CONFIG: another account's, a foreign uid, a network file system, or an empty directory where a
 * store was (`marks` says so); ERROR_FATAL: a newer program's; ERROR_DAMAGED. *out_rolled_back (may be NULL) tells that the database is older than its
 * marks: an old copy was put back (S6). identity NULL: do not check. */
bool store_open(struct io *io, const char *path, const struct store_identity *identity, bool *out_rolled_back,
	struct store **out, struct error *err) MUST_CHECK;
void store_close(struct store **store);
struct io *store_io(struct store *store);
struct io_dir *store_dir(struct store *store);

/* Whether there is a store at all. What begins a transaction, and store_sync, ask this: where a store could not be opened, NULL in its place fails them
 * with EIO. */
bool store_check(const struct store *store, struct error *err) MUST_CHECK;

bool store_read_begin(struct store *store, struct store_txn **out, struct error *err) MUST_CHECK;
/* The same for a moment: a lookup, a stat, a part of a listing. It also sees brief writes of this process that are not committed yet, without making them
 * wait for their commit, but may keep its writers waiting. Nothing else of the store may be begun by the same thread before it ends, but another look. */
bool store_look_begin(struct store *store, struct store_txn **out, struct error *err) MUST_CHECK;
/* Ends either; accepts NULL inside. */
void store_read_end(struct store_txn **txn);

bool store_write_begin(struct store *store, enum store_priority priority, struct store_txn **out, struct error *err)
	MUST_CHECK;
/* The same for one lazy change of the mount: a rename, a move, an expunge, flags. Several of them share a commit, so each costs a tenth of one. In it
 * only one changing function may be called, and when that fails the write is to be rolled back. */
bool store_write_begin_brief(struct store *store, struct store_txn **out, struct error *err) MUST_CHECK;
/* Ends it either way; on failure everything is rolled back. Notes the last modseq in `wake` and calls the listener. */
bool store_write_commit(struct store_txn **txn, enum store_durability durability, struct error *err) MUST_CHECK;
/* Rolls back; accepts NULL inside, so it serves SCOPED. */
void store_write_rollback(struct store_txn **txn);
/* The engine's long writes ask this between rows: true when the mount waits or 50 ms are over, so commit and begin again (S8). */
bool store_write_should_yield(struct store_txn *txn);
/* Makes every commit so far durable. */
bool store_sync(struct store *store, struct error *err) MUST_CHECK;

/* A write made beside its caller, by a thread of its own: `write` begins and commits it, and touches nothing that the caller does until it has ended it. */
struct store_behind;
struct store_behind *store_behind_begin(bool (*write)(void *context, struct error *err), void *context);
/* Waits for it and tells what `write` told; nothing where there is none (NULL inside). */
bool store_behind_end(struct store_behind **behind, struct error *err) MUST_CHECK;

/* The modseq of the snapshot, and the next one in a write. */
struct modseq store_modseq(struct store_txn *txn);
struct modseq store_next_modseq(struct store_txn *txn);
bool store_is_write(const struct store_txn *txn);
struct store *store_of(struct store_txn *txn);

/* Hears of commits: by this process at once, by others through `wake` (inotify); called from the committing thread or the store's own, holding
 * no lock of the store's; it must only signal. */
void store_set_listener(struct store *store, void (*changed)(void *context), void *context);

/* Key and value, for what has no table. */
bool store_meta_get_u64(struct store_txn *txn, const char *key, uint64_t *out, struct error *err)
	MUST_CHECK; /* 0 if missing */
bool store_meta_set_u64(struct store_txn *txn, const char *key, uint64_t value, struct error *err) MUST_CHECK;
bool store_meta_get_text(struct store_txn *txn, const char *key, struct buf *out, struct error *err)
	MUST_CHECK; /* empty if missing */
bool store_meta_set_text(struct store_txn *txn, const char *key, struct slice value, struct error *err) MUST_CHECK;

/* The next message number (also for local names), from a block that `marks` recorded first (S6). */
bool store_next_number(struct store_txn *txn, struct number *out, struct error *err) MUST_CHECK;

/* Checkpoints, sweeps bodies nobody needs (S5), purges tombstones and traces older than `undelete_days` that every remote has settled. Short steps; call when idle. */
bool store_maintain(struct store *store, unsigned undelete_days, struct error *err) MUST_CHECK;
/* Quick consistency check for `check` and tests: counts agree, listings match messages, no body missing. Appends a sentence per finding. */
bool store_audit(struct store *store, struct buf *out_findings, struct error *err) MUST_CHECK;

#endif
