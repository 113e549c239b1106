/* Schema steps by number (S7): each is one transaction that ends by noting its number in the file, so a crash leaves it done or not begun. */
#ifndef DB_MIGRATE_H
#define DB_MIGRATE_H

#include "engine/db/db.h"

struct migrate_step {
	unsigned number; /* 1, 2, 3 … */
	const char *sql;
};

/* Gives the number of the last step that was done; 0 for an empty file. ERROR_DAMAGED when the file is a database of some other program. */
bool migrate_version(struct db *db, uint32_t application_id, unsigned *out, struct error *err) MUST_CHECK;
/* Runs the steps above the file's number, in order. ERROR_FATAL when the file has a number above the last one: a newer program made it. The caller
 * keeps everybody else away. */
bool migrate_run(struct db *db, uint32_t application_id, const struct migrate_step *steps, size_t count,
	struct error *err) MUST_CHECK;

#endif
