#include "engine/hydrator.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/account.h"
#include "engine/base/log.h"
#include "engine/driver.h"
#include "engine/hydrator_internal.h"
#include "engine/store/message.h"
#include "engine/view.h"

#define TICKETS_MAX       4096
#define AHEAD_FIRST       8
#define AHEAD_MAX         256
#define AHEAD_GAP         64 /* UIDs between two requests in a row */
#define AHEAD_WAITING_MAX 512
#define AHEAD_ROWS_MAX    4096 /* looked at for one window */
#define AHEAD_BYTES_MAX   (16u << 20)
#define BATCH_DEMAND      64
#define BATCH_BACKGROUND  256
#define BATCH_LONE        24 /* in the background where one thread does everything */
#define FAILED_WAIT_MS    600000

/* --- what is wanted --- */

static size_t
bucket_of(struct number number)
{
	return (size_t)(number.value * UINT64_C(0x9e3779b97f4a7c15) >> 32) % HYDRATOR_BUCKETS;
}

static struct want *
find_want_locked(struct hydrator *hydrator, struct number number) REQUIRES(hydrator->mutex)
{
	struct want *want = hydrator->buckets[bucket_of(number)];

	while (want != NULL && want->number.value != number.value) {
		want = want->next_in_bucket;
	}
	return want;
}

static void
enqueue_locked(struct hydrator *hydrator, struct want *want) REQUIRES(hydrator->mutex)
{
	struct want_list *list = &hydrator->waiting[want->priority];

	want->next = NULL;
	want->previous = list->last;
	if (list->last != NULL) {
		list->last->next = want;
	} else {
		list->first = want;
	}
	list->last = want;
	list->count++;
}

static void
dequeue_locked(struct hydrator *hydrator, struct want *want) REQUIRES(hydrator->mutex)
{
	struct want_list *list = &hydrator->waiting[want->priority];

	*(want->previous != NULL ? &want->previous->next : &list->first) = want->next;
	*(want->next != NULL ? &want->next->previous : &list->last) = want->previous;
	list->count--;
}

/* Adds a want, or raises the one that is there. */
static struct want *
add_want_locked(struct hydrator *hydrator, struct number number, struct mailbox_id mailbox, enum want_priority priority)
	REQUIRES(hydrator->mutex)
{
	struct want *want = find_want_locked(hydrator, number);

	if (want == NULL) {
		want = calloc(1, sizeof(*want));
		if (want == NULL) {
			abort();
		}
		*want = (struct want){.number = number, .mailbox = mailbox, .priority = priority};
		want->next_in_bucket = hydrator->buckets[bucket_of(number)];
		hydrator->buckets[bucket_of(number)] = want;
		enqueue_locked(hydrator, want);
	} else if (!want->flying && priority < want->priority) {
		dequeue_locked(hydrator, want);
		want->priority = priority;
		want->mailbox = mailbox;
		enqueue_locked(hydrator, want);
	}
	return want;
}

/* Takes a want out for good; its tickets are the caller's. */
static struct ticket *
remove_want_locked(struct hydrator *hydrator, struct want *want) REQUIRES(hydrator->mutex)
{
	struct want **place = &hydrator->buckets[bucket_of(want->number)];
	struct ticket *tickets = want->tickets;

	while (*place != want) {
		place = &(*place)->next_in_bucket;
	}
	*place = want->next_in_bucket;
	if (!want->flying) {
		dequeue_locked(hydrator, want);
	}
	free(want);
	for (struct ticket *ticket = tickets; ticket != NULL; ticket = ticket->next) {
		hydrator->tickets--;
	}
	return tickets;
}

/* Where more fail than can be remembered the background gives up until the next pass. */
static void
note_failed_locked(struct hydrator *hydrator, struct number number) REQUIRES(hydrator->mutex)
{
	size_t place = hydrator->failed_next;
	int64_t now_ms = io_now_ms(hydrator->account->io);

	if (hydrator->failed[place] != 0 && now_ms - hydrator->failed_ms[place] < FAILED_WAIT_MS) {
		hydrator_end_fill_locked(hydrator);
	}
	hydrator->failed[place] = number.value;
	hydrator->failed_ms[place] = now_ms;
	hydrator->failed_next = (place + 1) % HYDRATOR_FAILED_MAX;
}

