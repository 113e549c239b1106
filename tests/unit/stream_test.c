#include "engine/io/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "engine/io/io_ops.h"
#include "tests/unit/io_test_ops.h"
#include "tests/unit/stream_test_server.h"

#define LONG_MS 20000

#define OK(call)                                             \
	do {                                                 \
		struct error err = ERROR_INIT;               \
		if (!(call)) {                               \
			fail_msg("%s: %s", #call, err.text); \
		}                                            \
	} while (0)

#define FAILS(wanted, why, call)                                                            \
	do {                                                                                \
		struct error err = ERROR_INIT;                                              \
		assert_false(call);                                                         \
		if (err.kind != (wanted) || strstr(err.text, (why)) == NULL) {              \
			fail_msg("%s: %s: %s", #call, error_kind_name(err.kind), err.text); \
		}                                                                           \
	} while (0)

struct world {
	struct io *real, *io;
	struct stream *a, *b;
};

static int
setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	world->real = io_posix_create();
	world->io = io_test_create(world->real);
	OK(stream_pair(world->io, &world->a, &world->b, &err));
	*state = world;
	return 0;
}

static int
teardown(void **state)
{
	struct world *world = *state;

	stream_close(&world->a);
	stream_close(&world->b);
	io_destroy(&world->io);
	io_destroy(&world->real);
	free(world);
	return 0;
}

static void
say(struct stream *stream, const char *text)
{
	OK(stream_write(stream, slice_of(text), LONG_MS, &err));
	OK(stream_flush(stream, LONG_MS, &err));
}

static void
assert_heard(struct stream *stream, const char *text)
{
	struct slice heard = {0};
	size_t length = strlen(text);

	OK(stream_peek(stream, false, LONG_MS, &heard, &err));
	while (heard.length < length) {
		OK(stream_peek(stream, true, LONG_MS, &heard, &err));
	}
	assert_memory_equal(heard.data, text, length);
	stream_consume(stream, length);
}

/* Octets that a mistake of order or count would show in. */
static char
octet_at(uint64_t n)
{
	return (char)(n * 7 + n / 251 + n / 65537);
}

static void
write_pattern(struct stream *stream, uint64_t size)
{
	char piece[50000];

	for (uint64_t at = 0; at < size;) {
		size_t length = size - at < sizeof(piece) ? (size_t)(size - at) : sizeof(piece);

		for (size_t i = 0; i < length; i++) {
			piece[i] = octet_at(at + i);
		}
		OK(stream_write(stream, slice_make(piece, length), LONG_MS, &err));
		at += length;
	}
	OK(stream_flush(stream, LONG_MS, &err));
}

static void
read_pattern(struct stream *stream, uint64_t size)
{
	struct slice heard;

	for (uint64_t at = 0; at < size;) {
		OK(stream_peek(stream, false, LONG_MS, &heard, &err));
		heard = slice_head(heard, size - at < SIZE_MAX ? (size_t)(size - at) : SIZE_MAX);
		for (size_t i = 0; i < heard.length; i++) {
			if (heard.data[i] != octet_at(at + i)) {
				fail_msg("octet %llu is wrong", (unsigned long long)(at + i));
			}
		}
		at += heard.length;
		stream_consume(stream, heard.length);
	}
}

/* --- reading and writing --- */

static void
what_is_not_consumed_stays_in_front(void **state)
{
	struct world *world = *state;
	struct slice heard;

	say(world->a, "* OK ready\r\na1");
	OK(stream_peek(world->b, false, LONG_MS, &heard, &err));
	assert_int_equal(heard.length, 14);
	stream_consume(world->b, 12);
	OK(stream_peek(world->b, false, 0, &heard, &err));
	assert_true(slice_equal(heard, SLICE_LITERAL("a1")));
	FAILS(ERROR_RETRY, "nothing was heard", stream_peek(world->b, true, 20, &heard, &err));
	say(world->a, " OK\r\n");
	OK(stream_peek(world->b, true, LONG_MS, &heard, &err));
	assert_true(slice_equal(heard, SLICE_LITERAL("a1 OK\r\n")));
	stream_consume(world->b, 7);
	FAILS(ERROR_RETRY, "nothing was heard", stream_peek(world->b, false, 0, &heard, &err));
	assert_int_equal(stream_octets_in(world->b), 19);
	assert_int_equal(stream_octets_out(world->a), 19);
	assert_false(stream_is_encrypted(world->a));
	assert_false(stream_is_tunnel(world->a));
}

static void
waiting_for_an_answer_sends_the_question(void **state)
{
	struct world *world = *state;
	struct slice heard;

	OK(stream_write(world->a, slice_of("a1 NOOP\r\n"), 0, &err));
	assert_int_equal(stream_queued(world->a), 9);
	assert_int_equal(stream_sent(world->a), 0);
	FAILS(ERROR_RETRY, "nothing was heard", stream_peek(world->b, false, 10, &heard, &err));
	assert_int_equal(stream_wait(world->a, -1, 10), STREAM_EVENT_TIMEOUT);
	assert_int_equal(stream_sent(world->a), 9);
	assert_heard(world->b, "a1 NOOP\r\n");
}

static void
an_end_comes_behind_all_that_came_before_it(void **state)
{
	struct world *world = *state;
	struct slice heard;

	say(world->a, "* BYE\r\n");
	stream_close(&world->a);
	assert_null(world->a);
	assert_int_equal(stream_wait(world->b, -1, LONG_MS), STREAM_EVENT_INPUT);
	assert_heard(world->b, "* BYE\r\n");
	assert_int_equal(stream_wait(world->b, -1, LONG_MS), STREAM_EVENT_ENDED);
	FAILS(ERROR_RETRY, "closed the connection", stream_peek(world->b, false, LONG_MS, &heard, &err));
	FAILS(ERROR_RETRY, "closed the connection", stream_peek(world->b, true, LONG_MS, &heard, &err));
}

static void
the_last_words_of_a_server_that_takes_no_more_can_be_read(void **state)
{
	struct world *world = *state;
	char *much = calloc(1, 1u << 20);

	assert_non_null(much);
	say(world->a, "* BYE too many\r\n");
	stream_close(&world->a);
	FAILS(ERROR_RETRY, "broke", stream_write(world->b, slice_make(much, 1u << 20), LONG_MS, &err));
	FAILS(ERROR_RETRY, "broke", stream_flush(world->b, LONG_MS, &err));
	assert_heard(world->b, "* BYE too many\r\n");
	free(much);
}

static void *
write_and_read_16_mib(void *context)
{
	write_pattern(context, STREAM_INPUT_MAX);
	read_pattern(context, STREAM_INPUT_MAX);
	return NULL;
}

static void
both_sides_may_write_16_mib_before_either_reads(void **state)
{
	struct world *world = *state;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, write_and_read_16_mib, world->a), 0);
	(void)write_and_read_16_mib(world->b);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(stream_sent(world->a), STREAM_INPUT_MAX);
}

