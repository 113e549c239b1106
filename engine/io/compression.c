#include "engine/io/compression.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

#define WINDOW_BITS (-15) /* raw: no header, no check sum */
#define MEMORY      8
#define PACK_ROOM   (16u << 10)

struct compression {
	z_stream in, out;
	struct fifo packed;
	int over;           /* Z_STREAM_END or an error of zlib's: nothing more can be unpacked; Z_OK until then */
	bool may_hold_more; /* the last unpacking filled its room, so zlib may give more without being given more */
};

struct compression *
compression_create(void)
{
	struct compression *compression = io_alloc(sizeof(*compression));

	if (inflateInit2(&compression->in, WINDOW_BITS) != Z_OK ||
		deflateInit2(&compression->out, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS, MEMORY,
			Z_DEFAULT_STRATEGY) != Z_OK) {
		abort(); /* no memory, or another zlib than we were built with */
	}
	return compression;
}

void
compression_destroy(struct compression **compression)
{
	if (compression == NULL || *compression == NULL) {
		return;
	}
	(void)inflateEnd(&(*compression)->in);
	(void)deflateEnd(&(*compression)->out);
	fifo_finish(&(*compression)->packed);
	free(*compression);
	*compression = NULL;
}

struct fifo *
compression_packed(struct compression *compression)
{
	return &compression->packed;
}

/* Why nothing more can be unpacked. */
static enum transfer
say_over(int over, struct error *err)
{
	if (over == Z_STREAM_END) {
		(void)error_set(err, ERROR_RETRY, "the other side ended its compressed data");
		return TRANSFER_ENDED;
	}
	(void)error_set(err, ERROR_RETRY, "compressed data came in damaged");
	return TRANSFER_FAILED;
}

enum transfer
compression_unpack(struct compression *compression, void *out, size_t room, size_t *out_count, struct error *err)
{
	struct slice packed = slice_head(fifo_view(&compression->packed), UINT_MAX);
	z_stream *in = &compression->in;

	assert(room > 0 && room <= UINT_MAX);
	if (compression->over != Z_OK) {
		return say_over(compression->over, err);
	}
	if (packed.length == 0 && !compression->may_hold_more) {
		return TRANSFER_WAIT;
	}
	in->next_in = (Bytef *)packed.data;
	in->avail_in = (uInt)packed.length;
	in->next_out = out;
	in->avail_out = (uInt)room;
	int code = inflate(in, Z_SYNC_FLUSH);
	size_t count = room - in->avail_out;

	fifo_consume(&compression->packed, packed.length - in->avail_in);
	in->next_in = NULL;
	compression->may_hold_more = in->avail_out == 0;
	compression->over = code == Z_BUF_ERROR ? Z_OK : code;
	if (count > 0) {
		*out_count = count; /* if something is wrong behind it, the next call says so */
		return TRANSFER_SOME;
	}
	return compression->over == Z_OK ? TRANSFER_WAIT : say_over(compression->over, err);
}

void
compression_pack(struct compression *compression, struct slice data, struct fifo *out)
{
	z_stream *stream = &compression->out;

	assert(data.length <= UINT_MAX);
	stream->next_in = (Bytef *)data.data;
	stream->avail_in = (uInt)data.length;
	do {
		stream->next_out = (Bytef *)fifo_room(out, PACK_ROOM);
		stream->avail_out = PACK_ROOM;
		int code = deflate(stream, Z_SYNC_FLUSH);

		assert(code == Z_OK || code == Z_BUF_ERROR);
		fifo_added(out, PACK_ROOM - stream->avail_out);
	} while (stream->avail_out == 0);
	assert(stream->avail_in == 0);
	stream->next_in = NULL;
}
