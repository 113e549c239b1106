/* Bodies: brings them here, in small batches of one transaction each, outside any mailbox lock (R1). */
#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/mime/envelope_read.h"
#include "engine/sync/run.h"

#define HYDRATE_BATCH_MESSAGES 64
#define HYDRATE_BATCH_BYTES    (4u << 20)
#define HYDRATE_WANTED         4096 /* numbers gathered at a time */

struct hydrate_item {
	struct number number;
	uint32_t uid;
	uint64_t size_bytes;
	bool listed; /* its header is here */
	bool told;   /* done has heard */
	struct body_prepared *body;
};

struct hydrate {
	struct store *store;
	struct io *io;
	struct mailbox_id mailbox; /* the base's */
	struct base_mailbox base;
	struct hydrate_item *items; /* by UID */
	size_t count;
	void (*done)(void *context, struct number number, const struct error *error);
	void *context;
	struct spool *spool; /* of the message that is coming in */
	bool failed;         /* ... could not be kept */
	struct error failure;
	struct hydrate_item *batch[HYDRATE_BATCH_MESSAGES];
	size_t batch_count, batch_bytes;
};

static void
hydrate_tell(struct hydrate *hydrate, struct hydrate_item *item, const struct error *error)
{
	if (!item->told) {
		item->told = true;
		if (hydrate->done != NULL) {
			hydrate->done(hydrate->context, item->number, error);
		}
	}
}

static struct hydrate_item *
hydrate_find(struct hydrate *hydrate, uint32_t uid)
{
	size_t low = 0, high = hydrate->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (hydrate->items[middle].uid < uid) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low < hydrate->count && hydrate->items[low].uid == uid ? &hydrate->items[low] : NULL;
}

/* --- writing --- */

/* What the remote serves is the body; where other bytes were kept under this identity before and cannot be had again, these take their place (S5). */
static bool
hydrate_write_one(struct store_txn *txn, struct hydrate_item *item, struct error *err)
{
	struct envelope envelope;
	struct identity identity;
	uint64_t id;
	bool listed = item->listed;

	if (!body_put(txn, item->body, &id, err)) {
		return false;
	}
	if (!listed) {
		struct header_keys keys;

		header_collect(body_prepared_head(item->body), &keys);
		(void)envelope_read_keys(&keys, &envelope);
		identity = identity_of_keys(&keys);
	}
	bool ok = message_set_body(txn, item->number, id, body_prepared_get(item->body)->size_bytes,
		listed ? NULL : &envelope, listed ? NULL : identity.bytes, err);

	if (!listed) {
		envelope_finish(&envelope);
	}
	return ok && aside_remove(txn, RUN_REMOTE, item->number, (struct mailbox_id){0}, SIDE_LOCAL, err);
}

static bool
hydrate_flush(struct hydrate *hydrate, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	struct body_prepared *bodies[HYDRATE_BATCH_MESSAGES];

	if (hydrate->batch_count == 0) {
		return true;
	}
	for (size_t i = 0; i < hydrate->batch_count; i++) {
		bodies[i] = hydrate->batch[i]->body;
	}
	if (!body_pack(hydrate->store, bodies, hydrate->batch_count, err) ||
		!store_write_begin(hydrate->store, STORE_ENGINE, &txn, err)) {
		return false;
	}
	for (size_t i = 0; i < hydrate->batch_count; i++) {
		if (!hydrate_write_one(txn, hydrate->batch[i], err)) {
			if (err->kind != ERROR_GONE) {
				return false;
			}
			error_clear(err); /* it was purged meanwhile */
		}
	}
	if (!store_write_commit(&txn, STORE_LAZY, err)) {
		return false;
	}
	for (size_t i = 0; i < hydrate->batch_count; i++) {
		body_prepared_destroy(&hydrate->batch[i]->body);
		hydrate_tell(hydrate, hydrate->batch[i], NULL);
	}
	hydrate->batch_count = hydrate->batch_bytes = 0;
	return true;
}

/* --- what comes in --- */

static bool
hydrate_begin(void *context, uint32_t uid, uint64_t size_bytes, struct error *err)
{
	struct hydrate *hydrate = context;

	(void)uid;
	(void)size_bytes;
	(void)err;
	spool_close(&hydrate->spool);
	hydrate->spool = spool_create(store_dir(hydrate->store));
	hydrate->failed = false;
	return true;
}

static bool
hydrate_data(void *context, uint32_t uid, struct slice data, struct error *err)
{
	struct hydrate *hydrate = context;

	(void)uid;
	if (hydrate->failed || spool_append(hydrate->spool, data, &hydrate->failure)) {
		return true;
	}
	hydrate->failed = true;
	if (hydrate->failure.kind == ERROR_SPACE) {
		*err = hydrate->failure;
		return false;
	}
	return true;
}