static void *
write_40_mb(void *context)
{
	write_pattern(context, 40000000);
	return NULL;
}

static void
much_goes_through_whole_and_in_order(void **state)
{
	struct world *world = *state;
	struct slice heard;
	pthread_t thread;

	io_test_reset(world->io, IO_EFFECT_BIT(IO_EFFECT_RECV));
	assert_int_equal(pthread_create(&thread, NULL, write_40_mb, world->a), 0);
	read_pattern(world->b, 40000000);
	assert_int_equal(pthread_join(thread, NULL), 0);
	FAILS(ERROR_RETRY, "nothing was heard", stream_peek(world->b, false, 0, &heard, &err));
	assert_int_equal(stream_octets_in(world->b), 40000000);
}

static void
more_than_the_limit_unconsumed_is_refused(void **state)
{
	struct world *world = *state;
	struct slice heard;
	struct error failure = ERROR_INIT;
	pthread_t thread;
	bool more = true;

	assert_int_equal(pthread_create(&thread, NULL, write_40_mb, world->a), 0);
	while (more) {
		more = stream_peek(world->b, true, LONG_MS, &heard, &failure);
	}
	assert_int_equal(failure.kind, ERROR_INVALID);
	OK(stream_peek(world->b, false, 0, &heard, &err));
	assert_int_equal(heard.length, STREAM_INPUT_MAX);
	read_pattern(world->b, 40000000); /* nothing is lost all the same */
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void
sent_is_what_the_kernel_took(void **state)
{
	struct world *world = *state;
	const size_t much = 32u << 20;
	char *octets = calloc(1, much);
	struct slice heard;
	uint64_t got = 0;

	assert_non_null(octets);
	FAILS(ERROR_RETRY, "took nothing", stream_write(world->a, slice_make(octets, much), 50, &err));
	uint64_t sent = stream_sent(world->a);
	struct error failure = ERROR_INIT;

	assert_true(sent > 0 && sent < much && stream_queued(world->a) > sent);
	while (stream_peek(world->b, false, 50, &heard, &failure)) {
		got += heard.length;
		stream_consume(world->b, heard.length);
	}
	assert_int_equal(got, sent);
	free(octets);
}

static void
silence_ends_in_time_and_by_cancel(void **state)
{
	struct world *world = *state;
	struct cancel *cancel = cancel_create();
	struct slice heard;
	int ends[2];
	int64_t before_ms = io_now_ms(world->io);

	FAILS(ERROR_RETRY, "nothing was heard", stream_peek(world->b, false, 50, &heard, &err));
	assert_true(io_now_ms(world->io) - before_ms >= 50);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	struct stream *stream = stream_of_fd(world->io, ends[0], cancel);

	cancel_raise(cancel);
	FAILS(ERROR_CANCELLED, "stopped", stream_peek(stream, false, -1, &heard, &err));
	assert_int_equal(stream_wait(stream, -1, -1), STREAM_EVENT_CANCELLED);
	OK(stream_write(stream, slice_of("x"), -1, &err));
	FAILS(ERROR_CANCELLED, "stopped", stream_flush(stream, -1, &err));
	cancel_clear(cancel);
	OK(stream_flush(stream, -1, &err));
	stream_close(&stream);
	(void)close(ends[1]);
	cancel_destroy(&cancel);
}

static void
another_descriptor_wakes_a_wait(void **state)
{
	struct world *world = *state;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(stream_wait(world->b, ends[0], 10), STREAM_EVENT_TIMEOUT);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(stream_wait(world->b, ends[0], -1), STREAM_EVENT_OTHER);
	say(world->a, "half a li");
	assert_int_equal(stream_wait(world->b, ends[0], -1), STREAM_EVENT_INPUT);
	assert_heard(world->b, "half ");
	/* what was seen is no news */
	assert_int_equal(stream_wait(world->b, -1, 10), STREAM_EVENT_TIMEOUT);
	say(world->a, "ne");
	assert_int_equal(stream_wait(world->b, -1, LONG_MS), STREAM_EVENT_INPUT);
	assert_heard(world->b, "a line");
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void
a_failing_socket_is_a_reason_to_connect_again(void **state)
{
	struct world *world = *state;
	struct slice heard;

	say(world->a, "x");
	io_test_reset(world->io, IO_EFFECT_BIT(IO_EFFECT_RECV));
	io_test_fail(world->io, 1, EINTR, false);
	assert_heard(world->b, "x");
	assert_true(io_test_fired(world->io));
	io_test_reset(world->io, IO_EFFECT_BIT(IO_EFFECT_RECV));
	io_test_fail(world->io, 1, ETIMEDOUT, false);
	FAILS(ERROR_RETRY, "broke", stream_peek(world->b, false, LONG_MS, &heard, &err));
	assert_true(io_test_fired(world->io));
	/* for ever, though the next try would go through */
	FAILS(ERROR_RETRY, "broke", stream_peek(world->b, false, LONG_MS, &heard, &err));

	io_test_reset(world->io, IO_EFFECT_BIT(IO_EFFECT_SEND));
	io_test_tear(world->io, 1, ECONNRESET);
	OK(stream_write(world->a, slice_of("0123456789"), LONG_MS, &err));
	FAILS(ERROR_RETRY, "broke", stream_flush(world->a, LONG_MS, &err));
	assert_true(io_test_fired(world->io));
	assert_int_equal(stream_sent(world->a), 1);
}

/* --- TCP --- */

static void
greet(int fd, void *context)
{
	char octets[4];

	(void)test_server_write(fd, "* OK\r\n", 6);
	(void)test_server_read(fd, octets, sizeof(octets));
}

static void
a_host_is_connected_to_by_name_and_by_address(void **state)
{
	struct world *world = *state;
	static const char *const hosts[] = {"127.0.0.1", "localhost"};
	struct test_server server;

	test_server_start(&server, ARRAY_LENGTH(hosts), greet, NULL);
	for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++) {
		struct stream *stream;

		OK(stream_connect(world->io, hosts[i], server.port, NULL, LONG_MS, NULL, &stream, &err));
		assert_heard(stream, "* OK\r\n");
		say(stream, "bye\n");
		stream_close(&stream);
	}
	test_server_join(&server);
}

static void
a_server_that_cannot_be_reached_is_told_from_one_that_is_unknown(void **state)
{
	struct world *world = *state;
	struct stream *stream;

	FAILS(ERROR_UNREACHABLE, "refused",
		stream_connect(world->io, "127.0.0.1", test_server_closed_port(), NULL, LONG_MS, NULL, &stream, &err));
	FAILS(ERROR_UNREACHABLE, "looking up",
		stream_connect(world->io, "no-such-host.invalid", 993, NULL, 3000, NULL, &stream, &err));
	FAILS(ERROR_UNREACHABLE, "no name of a host",
		stream_connect(world->io, "", 993, NULL, LONG_MS, NULL, &stream, &err));
	io_test_reset(world->io, IO_EFFECT_BIT(IO_EFFECT_SOCKET));
	io_test_fail(world->io, 1, EMFILE, false);
	FAILS(ERROR_UNREACHABLE, "Too many open files",
		stream_connect(world->io, "127.0.0.1", 993, NULL, LONG_MS, NULL, &stream, &err));
	assert_true(io_test_fired(world->io));
}

/* An io whose host names have the addresses that a test says. */
static struct io_ops fake_ops;
static struct io_address fake_addresses[4];
static int fake_count;

static int
fake_resolve(struct io *io, const char *host, uint16_t port, int64_t timeout_ms, int cancel_descriptor,
	struct io_address *out, size_t max, const char **out_why)
{
	memcpy(out, fake_addresses, sizeof(fake_addresses));
	return fake_count;
}

static void
fake_address(uint16_t port)
{
	struct sockaddr_in *address = (struct sockaddr_in *)&fake_addresses[fake_count].storage;

	*address = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	fake_addresses[fake_count++].length = sizeof(*address);
}

/* A socket that listens and never answers: its queue is full. */
static int
silent_listener(uint16_t *out_port, int fillers[4])
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	for (int i = 0; i < 4; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(fillers[i], (struct sockaddr *)&address, sizeof(address));
	}
	*out_port = ntohs(address.sin_port);
	return fd;
}

