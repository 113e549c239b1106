#include "engine/mail/flags.h"

#include <assert.h>
#include <stdlib.h>

/* In the order in which they are printed. */
static const struct {
	uint32_t bit;
	char letter;
	const char *imap, *name;
} system_flags[] = {
	{FLAG_SEEN, 'S', "\\Seen", "seen"},
	{FLAG_FLAGGED, 'F', "\\Flagged", "flagged"},
	{FLAG_ANSWERED, 'R', "\\Answered", "answered"},
	{FLAG_DRAFT, 'D', "\\Draft", "draft"},
	{FLAG_DELETED, 'T', "\\Deleted", "deleted"},
};

void
flags_finish(struct flags *flags)
{
	if (flags == NULL) {
		return;
	}
	free(flags->keywords);
	*flags = FLAGS_INIT;
}

struct flags
flags_copy(const struct flags *flags)
{
	struct flags copy = {.bits = flags->bits};

	if (flags->keywords != NULL) {
		copy.keywords = slice_dup(flags_keywords(flags));
	}
	return copy;
}

/* Both texts are sorted alike, so equal sets differ in the case of letters only. */
bool
flags_equal(const struct flags *a, const struct flags *b)
{
	return a->bits == b->bits && slice_equal_nocase(flags_keywords(a), flags_keywords(b));
}

bool
flags_empty(const struct flags *flags)
{
	return flags->bits == 0 && flags->keywords == NULL;
}

struct slice
flags_keywords(const struct flags *flags)
{
	return slice_of(flags->keywords);
}

bool
flags_next_keyword(struct slice *rest, struct slice *out_keyword)
{
	size_t length;

	if (rest->length == 0) {
		return false;
	}
	length = slice_find(*rest, ' ');
	*out_keyword = slice_head(*rest, length);
	*rest = slice_skip(*rest, length < rest->length ? length + 1 : length);
	return true;
}

static unsigned char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : (unsigned char)c;
}

static int
compare_keywords(struct slice a, struct slice b)
{
	for (size_t i = 0; i < a.length && i < b.length; i++) {
		int order = (int)lower(a.data[i]) - (int)lower(b.data[i]);

		if (order != 0) {
			return order;
		}
	}
	return a.length < b.length ? -1 : a.length > b.length;
}

/* Combining sets is one function and a truth table: bit m tells what becomes of a flag that is in those of the three sets that m names. */
enum { IN_BASE = 1, IN_A = 2, IN_B = 4, MEMBERSHIPS = 8 };

#define KEEP(m) (1u << (m))
#define KEEP_UNION                                                                                                   \
	(KEEP(IN_BASE) | KEEP(IN_A) | KEEP(IN_B) | KEEP(IN_BASE | IN_A) | KEEP(IN_BASE | IN_B) | KEEP(IN_A | IN_B) | \
		KEEP(IN_BASE | IN_A | IN_B))

struct cursor {
	struct slice rest, keyword;
	bool there;
};

static void
advance(struct cursor *cursor)
{
	cursor->there = flags_next_keyword(&cursor->rest, &cursor->keyword);
}

/* Gives the least keyword that any of the cursors stands at, and which of them do; 0 at the end. */
static unsigned
least(const struct cursor cursor[3], struct slice *out)
{
	unsigned which = 0;

	for (unsigned i = 0; i < 3; i++) {
		int order = !cursor[i].there ? 1 : which == 0 ? -1 : compare_keywords(cursor[i].keyword, *out);

		if (order < 0) {
			*out = cursor[i].keyword;
			which = 1u << i;
		} else if (order == 0) {
			which |= 1u << i;
		}
	}
	return which;
}

/* Walks the three sorted texts side by side. Spelling is that of the first set that has the keyword; what would not fit is left out. */
static char *
combine_keywords(const struct flags *const set[3], unsigned table)
{
	struct cursor cursor[3];
	struct buf out = BUF_INIT;
	struct slice keyword;
	unsigned which;

	for (unsigned i = 0; i < 3; i++) {
		cursor[i].rest = flags_keywords(set[i]);
		advance(&cursor[i]);
	}
	while ((which = least(cursor, &keyword)) != 0) {
		if ((table & KEEP(which)) != 0 && out.length + 1 + keyword.length <= FLAGS_KEYWORDS_BYTES_MAX) {
			if (out.length > 0) {
				buf_append_octet(&out, ' ');
			}
			buf_append(&out, keyword);
		}
		for (unsigned i = 0; i < 3; i++) {
			if ((which & 1u << i) != 0) {
				advance(&cursor[i]);
			}
		}
	}
	return out.length > 0 ? buf_take(&out) : NULL;
}