void
hydrator_end_fill_locked(struct hydrator *hydrator)
{
	hydrator->filling = false;
	hydrator->fill_due = false;
	condition_broadcast(&hydrator->filled);
}

void
hydrator_complete(struct hydrator *hydrator, struct number number, const struct error *error, bool tried)
{
	struct ticket *tickets = NULL;
	struct want *want;

	mutex_lock(&hydrator->mutex);
	want = find_want_locked(hydrator, number);
	if (want != NULL) {
		tickets = remove_want_locked(hydrator, want);
	}
	if (error != NULL && tried) {
		note_failed_locked(hydrator, number);
	}
	mutex_unlock(&hydrator->mutex);
	while (tickets != NULL) {
		struct ticket *next = tickets->next;

		tickets->done(tickets->context, error);
		free(tickets);
		tickets = next;
	}
}

/* --- requests --- */

/* Notes where somebody reads; requests in a row make the window ahead grow. */
static void
note_stream_locked(struct hydrator *hydrator, struct mailbox_id mailbox, uint32_t uid) REQUIRES(hydrator->mutex)
{
	struct stream_of_reads *stream = &hydrator->streams[0];
	uint32_t reach;

	for (size_t i = 0; i < HYDRATOR_STREAMS; i++) {
		if (hydrator->streams[i].mailbox.value == mailbox.value) {
			stream = &hydrator->streams[i];
			break;
		}
		if (hydrator->streams[i].used < stream->used) {
			stream = &hydrator->streams[i];
		}
	}
	if (stream->mailbox.value != mailbox.value) {
		*stream = (struct stream_of_reads){.mailbox = mailbox};
	}
	stream->used = ++hydrator->stream_clock;
	reach = stream->ahead > stream->last ? stream->ahead : stream->last;
	if (stream->last != 0 && uid > stream->last && uid - stream->last <= reach - stream->last + AHEAD_GAP) {
		stream->window = stream->window == 0 ? AHEAD_FIRST : stream->window * 2;
		stream->window = stream->window < AHEAD_MAX ? stream->window : AHEAD_MAX;
		stream->planned = true;
	} else {
		stream->window = 0;
		stream->ahead = 0;
		stream->planned = false;
	}
	stream->last = uid;
}

static bool
check_reachable(struct account *account, struct error *err)
{
	struct account_condition condition = account_condition_get(account);

	switch (condition.state) {
	case ACCOUNT_OFFLINE:
	case ACCOUNT_CREDENTIALS:
	case ACCOUNT_THROTTLED:
		return error_set(err, ERROR_UNREACHABLE, "the message is not here, and the account is %s: %.300s",
			account_state_name(condition.state), condition.reason);
	case ACCOUNT_STOPPED:
	case ACCOUNT_STANDBY:
	case ACCOUNT_STARTING:
	case ACCOUNT_SYNCING:
	case ACCOUNT_IDLE:
	case ACCOUNT_HELD:
	case ACCOUNT_FAILING:
	case ACCOUNT_STATE_COUNT:
		break;
	}
	return true;
}

bool
hydrator_request(struct hydrator *hydrator, struct number number, struct mailbox_id mailbox, uint32_t uid,
	void (*done)(void *context, const struct error *error), void *context, uint64_t *out_ticket, struct error *err)
{
	struct ticket *ticket;
	struct want *want;
	bool ok;

	if (!check_reachable(hydrator->account, err)) {
		return false;
	}
	ticket = calloc(1, sizeof(*ticket));
	if (ticket == NULL) {
		abort();
	}
	ticket->done = done;
	ticket->context = context;
	mutex_lock(&hydrator->mutex);
	ok = hydrator->tickets < TICKETS_MAX && !hydrator->ending;
	if (ok && hydrator_start_locked(hydrator, err)) {
		want = add_want_locked(hydrator, number, mailbox, WANT_DEMAND);
		ticket->id = ++hydrator->last_ticket;
		ticket->next = want->tickets;
		want->tickets = ticket;
		hydrator->tickets++;
		note_stream_locked(hydrator, mailbox, uid);
		*out_ticket = ticket->id;
		condition_signal(&hydrator->work);
	} else if (ok) {
		ok = false;
	} else {
		error_set(err, ERROR_RETRY, "too many messages are being waited for");
	}
	mutex_unlock(&hydrator->mutex);
	if (!ok) {
		free(ticket);
	}
	return ok;
}

