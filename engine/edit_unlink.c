/* unlink in the Maildir view (design 5, Writing): an expunge, unless it is the second half of a move.
 *
 * Mail programs move by making a copy in the other mailbox and unlinking the original. Where that copy was not sent yet, the original takes its
 * place, with its number, and goes there as a move; where it was, the server has copied it by itself, and the original is expunged.
 */
#include "engine/edit_internal.h"
#include "engine/store/base.h"
#include "engine/store/intent.h"

#define SECOND_HALF_S 60

/* A message is on its way out; what may have taken its place. */
struct leaving {
	struct store_txn *txn;
	const struct message *message;
	int64_t since_s;
	struct message half; /* number 0: there is none */
	struct error *err;
	bool failed;
};

/* Tells whether the remote may have heard of a message. */
static bool
was_sent(struct store_txn *txn, struct number number, bool *out, struct error *err)
{
	struct base_message base;

	if (base_message_load(txn, BASE_REMOTE, number, &base, err)) {
		base_message_finish(&base);
		*out = true;
		return true;
	}
	if (err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	return intent_exists(txn, BASE_REMOTE, number, out, err);
}

static bool
look_at(void *context, struct number number)
{
	struct leaving *leaving = context;
	const struct message *message = leaving->message;
	struct message other;
	bool sent = true;

	if (number.value == message->number.value) {
		return true;
	}
	leaving->failed = !edit_load_live(leaving->txn, number, &other, leaving->err);
	if (leaving->failed) {
		return false;
	}
	if (other.mailbox.value == message->mailbox.value || other.saved_s < leaving->since_s ||
		other.internaldate_s != message->internaldate_s) {
		message_finish(&other);
		return true;
	}
	leaving->failed = !was_sent(leaving->txn, number, &sent, leaving->err);
	if (leaving->failed || sent) {
		message_finish(&other);
		return !leaving->failed;
	}
	leaving->half = other;
	return false;
}

/* It takes the other's place: mailbox, names in both views, flags. */
static bool
take_place(struct store_txn *txn, struct number number, const struct message *half, struct error *err)
{
	SCOPED(listing_finish) struct listing listing = {0};
	SCOPED(buf_finish) struct buf path = BUF_INIT;
	struct maildir_name name;
	bool applied;

	if (!listing_load(txn, half->number, &listing, err)) {
		return false;
	}
	listing_print_maildir(&listing, &path);
	return message_expunge(txn, half->number, MESSAGE_BY_USER, (struct number){0}, err) &&
	       message_move(txn, number, half->mailbox, listing.name, err) &&
	       message_set_flags(txn, number, &half->flags, (struct modseq){0}, &applied, err) &&
	       (!maildir_name_read_path(buf_slice(&path), &name) ||
		       message_set_maildir(txn, number, name.base, name.is_new, err));
}

static bool
leave(struct account *account, struct store_txn *txn, struct number number, struct number *out_took, struct error *err)
{
	SCOPED(message_finish) struct message message = {0};
	struct leaving leaving = {
		.txn = txn, .message = &message, .since_s = io_wall_s(account->io) - SECOND_HALF_S, .err = err};
	bool ok;

	*out_took = (struct number){0};
	if (!edit_load_live(txn, number, &message, err) || !edit_check_mailbox(txn, message.mailbox, err)) {
		return false;
	}
	if (message.body != 0 && (!base_each_placement(txn, message.body, look_at, &leaving, err) || leaving.failed)) {
		return false;
	}
	if (leaving.half.number.value == 0) {
		return message_expunge(txn, number, MESSAGE_BY_USER, (struct number){0}, err);
	}
	*out_took = leaving.half.number;
	ok = take_place(txn, number, &leaving.half, err);
	message_finish(&leaving.half);
	return ok;
}

bool
edit_message_unlink(struct account *account, struct number number, struct number *out_took, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;

	return edit_begin_brief(account, &txn, err) && leave(account, txn, number, out_took, err) &&
	       edit_commit(account, &txn, STORE_LAZY, err);
}
