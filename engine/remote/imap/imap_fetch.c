#include "engine/remote/imap/imap_fetch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/remote/imap/imap_items.h"
#include "engine/remote/imap/imap_refusal.h"
#include "engine/remote/imap/imap_selection.h"

#define SIZE_UNKNOWN_GUESS (64u << 10)

void
imap_fetch_finish(struct imap_fetcher *fetcher)
{
	for (size_t i = 0; i < fetcher->item_count; i++) {
		spool_close(&fetcher->items[i].body);
	}
	spool_close(&fetcher->body);
	free(fetcher->items);
	free(fetcher->ranges);
	fetcher->items = NULL;
	fetcher->ranges = NULL;
	fetcher->item_count = fetcher->item_capacity = fetcher->range_count = fetcher->range_capacity = 0;
}

void
imap_fetch_add(struct imap_fetcher *fetcher, uint32_t uid, enum imap_fetch_form form, uint64_t size)
{
	assert(fetcher->item_count == 0 || fetcher->items[fetcher->item_count - 1].uid < uid);
	if (fetcher->item_count == fetcher->item_capacity) {
		fetcher->item_capacity = fetcher->item_capacity == 0 ? 64 : 2 * fetcher->item_capacity;
		fetcher->items = reallocarray(fetcher->items, fetcher->item_capacity, sizeof *fetcher->items);
		if (fetcher->items == NULL) {
			abort();
		}
	}
	fetcher->items[fetcher->item_count++] = (struct imap_fetch_item){.uid = uid, .form = form, .size = size};
	fetcher->left++;
}

void
imap_fetch_resume(struct imap_fetcher *fetcher, uint64_t octets)
{
	struct imap_fetch_item *item = &fetcher->items[fetcher->item_count - 1];

	assert(item->form == IMAP_FETCH_PIECES);
	if (octets < item->size) {
		item->next = item->got = octets;
	}
}

static void
push_range(struct imap_fetcher *fetcher, enum imap_fetch_form form, size_t first, size_t count, bool binary)
{
	if (count == 0) {
		return;
	}
	if (fetcher->range_count == fetcher->range_capacity) {
		fetcher->range_capacity = fetcher->range_capacity == 0 ? 8 : 2 * fetcher->range_capacity;
		fetcher->ranges = reallocarray(fetcher->ranges, fetcher->range_capacity, sizeof *fetcher->ranges);
		if (fetcher->ranges == NULL) {
			abort();
		}
	}
	fetcher->ranges[fetcher->range_count++] =
		(struct imap_fetch_range){.first = first, .count = count, .form = form, .binary = binary};
}

void
imap_fetch_ready(struct imap_fetcher *fetcher)
{
	push_range(fetcher, IMAP_FETCH_PIECES, 0, fetcher->item_count, false);
	push_range(fetcher, IMAP_FETCH_HEADER, 0, fetcher->item_count, false);
	push_range(fetcher, IMAP_FETCH_WHOLE, 0, fetcher->item_count, false);
}

/* Tells whether an item is still to be asked for in this form. */
static bool
is_due(const struct imap_fetch_item *item, enum imap_fetch_form form, bool binary)
{
	return !item->done && item->form == form && (item->body != NULL) == binary;
}

static struct imap_fetch_item *
find_item(struct imap_fetcher *fetcher, uint32_t uid)
{
	size_t low = 0, high = fetcher->item_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (fetcher->items[middle].uid == uid) {
			return &fetcher->items[middle];
		}
		if (fetcher->items[middle].uid < uid) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return NULL;
}

static void
settle_item(struct imap_fetcher *fetcher, struct imap_fetch_item *item)
{
	assert(!item->done);
	item->done = true;
	spool_close(&item->body);
	fetcher->left--;
}

/* --- NULs --- */

static bool
is_tail(char octet)
{
	return ((unsigned char)octet & 0xc0) == 0x80;
}

