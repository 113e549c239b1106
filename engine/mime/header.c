#include "engine/mime/header.h"

#include "engine/mime/wire.h"

/* In the order of enum header_key. */
static const struct slice key_names[] = {
	[HEADER_FROM] = SLICE_LITERAL("From"),
	[HEADER_TO] = SLICE_LITERAL("To"),
	[HEADER_SUBJECT] = SLICE_LITERAL("Subject"),
	[HEADER_DATE] = SLICE_LITERAL("Date"),
	[HEADER_MESSAGE_ID] = SLICE_LITERAL("Message-ID"),
};
_Static_assert(ARRAY_LENGTH(key_names) == HEADER_KEY_COUNT, "every key has a name");

/* Takes a line off the front, without its line end. */
static struct slice
take_line(struct slice *rest)
{
	size_t length = slice_find(*rest, '\n');
	struct slice line = slice_head(*rest, length);

	*rest = slice_skip(*rest, length < rest->length ? length + 1 : length);
	if (line.length > 0 && line.data[line.length - 1] == '\r') {
		line.length--;
	}
	return line;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Finds the name of a field in its first line: ftext, then perhaps blanks (RFC 5322, 4.5.8), then a colon at *out_colon. */
static bool
find_name(struct slice line, struct slice *out_name, size_t *out_colon)
{
	size_t length = 0, colon;

	while (length < line.length && line.data[length] > ' ' && line.data[length] < 0x7f &&
		line.data[length] != ':') {
		length++;
	}
	for (colon = length; colon < line.length && is_blank(line.data[colon]); colon++) {
	}
	if (length == 0 || colon == line.length || line.data[colon] != ':') {
		return false;
	}
	*out_name = slice_head(line, length);
	*out_colon = colon;
	return true;
}

size_t
header_length(struct slice message)
{
	struct slice rest = slice_head(message, HEADER_BYTES_MAX), whole = rest;

	rest = wire_skip_mbox_line(rest);
	while (rest.length > 0 && take_line(&rest).length > 0) {
	}
	return whole.length - rest.length;
}

void
header_walk_begin(struct header_walk *walk, struct slice message)
{
	walk->rest = wire_skip_mbox_line(slice_head(message, HEADER_BYTES_MAX));
	walk->fields = 0;
}

bool
header_next(struct header_walk *walk, struct header_field *out)
{
	while (walk->rest.length > 0 && walk->fields < HEADER_FIELDS_MAX) {
		struct slice line = take_line(&walk->rest);
		size_t colon;

		if (line.length == 0) {
			break;
		}
		if (!find_name(line, &out->name, &colon)) {
			continue;
		}
		out->raw = slice_skip(line, colon + 1);
		while (walk->rest.length > 0 && is_blank(walk->rest.data[0])) {
			line = take_line(&walk->rest);
			out->raw.length = (size_t)(line.data + line.length - out->raw.data);
		}
		walk->fields++;
		return true;
	}
	walk->rest.length = 0;
	return false;
}

bool
header_find(struct slice message, struct slice name, struct slice *out_raw)
{
	struct header_walk walk;
	struct header_field field;

	header_walk_begin(&walk, message);
	while (header_next(&walk, &field)) {
		if (slice_equal_nocase(field.name, name)) {
			*out_raw = field.raw;
			return true;
		}
	}
	return false;
}

void
header_unfold(struct slice raw, struct buf *out)
{
	raw = slice_trim(raw);
	while (raw.length > 0) {
		buf_append(out, take_line(&raw));
	}
}

void
header_collect(struct slice message, struct header_keys *out)
{
	struct header_walk walk;
	struct header_field field;

	*out = (struct header_keys){.received_count = 0};
	header_walk_begin(&walk, message);
	while (header_next(&walk, &field)) {
		for (unsigned key = 0; key < HEADER_KEY_COUNT; key++) {
			if (field.name.length == key_names[key].length &&
				slice_equal_nocase(field.name, key_names[key])) {
				if (out->raw[key].data == NULL) {
					out->raw[key] = field.raw;
				}
				break;
			}
		}
		if (slice_equal_nocase(field.name, SLICE_LITERAL("Received"))) {
			out->received_count++;
		}
	}
}

bool
header_is_message(struct slice bytes)
{
	struct slice rest = wire_skip_mbox_line(slice_head(bytes, HEADER_BYTES_MAX)), name;
	size_t colon;

	return find_name(take_line(&rest), &name, &colon);
}

unsigned
header_score(struct slice bytes)
{
	struct header_keys keys;
	unsigned score;

	header_collect(bytes, &keys);
	score = keys.received_count > 0;
	for (unsigned key = 0; key < HEADER_KEY_COUNT; key++) {
		score += keys.raw[key].data != NULL;
	}
	return score;
}
