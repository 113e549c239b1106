/* The brake's hands: counts, makes holds, carries out what a person answered (design 8). Deciding is brake.h's. */
#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/sync/brake.h"
#include "engine/sync/run.h"

static const char *
holds_reason(enum brake_reason reason)
{
	switch (reason) {
	case BRAKE_SHARE:
		return "more of the mailbox would be expunged than hold-deletes-over allows";
	case BRAKE_ACCOUNT:
		return "more of the account would be expunged than hold-deletes-over allows";
	case BRAKE_EMPTIED:
		return "the mailbox would be emptied";
	case BRAKE_PASS:
		break;
	}
	return "";
}

struct holds_placement {
	const struct number *numbers; /* rising: what is to go */
	size_t count;
	bool elsewhere;
};

static int
holds_compare_numbers(const void *left, const void *right)
{
	const struct number *a = left, *b = right;

	return a->value < b->value ? -1 : a->value > b->value;
}

static bool
holds_look_elsewhere(void *context, struct number number)
{
	struct holds_placement *placement = context;

	placement->elsewhere =
		bsearch(&number, placement->numbers, placement->count, sizeof(number), holds_compare_numbers) == NULL;
	return !placement->elsewhere;
}

/* Counted is what is left without a placement: not a message whose body stays elsewhere, nor one that was replaced, nor in the trash one that came
 * more than a day ago. `numbers` rise. */
static bool
holds_counts(struct run *run, struct store_txn *txn, const struct run_box *box, const struct number *numbers,
	size_t count, struct number number, bool *out, struct error *err)
{
	struct holds_placement placement = {.numbers = numbers, .count = count};
	struct message message;

	if (!message_load(txn, number, &message, err)) {
		return false;
	}
	bool replaced = message.expunged_s != 0 && message.expunged_by == MESSAGE_REPLACED;
	bool old_trash = box->in_trash && message.saved_s < io_wall_s(run->sync->io) - 24 * 3600;
	bool ok = message.body == 0 || base_each_placement(txn, message.body, holds_look_elsewhere, &placement, err);

	*out = !replaced && !old_trash && !placement.elsewhere;
	message_finish(&message);
	return ok;
}

bool
holds_make(struct run *run, struct store_txn *txn, struct mailbox_id mailbox, enum side side, enum hold_kind kind,
	const char *reason, const struct number *numbers, size_t count, struct error *err)
{
	struct hold hold = {.mailbox = mailbox, .side = side, .kind = kind};
	char *text = slice_dup(slice_of(reason));

	(void)run;
	hold.reason = text;
	bool ok = hold_add(txn, RUN_REMOTE, &hold, err);

	for (size_t i = 0; ok && i < count; i++) {
		ok = hold_add_message(txn, hold.id, numbers[i], err) && message_set_hold(txn, numbers[i], hold.id, err);
		if (ok && side == SIDE_LOCAL) {
			ok = base_message_set_gone(txn, RUN_REMOTE, numbers[i], BASE_HELD, err);
		}
	}
	free(text);
	return ok;
}

static bool
holds_fill_counts(struct run *run, struct store_txn *txn, struct mailbox_id mailbox, enum side side, uint64_t waiting,
	uint64_t left, struct brake_count *out, struct error *err)
{
	(void)run;
	out->waiting = waiting;
	out->left = left;
	if (!hold_passed(txn, RUN_REMOTE, mailbox, side, &out->passed, err) ||
		!hold_largest(txn, RUN_REMOTE, mailbox, side, &out->largest, err)) {
		return false;
	}
	if (out->largest < left + waiting) {
		out->largest = left + waiting;
	}
	return true;
}

static bool holds_account_messages(struct store_txn *txn, uint64_t *out, struct error *err);

/* What was removed here is not counted here any more; what is to be removed here still is. */
static uint64_t
holds_left_of_account(enum side side, uint64_t total, uint64_t counted)
{
	if (side == SIDE_REMOTE) {
		return total;
	}
	return total > counted ? total - counted : 0;
}

