/* The account check: every Maildir of the tree and how it stands (remote.h: list). */
#ifndef MAILDIR_LIST_H
#define MAILDIR_LIST_H

#include "engine/remote/maildir/maildir_session.h"

bool maildir_list_all(struct maildir_session *session,
	bool (*each)(void *context, const struct remote_mailbox *mailbox, struct error *err), void *context,
	struct error *err) MUST_CHECK;

#endif