static void
every_address_of_a_host_is_tried(void **state)
{
	struct world *world = *state;
	struct cancel *cancel = cancel_create();
	struct test_server server;
	struct stream *stream;
	uint16_t silent_port;
	int fillers[4];
	int listener = silent_listener(&silent_port, fillers);

	fake_ops = *world->real->ops;
	fake_ops.resolve = fake_resolve;
	const struct io_ops *ops = world->real->ops;

	world->real->ops = &fake_ops;
	test_server_start(&server, 1, greet, NULL);
	fake_count = 0;
	fake_address(test_server_closed_port());
	fake_address(silent_port);
	fake_address(test_server_closed_port());
	fake_address(server.port);

	int64_t before_ms = io_now_ms(world->io);

	OK(stream_connect(world->io, "host", 993, NULL, LONG_MS, NULL, &stream, &err));
	assert_true(io_now_ms(world->io) - before_ms < 2000);
	assert_heard(stream, "* OK\r\n");
	stream_close(&stream);
	test_server_join(&server);

	fake_count = 0;
	fake_address(silent_port);
	FAILS(ERROR_UNREACHABLE, "no answer in time",
		stream_connect(world->io, "host", 993, NULL, 50, NULL, &stream, &err));
	cancel_raise(cancel);
	FAILS(ERROR_CANCELLED, "stopped", stream_connect(world->io, "host", 993, NULL, -1, cancel, &stream, &err));
	fake_count = 0;
	FAILS(ERROR_UNREACHABLE, "no address", stream_connect(world->io, "host", 993, NULL, -1, cancel, &stream, &err));
	for (int i = 0; i < 4; i++) {
		(void)close(fillers[i]);
	}
	(void)close(listener);
	world->real->ops = ops;
	cancel_destroy(&cancel);
}

