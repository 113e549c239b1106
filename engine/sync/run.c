#include "engine/sync/run.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/log.h"

void
run_say(struct run *run, const char *format, ...)
{
	char line[1024];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	buf_append_text(&run->result->text, line);
	buf_append_octet(&run->result->text, '\n');
	log_info("sync", "%s", line);
}

bool
run_lock(struct run *run, uint64_t octet, int64_t timeout_ms, struct error *err)
{
	if (io_lock(run->sync->locks, octet, IO_LOCK_EXCLUSIVE, timeout_ms > 0 ? timeout_ms : 0, NULL, err)) {
		log_info("sync", "pass=%016" PRIx64 " mailbox=%" PRIu64 " event=begins", run->id, octet);
		return true;
	}
	if (err->kind == ERROR_RETRY) {
		log_info("sync", "pass=%016" PRIx64 " mailbox=%" PRIu64 " event=busy", run->id, octet);
	}
	return false;
}

void
run_unlock(struct run *run, uint64_t octet)
{
	log_info("sync", "pass=%016" PRIx64 " mailbox=%" PRIu64 " event=ends", run->id, octet);
	io_unlock(run->sync->locks, octet);
}

void
run_progress(struct run *run, const char *phase)
{
	if (run->pass->progress != NULL) {
		run->pass->progress(run->pass->context, phase, run->progress_done, run->progress_total);
	}
}

bool
run_error_is_local(const struct error *err)
{
	switch (err->kind) {
	case ERROR_ITEM:
	case ERROR_GONE:
	case ERROR_EXISTS:
	case ERROR_REFUSED:
	case ERROR_INVALID:
	case ERROR_DAMAGED:
		return true;
	case ERROR_NONE:
	case ERROR_RETRY:
	case ERROR_UNREACHABLE:
	case ERROR_THROTTLED:
	case ERROR_CREDENTIALS:
	case ERROR_TRUST:
	case ERROR_CONFIG:
	case ERROR_SPACE:
	case ERROR_CANCELLED:
	case ERROR_SYSTEM:
	case ERROR_FATAL:
	case ERROR_KIND_COUNT:
		break;
	}
	return false;
}

struct run_aside {
	struct number number;
	struct mailbox_id mailbox;
	enum side direction;
	const struct error *why;
};

static bool
run_write_aside(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	const struct run_aside *aside = context;

	(void)run;
	if (aside->number.value != 0 && aside->direction == SIDE_REMOTE &&
		!message_set_failed(txn, aside->number, aside->why->text, err) && err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	return aside_note(
		txn, RUN_REMOTE, aside->number, aside->mailbox, aside->direction, slice_of(aside->why->text), err);
}

bool
run_set_aside(struct run *run, struct number number, struct mailbox_id mailbox, enum side direction,
	const struct error *why, struct error *err)
{
	struct run_aside aside = {.number = number, .mailbox = mailbox, .direction = direction, .why = why};
	const struct run_box *box = run_box_of(run, mailbox);

	run->result->failed++;
	run_say(run, "%s: %s", box != NULL ? box->name : "the account", why->text);
	return run_write(run, run_write_aside, &aside, STORE_LAZY, err);
}

struct run_box *
run_box_of(struct run *run, struct mailbox_id id)
{
	size_t low = 0, high = run->box_count;

	/* Boxes stand in the order of their rows. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (run->boxes[middle].id.value < id.value) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low < run->box_count && run->boxes[low].id.value == id.value ? &run->boxes[low] : NULL;
}

bool
run_look_at_box(struct run *run, struct store_txn *txn, struct run_box *box, struct error *err)
{
	struct mailbox mailbox;

	if (box->dead || !box->live) {
		return true;
	}
	if (!mailbox_load(txn, box->id, &mailbox, err)) {
		return false;
	}
	if (mailbox.expunged_s != 0) {
		box->dead = box->failed = true;
		box->scanned = false;
		run->result->again = true;
	}
	mailbox_finish(&mailbox);
	return true;
}

size_t
run_box_index(const struct run *run, const struct run_box *box)
{
	return (size_t)(box - run->boxes);
}

struct remote_target
run_target(const struct run_box *box)
{
	return (struct remote_target){.raw_name = slice_of(box->base.raw_name), .uidvalidity = box->base.uidvalidity};
}

struct merge_mask
run_mask(const struct run_box *box)
{
	return (struct merge_mask){.permanent = box->base.permanent, .keywords_any = box->base.keywords_any};
}

void
run_arrival_finish(struct run_arrival *arrival)
{
	flags_finish(&arrival->flags);
	if (arrival->has_header) {
		envelope_finish(&arrival->envelope);
		arrival->has_header = false;
	}
	body_prepared_destroy(&arrival->body);
}

void
run_batch_init(struct run_batch *batch)
{
	*batch = (struct run_batch){
		.arrivals = calloc(RUN_BATCH_MESSAGES, sizeof(*batch->arrivals)),
		.flags = calloc(RUN_BATCH_MESSAGES, sizeof(*batch->flags)),
	};
	if (batch->arrivals == NULL || batch->flags == NULL) {
		abort();
	}
}

void
run_batch_clear(struct run_batch *batch)
{
	for (size_t i = 0; i < batch->arrival_count; i++) {
		run_arrival_finish(&batch->arrivals[i]);
	}
	for (size_t i = 0; i < batch->flag_count; i++) {
		flags_finish(&batch->flags[i].flags);
	}
	batch->arrival_count = batch->arrival_bytes = batch->flag_count = 0;
}

void
run_batch_finish(struct run_batch *batch)
{
	run_batch_clear(batch);
	free(batch->arrivals);
	free(batch->flags);
	*batch = (struct run_batch){0};
}

bool
run_write(struct run *run, bool (*write)(struct run *run, struct store_txn *txn, void *context, struct error *err),
	void *context, enum store_durability durability, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;

	if (!store_write_begin(run->sync->store, STORE_ENGINE, &txn, err) || !write(run, txn, context, err)) {
		return false;
	}
	if (run->pass->dry_run) {
		return true; /* rolled back */
	}
	return store_write_commit(&txn, durability, err);
}

