/* Waiting for news: NOTIFY with nothing selected, else IDLE, else sleep (RFC 5465, 2177). Hints only: the account check is the authority.
 * That it has begun to hear is a hint too, for what came before that. A server that refuses NOTIFY is asked no more, and told of as one without it.
 */
#ifndef REMOTE_IMAP_IMAP_WATCH_H
#define REMOTE_IMAP_IMAP_WATCH_H

#include "engine/remote/imap/imap_session.h"

#define IMAP_IDLE_RENEW_MS (9 * 60 * 1000) /* NATs forget a connection after ten minutes */

/* As in remote_ops.watch. */
bool imap_watch_wait(struct imap_session *session, const struct slice *names, size_t count, int other_fd,
	int64_t timeout_ms, void (*hint)(void *context, const struct remote_watch_event *event), void *context,
	struct error *err) MUST_CHECK;
/* Ends NOTIFY, so that the session may be used for other work. */
bool imap_watch_end(struct imap_session *session, struct error *err) MUST_CHECK;

#endif
