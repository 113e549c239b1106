/* Bytes that grow. A buf owns its memory; `buf_finish` frees it. Running out of memory aborts (see style: sizes from outside meet
 * a limit before they reach here). The data is kept NUL-terminated one past its length, so it can be printed.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "engine/base/scope.h"
#include "engine/base/slice.h"

struct buf {
	char *data;
	size_t length;
	size_t capacity;
};

#define BUF_INIT ((struct buf){0})

void buf_init(struct buf *buf);
/* Frees the memory; the buf is empty and usable afterwards. */
void buf_finish(struct buf *buf);
/* Sets the length to 0, keeps the memory. */
void buf_clear(struct buf *buf);
/* Makes room for `extra` more octets. */
void buf_reserve(struct buf *buf, size_t extra);
void buf_append(struct buf *buf, struct slice s);
void buf_append_octet(struct buf *buf, char octet);
void buf_append_text(struct buf *buf, const char *text);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
void buf_append_u64(struct buf *buf, uint64_t value);
/* Drops the first `count` octets, moving the rest down. */
void buf_consume(struct buf *buf, size_t count);
/* Cuts the length to `length`, which must not be larger than it is. */
void buf_truncate(struct buf *buf, size_t length);
/* Gives the memory away as a NUL-terminated string, to be freed by the caller; the buf is empty afterwards. Never NULL. */
char *buf_take(struct buf *buf);

static inline struct slice
buf_slice(const struct buf *buf)
{
	return (struct slice){.data = buf->data, .length = buf->length};
}

#endif
