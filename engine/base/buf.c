#include "engine/base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CAPACITY_MIN 64

void
buf_init(struct buf *buf)
{
	*buf = BUF_INIT;
}

void
buf_finish(struct buf *buf)
{
	if (buf == NULL) {
		return;
	}
	free(buf->data);
	*buf = BUF_INIT;
}

void
buf_clear(struct buf *buf)
{
	buf_truncate(buf, 0);
}

/* Makes the capacity large enough for `extra` octets and the final NUL. */
void
buf_reserve(struct buf *buf, size_t extra)
{
	size_t needed, capacity;
	char *data;

	if (__builtin_add_overflow(buf->length, extra, &needed) || __builtin_add_overflow(needed, (size_t)1, &needed)) {
		abort();
	}
	if (needed <= buf->capacity) {
		return;
	}
	if (__builtin_mul_overflow(buf->capacity, (size_t)2, &capacity)) {
		capacity = needed;
	}
	if (capacity < needed) {
		capacity = needed;
	}
	if (capacity < CAPACITY_MIN) {
		capacity = CAPACITY_MIN;
	}
	data = realloc(buf->data, capacity);
	if (data == NULL) {
		abort();
	}
	data[buf->length] = '\0';
	buf->data = data;
	buf->capacity = capacity;
}

void
buf_append(struct buf *buf, struct slice s)
{
	buf_reserve(buf, s.length);
	if (s.length > 0) {
		memcpy(buf->data + buf->length, s.data, s.length);
	}
	buf->length += s.length;
	buf->data[buf->length] = '\0';
}

void
buf_append_octet(struct buf *buf, char octet)
{
	buf_reserve(buf, 1);
	buf->data[buf->length++] = octet;
	buf->data[buf->length] = '\0';
}

void
buf_append_text(struct buf *buf, const char *text)
{
	buf_append(buf, slice_of(text));
}

void
buf_printf(struct buf *buf, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	assert(length >= 0);

	buf_reserve(buf, (size_t)length);
	va_start(arguments, format);
	(void)vsnprintf(buf->data + buf->length, (size_t)length + 1, format, arguments);
	va_end(arguments);
	buf->length += (size_t)length;
}

void
buf_append_u64(struct buf *buf, uint64_t value)
{
	char digits[20];
	size_t first = sizeof(digits);

	do {
		digits[--first] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	buf_append(buf, slice_make(digits + first, sizeof(digits) - first));
}

void
buf_consume(struct buf *buf, size_t count)
{
	assert(count <= buf->length);
	if (count == 0) {
		return;
	}
	memmove(buf->data, buf->data + count, buf->length - count + 1);
	buf->length -= count;
}

void
buf_truncate(struct buf *buf, size_t length)
{
	assert(length <= buf->length);
	buf->length = length;
	if (buf->data != NULL) {
		buf->data[length] = '\0';
	}
}

char *
buf_take(struct buf *buf)
{
	char *data;

	buf_reserve(buf, 0);
	data = buf->data;
	*buf = BUF_INIT;
	return data;
}
