#include "engine/remote/imap/imap_catchup.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/remote/imap/imap_refusal.h"
#include "engine/remote/imap/imap_selection.h"

enum question { ASKED_SELECT, ASKED_AGAIN, ASKED_IDENTITY, ASKED_FLAGS, ASKED_FRESH };

void
imap_catchup_difference(const struct uidset *a, const struct uidset *b, struct uidset *out)
{
	size_t j = 0;

	uidset_clear(out);
	for (size_t i = 0; i < a->count; i++) {
		uint64_t first = a->ranges[i].first, last = a->ranges[i].last;

		while (j < b->count && b->ranges[j].last < first) {
			j++;
		}
		for (size_t k = j; k < b->count && b->ranges[k].first <= last && first <= last; k++) {
			if (b->ranges[k].first > first) {
				uidset_add(out, (uint32_t)first, b->ranges[k].first - 1);
			}
			first = (uint64_t)b->ranges[k].last + 1;
		}
		if (first <= last) {
			uidset_add(out, (uint32_t)first, (uint32_t)last);
		}
	}
}

static enum imap_catchup_way
way_of(const struct imap_catchup *catchup)
{
	const struct remote_scan_request *request = catchup->request;
	const struct imap_session *session = catchup->session;

	if (request->uidvalidity == 0) {
		return IMAP_CATCHUP_FIRST;
	}
	if (request->full) {
		return IMAP_CATCHUP_FULL;
	}
	if (request->highestmodseq > 0 && session->enabled_qresync && !catchup->no_qresync) {
		return IMAP_CATCHUP_QRESYNC;
	}
	if (request->highestmodseq > 0 && imap_can(&session->can, IMAP_CAN_CONDSTORE)) {
		return IMAP_CATCHUP_CONDSTORE;
	}
	return IMAP_CATCHUP_WINDOW;
}

static bool hear(void *context, const struct imap_response *response, struct error *err);
static bool hear_body(void *context, const struct imap_event *piece, struct error *err);

void
imap_catchup_begin(struct imap_catchup *catchup, struct imap_session *session,
	const struct remote_scan_request *request, size_t index, const struct remote_scan_sink *sink)
{
	static const struct uidset none = {0};

	*catchup = (struct imap_catchup){.session = session, .request = request, .index = index, .sink = sink};
	catchup->listener = (struct imap_listener){.context = catchup, .untagged = hear, .body = hear_body};
	catchup->known = request->uidvalidity != 0 && request->known != NULL ? request->known : &none;
	catchup->known_count = uidset_size(catchup->known);
	catchup->next = request->uidvalidity != 0 && request->uidnext > 0 ? request->uidnext : 1;
	catchup->way = way_of(catchup);
	catchup->flags_fine = true; /* until an answer says otherwise */
}

void
imap_catchup_release(struct remote_message *message)
{
	flags_finish(&message->flags);
	free((char *)(uintptr_t)message->header.data);
	message->header = (struct slice){0};
	spool_close(&message->body);
}

/* Forgets what came: it was of another mailbox, or will be asked for again. */
static void
forget(struct imap_catchup *catchup)
{
	for (size_t i = 0; i < catchup->change_count; i++) {
		flags_finish(&catchup->changes[i].flags);
	}
	catchup->change_count = 0;
	for (size_t i = 0; i < catchup->held_count; i++) {
		imap_catchup_release(&catchup->held[i]);
	}
	catchup->held_count = catchup->held_octets = catchup->fetched_count = 0;
	uidset_clear(&catchup->vanished);
	uidset_clear(&catchup->listed);
	uidset_clear(&catchup->fresh);
}

void
imap_catchup_finish(struct imap_catchup *catchup)
{
	forget(catchup);
	uidset_finish(&catchup->vanished);
	uidset_finish(&catchup->listed);
	uidset_finish(&catchup->fresh);
	uidset_finish(&catchup->wanted);
	flags_finish(&catchup->selected.permanent);
	flags_finish(&catchup->newest.flags);
	free(catchup->changes);
	free(catchup->held);
	catchup->changes = NULL;
	catchup->held = NULL;
}

/* --- what comes --- */

