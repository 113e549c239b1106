/* The small forms inside of responses: words, flags, sets, dates, ids (RFC 9051, 9; RFC 8474). Pure. */
#ifndef REMOTE_IMAP_IMAP_WORDS_H
#define REMOTE_IMAP_IMAP_WORDS_H

#include "engine/base/slice.h"
#include "engine/mail/flags.h"
#include "engine/mail/ids.h"
#include "engine/mail/uidset.h"

/* Adds the flags of a list without its parentheses; what is no flag is passed over. */
void imap_words_flags(struct slice list, struct flags *out);
/* Tells whether a list of words holds one, without regard to case. */
bool imap_words_has_word(struct slice list, struct slice word);
/* Gives the next word of a list; false at its end. */
bool imap_words_next_word(struct slice *list, struct slice *out);
/* Gives the next range of a set in the order in which it stands there, low end first; false at its end, or where it is no set (then *list is not empty). */
bool imap_words_next_range(struct slice *set, struct uid_range *out);
/* Reads "17-Jul-1996 02:44:25 -0700"; false if it is no date. */
bool imap_words_date(struct slice text, int64_t *out_s);
/* Makes a guid of an id as served: 1 to GUID_VALUE_MAX octets, `[A-Za-z0-9_-]` for those of RFC 8474; else kind GUID_NONE. */
void imap_words_guid(enum guid_kind kind, struct slice id, struct guid *out);

#endif
