#include "engine/mail/safe_text.h"

#include <assert.h>
#include <stdlib.h>
#include <utf8proc.h>

#define REPLACEMENT 0xfffd

/* Normal forms are at most three times shorter than what they are made of, so this much of the input fills any output. */
#define ENOUGH(max) ((max)*4 + 64)

enum purpose { FOR_LINE, FOR_NAME };

bool
safe_text_is_plain(struct slice text)
{
	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] < ' ' || text.data[i] >= 0x7f) {
			return false;
		}
	}
	return true;
}

/* Reads one code point; gives how many octets it took: 1 with REPLACEMENT where there is none. */
static size_t
read_code_point(struct slice text, utf8proc_int32_t *out)
{
	utf8proc_ssize_t most = text.length < 4 ? (utf8proc_ssize_t)text.length : 4;
	utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)text.data, most, out);

	if (length <= 0) {
		*out = REPLACEMENT;
		return 1;
	}
	return (size_t)length;
}

bool
safe_text_is_utf8(struct slice text)
{
	while (text.length > 0) {
		utf8proc_int32_t code;
		utf8proc_ssize_t most = text.length < 4 ? (utf8proc_ssize_t)text.length : 4, length;

		if ((signed char)text.data[0] >= 0) {
			text = slice_skip(text, 1);
			continue;
		}
		length = utf8proc_iterate((const utf8proc_uint8_t *)text.data, most, &code);
		if (length <= 0) {
			return false;
		}
		text = slice_skip(text, (size_t)length);
	}
	return true;
}

static bool
is_ascii_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Of code points that are not ASCII; likewise below. */
static bool
is_space(utf8proc_int32_t code)
{
	switch ((unsigned)utf8proc_category(code)) {
	case UTF8PROC_CATEGORY_ZS:
	case UTF8PROC_CATEGORY_ZL:
	case UTF8PROC_CATEGORY_ZP:
		return true;
	default:
		return code == 0x85; /* NEL */
	}
}

/* Controls, and format characters (bidi marks, zero-width spaces, tags, soft hyphen) but the joiners, without which Persian and emoji
 * would read otherwise; and code points that are no characters. */
static bool
is_dropped(utf8proc_int32_t code)
{
	if ((code & 0xfffe) == 0xfffe || (code >= 0xfdd0 && code <= 0xfdef)) {
		return true;
	}
	switch ((unsigned)utf8proc_category(code)) {
	case UTF8PROC_CATEGORY_CC:
	case UTF8PROC_CATEGORY_CS:
		return true;
	case UTF8PROC_CATEGORY_CF:
		return code != 0x200c && code != 0x200d && !(code >= 0x600 && code <= 0x605) && code != 0x6dd &&
		       code != 0x70f;
	default:
		return false;
	}
}

/* What an octet becomes in a file name: '\0', a control, for dropped. */
static char
name_octet(char c)
{
	switch (c) {
	case '/':
		return '\0';
	case '\\':
	case ':':
	case '*':
	case '?':
	case '"':
	case '<':
	case '>':
	case '|':
		return ' ';
	default:
		return c;
	}
}

/* What has been let through so far. */
struct filter {
	struct buf *out;
	size_t start, enough; /* where in `out` it began, and how long it may become there */
	enum purpose purpose;
	bool space; /* white space is due before the next character */
	bool loose; /* something came that may have to be composed */
};

static bool
is_enough(const struct filter *filter)
{
	return filter->out->length - filter->start >= filter->enough;
}

/* Takes the ASCII octets from the front of *text, until there is enough. Room is made once, not for each octet: most texts are short and
 * all ASCII, and this runs for every message. */
static void
filter_ascii(struct filter *filter, struct slice *text)
{
	size_t room = text->length < filter->enough ? text->length : filter->enough, i;
	const bool is_name = filter->purpose == FOR_NAME;
	const char *end, *start;
	char *to;

	buf_reserve(filter->out, 2 * room);
	start = filter->out->data + filter->start;
	end = start + filter->enough;
	to = filter->out->data + filter->out->length;
	for (i = 0; i < text->length && (signed char)text->data[i] >= 0 && to < end; i++) {
		char c = is_name ? name_octet(text->data[i]) : text->data[i];

		if (is_ascii_space(c)) {
			filter->space = true;
		} else if (c > ' ' && c < 0x7f && !(is_name && to == start && (c == '.' || c == '-'))) {
			if (filter->space && to > start) {
				*to++ = ' ';
			}
			filter->space = false;
			*to++ = c;
		}
	}
	*to = '\0';
	filter->out->length = (size_t)(to - filter->out->data);
	*text = slice_skip(*text, i);
}