static bool
add_change(struct imap_catchup *catchup, const struct imap_fetched *fetched, struct error *err)
{
	struct imap_change *change;

	if (catchup->reported) {
		SCOPED(flags_finish) struct flags flags = FLAGS_INIT;

		imap_words_flags(fetched->flags, &flags);
		return catchup->sink->flags(
			catchup->sink->context, catchup->index, fetched->uid, &flags, fetched->modseq, err);
	}
	if (catchup->change_count >= 2 * catchup->known_count + 1000) {
		return error_set(err, ERROR_RETRY, "the server tells the same flags over and over");
	}
	if (catchup->change_count == catchup->change_capacity) {
		catchup->change_capacity = catchup->change_capacity == 0 ? 64 : 2 * catchup->change_capacity;
		catchup->changes = reallocarray(catchup->changes, catchup->change_capacity, sizeof *catchup->changes);
		if (catchup->changes == NULL) {
			abort();
		}
	}
	change = &catchup->changes[catchup->change_count++];
	*change = (struct imap_change){.uid = fetched->uid, .modseq = fetched->modseq};
	imap_words_flags(fetched->flags, &change->flags);
	return true;
}

bool
imap_catchup_tell(struct imap_catchup *catchup, struct remote_message *message, struct error *err)
{
	catchup->told++;
	return catchup->sink->message(catchup->sink->context, catchup->index, message, err);
}

/* Keeps a fresh message until it may be reported. */
static void
hold(struct imap_catchup *catchup, const struct imap_fetched *fetched)
{
	struct remote_message *message;

	if (catchup->held_count >= IMAP_HELD_MESSAGES ||
		catchup->held_octets + fetched->header.length > IMAP_HELD_OCTETS) {
		catchup->overflowed = true;
		return;
	}
	if (catchup->held_count == catchup->held_capacity) {
		catchup->held_capacity = catchup->held_capacity == 0 ? 16 : 2 * catchup->held_capacity;
		catchup->held = reallocarray(catchup->held, catchup->held_capacity, sizeof *catchup->held);
		if (catchup->held == NULL) {
			abort();
		}
	}
	message = &catchup->held[catchup->held_count++];
	imap_items_read(fetched, message);
	message->header = fetched->header.length > 0 ? slice_make(slice_dup(fetched->header), fetched->header.length)
						     : (struct slice){0};
	catchup->held_octets += fetched->header.length;
}

static void
add_fresh(struct imap_catchup *catchup, uint32_t uid)
{
	uidset_add(&catchup->fresh, uid, uid);
	if (uid > catchup->highest) {
		catchup->highest = uid;
	}
}

static bool
hear_fresh(struct imap_catchup *catchup, const struct imap_fetched *fetched, struct error *err)
{
	struct remote_message message;

	if (!fetched->has_flags || !(fetched->has_date || fetched->has_size)) {
		return true; /* not what was asked for: its flags changed meanwhile */
	}
	if (uidset_contains(&catchup->fresh, fetched->uid)) {
		return true; /* told twice */
	}
	if (catchup->fresh.count >= UIDSET_RANGES_MAX) {
		return error_set(err, ERROR_RETRY, "the server lists more messages than can be");
	}
	if (catchup->reported && !catchup->request->bodies) {
		imap_items_read(fetched, &message);

		bool fine = imap_catchup_tell(catchup, &message, err);

		flags_finish(&message.flags);
		add_fresh(catchup, fetched->uid);
		return fine;
	}
	hold(catchup, fetched);
	if (!catchup->overflowed) {
		add_fresh(catchup, fetched->uid);
	}
	return true;
}

static bool
hear_message(struct imap_catchup *catchup, const struct imap_fetched *fetched, struct error *err)
{
	uint32_t uid = fetched->uid;

	if (uid == 0) {
		return true;
	}
	if (uid == catchup->request->newest.uid && (fetched->has_date || fetched->has_size)) {
		flags_finish(&catchup->newest.flags);
		imap_items_read(fetched, &catchup->newest);
		catchup->has_newest = true;
	}
	if (uid == catchup->request->newest.changed_uid && fetched->modseq != 0) {
		catchup->changed_modseq = fetched->modseq;
		catchup->has_changed = true;
	}
	if (uidset_contains(catchup->known, uid)) {
		/* `n:*` brings the last message where nothing is new; its flags are asked for elsewhere. Those from `next` on we brought there ourselves,
		 * since the last scan: their flags are asked for here alone. */
		if (!fetched->has_flags || (fetched->has_date && uid < catchup->next)) {
			return true;
		}
		uidset_add(&catchup->listed, uid, uid);
		return add_change(catchup, fetched, err);
	}
	return (uid < catchup->next && !uidset_contains(&catchup->wanted, uid)) || hear_fresh(catchup, fetched, err);
}

