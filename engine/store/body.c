/* Bodies: rows, and reading them back. */
#include "engine/store/body.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/mime/wire.h"
#include "engine/store/body_internal.h"

#define COLUMNS     "id, digest, raw, damaged, size, wire_size, data IS NULL AND pack IS NULL, pack, place"
#define PIECE_BYTES (256u << 10)

void
body_file_name(const struct digest *digest, char out[BODY_NAME_BYTES])
{
	char hex[SHA256_HEX_BYTES];

	digest_to_hex(digest, hex);
	(void)snprintf(out, BODY_NAME_BYTES, "bodies/%.2s/%s", hex, hex + 2);
}

void
body_file_directory(const struct digest *digest, char out[BODY_NAME_BYTES])
{
	body_file_name(digest, out);
	out[sizeof("bodies/ab") - 1] = '\0';
}

/* --- rows --- */

static bool
read_row(const struct db_statement *row, struct body *out, struct error *err)
{
	*out = (struct body){
		.id = db_u64(row, 0),
		.raw = db_bool(row, 2),
		.damaged = db_bool(row, 3),
		.size_bytes = db_u64(row, 4),
		.wire_size_bytes = db_u64(row, 5),
		.is_file = db_bool(row, 6),
		.pack = db_u64(row, 7),
		.place = db_u64(row, 8),
	};
	return store_read_digest(row, 1, &out->digest) || error_set(err, ERROR_DAMAGED, "a body's digest is none");
}

static bool
load_row(struct db_statement *select, struct body *out, struct error *err)
{
	switch (db_step(select, err)) {
	case DB_ROW:
		return read_row(select, out, err);
	case DB_DONE:
		return error_set(err, ERROR_GONE, "there is no such body");
	case DB_FAILED:
		break;
	}
	return false;
}

bool
body_load(struct store_txn *txn, uint64_t id, struct body *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn, "SELECT " COLUMNS " FROM body WHERE id = ?", &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, id);
	return load_row(select, out, err);
}

bool
body_find(struct store_txn *txn, const struct digest *digest, struct body *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn, "SELECT " COLUMNS " FROM body WHERE digest = ?", &select, err)) {
		return false;
	}
	store_bind_digest(select, 1, digest);
	return load_row(select, out, err);
}

/* A file that was put in place may have been swept since, if that took an hour. */
static bool
check_file(struct store_txn *txn, const struct body *body, struct error *err)
{
	char name[BODY_NAME_BYTES];
	struct io_stat st;

	if (!body->is_file) {
		return true;
	}
	body_file_name(&body->digest, name);
	if (!io_stat(store_dir(store_of(txn)), name, &st, err)) {
		return err->kind == ERROR_GONE
			       ? error_set(err, ERROR_RETRY, "the file of a body was swept before it was used")
			       : false;
	}
	return st.size_bytes == body->size_bytes ||
	       error_set(err, ERROR_RETRY, "the file of a body changed before it was used");
}

/* Three places: data, pack, place. */
static void
bind_content(struct db_statement *statement, int first, const struct body_prepared *prepared)
{
	if (prepared->body.is_file || prepared->body.pack != 0) {
		db_bind_null(statement, first);
	} else {
		db_bind_blob(statement, first, buf_slice(&prepared->kept));
	}
	if (prepared->body.pack != 0) {
		db_bind_u64(statement, first + 1, prepared->body.pack);
		db_bind_u64(statement, first + 2, prepared->body.place);
	} else {
		db_bind_null(statement, first + 1);
		db_bind_null(statement, first + 2);
	}
}

/* The equal body that is there: wanted again, and healed by the bytes in hand if it was damaged. */
static bool
use_equal(struct store_txn *txn, const struct body_prepared *prepared, uint64_t *out_id, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;
	SCOPED(db_end) struct db_statement *select = NULL;
	bool damaged, swept;

	if (!store_prepare(txn, "SELECT id, damaged, swept IS NOT NULL FROM body WHERE digest = ?", &select, err)) {
		return false;
	}
	store_bind_digest(select, 1, &prepared->body.digest);
	enum db_row row = db_step(select, err);

	if (row != DB_ROW) {
		return row == DB_DONE && error_set(err, ERROR_FATAL, "a body is neither there nor can it be put");
	}
	*out_id = db_u64(select, 0);
	damaged = db_bool(select, 1);
	swept = db_bool(select, 2);
	db_end(&select);
	if (!damaged && !swept) {
		return true;
	}
	if (!store_prepare_write(txn,
		    "UPDATE body SET raw = ?, size = ?, wire_size = ?, data = ?, pack = ?, place = ?, damaged = 0, "
		    "swept = NULL WHERE id = ?",
		    &update, err)) {
		return false;
	}
	db_bind_bool(update, 1, prepared->body.raw);
	db_bind_u64(update, 2, prepared->body.size_bytes);
	db_bind_u64(update, 3, prepared->body.wire_size_bytes);
	bind_content(update, 4, prepared);
	db_bind_u64(update, 7, *out_id);
	return db_run(update, err);
}