static struct flags
combine(const struct flags *base, const struct flags *a, const struct flags *b, unsigned table)
{
	const struct flags *const set[3] = {base, a, b};
	struct flags result = FLAGS_INIT;

	for (unsigned m = 1; m < MEMBERSHIPS; m++) {
		if ((table & KEEP(m)) != 0) {
			result.bits |= ((m & IN_BASE) != 0 ? base->bits : ~base->bits) &
				       ((m & IN_A) != 0 ? a->bits : ~a->bits) & ((m & IN_B) != 0 ? b->bits : ~b->bits);
		}
	}
	if (base->keywords != NULL || a->keywords != NULL || b->keywords != NULL) {
		result.keywords = combine_keywords(set, table);
	}
	return result;
}

struct flags
flags_union(const struct flags *a, const struct flags *b)
{
	return combine(&FLAGS_INIT, a, b, KEEP_UNION);
}

struct flags
flags_intersection(const struct flags *a, const struct flags *b)
{
	return combine(&FLAGS_INIT, a, b, KEEP(IN_A | IN_B));
}

struct flags
flags_minus(const struct flags *a, const struct flags *b)
{
	return combine(&FLAGS_INIT, a, b, KEEP(IN_A));
}

struct flags
flags_merge(const struct flags *base, const struct flags *a, const struct flags *b)
{
	return combine(base, a, b, KEEP(IN_A) | KEEP(IN_B) | KEEP(IN_A | IN_B) | KEEP(IN_BASE | IN_A | IN_B));
}

bool
flags_has_keyword(const struct flags *flags, struct slice keyword)
{
	struct slice rest = flags_keywords(flags), here;

	while (flags_next_keyword(&rest, &here)) {
		if (slice_equal_nocase(here, keyword)) {
			return true;
		}
	}
	return false;
}

bool
flags_is_keyword(struct slice keyword)
{
	if (keyword.length == 0 || keyword.length > FLAGS_KEYWORD_MAX) {
		return false;
	}
	for (size_t i = 0; i < keyword.length; i++) {
		char c = keyword.data[i];

		if (c <= ' ' || c >= 0x7f || strchr("(){%*\"\\]", c) != NULL) {
			return false;
		}
	}
	return true;
}

bool
flags_add_keyword(struct flags *flags, struct slice keyword)
{
	struct flags sum, one = FLAGS_INIT;

	if (!flags_is_keyword(keyword)) {
		return false;
	}
	if (flags_has_keyword(flags, keyword)) {
		return true;
	}
	if (flags_keywords(flags).length + 1 + keyword.length > FLAGS_KEYWORDS_BYTES_MAX) {
		return false;
	}
	one.keywords = slice_dup(keyword);
	sum = flags_union(flags, &one);
	flags_finish(&one);
	flags_finish(flags);
	*flags = sum;
	return true;
}

void
flags_remove_keyword(struct flags *flags, struct slice keyword)
{
	struct flags rest, one = FLAGS_INIT;

	if (!flags_has_keyword(flags, keyword)) {
		return;
	}
	one.keywords = slice_dup(keyword);
	rest = flags_minus(flags, &one);
	flags_finish(&one);
	flags_finish(flags);
	*flags = rest;
}

bool
flags_add_imap(struct flags *flags, struct slice flag)
{
	for (size_t i = 0; i < ARRAY_LENGTH(system_flags); i++) {
		if (slice_equal_nocase(flag, slice_of(system_flags[i].imap))) {
			flags->bits |= system_flags[i].bit;
			return true;
		}
	}
	if (flag.length > 1 && flag.data[0] == '\\') {
		return true;
	}
	return flags_add_keyword(flags, flag);
}

static void
append_word(struct buf *out, size_t start, struct slice word)
{
	if (out->length > start) {
		buf_append_octet(out, ' ');
	}
	buf_append(out, word);
}

void
flags_print_imap(const struct flags *flags, struct buf *out)
{
	size_t start = out->length;

	for (size_t i = 0; i < ARRAY_LENGTH(system_flags); i++) {
		if ((flags->bits & system_flags[i].bit) != 0) {
			append_word(out, start, slice_of(system_flags[i].imap));
		}
	}
	if (flags->keywords != NULL) {
		append_word(out, start, flags_keywords(flags));
	}
}

