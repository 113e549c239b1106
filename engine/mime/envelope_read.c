#include "engine/mime/envelope_read.h"

#include <gmime/gmime.h>
#include <pthread.h>
#include <stdlib.h>

#include "engine/base/buf.h"
#include "engine/mail/safe_text.h"
#include "engine/mime/mail_date.h"

/* What GMime is given of a value, at most: it fills any text of ours, and a header made to cost time costs little. */
#define DECODED_RAW_MAX 4096

/* Raw 8-bit octets are read as these, in this order, whatever the locale: names must not depend on it. */
static const char *fallback_charsets[] = {"utf-8", "windows-1252", "iso-8859-1", NULL};

static GMimeParserOptions *options; /* never written after it is made */
static pthread_once_t options_once = PTHREAD_ONCE_INIT;

/* GMime is used by one thread at a time: it has tables of its own behind locks that no checker of ours can see, and the values that get
 * here are few. Nothing is taken under it, so it has no rank. */
static pthread_mutex_t gmime_lock = PTHREAD_MUTEX_INITIALIZER;

static void
make_options(void)
{
	g_mime_init();
	options = g_mime_parser_options_new();
	g_mime_parser_options_set_fallback_charsets(options, fallback_charsets);
}

/* Tells whether a value says more than its ASCII characters do: an encoded word, or 8-bit octets. */
static bool
needs_decoding(struct slice raw)
{
	for (size_t i = 0; i < raw.length; i++) {
		if ((signed char)raw.data[i] < 0 ||
			(raw.data[i] == '=' && i + 1 < raw.length && raw.data[i + 1] == '?')) {
			return true;
		}
	}
	return false;
}

static char *
make_line(struct slice text)
{
	struct buf out = BUF_INIT;

	safe_text_line(text, ENVELOPE_TEXT_MAX, &out);
	return buf_take(&out);
}

static char *
make_line_and_free(char *text)
{
	char *line = make_line(slice_of(text));

	g_free(text);
	return line;
}

/* The value as GMime takes it: one line, bounded, and ended by the only NUL. */
static void
prepare(struct slice raw, struct buf *out)
{
	(void)pthread_once(&options_once, make_options);
	header_unfold(slice_head(raw, DECODED_RAW_MAX), out);
	for (size_t i = 0; i < out->length; i++) {
		if (out->data[i] == '\0') {
			out->data[i] = ' ';
		}
	}
	buf_append_text(out, "");
}

static char *
decode_text(const char *value)
{
	char *text;

	(void)pthread_mutex_lock(&gmime_lock);
	text = g_mime_utils_header_decode_text(options, value);
	(void)pthread_mutex_unlock(&gmime_lock);
	return make_line_and_free(text);
}

static char *
read_text(struct slice raw)
{
	SCOPED(buf_finish) struct buf value = BUF_INIT;

	if (!needs_decoding(raw)) {
		return make_line(raw);
	}
	prepare(raw, &value);
	return decode_text(value.data);
}

/* Tells whether `s` has none of `octets`. */
static bool
has_none_of(struct slice s, const char *octets)
{
	for (size_t i = 0; i < s.length; i++) {
		if (s.data[i] != '\0' && strchr(octets, s.data[i]) != NULL) {
			return false;
		}
	}
	return true;
}

/* Reads one address of the two common looks, `a@b` and `Name <a@b>` or `"Name" <a@b>`: what stands for it in short. False for all that needs
 * GMime's grammar. */
static bool
read_simple_address(struct slice raw, struct slice *out_short)
{
	struct slice value = slice_trim(raw), name, address;
	size_t angle = slice_find(value, '<');

	if (angle == value.length) {
		*out_short = value;
		return value.length > 0 && has_none_of(value, " \t\r\n\"(),:;<>[]\\");
	}
	name = slice_trim(slice_head(value, angle));
	address = slice_skip(value, angle + 1);
	if (address.length < 2 || address.data[address.length - 1] != '>') {
		return false;
	}
	address.length--;
	if (!has_none_of(address, " \t\r\n\"(),:;<>\\")) {
		return false;
	}
	if (name.length >= 2 && name.data[0] == '"' && name.data[name.length - 1] == '"') {
		name = slice_trim(slice_make(name.data + 1, name.length - 2));
		if (!has_none_of(name, "\"\\")) {
			return false;
		}
	} else if (!has_none_of(name, "\"(),:;<>@[]\\")) {
		return false;
	}
	*out_short = name.length > 0 ? name : address;
	return true;
}