/* Tells whether the tail octet at `at` belongs to a UTF-8 sequence that begins before it. */
static bool
is_in_sequence(struct slice s, size_t at)
{
	for (size_t back = 1; back <= 3 && back <= at; back++) {
		unsigned char octet = (unsigned char)s.data[at - back];

		if (!is_tail((char)octet)) {
			return (octet >= 0xc2 && octet <= 0xdf && back == 1) ||
			       (octet >= 0xe0 && octet <= 0xef && back <= 2) || (octet >= 0xf0 && octet <= 0xf4);
		}
	}
	return false;
}

static bool
may_have_lost_nul(struct slice body)
{
	size_t at = 0;

	while ((at += slice_find(slice_skip(body, at), (char)0x80)) < body.length) {
		if (!is_in_sequence(body, at)) {
			return true;
		}
		at++;
	}
	return false;
}

/* Tells whether `binary` is `body` with NULs in the place of some 0x80. */
static bool
differs_by_nuls(struct slice body, struct slice binary)
{
	if (body.length != binary.length) {
		return false;
	}
	for (size_t i = 0; i < body.length; i++) {
		if (body.data[i] != binary.data[i] && !(body.data[i] == (char)0x80 && binary.data[i] == '\0')) {
			return false;
		}
	}
	return true;
}

/* Chooses between the two forms in which a body came. */
static bool
choose_body(struct imap_fetch_item *item, struct spool **binary, struct error *err)
{
	struct slice before, after;

	if (!spool_view(item->body, &before, err) || !spool_view(*binary, &after, err)) {
		return false;
	}
	if (differs_by_nuls(before, after)) {
		spool_close(&item->body);
		item->body = *binary;
		*binary = NULL;
	}
	return true;
}

/* --- what comes --- */

/* The item that a response is about, in the set that the server is busy with. */
static bool
take_piece(
	struct imap_fetcher *fetcher, const struct imap_event *event, struct imap_fetch_item *item, struct error *err)
{
	if (item->ended) {
		return true; /* asked for behind its end */
	}
	if (event->message->body_origin + event->offset != item->got) {
		return error_set(
			err, ERROR_RETRY, "the server sent a piece of message %" PRIu32 " out of order", item->uid);
	}
	item->got += event->data.length;
	return fetcher->sink->piece(fetcher->sink->context, item->uid, event->data, false, true, err);
}

static bool
hear_body(void *context, const struct imap_event *event, struct error *err)
{
	struct imap_fetcher *fetcher = context;
	struct imap_fetch_item *item = event->message->uid != 0 ? find_item(fetcher, event->message->uid) : NULL;

	if (fetcher->muted) {
		return true;
	}
	fetcher->bodies_octets += event->data.length;
	if (item != NULL && item->form == IMAP_FETCH_PIECES) {
		return event->message->body_partial
			       ? take_piece(fetcher, event, item, err)
			       : error_set(err, ERROR_RETRY, "the server sent a whole message for a piece");
	}
	if (event->offset == 0) {
		spool_close(&fetcher->body);
		fetcher->body = spool_create(fetcher->session->remote->spool_dir);
		spool_expect(fetcher->body, event->size);
	}
	return fetcher->body != NULL && spool_append(fetcher->body, event->data, err);
}

static bool
give_whole(struct imap_fetcher *fetcher, struct imap_fetch_item *item, struct spool **body, struct error *err)
{
	uint32_t uid = item->uid;

	settle_item(fetcher, item);

	bool fine = fetcher->sink->whole(fetcher->sink->context, uid, body, err);

	spool_close(body);
	return fine;
}

