/* The account check: every mailbox with its counters, in one turn where the server can (RFC 5819, 5258, 6154, 8474). */
#ifndef REMOTE_IMAP_IMAP_LIST_H
#define REMOTE_IMAP_IMAP_LIST_H

#include "engine/remote/imap/imap_session.h"

bool imap_list_all(struct imap_session *session,
	bool (*each)(void *context, const struct remote_mailbox *mailbox, struct error *err), void *context,
	struct error *err) MUST_CHECK;

/* Tells whether LIST shows a mailbox of that name (compared without case, or exactly). */
bool imap_list_shows(struct imap_session *session, struct slice name, bool *out_shown, struct error *err) MUST_CHECK;

#endif