bool
holds_decide(struct run *run, struct store_txn *txn, struct run_box *box, enum side side, const struct number *numbers,
	size_t count, uint64_t left, bool *passes, struct error *err)
{
	const struct sync_settings *settings = run->sync->settings;
	struct brake_policy policy = {
		.percent = settings->hold_percent, .number = settings->hold_number, .off = settings->hold_off};
	struct brake_count mailbox = {0}, account = {0};
	uint64_t counted = 0, total;
	bool *counts = arena_alloc(&run->arena, count * sizeof(*counts) + 1);
	struct number *sorted = arena_alloc(&run->arena, count * sizeof(*sorted) + 1);

	memcpy(sorted, numbers, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), holds_compare_numbers);
	for (size_t i = 0; i < count; i++) {
		if (!holds_counts(run, txn, box, sorted, count, numbers[i], &counts[i], err)) {
			return false;
		}
		counted += counts[i];
	}
	if (!holds_account_messages(txn, &total, err) ||
		!holds_fill_counts(run, txn, box->id, side, counted, left, &mailbox, err) ||
		!holds_fill_counts(run, txn, (struct mailbox_id){0}, side, counted,
			holds_left_of_account(side, total, counted), &account, err)) {
		return false;
	}
	enum brake_reason reason = counted > 0 ? brake_decide(&policy, &mailbox, &account) : BRAKE_PASS;
	bool waits = side == SIDE_LOCAL ? box->held_here : box->held_there;
	const char *why = holds_reason(reason);
	enum hold_kind kind = HOLD_DELETIONS;

	if (box->vanished && counted > 0) {
		kind = HOLD_VANISHED;
		why = "the server's mailbox is gone with messages in it";
	} else if (reason == BRAKE_PASS && waits && counted > 0) {
		why = "an earlier hold of this mailbox still waits";
	} else if (reason == BRAKE_PASS) {
		for (size_t i = 0; i < count; i++) {
			passes[i] = true;
		}
		/* The sizes that are noted now and then may be older than what came and goes now. */
		if (!hold_note_size(txn, RUN_REMOTE, box->id, side, mailbox.left + mailbox.waiting, err) ||
			!hold_note_size(
				txn, RUN_REMOTE, (struct mailbox_id){0}, side, account.left + account.waiting, err)) {
			return false;
		}
		for (size_t i = 0; i < count; i++) {
			if (counts[i] && !hold_note_deletion(txn, RUN_REMOTE, box->id, side, numbers[i], err)) {
				return false;
			}
		}
		return true;
	}
	/* What is not counted passes: it lives elsewhere, or was replaced. A revert that brought it back would double it. */
	size_t held = 0;

	for (size_t i = 0; i < count; i++) {
		passes[i] = !counts[i];
		if (counts[i]) {
			sorted[held++] = numbers[i];
		}
	}
	run->result->held += held;
	run_say(run, "%s: held: %zu message%s would be expunged %s: %s: see `mailfs held`", box->name, held,
		held == 1 ? "" : "s", side == SIDE_LOCAL ? "here" : "on the server", why);
	return holds_make(run, txn, box->id, side, kind, why, sorted, held, err);
}

/* --- sizes --- */

struct holds_sizes {
	struct run *run;
	struct store_txn *txn;
	uint64_t total;
};

static bool
holds_add_size(void *context, const struct mailbox *mailbox, struct error *err)
{
	struct holds_sizes *sizes = context;

	(void)err;
	sizes->total += mailbox->messages;
	return true;
}

static bool
holds_account_messages(struct store_txn *txn, uint64_t *out, struct error *err)
{
	struct holds_sizes sizes = {0};
	bool ok = mailbox_each(txn, false, holds_add_size, &sizes, err);

	*out = sizes.total;
	return ok;
}

