/* Octets in a row: put in behind, taken out in front, both without moving what lies between. What is left is moved only when room is wanted
 * behind it and more than that was taken out since the last move, so that every octet is moved a bounded number of times.
 *
 * Bounding the length is the owner's work. Running out of memory aborts.
 */
#ifndef IO_FIFO_H
#define IO_FIFO_H

#include "engine/base/slice.h"

struct fifo {
	char *data;
	size_t start, end, capacity; /* the content is data[start..end) */
	bool secret;                 /* what was taken out is wiped, at the latest when the fifo is empty */
};

void fifo_finish(struct fifo *fifo);

static inline size_t
fifo_length(const struct fifo *fifo)
{
	return fifo->end - fifo->start;
}

/* The content; valid until fifo_room, fifo_append or fifo_finish. */
static inline struct slice
fifo_view(const struct fifo *fifo)
{
	return slice_make(fifo->data + fifo->start, fifo_length(fifo));
}

/* Makes room for `size` octets behind the content, for the caller to write into; fifo_added tells how many of them came. */
char *fifo_room(struct fifo *fifo, size_t size);
void fifo_added(struct fifo *fifo, size_t count);
void fifo_append(struct fifo *fifo, struct slice data);
/* Takes out the first `count` octets; a large memory that is empty then is given back. */
void fifo_consume(struct fifo *fifo, size_t count);

#endif