bool
body_put(struct store_txn *txn, const struct body_prepared *prepared, uint64_t *out_id, struct error *err)
{
	SCOPED(db_end) struct db_statement *insert = NULL;

	if (!check_file(txn, &prepared->body, err) || !store_prepare_write(txn,
							      "INSERT INTO body (digest, raw, size, wire_size, data, "
							      "pack, place) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT "
							      "(digest) DO NOTHING",
							      &insert, err)) {
		return false;
	}
	store_bind_digest(insert, 1, &prepared->body.digest);
	db_bind_bool(insert, 2, prepared->body.raw);
	db_bind_u64(insert, 3, prepared->body.size_bytes);
	db_bind_u64(insert, 4, prepared->body.wire_size_bytes);
	bind_content(insert, 5, prepared);
	if (!db_run(insert, err)) {
		return error_wrap(err, "keeping a body");
	}
	if (db_changes(store_db(txn)) == 0) {
		return use_equal(txn, prepared, out_id, err);
	}
	*out_id = db_last_rowid(store_db(txn));
	return true;
}

bool
body_set_damaged(struct store_txn *txn, uint64_t id, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;

	if (!store_prepare_write(txn, "UPDATE body SET damaged = 1 WHERE id = ? AND damaged = 0", &update, err)) {
		return false;
	}
	db_bind_u64(update, 1, id);
	if (!db_run(update, err)) {
		return false;
	}
	if (db_changes(store_db(txn)) > 0) {
		log_warn("store", "event=body-damaged body=%llu", (unsigned long long)id);
	}
	body_verified_set(store_body_verified(store_of(txn)), id, false);
	return true;
}

/* --- reading --- */

struct body_reader {
	struct io *io;
	char *memory; /* of a row, or of a pack */
	int fd;       /* of a file, else -1 */
	uint64_t size_bytes;
};

static bool
damaged(const struct body *body, const char *how, struct error *err)
{
	char hex[SHA256_HEX_BYTES];

	digest_to_hex(&body->digest, hex);
	return error_set(err, ERROR_DAMAGED, "the body %.12s… %s", hex, how);
}

static bool
open_file(struct store_txn *txn, const struct body *body, struct body_reader *reader, struct error *err)
{
	char name[BODY_NAME_BYTES];
	uint64_t size_bytes;

	body_file_name(&body->digest, name);
	if (!io_open(store_dir(store_of(txn)), name, O_RDONLY, &reader->fd, err)) {
		return err->kind == ERROR_GONE ? damaged(body, "has lost its file", err) : false;
	}
	if (!io_file_size(reader->io, reader->fd, &size_bytes, err)) {
		return false;
	}
	return size_bytes == body->size_bytes || damaged(body, "has a file of another size", err);
}

static bool
check_octets(const struct body_reader *reader, const struct body *body, struct error *err)
{
	SCOPED(buf_finish) struct buf piece = BUF_INIT;
	SCOPED(sha256_destroy) struct sha256 *sha = sha256_create();
	struct wire_state state = WIRE_STATE_INIT;
	uint64_t offset = 0;

	buf_reserve(&piece, PIECE_BYTES);
	while (offset < reader->size_bytes) {
		size_t got;

		if (!body_reader_read(reader, piece.data, PIECE_BYTES, offset, &got, err)) {
			return false;
		}
		if (got == 0) {
			break;
		}
		if (body->raw) {
			sha256_update(sha, slice_make(piece.data, got));
		} else {
			wire_digest_piece(&state, slice_make(piece.data, got), sha);
		}
		offset += got;
	}
	struct digest digest = sha256_final(sha);

	return digest_equal(&digest, &body->digest) || damaged(body, "does not have its digest", err);
}

static bool
check_memory(const struct body_reader *reader, const struct body *body, struct error *err)
{
	struct digest digest = wire_digest_of_kept(
		slice_make(reader->memory, reader->size_bytes), body->raw ? WIRE_FORM_RAW : WIRE_FORM_LF);

	return digest_equal(&digest, &body->digest) || damaged(body, "does not have its digest", err);
}

static bool
open_packed(struct store_txn *txn, const struct body *body, struct body_reader *reader, struct error *err)
{
	size_t got = 0;

	if (body->size_bytes > BODY_PACK_MAX) {
		return damaged(body, "is larger than a packed one can be", err);
	}
	reader->memory = malloc((size_t)body->size_bytes + 1);
	if (reader->memory == NULL) {
		abort();
	}
	if (!body_pack_read(store_body_packs(store_of(txn)), body, reader->memory, &got, err)) {
		return err->kind == ERROR_GONE ? damaged(body, "has lost its pack", err) : false;
	}
	return got == body->size_bytes || damaged(body, "is not whole in its pack", err);
}

