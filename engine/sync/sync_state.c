/* What sync tells of itself: states of messages, what is queued, what is held, and a person's answers. Reads the store; no network. */
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "engine/base/json.h"
#include "engine/base/log.h"
#include "engine/mail/safe_text.h"
#include "engine/store/message.h"
#include "engine/sync/run.h"

/* --- messages --- */

struct state_intent {
	struct number number;
	bool found;
};

static bool
state_find_intent(void *context, const struct intent *intent, struct error *err)
{
	struct state_intent *state = context;

	(void)err;
	state->found |= intent->number.value == state->number.value;
	return true;
}

static struct merge_mask
state_mask(const struct base_mailbox *mailbox)
{
	return (struct merge_mask){.permanent = mailbox->permanent, .keywords_any = mailbox->keywords_any};
}

/* Tells whether a message differs from its base in what the remote keeps. */
static bool
state_differs(struct store_txn *txn, const struct message *message, const struct base_message *base, bool *out,
	struct error *err)
{
	struct base_mailbox mailbox;

	*out = true;
	if (base->mailbox.value != message->mailbox.value || message->expunged_s != 0) {
		return true;
	}
	if (!base_mailbox_load(txn, RUN_REMOTE, base->mailbox, &mailbox, err)) {
		if (err->kind == ERROR_GONE) {
			error_clear(err);
			return true;
		}
		return false;
	}
	struct merge_mask mask = state_mask(&mailbox);
	SCOPED(flags_finish) struct flags ours = merge_masked(&message->flags, &mask);
	SCOPED(flags_finish) struct flags theirs = merge_masked(&base->flags, &mask);

	*out = !flags_equal(&ours, &theirs);
	base_mailbox_finish(&mailbox);
	return true;
}

bool
sync_message_state(struct store_txn *txn, struct number number, const char **out, struct error *err)
{
	struct state_intent intent = {.number = number};
	struct base_message base;
	struct message message;
	bool differs = true;

	if (!message_load(txn, number, &message, err)) {
		return false;
	}
	if (message.hold != 0) {
		*out = "held";
	} else if (message.state == MESSAGE_FAILED) {
		*out = "failed";
	} else if (base_message_load(txn, RUN_REMOTE, number, &base, err)) {
		bool ok = state_differs(txn, &message, &base, &differs, err);

		*out = base.gone == BASE_KEPT ? "local" : differs ? "queued" : message.body == 0 ? "remote" : "synced";
		base_message_finish(&base);
		if (!ok) {
			message_finish(&message);
			return false;
		}
	} else if (err->kind == ERROR_GONE) {
		error_clear(err);
		if (!intent_each(txn, RUN_REMOTE, state_find_intent, &intent, err)) {
			message_finish(&message);
			return false;
		}
		*out = intent.found ? "sending" : "queued";
	} else {
		message_finish(&message);
		return false;
	}
	message_finish(&message);
	return true;
}

bool
sync_message_remote(
	struct store_txn *txn, struct number number, struct buf *out_guid, uint64_t *out_modseq, struct error *err)
{
	struct base_message base;

	*out_modseq = 0;
	if (!base_message_load(txn, RUN_REMOTE, number, &base, err)) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		return true;
	}
	buf_append(out_guid, slice_make(base.guid.value, base.guid.length));
	*out_modseq = base.modseq;
	base_message_finish(&base);
	return true;
}

/* --- the queue --- */

struct state_queue {
	struct store_txn *txn;
	struct base_mailbox *mailboxes;
	size_t count;
	struct modseq since;
	uint64_t queued;
};

static bool
state_take_mailbox(void *context, const struct base_mailbox *base, struct error *err)
{
	struct state_queue *queue = context;

	(void)err;
	if ((base->attributes & REMOTE_NOSELECT) != 0) {
		return true;
	}
	struct base_mailbox *more = realloc(queue->mailboxes, (queue->count + 1) * sizeof(*more));

	if (more == NULL) {
		abort();
	}
	queue->mailboxes = more;
	more[queue->count] = *base;
	more[queue->count].raw_name = slice_dup(slice_of(base->raw_name));
	more[queue->count].name = slice_dup(slice_of(base->name));
	more[queue->count++].permanent = flags_copy(&base->permanent);
	queue->since.value = base->merged.value < queue->since.value ? base->merged.value : queue->since.value;
	return true;
}

