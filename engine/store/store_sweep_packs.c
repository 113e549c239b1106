/* Upkeep of packs (S5): what nobody needs gives its room back.
 *
 * A pack of which less than half is needed is copied out, a few bodies in each call, to the end of another. One that no row refers to goes in two steps, as a
 * file does: it is noted with the running time, and when still nothing refers to it an hour of running time later it is removed. By then nobody reads
 * from an older snapshot. The pack of a slot that is appended to (body_pack.c) is left alone.
 */
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/store/store_parts.h"

#define PACKS_MAX   4096u /* looked at in one call */
#define WAIT_S      3600
#define MOVES_MAX   500u
#define MOVES_BYTES (8u << 20)

struct packs {
	uint64_t ids[PACKS_MAX];
	size_t count;
	uint64_t highest[BODY_PACK_SLOTS]; /* these are appended to */
};

static bool
note_pack(void *context, const char *name)
{
	struct packs *packs = context;
	uint64_t pack = body_pack_number(name), *highest = &packs->highest[pack % BODY_PACK_SLOTS];

	if (pack == 0) {
		return true;
	}
	*highest = pack > *highest ? pack : *highest;
	if (packs->count < PACKS_MAX) {
		packs->ids[packs->count++] = pack;
	}
	return true;
}

/* Of a pack: how many octets are needed, and since when it is noted as empty (0: it is not). */
static bool
look_at(struct store *store, uint64_t pack, uint64_t *out_needed, uint64_t *out_swept, uint64_t *out_now,
	struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_read_begin(store, &txn, err) || !store_meta_get_u64(txn, "running_s", out_now, err) ||
		!store_prepare(txn,
			"SELECT (SELECT total(size) FROM body WHERE pack = ?1), (SELECT swept + 1 FROM pack WHERE id = "
			"?1)",
			&select, err)) {
		return false;
	}
	db_bind_u64(select, 1, pack);
	if (db_step(select, err) != DB_ROW) {
		return false;
	}
	*out_needed = db_u64(select, 0);
	*out_swept = db_u64(select, 1);
	return true;
}

static bool
write_one(struct store *store, const char *sql, uint64_t first, uint64_t second, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	SCOPED(db_end) struct db_statement *statement = NULL;

	if (!store_write_begin(store, STORE_ENGINE, &txn, err) || !store_prepare_write(txn, sql, &statement, err)) {
		return false;
	}
	db_bind_u64(statement, 1, first);
	db_bind_u64(statement, 2, second);
	if (!db_run(statement, err)) {
		return false;
	}
	db_end(&statement);
	return store_write_commit(&txn, STORE_LAZY, err);
}

static bool
forget_note(struct store *store, uint64_t pack, struct error *err)
{
	return write_one(store, "DELETE FROM pack WHERE id = ?1 AND ?2 = 0", pack, 0, err);
}

static bool
sweep_empty(struct store *store, uint64_t pack, uint64_t swept, uint64_t now_s, struct error *err)
{
	if (swept == 0) {
		return write_one(store, "INSERT OR IGNORE INTO pack (id, swept) VALUES (?1, ?2)", pack, now_s, err);
	}
	if (now_s < swept - 1 + WAIT_S) {
		return true;
	}
	log_info("store", "event=pack-removed pack=%016llx", (unsigned long long)pack);
	return body_pack_remove(store->packs, pack, err) && forget_note(store, pack, err);
}

/* --- copying out --- */

struct moves {
	struct body bodies[MOVES_MAX];
	struct body_prepared *prepared[MOVES_MAX];
	size_t count;
};

static void
moves_finish(struct moves **moves)
{
	if (*moves != NULL) {
		for (size_t i = 0; i < (*moves)->count; i++) {
			body_prepared_destroy(&(*moves)->prepared[i]);
		}
	}
	free(*moves);
	*moves = NULL;
}

