#include "engine/remote/imap/imap_list.h"

#include <stdlib.h>

#include "engine/base/arena.h"
#include "engine/remote/imap/imap_names.h"
#include "engine/remote/imap/imap_refusal.h"
#include "engine/remote/imap/imap_selection.h"

#define MAILBOXES_MAX   100000
#define NAME_OCTETS_MAX 4096

/* What a server's LIST takes, tried in this order. */
enum way { WAY_ALL, WAY_WITHOUT_ROLES, WAY_PLAIN, WAY_COUNT };

struct row {
	struct remote_mailbox mailbox;
};

struct listing {
	struct imap_session *session;
	struct arena names;
	struct row *rows;
	size_t count, capacity;
	size_t last;        /* the row that the last response was about */
	struct row *strays; /* STATUS lines that did not follow their LIST */
	size_t stray_count, stray_capacity;
	bool sorted;  /* by name: no more rows are added */
	bool refused; /* the LIST was answered by NO or BAD */
	struct error refusal;
};

static void
listing_finish(struct listing *listing)
{
	free(listing->rows);
	free(listing->strays);
	arena_finish(&listing->names);
}

static int
compare_rows(const void *a, const void *b)
{
	const struct row *left = a, *right = b;

	return slice_compare(left->mailbox.raw_name, right->mailbox.raw_name);
}

