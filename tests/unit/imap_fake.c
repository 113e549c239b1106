#include "tests/unit/imap_fake.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/assert_slice.h"

#define PATIENCE_MS 5000
#define SCRIPTS_MAX 2

struct imap_fake {
	int listener;
	uint16_t port;
	const char *scripts[SCRIPTS_MAX];
	size_t count;
	pthread_t thread;
	char failure[1000]; /* read after the thread ended */
	struct io *io;
	struct cancel *cancel;
	struct io_dir *spools;
	unsigned secrets, again;
};

struct player {
	struct imap_fake *fake;
	int fd;
	char input[1 << 16];
	size_t length;
};

static bool
wrong(struct player *player, const char *what, struct slice line, const char *got)
{
	if (player->fake->failure[0] == '\0') {
		snprintf(player->fake->failure, sizeof player->fake->failure, "%s at \"%.*s\": %.600s", what,
			(int)line.length, line.data, got);
	}
	return false;
}

/* Reads until `enough` octets, or a line where it is 0, are there. */
static bool
await(struct player *player, size_t enough)
{
	for (;;) {
		if (enough > 0 ? player->length >= enough : memchr(player->input, '\n', player->length) != NULL) {
			return true;
		}
		struct pollfd poll_fd = {.fd = player->fd, .events = POLLIN};
		ssize_t got;

		if (player->length == sizeof player->input || poll(&poll_fd, 1, PATIENCE_MS) != 1) {
			return false;
		}
		got = read(player->fd, player->input + player->length, sizeof player->input - player->length);
		if (got <= 0) {
			return false;
		}
		player->length += (size_t)got;
	}
}

static void
drop(struct player *player, size_t count)
{
	memmove(player->input, player->input + count, player->length - count);
	player->length -= count;
}

static bool
expect_line(struct player *player, struct slice text, struct slice script_line)
{
	if (!await(player, 0)) {
		return wrong(player, "the client says nothing", script_line, "");
	}
	size_t length = (size_t)((char *)memchr(player->input, '\n', player->length) - player->input);
	struct slice said =
		slice_make(player->input, length > 0 && player->input[length - 1] == '\r' ? length - 1 : length);
	bool begins = text.length > 0 && text.data[text.length - 1] == '~';
	bool fine = begins ? slice_has_prefix(said, slice_head(text, text.length - 1)) : slice_equal(said, text);

	if (!fine) {
		player->input[said.length] = '\0';
		return wrong(player, "the client says another thing", script_line, player->input);
	}
	drop(player, length + 1);
	return true;
}

static void
unescape(struct slice text, struct buf *out)
{
	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] != '\\' || i + 1 == text.length) {
			buf_append_octet(out, text.data[i]);
			continue;
		}
		i++;
		if (text.data[i] == 'x' && i + 2 < text.length) {
			const char hex[] = {text.data[i + 1], text.data[i + 2], '\0'};

			buf_append_octet(out, (char)strtoul(hex, NULL, 16));
			i += 2;
		} else {
			buf_append_octet(out, text.data[i] == 'r'   ? '\r'
					      : text.data[i] == 'n' ? '\n'
					      : text.data[i] == '0' ? '\0'
								    : text.data[i]);
		}
	}
}

static void
say(struct player *player, struct slice text, bool raw)
{
	SCOPED(buf_finish) struct buf octets = BUF_INIT;
	size_t sent = 0;

	if (raw) {
		unescape(text, &octets);
	} else {
		buf_append(&octets, text);
		buf_append_text(&octets, "\r\n");
	}
	while (sent < octets.length) {
		ssize_t count = send(player->fd, octets.data + sent, octets.length - sent, MSG_NOSIGNAL);

		if (count <= 0) {
			return; /* the client hung up: what it did not say will be missed */
		}
		sent += (size_t)count;
	}
}

static bool
play_line(struct player *player, struct slice line, bool *out_closed)
{
	struct slice text = slice_skip(line, line.length > 3 ? 3 : line.length);
	uint64_t count;

	switch (line.data[0]) {
	case 'C':
		return expect_line(player, text, line);
	case 'L':
		if (!slice_to_u64(text, &count) || !await(player, count)) {
			return wrong(player, "too few octets", line, "");
		}
		drop(player, count);
		return true;
	case 'S':
	case 'R':
		say(player, text, line.data[0] == 'R');
		return true;
	case 'X':
		*out_closed = true;
		return true;
	default:
		return wrong(player, "not a line of a script", line, "");
	}
}