bool
hydrator_forget(struct hydrator *hydrator, uint64_t id)
{
	struct ticket *found = NULL;

	mutex_lock(&hydrator->mutex);
	for (size_t i = 0; found == NULL && i < HYDRATOR_BUCKETS; i++) {
		for (struct want *want = hydrator->buckets[i]; found == NULL && want != NULL;
			want = want->next_in_bucket) {
			struct ticket **place = &want->tickets;

			while (*place != NULL && (*place)->id != id) {
				place = &(*place)->next;
			}
			found = *place;
			if (found != NULL) {
				*place = found->next; /* what flies comes all the same */
				hydrator->tickets--;
			}
		}
	}
	mutex_unlock(&hydrator->mutex);
	free(found);
	return found != NULL;
}

void
hydrator_fill(struct hydrator *hydrator)
{
	struct error err = ERROR_INIT;

	if (account_config(hydrator->account)->bodies == CONFIG_BODIES_ON_DEMAND) {
		return;
	}
	mutex_lock(&hydrator->mutex);
	hydrator->filling = true;
	hydrator->fill_due = true;
	if (!hydrator->ending && !hydrator_start_locked(hydrator, &err)) {
		log_error("hydrator", "account=%s event=not-started reason=%s", account_name(hydrator->account),
			err.text);
	}
	condition_signal(&hydrator->work);
	mutex_unlock(&hydrator->mutex);
}

bool
hydrator_wait_filled(struct hydrator *hydrator, int64_t timeout_ms)
{
	int64_t deadline_ms = io_now_ms(hydrator->account->io) + timeout_ms;
	bool more = true, filled;

	mutex_lock(&hydrator->mutex);
	while (hydrator->filling && more && !hydrator->ending) {
		more = condition_wait_until(&hydrator->filled, &hydrator->mutex, deadline_ms);
	}
	filled = !hydrator->filling;
	mutex_unlock(&hydrator->mutex);
	return filled;
}

void
hydrator_wake(struct hydrator *hydrator)
{
	mutex_lock(&hydrator->mutex);
	condition_broadcast(&hydrator->work);
	mutex_unlock(&hydrator->mutex);
}

/* --- the threads: what to do next --- */

static unsigned
background_max(const struct hydrator *hydrator)
{
	return hydrator->threads > 1 ? hydrator->threads - 1 : 1;
}

/* Takes from one list all that is in the mailbox of its first. */
static size_t
take_from_locked(struct hydrator *hydrator, enum want_priority priority, size_t most, struct batch *batch)
	REQUIRES(hydrator->mutex)
{
	struct want *want = hydrator->waiting[priority].first;

	if (want == NULL) {
		return 0;
	}
	batch->mailbox = want->mailbox;
	while (want != NULL && batch->count < most) {
		struct want *next = want->next;

		if (want->mailbox.value == batch->mailbox.value) {
			dequeue_locked(hydrator, want);
			want->flying = true;
			batch->numbers[batch->count++] = want->number;
		}
		want = next;
	}
	batch->background = priority == WANT_BACKGROUND;
	return batch->count;
}

