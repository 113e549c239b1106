/* What the files of bodies share: body.c (rows and reading), body_prepare.c (bytes on their way in), store_sweep.c. */
#ifndef STORE_BODY_INTERNAL_H
#define STORE_BODY_INTERNAL_H

#include "engine/store/body.h"
#include "engine/store/store_internal.h"

#define BODY_NAME_BYTES (sizeof("bodies/ab/") + 62 + 1)

/* "bodies/ab/cdef…", and only its directory. */
void body_file_name(const struct digest *digest, char out[BODY_NAME_BYTES]);
void body_file_directory(const struct digest *digest, char out[BODY_NAME_BYTES]);

struct body_prepared {
	struct body body;
	struct buf kept; /* all of it where it becomes a row; else its head */
};

/* Which bodies this process has read and found whole. One octet of memory for eight of them, at most VERIFIED_MAX. */
struct body_verified;
struct body_verified *body_verified_create(void);
void body_verified_destroy(struct body_verified **verified);
bool body_verified_has(struct body_verified *verified, uint64_t id);
void body_verified_set(struct body_verified *verified, uint64_t id, bool whole);
/* The store's own. */
struct body_verified *store_body_verified(struct store *store);

#endif