static bool
holds_note_one_size(void *context, const struct mailbox *mailbox, struct error *err)
{
	struct holds_sizes *sizes = context;

	sizes->total += mailbox->messages;
	return mailbox->messages <= BRAKE_FREE ||
	       (hold_note_size(sizes->txn, RUN_REMOTE, mailbox->id, SIDE_LOCAL, mailbox->messages, err) &&
		       hold_note_size(sizes->txn, RUN_REMOTE, mailbox->id, SIDE_REMOTE, mailbox->messages, err));
}

static bool
holds_write_sizes(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct holds_sizes sizes = {.run = run, .txn = txn};
	int64_t now_ms = io_now_ms(run->sync->io), since_s = (now_ms - run->sync->last_run_ms) / 1000;
	const struct mailbox_id account = {0};

	(void)context;
	if (since_s > 0) {
		/* A pass that comes late was not running all the while, but its mount was: at most a poll's time counts. */
		if (!hold_run_clock(txn, RUN_REMOTE, (uint64_t)(since_s < 600 ? since_s : 600), err)) {
			return false;
		}
		run->sync->last_run_ms = now_ms;
	}
	return mailbox_each(txn, false, holds_note_one_size, &sizes, err) &&
	       hold_note_size(txn, RUN_REMOTE, account, SIDE_LOCAL, sizes.total, err) &&
	       hold_note_size(txn, RUN_REMOTE, account, SIDE_REMOTE, sizes.total, err);
}

bool
holds_note_sizes(struct run *run, struct error *err)
{
	int64_t now_ms = io_now_ms(run->sync->io);

	if (run->sync->last_run_ms != 0 && now_ms - run->sync->last_run_ms < 10000) {
		return true;
	}
	if (run->sync->last_run_ms == 0) {
		run->sync->last_run_ms = now_ms - 1000;
	}
	return run_write(run, holds_write_sizes, NULL, STORE_LAZY, err);
}

/* --- answers --- */

struct holds_answer {
	struct run *run;
	struct store_txn *txn;
	struct hold *holds;
	size_t count;
};

static bool
holds_gather(void *context, const struct hold *hold, struct error *err)
{
	struct holds_answer *answer = context;

	(void)err;
	if (hold->state == HOLD_WAITING) {
		return true;
	}
	struct hold *more = realloc(answer->holds, (answer->count + 1) * sizeof(*more));

	if (more == NULL) {
		abort();
	}
	answer->holds = more;
	more[answer->count] = *hold;
	more[answer->count++].reason = slice_dup(slice_of(hold->reason));
	return true;
}

static bool
holds_collect_number(void *context, struct number number, struct error *err)
{
	struct buf *numbers = context;

	(void)err;
	buf_append(numbers, slice_make(&number, sizeof(number)));
	return true;
}

static bool
holds_is_there(struct store_txn *txn, struct number number, bool *out, struct error *err)
{
	struct base_message base;

	*out = false;
	if (!base_message_load(txn, RUN_REMOTE, number, &base, err)) {
		bool over = err->kind == ERROR_GONE;

		if (over) {
			error_clear(err);
		}
		return over;
	}
	*out = base.gone == BASE_HERE;
	base_message_finish(&base);
	return true;
}

/* What a hold kept here and the remote has not: confirmed it goes, reverted it is new to the remote and is uploaded again. */
static bool
holds_answer_here(
	struct run *run, struct store_txn *txn, const struct hold *hold, struct number number, struct error *err)
{
	struct message message;

	if (!message_load(txn, number, &message, err)) {
		return err->kind == ERROR_GONE;
	}
	bool live = message.expunged_s == 0, has_body = message.body != 0;

	message_finish(&message);
	bool there;