/* Opens what the row tells; `select` stands on it. */
static bool
open_row(struct store_txn *txn, const struct db_statement *select, struct body *out_body, struct body_reader *reader,
	struct error *err)
{
	if (!read_row(select, out_body, err)) {
		return false;
	}
	if (out_body->damaged) {
		return damaged(out_body, "is damaged", err);
	}
	reader->size_bytes = out_body->size_bytes;
	if (out_body->is_file) {
		return open_file(txn, out_body, reader, err);
	}
	if (out_body->pack != 0) {
		return open_packed(txn, out_body, reader, err);
	}
	struct slice data = db_blob(select, 9);

	if (data.length != out_body->size_bytes) {
		return damaged(out_body, "has another size", err);
	}
	reader->memory = slice_dup(data);
	return true;
}

static bool
open_body(struct store_txn *txn, uint64_t id, struct body *out_body, struct body_reader *reader, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn, "SELECT " COLUMNS ", data FROM body WHERE id = ?", &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, id);
	enum db_row row = db_step(select, err);

	if (row != DB_ROW) {
		return row == DB_DONE && error_set(err, ERROR_GONE, "there is no such body");
	}
	return open_row(txn, select, out_body, reader, err);
}

static bool
open_checked(struct store_txn *txn, uint64_t id, bool again, struct body *out_body, struct body_reader **out,
	struct error *err)
{
	struct body_verified *verified = store_body_verified(store_of(txn));
	SCOPED(body_reader_close) struct body_reader *reader = calloc(1, sizeof(*reader));

	if (reader == NULL) {
		abort();
	}
	reader->io = store_io(store_of(txn));
	reader->fd = -1;
	if (!open_body(txn, id, out_body, reader, err)) {
		return false;
	}
	if (again || !body_verified_has(verified, id)) {
		if (!(out_body->is_file ? check_octets(reader, out_body, err) : check_memory(reader, out_body, err))) {
			return false;
		}
		body_verified_set(verified, id, true);
	}
	*out = reader;
	reader = NULL;
	return true;
}

bool
body_open(struct store_txn *txn, uint64_t id, struct body_reader **out, struct error *err)
{
	struct body body;

	return open_checked(txn, id, false, &body, out, err);
}

void
body_reader_close(struct body_reader **reader)
{
	if (reader == NULL || *reader == NULL) {
		return;
	}
	io_close((*reader)->io, &(*reader)->fd);
	free((*reader)->memory);
	free(*reader);
	*reader = NULL;
}

uint64_t
body_reader_size(const struct body_reader *reader)
{
	return reader->size_bytes;
}

struct slice
body_reader_memory(const struct body_reader *reader)
{
	return slice_make(reader->memory, reader->memory != NULL ? reader->size_bytes : 0);
}

int
body_reader_fd(const struct body_reader *reader)
{
	return reader->fd;
}

bool
body_reader_read(
	const struct body_reader *reader, void *out, size_t size, uint64_t offset, size_t *out_got, struct error *err)
{
	if (reader->memory == NULL) {
		return io_pread(reader->io, reader->fd, out, size, offset, out_got, err);
	}
	uint64_t left = offset < reader->size_bytes ? reader->size_bytes - offset : 0;
	size_t count = size < left ? size : (size_t)left;

	if (count > 0) {
		memcpy(out, reader->memory + offset, count);
	}
	*out_got = count;
	return true;
}

/* --- on its way out --- */

static bool
copy_wire(const struct body_reader *reader, const struct body *body, struct spool *wire, struct error *err)
{
	SCOPED(buf_finish) struct buf piece = BUF_INIT;
	SCOPED(buf_finish) struct buf turned = BUF_INIT;
	struct wire_state state = WIRE_STATE_INIT;

	buf_reserve(&piece, PIECE_BYTES);
	for (uint64_t offset = 0; offset < reader->size_bytes;) {
		size_t got;

		if (!body_reader_read(reader, piece.data, PIECE_BYTES, offset, &got, err)) {
			return false;
		}
		if (got == 0) {
			return damaged(body, "has become shorter", err);
		}
		buf_clear(&turned);
		if (body->raw) {
			buf_append(&turned, slice_make(piece.data, got));
		} else {
			wire_from_lf(&state, slice_make(piece.data, got), &turned);
		}
		if (!spool_append(wire, buf_slice(&turned), err)) {
			return false;
		}
		offset += got;
	}
	return spool_size(wire) == body->wire_size_bytes || damaged(body, "has another size on the wire", err);
}

bool
body_to_wire(struct store_txn *txn, uint64_t id, struct spool **out, struct error *err)
{
	SCOPED(body_reader_close) struct body_reader *reader = NULL;
	SCOPED(spool_close) struct spool *wire = NULL;
	struct body body;

	/* What is sent is checked each time: nobody would look at it again. */
	if (!open_checked(txn, id, true, &body, &reader, err)) {
		return false;
	}
	wire = spool_create(store_dir(store_of(txn)));
	if (!copy_wire(reader, &body, wire, err)) {
		return error_wrap(err, "a body to be sent");
	}
	*out = wire;
	wire = NULL;
	return true;
}
