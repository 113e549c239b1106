#include "engine/mime/listing_name.h"

#include <assert.h>

#include "engine/mail/message_id32.h"
#include "engine/mail/safe_text.h"
#include "engine/mime/mail_date.h"

#define FROM_MAX   40 /* octets; the subject has the rest */
#define DATE_BYTES 16 /* `YYYY-MM-DD HHMM ` */

static const struct slice ending = SLICE_LITERAL(".eml");

static void
append_digits(struct buf *out, unsigned value, unsigned count)
{
	char digits[4];

	for (unsigned i = count; i > 0; i--) {
		digits[i - 1] = (char)('0' + value % 10);
		value /= 10;
	}
	buf_append(out, slice_make(digits, count));
}

static void
append_date(int64_t seconds, struct buf *out)
{
	struct mail_date date = mail_date_split(seconds);

	append_digits(out, (unsigned)date.year, 4);
	buf_append_octet(out, '-');
	append_digits(out, date.month, 2);
	buf_append_octet(out, '-');
	append_digits(out, date.day, 2);
	buf_append_octet(out, ' ');
	append_digits(out, date.hour, 2);
	append_digits(out, date.minute, 2);
	buf_append_octet(out, ' ');
}

static void
append_text(const char *text, size_t max, const char *otherwise, struct buf *out)
{
	size_t start = out->length;

	safe_text_name(slice_of(text), max, out);
	if (out->length == start) {
		buf_append_text(out, otherwise);
	}
}

void
listing_name_make(const struct envelope *envelope, int64_t internaldate_s, uint64_t number, struct buf *out)
{
	SCOPED(buf_finish) struct buf id = BUF_INIT;
	size_t start = out->length, rest;

	number_to_id((struct number){number}, &id);
	append_date(internaldate_s, out);
	append_text(envelope->from_short, FROM_MAX, "unknown", out);
	buf_append_text(out, " - ");
	rest = LISTING_NAME_MAX - (out->length - start) - 1 - id.length - ending.length;
	append_text(envelope->subject, rest, "no subject", out);
	buf_append_octet(out, '.');
	buf_append(out, buf_slice(&id));
	buf_append(out, ending);
	assert(out->length - start <= LISTING_NAME_MAX);
}

bool
listing_name_repeat(struct slice name, uint64_t number, struct buf *out)
{
	SCOPED(buf_finish) struct buf id = BUF_INIT; /* with the dot before it */
	struct slice text;
	size_t count = 1, taken;

	buf_append_octet(&id, '.');
	number_to_id((struct number){number}, &id);
	if (!slice_has_suffix(name, ending)) {
		return false;
	}
	text = slice_head(name, name.length - ending.length);
	for (; slice_has_suffix(text, buf_slice(&id)); count++) {
		text = slice_head(text, text.length - id.length);
	}
	taken = count * id.length + ending.length;
	if (count == 1 || taken + DATE_BYTES > LISTING_NAME_MAX || !safe_text_is_utf8(text)) {
		return false;
	}
	text = slice_head(text, safe_text_cut(text, LISTING_NAME_MAX - taken));
	while (text.length > 0 && (text.data[text.length - 1] == ' ' || text.data[text.length - 1] == '.')) {
		text.length--;
	}
	buf_append(out, text);
	for (size_t i = 0; i < count; i++) {
		buf_append(out, buf_slice(&id));
	}
	buf_append(out, ending);
	return true;
}
