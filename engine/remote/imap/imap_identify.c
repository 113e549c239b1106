#include "engine/remote/imap/imap_identify.h"

#include "engine/remote/imap/imap_items.h"
#include "engine/remote/imap/imap_refusal.h"
#include "engine/remote/imap/imap_selection.h"

#define PART_MESSAGES 1000

struct identify {
	const struct uidset *uids;
	struct uidset told;
	bool (*each)(void *context, struct remote_message *message, struct error *err);
	void *context;
	bool refused;
	struct error refusal;
};

static void
identify_finish(struct identify *identify)
{
	uidset_finish(&identify->told);
}

static bool
hear(void *context, const struct imap_response *response, struct error *err)
{
	struct identify *identify = context;
	const struct imap_fetched *fetched = &response->fetched;
	struct remote_message message;

	if (response->kind != IMAP_RESPONSE_FETCH || fetched->uid == 0 || !fetched->has_flags ||
		!(fetched->has_date || fetched->has_size) || !uidset_contains(identify->uids, fetched->uid) ||
		uidset_contains(&identify->told, fetched->uid)) {
		return true;
	}
	uidset_add(&identify->told, fetched->uid, fetched->uid);
	imap_items_read(fetched, &message);

	bool fine = identify->each(identify->context, &message, err);

	flags_finish(&message.flags);
	spool_close(&message.body);
	return fine;
}

static bool
done(void *context, uint64_t cookie, const struct imap_response *answer, struct error *err)
{
	struct identify *identify = context;

	(void)cookie;
	(void)err;
	if (answer->status != IMAP_OK && !identify->refused) {
		identify->refused = true;
		imap_refusal(answer, "FETCH", &identify->refusal);
	}
	return true;
}

bool
imap_identify_messages(struct imap_session *session, const struct remote_target *target, const struct uidset *uids,
	bool headers, bool (*each)(void *context, struct remote_message *message, struct error *err), void *context,
	struct remote_selected *out_selected, struct error *err)
{
	SCOPED(identify_finish) struct identify identify = {.uids = uids, .each = each, .context = context};
	SCOPED(imap_command_finish) struct imap_command command = {0};
	SCOPED(uidset_finish) struct uidset part = UIDSET_INIT;
	const struct imap_listener listener = {.context = &identify, .untagged = hear};
	const struct imap_asked asked = {.what = "FETCH", .listener = &listener, .done = done, .context = &identify};
	uint32_t uid = 0;

	if (!imap_selection_select(session, target->raw_name, target->uidvalidity, err)) {
		return false;
	}
	unsigned items = IMAP_ITEMS_FLAGS | IMAP_ITEMS_IDENTITY | (headers ? IMAP_ITEMS_HEADER : 0) |
			 (session->selection.is.highestmodseq > 0 ? IMAP_ITEMS_MODSEQ : 0);

	while (imap_command_next_part(uids, &uid, PART_MESSAGES, IMAP_COMMAND_OCTETS - 300, &part)) {
		imap_items_begin(session, &command);
		imap_command_set(&command, &part);
		imap_items_print(session, items, &command);
		if (!imap_session_send(session, &command, &asked, NULL, err)) {
			return false;
		}
	}
	if (!imap_session_settle(session, 0, err)) {
		return false;
	}
	if (identify.refused) {
		*err = identify.refusal;
		return false;
	}
	if (out_selected != NULL) {
		*out_selected = session->selection.is;
		out_selected->permanent = flags_copy(&session->selection.is.permanent);
	}
	return true;
}
