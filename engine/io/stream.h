/* A stream of octets to a server: TCP, TLS over it, a tunnel's pipes, DEFLATE inside; blocking, with deadline and cancel.
 *
 * One thread uses a stream at a time. Writing never deadlocks against a peer that writes too: while a write waits for room, what arrives is
 * taken in (up to STREAM_INPUT_MAX), and is given out by the next reads.
 *
 * TLS (RFC 8314, RFC 9325): at least 1.2, chain and host name verified, SNI sent; a pin is checked as well, not instead. A TLS stream that ends
 * without close_notify fails its read with ERROR_RETRY. A session is kept per `stream_tls` for resumption.
 */
#ifndef IO_STREAM_H
#define IO_STREAM_H

#include "engine/io/io.h"

#define STREAM_INPUT_MAX (16u << 20)

struct stream;

/* What is needed to trust a server; made once per account, shared by its connections, thread-safe. */
struct stream_tls;
/* ca_file and pin may be NULL; pin is the base64 SHA-256 of the public key (SubjectPublicKeyInfo). Client certificate and key may be NULL. ERROR_CONFIG for an unreadable file or pin. */
bool stream_tls_create(const char *ca_file, const char *pin, const char *client_certificate_file,
	struct stream_tls **out, struct error *err) MUST_CHECK;
void stream_tls_destroy(struct stream_tls **tls);

/* Connects to host:port, trying each address, in at most `timeout_ms`. With `tls` the handshake is done here (implicit TLS).
 * ERROR_UNREACHABLE (unknown host, refused, no route, timed out), ERROR_TRUST (certificate, pin), ERROR_CANCELLED. TCP_NODELAY, TCP_QUICKACK,
 * keepalive and TCP_USER_TIMEOUT 60 s are set. */
bool stream_connect(struct io *io, const char *host, uint16_t port, struct stream_tls *tls_or_null, int64_t timeout_ms,
	struct cancel *cancel, struct stream **out, struct error *err) MUST_CHECK;
/* Runs `sh -c command` and speaks with its stdin and stdout. */
bool stream_tunnel(struct io *io, const char *command, struct cancel *cancel, struct stream **out, struct error *err)
	MUST_CHECK;
/* Both ends of a pair in this process, for tests. */
bool stream_pair(struct io *io, struct stream **out_a, struct stream **out_b, struct error *err) MUST_CHECK;
/* Around a connected descriptor, which the stream then owns. */
struct stream *stream_of_fd(struct io *io, int fd, struct cancel *cancel);
void stream_close(struct stream **stream);

/* Begins TLS on a clear stream (STARTTLS), of which everything is flushed. Octets that came in before are a refusal: ERROR_TRUST (CVE class of
 * injected plain text). After a failure the stream is good for nothing but closing. */
bool stream_start_tls(struct stream *stream, struct stream_tls *tls, const char *host, int64_t timeout_ms,
	struct error *err) MUST_CHECK;
/* From here on both directions are raw DEFLATE (RFC 4978); everything is flushed before. Octets already taken in are the beginning of the
 * compressed input. What comes in is unpacked as it is consumed, so that STREAM_INPUT_MAX bounds it also here. */
bool stream_start_deflate(struct stream *stream, struct error *err) MUST_CHECK;

/* Gives a view of what has come in, waiting up to timeout_ms (-1: for ever) for at least one octet when there is none; valid until the next call
 * on this stream. Consume with stream_consume; what is not consumed stays in front. `more` = true: wait until there is more than was there
 * at the last call. Waiting sends what is queued. ERROR_RETRY when the peer closed, timed out or reset, once all that came before was consumed;
 * ERROR_CANCELLED; ERROR_INVALID when more is wanted than STREAM_INPUT_MAX. */
bool stream_peek(struct stream *stream, bool more, int64_t timeout_ms, struct slice *out, struct error *err) MUST_CHECK;
void stream_consume(struct stream *stream, size_t count);

/* Queues octets; sends when more than 64 KiB wait. stream_flush sends all. timeout_ms is how long nothing may move in either direction, so that a
 * large message on a slow line is no failure. After a failure what came in before can still be read (a server's last words).
 *
 * stream_sent tells how many of the octets ever queued have been handed to the kernel (before encryption and compression): "a command that was
 * not sent to its last byte was not taken" (SYNC R10). It never tells less than the peer may have read: a TLS record counts when its last octet
 * is handed over, for less of it cannot be read; under DEFLATE a piece of up to 64 KiB counts with its first octet. */
bool stream_write(struct stream *stream, struct slice data, int64_t timeout_ms, struct error *err) MUST_CHECK;
bool stream_flush(struct stream *stream, int64_t timeout_ms, struct error *err) MUST_CHECK;
uint64_t stream_queued(const struct stream *stream);
uint64_t stream_sent(const struct stream *stream);

/* Waits for input beyond what the last stream_peek showed, for at most timeout_ms, also while another descriptor (or -1) may become readable.
 * Sends what is queued. ENDED: stream_peek tells why. */
enum stream_event {
	STREAM_EVENT_INPUT,
	STREAM_EVENT_OTHER,
	STREAM_EVENT_TIMEOUT,
	STREAM_EVENT_CANCELLED,
	STREAM_EVENT_ENDED
};
enum stream_event stream_wait(struct stream *stream, int other_fd, int64_t timeout_ms);

bool stream_is_encrypted(const struct stream *stream);
bool stream_is_tunnel(const struct stream *stream);
/* What TLS agreed on, "TLSv1.3 TLS_AES_256_GCM_SHA384", or "". And the peer key's pin in base64, for `check`. */
void stream_describe(const struct stream *stream, struct buf *out);
void stream_peer_pin(const struct stream *stream, struct buf *out);
/* Keying material for channel binding (tls-exporter, RFC 9266); false without TLS 1.3. */
bool stream_tls_exporter(const struct stream *stream, uint8_t out[32]);
/* Totals for the account's counters: wire octets each way. */
uint64_t stream_octets_in(const struct stream *stream);
uint64_t stream_octets_out(const struct stream *stream);

#endif
