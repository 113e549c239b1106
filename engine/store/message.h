/* Rows of messages with their listings: create, move, flags, expunge (S1, S2). Every changing function takes the next modseq, keeps
 * `listing`, `trace`, mailbox counts and directory times in step, and does nothing (no modseq) where nothing would change.
 */
#ifndef STORE_MESSAGE_H
#define STORE_MESSAGE_H

#include "engine/mail/envelope.h"
#include "engine/mail/flags.h"
#include "engine/store/store.h"

enum message_state {        /* what `user.mailfs.state` tells together with base and intents (design 5, Flags) */
	MESSAGE_PLAIN = 0,  /* the rest follows from base and body */
	MESSAGE_FAILED = 1, /* set aside: `error` says why */
};

enum message_cause {           /* why it is a tombstone */
	MESSAGE_BY_USER = 1,   /* rm, unlink, a tool */
	MESSAGE_BY_REMOTE = 2, /* vanished there */
	MESSAGE_REPLACED = 3,  /* R14: `successor` */
	MESSAGE_FOLDED = 4,    /* turned out to be another message (R4) */
	MESSAGE_CONFIRMED = 5, /* a hold was confirmed */
};

struct message {
	struct number number;
	struct mailbox_id mailbox;
	uint32_t uid; /* ours */
	struct flags flags;
	int64_t internaldate_s, saved_s;
	uint64_t size_bytes;
	struct modseq modseq;
	uint8_t identity[17]; /* all 0: none */
	uint64_t body;        /* body.id, 0: not here */
	enum message_state state;
	char *error;        /* or NULL */
	uint64_t hold;      /* 0: none */
	int64_t expunged_s; /* 0: live */
	enum message_cause expunged_by;
	struct number successor;
};

void message_finish(struct message *message);

/* ERROR_GONE where there is no such row; tombstones are rows. */
bool message_load(struct store_txn *txn, struct number number, struct message *out, struct error *err) MUST_CHECK;
/* The envelope; texts are empty where the header is not here. */
bool message_load_envelope(struct store_txn *txn, struct number number, struct envelope *out, struct error *err)
	MUST_CHECK;

enum message_lies {
	MESSAGE_LIES_BY_FLAGS,
	MESSAGE_LIES_IN_NEW,
	MESSAGE_LIES_IN_CUR
}; /* by flags: in new if it has none */

struct message_new {
	struct number number; /* taken by store_next_number for it alone; 0: the next one */
	struct mailbox_id mailbox;
	struct flags flags; /* borrowed */
	int64_t internaldate_s;
	uint64_t size_bytes;
	uint8_t identity[17];
	uint64_t body;                   /* 0: not here */
	int64_t changed_ns;              /* the ctime that was told of it already; 0: now */
	const struct envelope *envelope; /* NULL: header not here, so not listed yet */
	struct slice name;               /* given by a user; empty: made from the envelope */
	struct slice base_name;          /* that a mail program chose in the Maildir view, or empty */
	enum message_lies lies;
};
/* Makes a live message. ERROR_EXISTS when the given name, or base name, is taken in that mailbox. */
bool message_create(struct store_txn *txn, const struct message_new *new, struct number *out, struct error *err)
	MUST_CHECK;
/* Replaces flags by `flags`, unless the row's modseq is not `seen` (0: any): then *out_changed is false, and nothing is done. */
bool message_set_flags(struct store_txn *txn, struct number number, const struct flags *flags, struct modseq seen,
	bool *out_applied, struct error *err) MUST_CHECK;
/* Adds and removes, whatever is there. */
bool message_change_flags(struct store_txn *txn, struct number number, const struct flags *add,
	const struct flags *remove, struct error *err) MUST_CHECK;
/* Moves it to another mailbox under a new local UID; number, flags, dates and body stay; a trace remains. An empty name makes one (a given name is kept if free). */
bool message_move(struct store_txn *txn, struct number number, struct mailbox_id to, struct slice name,
	struct error *err) MUST_CHECK;
/* Renames it within its mailbox (a given name). */
bool message_rename(struct store_txn *txn, struct number number, struct slice name, struct error *err) MUST_CHECK;
/* Sets its base name in the Maildir view, and whether it lies in new; both a mail program chose, and both end when the message leaves its mailbox.
 * ERROR_EXISTS. */