static void
play(struct player *player, const char *script)
{
	struct slice rest = slice_of(script);
	bool closed = false;

	while (rest.length > 0 && !closed) {
		size_t length = slice_find(rest, '\n');

		if (!play_line(player, slice_head(rest, length), &closed)) {
			return;
		}
		rest = slice_skip(rest, length < rest.length ? length + 1 : length);
	}
	while (!closed && await(player, 0)) {
		size_t length = (size_t)((char *)memchr(player->input, '\n', player->length) - player->input);

		if (!slice_has_prefix(slice_make(player->input, length), SLICE_LITERAL("logout LOGOUT"))) {
			player->input[length] = '\0';
			wrong(player, "the client says more", SLICE_LITERAL("the end"), player->input);
			return;
		}
		drop(player, length + 1);
	}
}

static void *
serve(void *context)
{
	struct imap_fake *fake = context;

	for (size_t i = 0; i < fake->count; i++) {
		struct player *player = calloc(1, sizeof *player);
		struct pollfd poll_fd = {.fd = fake->listener, .events = POLLIN};

		player->fake = fake;
		player->fd = poll(&poll_fd, 1, PATIENCE_MS) == 1 ? accept(fake->listener, NULL, NULL) : -1;
		if (player->fd < 0) {
			wrong(player, "nobody connects", SLICE_LITERAL("the beginning"), "");
		} else {
			play(player, fake->scripts[i]);
			close(player->fd);
		}
		free(player);
	}
	return NULL;
}

struct imap_fake *
imap_fake_start(const char *first, const char *second)
{
	struct imap_fake *fake = calloc(1, sizeof *fake);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof address;
	struct error err;

	assert_non_null(fake);
	fake->scripts[0] = first;
	fake->scripts[1] = second;
	fake->count = second != NULL ? 2 : 1;
	fake->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fake->listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(fake->listener, 4), 0);
	assert_int_equal(getsockname(fake->listener, (struct sockaddr *)&address, &length), 0);
	fake->port = ntohs(address.sin_port);
	fake->io = io_posix_create();
	fake->cancel = cancel_create();
	assert_true(io_dir_open(fake->io, "/tmp", false, &fake->spools, &err));
	assert_int_equal(pthread_create(&fake->thread, NULL, serve, fake), 0);
	return fake;
}

void
imap_fake_end(struct imap_fake **fake)
{
	struct imap_fake *f = *fake;
	bool failed;

	assert_int_equal(pthread_join(f->thread, NULL), 0);
	close(f->listener);
	io_dir_close(&f->spools);
	cancel_destroy(&f->cancel);
	io_destroy(&f->io);
	failed = f->failure[0] != '\0';
	if (failed) {
		print_error("%s\n", f->failure);
	}
	free(f);
	*fake = NULL;
	assert_false(failed);
}

static bool
give_secret(void *context, bool again, struct buf *out, bool *out_is_token, struct cancel *cancel, struct error *err)
{
	struct imap_fake *fake = context;

	(void)cancel;
	(void)err;
	fake->secrets++;
	fake->again += again;
	buf_append_text(out, "p");
	*out_is_token = false;
	return true;
}

struct remote *
imap_fake_remote(struct imap_fake *fake, struct imap_settings *settings)
{
	struct imap_settings plain = {.transport = IMAP_CLEAR};
	struct remote *remote;
	struct error err;

	settings = settings != NULL ? settings : &plain;
	settings->host = "127.0.0.1";
	settings->port = fake->port;
	settings->user = "u";
	if (settings->secret == NULL) {
		settings->secret = give_secret;
		settings->secret_context = fake;
	}
	assert_true(imap_remote_create(fake->io, fake->spools, settings, &remote, &err));
	return remote;
}

struct remote_session *
imap_fake_open(struct imap_fake *fake, struct remote *remote)
{
	struct remote_session *session;
	struct error err;

	if (!remote->ops->open(remote, fake->cancel, &session, &err)) {
		print_error("%s\n", err.text);
		fail();
	}
	return session;
}

struct io *
imap_fake_io(struct imap_fake *fake)
{
	return fake->io;
}

struct io_dir *
imap_fake_spools(struct imap_fake *fake)
{
	return fake->spools;
}

unsigned
imap_fake_secrets(const struct imap_fake *fake, unsigned *out_again)
{
	*out_again = fake->again;
	return fake->secrets;
}
