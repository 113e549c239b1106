/* What the remote says, into the store (R4, R5, R6, R11).
 *
 * Batches are written while the scan goes on. What may turn out to be a move, or a message that is here already, waits until all mailboxes are
 * scanned: then it is matched, additions first, removals last.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/sync/pull.h"

/* --- flags --- */

/* Whether somebody there did more to a message than to look at it or to mark it as removed. */
static bool
pull_was_changed(const struct flags *base, const struct flags *theirs)
{
	SCOPED(flags_finish) struct flags before = flags_copy(base);
	SCOPED(flags_finish) struct flags after = flags_copy(theirs);

	before.bits &= ~(uint32_t)(FLAG_SEEN | FLAG_DELETED);
	after.bits &= ~(uint32_t)(FLAG_SEEN | FLAG_DELETED);
	return !flags_equal(&before, &after);
}

/* A tombstone of what was replaced by something else; what a move left behind has its successor's octets. */
static bool
pull_was_replaced(struct store_txn *txn, const struct message *message, bool *out, struct error *err)
{
	struct message successor;

	*out = false;
	if (message->expunged_s == 0 || message->expunged_by != MESSAGE_REPLACED || message->hold != 0) {
		return true;
	}
	if (!message_load(txn, message->successor, &successor, err)) {
		bool over = err->kind == ERROR_GONE;

		if (over) {
			error_clear(err);
		}
		return over;
	}
	*out = successor.body != 0 && successor.body != message->body;
	message_finish(&successor);
	return true;
}

/* What was replaced here and changed there meanwhile lives on beside what replaced it (R14). */
static bool
pull_keep_replaced(struct run *run, struct store_txn *txn, const struct run_box *box, const struct base_message *base,
	const struct flags *theirs, struct message *message, struct error *err)
{
	bool replaced;

	if (run->direction == SYNC_PUSH || !box->live || base->gone != BASE_HERE ||
		!pull_was_changed(&base->flags, theirs)) {
		return true;
	}
	if (!pull_was_replaced(txn, message, &replaced, err)) {
		return false;
	}
	if (!replaced) {
		return true;
	}
	run_say(run, "%s: message %" PRIu64 " was changed on the server while it was replaced here: both stay",
		box->name, message->number.value);
	message_finish(message);
	return message_revive(txn, base->number, box->id, err) && message_load(txn, base->number, message, err);
}

bool
pull_merge_flags(struct run *run, struct store_txn *txn, struct run_box *box, const struct base_message *base,
	const struct flags *theirs, uint64_t modseq, struct error *err)
{
	struct message message;
	struct merge_mask mask = run_mask(box);

	if (!message_load(txn, base->number, &message, err)) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		return true;
	}
	if (!pull_keep_replaced(run, txn, box, base, theirs, &message, err)) {
		message_finish(&message);
		return false;
	}
	bool ok = true;

	if (message.expunged_s == 0 && run->direction != SYNC_PUSH) {
		struct merge_flags merge = merge_flags(&base->flags, &message.flags, theirs, &mask);
		bool applied = true;

		if (!flags_equal(&merge.local, &message.flags)) {
			ok = message_set_flags(txn, base->number, &merge.local, message.modseq, &applied, err);
			run->result->flags_here += ok && applied;
		}
		if (!flags_empty(&merge.add) || !flags_empty(&merge.remove)) {
			box->wants_push = true;
		}
		merge_flags_finish(&merge);
	}
	message_finish(&message);
	return ok && base_message_set_flags(txn, RUN_REMOTE, base->number, theirs, modseq, err);
}

/* Where our own move may have got half way, \Deleted in the mailbox it leaves is its mark, and nobody's wish. */
static struct flags
pull_flags_meant(const struct run *run, const struct base_message *base, const struct flags *theirs)
{
	struct flags meant = flags_copy(theirs);

	for (size_t i = 0; i < run->intent_count; i++) {
		const struct intent *intent = &run->intents[i];

		if (intent->kind == INTENT_MOVE && intent->number.value == base->number.value &&
			intent->uid.uid == base->uid.uid) {
			meant.bits = (meant.bits & ~(uint32_t)FLAG_DELETED) | (base->flags.bits & FLAG_DELETED);
		}
	}
	return meant;
}

