/* Both sides as text, for a person who looks into a history that failed. */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/sim/world.h"

#define OK(call)                                                   \
	do {                                                       \
		if (!(call)) {                                     \
			fail_msg("%s: %s", #call, world.err.text); \
		}                                                  \
	} while (0)

struct telling {
	FILE *out;
	struct store_txn *txn;
};

static bool
tell_change(void *context, const struct base_change *change, struct error *err)
{
	struct telling *telling = context;
	const struct message *message = &change->message;
	SCOPED(buf_finish) struct buf flags = BUF_INIT;
	char *token = world_token_here(telling->txn, message);

	(void)err;
	flags_print_imap(&message->flags, &flags);
	(void)fprintf(telling->out, "    %" PRIu64 "=%s in %" PRIu32 "%s%s (%.*s)", message->number.value, token,
		message->mailbox.value, message->expunged_s != 0 ? " tombstone" : "", message->hold != 0 ? " held" : "",
		(int)flags.length, flags.length > 0 ? flags.data : "");
	if (change->has_base) {
		(void)fprintf(telling->out, " base: %" PRIu32 "/%" PRIu32 "/%" PRIu32 " gone %d size %" PRIu64,
			change->base.mailbox.value, change->base.uid.uidvalidity, change->base.uid.uid,
			(int)change->base.gone, change->base.size_bytes);
	}
	(void)fputc('\n', telling->out);
	free(token);
	return true;
}

static bool
tell_intent(void *context, const struct intent *intent, struct error *err)
{
	const struct telling *telling = context;

	(void)err;
	(void)fprintf(telling->out,
		"    intent: kind %d of %" PRIu64 ", mailbox %" PRIu32 " to %" PRIu32 ", UID %" PRIu32 "\n",
		(int)intent->kind, intent->number.value, intent->mailbox.value, intent->target.value, intent->uid.uid);
	return true;
}

static bool
tell_mailbox(void *context, const struct mailbox *mailbox, struct error *err)
{
	const struct telling *telling = context;
	struct base_mailbox base;

	(void)fprintf(telling->out, "    mailbox %" PRIu32 " %s%s", mailbox->id.value, mailbox->name,
		mailbox->expunged_s != 0 ? " (removed)" : "");
	if (base_mailbox_load(telling->txn, BASE_REMOTE, mailbox->id, &base, err)) {
		(void)fprintf(telling->out, " base: %s/%" PRIu32 " merged %" PRIu64, base.raw_name, base.uidvalidity,
			base.merged.value);
		base_mailbox_finish(&base);
	}
	error_clear(err);
	(void)fputc('\n', telling->out);
	return true;
}

void
world_tell(FILE *out)
{
	struct telling telling = {.out = out};

	world_read_begin();
	telling.txn = world.txn;
	(void)fprintf(out, "  here, at modseq %" PRIu64 ":\n", store_modseq(world.txn).value);
	OK(mailbox_each(world.txn, true, tell_mailbox, &telling, &world.err));
	OK(base_change_each(world.txn, BASE_REMOTE, (struct modseq){0}, tell_change, &telling, &world.err));
	OK(intent_each(world.txn, BASE_REMOTE, tell_intent, &telling, &world.err));
	world_read_end();
	(void)fprintf(out, "  there:\n");
	for (size_t i = 0; i < world.server->count; i++) {
		const struct model_mailbox *mailbox = world.server->mailboxes[i];

		(void)fprintf(out, "    %s/%" PRIu32 " next %" PRIu32 ":", mailbox->name, mailbox->uidvalidity,
			mailbox->uidnext);
		for (size_t j = 0; j < mailbox->count; j++) {
			const struct model_message *message = &mailbox->messages[j];
			struct slice token = model_token(slice_make(message->body, message->length));
			SCOPED(buf_finish) struct buf flags = BUF_INIT;

			flags_print_imap(&message->flags, &flags);
			(void)fprintf(out, " %" PRIu32 "=%.*s(%.*s)", message->uid, (int)token.length, token.data,
				(int)flags.length, flags.length > 0 ? flags.data : "");
		}
		(void)fputc('\n', out);
	}
}
