/* A stream is a socket, perhaps TLS over it, perhaps compression over that, and two queues of plain octets:
 *
 *	caller <- input  <- [ unpack <- packed_in ] <- [ TLS ] <- socket
 *	caller -> output -> [ pack -> packed_out ]  -> [ TLS ] -> socket
 *
 * take_in() and send_some() move what can be moved now; everything that blocks is a loop over these two and wait_for().
 */
#include "engine/io/stream.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "engine/io/compression.h"
#include "engine/io/io_ops.h"
#include "engine/io/process.h"
#include "engine/io/socket.h"
#include "engine/io/tls.h"

#define READ_MIN          (16u << 10)
#define READ_MAX          (256u << 10) /* more in one piece leaves the processor's cache, and was slower */
#define PACKED_READ_BYTES (64u << 10)
#define OUTPUT_WAIT_MAX   (64u << 10) /* queued octets that may wait for a flush */
#define WRITE_PIECE_BYTES (64u << 10)
#define TUNNEL_END_MS     500 /* for its command to end by itself, and then after being asked to */
#define TUNNEL_STATUS_MS  100 /* after it closed its output, to learn how it ended */

struct stream {
	struct io *io;
	struct cancel *cancel; /* or NULL */
	struct socket socket;
	struct tls *tls;                 /* or NULL */
	struct compression *compression; /* or NULL */

	struct fifo input;     /* came in, not consumed */
	size_t seen;           /* how much of it the last peek showed */
	size_t read_bytes;     /* asked for at a time; follows how much comes */
	struct error ended;    /* why nothing more will come in, or none */
	struct error next_end; /* the same, met behind octets that were given out first */

	struct fifo output;     /* queued, not packed or sent */
	struct fifo packed_out; /* packed, not sent */
	size_t packing;         /* plain octets in packed_out of which nothing is sent */
	uint64_t queued, sent;  /* plain octets ever */
	struct error refused;   /* why nothing more can be sent, or none */

	bool tunnel;
	bool running; /* the tunnel's command is not reaped yet */
	struct io_process process;
};

/* --- beginning and end --- */

static struct stream *
create(struct io *io, struct cancel *cancel)
{
	struct stream *stream = io_alloc(sizeof(*stream));

	*stream = (struct stream){.io = io, .cancel = cancel, .read_bytes = READ_MIN, .socket = {.io = io, .fd = -1}};
	stream->output.secret = true; /* logins pass here */
	return stream;
}

struct stream *
stream_of_fd(struct io *io, int fd, struct cancel *cancel)
{
	struct stream *stream = create(io, cancel);

	socket_init(&stream->socket, io, fd);
	return stream;
}

bool
stream_pair(struct io *io, struct stream **out_a, struct stream **out_b, struct error *err)
{
	int ends[2];
	int code = io->ops->socket_pair(io, ends);

	if (code != 0) {
		return error_errno(err, -code, "making a pair of sockets");
	}
	*out_a = stream_of_fd(io, ends[0], NULL);
	*out_b = stream_of_fd(io, ends[1], NULL);
	return true;
}

bool
stream_tunnel(struct io *io, const char *command, struct cancel *cancel, struct stream **out, struct error *err)
{
	struct io_process process;
	int ends[2];
	int code = io->ops->socket_pair(io, ends);

	if (code != 0) {
		return error_errno(err, -code, "making a pair of sockets");
	}
	/* sockets, not pipes: writing to a command that has ended must not raise SIGPIPE */
	code = io->ops->spawn(io, command, ends[1], ends[1], &process);
	io_close(io, &ends[1]);
	if (code != 0) {
		io_close(io, &ends[0]);
		return error_errno(err, -code, "starting the tunnel");
	}
	struct stream *stream = stream_of_fd(io, ends[0], cancel);

	stream->tunnel = true;
	stream->running = true;
	stream->process = process;
	*out = stream;
	return true;
}

