/* What must be true of both sides at rest. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/store/body.h"
#include "engine/store/intent.h"
#include "engine/sync/merge.h"
#include "tests/sim/world.h"

#define OK(call)                                                   \
	do {                                                       \
		if (!(call)) {                                     \
			fail_msg("%s: %s", #call, world.err.text); \
		}                                                  \
	} while (0)

struct check {
	struct store_txn *txn;
	const struct mailbox *mailbox;
	struct model_mailbox *there;
	uint64_t holds, held_messages;
	size_t mailboxes, found, lost, kept;
};

/* --- holds --- */

static bool
count_hold(void *context, const struct hold *hold, struct error *err)
{
	struct check *check = context;

	(void)err;
	check->holds += hold->state == HOLD_WAITING;
	check->held_messages += hold->state == HOLD_WAITING ? hold->messages : 0;
	return true;
}

void
expect_held(unsigned holds, uint64_t messages)
{
	struct check check = {0};

	world_read_begin();
	check.txn = world.txn;
	OK(hold_each(check.txn, BASE_REMOTE, count_hold, &check, &world.err));
	world_read_end();
	if (check.holds != holds || check.held_messages != messages) {
		fail_msg("%" PRIu64 " holds of %" PRIu64 " messages, wanted %u of %" PRIu64, check.holds,
			check.held_messages, holds, messages);
	}
}

struct answers {
	uint64_t ids[100];
	size_t count;
};

static bool
note_hold(void *context, const struct hold *hold, struct error *err)
{
	struct answers *answers = context;

	(void)err;
	if (hold->state == HOLD_WAITING && answers->count < ARRAY_LENGTH(answers->ids)) {
		answers->ids[answers->count++] = hold->id;
	}
	return true;
}

static void
answer(uint64_t hold, bool confirm)
{
	SCOPED(buf_finish) struct buf text = BUF_INIT;

	OK((confirm ? sync_confirm : sync_revert)(world.store, hold, &text, &world.err));
}

static bool answer_for_all;

static bool
answer_as_all(void)
{
	return answer_for_all;
}

void
world_answer_all(bool confirm)
{
	answer_for_all = confirm;
	world_answer_each(answer_as_all);
}

void
world_answer_each(bool (*confirms)(void))
{
	struct answers answers = {.count = 0};

	world_read_begin();
	OK(hold_each(world.txn, BASE_REMOTE, note_hold, &answers, &world.err));
	world_read_end();
	for (size_t i = 0; i < answers.count; i++) {
		answer(answers.ids[i], confirms());
	}
}

/* --- both sides --- */

static void
check_body(const struct check *check, const struct message *message, const struct model_message *there)
{
	SCOPED(spool_close) struct spool *body = NULL;
	struct slice view, served = slice_make(there->body, there->length);

	if (message->body == 0) {
		return;
	}
	OK(body_to_wire(check->txn, message->body, &body, &world.err));
	OK(spool_view(body, &view, &world.err));
	/* A server that rewrites adds a line. */
	if (!slice_equal(view, served) && !(world.options.server.rewrites && slice_has_prefix(served, view))) {
		fail_msg("%s: number %" PRIu64 " and UID %" PRIu32 " hold different octets: [%.*s] and [%.*s]",
			check->mailbox->name, message->number.value, there->uid, (int)model_token(view).length,
			model_token(view).data, (int)model_token(served).length, model_token(served).data);
	}
}

static void
check_flags(const struct check *check, const struct message *message, const struct base_message *base,
	const struct model_message *there)
{
	struct merge_mask mask = {
		.permanent = {.bits = FLAG_ALL}, .keywords_any = !world.options.server.without_keywords};
	SCOPED(flags_finish) struct flags ours = merge_masked(&message->flags, &mask);
	SCOPED(buf_finish) struct buf text = BUF_INIT;

	if (flags_equal(&ours, &there->flags) && flags_equal(&base->flags, &there->flags)) {
		return;
	}
	flags_print_imap(&message->flags, &text);
	buf_append_text(&text, " here, ");
	flags_print_imap(&there->flags, &text);
	buf_append_text(&text, " there, base ");
	flags_print_imap(&base->flags, &text);
	fail_msg("%s: flags of number %" PRIu64 ", UID %" PRIu32 ": %s", check->mailbox->name, message->number.value,
		there->uid, text.data);
}

