#include "engine/base/json.h"

#include <assert.h>
#include <inttypes.h>

static const char replacement[] = "\xef\xbf\xbd";

/* The length of the well-formed UTF-8 sequence (RFC 3629) at the beginning, 0 where there is none. */
static size_t
sequence_length(struct slice s, uint32_t *out_code)
{
	const unsigned char *octets = (const unsigned char *)s.data;
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t length = octets[0] < 0x80 ? 1 : octets[0] < 0xc2 ? 0 : octets[0] < 0xe0 ? 2 : octets[0] < 0xf0 ? 3 : 4;
	uint32_t code = octets[0];

	if (length == 1) {
		*out_code = code;
		return 1;
	}
	if (length == 0 || octets[0] > 0xf4 || s.length < length) {
		return 0;
	}
	code &= 0xffu >> (length + 1);
	for (size_t i = 1; i < length; i++) {
		if ((octets[i] & 0xc0) != 0x80) {
			return 0;
		}
		code = code << 6 | (octets[i] & 0x3fu);
	}
	if (code < smallest[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
		return 0;
	}
	*out_code = code;
	return length;
}

static void
append_code(uint32_t code, struct slice octets, struct buf *out)
{
	switch (code) {
	case '"':
		buf_append_text(out, "\\\"");
		return;
	case '\\':
		buf_append_text(out, "\\\\");
		return;
	case '\n':
		buf_append_text(out, "\\n");
		return;
	case '\t':
		buf_append_text(out, "\\t");
		return;
	case '\r':
		buf_append_text(out, "\\r");
		return;
	default:
		break;
	}
	if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
		buf_printf(out, "\\u%04" PRIx32, code);
	} else {
		buf_append(out, octets);
	}
}

void
json_quote(struct slice text, struct buf *out)
{
	buf_append_octet(out, '"');
	while (text.length > 0) {
		uint32_t code = 0;
		size_t length = sequence_length(text, &code);

		if (length == 0) {
			buf_append_text(out, replacement);
			length = 1;
		} else {
			append_code(code, slice_head(text, length), out);
		}
		text = slice_skip(text, length);
	}
	buf_append_octet(out, '"');
}

void
json_begin(struct json *json, struct buf *out, bool indented)
{
	*json = (struct json){.out = out, .indented = indented};
}

static void
append_break(struct json *json)
{
	if (json->indented) {
		buf_append_octet(json->out, '\n');
		for (unsigned i = 0; i < json->depth; i++) {
			buf_append_octet(json->out, '\t');
		}
	}
}

/* Puts what stands between two things, before a thing is written. */
static void
begin_item(struct json *json)
{
	if (json->depth == 0) {
		return;
	}
	if (!json->empty[json->depth - 1]) {
		buf_append_octet(json->out, ',');
	}
	json->empty[json->depth - 1] = false;
	append_break(json);
}

static void
begin_value(struct json *json)
{
	assert(json->depth == 0 || json->closing[json->depth - 1] == ']' || json->after_key);
	if (!json->after_key) {
		begin_item(json);
	}
	json->after_key = false;
}

static void
open_level(struct json *json, char opening, char closing)
{
	begin_value(json);
	assert(json->depth < JSON_DEPTH_MAX);
	buf_append_octet(json->out, opening);
	json->closing[json->depth] = closing;
	json->empty[json->depth] = true;
	json->depth++;
}

void
json_object(struct json *json)
{
	open_level(json, '{', '}');
}

void
json_array(struct json *json)
{
	open_level(json, '[', ']');
}

void
json_end(struct json *json)
{
	assert(json->depth > 0 && !json->after_key);
	json->depth--;
	if (!json->empty[json->depth]) {
		append_break(json);
	}
	buf_append_octet(json->out, json->closing[json->depth]);
	if (json->depth == 0 && json->indented) {
		buf_append_octet(json->out, '\n');
	}
}

void
json_key(struct json *json, const char *key)
{
	assert(json->depth > 0 && json->closing[json->depth - 1] == '}' && !json->after_key);
	begin_item(json);
	json_quote(slice_of(key), json->out);
	buf_append_text(json->out, json->indented ? ": " : ":");
	json->after_key = true;
}

void
json_text(struct json *json, struct slice text)
{
	begin_value(json);
	json_quote(text, json->out);
}

void
json_u64(struct json *json, uint64_t value)
{
	begin_value(json);
	buf_append_u64(json->out, value);
}

void
json_i64(struct json *json, int64_t value)
{
	begin_value(json);
	buf_printf(json->out, "%" PRId64, value);
}

void
json_bool(struct json *json, bool value)
{
	begin_value(json);
	buf_append_text(json->out, value ? "true" : "false");
}

void
json_null(struct json *json)
{
	begin_value(json);
	buf_append_text(json->out, "null");
}

void
json_key_text(struct json *json, const char *key, const char *text_or_null)
{
	json_key(json, key);
	if (text_or_null == NULL) {
		json_null(json);
	} else {
		json_text(json, slice_of(text_or_null));
	}
}

void
json_key_slice(struct json *json, const char *key, struct slice text)
{
	json_key(json, key);
	json_text(json, text);
}

void
json_key_u64(struct json *json, const char *key, uint64_t value)
{
	json_key(json, key);
	json_u64(json, value);
}

void
json_key_bool(struct json *json, const char *key, bool value)
{
	json_key(json, key);
	json_bool(json, value);
}