static bool
pull_flag(struct run *run, struct store_txn *txn, const struct run_flag *flag, struct error *err)
{
	struct run_box *box = &run->boxes[flag->box];
	struct remote_uid uid = {.uidvalidity = box->base.uidvalidity, .uid = flag->uid};
	struct base_message base;

	if (!base_message_load_by_uid(txn, RUN_REMOTE, box->id, uid, &base, err)) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		return true;
	}
	SCOPED(flags_finish) struct flags meant = pull_flags_meant(run, &base, &flag->flags);
	bool same = flags_equal(&base.flags, &meant) && base.modseq >= flag->modseq;
	bool ok = same || pull_merge_flags(run, txn, box, &base, &meant, flag->modseq, err);

	base_message_finish(&base);
	return ok;
}

/* --- new messages --- */

struct base_message
pull_base_of(const struct run *run, const struct run_arrival *arrival, struct number number)
{
	const struct run_box *box = &run->boxes[arrival->box];

	return (struct base_message){
		.mailbox = box->id,
		.uid = {.uidvalidity = box->base.uidvalidity, .uid = arrival->uid},
		.number = number,
		.guid = arrival->guid,
		.modseq = arrival->modseq,
		.size_bytes = arrival->size_bytes,
		.internaldate_s = arrival->internaldate_s,
		.served = BASE_SERVED_SAME,
		.flags = arrival->flags, /* borrowed: not to be finished */
	};
}

static bool
pull_look_at_mate(void *context, const struct base_message *base)
{
	struct pull_mate *mate = context;
	struct message message;

	if (!message_load(mate->txn, base->number, &message, mate->err)) {
		mate->failed = mate->err->kind != ERROR_GONE;
		error_clear(mate->err);
		return !mate->failed;
	}
	if (message.body != 0 && base->served == BASE_SERVED_SAME) {
		mate->body = message.body;
	}
	if (base->gone == BASE_EXPUNGED && message.expunged_s != 0 && message.expunged_by == MESSAGE_BY_REMOTE) {
		mate->tombstone = base->number;
	}
	if (base->gone == BASE_HERE) {
		mate->elsewhere = true;
	}
	if (base->gone == BASE_HELD && message.expunged_s == 0) {
		mate->held = base->number;
	}
	message_finish(&message);
	return true;
}

bool
pull_find_mate(struct store_txn *txn, const struct guid *guid, struct pull_mate *out, struct error *err)
{
	*out = (struct pull_mate){.txn = txn, .err = err};
	return base_message_each_by_guid(txn, RUN_REMOTE, guid, pull_look_at_mate, out, err) && !out->failed;
}

bool
pull_create(
	struct run *run, struct store_txn *txn, struct run_arrival *arrival, uint64_t body_of_mate, struct error *err)
{
	struct run_box *box = &run->boxes[arrival->box];
	struct message_new new = {
		.mailbox = box->id,
		.flags = arrival->flags,
		.internaldate_s = arrival->internaldate_s,
		.size_bytes = arrival->size_bytes,
		.body = body_of_mate,
		.envelope = arrival->has_header ? &arrival->envelope : NULL,
	};
	struct number number;
	struct body body;

	memcpy(new.identity, arrival->identity.bytes, sizeof(new.identity));
	if (arrival->body != NULL) {
		if (!body_put(txn, arrival->body, &new.body, err)) {
			return false;
		}
		new.size_bytes = body_prepared_get(arrival->body)->size_bytes;
		run->result->bodies++;
	} else if (body_of_mate != 0) {
		if (!body_load(txn, body_of_mate, &body, err)) {
			return false;
		}
		new.size_bytes = body.size_bytes;
	}
	if (!message_create(txn, &new, &number, err)) {
		return false;
	}
	struct base_message base = pull_base_of(run, arrival, number);

	run->result->new_here++;
	arrival->done = true;
	return base_message_put(txn, RUN_REMOTE, &base, err);
}

