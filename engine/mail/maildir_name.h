/* Names in a Maildir: `BASE:2,LETTERS` in cur, `BASE` in new, and the bases that are made here (design 5, Names). Pure.
 *
 * A message without letters is `BASE:2,` in cur; programs also ask for it there as `BASE`, and in new for `BASE:2,`: both are read, and one is
 * printed. One with letters has them in new, too: some programs mark what they leave there.
 */
#ifndef MAIL_MAILDIR_NAME_H
#define MAIL_MAILDIR_NAME_H

#include "engine/base/buf.h"
#include "engine/mail/flags.h"
#include "engine/mail/ids.h"

#define MAILDIR_BASE_MAX 240 /* so that a name with all letters is no longer than 255 octets */

/* A letter more than system flags have: P, passed on, which is the keyword $Forwarded. */
enum { MAILDIR_PASSED = 1 << 5, MAILDIR_LETTERS_ALL = FLAG_ALL | MAILDIR_PASSED };
#define MAILDIR_PASSED_KEYWORD "$Forwarded"

struct maildir_name {
	bool is_new; /* in new; else in cur */
	struct slice base;
	uint32_t letters; /* enum flag_bit, MAILDIR_PASSED */
};

/* Reads a file name of cur or new; false where it can be none: no base or too long a one, a base that begins with a dot, letters that are unknown
 * or not in their order. */
bool maildir_name_read(struct slice leaf, bool is_new, struct maildir_name *out) MUST_CHECK;
/* Appends the file name; or only what stands behind the base. */
void maildir_name_print(const struct maildir_name *name, struct buf *out);
void maildir_name_print_info(bool is_new, uint32_t letters, struct buf *out);
/* The same below its mailbox: `cur/BASE:2,S`. */
void maildir_name_print_path(const struct maildir_name *name, struct buf *out);
bool maildir_name_read_path(struct slice path, struct maildir_name *out) MUST_CHECK;
/* Letters of a set of flags, and back: system flags and the one keyword. False if the set of keywords is full. */
uint32_t maildir_name_letters(const struct flags *flags);
bool maildir_name_set_letters(struct flags *flags, uint32_t letters) MUST_CHECK;

/* The base name of a message for which no program chose one: `SECONDS.ID.mailfs`. Reads it back in its one spelling. */
void maildir_name_make_base(int64_t seconds, struct number number, struct buf *out);
bool maildir_name_read_base(struct slice base, int64_t *out_seconds, struct number *out_number) MUST_CHECK;

#endif