/* Takes a fresh message back that vanished before it was reported. One whose body is on the way stays: it is known by `fresh` that it has gone. */
static void
drop_held(struct imap_catchup *catchup, const struct uidset *gone)
{
	size_t kept = catchup->fetched_count;

	for (size_t i = kept; i < catchup->held_count; i++) {
		if (uidset_contains(gone, catchup->held[i].uid)) {
			imap_catchup_release(&catchup->held[i]);
		} else {
			catchup->held[kept++] = catchup->held[i];
		}
	}
	catchup->held_count = kept;
}

static bool
hear_vanished(struct imap_catchup *catchup, const struct imap_response *response, struct error *err)
{
	SCOPED(uidset_finish) struct uidset gone = UIDSET_INIT;
	SCOPED(uidset_finish) struct uidset left = UIDSET_INIT;

	if (response->text.length == 0) {
		return true;
	}
	if (!uidset_parse(&gone, response->text)) {
		return error_set(err, ERROR_RETRY, "the server sent a VANISHED response whose UIDs cannot be read");
	}
	if (catchup->fresh.count > 0) {
		drop_held(catchup, &gone);
		imap_catchup_difference(&catchup->fresh, &gone, &left);

		struct uidset swap = catchup->fresh;

		catchup->fresh = left;
		left = swap;
	}
	uidset_intersect(&gone, catchup->known);
	if (catchup->listed.count > 0) {
		SCOPED(uidset_finish) struct uidset still = UIDSET_INIT;

		imap_catchup_difference(&catchup->listed, &gone, &still);

		struct uidset swap = catchup->listed;

		catchup->listed = still;
		still = swap;
	}
	for (size_t i = 0; i < gone.count; i++) {
		uidset_add(&catchup->vanished, gone.ranges[i].first, gone.ranges[i].last);
	}
	return true;
}

static bool
hear(void *context, const struct imap_response *response, struct error *err)
{
	struct imap_catchup *catchup = context;

	if (catchup->selecting_again) {
		return true; /* of the mailbox that was selected before */
	}
	if (response->kind == IMAP_RESPONSE_FETCH && response->fetched.form != IMAP_BODY_NONE &&
		catchup->bodies != NULL) {
		return catchup->bodies->untagged(catchup->bodies->context, response, err);
	}
	if (response->kind == IMAP_RESPONSE_FETCH) {
		return hear_message(catchup, &response->fetched, err);
	}
	if (response->kind == IMAP_RESPONSE_VANISHED) {
		return hear_vanished(catchup, response, err);
	}
	if (response->kind == IMAP_RESPONSE_STATUS && slice_equal_nocase(response->code, SLICE_LITERAL("CLOSED")) &&
		!catchup->selected_fine) {
		forget(catchup);
	}
	return true;
}

/* A body came while the server is busy with a question of ours as well. */
static bool
hear_body(void *context, const struct imap_event *piece, struct error *err)
{
	const struct imap_catchup *catchup = context;

	return catchup->selecting_again || catchup->bodies == NULL ||
	       catchup->bodies->body(catchup->bodies->context, piece, err);
}

/* SELECT for what is asked later: the counters stay those of the first, for they are what was covered. */
static void
hear_select_again(struct imap_catchup *catchup, const struct imap_response *answer)
{
	struct error ignored;

	catchup->selecting_again = false;
	if (answer->status != IMAP_OK) {
		catchup->lost = true;
		imap_refusal(answer, "SELECT", &catchup->failure);
	} else if (!imap_selection_agrees(&catchup->session->selection, catchup->selected.uidvalidity, &ignored)) {
		catchup->lost = true;
		error_set(&catchup->failure, ERROR_ITEM, "the mailbox was replaced while it was scanned");
	}
}

