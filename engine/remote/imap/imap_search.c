#include "engine/remote/imap/imap_search.h"

struct search {
	const struct imap_listener *beside;
	struct uidset *out;
	bool limited;  /* the last search was cut */
	uint32_t rest; /* ... and looked at nothing up to this UID; 0 where it did not say */
};

/* `* SEARCH 2 84 882 (MODSEQ 917162500)` */
static bool
hear_numbers(struct search *search, struct slice numbers, struct error *err)
{
	struct slice word;
	uint32_t uid;

	while (imap_words_next_word(&numbers, &word) && word.data[0] != '(') {
		if (!slice_to_u32(word, &uid) || uid == 0) {
			return error_set(err, ERROR_RETRY, "the server sent a SEARCH response with what is no UID");
		}
		if (search->out->count >= UIDSET_RANGES_MAX) {
			return error_set(err, ERROR_RETRY, "the server lists more UIDs than can be");
		}
		uidset_add(search->out, uid, uid);
	}
	return true;
}

/* `1000 23221`: what is below that UID was not looked at (RFC 9738, 3). */
static void
hear_limit(struct search *search, struct slice arguments)
{
	struct slice count, uid;

	search->limited = true;
	search->rest = 0;
	if (imap_words_next_word(&arguments, &count) && imap_words_next_word(&arguments, &uid) &&
		slice_to_u32(uid, &search->rest) && search->rest > 0) {
		search->rest--;
	}
}

static bool
hear(void *context, const struct imap_response *response, struct error *err)
{
	struct search *search = context;

	if (response->kind == IMAP_RESPONSE_SEARCH) {
		return hear_numbers(search, response->text, err);
	}
	if (response->kind == IMAP_RESPONSE_ESEARCH) {
		return response->esearch.all.length == 0 || uidset_parse(search->out, response->esearch.all) ||
		       error_set(err, ERROR_RETRY, "the server sent an ESEARCH response whose UIDs cannot be read");
	}
	if (response->kind == IMAP_RESPONSE_STATUS &&
		slice_equal_nocase(response->code, SLICE_LITERAL("MESSAGELIMIT"))) {
		hear_limit(search, response->arguments);
	}
	return search->beside == NULL || search->beside->untagged(search->beside->context, response, err);
}

/* Searches the UIDs up to `last`, 0 for all. */
static bool
search_to(struct imap_session *session, const struct imap_listener *listener, uint32_t last, bool *out_fine,
	struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	SCOPED(imap_answer_finish) struct imap_answer answer = {0};
	struct search *search = listener->context;

	/* an empty RETURN list, and a search without a range, bring some servers to nonsense */
	imap_command_begin(&command, IMAP_LITERALS_WAIT,
		imap_can(&session->can, IMAP_CAN_ESEARCH) ? "UID SEARCH RETURN (ALL) UID 1:" : "UID SEARCH UID 1:");
	if (last == 0) {
		imap_command_text(&command, "*");
	} else {
		imap_command_number(&command, last);
	}
	search->limited = false;
	if (!imap_session_run(
		    session, &command, &(struct imap_asked){.what = "SEARCH", .listener = listener}, &answer, err)) {
		return false;
	}
	if (slice_equal_nocase(slice_of(answer.code), SLICE_LITERAL("MESSAGELIMIT"))) {
		hear_limit(search, buf_slice(&answer.arguments));
	}
	*out_fine = answer.status == IMAP_OK;
	return true;
}

bool
imap_search_all(struct imap_session *session, const struct imap_listener *beside, struct uidset *out,
	bool *out_complete, struct error *err)
{
	struct search search = {.beside = beside, .out = out};
	const struct imap_listener listener = {.context = &search, .untagged = hear};
	uint32_t last = 0;
	bool fine;

	uidset_clear(out);
	*out_complete = true;
	if (session->selection.is.exists == 0) {
		return true;
	}
	do {
		if (!search_to(session, &listener, last, &fine, err)) {
			return false;
		}
		/* each time it looks further down, or it is no limit that can be understood */
		if (search.limited && (search.rest == 0 || (last != 0 && search.rest >= last))) {
			fine = false;
		}
		last = search.rest;
	} while (fine && search.limited);
	*out_complete = fine && uidset_size(out) == session->selection.is.exists;
	return true;
}
