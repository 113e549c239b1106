#include "engine/sync/run.h"

bool
remnant_make(struct store_txn *txn, const struct base_message *base, struct error *err)
{
	struct base_message left = *base; /* flags borrowed */
	struct message message;

	if (!message_load(txn, base->number, &message, err)) {
		return false;
	}
	struct message_new new = {
		.mailbox = message.mailbox,
		.flags = base->flags,
		.internaldate_s = base->internaldate_s,
		.size_bytes = message.size_bytes,
		.body = message.body,
	};

	memcpy(new.identity, message.identity, sizeof(new.identity));
	message_finish(&message);
	/* It is never seen: made and ended in one transaction. */
	if (!message_create(txn, &new, &left.number, err) || !message_expunge(txn, left.number, MESSAGE_REPLACED, base->number, err)) {
		return error_wrap(err, "what a move left behind");
	}
	left.gone = BASE_HERE;
	return base_message_remove(txn, RUN_REMOTE, base->number, err) && base_message_put(txn, RUN_REMOTE, &left, err);
}
