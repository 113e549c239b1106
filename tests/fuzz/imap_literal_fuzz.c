/* Literals: pieces of a body come in order and add up to what was announced, what is kept stays within its limits, and memory follows what came.
 * The first octet says how the rest is cut. */
#include <assert.h>

#include "engine/remote/imap/imap_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct body {
	uint64_t size, come;
	bool open;
};

static void
take_piece(struct body *body, const struct imap_event *event)
{
	if (event->offset == 0) {
		*body = (struct body){.size = event->size, .open = true};
	}
	assert(body->open && event->size == body->size && event->offset == body->come);
	assert(event->data.length > 0 || event->size == 0);
	body->come += event->data.length;
	assert(body->come <= body->size && body->size <= IMAP_LITERAL_MAX);
}

static void
take_response(struct body *body, const struct imap_response *response)
{
	if (response->kind == IMAP_RESPONSE_FETCH && response->fetched.form == IMAP_BODY_STREAMED) {
		assert(body->open && body->come == body->size);
		body->open = false;
	}
	assert(response->fetched.header.length <= IMAP_LITERAL_KEEP_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPED(imap_reader_finish) struct imap_reader reader;
	struct slice rest = slice_make(data, size);
	size_t step = size > 0 ? (size_t)(data[0] % 97) + 1 : 1;
	struct body body = {0};
	struct imap_event event;
	struct error err;

	imap_reader_init(&reader);
	rest = size > 0 ? slice_skip(rest, 1) : rest;
	while (rest.length > 0) {
		struct slice piece = slice_head(rest, step);

		rest = slice_skip(rest, piece.length);
		do {
			if (!imap_reader_next(&reader, &piece, &event, &err)) {
				assert(err.kind == ERROR_RETRY && err.text[0] != '\0');
				return 0;
			}
			if (event.kind == IMAP_EVENT_BODY) {
				take_piece(&body, &event);
			} else if (event.kind == IMAP_EVENT_RESPONSE) {
				take_response(&body, &event.response);
			}
		} while (event.kind != IMAP_EVENT_MORE);
		assert(piece.length == 0);
		assert(reader.text.length <= size && reader.text.capacity <= 4 * size + 4096);
		assert(reader.kept_octets <= IMAP_RESPONSE_KEEP_MAX && reader.literal_count <= IMAP_LITERALS_MAX);
	}
	return 0;
}
