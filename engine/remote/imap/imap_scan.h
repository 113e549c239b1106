/* Scanning mailboxes: many in one flight, bodies of all of them in the next, and what does not prove itself one by one.
 *
 * first flight   SELECT (QRESYNC …), the identity of the base's newest message, changed flags, new messages' metadata: imap_catchup
 * second flight  bodies of the new messages, mailbox after mailbox, pipelined
 * alone          a mailbox with very much that is new, or whose proof failed: a complete listing of UIDs, then what is not known in slices
 */
#ifndef REMOTE_IMAP_IMAP_SCAN_H
#define REMOTE_IMAP_IMAP_SCAN_H

#include "engine/remote/imap/imap_session.h"

/* As in remote_ops.scan. */
bool imap_scan_mailboxes(struct imap_session *session, const struct remote_scan_request *requests, size_t count,
	const struct remote_scan_sink *sink, struct error *err) MUST_CHECK;

#endif