static const struct base_mailbox *
state_mailbox(const struct state_queue *queue, struct mailbox_id id)
{
	for (size_t i = 0; i < queue->count; i++) {
		if (queue->mailboxes[i].mailbox.value == id.value) {
			return &queue->mailboxes[i];
		}
	}
	return NULL;
}

static bool
state_count_change(void *context, const struct base_change *change, struct error *err)
{
	struct state_queue *queue = context;
	const struct message *message = &change->message;
	bool live = message->expunged_s == 0;

	(void)err;
	if (message->hold != 0 || message->state == MESSAGE_FAILED) {
		return true;
	}
	if (!change->has_base) {
		const struct base_mailbox *to = state_mailbox(queue, message->mailbox);

		queue->queued += live && message->body != 0 && (to == NULL || !to->read_only);
		return true;
	}
	if (change->base.gone != BASE_HERE) {
		return true;
	}
	if (!live) {
		queue->queued += message->expunged_by != MESSAGE_BY_REMOTE && message->expunged_by != MESSAGE_FOLDED;
		return true;
	}
	if (change->base.mailbox.value != message->mailbox.value) {
		queue->queued++;
		return true;
	}
	const struct base_mailbox *mailbox = state_mailbox(queue, message->mailbox);

	if (mailbox != NULL) {
		struct merge_mask mask = state_mask(mailbox);
		SCOPED(flags_finish) struct flags ours = merge_masked(&message->flags, &mask);
		SCOPED(flags_finish) struct flags theirs = merge_masked(&change->base.flags, &mask);

		queue->queued += !flags_equal(&ours, &theirs);
	}
	return true;
}

/* A mailbox that the remote does not know yet, under another name, or not as removed. */
static bool
state_count_mailbox(void *context, const struct mailbox *mailbox, struct error *err)
{
	struct state_queue *queue = context;
	struct base_mailbox base;

	if (!base_mailbox_load(queue->txn, RUN_REMOTE, mailbox->id, &base, err)) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		queue->queued += mailbox->expunged_s == 0 && mailbox->kind == MAILBOX_REAL;
		return true;
	}
	if (base.gone_s == 0) {
		queue->queued += mailbox->expunged_s != 0 || !slice_equal(slice_of(base.name), slice_of(mailbox->name));
	}
	base_mailbox_finish(&base);
	return true;
}

bool
sync_queued(struct store_txn *txn, uint64_t *out, struct error *err)
{
	struct state_queue queue = {.txn = txn, .since = {UINT64_MAX}};
	bool ok = base_mailbox_each(txn, RUN_REMOTE, state_take_mailbox, &queue, err);

	if (queue.since.value == UINT64_MAX) {
		queue.since.value = 0;
	}
	ok = ok && base_change_each(txn, RUN_REMOTE, queue.since, state_count_change, &queue, err) &&
	     mailbox_each(txn, true, state_count_mailbox, &queue, err);
	for (size_t i = 0; i < queue.count; i++) {
		base_mailbox_finish(&queue.mailboxes[i]);
	}
	free(queue.mailboxes);
	*out = queue.queued;
	return ok;
}

/* --- holds --- */

struct state_held {
	struct store_txn *txn;
	struct json *json;
	struct buf *text;
	uint64_t count;
};

static const char *
state_hold_kind(enum hold_kind kind)
{
	switch (kind) {
	case HOLD_DELETIONS:
		return "deletions";
	case HOLD_VANISHED:
		return "vanished";
	case HOLD_REBUILT:
		return "rebuilt";
	case HOLD_REMOVED:
		return "removed";
	case HOLD_SETTINGS:
		return "settings";
	}
	return "?";
}