bool
hydrator_take_locked(struct hydrator *hydrator, struct batch *batch)
{
	size_t most = hydrator->threads > 1 ? BATCH_BACKGROUND : BATCH_LONE;

	batch->count = 0;
	if (take_from_locked(hydrator, WANT_DEMAND, BATCH_DEMAND, batch) > 0 ||
		take_from_locked(hydrator, WANT_AHEAD, AHEAD_MAX, batch) > 0) {
		return true;
	}
	if (hydrator->background < background_max(hydrator) &&
		take_from_locked(hydrator, WANT_BACKGROUND, most, batch) > 0) {
		hydrator->background++;
		hydrator->fill_due =
			hydrator->fill_due || (hydrator->filling && hydrator->waiting[WANT_BACKGROUND].count == 0);
		return true;
	}
	return false;
}

/* --- read-ahead: what comes next in the listing --- */

struct ahead {
	struct hydrator *hydrator;
	struct mailbox_id mailbox;
	uint32_t window, rows, last;
	uint64_t bytes;
	struct number numbers[AHEAD_MAX];
	uint32_t count;
};

static bool
note_missing_row(void *context, const struct listing *row)
{
	struct ahead *ahead = context;

	ahead->last = row->uid;
	if (!row->here) {
		ahead->numbers[ahead->count++] = row->number;
		ahead->bytes += row->size_bytes;
	}
	return ahead->count < ahead->window && ++ahead->rows < AHEAD_ROWS_MAX && ahead->bytes < AHEAD_BYTES_MAX;
}

bool
hydrator_plan_ahead_locked(struct hydrator *hydrator)
{
	struct stream_of_reads *stream = NULL;
	struct store_txn *txn = NULL;
	struct error err = ERROR_INIT;

	for (size_t i = 0; i < HYDRATOR_STREAMS; i++) {
		stream = hydrator->streams[i].planned ? &hydrator->streams[i] : stream;
	}
	if (stream == NULL || hydrator->waiting[WANT_AHEAD].count >= AHEAD_WAITING_MAX) {
		return false;
	}
	struct ahead *ahead = calloc(1, sizeof(*ahead));

	if (ahead == NULL) {
		abort();
	}
	*ahead = (struct ahead){.hydrator = hydrator, .mailbox = stream->mailbox, .window = stream->window};
	ahead->last = stream->ahead > stream->last ? stream->ahead : stream->last;
	stream->planned = false;
	mutex_unlock(&hydrator->mutex);
	if (!store_read_begin(hydrator->account->store, &txn, &err) ||
		!listing_each(txn, ahead->mailbox, ahead->last, note_missing_row, ahead, &err)) {
		log_warn("hydrator", "event=no-read-ahead reason=%s", err.text);
	}
	store_read_end(&txn);
	mutex_lock(&hydrator->mutex);
	for (uint32_t i = 0; i < ahead->count; i++) {
		(void)add_want_locked(hydrator, ahead->numbers[i], ahead->mailbox, WANT_AHEAD);
	}
	if (stream->mailbox.value == ahead->mailbox.value && ahead->last > stream->ahead) {
		stream->ahead = ahead->last;
	}
	if (ahead->count > 1) {
		condition_signal(&hydrator->work);
	}
	free(ahead);
	return true;
}

/* --- the background: what `bodies` wants --- */

struct fill {
	struct hydrator *hydrator;
	struct number numbers[BATCH_BACKGROUND];
	struct mailbox_id mailboxes[BATCH_BACKGROUND];
	size_t count;
};

/* Tried not long ago, in vain. */
static bool
failed_lately_locked(struct hydrator *hydrator, struct number number, int64_t now_ms) REQUIRES(hydrator->mutex)
{
	for (size_t i = 0; i < HYDRATOR_FAILED_MAX; i++) {
		if (hydrator->failed[i] == number.value && now_ms - hydrator->failed_ms[i] < FAILED_WAIT_MS) {
			return true;
		}
	}
	return false;
}

static bool
note_missing(void *context, struct number number, struct mailbox_id mailbox)
{
	struct fill *fill = context;
	struct hydrator *hydrator = fill->hydrator;
	bool skip;

	mutex_lock(&hydrator->mutex);
	skip = find_want_locked(hydrator, number) != NULL ||
	       failed_lately_locked(hydrator, number, io_now_ms(hydrator->account->io));
	mutex_unlock(&hydrator->mutex);
	if (!skip) {
		fill->numbers[fill->count] = number;
		fill->mailboxes[fill->count] = mailbox;
		fill->count++;
	}
	return fill->count < BATCH_BACKGROUND;
}