static bool
hydrate_end(void *context, uint32_t uid, bool found, struct error *err)
{
	struct hydrate *hydrate = context;
	struct hydrate_item *item = hydrate_find(hydrate, uid);
	struct error why = ERROR_INIT;

	if (item == NULL || item->told || item->body != NULL) {
		spool_close(&hydrate->spool);
		return true;
	}
	if (!found) {
		spool_close(&hydrate->spool);
		error_set(&why, ERROR_GONE, "the message is gone from the server");
		hydrate_tell(hydrate, item, &why);
		return true;
	}
	if (hydrate->failed || !body_prepare_wire(hydrate->store, hydrate->spool, &item->body, &why)) {
		why = hydrate->failed ? hydrate->failure : why;
		spool_close(&hydrate->spool);
		if (why.kind == ERROR_SPACE) {
			*err = why;
			return false;
		}
		hydrate_tell(hydrate, item, &why);
		return true;
	}
	spool_close(&hydrate->spool);
	hydrate->batch[hydrate->batch_count++] = item;
	hydrate->batch_bytes +=
		(size_t)(body_prepared_get(item->body)->is_file ? 0 : body_prepared_get(item->body)->size_bytes);
	if (hydrate->batch_count < HYDRATE_BATCH_MESSAGES && hydrate->batch_bytes < HYDRATE_BATCH_BYTES) {
		return true;
	}
	return hydrate_flush(hydrate, err);
}

/* --- one mailbox --- */

