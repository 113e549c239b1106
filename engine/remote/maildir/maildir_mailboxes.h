/* Effects on the tree's mailboxes (remote.h: create, rename, remove). */
#ifndef MAILDIR_MAILBOXES_H
#define MAILDIR_MAILBOXES_H

#include "engine/remote/maildir/maildir_session.h"

/* Makes INBOX where there is none: everywhere else it is always there, and an empty directory is a tree that begins so. */
bool maildir_mailboxes_make_inbox(struct maildir_session *session, struct error *err) MUST_CHECK;
bool maildir_mailboxes_create(struct maildir_session *session, struct slice raw_name, enum remote_outcome *out_outcome,
	struct error *err) MUST_CHECK;
bool maildir_mailboxes_rename(struct maildir_session *session, struct slice from, struct slice to,
	enum remote_outcome *out_outcome, struct error *err) MUST_CHECK;
bool maildir_mailboxes_remove(struct maildir_session *session, struct slice raw_name, enum remote_outcome *out_outcome,
	struct error *err) MUST_CHECK;

#endif