static bool
read_moves(struct store *store, uint64_t pack, struct moves *moves, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	SCOPED(db_end) struct db_statement *select = NULL;
	enum db_row row = DB_DONE;
	uint64_t octets = 0;

	if (!store_read_begin(store, &txn, err) ||
		!store_prepare(txn, "SELECT id, place, size FROM body WHERE pack = ? ORDER BY place", &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, pack);
	while (moves->count < MOVES_MAX && octets < MOVES_BYTES && (row = db_step(select, err)) == DB_ROW) {
		struct body body = {
			.id = db_u64(select, 0),
			.pack = pack,
			.place = db_u64(select, 1),
			.size_bytes = db_u64(select, 2),
		};
		struct body_prepared *prepared;
		size_t got = 0;

		if (body.size_bytes > BODY_PACK_MAX) {
			return error_set(err, ERROR_DAMAGED, "a body in a pack is larger than it can be");
		}
		prepared = body_prepared_create();

		moves->bodies[moves->count] = body;
		moves->prepared[moves->count++] = prepared;
		prepared->served = true;
		buf_reserve(&prepared->kept, (size_t)body.size_bytes);
		if (!body_pack_read(store->packs, &body, prepared->kept.data, &got, err)) {
			return false;
		}
		/* What is not there is no better elsewhere: who reads it finds that out. */
		memset(prepared->kept.data + got, 0, (size_t)body.size_bytes - got + 1);
		prepared->kept.length = (size_t)body.size_bytes;
		octets += body.size_bytes;
	}
	return row != DB_FAILED;
}

static bool
write_moves(struct store *store, const struct moves *moves, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	SCOPED(db_end) struct db_statement *update = NULL;

	if (!store_write_begin(store, STORE_ENGINE, &txn, err) ||
		!store_prepare_write(txn, "UPDATE body SET pack = ?, place = ? WHERE id = ? AND pack = ? AND place = ?",
			&update, err)) {
		return false;
	}
	for (size_t i = 0; i < moves->count; i++) {
		db_bind_u64(update, 1, moves->prepared[i]->body.pack);
		db_bind_u64(update, 2, moves->prepared[i]->body.place);
		db_bind_u64(update, 3, moves->bodies[i].id);
		db_bind_u64(update, 4, moves->bodies[i].pack);
		db_bind_u64(update, 5, moves->bodies[i].place);
		if (!db_run(update, err)) {
			return false;
		}
	}
	db_end(&update);
	return store_write_commit(&txn, STORE_LAZY, err);
}

static bool
copy_out(struct store *store, uint64_t pack, struct error *err)
{
	SCOPED(moves_finish) struct moves *moves = calloc(1, sizeof(*moves));

	if (moves == NULL) {
		abort();
	}
	return read_moves(store, pack, moves, err) && body_pack(store, moves->prepared, moves->count, err) &&
	       write_moves(store, moves, err);
}

/* --- all of them --- */

static bool
sweep_pack(struct store *store, uint64_t pack, bool *copied, struct error *err)
{
	uint64_t needed, swept, now_s;
	char name[BODY_PACK_NAME_BYTES];
	struct io_stat st;

	body_pack_name(pack, name);
	if (!look_at(store, pack, &needed, &swept, &now_s, err)) {
		return false;
	}
	if (!io_stat(store->dir, name, &st, err)) {
		return err->kind == ERROR_GONE;
	}
	if (needed == 0) {
		return sweep_empty(store, pack, swept, now_s, err);
	}
	if (swept != 0 && !forget_note(store, pack, err)) {
		return false;
	}
	if (*copied || needed >= st.size_bytes / 2) {
		return true;
	}
	*copied = true;
	return copy_out(store, pack, err);
}

bool
store_sweep_packs(struct store *store, struct error *err)
{
	struct packs *packs = calloc(1, sizeof(*packs));
	bool copied = false, done;

	if (packs == NULL) {
		abort();
	}
	done = io_list(store->dir, "bodies/packs", note_pack, packs, err) || err->kind == ERROR_GONE;
	if (done) {
		error_clear(err); /* there are none yet */
	}
	for (size_t i = 0; done && i < packs->count; i++) {
		if (packs->ids[i] != packs->highest[packs->ids[i] % BODY_PACK_SLOTS]) {
			done = sweep_pack(store, packs->ids[i], &copied, err);
		}
	}
	free(packs);
	return done;
}
