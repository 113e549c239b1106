/* Bodies by digest, in the form in which they are presented (S4, S5): what came from the remote lies in packs, what was written here in rows of the database, and
 * large ones are files. */
#ifndef STORE_BODY_H
#define STORE_BODY_H

#include "engine/base/sha256.h"
#include "engine/io/spool.h"
#include "engine/store/store.h"

#define BODY_ROW_MAX  (128u << 10) /* of what was written here; larger ones are files */
#define BODY_PACK_MAX (1u << 20)   /* of what was served; larger ones are files */

struct body {
	uint64_t id;
	struct digest digest;
	bool raw;
	bool damaged;
	uint64_t size_bytes; /* kept form */
	uint64_t wire_size_bytes;
	bool is_file;
	uint64_t pack, place; /* of which pack, at which octet; pack 0: of none */
};

/* A body ready to be put: `kept` in its kept form. Large ones have been written, fsynced and renamed into place by body_prepare before the
 * transaction begins, so that nothing but a row is left to do in it. */
struct body_prepared;
/* From wire bytes (as served) or from bytes a user wrote (`written`: LF without CR will become CRLF in wire form). Takes a memory slice or a spool. */
bool body_prepare_wire(struct store *store, struct spool *wire, struct body_prepared **out, struct error *err)
	MUST_CHECK;
bool body_prepare_written(struct store *store, struct spool *written, struct body_prepared **out, struct error *err)
	MUST_CHECK;
void body_prepared_destroy(struct body_prepared **prepared);
/* What it will be; id is 0. */
const struct body *body_prepared_get(const struct body_prepared *prepared);
/* The first octets of the kept form, up to 256 KiB: the header is in them. */
struct slice body_prepared_head(const struct body_prepared *prepared);
/* Appends to a pack what of these was served, so that a few octets are left to do in the transaction. What is not packed becomes a row. Not within a transaction. */
bool body_pack(struct store *store, struct body_prepared *const *bodies, size_t count, struct error *err) MUST_CHECK;
/* Puts the row, or finds the equal one that is there; gives its id. Also heals a damaged row with the same digest. */
bool body_put(struct store_txn *txn, const struct body_prepared *prepared, uint64_t *out_id, struct error *err)
	MUST_CHECK;

bool body_load(struct store_txn *txn, uint64_t id, struct body *out, struct error *err) MUST_CHECK; /* ERROR_GONE */
bool body_find(struct store_txn *txn, const struct digest *digest, struct body *out, struct error *err)
	MUST_CHECK; /* ERROR_GONE */
/* An open body: stays readable after every row is gone. Verified against its digest when opened the first time in a process? see body.c; ERROR_DAMAGED. */
struct body_reader;
bool body_open(struct store_txn *txn, uint64_t id, struct body_reader **out, struct error *err) MUST_CHECK;
void body_reader_close(struct body_reader **reader);
uint64_t body_reader_size(const struct body_reader *reader);
/* The whole kept form when it is in memory (rows, packs); else data NULL and `fd` to pread. */
struct slice body_reader_memory(const struct body_reader *reader);
int body_reader_fd(const struct body_reader *reader);
bool body_reader_read(const struct body_reader *reader, void *out, size_t size, uint64_t offset, size_t *out_got,
	struct error *err) MUST_CHECK;
/* Its wire form into a fresh spool, for an upload. */
bool body_to_wire(struct store_txn *txn, uint64_t id, struct spool **out, struct error *err) MUST_CHECK;
/* Marks it as not to be trusted: its messages are to be fetched again (S5). */
bool body_set_damaged(struct store_txn *txn, uint64_t id, struct error *err) MUST_CHECK;

#endif