static void
hear_select(struct imap_catchup *catchup, const struct imap_response *answer)
{
	const struct imap_selection *selection = &catchup->session->selection;

	catchup->selected_fine = answer->status == IMAP_OK;
	catchup->select_bad = answer->status == IMAP_BAD;
	if (!catchup->selected_fine) {
		catchup->gone = imap_refusal_is_gone(answer);
		imap_refusal(answer, "SELECT", &catchup->failure);
		return;
	}
	flags_finish(&catchup->selected.permanent);
	catchup->selected = selection->is;
	catchup->selected.permanent = flags_copy(&selection->is.permanent);
	catchup->uids_change = selection->uids_change;
}

/* FETCH of something that this server does not know: it is not asked for again. */
static void
doubt_ids(struct imap_session *session, const struct imap_response *answer)
{
	if (answer->status != IMAP_BAD) {
		return;
	}
	bool doubted = false;

	mutex_lock(&session->remote->lock);
	if (session->remote->message_ids == GUID_X_GUID) {
		session->remote->message_ids = GUID_NONE;
		doubted = true;
	}
	mutex_unlock(&session->remote->lock);
	if (doubted) {
		log_warn("imap", "event=no-x-guid reason=\"the server refused a FETCH with it\"");
	}
}

static bool
done(void *context, uint64_t cookie, const struct imap_response *answer, struct error *err)
{
	struct imap_catchup *catchup = context;

	(void)err;
	if (catchup->session->selection.selected) {
		catchup->exists = catchup->session->selection.is.exists;
	}
	switch ((enum question)cookie) {
	case ASKED_SELECT:
		hear_select(catchup, answer);
		break;
	case ASKED_AGAIN:
		hear_select_again(catchup, answer);
		break;
	case ASKED_FLAGS:
		catchup->flags_fine = catchup->flags_fine && answer->status == IMAP_OK;
		break;
	case ASKED_FRESH:
		catchup->got_fresh = catchup->got_fresh && answer->status == IMAP_OK;
		if (catchup->selected_fine) {
			doubt_ids(catchup->session, answer);
		}
		break;
	case ASKED_IDENTITY:
		break;
	}
	return true;
}

/* --- what goes out --- */

static bool
send(struct imap_catchup *catchup, const struct imap_command *command, enum question question, struct error *err)
{
	bool selects = question == ASKED_SELECT || question == ASKED_AGAIN;
	const struct imap_asked asked = {
		.what = selects ? "SELECT" : "FETCH",
		.listener = &catchup->listener,
		.done = done,
		.context = catchup,
		.cookie = question,
		.selects = selects ? catchup->request->raw_name : (struct slice){0},
	};

	return imap_session_send(catchup->session, command, &asked, NULL, err);
}

bool
imap_catchup_select(struct imap_catchup *catchup, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};

	imap_selection_print(catchup->session, catchup->request->raw_name, &command);
	catchup->selecting_again = true;
	return send(catchup, &command, ASKED_AGAIN, err);
}

static bool
ask_select(struct imap_catchup *catchup, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	const struct remote_scan_request *request = catchup->request;

	imap_selection_print(catchup->session, request->raw_name, &command);
	if (catchup->way == IMAP_CATCHUP_QRESYNC) {
		imap_command_text(&command, " (QRESYNC (");
		imap_command_number(&command, request->uidvalidity);
		imap_command_text(&command, " ");
		imap_command_number(&command, request->highestmodseq);
		/* the range is always told: some servers hide expunges above the highest UID that is left when it is not */
		if (catchup->next > 1) {
			imap_command_text(&command, " 1:");
			imap_command_number(&command, catchup->next - 1);
		}
		imap_command_text(&command, "))");
	}
	return send(catchup, &command, ASKED_SELECT, err);
}

/* Asks for the messages by which a restored server is known (SYNC R7). */
static bool
ask_identity(struct imap_catchup *catchup, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	SCOPED(uidset_finish) struct uidset uids = UIDSET_INIT;
	const struct remote_newest *newest = &catchup->request->newest;

	if (newest->uid != 0) {
		uidset_add(&uids, newest->uid, newest->uid);
	}
	if (newest->changed_uid != 0) {
		uidset_add(&uids, newest->changed_uid, newest->changed_uid);
	}
	if (uids.count == 0) {
		return true;
	}
	imap_items_begin(catchup->session, &command);
	imap_command_set(&command, &uids);
	imap_items_print(
		catchup->session, IMAP_ITEMS_IDENTITY | (newest->changed_uid != 0 ? IMAP_ITEMS_MODSEQ : 0), &command);
	return send(catchup, &command, ASKED_IDENTITY, err);
}

