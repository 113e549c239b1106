/* Tells messages of a set of UIDs. */
#ifndef REMOTE_IMAP_IMAP_IDENTIFY_H
#define REMOTE_IMAP_IMAP_IDENTIFY_H

#include "engine/remote/imap/imap_session.h"

/* As in remote_ops.identify. */
bool imap_identify_messages(struct imap_session *session, const struct remote_target *target, const struct uidset *uids,
	bool headers, bool (*each)(void *context, struct remote_message *message, struct error *err), void *context,
	struct remote_selected *out_selected, struct error *err) MUST_CHECK;

#endif