static void
send_small_pieces(int fd, void *context)
{
	char octets[4];

	for (int i = 0; i < 5; i++) {
		(void)test_server_write(fd, "x", 1);
		(void)test_server_read(fd, octets, 1);
	}
}

static void
acknowledgements_are_made_quick_again_before_each_wait(void **state)
{
	struct world *world = *state;
	struct test_server server;
	struct stream *stream;

	test_server_start(&server, 1, send_small_pieces, NULL);
	OK(stream_connect(world->io, "127.0.0.1", server.port, NULL, LONG_MS, NULL, &stream, &err));
	io_test_reset(world->io, IO_EFFECT_BIT(IO_EFFECT_SET_OPTION));
	for (int i = 0; i < 5; i++) {
		assert_heard(stream, "x");
		unsigned before = io_test_count(world->io);

		/* the server says nothing before it is answered */
		assert_int_equal(stream_wait(stream, -1, 1), STREAM_EVENT_TIMEOUT);
		assert_int_equal(stream_wait(stream, -1, 1), STREAM_EVENT_TIMEOUT);
		assert_int_equal(io_test_count(world->io), before + 1);
		say(stream, "y");
	}
	stream_close(&stream);
	test_server_join(&server);
}

static void
reset(int fd, void *context)
{
	struct linger now = {.l_onoff = 1};
	char octet;

	(void)test_server_read(fd, &octet, 1);
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void
a_reset_is_a_reason_to_connect_again(void **state)
{
	struct world *world = *state;
	struct test_server server;
	struct stream *stream;
	struct slice heard;

	test_server_start(&server, 1, reset, NULL);
	OK(stream_connect(world->io, "127.0.0.1", server.port, NULL, LONG_MS, NULL, &stream, &err));
	say(stream, "x");
	FAILS(ERROR_RETRY, "reset", stream_peek(stream, false, LONG_MS, &heard, &err));
	test_server_join(&server);
	FAILS(ERROR_RETRY, "",
		stream_write(stream, slice_of("x"), LONG_MS, &err) && stream_flush(stream, LONG_MS, &err));
	stream_close(&stream);
}

/* --- DEFLATE --- */

static void
compressed_octets_come_out_as_they_went_in(void **state)
{
	struct world *world = *state;

	/* the server's first compressed octets may be here with its OK */
	say(world->a, "a1 OK compressed\r\n");
	OK(stream_start_deflate(world->a, &err));
	say(world->a, "* LIST () \"/\" INBOX\r\n");

	struct slice heard;

	OK(stream_peek(world->b, false, LONG_MS, &heard, &err));
	stream_consume(world->b, 18);
	OK(stream_start_deflate(world->b, &err));
	assert_heard(world->b, "* LIST () \"/\" INBOX\r\n");
	say(world->b, "a2 NOOP\r\n");
	assert_heard(world->a, "a2 NOOP\r\n");

	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, write_and_read_16_mib, world->a), 0);
	(void)write_and_read_16_mib(world->b);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(stream_octets_in(world->b) < STREAM_INPUT_MAX / 4);
}