/* A body has come whole, in fetcher->body. */
static bool
take_whole(struct imap_fetcher *fetcher, struct imap_fetch_item *item, bool binary, struct error *err)
{
	SCOPED(spool_close) struct spool *body = fetcher->body;
	struct slice view;

	fetcher->body = NULL;
	if (item->body != NULL) {
		if (!binary) {
			return true; /* told twice */
		}
		if (!choose_body(item, &body, err)) {
			return false;
		}
		spool_close(&body);
		body = item->body;
		item->body = NULL;
	} else if (fetcher->restores_nuls && !binary) {
		if (!spool_view(body, &view, err)) {
			return false;
		}
		if (may_have_lost_nul(view)) {
			item->body = body;
			body = NULL;
			push_range(fetcher, IMAP_FETCH_WHOLE, (size_t)(item - fetcher->items), 1, true);
			return true;
		}
	}
	return give_whole(fetcher, item, &body, err);
}

/* A body that came as a quoted string. */
static bool
take_kept(struct imap_fetcher *fetcher, struct slice octets, struct error *err)
{
	spool_close(&fetcher->body);
	fetcher->body = spool_create(fetcher->session->remote->spool_dir);
	return spool_append(fetcher->body, octets, err);
}

static bool
end_pieces(struct imap_fetcher *fetcher, struct imap_fetch_item *item, bool found, struct error *err)
{
	item->ended = true;
	settle_item(fetcher, item);
	return fetcher->sink->piece(fetcher->sink->context, item->uid, (struct slice){0}, true, found, err);
}

/* Tells whether a large body that ends here ends where it should; else the message went away halfway. */
static bool
is_all(const struct imap_fetch_item *item)
{
	return item->size > 0 && item->got >= item->size;
}

/* A piece that was kept, because its UID stood behind it or because it came as a quoted string. */
static bool
take_kept_piece(struct imap_fetcher *fetcher, struct imap_fetch_item *item, const struct imap_fetched *fetched,
	struct error *err)
{
	struct slice octets = fetched->body;

	if (fetched->form == IMAP_BODY_STREAMED && !spool_view(fetcher->body, &octets, err)) {
		return false;
	}
	if (fetched->body_origin != item->got) {
		return error_set(
			err, ERROR_RETRY, "the server sent a piece of message %" PRIu32 " out of order", item->uid);
	}
	item->got += octets.length;
	return octets.length == 0 || fetcher->sink->piece(fetcher->sink->context, item->uid, octets, false, true, err);
}

/* A piece has come whole: short of what was asked, it was the last. */
static bool
end_piece(struct imap_fetcher *fetcher, struct imap_fetch_item *item, const struct imap_fetched *fetched,
	struct error *err)
{
	if (item->done || !fetched->body_partial) {
		return true;
	}
	if (fetched->form == IMAP_BODY_NIL) {
		return end_pieces(fetcher, item, is_all(item), err);
	}
	if (fetched->form == IMAP_BODY_KEPT || fetcher->body != NULL) {
		bool fine = take_kept_piece(fetcher, item, fetched, err);

		spool_close(&fetcher->body);
		if (!fine) {
			return false;
		}
	}
	return fetched->body_size >= IMAP_FETCH_PIECE || end_pieces(fetcher, item, true, err);
}

static bool
hear_message(struct imap_fetcher *fetcher, const struct imap_fetched *fetched, struct error *err)
{
	struct imap_fetch_item *item = fetched->uid != 0 ? find_item(fetcher, fetched->uid) : NULL;
	struct spool *none = NULL;

	if (item == NULL || item->done) {
		return true; /* news of another message */
	}
	switch (item->form) {
	case IMAP_FETCH_HEADER:
		if (!fetched->has_header) {
			return true;
		}
		settle_item(fetcher, item);
		return fetcher->sink->header(fetcher->sink->context, item->uid, fetched->header, err);
	case IMAP_FETCH_PIECES:
		return fetched->form == IMAP_BODY_NONE || end_piece(fetcher, item, fetched, err);
	case IMAP_FETCH_WHOLE:
		break;
	}
	if (fetched->form == IMAP_BODY_NONE || fetched->body_partial) {
		return true;
	}
	if (fetched->form == IMAP_BODY_NIL) {
		return give_whole(fetcher, item, &none, err);
	}
	if (fetched->form == IMAP_BODY_KEPT && !take_kept(fetcher, fetched->body, err)) {
		return false;
	}
	if (fetcher->body == NULL) { /* an empty literal: no piece was given */
		fetcher->body = spool_create(fetcher->session->remote->spool_dir);
	}
	return take_whole(fetcher, item, fetched->body_binary, err);
}

