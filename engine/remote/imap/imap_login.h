/* From nothing to a session that may be used: connection, greeting, STARTTLS, login, and what is asked once after it. */
#ifndef REMOTE_IMAP_IMAP_LOGIN_H
#define REMOTE_IMAP_IMAP_LOGIN_H

#include "engine/remote/imap/imap_session.h"

bool imap_login_open(struct imap_remote *remote, struct cancel *cancel, struct imap_session **out, struct error *err)
	MUST_CHECK;

#endif
