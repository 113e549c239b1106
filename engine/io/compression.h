/* Raw DEFLATE in both directions of a stream (RFC 4978), by zlib. What comes in is unpacked only as far as room is given for it, so that few
 * octets on the wire cannot become many in memory. */
#ifndef IO_COMPRESSION_H
#define IO_COMPRESSION_H

#include "engine/io/fifo.h"
#include "engine/io/socket.h"

struct compression;

struct compression *compression_create(void);
void compression_destroy(struct compression **compression);

/* Where packed octets are put for unpacking: the wire's, as they come. */
struct fifo *compression_packed(struct compression *compression);
/* Unpacks at most `room` octets. WAIT: more packed octets are needed. */
enum transfer compression_unpack(
	struct compression *compression, void *out, size_t room, size_t *out_count, struct error *err);

/* Packs all of `data` and appends it, up to a point where the peer can unpack everything (Z_SYNC_FLUSH). */
void compression_pack(struct compression *compression, struct slice data, struct fifo *out);

#endif