	if (!message_set_hold(txn, number, 0, err) || !holds_is_there(txn, number, &there, err)) {
		return false;
	}
	if (there) {
		return true; /* it has turned up */
	}
	if (hold->state == HOLD_CONFIRMED) {
		run->result->expunged_here += live;
		return (!live || message_expunge(txn, number, MESSAGE_CONFIRMED, (struct number){0}, err)) &&
		       base_message_set_gone(txn, RUN_REMOTE, number, BASE_EXPUNGED, err);
	}
	if (live && !has_body) {
		run_say(run, "message %" PRIu64 " cannot be brought back: its body was never here", number.value);
		return base_message_set_gone(txn, RUN_REMOTE, number, BASE_KEPT, err) &&
		       message_set_failed(txn, number, "it is gone from the server, and its body was never here", err);
	}
	return base_message_remove(txn, RUN_REMOTE, number, err);
}

/* What was removed here and a hold keeps there: confirmed it is expunged by push, reverted it comes back here as a new message of the same body. */
static bool
holds_answer_there(
	struct run *run, struct store_txn *txn, const struct hold *hold, struct number number, struct error *err)
{
	struct message message;
	struct envelope envelope = {0};
	struct number back;

	if (!message_load(txn, number, &message, err)) {
		return err->kind == ERROR_GONE;
	}
	bool ok = message_set_hold(txn, number, 0, err);

	if (ok && hold->state == HOLD_REVERTED && message.expunged_s != 0) {
		struct message_new new = {
			.mailbox = message.mailbox,
			.flags = message.flags,
			.internaldate_s = message.internaldate_s,
			.size_bytes = message.size_bytes,
			.body = message.body,
		};

		memcpy(new.identity, message.identity, sizeof(new.identity));
		ok = message_load_envelope(txn, number, &envelope, err);
		new.envelope = &envelope;
		ok = ok && message_create(txn, &new, &back, err) &&
		     base_message_renumber(txn, RUN_REMOTE, number, back, err);
		run->result->new_here += ok;
		envelope_finish(&envelope);
	}
	message_finish(&message);
	return ok;
}

static bool
holds_answer_mailbox(struct run *run, struct store_txn *txn, const struct hold *hold, struct error *err)
{
	struct mailbox mailbox;

	if (hold->mailbox.value == 0) {
		return true;
	}
	if (!mailbox_load(txn, hold->mailbox, &mailbox, err)) {
		return false;
	}
	bool gone = mailbox.expunged_s != 0, empty = mailbox.messages == 0;

	mailbox_finish(&mailbox);
	(void)run;
	if (hold->state == HOLD_REVERTED && gone) {
		return hold_revive_mailbox(txn, hold->mailbox, err);
	}
	if (hold->kind != HOLD_VANISHED) {
		return true;
	}
	if (hold->state == HOLD_REVERTED) {
		/* All of it is new to the remote. */
		return base_mailbox_remove(txn, RUN_REMOTE, hold->mailbox, err);
	}
	if (empty && !gone) {
		struct error why = ERROR_INIT;

		/* It has children: it stays as their directory. */
		if (!mailbox_expunge(txn, hold->mailbox, true, MESSAGE_CONFIRMED, &why) &&
			!mailbox_set_kind(txn, hold->mailbox, MAILBOX_DIRECTORY, err)) {
			return false;
		}
	}
	return base_mailbox_remove(txn, RUN_REMOTE, hold->mailbox, err);
}

static bool
holds_write_answer(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	const struct hold *hold = context;
	SCOPED(buf_finish) struct buf numbers = BUF_INIT;

	if (!hold_each_message(txn, hold->id, holds_collect_number, &numbers, err)) {
		return false;
	}
	if (hold->state == HOLD_REVERTED && hold->side == SIDE_REMOTE && !holds_answer_mailbox(run, txn, hold, err)) {
		return false; /* the mailbox first: its messages come back into it */
	}
	for (size_t i = 0; i < numbers.length / sizeof(struct number); i++) {
		struct number number;

		memcpy(&number, numbers.data + i * sizeof(number), sizeof(number));
		bool ok = hold->side == SIDE_LOCAL ? holds_answer_here(run, txn, hold, number, err)
						   : holds_answer_there(run, txn, hold, number, err);

		if (!ok) {
			return false;
		}
		error_clear(err);
		/* What push has to expunge stays listed until it is done. */
		if ((hold->state == HOLD_REVERTED || hold->side == SIDE_LOCAL) &&
			!hold_remove_message(txn, hold->id, number, err)) {
			return false;
		}
	}
	if (hold->side == SIDE_LOCAL && !holds_answer_mailbox(run, txn, hold, err)) {
		return false;
	}
	return (hold->state == HOLD_CONFIRMED && hold->side == SIDE_REMOTE) || hold_remove(txn, hold->id, err);
}

