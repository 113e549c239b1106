#include "engine/control.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_NAME "control"
#define SOCKET_NEW  "control.new"
#define BACKLOG     16

/* --- frames --- */

static void
append_u32(struct buf *out, uint32_t value)
{
	for (int shift = 24; shift >= 0; shift -= 8) {
		buf_append_octet(out, (char)(value >> shift & 0xff));
	}
}

static uint32_t
read_u32(const char *octets)
{
	uint32_t value = 0;

	for (int i = 0; i < 4; i++) {
		value = value << 8 | (unsigned char)octets[i];
	}
	return value;
}

void
control_put(struct buf *frame, const char *key, struct slice value)
{
	size_t length = strlen(key);

	assert(length > 0 && length < 256 && value.length < CONTROL_FRAME_MAX);
	buf_append_octet(frame, (char)length);
	buf_append(frame, slice_of(key));
	append_u32(frame, (uint32_t)value.length);
	buf_append(frame, value);
}

void
control_put_text(struct buf *frame, const char *key, const char *text)
{
	control_put(frame, key, slice_of(text));
}

void
control_put_u64(struct buf *frame, const char *key, uint64_t value)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	control_put_text(frame, key, text);
}

bool
control_next(struct slice *rest, struct slice *out_key, struct slice *out_value)
{
	struct slice at = *rest;
	size_t length;

	if (at.length == 0) {
		return false;
	}
	length = (unsigned char)at.data[0];
	if (length == 0 || at.length < 1 + length + 4) {
		return false;
	}
	*out_key = slice_make(at.data + 1, length);
	at = slice_skip(at, 1 + length);
	length = read_u32(at.data);
	at = slice_skip(at, 4);
	if (at.length < length) {
		return false;
	}
	*out_value = slice_head(at, length);
	*rest = slice_skip(at, length);
	return true;
}

bool
control_check(struct slice frame)
{
	struct slice key, value;
	size_t count = 0;

	while (count <= CONTROL_FIELDS_MAX && control_next(&frame, &key, &value)) {
		count++;
	}
	return frame.length == 0;
}

struct slice
control_get(struct slice frame, const char *key)
{
	struct slice found, value;

	while (control_next(&frame, &found, &value)) {
		if (slice_equal(found, slice_of(key))) {
			return value;
		}
	}
	return (struct slice){0};
}

uint64_t
control_get_u64(struct slice frame, const char *key)
{
	uint64_t value;

	return slice_to_u64(control_get(frame, key), &value) ? value : 0;
}

void
control_put_error(struct buf *frame, const struct error *error)
{
	control_put_u64(frame, "error", (uint64_t)error->kind);
	control_put_u64(frame, "errno", (uint64_t)error->sys_errno);
	control_put_u64(frame, "wait", error->wait_s);
	control_put_text(frame, "text", error->text);
}

struct error
control_get_error(struct slice frame)
{
	struct error error = ERROR_INIT;
	uint64_t kind = control_get_u64(frame, "error");
	struct slice text = control_get(frame, "text");

	if (kind == ERROR_NONE) {
		return error;
	}
	error_set(&error, kind < ERROR_KIND_COUNT ? (enum error_kind)kind : ERROR_SYSTEM, "%.*s",
		(int)slice_head(text, ERROR_TEXT_MAX).length, text.length > 0 ? text.data : "");
	error.sys_errno = (int)(control_get_u64(frame, "errno") & 0xfff);
	error.wait_s = (unsigned)(control_get_u64(frame, "wait") & 0xffffff);
	return error;
}

/* --- sockets --- */

void
control_close(int *fd)
{
	if (*fd >= 0) {
		(void)close(*fd);
	}
	*fd = -1;
}

/* The address of a socket in the directory, by way of a descriptor: the path itself may be longer than an address can be. */
static bool
address_of(struct io_dir *dir, const char *name, int *out_dir_fd, struct sockaddr_un *out, struct error *err)
{
	if (!io_open(dir, ".", O_PATH | O_DIRECTORY, out_dir_fd, err)) {
		return false;
	}
	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	(void)snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d/%s", *out_dir_fd, name);
	return true;
}

bool
control_listen(struct io_dir *dir, int *out_fd, struct error *err)
{
	struct sockaddr_un address;
	int dir_fd, fd;

	if (!io_unlink(dir, SOCKET_NEW, err) || !address_of(dir, SOCKET_NEW, &dir_fd, &address, err)) {
		return false;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
		chmod(address.sun_path, 0600) != 0 || listen(fd, BACKLOG) != 0) {
		error_errno(err, errno, "cannot listen on the socket %s/%s", io_dir_path(dir), SOCKET_NAME);
		control_close(&fd);
		control_close(&dir_fd);
		return false;
	}
	control_close(&dir_fd);
	/* Whoever connects meets the old one or the new one, never none. */
	if (!io_rename(dir, SOCKET_NEW, SOCKET_NAME, err)) {
		control_close(&fd);
		return false;
	}
	*out_fd = fd;
	return true;
}

static bool
check_peer(int fd, struct error *err)
{
	struct ucred peer = {0};
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
		return error_errno(err, errno, "cannot tell who is at the other end of the control socket");
	}
	if (peer.uid != geteuid() && peer.uid != 0) {
		return error_set(
			err, ERROR_REFUSED, "the other end of the control socket is user %u", (unsigned)peer.uid);
	}
	return true;
}