static int
hydrate_compare(const void *left, const void *right)
{
	const struct hydrate_item *a = left, *b = right;

	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

/* Adds a message if its body is missing; those that have it are told at once. */
static bool
hydrate_add(struct hydrate *hydrate, struct store_txn *txn, struct number number, struct mailbox_id *mailbox,
	struct error *err)
{
	struct hydrate_item item = {.number = number};
	struct base_message base;
	struct message message;
	struct listing listing;
	struct body body = {0};
	struct error why = ERROR_INIT;

	if (!message_load(txn, number, &message, err)) {
		hydrate_tell(hydrate, &item, err);
		return err->kind == ERROR_GONE;
	}
	bool here = message.body != 0 && body_load(txn, message.body, &body, err) && !body.damaged;

	message_finish(&message);
	error_clear(err);
	if (here) {
		hydrate_tell(hydrate, &item, NULL);
		return true;
	}
	if (!base_message_load(txn, RUN_REMOTE, number, &base, err) || base.gone != BASE_HERE) {
		if (err->kind == ERROR_NONE) {
			base_message_finish(&base);
		}
		error_clear(err);
		error_set(&why, ERROR_GONE, "the message is not on the server, and its body was never here");
		hydrate_tell(hydrate, &item, &why);
		return true;
	}
	item.uid = base.uid.uid;
	item.size_bytes = base.size_bytes;
	if (mailbox->value == 0) {
		*mailbox = base.mailbox;
	}
	bool same = base.mailbox.value == mailbox->value, retired = base.uid.uidvalidity == 0;

	base_message_finish(&base);
	if (retired) {
		error_set(&why, ERROR_RETRY, "the server's mailbox was rebuilt, and is being compared");
		hydrate_tell(hydrate, &item, &why);
		return true;
	}
	if (!same) {
		error_set(&why, ERROR_RETRY, "the message is on its way to another mailbox");
		hydrate_tell(hydrate, &item, &why);
		return true;
	}
	item.listed = listing_load(txn, number, &listing, err);
	if (item.listed) {
		listing_finish(&listing);
	}
	error_clear(err);
	hydrate->items[hydrate->count++] = item;
	return true;
}

static bool
hydrate_prepare(struct hydrate *hydrate, const struct number *numbers, size_t count, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;

	if (!store_read_begin(hydrate->store, &txn, err)) {
		return false;
	}
	/* The base's mailbox is asked: a message that moved here may still be there in the old one. */
	hydrate->mailbox = (struct mailbox_id){0};
	for (size_t i = 0; i < count; i++) {
		if (!hydrate_add(hydrate, txn, numbers[i], &hydrate->mailbox, err)) {
			return false;
		}
		error_clear(err);
	}
	if (hydrate->count == 0) {
		return true;
	}
	qsort(hydrate->items, hydrate->count, sizeof(*hydrate->items), hydrate_compare);
	return base_mailbox_load(txn, RUN_REMOTE, hydrate->mailbox, &hydrate->base, err);
}

static bool
hydrate_fetch(struct hydrate *hydrate, struct remote_session *session, struct error *err)
{
	SCOPED(uidset_finish) struct uidset uids = UIDSET_INIT;
	struct remote_target target = {
		.raw_name = slice_of(hydrate->base.raw_name), .uidvalidity = hydrate->base.uidvalidity};
	const struct remote_body_sink sink = {
		.begin = hydrate_begin, .data = hydrate_data, .end = hydrate_end, .context = hydrate};
	uint64_t *sizes = calloc(hydrate->count, sizeof(*sizes));

	if (sizes == NULL) {
		abort();
	}
	for (size_t i = 0; i < hydrate->count; i++) {
		uidset_add(&uids, hydrate->items[i].uid, hydrate->items[i].uid);
		sizes[i] = hydrate->items[i].size_bytes;
	}
	bool ok = session->ops->fetch(session, &target, &uids, sizes, &sink, err);
	struct error failure = *err;

	free(sizes);
	error_clear(err);
	/* What came in whole is kept even when the connection broke behind it. */
	bool flushed = hydrate_flush(hydrate, err);

	if (flushed && !ok) {
		*err = failure;
	}
	return flushed && ok;
}

bool
sync_hydrate(struct io *io, struct store *store, struct remote_session *session, struct mailbox_id mailbox,
	const struct number *numbers, size_t count,
	void (*done)(void *context, struct number number, const struct error *error), void *context, struct error *err)
{
	struct hydrate hydrate = {.store = store, .io = io, .done = done, .context = context};
	struct error gone = ERROR_INIT;

	(void)mailbox; /* the base tells where it is */
	hydrate.items = calloc(count + 1, sizeof(*hydrate.items));
	if (hydrate.items == NULL) {
		abort();
	}
	bool ok = hydrate_prepare(&hydrate, numbers, count, err) &&
		  (hydrate.count == 0 || hydrate_fetch(&hydrate, session, err));

	error_set(&gone, ERROR_GONE, "the message is gone from the server");
	for (size_t i = 0; i < hydrate.count; i++) {
		body_prepared_destroy(&hydrate.items[i].body);
		hydrate_tell(&hydrate, &hydrate.items[i], ok ? &gone : err);
	}
	if (hydrate.base.raw_name != NULL) {
		base_mailbox_finish(&hydrate.base);
	}
	spool_close(&hydrate.spool);
	free(hydrate.items);
	return ok;
}

/* --- all that the policy wants --- */

struct hydrate_wanted {
	struct sync *sync;
	struct sync_result *result;
	const struct sync_pass *pass;
	struct number *numbers;
	struct mailbox_id *mailboxes;
	size_t count;
	uint64_t *skipped; /* failed now, or set aside and not due; rising */
	size_t skipped_count, skipped_sorted, skipped_capacity;
	struct buf due; /* numbers whose next try it is */
	int64_t now_s;
	size_t brought;
	uint64_t done;
};

static int
hydrate_compare_u64(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return a < b ? -1 : a > b;
}

static void
hydrate_skip(struct hydrate_wanted *wanted, struct number number)
{
	if (wanted->skipped_count == wanted->skipped_capacity) {
		wanted->skipped_capacity = wanted->skipped_capacity * 2 + 64;
		wanted->skipped = realloc(wanted->skipped, wanted->skipped_capacity * sizeof(*wanted->skipped));
		if (wanted->skipped == NULL) {
			abort();
		}
	}
	wanted->skipped[wanted->skipped_count++] = number.value;
}

static bool
hydrate_note_aside(void *context, const struct aside *aside, struct error *err)
{
	struct hydrate_wanted *wanted = context;

	(void)err;
	if (aside->direction != SIDE_LOCAL || aside->number.value == 0) {
		return true;
	}
	if (aside->next_try_s > wanted->now_s) {
		hydrate_skip(wanted, aside->number);
	} else {
		buf_append(&wanted->due, slice_make(&aside->number, sizeof(aside->number)));
	}
	return true;
}

/* What was set aside and is not missing any more is forgotten. */
static bool
hydrate_forget_stale(struct hydrate_wanted *wanted, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	const struct mailbox_id any = {0};

	if (wanted->due.length == 0) {
		return true;
	}
	if (!store_write_begin(wanted->sync->store, STORE_ENGINE, &txn, err)) {
		return false;
	}
	for (size_t i = 0; i < wanted->due.length / sizeof(struct number); i++) {
		struct number number;
		struct message message;
		bool missing = false;

		memcpy(&number, wanted->due.data + i * sizeof(number), sizeof(number));
		if (message_load(txn, number, &message, err)) {
			missing = message.expunged_s == 0 && message.body == 0;
			message_finish(&message);
		} else if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		if (!missing && !aside_remove(txn, RUN_REMOTE, number, any, SIDE_LOCAL, err)) {
			return false;
		}
	}
	return store_write_commit(&txn, STORE_LAZY, err);
}

static bool
hydrate_note_missing(void *context, struct number number, struct mailbox_id mailbox)
{
	struct hydrate_wanted *wanted = context;

	if (wanted->skipped_sorted > 0 && bsearch(&number.value, wanted->skipped, wanted->skipped_sorted,
						  sizeof(*wanted->skipped), hydrate_compare_u64) != NULL) {
		return true;
	}
	wanted->numbers[wanted->count] = number;
	wanted->mailboxes[wanted->count++] = mailbox;
	return wanted->count < HYDRATE_WANTED;
}

static void
hydrate_note_done(void *context, struct number number, const struct error *error)
{
	struct hydrate_wanted *wanted = context;

	if (error == NULL) {
		wanted->brought++;
		wanted->done++;
		wanted->result->bodies++;
		return;
	}
	hydrate_skip(wanted, number);
	if (error->kind == ERROR_GONE || !run_error_is_local(error)) {
		return; /* the next scan tells of it, or the next connection brings it */
	}
	struct error why = ERROR_INIT;
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;

	wanted->result->failed++;
	buf_printf(&wanted->result->text, "message %" PRIu64 ": its body could not be brought here: %s\n", number.value,
		error->text);
	if (!store_write_begin(wanted->sync->store, STORE_ENGINE, &txn, &why) ||
		!aside_note(txn, RUN_REMOTE, number, (struct mailbox_id){0}, SIDE_LOCAL, slice_of(error->text), &why) ||
		!store_write_commit(&txn, STORE_LAZY, &why)) {
		log_warn("sync", "number=%" PRIu64 " not noted as set aside: %s", number.value, why.text);
	}
}

static bool
hydrate_gather(struct hydrate_wanted *wanted, int64_t since_s, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;

	wanted->count = 0;
	if (wanted->skipped_count > 1) { /* an array that is not there is not for qsort */
		qsort(wanted->skipped, wanted->skipped_count, sizeof(*wanted->skipped), hydrate_compare_u64);
	}
	wanted->skipped_sorted = wanted->skipped_count;
	return store_read_begin(wanted->sync->store, &txn, err) &&
	       message_each_missing(txn, (struct mailbox_id){0}, since_s, HYDRATE_WANTED + wanted->skipped_count,
		       hydrate_note_missing, wanted, err);
}

static bool
hydrate_round(struct hydrate_wanted *wanted, struct remote_session *session, struct error *err)
{
	wanted->brought = 0;
	for (size_t first = 0, next; first < wanted->count; first = next) {
		next = first + 1;
		while (next < wanted->count && wanted->mailboxes[next].value == wanted->mailboxes[first].value) {
			next++;
		}
		if (!sync_hydrate(wanted->sync->io, wanted->sync->store, session, wanted->mailboxes[first],
			    &wanted->numbers[first], next - first, hydrate_note_done, wanted, err)) {
			/* Only this mailbox's: it went or was rebuilt meanwhile. Its messages are passed over until the next time. */
			if (!session->ops->alive(session) || (!run_error_is_local(err) && err->kind != ERROR_RETRY)) {
				return false;
			}
			error_clear(err);
		}
		if (wanted->pass->progress != NULL) {
			wanted->pass->progress(wanted->pass->context, "bodies", wanted->done, 0);
		}
	}
	return true;
}

bool
sync_hydrate_wanted(struct sync *sync, struct remote_session *session, const struct sync_pass *pass,
	struct sync_result *result, struct error *err)
{
	struct hydrate_wanted wanted = {.sync = sync, .result = result, .pass = pass, .now_s = io_wall_s(sync->io)};
	int64_t since_s = sync->settings->bodies_since_s != NULL
				  ? sync->settings->bodies_since_s(sync->settings->context)
				  : INT64_MIN;
	bool ok;

	if (since_s == INT64_MAX || pass->dry_run) {
		return true;
	}
	wanted.numbers = calloc(HYDRATE_WANTED, sizeof(*wanted.numbers));
	wanted.mailboxes = calloc(HYDRATE_WANTED, sizeof(*wanted.mailboxes));
	if (wanted.numbers == NULL || wanted.mailboxes == NULL) {
		abort();
	}
	{
		SCOPED(store_read_end) struct store_txn *txn = NULL;

		ok = store_read_begin(sync->store, &txn, err) &&
		     aside_each(txn, RUN_REMOTE, hydrate_note_aside, &wanted, err);
	}
	ok = ok && hydrate_forget_stale(&wanted, err);
	do {
		ok = ok && hydrate_gather(&wanted, since_s, err) && hydrate_round(&wanted, session, err);
	} while (ok && wanted.count > 0);
	free(wanted.numbers);
	free(wanted.mailboxes);
	free(wanted.skipped);
	buf_finish(&wanted.due);
	return ok;
}
