#include "engine/io/fifo.h"

#include <assert.h>
#include <stdlib.h>

#define CAPACITY_STEP  4096u
#define EMPTY_KEEP_MAX (2u << 20) /* more than this is not kept for nothing */

void
fifo_finish(struct fifo *fifo)
{
	if (fifo->data != NULL && fifo->secret) {
		explicit_bzero(fifo->data, fifo->capacity);
	}
	free(fifo->data);
	*fifo = (struct fifo){.secret = fifo->secret};
}

/* Moves the content to the front of a larger memory. */
static void
grow(struct fifo *fifo, size_t size)
{
	size_t length = fifo_length(fifo), capacity;

	/* by a half of what is there at least, so that growing is rare */
	if (__builtin_add_overflow(length, size > length / 2 ? size : length / 2, &capacity) ||
		__builtin_add_overflow(capacity, CAPACITY_STEP - 1, &capacity)) {
		abort();
	}
	capacity -= capacity % CAPACITY_STEP;
	char *data = malloc(capacity);

	if (data == NULL) {
		abort();
	}
	if (length > 0) {
		memcpy(data, fifo->data + fifo->start, length);
	}
	fifo_finish(fifo);
	fifo->data = data;
	fifo->end = length;
	fifo->capacity = capacity;
}

char *
fifo_room(struct fifo *fifo, size_t size)
{
	size_t length = fifo_length(fifo);

	if (fifo->capacity - fifo->end >= size) {
		return fifo->data + fifo->end;
	}
	if (length <= fifo->start && fifo->capacity - length >= size) {
		memcpy(fifo->data, fifo->data + fifo->start, length);
		if (fifo->secret) {
			explicit_bzero(fifo->data + length, fifo->end - length);
		}
		fifo->start = 0;
		fifo->end = length;
	} else {
		grow(fifo, size);
	}
	return fifo->data + fifo->end;
}

void
fifo_added(struct fifo *fifo, size_t count)
{
	assert(count <= fifo->capacity - fifo->end);
	fifo->end += count;
}

void
fifo_append(struct fifo *fifo, struct slice data)
{
	if (data.length > 0) {
		memcpy(fifo_room(fifo, data.length), data.data, data.length);
		fifo_added(fifo, data.length);
	}
}

void
fifo_consume(struct fifo *fifo, size_t count)
{
	assert(count <= fifo_length(fifo));
	fifo->start += count;
	if (fifo->start != fifo->end) {
		return;
	}
	if (fifo->capacity > EMPTY_KEEP_MAX) {
		fifo_finish(fifo);
		return;
	}
	if (fifo->secret && fifo->end > 0) {
		explicit_bzero(fifo->data, fifo->end);
	}
	fifo->start = 0;
	fifo->end = 0;
}
