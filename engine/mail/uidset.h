/* A set of UIDs as sorted, disjoint ranges that never touch. Ranges from outside are never expanded (RFC 9051, sequence-set). */
#ifndef MAIL_UIDSET_H
#define MAIL_UIDSET_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/scope.h"
#include "engine/base/slice.h"

struct uid_range {
	uint32_t first; /* 1.. */
	uint32_t last;  /* >= first */
};

struct uidset {
	struct uid_range *ranges;
	size_t count;
	size_t capacity;
};

#define UIDSET_INIT       ((struct uidset){0})
#define UIDSET_RANGES_MAX 1000000

void uidset_finish(struct uidset *set);
void uidset_clear(struct uidset *set);
/* Adds first..last in either order; both at least 1. Cheap at the end, O(n) in the middle. */
void uidset_add(struct uidset *set, uint32_t first, uint32_t last);
/* Takes first..last away. */
void uidset_remove(struct uidset *set, uint32_t first, uint32_t last);
bool uidset_contains(const struct uidset *set, uint32_t uid);
/* How many UIDs it holds. */
uint64_t uidset_size(const struct uidset *set);
/* Reads "1:5,7,9:12" (`*` is refused); false if it is no set, holds 0 or has more than UIDSET_RANGES_MAX ranges. Adds to the set. */
bool uidset_parse(struct uidset *set, struct slice text) MUST_CHECK;
/* Appends the same form. */
void uidset_print(const struct uidset *set, struct buf *out);
/* Walks: *uid begins as 0; gives the next UID above it; false at the end. O(log n). */
bool uidset_next(const struct uidset *set, uint32_t *uid);

/* Keeps only what both hold. */
void uidset_intersect(struct uidset *set, const struct uidset *other);

#endif