/* Header fields alone, as they are asked for messages whose body is too large. */
static bool
is_header_of_ours(struct imap_fetcher *fetcher, const struct imap_fetched *fetched)
{
	const struct imap_fetch_item *item =
		fetched->has_header && fetched->uid != 0 ? find_item(fetcher, fetched->uid) : NULL;

	return item != NULL && item->form == IMAP_FETCH_HEADER;
}

static bool
hear(void *context, const struct imap_response *response, struct error *err)
{
	struct imap_fetcher *fetcher = context;
	const struct imap_fetched *fetched = &response->fetched;

	if (response->kind == IMAP_RESPONSE_FETCH &&
		(fetched->form != IMAP_BODY_NONE || is_header_of_ours(fetcher, fetched))) {
		return fetcher->muted || hear_message(fetcher, fetched, err);
	}
	return fetcher->beside == NULL || fetcher->beside->untagged(fetcher->beside->context, response, err);
}

/* --- what goes out --- */

void
imap_fetch_begin(struct imap_fetcher *fetcher, struct imap_session *session, const struct imap_fetch_sink *sink,
	const struct imap_listener *beside)
{
	*fetcher = (struct imap_fetcher){.session = session, .sink = sink, .beside = beside};
	fetcher->listener = (struct imap_listener){.context = fetcher, .untagged = hear, .body = hear_body};
	fetcher->restores_nuls =
		imap_can(&session->can, IMAP_CAN_BINARY) && imap_session_message_ids(session) == GUID_X_GUID;
}

static uint64_t
weight_of(const struct imap_fetch_item *item)
{
	if (item->form == IMAP_FETCH_HEADER) {
		return 1024;
	}
	return item->size > 0 ? item->size : SIZE_UNKNOWN_GUESS;
}

/* Cuts the next set off the range on top. */
static struct imap_fetch_set
next_set(struct imap_fetcher *fetcher)
{
	struct imap_fetch_range *range = &fetcher->ranges[fetcher->range_count - 1];
	struct imap_fetch_set set = {.used = true, .form = range->form, .first = range->first, .binary = range->binary};
	size_t messages = 0;

	for (; range->count > 0 && messages < IMAP_FETCH_SET_MESSAGES; range->first++, range->count--, set.count++) {
		const struct imap_fetch_item *item = &fetcher->items[range->first];

		if (!is_due(item, range->form, range->binary)) {
			continue;
		}
		if (messages > 0 && set.octets + weight_of(item) > IMAP_FETCH_SET_OCTETS) {
			break;
		}
		set.octets += weight_of(item);
		messages++;
	}
	if (range->count == 0) {
		fetcher->range_count--;
	}
	return set;
}

static bool set_done(void *context, uint64_t cookie, const struct imap_response *answer, struct error *err);

/* Sends a set; what of it is done already is left out. */
static bool
send_set(struct imap_fetcher *fetcher, const struct imap_fetch_set *set, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	SCOPED(uidset_finish) struct uidset uids = UIDSET_INIT;
	size_t slot = 0;

	for (size_t i = set->first; i < set->first + set->count; i++) {
		if (is_due(&fetcher->items[i], set->form, set->binary)) {
			uidset_add(&uids, fetcher->items[i].uid, fetcher->items[i].uid);
		}
	}
	if (uids.count == 0) {
		return true;
	}
	imap_items_begin(fetcher->session, &command);
	imap_command_set(&command, &uids);
	if (set->form == IMAP_FETCH_PIECES) {
		imap_command_text(&command, " (UID BODY.PEEK[]<");
		imap_command_number(&command, set->offset);
		imap_command_text(&command, ".");
		imap_command_number(&command, IMAP_FETCH_PIECE);
		imap_command_text(&command, ">)");
	} else {
		imap_items_print(fetcher->session,
			set->form == IMAP_FETCH_HEADER ? IMAP_ITEMS_HEADER
			: set->binary                  ? IMAP_ITEMS_BINARY
						       : IMAP_ITEMS_BODY,
			&command);
	}
	while (fetcher->sets[slot].used) {
		slot++;
	}
	fetcher->sets[slot] = *set;
	fetcher->sets_out++;
	fetcher->octets_out += set->octets;

	const struct imap_asked asked = {
		.what = "FETCH",
		.listener = &fetcher->listener,
		.done = set_done,
		.context = fetcher,
		.cookie = (uint64_t)fetcher->generation << 32 | slot,
	};

	return imap_session_send(fetcher->session, &command, &asked, NULL, err);
}

