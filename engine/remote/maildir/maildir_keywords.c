#include "engine/remote/maildir/maildir_keywords.h"

#include <assert.h>
#include <stdlib.h>

void
maildir_keywords_finish(struct maildir_keywords *keywords)
{
	for (size_t i = 0; i < MAILDIR_KEYWORDS_MAX; i++) {
		free(keywords->names[i]);
		keywords->names[i] = NULL;
	}
}

/* Reads "0 Work". */
static void
read_line(struct maildir_keywords *keywords, struct slice line)
{
	struct slice number = slice_head(line, slice_find(line, ' '));
	struct slice name = slice_trim(slice_skip(line, number.length));
	uint32_t letter;

	if (slice_to_u32(number, &letter) && letter < MAILDIR_KEYWORDS_MAX && keywords->names[letter] == NULL &&
		flags_is_keyword(name)) {
		keywords->names[letter] = slice_dup(name);
	}
}

void
maildir_keywords_read(struct maildir_keywords *keywords, struct slice text)
{
	maildir_keywords_finish(keywords);
	while (text.length > 0) {
		struct slice line = slice_head(text, slice_find(text, '\n'));

		read_line(keywords, line);
		text = slice_skip(text, line.length < text.length ? line.length + 1 : line.length);
	}
}

uint32_t
maildir_keywords_differing(const struct maildir_keywords *a, const struct maildir_keywords *b)
{
	uint32_t letters = 0;

	for (size_t i = 0; i < MAILDIR_KEYWORDS_MAX; i++) {
		if ((a->names[i] == NULL) != (b->names[i] == NULL) ||
			(a->names[i] != NULL && !slice_equal_nocase(slice_of(a->names[i]), slice_of(b->names[i])))) {
			letters |= 1u << i;
		}
	}
	return letters;
}

bool
maildir_keywords_equal(const struct maildir_keywords *a, const struct maildir_keywords *b)
{
	return maildir_keywords_differing(a, b) == 0;
}

struct maildir_keywords
maildir_keywords_copy(const struct maildir_keywords *keywords)
{
	struct maildir_keywords copy = {0};

	for (size_t i = 0; i < MAILDIR_KEYWORDS_MAX; i++) {
		copy.names[i] = keywords->names[i] != NULL ? slice_dup(slice_of(keywords->names[i])) : NULL;
	}
	return copy;
}

int
maildir_keywords_find(const struct maildir_keywords *keywords, struct slice name)
{
	for (int i = 0; i < MAILDIR_KEYWORDS_MAX; i++) {
		if (keywords->names[i] != NULL && slice_equal_nocase(slice_of(keywords->names[i]), name)) {
			return i;
		}
	}
	return -1;
}

bool
maildir_keywords_add(struct maildir_keywords *keywords, struct slice name, struct buf *text)
{
	assert(flags_is_keyword(name));
	for (unsigned i = 0; i < MAILDIR_KEYWORDS_MAX; i++) {
		if (keywords->names[i] != NULL) {
			continue;
		}
		keywords->names[i] = slice_dup(name);
		if (text->length > 0 && text->data[text->length - 1] != '\n') {
			buf_append_octet(text, '\n');
		}
		buf_printf(text, "%u %s\n", i, keywords->names[i]);
		return true;
	}
	return false;
}

bool
maildir_keywords_have_room(const struct maildir_keywords *keywords)
{
	for (size_t i = 0; i < MAILDIR_KEYWORDS_MAX; i++) {
		if (keywords->names[i] == NULL) {
			return true;
		}
	}
	return false;
}

struct flags
maildir_keywords_flags(const struct maildir_keywords *keywords, uint32_t bits, uint32_t letters)
{
	struct flags flags = {.bits = bits};

	for (size_t i = 0; i < MAILDIR_KEYWORDS_MAX; i++) {
		if ((letters & 1u << i) != 0 && keywords->names[i] != NULL) {
			bool added = flags_add_keyword(&flags, slice_of(keywords->names[i]));

			assert(added); /* 26 of 100 octets are never too many */
		}
	}
	return flags;
}

uint32_t
maildir_keywords_letters(const struct maildir_keywords *keywords, const struct flags *flags)
{
	struct slice rest = flags_keywords(flags), name;
	uint32_t letters = 0;

	while (flags_next_keyword(&rest, &name)) {
		int letter = maildir_keywords_find(keywords, name);

		if (letter >= 0) {
			letters |= 1u << letter;
		}
	}
	return letters;
}

uint32_t
maildir_keywords_all_letters(const struct maildir_keywords *keywords, const struct flags *flags)
{
	uint32_t letters = 0;

	for (size_t i = 0; i < MAILDIR_KEYWORDS_MAX; i++) {
		if (keywords->names[i] != NULL && flags_has_keyword(flags, slice_of(keywords->names[i]))) {
			letters |= 1u << i;
		}
	}
	return letters;
}