/* `size` times the same octet, packed up to the mark of the flush, which is left away. */
static size_t
pack_run(size_t size, unsigned char *out, size_t room)
{
	char *octets = malloc(size);
	z_stream z = {0};

	assert_non_null(octets);
	memset(octets, 'a', size);
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)octets;
	z.avail_in = (uInt)size;
	z.next_out = out;
	z.avail_out = (uInt)room;
	assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
	assert_int_equal(z.avail_in, 0);
	(void)deflateEnd(&z);
	free(octets);
	return room - z.avail_out - 4;
}

static void
what_the_unpacker_still_holds_is_not_waited_for(void **state)
{
	struct world *world = *state;

	/* a run that ends a little behind what is asked for at a time: all packed octets are in, some plain ones are not out */
	for (size_t size = 16384; size < 16384 + 300; size += 7) {
		unsigned char packed[1024];
		size_t length = pack_run(size, packed, sizeof(packed));
		struct stream *a, *b;

		OK(stream_pair(world->io, &a, &b, &err));
		OK(stream_start_deflate(b, &err));
		OK(stream_write(a, slice_make(packed, length), LONG_MS, &err));
		OK(stream_flush(a, LONG_MS, &err));
		for (size_t got = 0; got < size;) {
			struct slice heard;

			OK(stream_peek(b, false, 2000, &heard, &err));
			got += heard.length;
			stream_consume(b, heard.length);
		}
		stream_close(&a);
		stream_close(&b);
	}
}

