#include "engine/db/migrate.h"

#include <assert.h>
#include <stdio.h>

static bool
read_number(struct db *db, const char *sql, int64_t *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *statement = NULL;

	if (!db_prepare(db, sql, &statement, err)) {
		return false;
	}
	switch (db_step(statement, err)) {
	case DB_ROW:
		*out = db_i64(statement, 0);
		return true;
	case DB_DONE:
		return error_set(err, ERROR_FATAL, "%s gave no row", sql);
	case DB_FAILED:
		break;
	}
	return false;
}

bool
migrate_version(struct db *db, uint32_t application_id, unsigned *out, struct error *err)
{
	int64_t version = 0, application = 0, objects = 0;

	if (!read_number(db, "PRAGMA user_version", &version, err) ||
		!read_number(db, "PRAGMA application_id", &application, err) ||
		!read_number(db, "SELECT count(*) FROM sqlite_schema", &objects, err)) {
		return false;
	}
	if (version == 0 && objects == 0 && application == 0) {
		*out = 0;
		return true;
	}
	if (application != (int64_t)(int32_t)application_id || version <= 0 || version > INT32_MAX) {
		return error_set(err, ERROR_DAMAGED, "the database is not one of ours");
	}
	*out = (unsigned)version;
	return true;
}

static bool
run_step(struct db *db, uint32_t application_id, const struct migrate_step *step, struct error *err)
{
	char note[128];

	(void)snprintf(note, sizeof(note), "PRAGMA application_id=%d; PRAGMA user_version=%u;", (int)application_id,
		step->number);
	if (!db_begin_write(db, err)) {
		return false;
	}
	if (!db_exec(db, step->sql, err) || !db_exec(db, note, err)) {
		db_rollback(db);
		return false;
	}
	return db_commit(db, err);
}

bool
migrate_run(struct db *db, uint32_t application_id, const struct migrate_step *steps, size_t count, struct error *err)
{
	unsigned version;

	assert(count > 0);
	if (!migrate_version(db, application_id, &version, err)) {
		return false;
	}
	if (version > steps[count - 1].number) {
		return error_set(err, ERROR_FATAL,
			"the store has schema %u and this program knows %u: a newer mailfs made it, use that one",
			version, steps[count - 1].number);
	}
	for (size_t i = 0; i < count; i++) {
		assert(steps[i].number == i + 1);
		if (steps[i].number > version && !run_step(db, application_id, &steps[i], err)) {
			return error_wrap(err, "schema step %u", steps[i].number);
		}
	}
	return true;
}
