/* What the files of messages share: message.c (load, create, flags), message_place.c (move, rename, expunge, revive), message_set.c (what else is
 * set), listing.c (names and listings). */
#ifndef STORE_MESSAGE_INTERNAL_H
#define STORE_MESSAGE_INTERNAL_H

#include "engine/store/message.h"
#include "engine/store/store_internal.h"

/* Where a message is, without its texts. */
struct message_place {
	struct number number;
	struct mailbox_id mailbox;
	uint32_t uid;
	struct modseq modseq;
	bool live;
	bool here; /* its body */
};

/* ERROR_GONE where there is no such row. */
bool message_load_place(struct store_txn *txn, struct number number, struct message_place *out, struct error *err)
	MUST_CHECK;
/* The same; ERROR_GONE for a tombstone too. */
bool message_load_live(struct store_txn *txn, struct number number, struct message_place *out, struct error *err)
	MUST_CHECK;
/* The next UID of a mailbox, counted with one more message in it. */
bool message_enter(struct store_txn *txn, struct mailbox_id mailbox, uint32_t *out_uid, struct error *err) MUST_CHECK;
/* One message less in it. */
bool message_leave(struct store_txn *txn, struct mailbox_id mailbox, struct error *err) MUST_CHECK;
/* What a name that ended leaves: the one shown, and with `maildir` the one in that view; an empty one goes on, or was never listed. */
bool message_trace(struct store_txn *txn, const struct message_place *place, struct modseq modseq, struct slice name,
	const struct listing *maildir, uint32_t flags, struct error *err) MUST_CHECK;
/* Appends the envelope as it stands in its column. */
void message_pack_envelope(const struct envelope *envelope, struct buf *out);
/* Gives the row its modseq, and nothing else. */
bool message_set_modseq(struct store_txn *txn, struct number number, struct modseq modseq, struct error *err)
	MUST_CHECK;

/* --- listing.c --- */
/* To be set with every change of a row that stat tells of; the next one's ?1 is store_next_changed_ns(txn, 0). */
#define LISTING_CHANGED "changed_ns = CASE WHEN ?1 > changed_ns THEN ?1 ELSE changed_ns + 1000000000 END"
/* Fills what a listing tells of flags. */
void listing_set_flags(struct listing *listing, const struct flags *flags);
/* Reads the column `letters`, and binds it. */
void listing_read_letters(struct listing *listing, struct slice letters);
void listing_bind_letters(struct db_statement *statement, int parameter, const struct listing *listing);
/* A new row is one that changed now, and later than `changed_ns` says, which a move brings along. */
bool listing_insert(struct store_txn *txn, const struct listing *listing, struct error *err) MUST_CHECK;
bool listing_remove(struct store_txn *txn, struct mailbox_id mailbox, uint32_t uid, struct error *err) MUST_CHECK;
/* ERROR_EXISTS when a message other than `but` or a local name has it in this mailbox; ERROR_INVALID when it can be no file name. */
bool listing_check_given(struct store_txn *txn, struct mailbox_id mailbox, struct slice name, struct number but,
	struct error *err) MUST_CHECK;
/* Appends the name that a message of that number is shown under in this mailbox: `made`, with its ID repeated where a given name is in the way. */
bool listing_settle_made(struct store_txn *txn, struct mailbox_id mailbox, struct number number, struct slice made,
	struct buf *out, struct error *err) MUST_CHECK;

#endif
