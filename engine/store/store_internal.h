/* What the files of engine/store share: a transaction's connection, values in and out of statements, and the counters of mailboxes that a write
 * keeps in memory until it commits. Not for other layers.
 */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include <assert.h>

#include "engine/base/sha256.h"
#include "engine/db/db.h"
#include "engine/mail/flags.h"
#include "engine/store/store.h"

/* The connection to prepare statements on. */
struct db *store_db(struct store_txn *txn);
/* Prepares, with the transaction's connection. */
bool store_prepare(struct store_txn *txn, const char *sql, struct db_statement **out, struct error *err) MUST_CHECK;
/* The same for a statement that changes something: asserts that the transaction is a write. */
bool store_prepare_write(struct store_txn *txn, const char *sql, struct db_statement **out, struct error *err)
	MUST_CHECK;

/* Flags are two places or columns, the bits first: `flags, keywords`. What is read is the caller's to finish. */
void store_bind_flags(struct db_statement *statement, int place, const struct flags *flags);
struct flags store_read_flags(const struct db_statement *statement, int column);
/* Digests are blobs of 32 octets; NULL binds NULL, and reading what is none gives false. */
void store_bind_digest(struct db_statement *statement, int place, const struct digest *digest_or_null);
bool store_read_digest(const struct db_statement *statement, int column, struct digest *out);
/* GUIDs are two places or columns: kind, value. */
void store_bind_guid(struct db_statement *statement, int place, const struct guid *guid);
void store_read_guid(const struct db_statement *statement, int column, struct guid *out);
/* A copy to be freed; NULL for NULL. */
char *store_read_text(const struct db_statement *statement, int column);
/* Text that may be NULL. */
void store_bind_text(struct db_statement *statement, int place, const char *text_or_null);

/* The wall clock when the transaction first asked for it. */
int64_t store_wall_s(struct store_txn *txn);

/* --- counters of a mailbox, in memory until the commit (message_create must not pay for them row by row) --- */
struct store_counters {
	struct mailbox_id mailbox;
	uint32_t uidnext;
	uint32_t messages;
	int64_t changed_ns; /* as of the row */
	bool changed;       /* something in the directory: its time moves at the commit */
	bool dirty;         /* differs from the row */
};
/* Gives those of a mailbox, read from its row the first time; valid until the next call. ERROR_GONE. In a write only. */
bool store_counters(struct store_txn *txn, struct mailbox_id mailbox, struct store_counters **out, struct error *err)
	MUST_CHECK;
/* The same if they were asked for already, else NULL; in any transaction. */
const struct store_counters *store_counters_peek(const struct store_txn *txn, struct mailbox_id mailbox);
/* Drops them without writing: the mailbox has just ended. */
void store_counters_forget(struct store_txn *txn, struct mailbox_id mailbox);
/* Notes that the directory changed. */
bool store_touch(struct store_txn *txn, struct mailbox_id mailbox, struct error *err) MUST_CHECK;

/* Names that users gave may look like a made one: these two keep the highest number that the ID in any of them tells, so that a made name of a
 * higher number need not be looked for among them. */
void store_note_given(struct store_txn *txn, struct slice name);
bool store_may_meet_given(const struct store_txn *txn, struct number number);

/* A reader of the feed below this lists anew, whatever the database says: changes were lost (store_group.c). */
uint64_t store_lost_modseq(struct store *store);

/* A directory's next time: never back, and by a whole second while the clock is behind it. */
int64_t store_next_changed_ns(struct store_txn *txn, int64_t last_ns);

/* The directory that holds the mailbox `name` has changed: a mailbox, or the top, whose time is meta tree_changed_ns (mailbox.c). */
bool mailbox_touch_parent(struct store_txn *txn, struct slice name, struct error *err) MUST_CHECK;

#endif