static bool
ask_changes(struct imap_catchup *catchup, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};

	if (catchup->next == 1) {
		return true;
	}
	imap_items_begin(catchup->session, &command);
	imap_command_text(&command, "1:");
	imap_command_number(&command, catchup->next - 1);
	imap_items_print(catchup->session, IMAP_ITEMS_FLAGS, &command);
	imap_command_text(&command, " (CHANGEDSINCE ");
	imap_command_number(&command, catchup->request->highestmodseq);
	imap_command_text(&command, ")");
	return send(catchup, &command, ASKED_FLAGS, err);
}

/* The newest known messages, as many as a window holds. */
static void
newest_known(const struct imap_catchup *catchup, struct uidset *out)
{
	uint64_t left = catchup->known_count <= IMAP_FLAGS_SMALL ? catchup->known_count : IMAP_FLAGS_WINDOW;
	size_t first = catchup->known->count;

	while (left > 0) {
		struct uid_range range = catchup->known->ranges[--first];
		uint64_t size = (uint64_t)range.last - range.first + 1;

		left -= size < left ? size : left;
	}
	for (size_t i = first; i < catchup->known->count; i++) {
		uidset_add(out, catchup->known->ranges[i].first, catchup->known->ranges[i].last);
	}
}

static bool
ask_flags_of(struct imap_catchup *catchup, const struct uidset *set, unsigned items, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	SCOPED(uidset_finish) struct uidset part = UIDSET_INIT;
	uint32_t uid = 0;

	while (imap_command_next_part(set, &uid, SIZE_MAX, IMAP_COMMAND_OCTETS - 200, &part)) {
		imap_items_begin(catchup->session, &command);
		imap_command_set(&command, &part);
		imap_items_print(catchup->session, items, &command);
		if (!send(catchup, &command, ASKED_FLAGS, err)) {
			return false;
		}
	}
	return true;
}

/* A mailbox without mod-sequences refuses to be asked for them (RFC 7162, 3.1.2.2); before SELECT is answered we go by the base. */
static bool
may_have_modseq(const struct imap_catchup *catchup)
{
	return catchup->selected_fine ? catchup->selected.highestmodseq > 0
				      : catchup->request->uidvalidity == 0 || catchup->request->highestmodseq > 0;
}

bool
imap_catchup_ask_flags(struct imap_catchup *catchup, struct error *err)
{
	SCOPED(uidset_finish) struct uidset all = UIDSET_INIT;

	if (catchup->next > 1) {
		uidset_add(&all, 1, catchup->next - 1);
	}
	return ask_flags_of(catchup, &all, IMAP_ITEMS_FLAGS | (may_have_modseq(catchup) ? IMAP_ITEMS_MODSEQ : 0), err);
}

bool
imap_catchup_ask_fresh(struct imap_catchup *catchup, const struct uidset *set, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	unsigned items = IMAP_ITEMS_FLAGS | IMAP_ITEMS_IDENTITY | (catchup->request->bodies ? 0 : IMAP_ITEMS_HEADER);

	items |= may_have_modseq(catchup) ? IMAP_ITEMS_MODSEQ : 0;
	imap_items_begin(catchup->session, &command);
	if (set != NULL) {
		imap_command_set(&command, set);
	} else {
		imap_command_number(&command, catchup->next);
		imap_command_text(&command, ":*");
	}
	imap_items_print(catchup->session, items, &command);
	if (!catchup->asked_fresh) {
		catchup->asked_fresh = catchup->got_fresh = true; /* until an answer says otherwise */
	}
	return send(catchup, &command, ASKED_FRESH, err);
}

bool
imap_catchup_ask(struct imap_catchup *catchup, bool fresh, struct error *err)
{
	SCOPED(uidset_finish) struct uidset window = UIDSET_INIT;

	if (!ask_select(catchup, err) || !ask_identity(catchup, err)) {
		return false;
	}
	switch (catchup->way) {
	case IMAP_CATCHUP_FIRST:
	case IMAP_CATCHUP_QRESYNC:
		break;
	case IMAP_CATCHUP_CONDSTORE:
		if (!ask_changes(catchup, err)) {
			return false;
		}
		break;
	case IMAP_CATCHUP_WINDOW:
		newest_known(catchup, &window);
		if (!ask_flags_of(catchup, &window, IMAP_ITEMS_FLAGS, err)) {
			return false;
		}
		break;
	case IMAP_CATCHUP_FULL: /* many are asked for when they may be reported at once */
		if (catchup->known_count <= IMAP_FLAGS_SMALL && !imap_catchup_ask_flags(catchup, err)) {
			return false;
		}
		break;
	}
	return !fresh || imap_catchup_ask_fresh(catchup, NULL, err);
}