static void
sent_never_tells_less_than_a_compressed_peer_has_read(void **state)
{
	struct world *world = *state;
	const size_t much = 8u << 20;
	char *octets = malloc(much);
	struct slice heard;
	uint64_t got = 0;

	assert_non_null(octets);
	io_random(world->io, octets, much); /* does not get smaller, so the socket fills */
	OK(stream_start_deflate(world->a, &err));
	OK(stream_start_deflate(world->b, &err));
	FAILS(ERROR_RETRY, "took nothing", stream_write(world->a, slice_make(octets, much), 50, &err));
	struct error failure = ERROR_INIT;

	while (stream_peek(world->b, false, 50, &heard, &failure)) {
		got += heard.length;
		stream_consume(world->b, heard.length);
	}
	assert_true(got > 0 && got <= stream_sent(world->a));
	assert_in_range(stream_sent(world->a) - got, 0, 64u << 10);
	assert_true(stream_sent(world->a) < much);
	free(octets);
}

#define BOMB_BYTES (400u << 20)

/* 400 MiB of NULs, as some 400 KB. */
static void *
throw_bomb(void *context)
{
	static unsigned char nuls[1u << 16], packed[1u << 16];
	struct stream *stream = context;
	z_stream z = {0};

	if (deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY) != Z_OK) {
		return NULL;
	}
	for (size_t at = 0; at < BOMB_BYTES; at += sizeof(nuls)) {
		struct error err = ERROR_INIT;

		z.next_in = nuls;
		z.avail_in = sizeof(nuls);
		z.next_out = packed;
		z.avail_out = sizeof(packed);
		(void)deflate(&z, at + sizeof(nuls) < BOMB_BYTES ? Z_NO_FLUSH : Z_FINISH);
		if (!stream_write(stream, slice_make(packed, sizeof(packed) - z.avail_out), LONG_MS, &err)) {
			break;
		}
	}
	struct error err = ERROR_INIT;

	(void)!stream_flush(stream, LONG_MS, &err);
	(void)deflateEnd(&z);
	return NULL;
}

static void
a_bomb_is_unpacked_only_as_it_is_consumed(void **state)
{
	struct world *world = *state;
	struct slice heard;
	struct error failure = ERROR_INIT;
	struct rusage before, after;
	pthread_t thread;
	uint64_t got = 0;

	(void)getrusage(RUSAGE_SELF, &before);
	OK(stream_start_deflate(world->b, &err));
	assert_int_equal(pthread_create(&thread, NULL, throw_bomb, world->a), 0);
	while (stream_peek(world->b, true, LONG_MS, &heard, &failure)) {
		assert_true(heard.length <= STREAM_INPUT_MAX);
	}
	assert_int_equal(failure.kind, ERROR_INVALID); /* somebody waits for a line's end */
	while (stream_peek(world->b, false, LONG_MS, &heard, &failure)) {
		assert_true(heard.length <= STREAM_INPUT_MAX);
		got += heard.length;
		stream_consume(world->b, heard.length);
	}
	assert_int_equal(got, BOMB_BYTES);
	assert_int_equal(failure.kind, ERROR_RETRY);
	assert_non_null(strstr(failure.text, "ended its compressed data"));
	assert_int_equal(pthread_join(thread, NULL), 0);
	(void)getrusage(RUSAGE_SELF, &after);
	assert_true(after.ru_maxrss - before.ru_maxrss < 128 * 1024);
}

static void
damaged_compressed_data_is_a_reason_to_connect_again(void **state)
{
	struct world *world = *state;
	struct slice heard;

	OK(stream_start_deflate(world->b, &err));
	say(world->a, "\xff\xff\xff\xff this is nothing that was compressed");
	FAILS(ERROR_RETRY, "damaged", stream_peek(world->b, false, LONG_MS, &heard, &err));
	FAILS(ERROR_RETRY, "damaged", stream_peek(world->b, false, LONG_MS, &heard, &err));
}

/* --- tunnels --- */

