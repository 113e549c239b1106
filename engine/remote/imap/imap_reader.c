#include "engine/remote/imap/imap_reader.h"

#include <assert.h>

void
imap_reader_init(struct imap_reader *reader)
{
	memset(reader, 0, sizeof *reader);
}

void
imap_reader_finish(struct imap_reader *reader)
{
	buf_finish(&reader->text);
	buf_finish(&reader->scratch);
}

bool
imap_reader_rests(const struct imap_reader *reader)
{
	return reader->whole || (reader->state == IMAP_READER_LINE && reader->text.length == 0);
}

static void
begin_response(struct imap_reader *reader)
{
	buf_clear(&reader->text);
	buf_clear(&reader->scratch);
	if (reader->text.capacity > 4 * IMAP_LINE_MAX) {
		buf_finish(&reader->text);
		buf_finish(&reader->scratch);
	}
	reader->whole = false;
	reader->line_begin = 0;
	reader->line_octets = 0;
	reader->kept_octets = 0;
	reader->literal_count = 0;
}

/* Responses that are long by right. */
static bool
carries_numbers(struct slice text)
{
	static const char *const words[] = {"VANISHED ", "SEARCH ", "ESEARCH ", "OK [", "NO ["};
	size_t blank = slice_find(text, ' ');

	if (blank == text.length) {
		return false;
	}
	text = slice_skip(text, blank + 1);
	for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
		if (slice_has_prefix_nocase(text, slice_of(words[i]))) {
			return true;
		}
	}
	return false;
}

/* Status responses and continuations end in a sentence, in which braces mean nothing. */
static bool
ends_in_sentence(struct slice text)
{
	static const char *const words[] = {"OK ", "NO ", "BAD ", "BYE ", "PREAUTH "};
	size_t blank = slice_find(text, ' ');

	if (blank == text.length || text.data[0] == '+') {
		return true;
	}
	text = slice_skip(text, blank + 1);
	for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
		if (slice_has_prefix_nocase(text, slice_of(words[i]))) {
			return true;
		}
	}
	return false;
}

/* Reads an announcement at the end of the line, `{12}`, `{12+}`, `~{12}`, behind a blank or a parenthesis. */
static bool
announces_literal(struct slice line, size_t *out_at, uint64_t *out_size, bool *out_binary)
{
	size_t end = line.length, at;

	if (end < 3 || line.data[end - 1] != '}') {
		return false;
	}
	end--;
	if (line.data[end - 1] == '+') {
		end--;
	}
	at = end;
	while (at > 0 && line.data[at - 1] >= '0' && line.data[at - 1] <= '9') {
		at--;
	}
	if (at < 1 || line.data[at - 1] != '{' || !slice_to_u64(slice_make(line.data + at, end - at), out_size)) {
		return false;
	}
	at--;
	*out_binary = at > 0 && line.data[at - 1] == '~';
	if (*out_binary) {
		at--;
	}
	if (at == 0 || (line.data[at - 1] != ' ' && line.data[at - 1] != '(')) {
		return false;
	}
	*out_at = at;
	return true;
}

static struct imap_text
text_of(struct imap_reader *reader, size_t length)
{
	return (struct imap_text){
		.octets = slice_make(reader->text.data, length),
		.literals = reader->literals,
		.literal_count = reader->literal_count,
		.scratch = &reader->scratch,
	};
}

/* Makes room for every value that may have to be unescaped, so that the scratch never moves. */
static void
ready_scratch(struct imap_reader *reader)
{
	buf_clear(&reader->scratch);
	if (memchr(reader->text.data, '\\', reader->text.length) != NULL) {
		buf_reserve(&reader->scratch, reader->text.length);
	}
}

/* Begins a literal that the line at hand announces at `at`. */
static bool
begin_literal(struct imap_reader *reader, size_t at, uint64_t size, bool binary, struct error *err)
{
	struct imap_literal *literal = &reader->literals[reader->literal_count];
	size_t length = reader->text.length;

	if (size > IMAP_LITERAL_MAX) {
		return error_set(
			err, ERROR_RETRY, "the server announced a literal of %llu octets", (unsigned long long)size);
	}
	if (reader->literal_count == IMAP_LITERALS_MAX) {
		return error_set(
			err, ERROR_RETRY, "the server sent a response with more than %d literals", IMAP_LITERALS_MAX);
	}
	*literal = (struct imap_literal){.at = at, .data = length, .size = size, .binary = binary};
	reader->literal_count++;
	ready_scratch(reader);

	struct imap_text text = text_of(reader, length);

	reader->literal_offset = 0;
	if (imap_grammar_awaits_body(&text, &reader->message)) {
		literal->streamed = true;
		reader->literal_left = size;
		reader->state = IMAP_READER_STREAM;
		return true;
	}
	uint64_t keep = size < IMAP_LITERAL_KEEP_MAX ? size : IMAP_LITERAL_KEEP_MAX;

	if (reader->kept_octets + keep > IMAP_RESPONSE_KEEP_MAX) {
		return error_set(err, ERROR_RETRY, "the server sent a response with literals of more than %u octets",
			IMAP_RESPONSE_KEEP_MAX);
	}
	literal->length = (size_t)keep;
	reader->kept_octets += literal->length;
	reader->literal_left = keep;
	reader->literal_drop = size - keep;
	reader->state = IMAP_READER_KEEP;
	return true;
}

