/* What the files of bodies share: body.c (rows and reading), body_prepare.c (bytes on their way in), store_sweep.c. */
#ifndef STORE_BODY_INTERNAL_H
#define STORE_BODY_INTERNAL_H

#include "engine/store/body.h"
#include "engine/store/store_internal.h"

#define BODY_PACK_NAME_BYTES sizeof("bodies/packs/0123456789abcdef")
#define BODY_NAME_BYTES      (sizeof("bodies/ab/") + 62 + 1)

/* "bodies/ab/cdef…", and only its directory. */
void body_file_name(const struct digest *digest, char out[BODY_NAME_BYTES]);
void body_file_directory(const struct digest *digest, char out[BODY_NAME_BYTES]);

struct body_prepared {
	struct body body;
	struct buf kept; /* its head of a file; else all of it */
	bool served;     /* by the remote, which can serve it again */
};

struct body_prepared *body_prepared_create(void);

/* --- body_pack.c: the packs of a store --- */
struct body_packs;
struct body_packs *body_packs_create(struct store *store);
void body_packs_destroy(struct body_packs **packs);
struct body_packs *store_body_packs(struct store *store);
void body_pack_name(uint64_t pack, char out[BODY_PACK_NAME_BYTES]);
uint64_t body_pack_number(const char *name); /* of a name in bodies/packs; 0: it is none of ours */
#define BODY_PACK_SLOTS 16                   /* processes that append at once; the others write rows */
/* Makes durable what was appended. */
bool body_packs_sync(struct body_packs *packs, struct error *err) MUST_CHECK;
/* Reads a body of at most BODY_PACK_MAX; less where the pack ends before it. ERROR_GONE: there is no such pack. */
bool body_pack_read(struct body_packs *packs, const struct body *body, char *out, size_t *out_got, struct error *err)
	MUST_CHECK;
bool body_pack_remove(struct body_packs *packs, uint64_t pack, struct error *err) MUST_CHECK;

/* Which bodies this process has read and found whole. One octet of memory for eight of them, at most VERIFIED_MAX. */
struct body_verified;
struct body_verified *body_verified_create(void);
void body_verified_destroy(struct body_verified **verified);
bool body_verified_has(struct body_verified *verified, uint64_t id);
void body_verified_set(struct body_verified *verified, uint64_t id, bool whole);
/* The store's own. */
struct body_verified *store_body_verified(struct store *store);

#endif
