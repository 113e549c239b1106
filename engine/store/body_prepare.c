/* Bodies on their way in: their kept form, their digest, and for large ones the file, before any transaction begins (S4, S5). */
#include <stdio.h>
#include <stdlib.h>

#include "engine/mime/wire.h"
#include "engine/store/body_internal.h"

#define PIECE_BYTES (256u << 10)
#define HEAD_BYTES  (256u << 10)

void
body_prepared_destroy(struct body_prepared **prepared)
{
	if (prepared == NULL || *prepared == NULL) {
		return;
	}
	buf_finish(&(*prepared)->kept);
	free(*prepared);
	*prepared = NULL;
}

const struct body *
body_prepared_get(const struct body_prepared *prepared)
{
	return &prepared->body;
}

struct slice
body_prepared_head(const struct body_prepared *prepared)
{
	return slice_head(buf_slice(&prepared->kept), HEAD_BYTES);
}

struct body_prepared *
body_prepared_create(void)
{
	struct body_prepared *prepared = calloc(1, sizeof(*prepared));

	if (prepared == NULL) {
		abort();
	}
	return prepared;
}

/* --- files --- */

/* Makes the spool's file the body's: durable before its name is, and its name before any row. */
static bool
put_in_place(struct store *store, struct spool *kept, const struct digest *digest, struct error *err)
{
	char name[BODY_NAME_BYTES], directory[BODY_NAME_BYTES];
	const char *spool_name;
	struct io_stat st;
	int fd;

	body_file_name(digest, name);
	body_file_directory(digest, directory);
	if (!spool_to_file(kept, &fd, &spool_name, err) || !io_fsync(store_io(store), fd, err)) {
		return false;
	}
	bool made = !io_stat(store_dir(store), directory, &st, err);

	if (made && (err->kind != ERROR_GONE || !io_mkdir(store_dir(store), directory, err) ||
			    !io_dir_fsync(store_dir(store), "bodies", err))) {
		return false;
	}
	/* A file that is there already has the same bytes, or lost some: ours is whole, so it takes the place. */
	if (!io_rename(store_dir(store), spool_name, name, err)) {
		return false;
	}
	spool_forget_file(kept);
	return io_dir_fsync(store_dir(store), directory, err);
}

/* Turns octets into kept form, piece by piece, into a new spool. */
static bool
convert(struct store *store, struct slice from, enum wire_form form, bool served, struct spool **out, struct error *err)
{
	SCOPED(spool_close) struct spool *kept = spool_create(store_dir(store));
	SCOPED(buf_finish) struct buf piece = BUF_INIT;
	struct wire_state state = WIRE_STATE_INIT;

	while (from.length > 0) {
		struct slice head = slice_head(from, PIECE_BYTES);

		buf_clear(&piece);
		if (form == WIRE_FORM_LF) {
			wire_drop_cr(head, &piece);
		} else if (served) {
			buf_append(&piece, head);
		} else {
			wire_from_lf(&state, head, &piece);
		}
		if (!spool_append(kept, buf_slice(&piece), err)) {
			return false;
		}
		from = slice_skip(from, head.length);
	}
	*out = kept;
	kept = NULL;
	return true;
}

static bool
prepare_file(struct store *store, struct slice from, bool served, struct body_prepared *prepared, struct error *err)
{
	SCOPED(spool_close) struct spool *kept = NULL;
	struct slice view;

	if (!convert(store, from, prepared->body.raw ? WIRE_FORM_RAW : WIRE_FORM_LF, served, &kept, err)) {
		return false;
	}
	assert(spool_size(kept) == prepared->body.size_bytes);
	if (!spool_view(kept, &view, err)) {
		return false;
	}
	buf_append(&prepared->kept, slice_head(view, HEAD_BYTES));
	prepared->body.is_file = true;
	return put_in_place(store, kept, &prepared->body.digest, err);
}

/* --- both ways in --- */

static struct digest
digest_of(struct slice from, bool served)
{
	if (served) {
		return sha256_of(from);
	}
	SCOPED(sha256_destroy) struct sha256 *sha = sha256_create();
	struct wire_state state = WIRE_STATE_INIT;

	wire_digest_piece(&state, from, sha);
	return sha256_final(sha);
}

/* A small one is turned at once: whether it turns back exactly is found on the way. */
static void
prepare_row(struct slice from, bool served, struct body_prepared *prepared)
{
	buf_reserve(&prepared->kept, from.length);
	enum wire_form form =
		served ? wire_keep_served(from, &prepared->kept) : wire_keep_written(from, &prepared->kept);

	prepared->body.raw = form == WIRE_FORM_RAW;
	prepared->body.size_bytes = prepared->kept.length;
	prepared->body.wire_size_bytes = served               ? from.length
					 : prepared->body.raw ? prepared->kept.length
							      : wire_size(buf_slice(&prepared->kept));
}

static bool
prepare_large(struct store *store, struct slice from, bool served, struct body_prepared *prepared, struct error *err)
{
	struct wire_scan scan = WIRE_SCAN_INIT;

	wire_scan_feed(&scan, from);
	prepared->body.raw = (served ? wire_scan_served(&scan) : wire_scan_written(&scan)) == WIRE_FORM_RAW;
	prepared->body.wire_size_bytes = served ? scan.size : wire_scan_wire_size(&scan);
	prepared->body.size_bytes = prepared->body.raw ? prepared->body.wire_size_bytes : wire_scan_lf_size(&scan);
	return prepare_file(store, from, served, prepared, err);
}

static bool
prepare(struct store *store, struct slice from, bool served, struct body_prepared **out, struct error *err)
{
	SCOPED(body_prepared_destroy) struct body_prepared *prepared = body_prepared_create();
	const size_t most = served ? BODY_PACK_MAX : BODY_ROW_MAX;

	prepared->served = served;
	prepared->body.digest = digest_of(from, served);
	/* What is kept decides, and that is at least half of it. */
	if (from.length <= 2 * most) {
		prepare_row(from, served, prepared);
	}
	if (from.length > 2 * most || prepared->body.size_bytes > most) {
		buf_clear(&prepared->kept);
		if (!prepare_large(store, from, served, prepared, err)) {
			return error_wrap(err, "keeping a body of %zu octets", from.length);
		}
	}
	*out = prepared;
	prepared = NULL;
	return true;
}

bool
body_prepare_wire(struct store *store, struct spool *wire, struct body_prepared **out, struct error *err)
{
	struct slice view;

	return spool_view(wire, &view, err) && prepare(store, view, true, out, err);
}

bool
body_prepare_written(struct store *store, struct spool *written, struct body_prepared **out, struct error *err)
{
	struct slice view;

	return spool_view(written, &view, err) && prepare(store, wire_skip_mbox_line(view), false, out, err);
}
