/* The name under which a message is first listed: `YYYY-MM-DD HHMM FROM - SUBJECT.ID.eml` (design 5, Names).
 *
 * Made once and then stored, so that no later library or parser renames a file. At most LISTING_NAME_MAX octets of UTF-8 in NFC, without
 * what file systems and shells trip over (safe_text). ID is the number (message_id32), so names in one account differ.
 */
#ifndef MIME_LISTING_NAME_H
#define MIME_LISTING_NAME_H

#include "engine/base/buf.h"
#include "engine/mail/envelope.h"

#define LISTING_NAME_MAX 140

/* Appends the name. The date is in UTC and kept within the years 0 to 9999; without a sender FROM is `unknown`, without a subject
 * SUBJECT is `no subject`. `number` is not 0. Cannot fail. */
void listing_name_make(const struct envelope *envelope, int64_t internaldate_s, uint64_t number, struct buf *out);

/* Appends the name with its ID once more, for one that meets a name a user gave: `… SUBJECT.ID.ID.eml`; the text before the IDs is cut
 * where it would grow past LISTING_NAME_MAX. `name` must be one that listing_name_make or this made of `number`. False, appending nothing,
 * where it is none, or where only IDs would be left. */
bool listing_name_repeat(struct slice name, uint64_t number, struct buf *out) MUST_CHECK;

#endif