void
stream_close(struct stream **stream)
{
	if (stream == NULL || *stream == NULL) {
		return;
	}
	tls_destroy(&(*stream)->tls);
	compression_destroy(&(*stream)->compression);
	socket_finish(&(*stream)->socket);
	if ((*stream)->running) {
		process_end((*stream)->io, &(*stream)->process, TUNNEL_END_MS, TUNNEL_END_MS);
	}
	fifo_finish(&(*stream)->input);
	fifo_finish(&(*stream)->output);
	fifo_finish(&(*stream)->packed_out);
	free(*stream);
	*stream = NULL;
}

/* --- moving what can be moved now --- */

/* Reads from the wire, beneath compression, as much as is there and fits. */
static enum transfer
read_wire(struct stream *stream, char *out, size_t room, size_t *out_count, struct error *err)
{
	size_t total = 0;

	if (stream->tls == NULL) {
		return socket_recv(&stream->socket, out, room, out_count, err);
	}
	if (stream->next_end.kind != ERROR_NONE) {
		*err = stream->next_end;
		return TRANSFER_FAILED;
	}
	while (total < room) {
		size_t count = 0;
		enum transfer transfer =
			tls_read(stream->tls, out + total, room - total, &count, total > 0 ? &stream->next_end : err);

		if (transfer != TRANSFER_SOME && total == 0) {
			return transfer;
		}
		if (transfer != TRANSFER_SOME) {
			break;
		}
		total += count;
	}
	*out_count = total;
	return TRANSFER_SOME;
}

/* As read_wire, but through compression where there is one. */
static enum transfer
read_plain(struct stream *stream, char *out, size_t room, size_t *out_count, struct error *err)
{
	if (stream->compression == NULL) {
		return read_wire(stream, out, room, out_count, err);
	}
	for (;;) {
		enum transfer transfer = compression_unpack(stream->compression, out, room, out_count, err);

		if (transfer != TRANSFER_WAIT) {
			return transfer;
		}
		struct fifo *packed = compression_packed(stream->compression);
		char *packed_room = fifo_room(packed, PACKED_READ_BYTES);
		size_t count = 0;

		transfer = read_wire(stream, packed_room, PACKED_READ_BYTES, &count, err);
		if (transfer != TRANSFER_SOME) {
			return transfer;
		}
		fifo_added(packed, count);
	}
}

static bool
input_is_full(const struct stream *stream)
{
	return fifo_length(&stream->input) >= STREAM_INPUT_MAX;
}

/* A tunnel that ends says more by how its command ended. */
static void
explain_tunnel(struct stream *stream)
{
	int status;

	if (!stream->running || process_wait(stream->io, &stream->process, io_deadline_ms(stream->io, TUNNEL_STATUS_MS),
					NULL, &status) != IO_WAKE_READY) {
		return;
	}
	stream->running = false;
	if (WIFSIGNALED(status)) {
		(void)error_wrap(&stream->ended, "the tunnel's command was ended by signal %d", WTERMSIG(status));
	} else if (WEXITSTATUS(status) != 0) {
		(void)error_wrap(&stream->ended, "the tunnel's command failed with status %d", WEXITSTATUS(status));
	}
}

/* Takes in octets, at most read_bytes. WAIT: there are none now. ENDED or FAILED: stream->ended tells, now and for ever. */
static enum transfer
take_in(struct stream *stream)
{
	size_t length = fifo_length(&stream->input), room = stream->read_bytes, count = 0;

	if (stream->ended.kind != ERROR_NONE) {
		return TRANSFER_FAILED;
	}
	assert(length < STREAM_INPUT_MAX);
	if (room > STREAM_INPUT_MAX - length) {
		room = STREAM_INPUT_MAX - length;
	}
	enum transfer transfer = read_plain(stream, fifo_room(&stream->input, room), room, &count, &stream->ended);

	switch (transfer) {
	case TRANSFER_SOME:
		fifo_added(&stream->input, count);
		if (count == stream->read_bytes && stream->read_bytes < READ_MAX) {
			stream->read_bytes *= 2;
		} else if (count < stream->read_bytes / 8 && stream->read_bytes > READ_MIN) {
			stream->read_bytes /= 2;
		}
		break;
	case TRANSFER_WAIT:
		break;
	case TRANSFER_ENDED:
	case TRANSFER_FAILED:
		assert(stream->ended.kind != ERROR_NONE);
		if (stream->tunnel) {
			explain_tunnel(stream);
		}
		break;
	}
	return transfer;
}

