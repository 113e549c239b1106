/* The operation that streams bodies of one mailbox: SELECT and the first sets in one turn. */
#ifndef REMOTE_IMAP_IMAP_BODIES_H
#define REMOTE_IMAP_IMAP_BODIES_H

#include "engine/remote/imap/imap_session.h"

/* As in remote_ops.fetch. Messages that the server cannot give do not keep the others back: they fail the call at its end, with ERROR_ITEM. */
bool imap_bodies_fetch(struct imap_session *session, const struct remote_target *target, const struct uidset *uids,
	const uint64_t *sizes, const struct remote_body_sink *sink, struct error *err) MUST_CHECK;

#endif
