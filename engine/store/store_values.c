/* Values in and out of statements. */
#include <stdlib.h>

#include "engine/store/store_internal.h"

bool
store_prepare(struct store_txn *txn, const char *sql, struct db_statement **out, struct error *err)
{
	return db_prepare(store_db(txn), sql, out, err);
}

bool
store_prepare_write(struct store_txn *txn, const char *sql, struct db_statement **out, struct error *err)
{
	assert(store_is_write(txn));
	return db_prepare(store_db(txn), sql, out, err);
}

void
store_bind_flags(struct db_statement *statement, int place, const struct flags *flags)
{
	db_bind_u64(statement, place, flags->bits);
	store_bind_text(statement, place + 1, flags->keywords);
}

struct flags
store_read_flags(const struct db_statement *statement, int column)
{
	return (struct flags){
		.bits = db_u32(statement, column) & FLAG_ALL, .keywords = store_read_text(statement, column + 1)};
}

void
store_bind_digest(struct db_statement *statement, int place, const struct digest *digest_or_null)
{
	if (digest_or_null != NULL) {
		db_bind_blob(statement, place, slice_make(digest_or_null->bytes, sizeof(digest_or_null->bytes)));
	} else {
		db_bind_null(statement, place);
	}
}

bool
store_read_digest(const struct db_statement *statement, int column, struct digest *out)
{
	struct slice octets = db_blob(statement, column);

	if (octets.length != sizeof(out->bytes)) {
		return false;
	}
	memcpy(out->bytes, octets.data, sizeof(out->bytes));
	return true;
}

void
store_bind_guid(struct db_statement *statement, int place, const struct guid *guid)
{
	db_bind_u64(statement, place, guid->kind);
	db_bind_blob_or_null(statement, place + 1, slice_make(guid->value, guid->kind != GUID_NONE ? guid->length : 0));
}

void
store_read_guid(const struct db_statement *statement, int column, struct guid *out)
{
	struct slice value = db_blob(statement, column + 1);
	uint32_t kind = db_u32(statement, column);

	*out = (struct guid){.kind = GUID_NONE};
	if (kind != GUID_NONE && kind <= UINT8_MAX && value.length > 0 && value.length <= GUID_VALUE_MAX) {
		out->kind = (uint8_t)kind;
		out->length = (uint8_t)value.length;
		memcpy(out->value, value.data, value.length);
	}
}

char *
store_read_text(const struct db_statement *statement, int column)
{
	return db_is_null(statement, column) ? NULL : slice_dup(db_blob(statement, column));
}

void
store_bind_text(struct db_statement *statement, int place, const char *text_or_null)
{
	if (text_or_null != NULL) {
		db_bind_text(statement, place, slice_of(text_or_null));
	} else {
		db_bind_null(statement, place);
	}
}