static void
assert_no_child_is_left(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void
a_tunnel_speaks_with_a_command(void **state)
{
	struct world *world = *state;
	struct stream *stream;

	OK(stream_tunnel(world->io, "echo '* PREAUTH'; exec cat", NULL, &stream, &err));
	assert_true(stream_is_tunnel(stream));
	assert_heard(stream, "* PREAUTH\n");
	say(stream, "a1 NOOP\r\n");
	assert_heard(stream, "a1 NOOP\r\n");

	int64_t before_ms = io_now_ms(world->io);

	stream_close(&stream);
	assert_true(io_now_ms(world->io) - before_ms < 400);
	assert_no_child_is_left();
}

static void
a_tunnel_whose_command_ends_says_how(void **state)
{
	struct world *world = *state;
	struct stream *stream;
	struct slice heard;

	OK(stream_tunnel(world->io, "exit 3", NULL, &stream, &err));
	FAILS(ERROR_RETRY, "status 3", stream_peek(stream, false, LONG_MS, &heard, &err));
	/* writing to it raises no signal */
	FAILS(ERROR_RETRY, "",
		stream_write(stream, slice_of("x"), LONG_MS, &err) && stream_flush(stream, LONG_MS, &err));
	stream_close(&stream);
	OK(stream_tunnel(world->io, "kill -9 $$", NULL, &stream, &err));
	FAILS(ERROR_RETRY, "signal 9", stream_peek(stream, false, LONG_MS, &heard, &err));
	stream_close(&stream);
	assert_no_child_is_left();
}

static void
a_tunnel_whose_command_lingers_is_killed(void **state)
{
	struct world *world = *state;
	static const char *const commands[] = {"sleep 30; true", "trap '' TERM; echo; while :; do sleep 0.05; done"};

	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
		struct stream *stream;
		int64_t before_ms = io_now_ms(world->io);

		OK(stream_tunnel(world->io, commands[i], NULL, &stream, &err));
		if (i == 1) {
			assert_heard(stream, "\n"); /* the trap is set */
		}
		stream_close(&stream);
		assert_in_range(io_now_ms(world->io) - before_ms, 400, 5000);
		assert_no_child_is_left();
	}
}

static void
a_tunnel_that_cannot_be_started_is_an_error(void **state)
{
	struct world *world = *state;
	struct stream *stream;

	io_test_reset(world->io, IO_EFFECT_BIT(IO_EFFECT_SOCKET) | IO_EFFECT_BIT(IO_EFFECT_SPAWN));
	io_test_fail(world->io, 1, EMFILE, false);
	FAILS(ERROR_SYSTEM, "Too many", stream_tunnel(world->io, "cat", NULL, &stream, &err));
	io_test_reset(world->io, IO_EFFECT_BIT(IO_EFFECT_SPAWN));
	io_test_fail(world->io, 1, EAGAIN, false);
	FAILS(ERROR_SYSTEM, "tunnel", stream_tunnel(world->io, "cat", NULL, &stream, &err));
	assert_true(io_test_fired(world->io));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_not_consumed_stays_in_front),
		TEST(waiting_for_an_answer_sends_the_question),
		TEST(an_end_comes_behind_all_that_came_before_it),
		TEST(the_last_words_of_a_server_that_takes_no_more_can_be_read),
		TEST(both_sides_may_write_16_mib_before_either_reads),
		TEST(much_goes_through_whole_and_in_order),
		TEST(more_than_the_limit_unconsumed_is_refused),
		TEST(sent_is_what_the_kernel_took),
		TEST(silence_ends_in_time_and_by_cancel),
		TEST(another_descriptor_wakes_a_wait),
		TEST(a_failing_socket_is_a_reason_to_connect_again),
		TEST(a_host_is_connected_to_by_name_and_by_address),
		TEST(a_server_that_cannot_be_reached_is_told_from_one_that_is_unknown),
		TEST(every_address_of_a_host_is_tried),
		TEST(acknowledgements_are_made_quick_again_before_each_wait),
		TEST(a_reset_is_a_reason_to_connect_again),
		TEST(compressed_octets_come_out_as_they_went_in),
		TEST(what_the_unpacker_still_holds_is_not_waited_for),
		TEST(sent_never_tells_less_than_a_compressed_peer_has_read),
		TEST(a_bomb_is_unpacked_only_as_it_is_consumed),
		TEST(damaged_compressed_data_is_a_reason_to_connect_again),
		TEST(a_tunnel_speaks_with_a_command),
		TEST(a_tunnel_whose_command_ends_says_how),
		TEST(a_tunnel_whose_command_lingers_is_killed),
		TEST(a_tunnel_that_cannot_be_started_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