struct run_each {
	run_write_one *write;
	void *context;
	size_t next, count;
};

static bool
run_write_some(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct run_each *each = context;
	size_t first = each->next;

	do {
		if (!each->write(run, txn, each->context, each->next, each->next == first, err)) {
			return false;
		}
		each->next++;
	} while (each->next < each->count && (run->pass->dry_run || !store_write_should_yield(txn)));
	return true;
}

bool
run_write_each(struct run *run, run_write_one *write, void *context, size_t count, struct error *err)
{
	struct run_each each = {.write = write, .context = context, .count = count};

	while (each.next < each.count) {
		if (!run_write(run, run_write_some, &each, STORE_LAZY, err)) {
			return false;
		}
	}
	return true;
}

bool
run_read(struct run *run, bool (*read)(struct run *run, struct store_txn *txn, void *context, struct error *err),
	void *context, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;

	return store_read_begin(run->sync->store, &txn, err) && read(run, txn, context, err);
}

bool
run_aside_is_due(const struct run *run, const struct aside *aside)
{
	return run->pass->full || aside->next_try_s <= io_wall_s(run->sync->io);
}

bool
run_clear_failure(struct store_txn *txn, struct number number, struct error *err)
{
	const struct mailbox_id any = {0};

	return message_set_failed(txn, number, NULL, err) &&
	       aside_remove(txn, RUN_REMOTE, number, any, SIDE_REMOTE, err);
}

bool
run_complete_base(struct store_txn *txn, struct base_message *base, uint64_t size_bytes, struct error *err)
{
	struct message message;
	struct body body = {0};

	if (!message_load(txn, base->number, &message, err)) {
		return false;
	}
	bool ok = message.body == 0 || body_load(txn, message.body, &body, err);

	message_finish(&message);
	base->size_bytes = size_bytes;
	base->served = body.wire_size_bytes == size_bytes ? BASE_SERVED_SAME : BASE_SERVED_UNKNOWN;
	return ok;
}

void
run_add_intent(struct run *run, const struct intent *intent)
{
	if ((run->intent_count & (run->intent_count - 1)) == 0) {
		run->intents = realloc(
			run->intents, (run->intent_count > 0 ? run->intent_count * 2 : 1) * sizeof(*run->intents));
		if (run->intents == NULL) {
			abort();
		}
	}
	run->intents[run->intent_count++] = *intent;
}

struct mailbox_id
run_intent_target(const struct intent *intent)
{
	switch (intent->kind) {
	case INTENT_APPEND:
		return intent->mailbox;
	case INTENT_COPY:
	case INTENT_MOVE:
		return intent->target;
	case INTENT_CREATE:
	case INTENT_RENAME:
	case INTENT_REMOVE:
		break;
	}
	return (struct mailbox_id){0};
}

char *
run_intent_detail(struct run *run, const struct flags *flags)
{
	SCOPED(buf_finish) struct buf text = BUF_INIT;

	flags_print_imap(flags, &text);
	return arena_text(&run->arena, buf_slice(&text));
}

void
run_intent_flags(const struct intent *intent, struct flags *out)
{
	for (struct slice left = slice_of(intent->detail); left.length > 0;) {
		size_t length = slice_find(left, ' ');

		(void)flags_add_imap(out, slice_head(left, length));
		left = slice_skip(left, length < left.length ? length + 1 : length);
	}
}
