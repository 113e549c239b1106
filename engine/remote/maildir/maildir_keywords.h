/* Keywords in the names of files: letters a to z, whose meaning the Maildir's file `dovecot-keywords` tells, as Dovecot has it:
 *
 *   0 $Forwarded
 *   1 Work
 *
 * Numbers are letters from `a`. Lines that say something else are passed over, and stay. Pure.
 */
#ifndef MAILDIR_KEYWORDS_H
#define MAILDIR_KEYWORDS_H

#include "engine/base/buf.h"
#include "engine/mail/flags.h"

#define MAILDIR_KEYWORDS_MAX       26
#define MAILDIR_KEYWORDS_BYTES_MAX (64u << 10) /* of the file */

struct maildir_keywords {
	char *names[MAILDIR_KEYWORDS_MAX]; /* NULL: the letter means nothing */
};

void maildir_keywords_finish(struct maildir_keywords *keywords);
/* Takes what the file says in place of what was there; the first that is said of a letter counts. A keyword may have several. */
void maildir_keywords_read(struct maildir_keywords *keywords, struct slice text);
bool maildir_keywords_equal(const struct maildir_keywords *a, const struct maildir_keywords *b);
/* A copy. */
struct maildir_keywords maildir_keywords_copy(const struct maildir_keywords *keywords);
/* The letters whose meaning differs. */
uint32_t maildir_keywords_differing(const struct maildir_keywords *a, const struct maildir_keywords *b);
/* Gives a keyword its letter's number, without regard to case; -1 where it has none. */
int maildir_keywords_find(const struct maildir_keywords *keywords, struct slice name);
/* Gives the keyword the first free letter and appends its line to the file's text; false where all are taken. */
bool maildir_keywords_add(struct maildir_keywords *keywords, struct slice name, struct buf *text);
/* Whether a letter is free. */
bool maildir_keywords_have_room(const struct maildir_keywords *keywords);
/* What letters and bits mean, as a new set. */
struct flags maildir_keywords_flags(const struct maildir_keywords *keywords, uint32_t bits, uint32_t letters);
/* The letters to set for those keywords of a set that have one: for each its first. */
uint32_t maildir_keywords_letters(const struct maildir_keywords *keywords, const struct flags *flags);
/* All the letters that mean one of a set. */
uint32_t maildir_keywords_all_letters(const struct maildir_keywords *keywords, const struct flags *flags);

#endif
