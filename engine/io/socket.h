/* A connected descriptor: octets out and in without waiting, counted. Beneath stream; does not wait but in socket_connect. */
#ifndef IO_SOCKET_H
#define IO_SOCKET_H

#include "engine/io/io_ops.h"

/* What a try to move octets came to. */
enum transfer {
	TRANSFER_SOME,   /* at least one octet */
	TRANSFER_WAIT,   /* none now: wait for the descriptor, then try again */
	TRANSFER_ENDED,  /* the peer sends no more; err is filled */
	TRANSFER_FAILED, /* err is filled */
};

struct socket {
	struct io *io;
	int fd;
	bool tcp;
	bool heard; /* something came in since acknowledgements were last asked to be quick */
	uint64_t octets_in, octets_out;
};

/* Around a connected descriptor, which the socket then owns. */
void socket_init(struct socket *socket, struct io *io, int fd);
void socket_finish(struct socket *socket);

/* Connects to the first address of the host that answers: they are begun one after another, 250 ms apart or as soon as one is refused, families in
 * turn (RFC 8305). ERROR_UNREACHABLE, ERROR_CANCELLED. */
bool socket_connect(struct socket *socket, struct io *io, const char *host, uint16_t port, int64_t deadline_ms,
	struct cancel *cancel, struct error *err) MUST_CHECK;

enum transfer socket_recv(struct socket *socket, void *out, size_t room, size_t *out_count, struct error *err);
enum transfer socket_send(struct socket *socket, const void *data, size_t size, size_t *out_count, struct error *err);
/* To be called before waiting for input: asks the kernel to acknowledge at once what comes, for servers that send small pieces and wait
 * for each to be acknowledged. */
void socket_will_wait(struct socket *socket);

#endif
