/* The base: what a remote and we last agreed on, per mailbox and per message (design 2). Whatever is kept about a remote is kept per remote:
 * `remote` is its number in the account, BASE_REMOTE for the only one there is yet.
 */
#ifndef STORE_BASE_H
#define STORE_BASE_H

#include "engine/base/sha256.h"
#include "engine/mail/uidset.h"
#include "engine/store/message.h"

#define BASE_REMOTE 1u

struct base_mailbox {
	struct mailbox_id mailbox;
	char *raw_name;      /* the remote's spelling */
	char *name;          /* ours, as agreed */
	char separator;      /* '\0': none */
	struct guid id;      /* kind NONE: the remote has none */
	uint32_t attributes; /* enum remote_mailbox_attribute */
	bool subscribed;
	uint32_t uidvalidity; /* 0: never scanned */
	uint32_t uidnext;     /* all below was seen */
	uint64_t highestmodseq;
	uint32_t messages;
	uint32_t seen_uidnext; /* the account check's tuple that was scanned in full (R2) */
	uint64_t seen_highestmodseq;
	uint32_t seen_messages;
	struct flags permanent;
	bool keywords_any, read_only;
	struct modseq merged; /* our modseq up to which the remote has heard */
	int64_t flags_checked_s;
	int64_t gone_s; /* 0: it is there */
};
void base_mailbox_finish(struct base_mailbox *base);

bool base_mailbox_load(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, struct base_mailbox *out,
	struct error *err) MUST_CHECK; /* ERROR_GONE */
bool base_mailbox_each(struct store_txn *txn, uint32_t remote,
	bool (*each)(void *context, const struct base_mailbox *base, struct error *err), void *context,
	struct error *err) MUST_CHECK;
/* Inserts or replaces the row. */
bool base_mailbox_put(struct store_txn *txn, uint32_t remote, const struct base_mailbox *base, struct error *err)
	MUST_CHECK;
/* Removes it with the base of its messages, and what failed of it as a whole: what it held is new to the remote from then on. */
bool base_mailbox_remove(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, struct error *err)
	MUST_CHECK;
/* Tells whether its base knows of messages that were not settled as gone on both sides. */
bool base_mailbox_has_messages(
	struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, bool *out, struct error *err) MUST_CHECK;
/* After a RENAME there: puts the new names at the head of those of the mailbox and all below it. Raw names end a level by the separator. */
bool base_mailbox_rename(struct store_txn *txn, uint32_t remote, struct slice raw_from, struct slice raw_to,
	struct slice from, struct slice to, struct error *err) MUST_CHECK;
/* Raises `merged` of every mailbox of the set to `until`. */
bool base_mailbox_set_merged(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, struct modseq until,
	struct error *err) MUST_CHECK;

enum base_gone {
	BASE_HERE = 0,     /* it is there, as far as is known */
	BASE_KEPT = 1,     /* gone there, kept here on purpose (deletes = keep) */
	BASE_MARKED = 2,   /* only marked \Deleted there (no UIDPLUS): settled, nothing is sent again */
	BASE_EXPUNGED = 3, /* gone there and a tombstone here: kept for R11 until the tombstone is purged */
	BASE_HELD = 4,     /* gone there, a hold keeps it here */
};

enum base_served {
	BASE_SERVED_SAME,    /* the remote serves our body's bytes */
	BASE_SERVED_UNKNOWN, /* it may have changed what we sent */
	BASE_SERVED_OTHER,   /* `digest` is what it serves */
};

struct base_message {
	struct mailbox_id mailbox;
	struct remote_uid uid;
	struct number number;
	struct guid guid;
	uint64_t modseq;
	uint64_t size_bytes; /* as the remote tells it; 0: it was uploaded, and the remote has not told of it yet */
	int64_t internaldate_s;
	enum base_served served;
	struct digest digest;
	struct flags flags;
	enum base_gone gone;
};
void base_message_finish(struct base_message *base);

/* ERROR_GONE where there is none. */
bool base_message_load(struct store_txn *txn, uint32_t remote, struct number number, struct base_message *out,
	struct error *err) MUST_CHECK;
bool base_message_load_by_uid(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, struct remote_uid uid,
	struct base_message *out, struct error *err) MUST_CHECK;
/* Inserts, or replaces the row of that number. Where another number has this UID: ERROR_EXISTS. */
bool base_message_put(struct store_txn *txn, uint32_t remote, const struct base_message *base, struct error *err)
	MUST_CHECK;