bool message_set_maildir(
	struct store_txn *txn, struct number number, struct slice base_name, bool is_new, struct error *err) MUST_CHECK;
/* Makes it a tombstone; its body stays for the undelete time. */
bool message_expunge(struct store_txn *txn, struct number number, enum message_cause cause, struct number successor,
	struct error *err) MUST_CHECK;
/* Makes a tombstone live again, in `to`, with its number (R11: the remote's removal was half of a move). */
bool message_revive(struct store_txn *txn, struct number number, struct mailbox_id to, struct error *err) MUST_CHECK;
/* The body has come: sets body and exact size; the header's fields too if it was not listed (then it gets its name). */
bool message_set_body(struct store_txn *txn, struct number number, uint64_t body, uint64_t size_bytes,
	const struct envelope *envelope_or_null, const uint8_t identity_or_null[17], struct error *err) MUST_CHECK;
bool message_set_internaldate(struct store_txn *txn, struct number number, int64_t internaldate_s, struct error *err)
	MUST_CHECK;
/* mtime here only (design 5, Times). */
bool message_set_mtime(struct store_txn *txn, struct number number, int64_t mtime_s, struct error *err) MUST_CHECK;
/* Sets or clears (error NULL) why it failed; told in xattrs and status. */
bool message_set_failed(struct store_txn *txn, struct number number, const char *error_or_null, struct error *err)
	MUST_CHECK;
/* Puts a live message into the feed once more: something of it is to be told to a remote that seemed to know all. */
bool message_touch(struct store_txn *txn, struct number number, struct error *err) MUST_CHECK;
bool message_set_hold(struct store_txn *txn, struct number number, uint64_t hold_or_0, struct error *err) MUST_CHECK;

/* --- listings --- */
struct listing {
	struct number number;
	struct mailbox_id mailbox;
	uint32_t uid;
	struct slice name;      /* valid during the callback, or owned by listing_finish after a load */
	struct slice base_name; /* empty: none */
	bool given, here;
	bool is_new, passed; /* in the Maildir view: it lies in new; it has $Forwarded */
	uint64_t size_bytes;
	int64_t mtime_s;
	int64_t changed_ns; /* of the last change that stat tells of; never goes back */
	int64_t told_ns;    /* to be written in its place, as it is; 0: none */
	uint32_t flags;     /* bits */
	char *owned;        /* what a load allocated */
};
/* Appends its name in the Maildir view, as `cur/BASE:2,LETTERS`. */
void listing_print_maildir(const struct listing *listing, struct buf *out);
void listing_finish(struct listing *listing);
/* In the order of UIDs, those above `after_uid`, until the callback gives false. */
bool listing_each(struct store_txn *txn, struct mailbox_id mailbox, uint32_t after_uid,
	bool (*each)(void *context, const struct listing *listing), void *context, struct error *err) MUST_CHECK;
/* ERROR_GONE where it is not live or not listed. */
bool listing_load(struct store_txn *txn, struct number number, struct listing *out, struct error *err) MUST_CHECK;
/* By name as shown: given names first, then the ID is parsed and the row's name compared. ERROR_GONE. */
bool listing_load_by_name(struct store_txn *txn, struct mailbox_id mailbox, struct slice name, struct listing *out,
	struct error *err) MUST_CHECK;

/* By its base name in the Maildir view: one that was chosen, else the made one. ERROR_GONE. */
bool listing_load_by_base_name(struct store_txn *txn, struct mailbox_id mailbox, struct slice base_name,
	struct listing *out, struct error *err) MUST_CHECK;

/* --- for hydration and cp --- */
/* Numbers of live messages whose body is not here, newest first, opened mailboxes first; internaldate at least `since_s`. */
bool message_each_missing(struct store_txn *txn, struct mailbox_id mailbox_or_0, int64_t since_s, size_t limit,
	bool (*each)(void *context, struct number number, struct mailbox_id mailbox), void *context, struct error *err)
	MUST_CHECK;
/* Some live message (or tombstone, if none is live) with this body. ERROR_GONE. */
bool message_find_by_body(struct store_txn *txn, uint64_t body, struct number *out, struct error *err) MUST_CHECK;

#endif
