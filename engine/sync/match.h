/* Pairs messages that have no base between them (SYNC R4): by typed GUID, else by digest, else by header identity with internal date; one to one, as
 * multisets, in the order given (UID order). Two equal messages stay two.
 *
 * Pure: no I/O. O(n log n).
 */
#ifndef SYNC_MATCH_H
#define SYNC_MATCH_H

#include <stddef.h>

#include "engine/base/sha256.h"
#include "engine/mail/ids.h"

#define MATCH_NONE ((size_t)-1)

struct match_item {
	const struct guid *guid;     /* NULL or kind NONE: not known */
	const struct digest *digest; /* NULL: not known */
	const uint8_t *identity;     /* 17 octets; NULL or all 0: none */
	int64_t internaldate_s;
	uint64_t size_bytes; /* wire size; 0: not known or not to be trusted */
	bool outcome_unknown; /* ours, sent, answer lost: header identity may pair it though digests differ, and dates are not asked */
	bool date_asked; /* ... but for this one they are */
};

/* out[i] is the index in `theirs` of the partner of ours[i], or MATCH_NONE. */
void match_pairs(const struct match_item *ours, size_t our_count, const struct match_item *theirs, size_t their_count,
	size_t *out);

#endif