/* One message of the server: there is a base row for it, and it is here, or was only marked there. */
static void
check_message_there(struct check *check, const struct model_message *there)
{
	struct remote_uid uid = {.uidvalidity = check->there->uidvalidity, .uid = there->uid};
	struct slice token = model_token(slice_make(there->body, there->length));
	struct base_message base;
	struct message message;

	if (!base_message_load_by_uid(check->txn, BASE_REMOTE, check->mailbox->id, uid, &base, &world.err)) {
		fail_msg("%s: UID %" PRIu32 " (%.*s) has no base", check->mailbox->name, there->uid, (int)token.length,
			token.data);
	}
	OK(message_load(check->txn, base.number, &message, &world.err));
	if (message.expunged_s != 0) {
		if (base.gone != BASE_MARKED) {
			fail_msg("%s: UID %" PRIu32 " (%.*s) is a tombstone here (base %d)", check->mailbox->name,
				there->uid, (int)token.length, token.data, base.gone);
		}
	} else {
		if (base.gone != BASE_HERE || message.mailbox.value != check->mailbox->id.value) {
			fail_msg("%s: UID %" PRIu32 " (%.*s): number %" PRIu64 " is in mailbox %u here (base %d)",
				check->mailbox->name, there->uid, (int)token.length, token.data, message.number.value,
				message.mailbox.value, base.gone);
		}
		if (message.internaldate_s != there->internaldate_s) {
			fail_msg("%s: UID %" PRIu32 " (%.*s) has another date here", check->mailbox->name, there->uid,
				(int)token.length, token.data);
		}
		if (message.state != MESSAGE_PLAIN || message.hold != 0) {
			fail_msg("%s: UID %" PRIu32 " (%.*s) is held or failed: %s", check->mailbox->name, there->uid,
				(int)token.length, token.data, message.error != NULL ? message.error : "");
		}
		check_body(check, &message, there);
		check_flags(check, &message, &base, there);
		check->found++;
	}
	message_finish(&message);
	base_message_finish(&base);
}

static bool
check_base(void *context, const struct base_message *base, struct error *err)
{
	struct check *check = context;

	(void)err;
	if ((base->gone == BASE_HERE || base->gone == BASE_MARKED) &&
		model_message(check->there, base->uid.uid) == NULL) {
		fail_msg("%s: the base of number %" PRIu64 " names UID %" PRIu32 ", which is not there",
			check->mailbox->name, base->number.value, base->uid.uid);
	}
	return true;
}

/* Gone there before its body came, and wanted back: it is a name that failed. Or it is kept here on purpose (deletes=keep). */
static bool
count_lost(void *context, const struct listing *listing)
{
	struct check *check = context;
	struct base_message base;
	struct message message;
	bool kept = false;

	OK(message_load(check->txn, listing->number, &message, &world.err));
	if (world.options.deletes_keep &&
		base_message_load(check->txn, BASE_REMOTE, listing->number, &base, &world.err)) {
		kept = base.gone == BASE_KEPT;
		base_message_finish(&base);
	}
	error_clear(&world.err);
	check->lost += kept || (message.body == 0 && message.state == MESSAGE_FAILED);
	message_finish(&message);
	return true;
}

