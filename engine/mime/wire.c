#include "engine/mime/wire.h"

#include <assert.h>

/* Digests are fed by blocks: a call for each line would cost more than the digest of the line. */
#define BLOCK_BYTES 16384

static uint64_t
count_cr(struct slice s)
{
	uint64_t count = 0;

	while (s.length > 0) {
		size_t at = slice_find(s, '\r');

		if (at == s.length) {
			break;
		}
		count++;
		s = slice_skip(s, at + 1);
	}
	return count;
}

void
wire_scan_feed(struct wire_scan *scan, struct slice piece)
{
	scan->size += piece.length;
	while (piece.length > 0) {
		size_t text = slice_find(piece, '\n');
		struct slice line = slice_head(piece, text);

		scan->cr += count_cr(line);
		if (text > 0) {
			scan->after_cr = piece.data[text - 1] == '\r';
		}
		if (text == piece.length) {
			break;
		}
		if (scan->after_cr) {
			scan->crlf++;
		} else {
			scan->bare_lf++;
		}
		scan->after_cr = false;
		piece = slice_skip(piece, text + 1);
	}
}

static struct wire_scan
scan_of(struct slice bytes)
{
	struct wire_scan scan = WIRE_SCAN_INIT;

	wire_scan_feed(&scan, bytes);
	return scan;
}

uint64_t
wire_size(struct slice written)
{
	struct wire_scan scan = scan_of(written);

	return wire_scan_wire_size(&scan);
}

void
wire_drop_cr(struct slice piece, struct buf *out)
{
	buf_reserve(out, piece.length);
	while (piece.length > 0) {
		size_t text = slice_find(piece, '\r');

		buf_append(out, slice_head(piece, text));
		piece = slice_skip(piece, text < piece.length ? text + 1 : text);
	}
}

/* In one pass, for this is done to every body that comes: the first line that does not turn back ends it. */
bool
wire_to_lf(struct slice wire, struct buf *out)
{
	if (wire.length == 0) {
		return true;
	}
	buf_reserve(out, wire.length);
	const char *from = wire.data, *end = wire.data + wire.length;
	char *to = out->data + out->length;

	while (from < end) {
		const char *lf = memchr(from, '\n', (size_t)(end - from));

		if (lf != NULL && (lf == from || lf[-1] != '\r')) {
			return false;
		}
		size_t text = (size_t)((lf != NULL ? lf - 1 : end) - from);

		if (memchr(from, '\r', text) != NULL) {
			return false;
		}
		memcpy(to, from, text);
		to += text;
		if (lf == NULL) {
			break;
		}
		*to++ = '\n';
		from = lf + 1;
	}
	*to = '\0';
	out->length = (size_t)(to - out->data);
	return true;
}

enum wire_form
wire_keep_served(struct slice served, struct buf *out)
{
	if (wire_to_lf(served, out)) {
		return WIRE_FORM_LF;
	}
	buf_append(out, served);
	return WIRE_FORM_RAW;
}

enum wire_form
wire_keep_written(struct slice written, struct buf *out)
{
	struct wire_scan scan = scan_of(written);
	struct wire_state state = WIRE_STATE_INIT;

	if (wire_scan_written(&scan) == WIRE_FORM_LF) {
		wire_drop_cr(written, out);
		return WIRE_FORM_LF;
	}
	wire_from_lf(&state, written, out);
	return WIRE_FORM_RAW;
}

/* Turns what fits into `room` octets at `to`, and takes it off the piece; at least one octet if there is room for two. */
static size_t
fill(struct wire_state *state, struct slice *piece, char *to, size_t room)
{
	size_t used = 0;

	while (piece->length > 0 && room - used >= 2) {
		struct slice window = slice_head(*piece, room - used);
		size_t text = slice_find(window, '\n');

		memcpy(to + used, window.data, text);
		used += text;
		if (text > 0) {
			state->after_cr = window.data[text - 1] == '\r';
		}
		*piece = slice_skip(*piece, text);
		if (text == window.length || room - used < 2) {
			continue;
		}
		if (!state->after_cr) {
			to[used++] = '\r';
		}
		to[used++] = '\n';
		state->after_cr = false;
		*piece = slice_skip(*piece, 1);
	}
	return used;
}

void
wire_from_lf(struct wire_state *state, struct slice piece, struct buf *out)
{
	while (piece.length > 0) {
		/* Lines of mail have some 40 octets and more: this is seldom done twice. */
		buf_reserve(out, piece.length + piece.length / 32 + 2);
		out->length += fill(state, &piece, out->data + out->length, out->capacity - out->length - 1);
		out->data[out->length] = '\0';
	}
}

void
wire_from_kept(struct slice kept, enum wire_form form, struct buf *out)
{
	struct wire_state state = WIRE_STATE_INIT;

	if (form == WIRE_FORM_RAW) {
		buf_append(out, kept);
	} else {
		wire_from_lf(&state, kept, out);
	}
}

void
wire_digest_piece(struct wire_state *state, struct slice piece, struct sha256 *sha)
{
	char block[BLOCK_BYTES];

	while (piece.length > 0) {
		size_t length = fill(state, &piece, block, sizeof(block));

		assert(length > 0);
		sha256_update(sha, slice_make(block, length));
	}
}

struct digest
wire_digest_of_kept(struct slice kept, enum wire_form form)
{
	SCOPED(sha256_destroy) struct sha256 *sha = NULL;
	struct wire_state state = WIRE_STATE_INIT;

	if (form == WIRE_FORM_RAW) {
		return sha256_of(kept);
	}
	sha = sha256_create();
	wire_digest_piece(&state, kept, sha);
	return sha256_final(sha);
}

struct slice
wire_skip_mbox_line(struct slice bytes)
{
	size_t length;

	if (!slice_has_prefix(bytes, SLICE_LITERAL("From "))) {
		return bytes;
	}
	length = slice_find(bytes, '\n');
	return slice_skip(bytes, length < bytes.length ? length + 1 : length);
}
