#include "engine/remote/imap/imap_mailboxes.h"

#include "engine/remote/imap/imap_effects.h"
#include "engine/remote/imap/imap_list.h"
#include "engine/remote/imap/imap_selection.h"

struct change {
	struct imap_effect effect;
	const char *what;
};

static bool
change_done(void *context, uint64_t cookie, const struct imap_response *answer, struct error *err)
{
	struct change *change = context;

	(void)cookie;
	(void)err;
	imap_effect_answer(&change->effect, answer, change->what);
	return true;
}

/* Sends one command and waits. False with its refusal in `err` where it was refused. */
static bool
change_tree(struct imap_session *session, const struct imap_command *command, const char *what,
	enum remote_outcome *out_outcome, struct error *err)
{
	struct change change = {.what = what, .effect.sent = 1, .effect.first_mark = UINT64_MAX};
	const struct imap_asked asked = {.what = what, .done = change_done, .context = &change};
	uint64_t mark = UINT64_MAX;
	bool over;

	*out_outcome = REMOTE_NOT_SENT;
	if (!imap_command_check(command, err)) {
		return false;
	}
	over = imap_session_send(session, command, &asked, &mark, err);
	change.effect.first_mark = mark;
	over = over && imap_session_settle(session, 0, err);
	*out_outcome = imap_effect_outcome(&change.effect, session, over);
	if (over && *out_outcome == REMOTE_REFUSED) {
		*err = change.effect.refusal;
	}
	return over && *out_outcome == REMOTE_DONE;
}

/* A bare NO tells nothing: LIST tells whether it is for this reason. Keeps the refusal's words. */
static bool
explain(struct imap_session *session, struct slice name, bool shown_means, enum error_kind kind, struct error *err)
{
	struct error other;
	bool shown;

	if (err->kind != ERROR_ITEM && err->kind != ERROR_REFUSED) {
		return false;
	}
	if (!imap_list_shows(session, name, &shown, &other)) {
		if (session->dead) {
			*err = other;
		}
		return false;
	}
	if (shown == shown_means) {
		err->kind = kind;
	}
	return false;
}

/* Gives the selected mailbox up where it is the one, or lies beneath it: some servers close the connection otherwise. */
static bool
leave(struct imap_session *session, struct slice name, struct error *err)
{
	return !slice_has_prefix(buf_slice(&session->selection.name), name) || imap_selection_leave(session, err);
}

bool
imap_mailboxes_create(
	struct imap_session *session, struct slice name, enum remote_outcome *out_outcome, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};

	imap_command_begin(&command, imap_session_literals(session), "CREATE");
	imap_command_string(&command, name);
	if (change_tree(session, &command, "CREATE", out_outcome, err)) {
		return true;
	}
	return *out_outcome == REMOTE_REFUSED ? explain(session, name, true, ERROR_EXISTS, err) : false;
}

bool
imap_mailboxes_rename(struct imap_session *session, struct slice from, struct slice to,
	enum remote_outcome *out_outcome, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};

	*out_outcome = REMOTE_NOT_SENT;
	if (!leave(session, from, err)) {
		return false;
	}
	imap_command_begin(&command, imap_session_literals(session), "RENAME");
	imap_command_string(&command, from);
	imap_command_string(&command, to);
	if (change_tree(session, &command, "RENAME", out_outcome, err)) {
		return true;
	}
	if (*out_outcome != REMOTE_REFUSED) {
		return false;
	}
	(void)explain(session, from, false, ERROR_GONE, err);
	return explain(session, to, true, ERROR_EXISTS, err);
}

bool
imap_mailboxes_remove(
	struct imap_session *session, struct slice name, enum remote_outcome *out_outcome, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};

	*out_outcome = REMOTE_NOT_SENT;
	if (!leave(session, name, err)) {
		return false;
	}
	imap_command_begin(&command, imap_session_literals(session), "DELETE");
	imap_command_string(&command, name);
	if (change_tree(session, &command, "DELETE", out_outcome, err)) {
		return true;
	}
	return *out_outcome == REMOTE_REFUSED ? explain(session, name, false, ERROR_GONE, err) : false;
}

bool
imap_mailboxes_subscribe(struct imap_session *session, struct slice name, bool subscribed, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	enum remote_outcome outcome;

	imap_command_begin(&command, imap_session_literals(session), subscribed ? "SUBSCRIBE" : "UNSUBSCRIBE");
	imap_command_string(&command, name);
	return change_tree(session, &command, subscribed ? "SUBSCRIBE" : "UNSUBSCRIBE", &outcome, err);
}
