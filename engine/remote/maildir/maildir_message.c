#include "engine/remote/maildir/maildir_message.h"

#include <fcntl.h>

#include "engine/base/log.h"
#include "engine/mail/safe_text.h"
#include "engine/mime/header.h"
#include "engine/mime/wire.h"

#define TRIES        5 /* to find it under another name */
#define PIECE_BYTES  (64u << 10)
#define HEADER_BYTES (4u << 10) /* at first; most are shorter */

static void
warn_unreadable(struct maildir_session *session, const char *path, const struct error *why)
{
	SCOPED(buf_finish) struct buf safe = BUF_INIT;

	safe_text_line(slice_of(path), 500, &safe);
	log_warn("maildir", "path=%s event=set-aside file=%s reason=%s", session->remote->path,
		safe.length > 0 ? safe.data : "", why->text);
}

bool
maildir_message_open(struct maildir_session *session, struct maildir_box *box, uint32_t uid, int *out_fd,
	int64_t *out_mtime_s, uint64_t *out_size, struct error *err)
{
	SCOPED(buf_finish) struct buf path = BUF_INIT;

	*out_fd = -1;
	for (int tries = 0; tries < TRIES; tries++) {
		const struct maildir_entry *entry = maildir_index_find(&box->index, uid);
		struct io_stat st;

		if (entry == NULL) {
			return true;
		}
		maildir_box_file(box, entry, &path);
		if (io_stat(session->dir, path.data, &st, err) &&
			io_open(session->dir, path.data, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, out_fd, err)) {
			*out_mtime_s = st.mtime_ns / 1000000000 - (st.mtime_ns % 1000000000 < 0);
			*out_size = st.size_bytes;
			return true;
		}
		if (err->kind == ERROR_REFUSED) {
			warn_unreadable(session, path.data, err);
			error_clear(err);
			return true;
		}
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		box->clean = false;
		if (!maildir_box_refresh(session, box, err)) {
			return false;
		}
	}
	return true;
}

/* Gives the file's octets as they are, until `piece` has had enough of them or they end. */
static bool
read_pieces(struct maildir_session *session, int fd, size_t first,
	bool (*piece)(void *context, struct slice octets, bool *out_enough, struct error *err), void *context,
	struct error *err)
{
	SCOPED(buf_finish) struct buf space = BUF_INIT;
	bool enough = false;
	size_t size = first, got = 1;

	for (uint64_t at = 0; !enough && got > 0; at += got, size = PIECE_BYTES) {
		buf_reserve(&space, size);
		if (!io_pread(session->io, fd, space.data, size, at, &got, err)) {
			return false;
		}
		session->octets_in += got;
		if (got > 0 && !piece(context, slice_make(space.data, got), &enough, err)) {
			return false;
		}
	}
	return true;
}

struct reading {
	struct wire_state state;
	struct buf wire;
	bool (*piece)(void *context, struct slice wire, struct error *err);
	void *context;
};

static bool
give_wire(void *context, struct slice octets, bool *out_enough, struct error *err)
{
	struct reading *reading = context;

	*out_enough = false;
	buf_clear(&reading->wire);
	wire_from_lf(&reading->state, octets, &reading->wire);
	return reading->piece(reading->context, buf_slice(&reading->wire), err);
}

bool
maildir_message_read(struct maildir_session *session, int fd,
	bool (*piece)(void *context, struct slice wire, struct error *err), void *context, struct error *err)
{
	struct reading reading = {.state = WIRE_STATE_INIT, .piece = piece, .context = context};
	bool ok = read_pieces(session, fd, PIECE_BYTES, give_wire, &reading, err);

	buf_finish(&reading.wire);
	return ok;
}

static bool
scan_piece(void *context, struct slice octets, bool *out_enough, struct error *err)
{
	*out_enough = false;
	wire_scan_feed(context, octets);
	return true;
}

bool
maildir_message_measure(struct maildir_session *session, int fd, uint64_t *out, struct error *err)
{
	struct wire_scan scan = WIRE_SCAN_INIT;

	if (!read_pieces(session, fd, PIECE_BYTES, scan_piece, &scan, err)) {
		return false;
	}
	*out = wire_scan_wire_size(&scan);
	return true;
}

struct heading {
	struct wire_state state;
	struct buf *out;
	size_t start;
};

/* The header ends with an empty line; where that is not in what was read so far, header_length gives all of it. */
static bool
take_header(void *context, struct slice octets, bool *out_enough, struct error *err)
{
	struct heading *heading = context;
	struct slice header;
	size_t length;

	wire_from_lf(&heading->state, octets, heading->out);
	header = slice_skip(buf_slice(heading->out), heading->start);
	length = header_length(header);
	*out_enough = length < header.length || header.length >= HEADER_BYTES_MAX;
	buf_truncate(heading->out, heading->start + (*out_enough ? length : header.length));
	return true;
}

bool
maildir_message_header(struct maildir_session *session, int fd, struct buf *out, struct error *err)
{
	struct heading heading = {.state = WIRE_STATE_INIT, .out = out, .start = out->length};

	return read_pieces(session, fd, HEADER_BYTES, take_header, &heading, err);
}