static bool
has_output(const struct stream *stream)
{
	return fifo_length(&stream->output) > 0 || fifo_length(&stream->packed_out) > 0;
}

static enum transfer
write_wire(struct stream *stream, struct slice data, size_t *out_count, struct error *err)
{
	return stream->tls != NULL ? tls_write(stream->tls, data.data, data.length, out_count, err)
				   : socket_send(&stream->socket, data.data, data.length, out_count, err);
}

/* Packs the next piece of output. It counts as sent with its first packed octet: from some of them the peer may learn all of it. */
static void
pack_some(struct stream *stream)
{
	struct slice piece = slice_head(fifo_view(&stream->output), WRITE_PIECE_BYTES);

	compression_pack(stream->compression, piece, &stream->packed_out);
	stream->packing = piece.length;
	fifo_consume(&stream->output, piece.length);
}

/* Sends octets, one piece. To be called while there is output. FAILED: stream->refused tells, now and for ever. */
static enum transfer
send_some(struct stream *stream)
{
	size_t count = 0;

	assert(has_output(stream));
	if (stream->refused.kind != ERROR_NONE) {
		return TRANSFER_FAILED;
	}
	if (stream->compression != NULL && fifo_length(&stream->packed_out) == 0) {
		pack_some(stream);
	}
	struct fifo *from = stream->compression != NULL ? &stream->packed_out : &stream->output;
	enum transfer transfer = write_wire(stream, fifo_view(from), &count, &stream->refused);

	if (transfer == TRANSFER_SOME) {
		fifo_consume(from, count);
		stream->sent += stream->compression != NULL ? stream->packing : count;
		stream->packing = 0;
	}
	return transfer;
}

/* Waits until something of what is wanted can be tried again. */
static enum stream_event
wait_for(struct stream *stream, bool reading, bool writing, int other_fd, int64_t deadline_ms)
{
	int read_events = stream->tls != NULL ? tls_read_events(stream->tls) : POLLIN;
	int write_events = stream->tls != NULL ? tls_write_events(stream->tls) : POLLOUT;
	int events = (reading ? read_events : 0) | (writing ? write_events : 0);
	struct pollfd fds[2] = {{.fd = events != 0 ? stream->socket.fd : -1, .events = (short)events},
		{.fd = other_fd, .events = POLLIN}};

	socket_will_wait(&stream->socket);
	switch (io_wait(stream->io, fds, ARRAY_LENGTH(fds), deadline_ms, stream->cancel)) {
	case IO_WAKE_CANCELLED:
		return STREAM_EVENT_CANCELLED;
	case IO_WAKE_TIMEOUT:
		return STREAM_EVENT_TIMEOUT;
	case IO_WAKE_READY:
		break;
	}
	return fds[1].revents != 0 && fds[0].revents == 0 ? STREAM_EVENT_OTHER : STREAM_EVENT_INPUT;
}

static bool
is_cancelled(const struct stream *stream)
{
	return stream->cancel != NULL && cancel_raised(stream->cancel);
}

/* --- connecting --- */

static bool
handshake(struct stream *stream, struct stream_tls *trust, const char *host, int64_t deadline_ms, struct error *err)
{
	if (!tls_create(trust, &stream->socket, host, &stream->tls, err)) {
		return false;
	}
	for (;;) {
		switch (tls_handshake(stream->tls, err)) {
		case TRANSFER_SOME:
			return true;
		case TRANSFER_ENDED:
			err->kind = ERROR_UNREACHABLE;
			return false;
		case TRANSFER_FAILED:
			return false;
		case TRANSFER_WAIT:
			break;
		}
		switch (wait_for(stream, true, false, -1, deadline_ms)) {
		case STREAM_EVENT_CANCELLED:
			return io_fail_cancelled(err);
		case STREAM_EVENT_TIMEOUT:
			return error_set(err, ERROR_UNREACHABLE, "TLS handshake: no answer in time");
		case STREAM_EVENT_INPUT:
		case STREAM_EVENT_OTHER:
		case STREAM_EVENT_ENDED:
			break;
		}
	}
}