/* --- what it means --- */

/* Says why this is not the mailbox of the base. */
static enum remote_scan_state
rebuilt(struct imap_catchup *catchup, const char *what, uint64_t is, uint64_t was)
{
	snprintf(catchup->reason, sizeof catchup->reason, "%s is %" PRIu64 " and was %" PRIu64, what, is, was);
	return REMOTE_SCAN_REBUILT;
}

static bool
is_other_message(const struct remote_newest *was, const struct remote_message *is)
{
	if (was->guid.kind != GUID_NONE && is->guid.kind == was->guid.kind) {
		return !guid_equal(&was->guid, &is->guid);
	}
	return (is->internaldate_s != 0 && was->internaldate_s != is->internaldate_s) ||
	       (is->size_bytes != 0 && was->size_bytes != 0 && was->size_bytes != is->size_bytes);
}

static enum remote_scan_state
judge_base(struct imap_catchup *catchup)
{
	const struct remote_scan_request *request = catchup->request;
	const struct remote_selected *is = &catchup->selected;

	if (request->uidvalidity == 0) {
		return REMOTE_SCAN_OK;
	}
	if (is->uidvalidity != request->uidvalidity) {
		return rebuilt(catchup, "UIDVALIDITY", is->uidvalidity, request->uidvalidity);
	}
	if (request->id.kind == GUID_MAILBOXID && is->id.kind == GUID_MAILBOXID && !guid_equal(&request->id, &is->id)) {
		snprintf(catchup->reason, sizeof catchup->reason, "another mailbox has this name");
		return REMOTE_SCAN_REBUILT;
	}
	if (is->uidnext != 0 && is->uidnext < request->uidnext) {
		return rebuilt(catchup, "UIDNEXT", is->uidnext, request->uidnext);
	}
	if (is->highestmodseq != 0 && is->highestmodseq < request->highestmodseq) {
		return rebuilt(catchup, "HIGHESTMODSEQ", is->highestmodseq, request->highestmodseq);
	}
	if (catchup->has_newest && is_other_message(&request->newest, &catchup->newest)) {
		snprintf(catchup->reason, sizeof catchup->reason, "UID %" PRIu32 " is another message",
			request->newest.uid);
		return REMOTE_SCAN_REBUILT;
	}
	if (catchup->has_changed && catchup->changed_modseq < request->newest.changed_modseq) {
		return rebuilt(
			catchup, "the MODSEQ of a message", catchup->changed_modseq, request->newest.changed_modseq);
	}
	return REMOTE_SCAN_OK;
}

enum remote_scan_state
imap_catchup_judge(struct imap_catchup *catchup)
{
	if (!catchup->selected_fine) {
		snprintf(catchup->reason, sizeof catchup->reason, "%.190s", catchup->failure.text);
		return catchup->gone ? REMOTE_SCAN_GONE : REMOTE_SCAN_FAILED;
	}
	if (catchup->uids_change || catchup->selected.uidvalidity == 0) {
		error_set(&catchup->failure, ERROR_ITEM, "the server keeps no lasting UIDs for this mailbox");
		snprintf(catchup->reason, sizeof catchup->reason, "%.190s", catchup->failure.text);
		return REMOTE_SCAN_FAILED;
	}
	return judge_base(catchup);
}

/* What we brought there since the last scan is known, but not how its flags are by now. */
static bool
lacks_flags(const struct imap_catchup *catchup)
{
	const struct uidset *known = catchup->known;
	bool by_modseq = catchup->way == IMAP_CATCHUP_QRESYNC || catchup->way == IMAP_CATCHUP_CONDSTORE;

	return by_modseq && !catchup->asked_fresh && known->count > 0 &&
	       known->ranges[known->count - 1].last >= catchup->next;
}

