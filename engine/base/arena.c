#include "engine/base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

#define BLOCK_BYTES ((size_t)16 * 1024)

struct arena_block {
	struct arena_block *next;
	size_t size; /* of data */
	size_t used;
	alignas(max_align_t) char data[];
};

static struct arena_block *
create_block(size_t size, struct arena_block *next)
{
	struct arena_block *block = size > SIZE_MAX - sizeof(*block) ? NULL : malloc(sizeof(*block) + size);

	if (block == NULL) {
		abort();
	}
	block->next = next;
	block->size = size;
	block->used = 0;
	return block;
}

void
arena_finish(struct arena *arena)
{
	if (arena == NULL) {
		return;
	}
	while (arena->blocks != NULL) {
		struct arena_block *block = arena->blocks;

		arena->blocks = block->next;
		free(block);
	}
	arena->used = 0;
}

/* Keeps a block of the usual size, so that one large run does not hold its memory for ever. */
void
arena_reset(struct arena *arena)
{
	struct arena_block *kept = NULL;

	while (arena->blocks != NULL) {
		struct arena_block *block = arena->blocks;

		arena->blocks = block->next;
		if (kept == NULL && block->size == BLOCK_BYTES) {
			kept = block;
		} else {
			free(block);
		}
	}
	if (kept != NULL) {
		kept->next = NULL;
		kept->used = 0;
	}
	arena->blocks = kept;
	arena->used = 0;
}

void *
arena_alloc(struct arena *arena, size_t size)
{
	const size_t step = alignof(max_align_t);
	struct arena_block *block = arena->blocks;
	size_t rounded;
	void *memory;

	if (size > SIZE_MAX - step) {
		abort();
	}
	rounded = (size + step - 1) / step * step;
	if (block == NULL || block->size - block->used < rounded) {
		if (block != NULL && rounded > BLOCK_BYTES / 4) {
			/* A large piece gets a block behind the first, whose free rest stays in use. */
			block->next = create_block(rounded, block->next);
			block = block->next;
		} else {
			block = create_block(rounded > BLOCK_BYTES ? rounded : BLOCK_BYTES, block);
			arena->blocks = block;
		}
	}
	memory = block->data + block->used;
	block->used += rounded;
	arena->used += size;
	memset(memory, 0, size);
	return memory;
}

struct slice
arena_copy(struct arena *arena, struct slice s)
{
	return slice_make(arena_text(arena, s), s.length);
}

char *
arena_text(struct arena *arena, struct slice s)
{
	char *text = arena_alloc(arena, s.length < SIZE_MAX ? s.length + 1 : SIZE_MAX);

	if (s.length > 0) {
		memcpy(text, s.data, s.length);
	}
	return text;
}