/* The name of the first address, else its mailbox. */
static char *
short_of(InternetAddressList *list)
{
	InternetAddress *first = internet_address_list_get_address(list, 0);
	const char *name = first == NULL ? NULL : internet_address_get_name(first);
	char *line = make_line(slice_of(name));

	if (line[0] == '\0' && first != NULL && INTERNET_ADDRESS_IS_MAILBOX(first)) {
		free(line);
		line = make_line(slice_of(internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(first))));
	}
	return line;
}

/* Appends one address as GMime prints it, but with the domain as it is written: turning international names into their ASCII form costs more
 * than all the rest. */
static void
print_address(InternetAddress *address, struct buf *out)
{
	const char *name = internet_address_get_name(address), *mailbox;
	char *text;

	if (!INTERNET_ADDRESS_IS_MAILBOX(address)) {
		text = internet_address_to_string(address, NULL, FALSE);
		buf_append_text(out, text);
		g_free(text);
		return;
	}
	mailbox = internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(address));
	if (name == NULL || name[0] == '\0') {
		buf_append_text(out, mailbox != NULL ? mailbox : "");
		return;
	}
	text = g_mime_utils_quote_string(name);
	buf_printf(out, "%s <%s>", text, mailbox != NULL ? mailbox : "");
	g_free(text);
}

static char *
print_addresses(InternetAddressList *list)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;
	int count = internet_address_list_length(list);

	for (int i = 0; i < count && out.length <= DECODED_RAW_MAX; i++) {
		buf_append_text(&out, i > 0 ? ", " : "");
		print_address(internet_address_list_get_address(list, i), &out);
	}
	return make_line(buf_slice(&out));
}

/* Reads addresses by GMime: false where there is none. */
static bool
parse_addresses(const char *value, char **out_text, char **out_short)
{
	InternetAddressList *list;
	bool any;

	(void)pthread_mutex_lock(&gmime_lock);
	list = internet_address_list_parse(options, value);
	any = list != NULL && internet_address_list_length(list) > 0;
	if (any) {
		*out_text = print_addresses(list);
		*out_short = short_of(list);
	}
	if (list != NULL) {
		g_object_unref(list);
	}
	(void)pthread_mutex_unlock(&gmime_lock);
	return any;
}

/* Decodes a field of addresses; what holds none is read as text. Both answers are the caller's to free. */
static void
decode_addresses(struct slice raw, char **out_text, char **out_short)
{
	SCOPED(buf_finish) struct buf value = BUF_INIT;

	prepare(raw, &value);
	if (!parse_addresses(value.data, out_text, out_short)) {
		*out_text = decode_text(value.data);
		*out_short = make_line(slice_of(*out_text));
	}
}

static void
read_from(struct slice raw, struct envelope *out)
{
	struct slice short_form = {.length = 0};

	if (needs_decoding(raw)) {
		decode_addresses(raw, &out->from, &out->from_short);
		return;
	}
	out->from = make_line(raw);
	if (slice_trim(raw).length == 0 || read_simple_address(raw, &short_form)) {
		out->from_short = make_line(short_form);
	} else {
		char *again = NULL; /* ASCII is as in the header; only its name was asked for */

		decode_addresses(raw, &again, &out->from_short);
		free(again);
	}
}

bool
envelope_read_keys(const struct header_keys *keys, struct envelope *out)
{
	bool any = false;

	*out = (struct envelope){.date_s = INT64_MIN};
	read_from(keys->raw[HEADER_FROM], out);
	if (needs_decoding(keys->raw[HEADER_TO])) {
		char *unused = NULL;

		decode_addresses(keys->raw[HEADER_TO], &out->to, &unused);
		free(unused);
	} else {
		out->to = make_line(keys->raw[HEADER_TO]);
	}
	out->subject = read_text(keys->raw[HEADER_SUBJECT]);
	out->date = make_line(keys->raw[HEADER_DATE]);
	out->message_id = make_line(keys->raw[HEADER_MESSAGE_ID]);
	(void)mail_date_read(keys->raw[HEADER_DATE], &out->date_s);
	for (unsigned key = 0; key < HEADER_KEY_COUNT; key++) {
		any |= keys->raw[key].data != NULL;
	}
	return any;
}

bool
envelope_read(struct slice header, struct envelope *out)
{
	struct header_keys keys;

	header_collect(header, &keys);
	return envelope_read_keys(&keys, out);
}