bool
control_accept(int listener, int *out_fd, struct error *err)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0) {
		bool none = errno == EAGAIN || errno == EINTR || errno == ECONNABORTED;

		return none ? error_set(err, ERROR_RETRY, "nobody has called")
			    : error_errno(err, errno, "taking a call");
	}
	if (!check_peer(fd, err)) {
		control_close(&fd);
		return false;
	}
	*out_fd = fd;
	return true;
}

bool
control_connect(struct io_dir *dir, int *out_fd, struct error *err)
{
	struct sockaddr_un address;
	int dir_fd, fd, answer;

	if (!address_of(dir, SOCKET_NAME, &dir_fd, &address, err)) {
		return false;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	answer = fd < 0 ? -1 : connect(fd, (const struct sockaddr *)&address, sizeof(address));
	if (answer != 0) {
		int sys_errno = errno;

		control_close(&fd);
		control_close(&dir_fd);
		if (sys_errno == ECONNREFUSED || sys_errno == ENOENT) {
			return error_set(err, ERROR_GONE, "no process drives the account");
		}
		return error_errno(err, sys_errno, "cannot reach the process that drives the account");
	}
	control_close(&dir_fd);
	if (!check_peer(fd, err)) {
		control_close(&fd);
		return false;
	}
	*out_fd = fd;
	return true;
}

/* Waits for the socket; false with err when the time is over. */
static bool
wait_for(struct io *io, int fd, short events, int64_t deadline_ms, struct cancel *cancel, struct error *err)
{
	struct pollfd fds[] = {
		{.fd = fd, .events = events},
		{.fd = cancel != NULL ? cancel_fd(cancel) : -1, .events = POLLIN},
	};

	for (;;) {
		int64_t left_ms = deadline_ms < 0 ? -1 : deadline_ms - io_now_ms(io);
		int count;

		if (deadline_ms >= 0 && left_ms <= 0) {
			return error_set(
				err, ERROR_RETRY, "the process that drives the account did not answer in time");
		}
		count = poll(fds, ARRAY_LENGTH(fds), left_ms < 0 ? -1 : left_ms > 60000 ? 60000 : (int)left_ms);
		if (count < 0 && errno != EINTR) {
			return error_errno(err, errno, "waiting at the control socket");
		}
		if (count > 0 && fds[1].revents != 0) {
			return error_set(err, ERROR_CANCELLED, "given up");
		}
		if (count > 0 && fds[0].revents != 0) {
			return true;
		}
	}
}

bool
control_send(struct io *io, int fd, struct slice frame, int64_t timeout_ms, struct cancel *cancel, struct error *err)
{
	SCOPED(buf_finish) struct buf octets = BUF_INIT;
	int64_t deadline_ms = timeout_ms < 0 ? -1 : io_now_ms(io) + timeout_ms;
	size_t sent = 0;

	if (frame.length > CONTROL_FRAME_MAX) {
		return error_set(err, ERROR_ITEM, "a frame of %zu octets is too long", frame.length);
	}
	append_u32(&octets, (uint32_t)frame.length);
	buf_append(&octets, frame);
	while (sent < octets.length) {
		ssize_t count = send(fd, octets.data + sent, octets.length - sent, MSG_NOSIGNAL);

		if (count < 0 && errno != EAGAIN && errno != EINTR) {
			return error_set(err, ERROR_RETRY, "the other end of the control socket has gone");
		}
		sent += count > 0 ? (size_t)count : 0;
		if (sent < octets.length && !wait_for(io, fd, POLLOUT, deadline_ms, cancel, err)) {
			return false;
		}
	}
	return true;
}

static bool
receive_all(
	struct io *io, int fd, char *out, size_t size, int64_t deadline_ms, struct cancel *cancel, struct error *err)
{
	size_t got = 0;

	while (got < size) {
		ssize_t count = recv(fd, out + got, size - got, 0);

		if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
			return error_set(err, ERROR_RETRY, "the other end of the control socket has gone");
		}
		got += count > 0 ? (size_t)count : 0;
		if (count < 0 && !wait_for(io, fd, POLLIN, deadline_ms, cancel, err)) {
			return false;
		}
	}
	return true;
}

bool
control_receive(struct io *io, int fd, struct buf *out, int64_t timeout_ms, struct cancel *cancel, struct error *err)
{
	int64_t deadline_ms = timeout_ms < 0 ? -1 : io_now_ms(io) + timeout_ms;
	char head[4];
	uint32_t length;

	if (!receive_all(io, fd, head, sizeof(head), deadline_ms, cancel, err)) {
		return false;
	}
	length = read_u32(head);
	if (length > CONTROL_FRAME_MAX) {
		return error_set(err, ERROR_ITEM, "a frame of %" PRIu32 " octets is too long", length);
	}
	buf_clear(out);
	buf_reserve(out, length);
	if (!receive_all(io, fd, out->data, length, deadline_ms, cancel, err)) {
		return false;
	}
	out->length = length;
	out->data[length] = '\0';
	return control_check(buf_slice(out)) || error_set(err, ERROR_ITEM, "a frame that is none");
}

bool
control_hung_up(int fd)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN | POLLRDHUP};

	return poll(&poller, 1, 0) > 0 && poller.revents != 0;
}
