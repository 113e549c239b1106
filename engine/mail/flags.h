/* System flags and keywords of a message as one set.
 *
 * System flags are bits; keywords are a sorted, space-separated text, compared without case (RFC 9051, 2.3.2), spelled as first seen.
 * `\Recent` is never kept. A keyword here is an IMAP atom of at most FLAGS_KEYWORD_MAX octets; others are dropped by the parser of
 * whoever reads them. A set holds at most FLAGS_KEYWORDS_BYTES_MAX octets of keywords.
 *
 * The keywords' text is owned: `flags_finish` frees it. An empty set needs no freeing. Copy by flags_copy.
 */
#ifndef MAIL_FLAGS_H
#define MAIL_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/base/slice.h"

enum flag_bit {
	FLAG_SEEN = 1 << 0,
	FLAG_ANSWERED = 1 << 1,
	FLAG_FLAGGED = 1 << 2,
	FLAG_DELETED = 1 << 3,
	FLAG_DRAFT = 1 << 4,
	FLAG_ALL = (1 << 5) - 1,
};

#define FLAGS_KEYWORD_MAX        100
#define FLAGS_KEYWORDS_BYTES_MAX 4096

struct flags {
	uint32_t bits;  /* enum flag_bit */
	char *keywords; /* NULL when there are none; else sorted without case, one space between, none at the ends */
};

#define FLAGS_INIT ((struct flags){0})

void flags_finish(struct flags *flags);
struct flags flags_copy(const struct flags *flags);
bool flags_equal(const struct flags *a, const struct flags *b);
bool flags_empty(const struct flags *flags);

/* a ∪ b, a ∩ b, a \ b. Spelling is taken from `a` where both have it. */
struct flags flags_union(const struct flags *a, const struct flags *b);
struct flags flags_intersection(const struct flags *a, const struct flags *b);
struct flags flags_minus(const struct flags *a, const struct flags *b);

bool flags_has_keyword(const struct flags *flags, struct slice keyword);
/* Adds or takes away one keyword; false if it is no keyword (flags_is_keyword) or the set is full. */
bool flags_add_keyword(struct flags *flags, struct slice keyword) MUST_CHECK;
void flags_remove_keyword(struct flags *flags, struct slice keyword);
/* Tells whether it is an atom that may be a keyword: no controls, space, ( ) { % * " \ ] and no leading backslash; 1..FLAGS_KEYWORD_MAX. */
bool flags_is_keyword(struct slice keyword);
/* Steps through keywords: *rest begins as flags_keywords(flags); false at the end. */
struct slice flags_keywords(const struct flags *flags);
bool flags_next_keyword(struct slice *rest, struct slice *out_keyword);

/* IMAP's spelling: reads one flag such as `\Seen` or `Junk` into the set. Unknown system flags and `\Recent` are ignored: true. */
bool flags_add_imap(struct flags *flags, struct slice flag);
/* Appends "\Seen \Flagged Junk" without parentheses. */
void flags_print_imap(const struct flags *flags, struct buf *out);

/* Our own spelling in xattrs and commands: "seen flagged" and "Junk other", separated by one space (design 5). */
void flags_print_system(const struct flags *flags, struct buf *out);
/* Applies a value as in user.mail.flags: "seen flagged" replaces the system flags; names with + or - change only what they name, and a
 * value must be all of one form. Fails with ERROR_INVALID naming the word. */
bool flags_apply_system(struct flags *flags, struct slice value, struct error *err) MUST_CHECK;
bool flags_apply_keywords(struct flags *flags, struct slice value, struct error *err) MUST_CHECK;
/* The bit of a name of ours ("seen"), 0 if unknown; and back. */
uint32_t flags_bit_of(struct slice name);

/* Maildir's letters in ASCII order: D draft, F flagged, R answered, S seen, T deleted. */
void flags_print_maildir(const struct flags *flags, struct buf *out);
/* Reads letters; unknown ones are ignored. Gives only the bits. */
uint32_t flags_bits_of_maildir(struct slice letters);

/* Three-way merge (SYNC R5): what changed against the base on either side is changed in the result; where nobody changed, the base stays.
 * A flag has two values, so two sides that both changed it changed it alike. */
struct flags flags_merge(const struct flags *base, const struct flags *a, const struct flags *b);

#endif
