#include "engine/remote/imap/imap_items.h"

#include <stddef.h>

void
imap_items_begin(const struct imap_session *session, struct imap_command *command)
{
	imap_command_begin(command, imap_session_literals(session), "UID FETCH ");
}

void
imap_items_print(const struct imap_session *session, unsigned items, struct imap_command *command)
{
	static const char *const ids[] = {
		[GUID_X_GUID] = " X-GUID", [GUID_EMAILID] = " EMAILID", [GUID_X_GM_MSGID] = " X-GM-MSGID"};
	enum guid_kind kind = imap_session_message_ids(session);

	imap_command_text(command, " (UID");
	if ((items & IMAP_ITEMS_FLAGS) != 0) {
		imap_command_text(command, " FLAGS");
	}
	if ((items & IMAP_ITEMS_MODSEQ) != 0 && imap_can(&session->can, IMAP_CAN_CONDSTORE)) {
		imap_command_text(command, " MODSEQ");
	}
	if ((items & IMAP_ITEMS_IDENTITY) != 0) {
		imap_command_text(command, " INTERNALDATE RFC822.SIZE");
		imap_command_text(command, (size_t)kind < ARRAY_LENGTH(ids) && ids[kind] != NULL ? ids[kind] : "");
	}
	if ((items & IMAP_ITEMS_HEADER) != 0) {
		imap_command_text(command, " BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE MESSAGE-ID)]");
	}
	if ((items & IMAP_ITEMS_BODY) != 0) {
		imap_command_text(command, " BODY.PEEK[]");
	}
	if ((items & IMAP_ITEMS_BINARY) != 0) {
		imap_command_text(command, " BINARY.PEEK[]");
	}
	imap_command_text(command, ")");
}

void
imap_items_read(const struct imap_fetched *fetched, struct remote_message *out)
{
	memset(out, 0, offsetof(struct remote_message, guid));
	out->uid = fetched->uid;
	out->modseq = fetched->modseq;
	out->internaldate_s = fetched->has_date ? fetched->internaldate_s : 0;
	out->size_bytes = fetched->has_size ? fetched->size : 0;
	imap_words_guid(fetched->guid_kind, fetched->guid, &out->guid);
	out->header = fetched->header;
	out->body = NULL;
	if (fetched->has_flags) {
		imap_words_flags(fetched->flags, &out->flags);
	}
}