bool
stream_connect(struct io *io, const char *host, uint16_t port, struct stream_tls *tls_or_null, int64_t timeout_ms,
	struct cancel *cancel, struct stream **out, struct error *err)
{
	SCOPED(stream_close) struct stream *stream = create(io, cancel);
	int64_t deadline_ms = io_deadline_ms(io, timeout_ms);

	if (!socket_connect(&stream->socket, io, host, port, deadline_ms, cancel, err)) {
		return false;
	}
	if (tls_or_null != NULL && !handshake(stream, tls_or_null, host, deadline_ms, err)) {
		return err->kind != ERROR_CANCELLED && error_wrap(err, "%s port %u", host, (unsigned)port);
	}
	*out = stream;
	stream = NULL;
	return true;
}

bool
stream_start_tls(struct stream *stream, struct stream_tls *tls, const char *host, int64_t timeout_ms, struct error *err)
{
	assert(stream->tls == NULL && stream->compression == NULL && !has_output(stream));
	/* The server speaks next only when we have begun. What is here already was put there by somebody who wants it taken for what
	 * comes from inside TLS. */
	if (fifo_length(&stream->input) == 0) {
		(void)take_in(stream);
	}
	if (fifo_length(&stream->input) > 0) {
		return error_set(err, ERROR_TRUST,
			"%s: clear text came in where TLS should begin: somebody may be tampering with the connection",
			host);
	}
	if (stream->ended.kind != ERROR_NONE) {
		*err = stream->ended;
		return false;
	}
	if (!handshake(stream, tls, host, io_deadline_ms(stream->io, timeout_ms), err)) {
		stream->ended = *err;
		stream->refused = *err;
		return err->kind != ERROR_CANCELLED && error_wrap(err, "%s", host);
	}
	return true;
}

bool
stream_start_deflate(struct stream *stream, struct error *err)
{
	assert(stream->compression == NULL && !has_output(stream));
	stream->compression = compression_create();
	fifo_append(compression_packed(stream->compression), fifo_view(&stream->input));
	fifo_finish(&stream->input);
	stream->seen = 0;
	return true;
}

/* --- reading --- */

static bool
fail_timeout(int64_t timeout_ms, const char *what, struct error *err)
{
	return error_set(
		err, ERROR_RETRY, "%s for %" PRId64 ".%" PRId64 " s", what, timeout_ms / 1000, timeout_ms % 1000 / 100);
}

/* Moves what can be moved, in both directions. True when there may be more to move at once. */
static bool
step(struct stream *stream)
{
	enum transfer in = input_is_full(stream) ? TRANSFER_WAIT : take_in(stream);
	enum transfer out = has_output(stream) ? send_some(stream) : TRANSFER_WAIT;

	return in == TRANSFER_SOME || out == TRANSFER_SOME;
}

/* Waits until more than `known` octets are there, sending meanwhile what is queued. */
static enum stream_event
await_input(struct stream *stream, size_t known, int other_fd, int64_t deadline_ms)
{
	for (;;) {
		if (fifo_length(&stream->input) > known || input_is_full(stream)) {
			return STREAM_EVENT_INPUT;
		}
		if (stream->ended.kind != ERROR_NONE) {
			return STREAM_EVENT_ENDED;
		}
		if (is_cancelled(stream)) {
			return STREAM_EVENT_CANCELLED;
		}
		if (step(stream) || stream->ended.kind != ERROR_NONE) {
			continue;
		}
		bool writing = has_output(stream) && stream->refused.kind == ERROR_NONE;
		enum stream_event event = wait_for(stream, true, writing, other_fd, deadline_ms);

		if (event != STREAM_EVENT_INPUT) {
			return event;
		}
	}
}