void
flags_print_system(const struct flags *flags, struct buf *out)
{
	size_t start = out->length;

	for (size_t i = 0; i < ARRAY_LENGTH(system_flags); i++) {
		if ((flags->bits & system_flags[i].bit) != 0) {
			append_word(out, start, slice_of(system_flags[i].name));
		}
	}
}

uint32_t
flags_bit_of(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(system_flags); i++) {
		if (slice_equal_nocase(name, slice_of(system_flags[i].name))) {
			return system_flags[i].bit;
		}
	}
	return 0;
}

/* Words of a value as users write it, and whether they change or replace. */
enum value_form { FORM_REPLACE, FORM_CHANGE };

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
next_word(struct slice *rest, struct slice *out)
{
	size_t length = 0;

	*rest = slice_trim(*rest);
	while (length < rest->length && !is_space(rest->data[length])) {
		length++;
	}
	*out = slice_head(*rest, length);
	*rest = slice_skip(*rest, length);
	return length > 0;
}

static char
sign_of(struct slice word)
{
	return word.data[0] == '+' || word.data[0] == '-' ? word.data[0] : '\0';
}

static bool
refuse_word(struct error *err, const char *what, struct slice word)
{
	return error_set(err, ERROR_INVALID, "%s: %.*s", what, (int)slice_head(word, FLAGS_KEYWORD_MAX).length,
		word.length > 0 ? word.data : "");
}

/* Tells the form of a whole value; its words must agree. */
static bool
find_form(struct slice value, enum value_form *out, struct error *err)
{
	struct slice word;
	bool first = true;

	*out = FORM_REPLACE;
	while (next_word(&value, &word)) {
		enum value_form form = sign_of(word) != '\0' ? FORM_CHANGE : FORM_REPLACE;

		if (first) {
			*out = form;
			first = false;
		} else if (form != *out) {
			return refuse_word(err, "either all words begin with + or -, or none does", word);
		}
	}
	return true;
}

bool
flags_apply_system(struct flags *flags, struct slice value, struct error *err)
{
	enum value_form form;
	struct slice word;
	uint32_t bits;

	if (!find_form(value, &form, err)) {
		return false;
	}
	bits = form == FORM_REPLACE ? 0 : flags->bits;
	while (next_word(&value, &word)) {
		char sign = sign_of(word);
		uint32_t bit = flags_bit_of(sign != '\0' ? slice_skip(word, 1) : word);

		if (bit == 0) {
			return refuse_word(err, "not one of seen, flagged, answered, draft, deleted", word);
		}
		bits = sign == '-' ? bits & ~bit : bits | bit;
	}
	flags->bits = bits;
	return true;
}

bool
flags_apply_keywords(struct flags *flags, struct slice value, struct error *err)
{
	SCOPED(flags_finish) struct flags result = FLAGS_INIT;
	enum value_form form;
	struct slice word;

	if (!find_form(value, &form, err)) {
		return false;
	}
	if (form == FORM_CHANGE) {
		result = flags_copy(flags);
	}
	while (next_word(&value, &word)) {
		char sign = sign_of(word);
		struct slice keyword = sign != '\0' ? slice_skip(word, 1) : word;

		if (!flags_is_keyword(keyword)) {
			return refuse_word(err, "not a keyword", word);
		}
		if (sign == '-') {
			flags_remove_keyword(&result, keyword);
		} else if (!flags_add_keyword(&result, keyword)) {
			return refuse_word(err, "too many keywords", word);
		}
	}
	free(flags->keywords);
	flags->keywords = result.keywords;
	result.keywords = NULL;
	return true;
}

void
flags_print_maildir(const struct flags *flags, struct buf *out)
{
	for (char letter = 'A'; letter <= 'Z'; letter++) {
		for (size_t i = 0; i < ARRAY_LENGTH(system_flags); i++) {
			if (system_flags[i].letter == letter && (flags->bits & system_flags[i].bit) != 0) {
				buf_append_octet(out, letter);
			}
		}
	}
}

uint32_t
flags_bits_of_maildir(struct slice letters)
{
	uint32_t bits = 0;

	for (size_t l = 0; l < letters.length; l++) {
		for (size_t i = 0; i < ARRAY_LENGTH(system_flags); i++) {
			if (system_flags[i].letter == letters.data[l]) {
				bits |= system_flags[i].bit;
			}
		}
	}
	return bits;
}