bool
hydrator_plan_fill_locked(struct hydrator *hydrator)
{
	struct account *account = hydrator->account;
	struct sync_settings settings = account_sync_settings(account);
	struct store_txn *txn = NULL;
	struct error err = ERROR_INIT;
	bool ok;

	if (!hydrator->fill_due || hydrator->looking || hydrator->waiting[WANT_BACKGROUND].count > 0 ||
		hydrator->background >= background_max(hydrator)) {
		return false;
	}
	struct fill *fill = calloc(1, sizeof(*fill));

	if (fill == NULL) {
		abort();
	}
	fill->hydrator = hydrator;
	hydrator->looking = true;
	hydrator->fill_due = false;
	mutex_unlock(&hydrator->mutex);
	ok = store_read_begin(account->store, &txn, &err) &&
	     message_each_missing(txn, (struct mailbox_id){0}, settings.bodies_since_s(settings.context), SIZE_MAX,
		     note_missing, fill, &err);
	store_read_end(&txn);
	if (!ok) {
		log_warn("hydrator", "account=%s event=not-filled reason=%s", account_name(account), err.text);
	}
	mutex_lock(&hydrator->mutex);
	hydrator->looking = false;
	for (size_t i = 0; i < fill->count; i++) {
		(void)add_want_locked(hydrator, fill->numbers[i], fill->mailboxes[i], WANT_BACKGROUND);
	}
	if (!ok || (fill->count == 0 && hydrator->background == 0 && !hydrator->fill_due)) {
		hydrator_end_fill_locked(hydrator);
	}
	free(fill);
	return true;
}

/* --- making and ending --- */

struct hydrator *
hydrator_create(struct account *account)
{
	struct hydrator *hydrator = calloc(1, sizeof(*hydrator));

	if (hydrator == NULL) {
		abort();
	}
	hydrator->account = account;
	mutex_init(&hydrator->mutex, LOCK_RANK_LEAF);
	condition_init(&hydrator->work);
	condition_init(&hydrator->filled);
	return hydrator;
}

void
hydrator_destroy(struct hydrator **hydrator)
{
	if (*hydrator == NULL) {
		return;
	}
	hydrator_stop(*hydrator);
	condition_finish(&(*hydrator)->filled);
	condition_finish(&(*hydrator)->work);
	mutex_finish(&(*hydrator)->mutex);
	free(*hydrator);
	*hydrator = NULL;
}

/* Whoever still waits is told. */
static void
cancel_all(struct hydrator *hydrator)
{
	struct error error;

	error_set(&error, ERROR_CANCELLED, "the process is ending");
	for (size_t i = 0; i < HYDRATOR_BUCKETS; i++) {
		for (;;) {
			struct number number = {0};

			mutex_lock(&hydrator->mutex);
			if (hydrator->buckets[i] != NULL) {
				number = hydrator->buckets[i]->number;
			}
			mutex_unlock(&hydrator->mutex);
			if (number.value == 0) {
				break;
			}
			hydrator_complete(hydrator, number, &error, false);
		}
	}
}

void
hydrator_stop(struct hydrator *hydrator)
{
	unsigned threads;

	mutex_lock(&hydrator->mutex);
	hydrator->ending = true;
	threads = hydrator->threads;
	condition_broadcast(&hydrator->work);
	condition_broadcast(&hydrator->filled);
	mutex_unlock(&hydrator->mutex);
	for (unsigned i = 0; i < threads; i++) {
		int answer = pthread_join(hydrator->thread[i], NULL);

		assert(answer == 0);
	}
	mutex_lock(&hydrator->mutex);
	hydrator->threads = 0;
	mutex_unlock(&hydrator->mutex);
	cancel_all(hydrator);
}