static struct row *
find_row(struct listing *listing, struct slice name)
{
	size_t low = 0, high = listing->sorted ? listing->count : 0;

	/* a STATUS follows its LIST, or all of them follow in the same order */
	for (size_t at = listing->last; at < listing->last + 2 && at < listing->count; at++) {
		if (slice_equal(listing->rows[at].mailbox.raw_name, name)) {
			listing->last = at;
			return &listing->rows[at];
		}
	}
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = slice_compare(listing->rows[middle].mailbox.raw_name, name);

		if (order == 0) {
			listing->last = middle;
			return &listing->rows[middle];
		}
		if (order < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return NULL;
}

/* One more row at the end of a table that grows; the limit is the caller's. */
static struct row *
add_row(struct row **rows, size_t *count, size_t *capacity)
{
	if (*count == *capacity) {
		*capacity = *capacity == 0 ? 256 : 2 * *capacity;
		*rows = reallocarray(*rows, *capacity, sizeof **rows);
		if (*rows == NULL) {
			abort();
		}
	}
	(*rows)[*count] = (struct row){0};
	return &(*rows)[(*count)++];
}

static const char *
role_of(struct slice attributes)
{
	static const struct {
		struct slice word;
		const char *role;
	} roles[] = {
		{SLICE_LITERAL("\\Trash"), "trash"},
		{SLICE_LITERAL("\\Sent"), "sent"},
		{SLICE_LITERAL("\\Drafts"), "drafts"},
		{SLICE_LITERAL("\\Junk"), "junk"},
		{SLICE_LITERAL("\\Spam"), "junk"}, /* XLIST */
		{SLICE_LITERAL("\\Archive"), "archive"},
		{SLICE_LITERAL("\\All"), "all"},
		{SLICE_LITERAL("\\AllMail"), "all"}, /* XLIST */
		{SLICE_LITERAL("\\Flagged"), "flagged"},
		{SLICE_LITERAL("\\Starred"), "flagged"}, /* XLIST */
		{SLICE_LITERAL("\\Important"), "important"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(roles); i++) {
		if (imap_words_has_word(attributes, roles[i].word)) {
			return roles[i].role;
		}
	}
	return NULL;
}

static uint32_t
attributes_of(struct slice list)
{
	uint32_t attributes = 0;

	if (imap_words_has_word(list, SLICE_LITERAL("\\Noselect")) ||
		imap_words_has_word(list, SLICE_LITERAL("\\NonExistent"))) {
		attributes |= REMOTE_NOSELECT;
	}
	if (imap_words_has_word(list, SLICE_LITERAL("\\Noinferiors"))) {
		attributes |= REMOTE_NOINFERIORS;
	}
	if (imap_words_has_word(list, SLICE_LITERAL("\\Subscribed"))) {
		attributes |= REMOTE_SUBSCRIBED;
	}
	return attributes;
}

static bool
hear_list(struct listing *listing, const struct imap_listed *listed, struct error *err)
{
	if (listed->name.length == 0 || listed->name.length > NAME_OCTETS_MAX || listing->sorted) {
		return true; /* the second command tells nothing new but ids */
	}
	if (listing->count == MAILBOXES_MAX) {
		return error_set(err, ERROR_RETRY, "the server lists more than %d mailboxes", MAILBOXES_MAX);
	}
	struct row *row = add_row(&listing->rows, &listing->count, &listing->capacity);

	listing->last = listing->count - 1;
	row->mailbox.raw_name = arena_copy(&listing->names, listed->name);
	row->mailbox.separator = listed->separator;
	row->mailbox.attributes = attributes_of(listed->attributes);
	row->mailbox.role =
		slice_equal_nocase(listed->name, SLICE_LITERAL("INBOX")) ? "inbox" : role_of(listed->attributes);
	return true;
}

static void
fill_in(struct remote_mailbox *mailbox, const struct imap_mailbox *told)
{
	if (told->uidvalidity != 0 || told->has_messages) {
		mailbox->has_status = true;
		mailbox->uidvalidity = told->uidvalidity;
		mailbox->uidnext = told->uidnext;
		mailbox->highestmodseq = told->highestmodseq;
		mailbox->messages = told->messages;
	}
	if (told->mailboxid.length > 0) {
		imap_words_guid(GUID_MAILBOXID, told->mailboxid, &mailbox->id);
	} else if (told->x_guid.length > 0) {
		imap_words_guid(GUID_X_GUID, told->x_guid, &mailbox->id);
	}
}

static bool
hear_mailbox(struct listing *listing, const struct imap_mailbox *told, struct error *err)
{
	struct row *row = find_row(listing, told->name);

	if (row == NULL && !listing->sorted) {
		if (listing->stray_count == MAILBOXES_MAX) {
			return error_set(err, ERROR_RETRY, "the server tells of more than %d mailboxes", MAILBOXES_MAX);
		}
		row = add_row(&listing->strays, &listing->stray_count, &listing->stray_capacity);
		row->mailbox.raw_name = arena_copy(&listing->names, told->name);
	}
	if (row != NULL) {
		fill_in(&row->mailbox, told);
	}
	return true;
}

/* One row of two about the same mailbox. */
static void
merge_rows(struct remote_mailbox *into, const struct remote_mailbox *from)
{
	into->attributes |= from->attributes;
	into->role = into->role != NULL ? into->role : from->role;
	if (!into->has_status && from->has_status) {
		into->has_status = true;
		into->uidvalidity = from->uidvalidity;
		into->uidnext = from->uidnext;
		into->highestmodseq = from->highestmodseq;
		into->messages = from->messages;
	}
	if (into->id.kind == GUID_NONE) {
		into->id = from->id;
	}
}

/* Makes one row of all that are about the same mailbox: a server may mix the answers to two LISTs. */
static void
merge_doubles(struct listing *listing)
{
	size_t kept = 0;

	for (size_t i = 1; i < listing->count; i++) {
		if (slice_equal(listing->rows[i].mailbox.raw_name, listing->rows[kept].mailbox.raw_name)) {
			merge_rows(&listing->rows[kept].mailbox, &listing->rows[i].mailbox);
		} else {
			listing->rows[++kept] = listing->rows[i];
		}
	}
	listing->count = listing->count > 0 ? kept + 1 : 0;
}

/* The rows are complete: sorts them and gives the strays their place. */
static void
settle_rows(struct listing *listing)
{
	if (!listing->sorted && listing->count > 0) {
		qsort(listing->rows, listing->count, sizeof *listing->rows, compare_rows);
	}
	merge_doubles(listing);
	listing->sorted = true;
	for (size_t i = 0; i < listing->stray_count; i++) {
		const struct remote_mailbox *stray = &listing->strays[i].mailbox;
		struct row *row = find_row(listing, stray->raw_name);

		if (row != NULL) {
			merge_rows(&row->mailbox, stray);
		}
	}
	listing->stray_count = 0;
}

static bool
hear(void *context, const struct imap_response *response, struct error *err)
{
	struct listing *listing = context;
	struct row *row;

	if (response->kind == IMAP_RESPONSE_LIST) {
		return hear_list(listing, &response->listed, err);
	}
	if (response->kind == IMAP_RESPONSE_MAILBOX) {
		return hear_mailbox(listing, &response->mailbox, err);
	}
	if (response->kind == IMAP_RESPONSE_LSUB) {
		row = find_row(listing, response->listed.name);
		if (row != NULL) {
			row->mailbox.attributes |= REMOTE_SUBSCRIBED;
		}
	}
	return true;
}

static bool
list_done(void *context, uint64_t cookie, const struct imap_response *answer, struct error *err)
{
	struct listing *listing = context;

	(void)cookie;
	(void)err;
	if (answer->status != IMAP_OK) {
		listing->refused = true;
		imap_refusal(answer, "LIST", &listing->refusal);
		return true;
	}
	settle_rows(listing);
	return true;
}

static bool
send(struct listing *listing, const struct imap_listener *listener, const struct imap_command *command,
	const char *what, imap_done_fn *done, struct error *err)
{
	const struct imap_asked asked = {.what = what, .listener = listener, .done = done, .context = listing};

	return imap_session_send(listing->session, command, &asked, NULL, err);
}

/* LIST with all that can be asked along. */
static void
print_list(const struct imap_session *session, bool x_guid, struct imap_command *command)
{
	bool status = imap_can(&session->can, IMAP_CAN_LIST_STATUS) && session->list_way != WAY_PLAIN;
	bool roles = imap_can(&session->can, IMAP_CAN_SPECIAL_USE) && session->list_way == WAY_ALL;

	imap_command_begin(command, IMAP_LITERALS_WAIT,
		imap_can(&session->can, IMAP_CAN_XLIST) && !imap_can(&session->can, IMAP_CAN_SPECIAL_USE)
			? "XLIST \"\" \"*\""
			: "LIST \"\" \"*\"");
	if (!imap_can(&session->can, IMAP_CAN_LIST_EXTENDED) || session->list_way == WAY_PLAIN) {
		return;
	}
	imap_command_text(command, roles ? " RETURN (SPECIAL-USE SUBSCRIBED" : " RETURN (SUBSCRIBED");
	if (status) {
		imap_command_text(command, " STATUS (MESSAGES UIDNEXT UIDVALIDITY");
		imap_command_text(command, imap_can(&session->can, IMAP_CAN_CONDSTORE) ? " HIGHESTMODSEQ" : "");
		imap_command_text(command, x_guid ? " X-GUID)" : ")");
	}
	imap_command_text(command, ")");
}

/* Sends STATUS for each mailbox: what servers without LIST-STATUS need. */
static bool
ask_each(struct listing *listing, const struct imap_listener *listener, bool x_guid, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	const struct imap_session *session = listing->session;

	for (size_t i = 0; i < listing->count; i++) {
		const struct remote_mailbox *mailbox = &listing->rows[i].mailbox;

		if ((mailbox->attributes & REMOTE_NOSELECT) != 0) {
			continue;
		}
		imap_command_begin(&command, imap_session_literals(session), "STATUS");
		imap_command_string(&command, mailbox->raw_name);
		imap_command_text(&command, " (MESSAGES UIDNEXT UIDVALIDITY");
		imap_command_text(&command, imap_can(&session->can, IMAP_CAN_CONDSTORE) ? " HIGHESTMODSEQ" : "");
		imap_command_text(&command, x_guid ? " X-GUID)" : ")");
		if (command.failure.kind == ERROR_NONE && !send(listing, listener, &command, "STATUS", NULL, err)) {
			return false;
		}
		imap_command_begin(&command, imap_session_literals(session), "STATUS");
		imap_command_string(&command, mailbox->raw_name);
		imap_command_text(&command, " (MAILBOXID)");
		if (imap_can(&session->can, IMAP_CAN_OBJECTID) && command.failure.kind == ERROR_NONE &&
			!send(listing, listener, &command, "STATUS", NULL, err)) {
			return false;
		}
	}
	return imap_session_settle(listing->session, 0, err);
}

/* One flight: what is selected is given up, then LIST, the ids where they are wanted and have to be asked apart, LSUB where LIST cannot tell. */
static bool
ask(struct listing *listing, const struct imap_listener *listener, bool ids, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	struct imap_session *session = listing->session;
	bool x_guid = ids && imap_session_message_ids(session) == GUID_X_GUID;

	if (session->selection.selected && imap_can(&session->can, IMAP_CAN_UNSELECT)) {
		imap_command_begin(&command, IMAP_LITERALS_WAIT, "UNSELECT");
		if (!send(listing, listener, &command, "UNSELECT", NULL, err)) {
			return false;
		}
		imap_selection_none(&session->selection);
	}
	print_list(session, x_guid, &command);
	if (!send(listing, listener, &command, "LIST", list_done, err)) {
		return false;
	}
	bool status = imap_can(&session->can, IMAP_CAN_LIST_STATUS) && session->list_way != WAY_PLAIN;

	/* Cyrus 3.6 tells a wrong MAILBOXID together with the counters, and the right one alone */
	if (ids && status && imap_can(&session->can, IMAP_CAN_OBJECTID)) {
		imap_command_begin(&command, IMAP_LITERALS_WAIT, "LIST \"\" \"*\" RETURN (STATUS (MAILBOXID))");
		if (!send(listing, listener, &command, "LIST", NULL, err)) {
			return false;
		}
	}
	if (!imap_can(&session->can, IMAP_CAN_LIST_EXTENDED) || session->list_way == WAY_PLAIN) {
		imap_command_begin(&command, IMAP_LITERALS_WAIT, "LSUB \"\" \"*\"");
		if (!send(listing, listener, &command, "LSUB", NULL, err)) {
			return false;
		}
	}
	return imap_session_settle(session, 0, err) &&
	       (listing->refused || status || ask_each(listing, listener, x_guid, err));
}

/* Fills in the ids that are known; tells whether one is missing. */
static bool
lacks_ids(struct listing *listing)
{
	bool lacks = false;

	for (size_t i = 0; i < listing->count; i++) {
		struct remote_mailbox *mailbox = &listing->rows[i].mailbox;

		if (mailbox->has_status && mailbox->id.kind == GUID_NONE &&
			!imap_names_find(
				listing->session->remote, mailbox->raw_name, mailbox->uidvalidity, &mailbox->id)) {
			lacks = true;
		}
	}
	return lacks;
}

static void
start_over(struct listing *listing)
{
	arena_reset(&listing->names);
	listing->count = listing->stray_count = listing->last = 0;
	listing->sorted = listing->refused = false;
}

/* Lists until the server takes it, with fewer wishes each time. */
static bool
list_once(struct listing *listing, bool ids, struct error *err)
{
	const struct imap_listener listener = {.context = listing, .untagged = hear};

	for (;;) {
		start_over(listing);
		if (!ask(listing, &listener, ids, err)) {
			return false;
		}
		if (!listing->refused) {
			return true;
		}
		if (listing->session->list_way + 1 == WAY_COUNT || listing->refusal.kind == ERROR_THROTTLED) {
			*err = listing->refusal;
			return false;
		}
		listing->session->list_way++;
	}
}

bool
imap_list_all(struct imap_session *session,
	bool (*each)(void *context, const struct remote_mailbox *mailbox, struct error *err), void *context,
	struct error *err)
{
	SCOPED(listing_finish) struct listing listing = {.session = session};
	bool can_ids = imap_session_message_ids(session) == GUID_X_GUID || imap_can(&session->can, IMAP_CAN_OBJECTID);
	bool ids = can_ids && !imap_names_any(session->remote);

	if (!list_once(&listing, ids, err)) {
		return false;
	}
	if (can_ids && !ids && lacks_ids(&listing) && !list_once(&listing, true, err)) {
		return false;
	}
	char prefix[sizeof(session->remote->prefix)];

	mutex_lock(&session->remote->lock);
	memcpy(prefix, session->remote->prefix, sizeof(prefix));
	size_t prefix_length = session->remote->prefix_length;

	mutex_unlock(&session->remote->lock);
	for (size_t i = 0; i < listing.count; i++) {
		struct remote_mailbox *mailbox = &listing.rows[i].mailbox;

		mailbox->prefix = slice_make(prefix, prefix_length);
		imap_names_keep(session->remote, mailbox->raw_name, mailbox->uidvalidity, &mailbox->id);
		if (!each(context, mailbox, err)) {
			return false;
		}
	}
	return true;
}

struct search {
	struct slice name;
	bool shown;
};

static bool
hear_shown(void *context, const struct imap_response *response, struct error *err)
{
	struct search *search = context;

	(void)err;
	if (response->kind == IMAP_RESPONSE_LIST && slice_equal_nocase(response->listed.name, search->name) &&
		(attributes_of(response->listed.attributes) & REMOTE_NOSELECT) == 0) {
		search->shown = true;
	}
	return true;
}

bool
imap_list_shows(struct imap_session *session, struct slice name, bool *out_shown, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	SCOPED(imap_answer_finish) struct imap_answer answer = {0};
	struct search search = {.name = name};
	const struct imap_listener listener = {.context = &search, .untagged = hear_shown};

	imap_command_begin(&command, imap_session_literals(session), "LIST \"\"");
	imap_command_string(&command, name);
	if (!imap_session_run(
		    session, &command, &(struct imap_asked){.what = "LIST", .listener = &listener}, &answer, err)) {
		return false;
	}
	if (answer.status != IMAP_OK) {
		*err = answer.error;
		return false;
	}
	*out_shown = search.shown;
	return true;
}
