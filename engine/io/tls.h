/* One TLS connection over a socket, as client. It does not wait: what has to be waited for is told by tls_read_events and tls_write_events. */
#ifndef IO_TLS_H
#define IO_TLS_H

#include "engine/io/socket.h"
#include "engine/io/stream.h"

struct tls;

/* The trust and the socket must outlive it. */
bool tls_create(struct stream_tls *trust, struct socket *socket, const char *host, struct tls **out, struct error *err)
	MUST_CHECK;
/* Tells the peer that this is the end, where that can be done at once. */
void tls_destroy(struct tls **tls);

/* Goes on with the handshake: SOME when it is done and the peer is who it should be. ERROR_TRUST, ERROR_UNREACHABLE. */
enum transfer tls_handshake(struct tls *tls, struct error *err);
enum transfer tls_read(struct tls *tls, void *out, size_t room, size_t *out_count, struct error *err);
/* Encrypts and hands over at most one record. Octets are counted once all of their record is with the kernel: of a record that is not
 * complete the peer can read nothing. After WAIT the same octets, or these and more, are to be given again. */
enum transfer tls_write(struct tls *tls, const void *data, size_t size, size_t *out_count, struct error *err);

/* The host it was made for, as certificates name it. */
const char *tls_host(const struct tls *tls);
/* What to poll for before trying again. */
short tls_read_events(const struct tls *tls);
short tls_write_events(const struct tls *tls);

void tls_describe(const struct tls *tls, struct buf *out);
void tls_peer_pin(const struct tls *tls, struct buf *out);
bool tls_exporter(const struct tls *tls, uint8_t out[32]);

#endif
