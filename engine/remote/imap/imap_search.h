/* Complete listings of UIDs (UID SEARCH, with ESEARCH as ranges). */
#ifndef REMOTE_IMAP_IMAP_SEARCH_H
#define REMOTE_IMAP_IMAP_SEARCH_H

#include "engine/remote/imap/imap_session.h"

/* Lists every UID of the selected mailbox. *out_complete tells whether the server said OK, set no limit, and named as many as exist as of the last line. What else comes meanwhile goes
 * to `beside` (or NULL). */
bool imap_search_all(struct imap_session *session, const struct imap_listener *beside, struct uidset *out,
	bool *out_complete, struct error *err) MUST_CHECK;

#endif
