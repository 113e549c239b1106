/* What changes the tree of mailboxes. As in remote_ops: ERROR_EXISTS and ERROR_GONE say that the name was taken or is not there, also where the server only says NO. */
#ifndef REMOTE_IMAP_IMAP_MAILBOXES_H
#define REMOTE_IMAP_IMAP_MAILBOXES_H

#include "engine/remote/imap/imap_session.h"

bool imap_mailboxes_create(struct imap_session *session, struct slice name, enum remote_outcome *out_outcome,
	struct error *err) MUST_CHECK;
bool imap_mailboxes_rename(struct imap_session *session, struct slice from, struct slice to,
	enum remote_outcome *out_outcome, struct error *err) MUST_CHECK;
bool imap_mailboxes_remove(struct imap_session *session, struct slice name, enum remote_outcome *out_outcome,
	struct error *err) MUST_CHECK;
bool imap_mailboxes_subscribe(struct imap_session *session, struct slice name, bool subscribed, struct error *err)
	MUST_CHECK;

#endif
