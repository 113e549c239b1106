/* What came and may be half of a move whose other half this pass does not see (R11): where the message it may be is in a mailbox that was not looked at, it is left for
 * a pass that looks at both. Were it taken for a copy, or paired with one made here, a message would be lost when the other half comes.
 */
#include <stdlib.h>

#include "engine/sync/pull.h"

struct pull_untold { /* a message of ours that the remote has not told of: its GUID is not known */
	struct mailbox_id mailbox;
	uint8_t identity[IDENTITY_BYTES];
};

struct pull_wait {
	struct run *run;
	struct store_txn *txn;
	const struct run_arrival *arrival;
	struct pull_untold *untold;
	size_t untold_count, untold_capacity;
	bool waits;
	bool left_alone; /* a mailbox that it may come from was */
	bool marks;      /* all that it may come from are to be looked at by the next pass */
};

static bool
pull_is_unseen(const struct run *run, const struct run_box *box)
{
	bool left_out = box != NULL && run->pass->mailbox_count > 0 && box->differs && !box->wants_scan;

	return box != NULL && !box->scanned && !box->vanished &&
	       (run->pass->local_only || left_out || box->busy || box->doubtful);
}

/* It was what the last scan saw when the account was checked (R2). A server that moves by copying first may have had the other half before it. */
static bool
pull_was_left_alone(const struct run *run, const struct run_box *box)
{
	return box != NULL && !box->scanned && !box->wants_scan && !box->failed && !box->vanished &&
	       box->remote != NULL && !run->pass->local_only && run->pass->mailbox_count == 0;
}

static bool
pull_note_unseen(void *context, const struct base_message *base)
{
	struct pull_wait *wait = context;
	struct run_box *box = run_box_of(wait->run, base->mailbox);

	if (base->gone == BASE_HERE && box != NULL && run_box_index(wait->run, box) != wait->arrival->box) {
		wait->left_alone |= pull_was_left_alone(wait->run, box);
		wait->waits |= pull_was_left_alone(wait->run, box) || pull_is_unseen(wait->run, box);
		box->look_again |= wait->marks;
	}
	return true;
}

static bool
pull_note_untold(void *context, const struct base_message *base, struct error *err)
{
	struct pull_wait *wait = context;
	struct message message;

	if (!message_load(wait->txn, base->number, &message, err)) {
		return false;
	}
	if (wait->untold_count == wait->untold_capacity) {
		size_t capacity = wait->untold_capacity * 2 + 16;
		struct pull_untold *more = arena_alloc(&wait->run->arena, capacity * sizeof(*more));

		if (wait->untold_count > 0) {
			memcpy(more, wait->untold, wait->untold_count * sizeof(*more));
		}
		wait->untold = more;
		wait->untold_capacity = capacity;
	}
	struct pull_untold *untold = &wait->untold[wait->untold_count++];

	untold->mailbox = base->mailbox;
	memcpy(untold->identity, message.identity, IDENTITY_BYTES);
	message_finish(&message);
	return true;
}

static bool
pull_read_untold_elsewhere(struct pull_wait *wait, struct error *err)
{
	struct run *run = wait->run;

	for (size_t i = 0; i < run->box_count; i++) {
		const struct run_box *box = &run->boxes[i];
		struct remote_uid from = {.uidvalidity = box->base.uidvalidity, .uid = box->base.uidnext};

		if (from.uidvalidity != 0 && pull_is_unseen(run, box) &&
			!base_message_each_untold(wait->txn, RUN_REMOTE, box->id, from, pull_note_untold, wait, err)) {
			return false;
		}
	}
	return true;
}

static bool
pull_is_untold(const struct pull_wait *wait)
{
	const struct run_arrival *arrival = wait->arrival;

	for (size_t i = 0; i < wait->untold_count; i++) {
		if (wait->untold[i].mailbox.value != wait->run->boxes[arrival->box].id.value &&
			memcmp(wait->untold[i].identity, arrival->identity.bytes, IDENTITY_BYTES) == 0) {
			return true;
		}
	}
	return false;
}

static bool
pull_read_waits(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct pull_wait wait = {.run = run, .txn = txn};

	(void)context;
	if (!pull_read_untold_elsewhere(&wait, err)) {
		return false;
	}
	for (size_t i = 0; i < run->deferred_count; i++) {
		struct run_arrival *arrival = &run->deferred[i];

		if (arrival->done || run->boxes[arrival->box].repairs) {
			continue;
		}
		wait.arrival = arrival;
		wait.waits = pull_is_untold(&wait);
		wait.left_alone = wait.marks = false;
		if (!wait.waits && arrival->guid.kind != GUID_NONE &&
			!base_message_each_by_guid(txn, RUN_REMOTE, &arrival->guid, pull_note_unseen, &wait, err)) {
			return false;
		}
		/* All of them at once: one after the other it would never end. */
		wait.marks = wait.left_alone;
		if (wait.marks &&
			!base_message_each_by_guid(txn, RUN_REMOTE, &arrival->guid, pull_note_unseen, &wait, err)) {
			return false;
		}
		if (wait.waits) {
			arrival->waits = run->boxes[arrival->box].waits = run->result->again = true;
		}
	}
	return true;
}

bool
pull_sees_all(const struct run *run)
{
	if (run->pass->local_only) {
		return false; /* without a listing there may be mailboxes that are not known */
	}
	for (size_t i = 0; i < run->box_count; i++) {
		if (pull_is_unseen(run, &run->boxes[i])) {
			return false;
		}
	}
	return true;
}

/* The next pass is not to leave them alone. */
static bool
pull_write_look_again(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	(void)context;
	for (size_t i = 0; i < run->box_count; i++) {
		struct base_mailbox base;

		if (!run->boxes[i].look_again) {
			continue;
		}
		if (!base_mailbox_load(txn, RUN_REMOTE, run->boxes[i].id, &base, err)) {
			return false;
		}
		base.seen_uidnext = base.seen_messages = 0;
		base.seen_highestmodseq = 0;
		bool ok = base_mailbox_put(txn, RUN_REMOTE, &base, err);

		base_mailbox_finish(&base);
		if (!ok) {
			return false;
		}
	}
	return true;
}

static void
pull_append_number(uint64_t **numbers, size_t *count, uint64_t number)
{
	uint64_t *more = realloc(*numbers, (*count + 1) * sizeof(*more));

	if (more == NULL) {
		abort();
	}
	*numbers = more;
	more[(*count)++] = number;
}

void
pull_let_wait(struct run *run, struct number number)
{
	pull_append_number(&run->waiting, &run->waiting_count, number.value);
}

bool
pull_is_surely_gone(struct run *run, struct number number)
{
	struct sync *sync = run->sync;

	if (!pull_sees_all(run)) {
		return false;
	}
	for (size_t i = 0; i < sync->missed_count; i++) {
		if (sync->missed[i] == number.value) {
			sync->missed[i] = sync->missed[--sync->missed_count];
			return true;
		}
	}
	if (sync->missed_count >= RUN_DEFERRED_MAX) {
		return true;
	}
	pull_append_number(&sync->missed, &sync->missed_count, number.value);
	return false;
}

bool
pull_wait(struct run *run, struct error *err)
{
	bool again = false;

	if (run->deferred_count > 0 && !run_read(run, pull_read_waits, NULL, err)) {
		return false;
	}
	for (size_t i = 0; i < run->box_count; i++) {
		again |= run->boxes[i].look_again;
		run->boxes[i].waits |= run->boxes[i].look_again; /* nor is it recorded as seen */
	}
	return !again || run_write(run, pull_write_look_again, NULL, STORE_LAZY, err);
}
