/* Memory that ends together. Allocation never fails (running out aborts); everything is freed by arena_finish or arena_reset. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "engine/base/slice.h"

struct arena_block;

struct arena {
	struct arena_block *blocks;
	size_t used; /* octets handed out since the last reset */
};

#define ARENA_INIT ((struct arena){0})

void arena_finish(struct arena *arena);
/* Frees all but one block and starts anew. */
void arena_reset(struct arena *arena);
/* `size` octets, zeroed, aligned for any type. */
void *arena_alloc(struct arena *arena, size_t size);
/* A copy that is also NUL-terminated. */
struct slice arena_copy(struct arena *arena, struct slice s);
char *arena_text(struct arena *arena, struct slice s);

#endif
