#include "engine/remote/imap/imap_append.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/remote/imap/imap_effects.h"
#include "engine/remote/imap/imap_refusal.h"

struct batch {
	size_t first, count; /* of `order` */
	bool answered;
	struct imap_effect effect;
};

struct append {
	struct imap_session *session;
	const struct remote_target *target;
	struct remote_append *items;
	bool *binary;  /* parallel to the items: it holds NULs */
	size_t *order; /* the items that can be sent */
	size_t order_count;
	struct batch *batches;
	size_t batch_count, batch_capacity;
	size_t *waiting; /* batches that are not sent, the next one last */
	size_t waiting_count, waiting_capacity;
	bool hopeless; /* the mailbox itself refuses */
	struct error refusal;
};

static void
append_finish(struct append *append)
{
	free(append->binary);
	free(append->order);
	free(append->batches);
	free(append->waiting);
}

static void *
must_have(void *memory)
{
	if (memory == NULL) {
		abort();
	}
	return memory;
}

/* Tells whether a body may be sent, and whether it holds NULs. */
static bool
is_sendable(const struct imap_session *session, struct remote_append *item, bool *out_binary, struct error *why)
{
	uint64_t size = spool_size(item->body);
	struct slice view;

	if (size == 0) {
		return error_set(why, ERROR_INVALID, "an empty file is no message");
	}
	if (session->can.append_limit != 0 && size > session->can.append_limit) {
		return error_set(why, ERROR_ITEM, "%" PRIu64 " octets are more than the server takes (%" PRIu32 ")",
			size, session->can.append_limit);
	}
	if (size >= IMAP_LITERAL_MAX) {
		return error_set(why, ERROR_ITEM, "%" PRIu64 " octets are too many for one message", size);
	}
	if (!spool_view(item->body, &view, why)) {
		return false;
	}
	*out_binary = memchr(view.data, '\0', view.length) != NULL;
	if (*out_binary && !imap_can(&session->can, IMAP_CAN_BINARY)) {
		return error_set(why, ERROR_INVALID, "it holds a NUL, which this server does not take");
	}
	return true;
}

static void
push_waiting(struct append *append, size_t batch)
{
	if (append->waiting_count == append->waiting_capacity) {
		append->waiting_capacity = append->waiting_capacity == 0 ? 16 : 2 * append->waiting_capacity;
		append->waiting =
			must_have(reallocarray(append->waiting, append->waiting_capacity, sizeof *append->waiting));
	}
	append->waiting[append->waiting_count++] = batch;
}

static void
add_batch(struct append *append, size_t first, size_t count)
{
	if (append->batch_count == append->batch_capacity) {
		append->batch_capacity = append->batch_capacity == 0 ? 16 : 2 * append->batch_capacity;
		append->batches =
			must_have(reallocarray(append->batches, append->batch_capacity, sizeof *append->batches));
	}
	append->batches[append->batch_count++] = (struct batch){.first = first, .count = count};
}

/* Sorts out what cannot be sent, and cuts the rest into batches. */
static void
make_batches(struct append *append, size_t count)
{
	size_t most = imap_can(&append->session->can, IMAP_CAN_MULTIAPPEND) ? IMAP_APPEND_MESSAGES : 1;
	size_t first = 0;
	uint64_t octets = 0;

	for (size_t i = 0; i < count; i++) {
		struct remote_append *item = &append->items[i];

		item->outcome = REMOTE_NOT_SENT;
		item->uid = (struct remote_uid){0};
		error_clear(&item->error);
		if (!is_sendable(append->session, item, &append->binary[i], &item->error)) {
			item->outcome = REMOTE_REFUSED;
			continue;
		}
		uint64_t size = spool_size(item->body);

		if (append->order_count > first &&
			(append->order_count - first == most || octets + size > IMAP_APPEND_OCTETS)) {
			add_batch(append, first, append->order_count - first);
			first = append->order_count;
			octets = 0;
		}
		append->order[append->order_count++] = i;
		octets += size;
	}
	if (append->order_count > first) {
		add_batch(append, first, append->order_count - first);
	}
	for (size_t i = append->batch_count; i-- > 0;) {
		push_waiting(append, i);
	}
}

/* --- answers --- */

/* `38505 3955,3957:3960`, in the order in which the messages were sent. */
static void
take_appenduid(struct append *append, const struct batch *batch, struct slice arguments)
{
	struct slice validity, set;
	struct uid_range range = {.first = 1, .last = 0};
	uint32_t uidvalidity, *uids;
	size_t found = 0;

	if (!imap_words_next_word(&arguments, &validity) || !imap_words_next_word(&arguments, &set) ||
		!slice_to_u32(validity, &uidvalidity)) {
		return;
	}
	uids = must_have(calloc(batch->count, sizeof *uids));
	while (found < batch->count && imap_words_next_range(&set, &range)) {
		for (uint64_t uid = range.first; uid <= range.last && found < batch->count; uid++) {
			uids[found++] = (uint32_t)uid;
			range.first++;
		}
	}
	if (found == batch->count && set.length == 0 &&
		range.first > range.last) { /* as many as were sent, else it tells nothing */
		for (size_t i = 0; i < batch->count; i++) {
			append->items[append->order[batch->first + i]].uid =
				(struct remote_uid){.uidvalidity = uidvalidity, .uid = uids[i]};
		}
	}
	free(uids);
}