bool
pull_revive(
	struct run *run, struct store_txn *txn, struct run_arrival *arrival, struct number number, struct error *err)
{
	struct run_box *box = &run->boxes[arrival->box];
	struct base_message base = pull_base_of(run, arrival, number), old;

	if (!base_message_load(txn, RUN_REMOTE, number, &old, err)) {
		return false;
	}
	/* What was changed here before it went is changed still: the old base is the ancestor. */
	base.flags = old.flags;
	bool ok = message_revive(txn, number, box->id, err) && base_message_put(txn, RUN_REMOTE, &base, err) &&
		  pull_merge_flags(run, txn, box, &base, &arrival->flags, arrival->modseq, err);

	base_message_finish(&old);
	run->result->moved_here++;
	arrival->done = true;
	return ok;
}

static bool
pull_defer(struct run *run, struct run_arrival *arrival)
{
	if (run->deferred_count >= RUN_DEFERRED_MAX && !run->boxes[arrival->box].repairs) {
		return false;
	}
	if (run->deferred_count == run->deferred_capacity) {
		run->deferred_capacity = run->deferred_capacity * 2 + 256;
		run->deferred = realloc(run->deferred, run->deferred_capacity * sizeof(*run->deferred));
		if (run->deferred == NULL) {
			abort();
		}
	}
	run->deferred_bytes += arrival->body != NULL ? body_prepared_get(arrival->body)->size_bytes : 0;
	run->deferred[run->deferred_count++] = *arrival;
	*arrival = (struct run_arrival){0}; /* moved */
	return true;
}

/* The header, the date and the size are all others than those of the message that was sent. One of them alone a server may well have changed. */
static bool
pull_is_other(const struct run_arrival *arrival, const struct message *message, const struct base_message *base,
	uint64_t sent_bytes)
{
	static const uint8_t none[IDENTITY_BYTES];

	if (base->guid.kind != GUID_NONE && arrival->guid.kind != GUID_NONE) {
		return !guid_equal(&base->guid, &arrival->guid);
	}
	if (base->size_bytes != 0) { /* what the server told of it, to be compared with what it tells now */
		return base->internaldate_s != arrival->internaldate_s && base->size_bytes != arrival->size_bytes;
	}
	return arrival->has_header && memcmp(message->identity, none, sizeof(none)) != 0 &&
	       memcmp(message->identity, arrival->identity.bytes, sizeof(none)) != 0 &&
	       message->internaldate_s != arrival->internaldate_s && sent_bytes != arrival->size_bytes;
}

/* Under the UID that a message of ours was given there is another one: the server is not the one that took it (R7). */
static bool
pull_is_it(struct run *run, struct store_txn *txn, const struct run_arrival *arrival, const struct base_message *base,
	struct error *err)
{
	struct message message;
	struct body body = {0};

	if (!message_load(txn, base->number, &message, err)) {
		return false;
	}
	bool ok = message.body == 0 || body_load(txn, message.body, &body, err);

	run->boxes[arrival->box].other |= ok && pull_is_other(arrival, &message, base, body.wire_size_bytes);
	message_finish(&message);
	return ok;
}

/* A UID the base has: ours, of which the remote had not told yet; what it tells completes the row. */
static bool
pull_known(struct run *run, struct store_txn *txn, struct run_arrival *arrival, bool *out_known, struct error *err)
{
	struct run_box *box = &run->boxes[arrival->box];
	struct remote_uid uid = {.uidvalidity = box->base.uidvalidity, .uid = arrival->uid};
	struct base_message base;

	*out_known = base_message_load_by_uid(txn, RUN_REMOTE, box->id, uid, &base, err);
	if (!*out_known) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		return true;
	}
	bool ok = pull_is_it(run, txn, arrival, &base, err);

	if (!ok || box->other) {
		base_message_finish(&base);
		return ok;
	}
	ok = pull_merge_flags(run, txn, box, &base, &arrival->flags, arrival->modseq, err);
	struct base_message complete = pull_base_of(run, arrival, base.number);

	complete.gone = base.gone;
	ok = ok && run_complete_base(txn, &complete, arrival->size_bytes, err) &&
	     base_message_put(txn, RUN_REMOTE, &complete, err);
	base_message_finish(&base);
	return ok;
}

