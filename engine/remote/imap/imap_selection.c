#include "engine/remote/imap/imap_selection.h"

#include <inttypes.h>

static void
clear(struct imap_selection *selection)
{
	flags_finish(&selection->is.permanent);
	selection->is = (struct remote_selected){0};
	selection->has_permanent = selection->nomodseq = selection->uids_change = false;
}

void
imap_selection_none(struct imap_selection *selection)
{
	clear(selection);
	selection->selected = false;
	buf_clear(&selection->name);
}

void
imap_selection_begin(struct imap_selection *selection, struct slice name)
{
	imap_selection_none(selection);
	buf_append(&selection->name, name);
}

void
imap_selection_finish(struct imap_selection *selection)
{
	clear(selection);
	buf_finish(&selection->name);
}

bool
imap_selection_is(const struct imap_selection *selection, struct slice name)
{
	struct slice mine = buf_slice(&selection->name);
	struct slice inbox = SLICE_LITERAL("INBOX");

	return selection->selected &&
	       (slice_equal(mine, name) || (slice_equal_nocase(mine, inbox) && slice_equal_nocase(name, inbox)));
}

/* `(\Answered Junk \*)` */
static void
hear_permanent(struct imap_selection *selection, struct slice list)
{
	if (list.length >= 2 && list.data[0] == '(' && list.data[list.length - 1] == ')') {
		list = slice_make(list.data + 1, list.length - 2);
	}
	flags_finish(&selection->is.permanent);
	imap_words_flags(list, &selection->is.permanent);
	selection->is.keywords_any = imap_words_has_word(list, SLICE_LITERAL("\\*"));
	selection->has_permanent = true;
}

static void
hear_id(struct imap_selection *selection, struct slice list)
{
	if (list.length >= 2 && list.data[0] == '(' && list.data[list.length - 1] == ')') {
		imap_words_guid(GUID_MAILBOXID, slice_make(list.data + 1, list.length - 2), &selection->is.id);
	}
}

static void
hear_code(struct imap_selection *selection, struct slice code, struct slice arguments)
{
	if (slice_equal_nocase(code, SLICE_LITERAL("CLOSED"))) {
		clear(selection); /* all before it was of the mailbox that was selected earlier (RFC 7162, 3.2.11) */
	} else if (slice_equal_nocase(code, SLICE_LITERAL("UIDVALIDITY"))) {
		(void)slice_to_u32(arguments, &selection->is.uidvalidity);
	} else if (slice_equal_nocase(code, SLICE_LITERAL("UIDNEXT"))) {
		(void)slice_to_u32(arguments, &selection->is.uidnext);
	} else if (slice_equal_nocase(code, SLICE_LITERAL("HIGHESTMODSEQ"))) {
		if (!slice_to_u64(arguments, &selection->is.highestmodseq) || selection->is.highestmodseq > INT64_MAX) {
			selection->is.highestmodseq = 0;
		}
	} else if (slice_equal_nocase(code, SLICE_LITERAL("NOMODSEQ"))) {
		selection->nomodseq = true;
	} else if (slice_equal_nocase(code, SLICE_LITERAL("UIDNOTSTICKY"))) {
		selection->uids_change = true;
	} else if (slice_equal_nocase(code, SLICE_LITERAL("MAILBOXID"))) {
		hear_id(selection, arguments);
	} else if (slice_equal_nocase(code, SLICE_LITERAL("READ-ONLY"))) {
		selection->is.read_only = true;
	} else if (slice_equal_nocase(code, SLICE_LITERAL("READ-WRITE"))) {
		selection->is.read_only = false;
	}
}

/* Counts down what was expunged while the mailbox is selected. */
static bool
expunged(struct imap_selection *selection, uint64_t count, struct error *err)
{
	if (count > selection->is.exists) {
		return error_set(err, ERROR_RETRY, "the server expunged %" PRIu64 " messages of %" PRIu32, count,
			selection->is.exists);
	}
	selection->is.exists -= (uint32_t)count;
	return true;
}

static bool
hear_vanished(struct imap_selection *selection, const struct imap_response *response, struct error *err)
{
	SCOPED(uidset_finish) struct uidset gone = UIDSET_INIT;

	if (response->earlier) {
		return true;
	}
	if (!uidset_parse(&gone, response->text)) {
		return error_set(err, ERROR_RETRY, "the server sent a VANISHED response whose UIDs cannot be read");
	}
	return expunged(selection, uidset_size(&gone), err);
}