static bool
within_limits(const struct imap_reader *reader, struct error *err)
{
	size_t octets = reader->line_octets + (reader->text.length - reader->line_begin);

	if (octets <= IMAP_LINE_MAX || (octets <= IMAP_SET_LINE_MAX && carries_numbers(buf_slice(&reader->text)))) {
		return true;
	}
	return error_set(err, ERROR_RETRY, "the server sent a line of more than %u octets",
		octets > IMAP_SET_LINE_MAX ? IMAP_SET_LINE_MAX : IMAP_LINE_MAX);
}

/* Ends the line at hand, whose line end is in the text. */
static bool
end_line(struct imap_reader *reader, struct imap_event *out, struct error *err)
{
	size_t length = reader->text.length - 1;
	size_t at;
	uint64_t size;
	bool binary;

	if (length > reader->line_begin && reader->text.data[length - 1] == '\r') {
		length--;
	}
	struct slice line = slice_make(reader->text.data + reader->line_begin, length - reader->line_begin);

	if (line.length > 0 && memchr(line.data, '\0', line.length) != NULL) {
		return error_set(err, ERROR_RETRY, "the server sent a NUL outside of a literal");
	}
	reader->line_octets += line.length;
	if (announces_literal(line, &at, &size, &binary) && !ends_in_sentence(slice_make(reader->text.data, length))) {
		return begin_literal(reader, reader->line_begin + at, size, binary, err);
	}
	ready_scratch(reader);
	reader->whole = true;

	struct imap_text text = text_of(reader, length);

	out->kind = IMAP_EVENT_RESPONSE;
	return imap_grammar_read(&text, &out->response, err);
}

/* Takes the line's octets; *out_ended tells that its end was among them. */
static bool
take_line(struct imap_reader *reader, struct slice *input, bool *out_ended, struct error *err)
{
	size_t count = slice_find(*input, '\n');

	*out_ended = count < input->length;
	if (*out_ended) {
		count++;
	}
	if (count > IMAP_SET_LINE_MAX) { /* said here, before anything is copied */
		return error_set(err, ERROR_RETRY, "the server sent a line of more than %u octets", IMAP_SET_LINE_MAX);
	}
	buf_append(&reader->text, slice_head(*input, count));
	*input = slice_skip(*input, count);
	return within_limits(reader, err);
}

static void
end_literal(struct imap_reader *reader)
{
	reader->line_begin = reader->text.length;
	reader->state = IMAP_READER_LINE;
}

static size_t
most(uint64_t left, struct slice input)
{
	return left < input.length ? (size_t)left : input.length;
}

/* Gives out a piece; an empty body is one empty piece. */
static void
stream_piece(struct imap_reader *reader, struct slice *input, struct imap_event *out)
{
	size_t count = most(reader->literal_left, *input);

	out->kind = IMAP_EVENT_BODY;
	out->message = &reader->message;
	out->size = reader->literals[reader->literal_count - 1].size;
	out->offset = reader->literal_offset;
	out->data = slice_head(*input, count);
	*input = slice_skip(*input, count);
	reader->literal_offset += count;
	reader->literal_left -= count;
	if (reader->literal_left == 0) {
		end_literal(reader);
	}
}

bool
imap_reader_next(struct imap_reader *reader, struct slice *input, struct imap_event *out, struct error *err)
{
	size_t count;
	bool ended;

	out->kind = IMAP_EVENT_MORE;
	if (reader->whole) {
		begin_response(reader);
	}
	for (;;) {
		switch (reader->state) {
		case IMAP_READER_LINE:
			if (input->length == 0) {
				return true;
			}
			if (!take_line(reader, input, &ended, err)) {
				return false;
			}
			if (!ended) {
				return true;
			}
			if (!end_line(reader, out, err)) {
				return false;
			}
			if (reader->whole) {
				return true;
			}
			break;
		case IMAP_READER_KEEP:
			count = most(reader->literal_left, *input);
			buf_append(&reader->text, slice_head(*input, count));
			*input = slice_skip(*input, count);
			reader->literal_left -= count;
			if (reader->literal_left > 0) {
				return true;
			}
			reader->state = IMAP_READER_SKIP;
			break;
		case IMAP_READER_SKIP:
			count = most(reader->literal_drop, *input);
			*input = slice_skip(*input, count);
			reader->literal_drop -= count;
			if (reader->literal_drop > 0) {
				return true;
			}
			end_literal(reader);
			break;
		case IMAP_READER_STREAM:
			if (input->length == 0 && reader->literal_left > 0) {
				return true;
			}
			stream_piece(reader, input, out);
			return true;
		}
	}
}