static bool
holds_read_answers(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	(void)run;
	return hold_each(txn, RUN_REMOTE, holds_gather, context, err);
}

bool
holds_answer(struct run *run, struct error *err)
{
	struct holds_answer answer = {.run = run};
	bool ok = run_read(run, holds_read_answers, &answer, err);

	for (size_t i = 0; i < answer.count; i++) {
		if (ok && answer.holds[i].kind != HOLD_SETTINGS) {
			ok = run_write(run, holds_write_answer, &answer.holds[i], STORE_DURABLE, err);
		}
		hold_finish(&answer.holds[i]);
	}
	free(answer.holds);
	return ok;
}

static bool
holds_mark_one(void *context, const struct hold *hold, struct error *err)
{
	struct run *run = context;
	struct run_box *box = run_box_of(run, hold->mailbox);

	(void)err;
	if (hold->state != HOLD_WAITING) {
		return true;
	}
	run->result->held += hold->messages;
	if (box == NULL) {
		return true;
	}
	box->held_here |= hold->side == SIDE_LOCAL;
	box->held_there |= hold->side == SIDE_REMOTE;
	return true;
}

static bool
holds_read_marks(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	(void)context;
	return hold_each(txn, RUN_REMOTE, holds_mark_one, run, err);
}

bool
holds_mark(struct run *run, struct error *err)
{
	return run_read(run, holds_read_marks, NULL, err);
}

/* --- back again --- */

bool
holds_release(struct store_txn *txn, uint64_t hold, struct number number, struct error *err)
{
	struct hold rest;

	if (!hold_remove_message(txn, hold, number, err) || !message_set_hold(txn, number, 0, err)) {
		return false;
	}
	if (!hold_load(txn, hold, &rest, err)) {
		bool over = err->kind == ERROR_GONE;

		if (over) {
			error_clear(err);
		}
		return over;
	}
	bool empty = rest.messages == 0 && rest.state == HOLD_WAITING;

	hold_finish(&rest);
	return !empty || hold_remove(txn, hold, err);
}

/* A mailbox that was held as vanished is back: what the hold kept is as it was. */
static bool
holds_unhold_number(void *context, struct number number, struct error *err)
{
	struct store_txn *txn = context;

	return message_set_hold(txn, number, 0, err) && base_message_set_gone(txn, RUN_REMOTE, number, BASE_HERE, err);
}

struct holds_unhold {
	struct mailbox_id mailbox;
	uint64_t hold;
};

static bool
holds_find_vanished(void *context, const struct hold *hold, struct error *err)
{
	struct holds_unhold *unhold = context;

	(void)err;
	if (hold->mailbox.value == unhold->mailbox.value && hold->kind == HOLD_VANISHED &&
		hold->state == HOLD_WAITING) {
		unhold->hold = hold->id;
	}
	return true;
}

bool
holds_unhold_vanished(struct store_txn *txn, struct mailbox_id mailbox, struct error *err)
{
	struct holds_unhold unhold = {.mailbox = mailbox};

	if (!hold_each(txn, RUN_REMOTE, holds_find_vanished, &unhold, err)) {
		return false;
	}
	return unhold.hold == 0 || (hold_each_message(txn, unhold.hold, holds_unhold_number, txn, err) &&
					   hold_remove(txn, unhold.hold, err));
}
