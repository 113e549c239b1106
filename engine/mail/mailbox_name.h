/* Names of mailboxes.
 *
 * Ours is UTF-8 with `/` between levels; a `/` or other impossible octet inside a level (a remote with another separator may have it) is
 * written %2F, and `%` before two hex digits as %25, so that the way back is exact. INBOX is spelled INBOX. A remote's raw name is turned to
 * ours with its separator, and IMAP's by modified UTF-7 (RFC 3501, 5.1.3), reversibly: a raw name that does not come back exactly is kept
 * beside (base_mailbox.raw_name), and ours is made unique by the caller.
 */
#ifndef MAIL_MAILBOX_NAME_H
#define MAIL_MAILBOX_NAME_H

#include <stdbool.h>

#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/base/slice.h"

#define MAILBOX_NAME_MAX  1000 /* octets of a whole name of ours */
#define MAILBOX_DEPTH_MAX 64

/* Turns an IMAP name (modified UTF-7) with its separator ('\0' for none) to ours. Total: octets that are no modified UTF-7 come through
 * as %XX, and separators that would make an empty level as %xx (mailbox_name.c). No two raw names give one of ours, but for the case of
 * INBOX. False, appending nothing, only when empty, too long or too deep. */
bool mailbox_name_from_imap(struct slice raw, char separator, struct buf *out) MUST_CHECK;
/* Turns ours to an IMAP name; false if a level would hold the separator, or is empty, or if the name is not what
 * mailbox_name_from_imap makes of the result. */
bool mailbox_name_to_imap(struct slice name, char separator, struct buf *out, struct error *err) MUST_CHECK;

/* The same on a server whose personal mailboxes stand behind a prefix that ends in the separator (RFC 2342: `INBOX.`, `mail/`); empty: no prefix. Ours leave
 * it out: raw `INBOX.Sent` is `Sent`. What has no such prefix, INBOX itself among it, is named as it is: other users' `user.ana`. And so is raw
 * `INBOX.INBOX`, with what lies below it, for its short name is taken. With such a prefix nothing lies within INBOX: making it is refused. A shared
 * mailbox `Sent` has the same name of ours as `INBOX.Sent`; of all others no two have. */
bool mailbox_name_from_imap_behind(struct slice prefix, struct slice raw, char separator, struct buf *out) MUST_CHECK;
bool mailbox_name_to_imap_behind(
	struct slice prefix, struct slice name, char separator, struct buf *out, struct error *err) MUST_CHECK;
/* Whether a raw name is one of those that leave the prefix out. */
bool mailbox_name_is_behind(struct slice prefix, struct slice raw, char separator);

/* "A/B/C": "A/B" (empty at the top), and "C". */
struct slice mailbox_name_parent(struct slice name);
struct slice mailbox_name_leaf(struct slice name);
/* Tells whether `name` is `ancestor` or lies below it. */
bool mailbox_name_within(struct slice name, struct slice ancestor);
bool mailbox_name_is_inbox(struct slice name);

/* One level as a file name and back (design 5, Names): what a file name cannot hold, `cur`, `new`, `tmp` and leading dots are escaped by %XX,
 * reversibly. `leaf` is one level of ours. Names longer than 255 octets when escaped give false, and so do those
 * that mailbox_name_from_imap does not make. */
bool mailbox_name_to_file(struct slice leaf, struct buf *out) MUST_CHECK;
/* Back: false if no mailbox level can have this file name. */
bool mailbox_name_from_file(struct slice file, struct buf *out) MUST_CHECK;

/* Globs separated by `;`, `!` excludes, last match wins; `*` matches any octets, `?` one; on the name with `/` (design 4, mailboxes). A list
 * that begins with `!` takes all that it does not exclude. */
bool mailbox_name_selected(struct slice globs, struct slice name);

#endif
