/* Uploads: MULTIAPPEND in batches of 50 or 8 MiB, else APPENDs one behind the other (RFC 3501, 3502, 4315, 7888). */
#ifndef REMOTE_IMAP_IMAP_APPEND_H
#define REMOTE_IMAP_IMAP_APPEND_H

#include "engine/remote/imap/imap_session.h"

#define IMAP_APPEND_MESSAGES 50
#define IMAP_APPEND_OCTETS   (8ull << 20)
#define IMAP_APPENDS_AHEAD   3 /* commands on the way behind the one that is answered next */

/* As in remote_ops.append. What cannot be sent at all (empty, a NUL where the server takes none, larger than APPENDLIMIT) is REFUSED without asking. A batch that is refused is
 * halved until the message at fault stands alone, unless the refusal is about the mailbox. */
bool imap_append_messages(struct imap_session *session, const struct remote_target *target, struct remote_append *items,
	size_t count, struct error *err) MUST_CHECK;

#endif
