#include "engine/sync/run.h"

/* A mailbox to put it into: the moved message's, unless that was removed meanwhile. */
static bool
remnant_place(struct store_txn *txn, struct mailbox_id wanted, struct mailbox_id *out, struct error *err)
{
	struct mailbox mailbox;

	if (!mailbox_load(txn, wanted, &mailbox, err)) {
		return false;
	}
	bool live = mailbox.expunged_s == 0;

	mailbox_finish(&mailbox);
	*out = wanted;
	if (live) {
		return true;
	}
	if (!mailbox_load_by_name(txn, SLICE_LITERAL("INBOX"), &mailbox, err)) {
		return false;
	}
	*out = mailbox.id;
	mailbox_finish(&mailbox);
	return true;
}

bool
remnant_make(struct store_txn *txn, const struct base_message *base, struct error *err)
{
	struct base_message left = *base; /* flags borrowed */
	struct message message;

	if (!message_load(txn, base->number, &message, err)) {
		return false;
	}
	struct message_new new = {
		.flags = base->flags,
		.internaldate_s = base->internaldate_s,
		.size_bytes = message.size_bytes,
		.body = message.body,
	};
	struct mailbox_id wanted = message.mailbox;

	memcpy(new.identity, message.identity, sizeof(new.identity));
	message_finish(&message);
	/* It is never seen: made and ended in one transaction. */
	if (!remnant_place(txn, wanted, &new.mailbox, err) || !message_create(txn, &new, &left.number, err) ||
		!message_expunge(txn, left.number, MESSAGE_REPLACED, base->number, err)) {
		return error_wrap(err, "what a move left behind");
	}
	left.gone = BASE_HERE;
	return base_message_remove(txn, RUN_REMOTE, base->number, err) && base_message_put(txn, RUN_REMOTE, &left, err);
}