static size_t
pieces_out(const struct imap_fetcher *fetcher, size_t index)
{
	size_t count = 0;

	for (size_t i = 0; i < IMAP_FETCH_SETS_MAX; i++) {
		count += fetcher->sets[i].used && fetcher->sets[i].first == index &&
			 fetcher->sets[i].form == IMAP_FETCH_PIECES;
	}
	return count;
}

/* Sends the next pieces of a large body: as many as its size tells, and beyond that one at a time until a short one tells the end. */
static bool
send_pieces(struct imap_fetcher *fetcher, size_t index, struct error *err)
{
	struct imap_fetch_item *item = &fetcher->items[index];

	while (!item->ended && fetcher->sets_out < IMAP_FETCH_SETS_MAX) {
		size_t out = pieces_out(fetcher, index);

		if (out >= IMAP_FETCH_PIECES_MAX || (out > 0 && item->next >= item->size)) {
			return true;
		}
		struct imap_fetch_set set = {.used = true,
			.form = IMAP_FETCH_PIECES,
			.first = index,
			.count = 1,
			.octets = IMAP_FETCH_PIECE,
			.offset = item->next};

		item->next += IMAP_FETCH_PIECE;
		if (!send_set(fetcher, &set, err)) {
			return false;
		}
	}
	return true;
}

/* One message alone is refused. */
static bool
give_up(struct imap_fetcher *fetcher, struct imap_fetch_item *item, const struct imap_response *answer,
	struct error *err)
{
	struct spool *body = item->body;
	struct error why;

	if (body != NULL) { /* it was asked for once more, by BINARY: then it stays as it came */
		item->body = NULL;
		return give_whole(fetcher, item, &body, err);
	}
	imap_refusal(answer, "FETCH", &why);
	item->ended = true;
	settle_item(fetcher, item);
	return fetcher->sink->failed(fetcher->sink->context, item->uid, &why, err);
}

/* A set was refused: its halves are tried, and one message alone is given up. */
static bool
halve(struct imap_fetcher *fetcher, const struct imap_fetch_set *set, const struct imap_response *answer,
	struct error *err)
{
	size_t due = 0, half = set->count / 2;
	struct imap_fetch_item *last = NULL;

	for (size_t i = set->first; i < set->first + set->count; i++) {
		if (is_due(&fetcher->items[i], set->form, set->binary)) {
			last = &fetcher->items[i];
			due++;
		}
	}
	if (due > 1) {
		push_range(fetcher, set->form, set->first + half, set->count - half, set->binary);
		push_range(fetcher, set->form, set->first, half, set->binary);
	}
	return due != 1 || give_up(fetcher, last, answer, err);
}

/* A set was answered with OK: what of it did not come is gone. */
static bool
sweep(struct imap_fetcher *fetcher, const struct imap_fetch_set *set, struct error *err)
{
	for (size_t i = set->first; i < set->first + set->count; i++) {
		struct imap_fetch_item *item = &fetcher->items[i];
		struct spool *body = item->body;

		if (!is_due(item, set->form, set->binary)) {
			continue;
		}
		if (set->form == IMAP_FETCH_PIECES) {
			if (item->got < set->offset + IMAP_FETCH_PIECE &&
				!end_pieces(fetcher, item, is_all(item), err)) {
				return false;
			}
			continue;
		}
		item->body = NULL;
		if (!give_whole(fetcher, item, &body, err)) {
			return false;
		}
	}
	return true;
}