static bool
check_mailbox(void *context, const struct mailbox *mailbox, struct error *err)
{
	struct check *check = context;

	(void)err;
	struct model_mailbox *there = model_find(world.server, mailbox->name);

	if (there == NULL && world.options.deletes_keep) {
		check->kept++; /* for what is kept in it */
		return true;
	}
	if (there == NULL) {
		fail_msg("%s is here and not there", mailbox->name);
	}
	if (there->directory != (mailbox->kind == MAILBOX_DIRECTORY)) {
		fail_msg("%s is %s there", mailbox->name, there->directory ? "only a directory" : "a mailbox");
	}
	check->mailboxes++;
	if (there->directory) {
		return true;
	}
	if (there->subscribed != mailbox->subscribed) {
		fail_msg("%s: subscribed %d here, %d there", mailbox->name, mailbox->subscribed, there->subscribed);
	}
	check->mailbox = mailbox;
	check->there = there;
	check->found = 0;
	for (size_t i = 0; i < there->count; i++) {
		check_message_there(check, &there->messages[i]);
	}
	check->lost = 0;
	OK(listing_each(check->txn, mailbox->id, 0, count_lost, check, &world.err));
	if (check->found + check->lost != mailbox->messages) {
		fail_msg(
			"%s: %u messages here, of which %zu are there", mailbox->name, mailbox->messages, check->found);
	}
	OK(base_message_each(check->txn, BASE_REMOTE, mailbox->id, check_base, check, &world.err));
	return true;
}

static bool
tell_intent(void *context, const struct intent *intent, struct error *err)
{
	(void)context;
	(void)err;
	fail_msg("an intent is left: kind %d of number %" PRIu64, intent->kind, intent->number.value);
	return false;
}

static bool
tell_aside(void *context, const struct aside *aside, struct error *err)
{
	(void)context;
	(void)err;
	fail_msg("set aside: number %" PRIu64 " of mailbox %u: %s", aside->number.value, aside->mailbox.value,
		aside->reason);
	return false;
}

void
world_expect_equal(void)
{
	SCOPED(buf_finish) struct buf findings = BUF_INIT;
	struct check check = {0};

	expect_held(0, 0);
	for (size_t i = 0; i < world.server->count; i++) {
		assert_null(strstr(world.server->mailboxes[i]->name, "mailfs-removed"));
	}
	world_read_begin();
	check.txn = world.txn;
	OK(mailbox_each(check.txn, false, check_mailbox, &check, &world.err));
	if (check.mailboxes != world.server->count) {
		for (size_t i = 0; i < world.server->count; i++) {
			struct mailbox mailbox;

			if (!mailbox_load_by_name(
				    check.txn, slice_of(world.server->mailboxes[i]->name), &mailbox, &world.err)) {
				fail_msg("%s is there and not here", world.server->mailboxes[i]->name);
			}
			mailbox_finish(&mailbox);
		}
	}
	OK(intent_each(check.txn, BASE_REMOTE, tell_intent, NULL, &world.err));
	OK(aside_each(check.txn, BASE_REMOTE, tell_aside, NULL, &world.err));
	world_read_end();
	OK(store_audit(world.store, &findings, &world.err));
	if (findings.length > 0) {
		fail_msg("%s", findings.data);
	}
}

static uint64_t
last_modseq(void)
{
	uint64_t modseq;

	world_read_begin();
	modseq = store_modseq(world.txn).value;
	world_read_end();
	return modseq;
}

void
world_expect_rest(void)
{
	struct model_counts before = world.server->counts;
	uint64_t modseq = last_modseq();

	world_pass();
	if (world.server->counts.changes != before.changes || world.server->counts.bodies != before.bodies) {
		fail_msg("a pass at rest sent %" PRIu64 " changes and fetched %" PRIu64 " bodies: %s",
			world.server->counts.changes - before.changes, world.server->counts.bodies - before.bodies,
			world.result.text.data != NULL ? world.result.text.data : "");
	}
	if (last_modseq() != modseq) {
		fail_msg("a pass at rest changed the store: modseq %" PRIu64 " became %" PRIu64, modseq, last_modseq());
	}
	if (world.result.again) {
		fail_msg("a pass at rest asks for another one");
	}
}

void
world_expect_agreed(void)
{
	world_expect_equal();
	world_expect_rest();
	world_expect_equal();
}