/* Code points that stand for themselves in NFC whatever is beside them, as long as all others do: no combining marks, nothing that has another form, none that
 * composes with what follows. Not all of them, but the letters and signs of most mail. */
static bool
is_composed(utf8proc_int32_t code)
{
	static const struct {
		utf8proc_int32_t first, last;
	} ranges[] = {
		{0xa0, 0x2ff},      /* Latin */
		{0x388, 0x3ff},     /* Greek */
		{0x400, 0x482},     /* Cyrillic */
		{0x2010, 0x2027},   /* dashes, quotation marks, dots */
		{0x20a0, 0x20bf},   /* currencies */
		{0x3001, 0x3020},   /* punctuation of East Asia */
		{0x4e00, 0x9fff},   /* CJK */
		{0xac00, 0xd7a3},   /* Hangul syllables */
		{0x1f300, 0x1faff}, /* pictures */
	};

	for (size_t i = 0; i < ARRAY_LENGTH(ranges); i++) {
		if (code >= ranges[i].first && code <= ranges[i].last) {
			return true;
		}
	}
	return false;
}

/* Takes a code point that is not ASCII from the front of *text. */
static void
filter_code_point(struct filter *filter, struct slice *text)
{
	utf8proc_uint8_t octets[4];
	utf8proc_int32_t code;

	*text = slice_skip(*text, read_code_point(*text, &code));
	if (is_space(code)) {
		filter->space = true;
		return;
	}
	if (is_dropped(code)) {
		return;
	}
	if (filter->space && filter->out->length > filter->start) {
		buf_append_octet(filter->out, ' ');
	}
	filter->space = false;
	filter->loose = filter->loose || !is_composed(code);
	buf_append(filter->out, slice_make(octets, (size_t)utf8proc_encode_char(code, octets)));
}

size_t
safe_text_cut(struct slice utf8, size_t max)
{
	size_t at = 0, cut = 0;
	utf8proc_int32_t previous = 0, code, state = 0;

	if (utf8.length <= max) {
		return utf8.length;
	}
	while (at <= max) {
		size_t length = read_code_point(slice_skip(utf8, at), &code);

		if (at > 0 && utf8proc_grapheme_break_stateful(previous, code, &state)) {
			cut = at;
		}
		previous = code;
		at += length;
	}
	if (cut > 0) {
		return cut;
	}
	/* One grapheme, longer than that: between code points then. */
	for (cut = max; cut > 0 && ((unsigned char)utf8.data[cut] & 0xc0) == 0x80; cut--) {
	}
	return cut;
}

/* Brings what stands in `out` from `start` on into NFC. */
static void
compose(struct buf *out, size_t start)
{
	utf8proc_uint8_t *composed = NULL;
	utf8proc_ssize_t length = utf8proc_map((const utf8proc_uint8_t *)out->data + start,
		(utf8proc_ssize_t)(out->length - start), &composed, UTF8PROC_STABLE | UTF8PROC_COMPOSE);

	if (length < 0 || composed == NULL) {
		abort(); /* only out of memory: what is here is valid */
	}
	buf_truncate(out, start);
	buf_append(out, slice_make(composed, (size_t)length));
	free(composed);
}

static void
append(struct slice text, size_t max, enum purpose purpose, struct buf *out)
{
	struct filter filter = {.out = out, .start = out->length, .enough = ENOUGH(max), .purpose = purpose};
	bool is_ascii = true;

	while (text.length > 0 && !is_enough(&filter)) {
		filter_ascii(&filter, &text);
		if (text.length > 0 && !is_enough(&filter)) {
			filter_code_point(&filter, &text);
			is_ascii = false;
		}
	}
	if (filter.loose) {
		compose(out, filter.start);
	}
	if (!is_ascii) {
		buf_truncate(out, filter.start + safe_text_cut(slice_skip(buf_slice(out), filter.start), max));
	} else if (out->length - filter.start > max) {
		buf_truncate(out, filter.start + max);
	}
	while (out->length > filter.start &&
		(out->data[out->length - 1] == ' ' || (purpose == FOR_NAME && out->data[out->length - 1] == '.'))) {
		buf_truncate(out, out->length - 1);
	}
}

void
safe_text_line(struct slice text, size_t max, struct buf *out)
{
	append(text, max, FOR_LINE, out);
}

void
safe_text_name(struct slice text, size_t max, struct buf *out)
{
	append(text, max, FOR_NAME, out);
}