bool
stream_peek(struct stream *stream, bool more, int64_t timeout_ms, struct slice *out, struct error *err)
{
	size_t known = more ? stream->seen : 0;

	if (fifo_length(&stream->input) <= known) {
		switch (await_input(stream, known, -1, io_deadline_ms(stream->io, timeout_ms))) {
		case STREAM_EVENT_INPUT:
		case STREAM_EVENT_OTHER:
			break;
		case STREAM_EVENT_TIMEOUT:
			return fail_timeout(timeout_ms, "nothing was heard from the other side", err);
		case STREAM_EVENT_CANCELLED:
			return io_fail_cancelled(err);
		case STREAM_EVENT_ENDED:
			*err = stream->ended;
			return false;
		}
		if (fifo_length(&stream->input) <= known) {
			return error_set(err, ERROR_INVALID, "more than %u octets came in of which no use can be made",
				STREAM_INPUT_MAX);
		}
	}
	*out = fifo_view(&stream->input);
	stream->seen = out->length;
	return true;
}

void
stream_consume(struct stream *stream, size_t count)
{
	assert(count <= stream->seen);
	fifo_consume(&stream->input, count);
	stream->seen -= count;
}

enum stream_event
stream_wait(struct stream *stream, int other_fd, int64_t timeout_ms)
{
	return await_input(stream, stream->seen, other_fd, io_deadline_ms(stream->io, timeout_ms));
}

/* --- writing --- */

bool
stream_flush(struct stream *stream, int64_t timeout_ms, struct error *err)
{
	int64_t deadline_ms = io_deadline_ms(stream->io, timeout_ms);

	while (has_output(stream)) {
		if (is_cancelled(stream)) {
			return io_fail_cancelled(err);
		}
		enum transfer out = send_some(stream), in = TRANSFER_WAIT;

		if (out == TRANSFER_FAILED || out == TRANSFER_ENDED) {
			*err = stream->refused;
			return false;
		}
		if (out == TRANSFER_WAIT && !input_is_full(stream)) {
			in = take_in(stream); /* the other side may be waiting for room itself */
		}
		if (out == TRANSFER_SOME || in == TRANSFER_SOME) {
			deadline_ms = io_deadline_ms(stream->io, timeout_ms);
			continue;
		}
		bool reading = !input_is_full(stream) && stream->ended.kind == ERROR_NONE;

		switch (wait_for(stream, reading, true, -1, deadline_ms)) {
		case STREAM_EVENT_CANCELLED:
			return io_fail_cancelled(err);
		case STREAM_EVENT_TIMEOUT:
			return fail_timeout(timeout_ms, "the other side took nothing", err);
		case STREAM_EVENT_INPUT:
		case STREAM_EVENT_OTHER:
		case STREAM_EVENT_ENDED:
			break;
		}
	}
	return true;
}

bool
stream_write(struct stream *stream, struct slice data, int64_t timeout_ms, struct error *err)
{
	while (data.length > 0) {
		struct slice piece = slice_head(data, WRITE_PIECE_BYTES);

		fifo_append(&stream->output, piece);
		stream->queued += piece.length;
		data = slice_skip(data, piece.length);
		if (fifo_length(&stream->output) > OUTPUT_WAIT_MAX && !stream_flush(stream, timeout_ms, err)) {
			return false;
		}
	}
	return true;
}

uint64_t
stream_queued(const struct stream *stream)
{
	return stream->queued;
}

uint64_t
stream_sent(const struct stream *stream)
{
	return stream->sent;
}

/* --- what it is --- */

bool
stream_is_encrypted(const struct stream *stream)
{
	return stream->tls != NULL;
}

bool
stream_is_tunnel(const struct stream *stream)
{
	return stream->tunnel;
}

void
stream_describe(const struct stream *stream, struct buf *out)
{
	if (stream->tls != NULL) {
		tls_describe(stream->tls, out);
	}
}

void
stream_peer_pin(const struct stream *stream, struct buf *out)
{
	if (stream->tls != NULL) {
		tls_peer_pin(stream->tls, out);
	}
}

bool
stream_tls_exporter(const struct stream *stream, uint8_t out[32])
{
	return stream->tls != NULL && tls_exporter(stream->tls, out);
}

uint64_t
stream_octets_in(const struct stream *stream)
{
	return stream->socket.octets_in;
}

uint64_t
stream_octets_out(const struct stream *stream)
{
	return stream->socket.octets_out;
}