static void
state_print_hold(struct state_held *held, const struct hold *hold, const char *mailbox)
{
	char when[32];
	time_t created = (time_t)hold->created_s;
	struct tm tm;

	(void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M", gmtime_r(&created, &tm));
	buf_printf(held->text, "hold %" PRIu64 "  %s UTC  %s: %" PRIu64 " message%s would be expunged %s: %s\n",
		hold->id, when, mailbox, hold->messages, hold->messages == 1 ? "" : "s",
		hold->side == SIDE_LOCAL ? "here" : "on the server", hold->reason);
}

static bool
state_tell_hold(void *context, const struct hold *hold, struct error *err)
{
	struct state_held *held = context;
	struct mailbox mailbox = {0};
	const char *name = "the account";

	if (hold->state != HOLD_WAITING) {
		return true;
	}
	if (hold->mailbox.value != 0) {
		if (!mailbox_load(held->txn, hold->mailbox, &mailbox, err)) {
			return false;
		}
		name = mailbox.name;
	}
	held->count++;
	if (held->json != NULL) {
		json_object(held->json);
		json_key_u64(held->json, "id", hold->id);
		json_key_text(held->json, "mailbox", name);
		json_key_text(held->json, "kind", state_hold_kind(hold->kind));
		json_key_text(held->json, "side", hold->side == SIDE_LOCAL ? "here" : "server");
		json_key_u64(held->json, "messages", hold->messages);
		json_key(held->json, "created");
		json_i64(held->json, hold->created_s);
		json_key_text(held->json, "reason", hold->reason);
		json_end(held->json);
	} else {
		state_print_hold(held, hold, name);
	}
	mailbox_finish(&mailbox);
	return true;
}

bool
sync_held(struct store_txn *txn, bool json, struct buf *out, uint64_t *out_count, struct error *err)
{
	struct json writer;
	struct state_held held = {.txn = txn, .json = json ? &writer : NULL, .text = out};

	if (json) {
		json_begin(&writer, out, true);
		json_array(&writer);
	}
	bool ok = hold_each(txn, RUN_REMOTE, state_tell_hold, &held, err);

	if (json) {
		json_end(&writer);
		buf_append_octet(out, '\n');
	}
	*out_count = held.count;
	return ok;
}

struct state_bodyless {
	struct store_txn *txn;
	uint64_t count;
	struct buf names; /* the first few */
};

#define STATE_NAMES_MAX 20

static bool
state_count_bodyless(void *context, struct number number, struct error *err)
{
	struct state_bodyless *bodyless = context;
	struct message message;
	struct listing listing;

	if (!message_load(bodyless->txn, number, &message, err)) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		return true;
	}
	bool counts = message.body == 0 && message.expunged_s == 0;

	message_finish(&message);
	if (!counts) {
		return true;
	}
	if (bodyless->count++ < STATE_NAMES_MAX && listing_load(bodyless->txn, number, &listing, err)) {
		buf_append_text(&bodyless->names, "  ");
		safe_text_line(listing.name, 1000, &bodyless->names);
		buf_append_octet(&bodyless->names, '\n');
		listing_finish(&listing);
	}
	error_clear(err);
	return true;
}

/* What is gone there and was never here as a whole cannot be brought back: says which. */
static bool
state_tell_bodyless(struct store_txn *txn, uint64_t hold, struct buf *out_text, struct error *err)
{
	struct state_bodyless bodyless = {.txn = txn};
	bool ok = hold_each_message(txn, hold, state_count_bodyless, &bodyless, err);

	if (ok && bodyless.count > 0) {
		buf_printf(out_text,
			"%" PRIu64 " of them cannot be brought back on the server, for their bodies were never here:\n",
			bodyless.count);
		buf_append(out_text, buf_slice(&bodyless.names));
		if (bodyless.count > STATE_NAMES_MAX) {
			buf_append_text(out_text, "  …\n");
		}
	}
	buf_finish(&bodyless.names);
	return ok;
}

static bool
state_answer(struct store *store, uint64_t id, enum hold_state state, struct buf *out_text, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	struct hold hold;

	if (!store_write_begin(store, STORE_MOUNT, &txn, err) || !hold_load(txn, id, &hold, err)) {
		return false;
	}
	enum hold_state was = hold.state;
	enum side side = hold.side;
	uint64_t messages = hold.messages;

	hold_finish(&hold);
	if (was != HOLD_WAITING) {
		return error_set(err, ERROR_GONE, "hold %" PRIu64 " was answered before", id);
	}
	buf_printf(out_text, "hold %" PRIu64 ": %" PRIu64 " message%s will be %s\n", id, messages,
		messages == 1 ? "" : "s", state == HOLD_CONFIRMED ? "expunged" : "brought back");
	if (state == HOLD_REVERTED && side == SIDE_LOCAL && !state_tell_bodyless(txn, id, out_text, err)) {
		return false;
	}
	return hold_set_state(txn, id, state, err) && store_write_commit(&txn, STORE_DURABLE, err);
}

bool
sync_confirm(struct store *store, uint64_t hold, struct buf *out_text, struct error *err)
{
	return state_answer(store, hold, HOLD_CONFIRMED, out_text, err);
}

bool
sync_revert(struct store *store, uint64_t hold, struct buf *out_text, struct error *err)
{
	return state_answer(store, hold, HOLD_REVERTED, out_text, err);
}