bool
imap_selection_hear(
	struct imap_selection *selection, const struct imap_response *response, bool selecting, struct error *err)
{
	if (!selecting && !selection->selected) {
		return true;
	}
	switch (response->kind) {
	case IMAP_RESPONSE_STATUS:
	case IMAP_RESPONSE_TAGGED:
		if (slice_equal_nocase(response->code, SLICE_LITERAL("PERMANENTFLAGS"))) {
			hear_permanent(selection, response->arguments);
		} else if (selecting) {
			hear_code(selection, response->code, response->arguments);
		}
		return true;
	case IMAP_RESPONSE_FLAGS:
		if (!selection->has_permanent) { /* without PERMANENTFLAGS all of them last (RFC 3501, 7.1) */
			flags_finish(&selection->is.permanent);
			imap_words_flags(response->text, &selection->is.permanent);
		}
		return true;
	case IMAP_RESPONSE_EXISTS:
		selection->is.exists = response->number;
		return true;
	case IMAP_RESPONSE_EXPUNGE:
		return expunged(selection, 1, err);
	case IMAP_RESPONSE_VANISHED:
		return hear_vanished(selection, response, err);
	case IMAP_RESPONSE_FETCH:
		if (!selecting && response->number > selection->is.exists) {
			return error_set(err, ERROR_RETRY, "the server told of message %" PRIu32 " of %" PRIu32,
				response->number, selection->is.exists);
		}
		return true;
	case IMAP_RESPONSE_CAPABILITY:
	case IMAP_RESPONSE_CONTINUE:
	case IMAP_RESPONSE_ENABLED:
	case IMAP_RESPONSE_LIST:
	case IMAP_RESPONSE_LSUB:
	case IMAP_RESPONSE_MAILBOX:
	case IMAP_RESPONSE_SEARCH:
	case IMAP_RESPONSE_ESEARCH:
	case IMAP_RESPONSE_ID:
	case IMAP_RESPONSE_NAMESPACE:
	case IMAP_RESPONSE_OTHER:
		return true;
	}
	return true;
}

void
imap_selection_end(struct imap_selection *selection, const struct imap_response *answer)
{
	if (answer->status != IMAP_OK) {
		imap_selection_none(selection);
		return;
	}
	selection->selected = true;
	if (selection->nomodseq) {
		selection->is.highestmodseq = 0;
	}
}

void
imap_selection_print(const struct imap_session *session, struct slice name, struct imap_command *command)
{
	imap_command_begin(command, imap_session_literals(session), "SELECT");
	imap_command_string(command, name);
	if (imap_can(&session->can, IMAP_CAN_CONDSTORE) && !session->enabled_qresync) {
		imap_command_text(command, " (CONDSTORE)");
	}
}

bool
imap_selection_agrees(const struct imap_selection *selection, uint32_t uidvalidity, struct error *err)
{
	if (uidvalidity == 0 || selection->is.uidvalidity == uidvalidity) {
		return true;
	}
	return error_set(err, ERROR_RETRY, "rebuilt: UIDVALIDITY is %" PRIu32 ", and was %" PRIu32,
		selection->is.uidvalidity, uidvalidity);
}

bool
imap_selection_select(struct imap_session *session, struct slice name, uint32_t uidvalidity, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	SCOPED(imap_answer_finish) struct imap_answer answer = {0};

	if (!imap_session_check(session, err)) {
		return false;
	}
	if (!imap_selection_is(&session->selection, name)) {
		imap_selection_print(session, name, &command);
		if (!imap_session_run(
			    session, &command, &(struct imap_asked){.what = "SELECT", .selects = name}, &answer, err)) {
			return false;
		}
		if (answer.status != IMAP_OK) {
			*err = answer.error;
			return false;
		}
	}
	return imap_selection_agrees(&session->selection, uidvalidity, err);
}

bool
imap_selection_leave(struct imap_session *session, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	SCOPED(imap_answer_finish) struct imap_answer answer = {0};

	if (!imap_session_check(session, err)) {
		return false;
	}
	if (!session->selection.selected) {
		return true;
	}
	if (imap_can(&session->can, IMAP_CAN_UNSELECT)) {
		imap_command_begin(&command, imap_session_literals(session), "UNSELECT");
		if (!imap_session_run(session, &command, &(struct imap_asked){.what = "UNSELECT"}, &answer, err)) {
			return false;
		}
	} else {
		/* CLOSE would expunge, but not what is only examined (RFC 3501, 6.4.2) */
		SCOPED(buf_finish) struct buf name = BUF_INIT;

		buf_append(&name, buf_slice(&session->selection.name));
		imap_command_begin(&command, imap_session_literals(session), "EXAMINE");
		imap_command_string(&command, buf_slice(&name));
		if (!imap_session_run(session, &command,
			    &(struct imap_asked){.what = "EXAMINE", .selects = buf_slice(&name)}, &answer, err)) {
			return false;
		}
		if (answer.status == IMAP_OK) {
			imap_command_begin(&command, imap_session_literals(session), "CLOSE");
			if (!imap_session_run(session, &command, &(struct imap_asked){.what = "CLOSE"}, &answer, err)) {
				return false;
			}
		}
	}
	imap_selection_none(&session->selection);
	return true;
}
