#include "engine/mail/mailbox_name.h"

#include <assert.h>

#include "engine/mail/safe_text.h"

/* How a level of ours is spelled, so that each raw name has one spelling and the way back is exact:
 *
 *   %XX, capital digits    an octet of the raw name that may not stand for itself: `/` inside a level, `%` before two hex digits, a control
 *                          or 8-bit octet, and the `&` of what is no canonical modified UTF-7
 *   %xx, small digits      a separator where it would make an empty level: raw `a//b` is `a/%2fb`, raw `a/` is `a%2f`
 *
 * A shift section (`&…-`) is canonical when encoding what it says gives it again; and it is left undecoded when it says something that
 * may not be shown: a control character or a bidi mark.
 *
 * to_file writes %XX, capital, for octets that no canonical level has so: a leading dot, the first letter of cur, new and tmp.
 */

#define FILE_NAME_MAX 255
#define RAW_NAME_MAX  (3 * MAILBOX_NAME_MAX) /* no raw name has more for each octet of ours */

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";
static const char hex_capital[] = "0123456789ABCDEF";
static const char hex_small[] = "0123456789abcdef";

static bool
is_printable(char c)
{
	return c >= ' ' && c < 0x7f;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (c >= 'A' && c <= 'F') {
		return c - 'A' + 10;
	}
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads `%` and two hex digits at the start: the octet, or -1. */
static int
read_escape(struct slice s)
{
	int high, low;

	if (s.length < 3 || s.data[0] != '%') {
		return -1;
	}
	high = hex_value(s.data[1]);
	low = hex_value(s.data[2]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool
is_escape_of(struct slice s, const char *digits, int octet)
{
	return s.data[1] == digits[octet >> 4] && s.data[2] == digits[octet & 15];
}

static void
append_escape(struct buf *out, const char *digits, char octet)
{
	const char escape[3] = {'%', digits[(unsigned char)octet >> 4], digits[(unsigned char)octet & 15]};

	buf_append(out, slice_make(escape, sizeof(escape)));
}

/* Modified UTF-7 (RFC 3501, 5.1.3). */

static void
append_utf8(struct buf *out, uint32_t code)
{
	if (code < 0x80) {
		buf_append_octet(out, (char)code);
		return;
	}
	if (code < 0x800) {
		buf_append_octet(out, (char)(0xc0 | code >> 6));
	} else {
		if (code < 0x10000) {
			buf_append_octet(out, (char)(0xe0 | code >> 12));
		} else {
			buf_append_octet(out, (char)(0xf0 | code >> 18));
			buf_append_octet(out, (char)(0x80 | (code >> 12 & 0x3f)));
		}
		buf_append_octet(out, (char)(0x80 | (code >> 6 & 0x3f)));
	}
	buf_append_octet(out, (char)(0x80 | (code & 0x3f)));
}

/* Tells whether a character may be shown; what is ASCII does not belong into a shift section at all, or is a control. */
static bool
may_be_shown(uint32_t code)
{
	if (code < 0xa0 || (code & 0xfffe) == 0xfffe || (code >= 0xfdd0 && code <= 0xfdef)) {
		return false;
	}
	return code != 0x61c && code != 0x200e && code != 0x200f && !(code >= 0x2028 && code <= 0x202e) &&
	       !(code >= 0x2066 && code <= 0x2069) && code != 0xfeff;
}

/* Takes a UTF-16 unit: true, with the code point in *out or 0 where a second half must come; false where it cannot stand here. */
static bool
take_unit(uint32_t unit, uint32_t *high, uint32_t *out)
{
	*out = 0;
	if (*high != 0) {
		if (unit < 0xdc00 || unit > 0xdfff) {
			return false;
		}
		*out = 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00);
		*high = 0;
	} else if (unit >= 0xd800 && unit <= 0xdbff) {
		*high = unit;
		return true;
	} else {
		*out = unit;
	}
	return may_be_shown(*out) && !(*out >= 0xd800 && *out <= 0xdfff);
}

/* Decodes a shift section at the start of `raw`: its whole length, or 0, appending nothing, where it is not canonical. */
static size_t
decode_section(struct slice raw, struct buf *out)
{
	size_t start = out->length, i;
	uint32_t bits = 0, high = 0, code;
	unsigned count = 0; /* of bits */
	bool good = true;

	for (i = 1; good && i < raw.length && raw.data[i] != '-'; i++) {
		const char *digit = raw.data[i] == '\0' ? NULL : strchr(base64_digits, raw.data[i]);

		if (digit == NULL) {
			good = false;
			break;
		}
		bits = bits << 6 | (uint32_t)(digit - base64_digits);
		count += 6;
		if (count >= 16) {
			count -= 16;
			good = take_unit(bits >> count & 0xffff, &high, &code);
			bits &= (1u << count) - 1;
			if (good && code != 0) {
				append_utf8(out, code);
			}
		}
	}
	if (!good || i == raw.length || i == 1 || high != 0 || bits != 0 || count >= 6) {
		buf_truncate(out, start);
		return 0;
	}
	return i + 1;
}

struct encoder {
	struct buf *out;
	uint32_t bits;
	unsigned count;
	bool shifted;
};

static void
encode_unit(struct encoder *encoder, uint32_t unit)
{
	if (!encoder->shifted) {
		buf_append_octet(encoder->out, '&');
		encoder->shifted = true;
	}
	encoder->bits = encoder->bits << 16 | unit;
	for (encoder->count += 16; encoder->count >= 6; encoder->count -= 6) {
		buf_append_octet(encoder->out, base64_digits[encoder->bits >> (encoder->count - 6) & 63]);
	}
	encoder->bits &= (1u << encoder->count) - 1;
}

static void
encode_end(struct encoder *encoder)
{
	if (!encoder->shifted) {
		return;
	}
	if (encoder->count > 0) {
		buf_append_octet(encoder->out, base64_digits[encoder->bits << (6 - encoder->count) & 63]);
	}
	buf_append_octet(encoder->out, '-');
	encoder->bits = 0;
	encoder->count = 0;
	encoder->shifted = false;
}

/* Reads a code point of UTF-8 that was checked, and is not ASCII. */
static uint32_t
read_utf8(struct slice *s)
{
	unsigned char lead = (unsigned char)s->data[0];
	size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
	uint32_t code = lead & (0x7fu >> length);

	for (size_t i = 1; i < length; i++) {
		code = code << 6 | ((unsigned char)s->data[i] & 0x3f);
	}
	*s = slice_skip(*s, length);
	return code;
}

/* Reading. */

/* Appends one level of a raw name that holds no separator. */
static void
append_level(struct slice raw, struct buf *out)
{
	bool after_section = false;

	while (raw.length > 0) {
		char c = raw.data[0];
		size_t taken = 1;

		if (c == '&' && raw.length > 1 && raw.data[1] == '-') {
			buf_append_octet(out, '&');
			taken = 2;
			after_section = false;
		} else if (c == '&') {
			/* Two sections in a row are not canonical: they would have been one. */
			size_t section = after_section ? 0 : decode_section(raw, out);

			after_section = section > 0;
			if (section > 0) {
				taken = section;
			} else {
				append_escape(out, hex_capital, c);
			}
		} else {
			if (c == '/' || !is_printable(c) || read_escape(raw) >= 0) {
				append_escape(out, hex_capital, c);
			} else {
				buf_append_octet(out, c);
			}
			after_section = false;
		}
		raw = slice_skip(raw, taken);
	}
}

static void
append_separators(struct buf *out, char separator, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		append_escape(out, hex_small, separator);
	}
}

/* How many separators stand at the front of a raw name. */
static size_t
count_separators(struct slice raw, char separator)
{
	size_t count = 0;

	while (separator != '\0' && count < raw.length && raw.data[count] == separator) {
		count++;
	}
	return count;
}

/* Reads a whole raw name, INBOX as any other. A separator that would make an empty level belongs to the level behind it, and those at the
 * end to the last level. */
static bool
read_name(struct slice raw, char separator, struct buf *out)
{
	size_t start = out->length, at_end = 0;
	bool fits = raw.length > 0 && raw.length <= RAW_NAME_MAX;

	while (fits && separator != '\0' && at_end < raw.length && raw.data[raw.length - 1 - at_end] == separator) {
		at_end++;
	}
	raw = slice_head(raw, raw.length - at_end);
	for (unsigned depth = 1; fits && raw.length > 0; depth++) {
		size_t count = count_separators(raw, separator), length;

		append_separators(out, separator, count);
		raw = slice_skip(raw, count);
		length = separator == '\0' ? raw.length : slice_find(raw, separator);
		append_level(slice_head(raw, length), out);
		raw = slice_skip(raw, length);
		if (raw.length > 0) {
			buf_append_octet(out, '/');
			raw = slice_skip(raw, 1);
		}
		fits = depth <= MAILBOX_DEPTH_MAX && out->length - start <= MAILBOX_NAME_MAX;
	}
	append_separators(out, separator, fits ? at_end : 0);
	if (!fits || out->length - start > MAILBOX_NAME_MAX) {
		buf_truncate(out, start);
		return false;
	}
	return true;
}

bool
mailbox_name_from_imap(struct slice raw, char separator, struct buf *out)
{
	size_t start = out->length;
	struct slice name, first;

	if (!read_name(raw, separator, out)) {
		return false;
	}
	name = slice_skip(buf_slice(out), start);
	first = slice_head(name, slice_find(name, '/'));
	if (mailbox_name_is_inbox(first)) {
		memcpy(out->data + start, "INBOX", first.length);
	}
	return true;
}

/* Writing. */

static bool
refuse(struct error *err, const char *why, struct slice name)
{
	return error_set(err, ERROR_INVALID, "%s: %.*s", why, (int)slice_head(name, 300).length,
		name.length > 0 ? name.data : "");
}

/* Appends the raw name that the spelling says, without asking whether it is the one spelling of that name. */
static void
write_name(struct slice name, char separator, struct buf *out)
{
	struct encoder encoder = {.out = out};

	while (name.length > 0) {
		char c = name.data[0];
		int escaped = read_escape(name);

		if ((signed char)c < 0) {
			uint32_t code = read_utf8(&name);

			if (code >= 0x10000) {
				encode_unit(&encoder, 0xd800 + ((code - 0x10000) >> 10));
				code = 0xdc00 + ((code - 0x10000) & 0x3ff);
			}
			encode_unit(&encoder, code);
			continue;
		}
		encode_end(&encoder);
		if (c == '&') {
			buf_append_text(out, "&-");
		} else if (escaped >= 0) {
			buf_append_octet(out, (char)escaped);
		} else {
			buf_append_octet(out, c == '/' && separator != '\0' ? separator : c);
		}
		name = slice_skip(name, escaped >= 0 ? 3 : 1);
	}
	encode_end(&encoder);
}

/* Looks for what a user can be told more about than that no mailbox has this name. */
static bool
check_levels(struct slice name, char separator, struct error *err)
{
	if (name.length == 0 || name.length > MAILBOX_NAME_MAX || !safe_text_is_utf8(name)) {
		return refuse(err, name.length == 0 ? "a mailbox needs a name" : "too long, or not UTF-8", name);
	}
	for (struct slice rest = name;;) {
		struct slice level = slice_head(rest, slice_find(rest, '/'));

		if (level.length == 0) {
			return refuse(err, "a level of a mailbox name can't be empty", name);
		}
		if (separator != '/' && separator != '\0' && separator != '%' &&
			slice_find(level, separator) < level.length) {
			return refuse(
				err, "this server parts names where one has this sign, so no level can hold it", name);
		}
		if (level.length == rest.length) {
			return true;
		}
		if (separator == '\0') {
			return refuse(err, "this server has no mailboxes within mailboxes", name);
		}
		rest = slice_skip(rest, level.length + 1);
	}
}

bool
mailbox_name_to_imap(struct slice name, char separator, struct buf *out, struct error *err)
{
	SCOPED(buf_finish) struct buf again = BUF_INIT;
	size_t start = out->length;

	if (!check_levels(name, separator, err)) {
		return false;
	}
	write_name(name, separator, out);
	if (!mailbox_name_from_imap(slice_skip(buf_slice(out), start), separator, &again) ||
		!slice_equal(buf_slice(&again), name)) {
		buf_truncate(out, start);
		return refuse(err, "no mailbox can have this name", name);
	}
	return true;
}

/* Behind a prefix. */

static bool
has_prefix(struct slice prefix, struct slice raw)
{
	static const struct slice inbox = SLICE_LITERAL("INBOX");

	if (slice_has_prefix_nocase(prefix, inbox) && slice_has_prefix_nocase(raw, inbox)) {
		prefix = slice_skip(prefix, inbox.length);
		raw = slice_skip(raw, inbox.length);
	}
	return slice_has_prefix(raw, prefix);
}

/* What does not end a level is no prefix to leave out. */
static bool
is_prefix(struct slice prefix, char separator)
{
	return prefix.length > 0 && separator != '\0' && prefix.data[prefix.length - 1] == separator;
}

bool
mailbox_name_is_behind(struct slice prefix, struct slice raw, char separator)
{
	struct slice first;

	if (!is_prefix(prefix, separator) || !has_prefix(prefix, raw)) {
		return false;
	}
	first = slice_skip(raw, prefix.length);
	first = slice_head(first, slice_find(first, separator));
	return first.length > 0 && !mailbox_name_is_inbox(first);
}

bool
mailbox_name_from_imap_behind(struct slice prefix, struct slice raw, char separator, struct buf *out)
{
	bool behind = mailbox_name_is_behind(prefix, raw, separator);

	return mailbox_name_from_imap(slice_skip(raw, behind ? prefix.length : 0), separator, out);
}

bool
mailbox_name_to_imap_behind(struct slice prefix, struct slice name, char separator, struct buf *out, struct error *err)
{
	SCOPED(buf_finish) struct buf again = BUF_INIT;
	size_t start = out->length;
	bool in_inbox = mailbox_name_is_inbox(slice_head(name, slice_find(name, '/')));

	if (!in_inbox && is_prefix(prefix, separator)) {
		buf_append(out, prefix);
	}
	if (!mailbox_name_to_imap(name, separator, out, err)) {
		buf_truncate(out, start);
		return false;
	}
	if (!mailbox_name_from_imap_behind(prefix, slice_skip(buf_slice(out), start), separator, &again) ||
		!slice_equal(buf_slice(&again), name)) {
		buf_truncate(out, start);
		return refuse(err,
			in_inbox ? "on this server nothing can lie within INBOX: make it beside it"
				 : "no mailbox can have this name",
			name);
	}
	return true;
}

/* Parts of a name. */

static size_t
last_slash(struct slice name)
{
	size_t at = name.length;

	while (at > 0 && name.data[at - 1] != '/') {
		at--;
	}
	return at;
}

struct slice
mailbox_name_parent(struct slice name)
{
	size_t leaf = last_slash(name);

	return slice_head(name, leaf > 0 ? leaf - 1 : 0);
}

struct slice
mailbox_name_leaf(struct slice name)
{
	return slice_skip(name, last_slash(name));
}

bool
mailbox_name_within(struct slice name, struct slice ancestor)
{
	if (!slice_has_prefix(name, ancestor)) {
		return false;
	}
	return ancestor.length == 0 || name.length == ancestor.length || name.data[ancestor.length] == '/';
}

bool
mailbox_name_is_inbox(struct slice name)
{
	return slice_equal_nocase(name, SLICE_LITERAL("INBOX"));
}

/* File names. */

static bool
is_taken(struct slice name)
{
	return slice_equal(name, SLICE_LITERAL("cur")) || slice_equal(name, SLICE_LITERAL("new")) ||
	       slice_equal(name, SLICE_LITERAL("tmp"));
}

/* Reads the escape of a separator at the start: the octet, or -1. A server that parts names by a letter, a digit, `%` or `&` is not served. */
static int
read_separator(struct slice s)
{
	int octet = read_escape(s);

	if (octet <= ' ' || octet >= 0x7f || octet == '%' || octet == '&' || (octet >= '0' && octet <= '9') ||
		(octet >= 'A' && octet <= 'Z') || (octet >= 'a' && octet <= 'z')) {
		return -1;
	}
	return is_escape_of(s, hex_small, octet) ? octet : -1;
}

/* Separators that would have made empty levels are spelled at the front or the end of a level; which octet it is only the remote knows. */
static struct slice
without_separators(struct slice level)
{
	int octet = read_separator(level);

	while (octet >= 0 && read_separator(level) == octet) {
		level = slice_skip(level, 3);
	}
	while (level.length >= 3) {
		int last = read_separator(slice_skip(level, level.length - 3));

		if (last < 0 || (octet >= 0 && last != octet)) {
			break;
		}
		octet = last;
		level = slice_head(level, level.length - 3);
	}
	return level;
}

/* Tells whether a level is the one spelling of some raw level. */
static bool
is_canonical(struct slice level)
{
	SCOPED(buf_finish) struct buf raw = BUF_INIT;
	SCOPED(buf_finish) struct buf again = BUF_INIT;
	struct slice rest = without_separators(level);

	if (level.length == 0 || slice_find(level, '/') < level.length || !safe_text_is_utf8(level)) {
		return false;
	}
	if (rest.length == 0) {
		return true;
	}
	write_name(rest, '\0', &raw);
	return read_name(buf_slice(&raw), '\0', &again) && slice_equal(buf_slice(&again), rest);
}

bool
mailbox_name_to_file(struct slice leaf, struct buf *out)
{
	bool escaped = leaf.length > 0 && (leaf.data[0] == '.' || is_taken(leaf));

	if (leaf.length + (escaped ? 2 : 0) > FILE_NAME_MAX || !is_canonical(leaf)) {
		return false;
	}
	if (escaped) {
		append_escape(out, hex_capital, leaf.data[0]);
		leaf = slice_skip(leaf, 1);
	}
	buf_append(out, leaf);
	return true;
}

bool
mailbox_name_from_file(struct slice file, struct buf *out)
{
	size_t start = out->length;
	int first = read_escape(file);

	if (file.length == 0 || file.length > FILE_NAME_MAX || file.data[0] == '.' || is_taken(file)) {
		return false;
	}
	if (first >= 0 && is_escape_of(file, hex_capital, first)) {
		buf_append_octet(out, (char)first);
		buf_append(out, slice_skip(file, 3));
		if (first == '.' || is_taken(slice_skip(buf_slice(out), start))) {
			file = slice_skip(buf_slice(out), start);
		} else {
			buf_truncate(out, start);
			buf_append(out, file);
		}
	} else {
		buf_append(out, file);
	}
	if (!is_canonical(slice_skip(buf_slice(out), start))) {
		buf_truncate(out, start);
		return false;
	}
	return true;
}

/* Selection. */

/* Matches by going back to the last `*` only, so it takes at most the product of both lengths. */
static bool
matches(struct slice glob, struct slice name)
{
	size_t g = 0, n = 0, star = SIZE_MAX, star_name = 0;

	while (n < name.length) {
		if (g < glob.length && glob.data[g] == '*') {
			star = g++;
			star_name = n;
		} else if (g < glob.length && (glob.data[g] == '?' || glob.data[g] == name.data[n])) {
			g++;
			n++;
		} else if (star != SIZE_MAX) {
			g = star + 1;
			n = ++star_name;
		} else {
			return false;
		}
	}
	while (g < glob.length && glob.data[g] == '*') {
		g++;
	}
	return g == glob.length;
}

bool
mailbox_name_selected(struct slice globs, struct slice name)
{
	bool selected = false, first = true;

	while (globs.length > 0) {
		size_t length = slice_find(globs, ';');
		struct slice glob = slice_trim(slice_head(globs, length));
		bool excludes = glob.length > 0 && glob.data[0] == '!';

		globs = slice_skip(globs, length < globs.length ? length + 1 : length);
		if (glob.length == 0) {
			continue;
		}
		if (first && excludes) {
			selected = true; /* a list that begins by excluding takes all else */
		}
		first = false;
		if (matches(excludes ? slice_skip(glob, 1) : glob, name)) {
			selected = !excludes;
		}
	}
	return selected;
}