bool base_message_set_flags(struct store_txn *txn, uint32_t remote, struct number number, const struct flags *flags,
	uint64_t modseq_or_0, struct error *err) MUST_CHECK;
bool base_message_set_gone(struct store_txn *txn, uint32_t remote, struct number number, enum base_gone gone,
	struct error *err) MUST_CHECK;
bool base_message_remove(struct store_txn *txn, uint32_t remote, struct number number, struct error *err) MUST_CHECK;
/* Hands the row of one number to another (revert, fold). */
bool base_message_renumber(
	struct store_txn *txn, uint32_t remote, struct number from, struct number to, struct error *err) MUST_CHECK;
/* Those with this GUID, in the order of numbers, until the callback gives false. */
bool base_message_each_by_guid(struct store_txn *txn, uint32_t remote, const struct guid *guid,
	bool (*each)(void *context, const struct base_message *base), void *context, struct error *err) MUST_CHECK;
bool base_message_each(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox,
	bool (*each)(void *context, const struct base_message *base, struct error *err), void *context,
	struct error *err) MUST_CHECK;
/* Those there of which the remote has not told yet, from `uid` on. */
bool base_message_each_untold(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, struct remote_uid uid,
	bool (*each)(void *context, const struct base_message *base, struct error *err), void *context,
	struct error *err) MUST_CHECK;
/* The UIDs of a mailbox that are there (gone = BASE_HERE or BASE_MARKED) and that the remote has told of. */
bool base_known(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, uint32_t uidvalidity,
	struct uidset *out, struct error *err) MUST_CHECK;
/* The highest UID that any row has under this UIDVALIDITY; 0: none. */
bool base_highest_uid(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, uint32_t uidvalidity,
	uint32_t *out, struct error *err) MUST_CHECK;
/* The newest message there with a GUID, else any; and the one changed last (R7). false in *out_found: none. */
bool base_newest(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, uint32_t uidvalidity,
	bool last_changed, bool *out_found, struct base_message *out, struct error *err) MUST_CHECK;
/* The server's mailbox was rebuilt or restored (R7): its rows keep what they say, but no UID, until their messages are paired again. Such a
 * row has the UIDVALIDITY 0, and its number for a UID. */
bool base_message_retire(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, struct error *err)
	MUST_CHECK;
/* Those whose messages were there, or are kept or held here against the other side. */
bool base_message_each_retired(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox,
	bool (*each)(void *context, const struct base_message *base, struct error *err), void *context,
	struct error *err) MUST_CHECK;
/* Tells whether there are any that were there. */
bool base_has_retired(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, bool *out, struct error *err)
	MUST_CHECK;
/* Takes away rows of tombstones older than `before_s` that the remote has settled. */
bool base_purge(struct store_txn *txn, uint32_t remote, int64_t before_s, struct error *err) MUST_CHECK;

/* What may have to be told to the remote: a message row changed above a modseq, with its base (NULL: none), in the order of modseqs. */
struct base_change {
	struct message message;
	bool has_base;
	struct base_message base;
};
bool base_change_each(struct store_txn *txn, uint32_t remote, struct modseq since,
	bool (*each)(void *context, const struct base_change *change, struct error *err), void *context,
	struct error *err) MUST_CHECK;
/* One of them by number, whatever its modseq. ERROR_GONE. */
bool base_change_load(struct store_txn *txn, uint32_t remote, struct number number,
	bool (*each)(void *context, const struct base_change *change, struct error *err), void *context,
	struct error *err) MUST_CHECK;
/* The live messages that have this body, until the callback gives false. */
bool base_each_placement(struct store_txn *txn, uint64_t body, bool (*each)(void *context, struct number number),
	void *context, struct error *err) MUST_CHECK;
/* A message there that serves exactly this body, with that internal date: where COPY can take it from. *out_found false: none. */
bool base_find_copy_source(struct store_txn *txn, uint32_t remote, uint64_t body, int64_t internaldate_s,
	bool *out_found, struct base_message *out, struct error *err) MUST_CHECK;
/* Live messages of a mailbox without a base. */
bool base_each_unpaired(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox,
	bool (*each)(void *context, const struct base_change *change, struct error *err), void *context,
	struct error *err) MUST_CHECK;

#endif