static bool
pull_arrival(struct run *run, struct store_txn *txn, struct run_arrival *arrival, struct error *err)
{
	struct run_box *box = &run->boxes[arrival->box];
	struct pull_mate mate = {0};
	bool known = false;

	if (!run->fresh) {
		if (!pull_known(run, txn, arrival, &known, err) || known) {
			return known;
		}
		if (!pull_find_mate(txn, &arrival->guid, &mate, err)) {
			return false;
		}
	}
	bool may_be_alike = !run->fresh && arrival->guid.kind == GUID_NONE && run->deferred_count < RUN_ALIKE_MAX &&
			    run->deferred_bytes < RUN_ALIKE_BYTES;

	if ((mate.elsewhere || mate.held.value != 0 || box->has_unpaired || run->intent_count > 0 || may_be_alike) &&
		pull_defer(run, arrival)) {
		return true;
	}
	if (run->direction == SYNC_PUSH || !box->live) {
		box->passed_over = true;
		return true; /* nothing comes here; what is here already has been paired */
	}
	if (mate.tombstone.value != 0) {
		return pull_revive(run, txn, arrival, mate.tombstone, err);
	}
	return pull_create(run, txn, arrival, mate.body, err);
}

/* The flags of a batch come first, then what arrived; a box is looked at once in a transaction. */
static bool
pull_write_item(struct run *run, struct store_txn *txn, void *context, size_t index, bool first, struct error *err)
{
	const struct run_box **looked_at = context;
	const struct run_batch *batch = &run->written;

	*looked_at = first ? NULL : *looked_at;
	if (index < batch->flag_count) {
		return pull_flag(run, txn, &batch->flags[index], err);
	}
	struct run_arrival *arrival = &batch->arrivals[index - batch->flag_count];
	struct run_box *box = &run->boxes[arrival->box];

	if (box != *looked_at && !run_look_at_box(run, txn, box, err)) {
		return false;
	}
	*looked_at = box;
	return box->dead || pull_arrival(run, txn, arrival, err);
}

/* Before the transaction, which others wait for. */
static bool
pull_pack_bodies(struct run *run, struct error *err)
{
	struct body_prepared *bodies[RUN_BATCH_MESSAGES];
	size_t count = 0;

	for (size_t i = 0; i < run->written.arrival_count && !run->pass->dry_run; i++) {
		if (run->written.arrivals[i].body != NULL) {
			bodies[count++] = run->written.arrivals[i].body;
		}
	}
	return body_pack(run->sync->store, bodies, count, err);
}

static bool
pull_write_beside(void *context, struct error *err)
{
	struct run *run = context;
	const struct run_box *looked_at = NULL;

	if (run->sync->settings->thread_begins != NULL) {
		run->sync->settings->thread_begins();
	}
	return pull_pack_bodies(run, err) && run_write_each(run, pull_write_item, &looked_at,
						     run->written.flag_count + run->written.arrival_count, err);
}

static bool
pull_end_behind(struct run *run, struct error *err)
{
	bool ok = store_behind_end(&run->behind, err);

	run_batch_clear(&run->written);
	return ok;
}

void
pull_batch_drop(struct run *run)
{
	struct error why;

	if (!pull_end_behind(run, &why)) {
		log_debug("sync", "pass=%016" PRIx64 " event=batch-lost reason=%s", run->id, why.text);
	}
	run_batch_clear(&run->batch);
}

bool
pull_batch_behind(struct run *run, struct error *err)
{
	if (!pull_end_behind(run, err)) {
		return false;
	}
	struct run_batch empty = run->written;

	run->written = run->batch;
	run->batch = empty;
	run_progress(run, "listing");
	run->behind = store_behind_begin(pull_write_beside, run);
	return true;
}

bool
pull_batch(struct run *run, struct error *err)
{
	if (run->batch.arrival_count == 0 && run->batch.flag_count == 0) {
		return pull_end_behind(run, err);
	}
	return pull_batch_behind(run, err) && pull_end_behind(run, err);
}