/* A UID under another UIDVALIDITY than the one the upload was decided for is not recorded: somebody has to look. */
static void
settle_stored(struct append *append, const struct batch *batch)
{
	uint32_t expected = append->target->uidvalidity;

	for (size_t i = batch->first; i < batch->first + batch->count; i++) {
		struct remote_append *item = &append->items[append->order[i]];

		item->outcome = REMOTE_DONE;
		if (item->uid.uid != 0 && expected != 0 && item->uid.uidvalidity != expected) {
			item->outcome = REMOTE_UNKNOWN;
			error_set(&item->error, ERROR_RETRY, "rebuilt: UIDVALIDITY is %" PRIu32 ", and was %" PRIu32,
				item->uid.uidvalidity, expected);
			item->uid = (struct remote_uid){0};
		}
	}
}

static void
settle_refused(struct append *append, const struct batch *batch, const struct error *why)
{
	for (size_t i = batch->first; i < batch->first + batch->count; i++) {
		append->items[append->order[i]].outcome = REMOTE_REFUSED;
		append->items[append->order[i]].error = *why;
	}
}

/* Tells whether a refusal is about all that could be sent there. */
static bool
is_hopeless(const struct error *refusal)
{
	return refusal->kind == ERROR_GONE || refusal->kind == ERROR_REFUSED || refusal->kind == ERROR_THROTTLED;
}

static bool
append_done(void *context, uint64_t cookie, const struct imap_response *answer, struct error *err)
{
	struct append *append = context;
	struct batch *batch = &append->batches[cookie];

	(void)err;
	batch->answered = true;
	imap_effect_answer(&batch->effect, answer, "APPEND");
	if (answer->status == IMAP_OK) {
		if (slice_equal_nocase(answer->code, SLICE_LITERAL("APPENDUID"))) {
			take_appenduid(append, batch, answer->arguments);
		}
		settle_stored(append, batch);
		return true;
	}
	if (is_hopeless(&batch->effect.refusal)) {
		append->hopeless = true;
		append->refusal = batch->effect.refusal;
	}
	if (append->hopeless || batch->count == 1) {
		settle_refused(append, batch, &batch->effect.refusal);
		return true;
	}
	size_t first = batch->first, half = batch->count / 2, rest = batch->count - half; /* the table may move */

	add_batch(append, first, half);
	add_batch(append, first + half, rest);
	push_waiting(append, append->batch_count - 1);
	push_waiting(append, append->batch_count - 2);
	return true;
}

/* --- sending --- */

static bool
send_batch(struct append *append, size_t index, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	struct batch *batch = &append->batches[index];
	size_t first = batch->first, count = batch->count;
	const struct imap_asked asked = {.what = "APPEND", .done = append_done, .context = append, .cookie = index};
	uint64_t mark = UINT64_MAX;

	imap_command_begin(&command, imap_session_literals(append->session), "APPEND");
	imap_command_string(&command, append->target->raw_name);
	for (size_t i = first; i < first + count; i++) {
		const struct remote_append *item = &append->items[append->order[i]];

		imap_command_flags(&command, &item->flags);
		imap_command_date(&command, item->internaldate_s);
		imap_command_spool(&command, item->body, append->binary[append->order[i]]);
	}
	if (command.failure.kind != ERROR_NONE) {
		settle_refused(append, batch, &command.failure);
		batch->answered = true;
		return true;
	}
	batch->effect = (struct imap_effect){.sent = 1, .first_mark = UINT64_MAX};

	bool fine = imap_session_send(append->session, &command, &asked, &mark, err);

	append->batches[index].effect.first_mark = mark;
	return fine;
}

static bool
send_all(struct append *append, struct error *err)
{
	do {
		while (append->waiting_count > 0 && !append->hopeless) {
			if (!imap_session_settle(append->session, IMAP_APPENDS_AHEAD, err) ||
				!send_batch(append, append->waiting[--append->waiting_count], err)) {
				return false;
			}
		}
		if (!imap_session_settle(append->session, 0, err)) {
			return false;
		}
	} while (append->waiting_count > 0 && !append->hopeless);
	for (; append->waiting_count > 0; append->waiting_count--) {
		settle_refused(append, &append->batches[append->waiting[append->waiting_count - 1]], &append->refusal);
	}
	return true;
}

/* The session died: says what is known of the batches that have no answer. */
static void
settle_lost(struct append *append, const struct error *why)
{
	for (size_t i = 0; i < append->batch_count; i++) {
		const struct batch *batch = &append->batches[i];

		if (batch->answered || batch->effect.sent == 0) {
			continue;
		}
		for (size_t k = batch->first; k < batch->first + batch->count; k++) {
			append->items[append->order[k]].outcome =
				imap_effect_outcome(&batch->effect, append->session, false);
			append->items[append->order[k]].error = *why;
		}
	}
}

bool
imap_append_messages(struct imap_session *session, const struct remote_target *target, struct remote_append *items,
	size_t count, struct error *err)
{
	SCOPED(append_finish) struct append append = {.session = session, .target = target, .items = items};

	if (!imap_session_check(session, err)) {
		for (size_t i = 0; i < count; i++) {
			items[i].outcome = REMOTE_NOT_SENT;
		}
		return false;
	}
	append.binary = must_have(calloc(count + 1, sizeof *append.binary));
	append.order = must_have(calloc(count + 1, sizeof *append.order));
	make_batches(&append, count);
	if (!send_all(&append, err)) {
		settle_lost(&append, err);
		return false;
	}
	return true;
}
