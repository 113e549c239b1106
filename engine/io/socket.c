#include "engine/io/socket.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#define ADDRESSES_MAX     16
#define STAGGER_MS        250 /* RFC 8305, 8 */
#define USER_TIMEOUT_MS   60000
#define KEEP_IDLE_S       120
#define KEEP_INTERVAL_S   30
#define KEEP_PROBES_COUNT 3

_Static_assert(ADDRESSES_MAX <= IO_WAIT_FDS_MAX, "all attempts are waited for at once");

void
socket_init(struct socket *socket, struct io *io, int fd)
{
	*socket = (struct socket){.io = io, .fd = fd};
	/* of what follows nothing is needed to be right; what a kernel does not know it leaves undone */
	socket->tcp = io->ops->set_option(io, fd, IPPROTO_TCP, TCP_NODELAY, 1) == 0;
	if (socket->tcp) {
		(void)io->ops->set_option(io, fd, IPPROTO_TCP, TCP_QUICKACK, 1);
		(void)io->ops->set_option(io, fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
		(void)io->ops->set_option(io, fd, SOL_SOCKET, SO_KEEPALIVE, 1);
		(void)io->ops->set_option(io, fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S);
		(void)io->ops->set_option(io, fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S);
		(void)io->ops->set_option(io, fd, IPPROTO_TCP, TCP_KEEPCNT, KEEP_PROBES_COUNT);
	}
}

void
socket_finish(struct socket *socket)
{
	io_close(socket->io, &socket->fd);
}

/* --- connecting --- */

struct connecting {
	struct io *io;
	struct io_address addresses[ADDRESSES_MAX];
	size_t count, next;               /* addresses, and the first that was not tried */
	struct pollfd fds[ADDRESSES_MAX]; /* attempts that run */
	size_t running;
	int64_t next_ms; /* when the next is due though others run */
	int code;        /* why the last one failed, negative */
};

/* Puts the families in turn, beginning with the one that the system prefers; within a family the order stays. */
static void
take_turns(struct io_address *addresses, size_t count)
{
	struct io_address sorted[ADDRESSES_MAX];
	sa_family_t first = addresses[0].storage.ss_family;
	size_t a = 0, b = 0;

	for (size_t out = 0; out < count; out++) {
		while (a < count && addresses[a].storage.ss_family != first) {
			a++;
		}
		while (b < count && addresses[b].storage.ss_family == first) {
			b++;
		}
		bool take_a = b == count || (a < count && out % 2 == 0);

		sorted[out] = addresses[take_a ? a++ : b++];
	}
	memcpy(addresses, sorted, count * sizeof(addresses[0]));
}

/* Remembers why an attempt failed; that a whole network is missing says least. */
static void
note_failure(struct connecting *connecting, int code)
{
	if (connecting->code == 0 || code != -ENETUNREACH) {
		connecting->code = code;
	}
	connecting->next_ms = io_now_ms(connecting->io);
}

/* Begins the next attempt; gives the descriptor if that connected at once, else -1. */
static int
begin_next(struct connecting *connecting)
{
	struct io *io = connecting->io;
	const struct io_address *address = &connecting->addresses[connecting->next++];
	int fd = io->ops->socket(io, address->storage.ss_family);
	int code = fd < 0 ? fd : io->ops->connect(io, fd, address);

	connecting->next_ms = io_now_ms(io) + STAGGER_MS;
	if (code == 0) {
		return fd;
	}
	if (code == -EINPROGRESS || code == -EINTR) {
		connecting->fds[connecting->running++] = (struct pollfd){.fd = fd, .events = POLLOUT};
	} else {
		io_close(io, &fd);
		note_failure(connecting, code);
	}
	return -1;
}

/* Looks at the attempts that are ready; gives the descriptor of one that connected, or -1. */
static int
settle(struct connecting *connecting)
{
	struct io *io = connecting->io;

	for (size_t i = 0; i < connecting->running;) {
		struct pollfd *attempt = &connecting->fds[i];
		int fd = attempt->fd, code = attempt->revents != 0 ? io->ops->connected(io, fd) : -EINPROGRESS;

		if (code == -EINPROGRESS) {
			i++;
			continue;
		}
		*attempt = connecting->fds[--connecting->running];
		if (code == 0) {
			return fd;
		}
		io_close(io, &fd);
		note_failure(connecting, code);
	}
	return -1;
}

static int
drive(struct connecting *connecting, const char *host, uint16_t port, int64_t deadline_ms, struct cancel *cancel,
	struct error *err)
{
	struct io *io = connecting->io;

	for (;;) {
		bool more = connecting->next < connecting->count;
		int fd = -1;

		if (more && (connecting->running == 0 || io_now_ms(io) >= connecting->next_ms)) {
			fd = begin_next(connecting);
			if (fd >= 0) {
				return fd;
			}
			continue;
		}
		if (connecting->running == 0) {
			(void)error_errno(err, -connecting->code, "connecting to %s port %u", host, (unsigned)port);
			err->kind = ERROR_UNREACHABLE;
			return -1;
		}
		bool stagger = more && (deadline_ms < 0 || connecting->next_ms < deadline_ms);

		switch (io_wait(io, connecting->fds, connecting->running, stagger ? connecting->next_ms : deadline_ms,
			cancel)) {
		case IO_WAKE_CANCELLED:
			(void)io_fail_cancelled(err);
			return -1;
		case IO_WAKE_TIMEOUT:
			if (!stagger) {
				(void)error_set(err, ERROR_UNREACHABLE, "connecting to %s port %u: no answer in time",
					host, (unsigned)port);
				return -1;
			}
			break;
		case IO_WAKE_READY:
			fd = settle(connecting);
			if (fd >= 0) {
				return fd;
			}
			break;
		}
	}
}

static bool
look_up(struct connecting *connecting, const char *host, uint16_t port, int64_t deadline_ms, struct cancel *cancel,
	struct error *err)
{
	struct io *io = connecting->io;
	const char *why = NULL;
	int count = io->ops->resolve(io, host, port, io_left_ms(io, deadline_ms),
		cancel != NULL ? cancel_fd(cancel) : -1, connecting->addresses, ADDRESSES_MAX, &why);

	if (count > 0) {
		connecting->count = (size_t)count;
		take_turns(connecting->addresses, connecting->count);
		return true;
	}
	switch (-count) {
	case ECANCELED:
		return io_fail_cancelled(err);
	case ETIMEDOUT:
		return error_set(err, ERROR_UNREACHABLE, "looking up %s: no answer in time", host);
	default:
		if (why == NULL) {
			why = count == 0 ? "it has no address" : strerror(-count);
		}
		return error_set(err, ERROR_UNREACHABLE, "looking up %s: %s", host, why);
	}
}

bool
socket_connect(struct socket *socket, struct io *io, const char *host, uint16_t port, int64_t deadline_ms,
	struct cancel *cancel, struct error *err)
{
	struct connecting connecting = {.io = io};

	if (!look_up(&connecting, host, port, deadline_ms, cancel, err)) {
		return false;
	}
	int fd = drive(&connecting, host, port, deadline_ms, cancel, err);

	for (size_t i = 0; i < connecting.running; i++) {
		io_close(io, &connecting.fds[i].fd);
	}
	if (fd < 0) {
		return false;
	}
	socket_init(socket, io, fd);
	return true;
}

/* --- octets --- */

/* Says that the connection is no more: another one may do better, so it is to be tried again. */
static enum transfer
broken(int code, struct error *err)
{
	(void)error_errno(err, -code, "the connection broke");
	err->kind = ERROR_RETRY;
	return TRANSFER_FAILED;
}

enum transfer
socket_recv(struct socket *socket, void *out, size_t room, size_t *out_count, struct error *err)
{
	ssize_t count;

	assert(room > 0);
	do {
		count = socket->io->ops->recv(socket->io, socket->fd, out, room);
	} while (count == -EINTR);
	if (count == -EAGAIN || count == -EWOULDBLOCK) {
		return TRANSFER_WAIT;
	}
	if (count < 0) {
		return broken((int)count, err);
	}
	if (count == 0) {
		(void)error_set(err, ERROR_RETRY, "the other side closed the connection");
		return TRANSFER_ENDED;
	}
	socket->heard = true;
	socket->octets_in += (uint64_t)count;
	*out_count = (size_t)count;
	return TRANSFER_SOME;
}

enum transfer
socket_send(struct socket *socket, const void *data, size_t size, size_t *out_count, struct error *err)
{
	ssize_t count;

	assert(size > 0);
	do {
		count = socket->io->ops->send(socket->io, socket->fd, data, size);
	} while (count == -EINTR);
	if (count == -EAGAIN || count == -EWOULDBLOCK || count == -ENOBUFS) {
		return TRANSFER_WAIT;
	}
	if (count <= 0) {
		return broken(count < 0 ? (int)count : -EPIPE, err);
	}
	socket->octets_out += (uint64_t)count;
	*out_count = (size_t)count;
	return TRANSFER_SOME;
}

void
socket_will_wait(struct socket *socket)
{
	/* the kernel forgets it after a while of its own choosing */
	if (socket->tcp && socket->heard) {
		(void)socket->io->ops->set_option(socket->io, socket->fd, IPPROTO_TCP, TCP_QUICKACK, 1);
		socket->heard = false;
	}
}