bool
imap_catchup_prove(struct imap_catchup *catchup)
{
	uint64_t known = catchup->known_count - uidset_size(&catchup->vanished);

	if (catchup->overflowed || (catchup->asked_fresh && !catchup->got_fresh) || !catchup->flags_fine ||
		lacks_flags(catchup)) {
		return false;
	}
	if (catchup->way == IMAP_CATCHUP_FULL) { /* every flag was listed, so what was not listed is not there */
		known = uidset_size(&catchup->listed);
	}
	if (known + uidset_size(&catchup->fresh) != catchup->exists) {
		return false;
	}
	if (catchup->way == IMAP_CATCHUP_FULL) {
		imap_catchup_difference(catchup->known, &catchup->listed, &catchup->vanished);
	}
	catchup->proven = true;
	return true;
}

void
imap_catchup_prove_by(struct imap_catchup *catchup, const struct uidset *there)
{
	SCOPED(uidset_finish) struct uidset unknown = UIDSET_INIT;

	assert(uidset_size(there) == catchup->exists);
	imap_catchup_difference(catchup->known, there, &catchup->vanished);
	imap_catchup_difference(there, catchup->known, &unknown);
	imap_catchup_difference(&unknown, &catchup->fresh, &catchup->wanted);
	for (size_t i = 0; lacks_flags(catchup) && i < catchup->known->count; i++) {
		struct uid_range range = catchup->known->ranges[i];

		if (range.last >= catchup->next) {
			uidset_add(&catchup->wanted, range.first > catchup->next ? range.first : catchup->next,
				range.last);
		}
	}
	catchup->proven = true;
}

/* --- reporting --- */

static struct remote_selected
selected_now(const struct imap_catchup *catchup)
{
	struct remote_selected selected = catchup->selected;

	/* what was there but was not told counts as not there, so that the next account check sees a difference */
	if (catchup->proven) {
		selected.exists = (uint32_t)(catchup->known_count - uidset_size(&catchup->vanished) + catchup->told);
	} else {
		selected.exists = catchup->exists;
	}
	/* what came in between SELECT and FETCH was listed as well */
	if (catchup->highest >= selected.uidnext && selected.uidnext != 0 && catchup->highest != UINT32_MAX) {
		selected.uidnext = catchup->highest + 1;
	}
	return selected;
}

bool
imap_catchup_report(struct imap_catchup *catchup, struct error *err)
{
	const struct remote_scan_sink *sink = catchup->sink;

	assert(!catchup->reported);
	if (!sink->selected(sink->context, catchup->index, &catchup->selected, err)) {
		return false;
	}
	for (size_t i = 0; i < catchup->change_count; i++) {
		const struct imap_change *change = &catchup->changes[i];

		if (!uidset_contains(&catchup->vanished, change->uid) &&
			!sink->flags(sink->context, catchup->index, change->uid, &change->flags, change->modseq, err)) {
			return false;
		}
	}
	catchup->reported = true;
	if (catchup->overflowed) { /* they come again */
		for (size_t i = 0; i < catchup->held_count; i++) {
			imap_catchup_release(&catchup->held[i]);
		}
		catchup->held_count = catchup->held_octets = catchup->fetched_count = 0;
		uidset_clear(&catchup->fresh);
	}
	for (size_t i = 0; i < catchup->held_count && !catchup->request->bodies; i++) {
		if (!imap_catchup_tell(catchup, &catchup->held[i], err)) {
			return false;
		}
	}
	if (!catchup->request->bodies) {
		for (size_t i = 0; i < catchup->held_count; i++) {
			imap_catchup_release(&catchup->held[i]);
		}
		catchup->held_count = catchup->held_octets = 0;
	}
	return true;
}

bool
imap_catchup_end(struct imap_catchup *catchup, enum remote_scan_state state, struct error *err)
{
	const struct remote_scan_sink *sink = catchup->sink;
	struct remote_selected selected = selected_now(catchup);

	if (state == REMOTE_SCAN_OK && catchup->vanished.count > 0 &&
		!sink->gone(sink->context, catchup->index, &catchup->vanished, err)) {
		return false;
	}
	return sink->end(sink->context, catchup->index, state, catchup->selected_fine ? &selected : NULL,
		catchup->reason[0] != '\0' ? catchup->reason : NULL,
		state == REMOTE_SCAN_FAILED ? &catchup->failure : NULL, err);
}