static bool
set_done(void *context, uint64_t cookie, const struct imap_response *answer, struct error *err)
{
	struct imap_fetcher *fetcher = context;
	struct imap_fetch_set set;

	if (cookie >> 32 != fetcher->generation) {
		return true;
	}
	set = fetcher->sets[cookie & UINT32_MAX];
	assert(set.used);
	fetcher->sets[cookie & UINT32_MAX].used = false;
	fetcher->sets_out--;
	fetcher->octets_out -= set.octets;
	return answer->status == IMAP_OK ? sweep(fetcher, &set, err) : halve(fetcher, &set, answer, err);
}

/* Sends the pieces of the first large body of the range on top; the next one's turn comes when its end is known. */
static bool
send_large(struct imap_fetcher *fetcher, bool *out_waits, struct error *err)
{
	struct imap_fetch_range *range = &fetcher->ranges[fetcher->range_count - 1];
	size_t index = range->first;

	*out_waits = false;
	if (fetcher->items[index].form == IMAP_FETCH_PIECES && !fetcher->items[index].done) {
		*out_waits = true;
		return send_pieces(fetcher, index, err);
	}
	range->first++;
	if (--range->count == 0) {
		fetcher->range_count--;
	}
	return true;
}

bool
imap_fetch_send(struct imap_fetcher *fetcher, struct error *err)
{
	bool waits = false;

	/* filled only when half is answered, so that answers are read in bulk and not one by one */
	if (fetcher->sets_out > 1 &&
		(fetcher->octets_out > IMAP_FETCH_WINDOW / 2 || fetcher->sets_out > IMAP_FETCH_SETS_MAX / 2)) {
		return true;
	}
	while (!waits && fetcher->range_count > 0 && fetcher->sets_out < IMAP_FETCH_SETS_MAX &&
		fetcher->octets_out < IMAP_FETCH_WINDOW) {
		if (fetcher->ranges[fetcher->range_count - 1].form == IMAP_FETCH_PIECES) {
			if (!send_large(fetcher, &waits, err)) {
				return false;
			}
			continue;
		}
		struct imap_fetch_set set = next_set(fetcher);

		if (!send_set(fetcher, &set, err)) {
			return false;
		}
	}
	return true;
}

bool
imap_fetch_all_sent(const struct imap_fetcher *fetcher)
{
	return fetcher->range_count == 0;
}

bool
imap_fetch_complete(const struct imap_fetcher *fetcher)
{
	return fetcher->left == 0 && fetcher->sets_out == 0;
}

void
imap_fetch_unsend(struct imap_fetcher *fetcher)
{
	fetcher->generation++;
	fetcher->range_count = 0;
	for (size_t i = 0; i < IMAP_FETCH_SETS_MAX; i++) {
		fetcher->sets[i].used = false;
	}
	fetcher->sets_out = 0;
	fetcher->octets_out = 0;
	spool_close(&fetcher->body);
	fetcher->muted = true;
}

void
imap_fetch_resend(struct imap_fetcher *fetcher)
{
	assert(fetcher->range_count == 0 && fetcher->sets_out == 0);
	fetcher->muted = false;
	for (size_t i = 0; i < fetcher->item_count; i++) {
		fetcher->items[i].next = fetcher->items[i].got;
	}
	imap_fetch_ready(fetcher);
	push_range(fetcher, IMAP_FETCH_WHOLE, 0, fetcher->item_count, true);
}

bool
imap_fetch_run(struct imap_fetcher *fetcher, struct error *err)
{
	while (!imap_fetch_complete(fetcher)) {
		if (!imap_fetch_send(fetcher, err) || !imap_session_step(fetcher->session, err)) {
			return false;
		}
	}
	return true;
}
