#include "engine/io/stream.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <ftw.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "engine/base/base64.h"
#include "engine/base/sha256.h"
#include "engine/io/io_ops.h"
#include "tests/unit/io_test_ops.h"
#include "tests/unit/stream_test_server.h"

#define LONG_MS 20000
#define DAY_S   86400

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

/* --- an authority and what it signs --- */

struct identity {
	EVP_PKEY *key;
	X509 *certificate;
};

static void
add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;

	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);

	assert(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
	X509_EXTENSION_free(extension);
}

/* Signed by `issuer`, or by itself. `names` NULL: an authority. */
static struct identity
make_identity(const struct identity *issuer, const char *names, long from_s, long until_s)
{
	static long serial = 1;
	struct identity made = {.key = EVP_EC_gen("P-256"), .certificate = X509_new()};
	X509 *certificate = made.certificate;

	assert(made.key != NULL && certificate != NULL);
	(void)X509_set_version(certificate, X509_VERSION_3);
	(void)ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
	(void)X509_gmtime_adj(X509_getm_notBefore(certificate), from_s);
	(void)X509_gmtime_adj(X509_getm_notAfter(certificate), until_s);
	(void)X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
		(const unsigned char *)(names != NULL ? "mail" : "authority"), -1, -1, 0);
	(void)X509_set_issuer_name(
		certificate, X509_get_subject_name(issuer != NULL ? issuer->certificate : certificate));
	(void)X509_set_pubkey(certificate, made.key);
	if (names != NULL) {
		add_extension(certificate, certificate, NID_subject_alt_name, names);
	} else {
		add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
	}
	assert(X509_sign(certificate, issuer != NULL ? issuer->key : made.key, EVP_sha256()) > 0);
	return made;
}

static void
identity_finish(struct identity *identity)
{
	EVP_PKEY_free(identity->key);
	X509_free(identity->certificate);
}

/* --- the world: an authority, whose file we trust, and identities good and bad --- */

enum which { GOOD, WRONG_HOST, EXPIRED, EARLY, STRANGER, SELF_SIGNED, WHICH_COUNT };

struct world {
	struct io *real, *io;
	char path[64], ca_file[96], both_file[96], self_file[96];
	struct identity authority, other_authority, identities[WHICH_COUNT];
};

static void
write_pem(const char *path, const struct identity *identity, bool with_key)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_int_equal(PEM_write_X509(file, identity->certificate), 1);
	if (with_key) {
		assert_int_equal(PEM_write_PrivateKey(file, identity->key, NULL, NULL, 0, NULL, NULL), 1);
	}
	assert_int_equal(fclose(file), 0);
}

static int
setup(void **state)
{
	static const char names[] = "DNS:localhost,DNS:*.example.org,IP:127.0.0.1";
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	world->real = io_posix_create();
	world->io = io_test_create(world->real);
	(void)snprintf(world->path, sizeof(world->path), "/tmp/mailfs-tls-XXXXXX");
	assert_non_null(mkdtemp(world->path));
	(void)snprintf(world->ca_file, sizeof(world->ca_file), "%s/ca.pem", world->path);
	(void)snprintf(world->both_file, sizeof(world->both_file), "%s/client.pem", world->path);
	(void)snprintf(world->self_file, sizeof(world->self_file), "%s/self.pem", world->path);
	world->authority = make_identity(NULL, NULL, -DAY_S, DAY_S);
	world->other_authority = make_identity(NULL, NULL, -DAY_S, DAY_S);
	world->identities[GOOD] = make_identity(&world->authority, names, -DAY_S, DAY_S);
	world->identities[WRONG_HOST] =
		make_identity(&world->authority, "DNS:other.example,DNS:more.example", -DAY_S, DAY_S);
	world->identities[EXPIRED] = make_identity(&world->authority, names, -2 * DAY_S, -DAY_S);
	world->identities[EARLY] = make_identity(&world->authority, names, DAY_S, 2 * DAY_S);
	world->identities[STRANGER] = make_identity(&world->other_authority, names, -DAY_S, DAY_S);
	world->identities[SELF_SIGNED] = make_identity(NULL, names, -DAY_S, DAY_S);
	write_pem(world->ca_file, &world->authority, false);
	write_pem(world->both_file, &world->identities[GOOD], true);
	write_pem(world->self_file, &world->identities[SELF_SIGNED], false);
	*state = world;
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path);
}

static int
teardown(void **state)
{
	struct world *world = *state;

	identity_finish(&world->authority);
	identity_finish(&world->other_authority);
	for (size_t i = 0; i < WHICH_COUNT; i++) {
		identity_finish(&world->identities[i]);
	}
	io_destroy(&world->io);
	io_destroy(&world->real);
	(void)nftw(world->path, remove_one, 4, FTW_DEPTH | FTW_PHYS);
	free(world);
	return 0;
}

static void
pin_of(const struct identity *identity, struct buf *out)
{
	unsigned char *der = NULL;
	int length = i2d_PUBKEY(identity->key, &der);
	struct digest digest = sha256_of(slice_make(der, (size_t)length));

	OPENSSL_free(der);
	base64_encode(slice_make(digest.bytes, sizeof(digest.bytes)), out);
}

/* --- a TLS server --- */

struct tls_server {
	struct test_server server;
	SSL_CTX *context;
	const char *clear;                                  /* said before TLS begins, answered by a line */
	const char *and_then;                               /* put behind it at once */
	void (*speak)(SSL *ssl, struct tls_server *server); /* behind the handshake */
	bool cut;                                           /* ends without close_notify */
	/* seen */
	bool accepted, resumed;
	char name[64]; /* asked for */
	uint8_t exported[32];
	uint64_t got;
};

static void
serve_tls(int fd, void *context)
{
	struct tls_server *server = context;
	char line[64];

	if (server->clear != NULL) {
		(void)test_server_write(fd, server->clear, strlen(server->clear));
		(void)recv(fd, line, sizeof(line), 0);
		if (server->and_then != NULL) {
			(void)test_server_write(fd, server->and_then, strlen(server->and_then));
		}
	}
	SSL *ssl = SSL_new(server->context);

	(void)SSL_set_fd(ssl, fd);
	server->accepted = SSL_accept(ssl) == 1;
	server->resumed = SSL_session_reused(ssl) == 1;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	(void)snprintf(server->name, sizeof(server->name), "%s", name != NULL ? name : "");
	if (server->accepted) {
		(void)SSL_export_keying_material(ssl, server->exported, sizeof(server->exported),
			"EXPORTER-Channel-Binding", 24, (const unsigned char *)"", 0, 1);
		server->speak(ssl, server);
		if (!server->cut) {
			(void)SSL_shutdown(ssl);
		}
	}
	SSL_free(ssl);
	ERR_clear_error();
	(void)shutdown(fd, SHUT_WR);
	while (recv(fd, line, sizeof(line), 0) > 0) { /* a close with unread octets would be a reset */
	}
}

static void
greet(SSL *ssl, struct tls_server *server)
{
	char octets[64];

	(void)SSL_write(ssl, "* OK\r\n", 6);
	(void)SSL_read(ssl, octets, sizeof(octets));
}

static void
start(struct world *world, struct tls_server *server, enum which which, unsigned connections)
{
	server->context = SSL_CTX_new(TLS_server_method());
	assert_non_null(server->context);
	assert_int_equal(SSL_CTX_use_certificate(server->context, world->identities[which].certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(server->context, world->identities[which].key), 1);
	if (server->speak == NULL) {
		server->speak = greet;
	}
	test_server_start(&server->server, connections, serve_tls, server);
}

static void
finish(struct tls_server *server)
{
	test_server_join(&server->server);
	SSL_CTX_free(server->context);
}

static struct stream_tls *
trust(struct world *world, const char *pin)
{
	struct stream_tls *tls;

	OK(stream_tls_create(world->ca_file, pin, NULL, &tls, &err));
	return tls;
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

static void
say(struct stream *stream, const char *text)
{
	OK(stream_write(stream, slice_of(text), LONG_MS, &err));
	OK(stream_flush(stream, LONG_MS, &err));
}

/* --- who is trusted --- */

static void
a_server_with_a_good_certificate_is_spoken_with(void **state)
{
	struct world *world = *state;
	static const char *const hosts[] = {"127.0.0.1", "localhost"};
	struct stream_tls *tls = trust(world, NULL);

	for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++) {
		SCOPED(buf_finish) struct buf about = BUF_INIT, pin = BUF_INIT, wanted = BUF_INIT;
		struct tls_server server = {0};
		struct stream *stream;
		uint8_t exported[32];

		start(world, &server, GOOD, 1);
		OK(stream_connect(world->io, hosts[i], server.server.port, tls, LONG_MS, NULL, &stream, &err));
		assert_heard(stream, "* OK\r\n");
		assert_true(stream_is_encrypted(stream));
		stream_describe(stream, &about);
		assert_string_equal(about.data, "TLSv1.3 TLS_AES_256_GCM_SHA384");
		stream_peer_pin(stream, &pin);
		pin_of(&world->identities[GOOD], &wanted);
		assert_string_equal(pin.data, wanted.data);
		assert_true(stream_tls_exporter(stream, exported));
		say(stream, "bye\n");
		assert_int_equal(stream_sent(stream), 4);
		assert_true(stream_octets_out(stream) > 200);
		stream_close(&stream);
		finish(&server);
		assert_memory_equal(exported, server.exported, sizeof(exported));
		assert_string_equal(server.name, i == 0 ? "" : "localhost");
	}
	stream_tls_destroy(&tls);
	assert_null(tls);
}

static void
assert_refused(struct world *world, enum which which, struct stream_tls *tls, const char *why)
{
	struct tls_server server = {0};
	struct stream *stream = NULL;

	start(world, &server, which, 1);
	FAILS(ERROR_TRUST, why,
		stream_connect(world->io, "localhost", server.server.port, tls, LONG_MS, NULL, &stream, &err));
	assert_null(stream);
	finish(&server);
}

static void
a_certificate_that_is_not_good_is_refused_with_its_reason(void **state)
{
	struct world *world = *state;
	struct stream_tls *tls = trust(world, NULL);

	assert_refused(world, WRONG_HOST, tls, "not valid for host localhost; it is for other.example, more.example");
	assert_refused(world, EXPIRED, tls, "has expired");
	assert_refused(world, EARLY, tls, "not valid yet");
	assert_refused(world, STRANGER, tls, "unknown authority; it is not in tls-ca-file");
	assert_refused(world, SELF_SIGNED, tls, "unknown authority");
	stream_tls_destroy(&tls);

	OK(stream_tls_create(NULL, NULL, NULL, &tls, &err)); /* the system's authorities */
	assert_refused(world, GOOD, tls, "unknown authority; set tls-ca-file");
	stream_tls_destroy(&tls);
}

static void
a_self_signed_certificate_is_good_when_it_is_the_ca_file(void **state)
{
	struct world *world = *state;
	struct tls_server server = {0};
	struct stream_tls *tls;
	struct stream *stream;

	OK(stream_tls_create(world->self_file, NULL, NULL, &tls, &err));
	start(world, &server, SELF_SIGNED, 1);
	OK(stream_connect(world->io, "localhost", server.server.port, tls, LONG_MS, NULL, &stream, &err));
	assert_heard(stream, "* OK\r\n");
	stream_close(&stream);
	finish(&server);
	stream_tls_destroy(&tls);
}

static void
a_pin_is_asked_for_as_well_and_not_instead(void **state)
{
	struct world *world = *state;
	SCOPED(buf_finish) struct buf good = BUF_INIT, stranger = BUF_INIT;
	struct tls_server server = {0};
	struct stream_tls *tls;
	struct stream *stream;

	pin_of(&world->identities[GOOD], &good);
	pin_of(&world->identities[STRANGER], &stranger);
	tls = trust(world, good.data);
	start(world, &server, GOOD, 2);
	for (int i = 0; i < 2; i++) { /* also when the session is resumed */
		OK(stream_connect(world->io, "localhost", server.server.port, tls, LONG_MS, NULL, &stream, &err));
		assert_heard(stream, "* OK\r\n");
		stream_close(&stream);
	}
	finish(&server);
	stream_tls_destroy(&tls);

	tls = trust(world, stranger.data);
	assert_refused(world, GOOD, tls, good.data); /* it tells the pin that was found */
	assert_refused(world, STRANGER, tls, "unknown authority");
	stream_tls_destroy(&tls);
}

static void
what_cannot_be_used_for_trust_is_told_at_once(void **state)
{
	struct world *world = *state;
	struct stream_tls *tls;
	char path[96];

	(void)snprintf(path, sizeof(path), "%s/none.pem", world->path);
	FAILS(ERROR_CONFIG, "No such file", stream_tls_create(path, NULL, NULL, &tls, &err));
	FAILS(ERROR_CONFIG, "client certificate", stream_tls_create(NULL, NULL, path, &tls, &err));
	FAILS(ERROR_CONFIG, "private key", stream_tls_create(NULL, NULL, world->ca_file, &tls, &err));
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs("nothing of use\n", file) >= 0);
	assert_int_equal(fclose(file), 0);
	FAILS(ERROR_CONFIG, "no certificate", stream_tls_create(path, NULL, NULL, &tls, &err));
	FAILS(ERROR_CONFIG, "tls-pin", stream_tls_create(NULL, "AAAA", NULL, &tls, &err));
	FAILS(ERROR_CONFIG, "tls-pin", stream_tls_create(NULL, "not base64!", NULL, &tls, &err));
}

static void
old_versions_are_refused(void **state)
{
	struct world *world = *state;
	struct tls_server server = {0};
	struct stream_tls *tls = trust(world, NULL);
	struct stream *stream;

	start(world, &server, GOOD, 1);
	SSL_CTX_set_security_level(server.context, 0);
	(void)SSL_CTX_set_min_proto_version(server.context, TLS1_VERSION);
	(void)SSL_CTX_set_max_proto_version(server.context, TLS1_1_VERSION);
	FAILS(ERROR_TRUST, "no TLS 1.2",
		stream_connect(world->io, "localhost", server.server.port, tls, LONG_MS, NULL, &stream, &err));
	finish(&server);
	assert_false(server.accepted);
	stream_tls_destroy(&tls);
}

static void
a_client_certificate_is_shown_when_there_is_one(void **state)
{
	struct world *world = *state;

	for (int with = 0; with < 2; with++) {
		struct tls_server server = {0};
		struct stream_tls *tls;
		struct stream *stream;
		struct slice heard;

		OK(stream_tls_create(world->ca_file, NULL, with == 1 ? world->both_file : NULL, &tls, &err));
		start(world, &server, GOOD, 1);
		SSL_CTX_set_verify(server.context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
		(void)SSL_CTX_set_session_id_context(server.context, (const unsigned char *)"t", 1);
		assert_int_equal(
			X509_STORE_add_cert(SSL_CTX_get_cert_store(server.context), world->authority.certificate), 1);
		/* in TLS 1.3 the refusal comes behind our side of the handshake */
		OK(stream_connect(world->io, "localhost", server.server.port, tls, LONG_MS, NULL, &stream, &err));
		if (with == 1) {
			assert_heard(stream, "* OK\r\n");
		} else {
			FAILS(ERROR_TRUST, "asks for a client certificate",
				stream_peek(stream, false, LONG_MS, &heard, &err));
		}
		stream_close(&stream);
		finish(&server);
		stream_tls_destroy(&tls);
	}
}

/* --- sessions --- */

static void
a_second_connection_resumes_the_session(void **state)
{
	struct world *world = *state;
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	for (size_t i = 0; i < ARRAY_LENGTH(versions); i++) {
		struct tls_server server = {0};
		struct stream_tls *tls = trust(world, NULL);
		static const char *const hosts[] = {"localhost", "localhost", "127.0.0.1"};

		start(world, &server, GOOD, 3);
		(void)SSL_CTX_set_max_proto_version(server.context, versions[i]);
		for (unsigned n = 0; n < 3; n++) {
			struct stream *stream;

			OK(stream_connect(world->io, hosts[n], server.server.port, tls, LONG_MS, NULL, &stream, &err));
			assert_heard(stream, "* OK\r\n");
			assert_int_equal(server.resumed, n == 1); /* it is the host's, not the address's */
			uint8_t exported[32];

			assert_int_equal(stream_tls_exporter(stream, exported), versions[i] == TLS1_3_VERSION);
			stream_close(&stream);
		}
		finish(&server);
		stream_tls_destroy(&tls);
	}
}

/* --- how it ends --- */

static void
an_end_without_farewell_is_told_from_one_with(void **state)
{
	struct world *world = *state;
	struct stream_tls *tls = trust(world, NULL);

	for (int cut = 0; cut < 2; cut++) {
		struct tls_server server = {.cut = cut == 1};
		struct stream *stream;
		struct slice heard;

		start(world, &server, GOOD, 1);
		OK(stream_connect(world->io, "localhost", server.server.port, tls, LONG_MS, NULL, &stream, &err));
		say(stream, "x");
		assert_heard(stream, "* OK\r\n");
		for (int again = 0; again < 2; again++) {
			FAILS(ERROR_RETRY, cut == 1 ? "TLS did not end" : "closed the connection",
				stream_peek(stream, false, LONG_MS, &heard, &err));
		}
		stream_close(&stream);
		finish(&server);
	}
	stream_tls_destroy(&tls);
}

static void
close_at_once(int fd, void *context)
{
}

static void
speak_clear(int fd, void *context)
{
	char octet;

	(void)test_server_write(fd, "* OK no TLS here\r\n", 18);
	(void)test_server_read(fd, &octet, 1);
}

static void
keep_silent(int fd, void *context)
{
	char octets[4096];

	while (recv(fd, octets, sizeof(octets), 0) > 0) {
	}
}

static void
a_server_that_speaks_no_tls_is_told_from_one_that_is_away(void **state)
{
	struct world *world = *state;
	struct stream_tls *tls = trust(world, NULL);
	struct cancel *cancel = cancel_create();
	struct test_server server;
	struct stream *stream;

	test_server_start(&server, 1, speak_clear, NULL);
	FAILS(ERROR_TRUST, "does not speak TLS",
		stream_connect(world->io, "127.0.0.1", server.port, tls, LONG_MS, NULL, &stream, &err));
	test_server_join(&server);
	test_server_start(&server, 1, close_at_once, NULL);
	FAILS(ERROR_UNREACHABLE, "",
		stream_connect(world->io, "127.0.0.1", server.port, tls, LONG_MS, NULL, &stream, &err));
	test_server_join(&server);
	test_server_start(&server, 1, keep_silent, NULL);
	FAILS(ERROR_UNREACHABLE, "no answer in time",
		stream_connect(world->io, "127.0.0.1", server.port, tls, 50, NULL, &stream, &err));
	test_server_join(&server);
	cancel_raise(cancel);
	test_server_start(&server, 1, keep_silent, NULL);
	FAILS(ERROR_CANCELLED, "", stream_connect(world->io, "127.0.0.1", server.port, tls, -1, cancel, &stream, &err));
	cancel_clear(cancel);
	OK(stream_connect(world->io, "127.0.0.1", server.port, NULL, LONG_MS, NULL, &stream,
		&err)); /* for the server to accept */
	stream_close(&stream);
	test_server_join(&server);
	cancel_destroy(&cancel);
	stream_tls_destroy(&tls);
}

/* --- STARTTLS --- */

static void
clear_text_becomes_tls_when_asked(void **state)
{
	struct world *world = *state;
	struct tls_server server = {.clear = "* OK\r\n", .and_then = "a1 OK begin\r\n"};
	struct stream_tls *tls = trust(world, NULL);
	struct stream *stream;

	start(world, &server, GOOD, 1);
	OK(stream_connect(world->io, "localhost", server.server.port, NULL, LONG_MS, NULL, &stream, &err));
	assert_heard(stream, "* OK\r\n");
	say(stream, "a1 STARTTLS\r\n");
	assert_heard(stream, "a1 OK begin\r\n");
	assert_false(stream_is_encrypted(stream));
	OK(stream_start_tls(stream, tls, "localhost.", LONG_MS, &err)); /* certificates have no final dot */
	assert_true(stream_is_encrypted(stream));
	assert_heard(stream, "* OK\r\n");
	say(stream, "bye\n");
	stream_close(&stream);
	finish(&server);
	stream_tls_destroy(&tls);
}

static void
clear_text_behind_starttls_is_refused(void **state)
{
	struct world *world = *state;
	struct stream_tls *tls = trust(world, NULL);

	/* taken in already with the answer, or still in the kernel */
	for (int late = 0; late < 2; late++) {
		struct tls_server server = {
			.clear = "* OK\r\n", .and_then = "a1 OK begin\r\n* OK [CAPABILITY IMAP4rev1]\r\n"};
		struct stream *stream, *other;
		struct slice heard;

		if (late == 0) {
			start(world, &server, GOOD, 1);
			OK(stream_connect(
				world->io, "localhost", server.server.port, NULL, LONG_MS, NULL, &stream, &err));
			assert_heard(stream, "* OK\r\n");
			say(stream, "a1 STARTTLS\r\n");
			OK(stream_peek(stream, false, LONG_MS, &heard, &err));
			stream_consume(stream, 13);
		} else {
			OK(stream_pair(world->io, &stream, &other, &err));
			say(other, "a1 OK begin\r\n");
			assert_heard(stream, "a1 OK begin\r\n");
			say(other, "* OK [CAPABILITY IMAP4rev1]\r\n");
		}
		FAILS(ERROR_TRUST, "clear text", stream_start_tls(stream, tls, "localhost", LONG_MS, &err));
		stream_close(&stream);
		if (late == 0) {
			finish(&server);
		} else {
			stream_close(&other);
		}
	}
	stream_tls_destroy(&tls);
}

static void
a_stream_whose_starttls_failed_carries_nothing_more(void **state)
{
	struct world *world = *state;
	struct tls_server server = {.clear = "* OK\r\n", .and_then = "a1 OK\r\n"};
	struct stream_tls *tls = trust(world, NULL);
	struct stream *stream;
	struct slice heard;

	start(world, &server, EXPIRED, 1);
	OK(stream_connect(world->io, "localhost", server.server.port, NULL, LONG_MS, NULL, &stream, &err));
	assert_heard(stream, "* OK\r\n");
	say(stream, "a1 STARTTLS\r\n");
	assert_heard(stream, "a1 OK\r\n");
	FAILS(ERROR_TRUST, "expired", stream_start_tls(stream, tls, "localhost", LONG_MS, &err));
	FAILS(ERROR_TRUST, "expired", stream_peek(stream, false, LONG_MS, &heard, &err));
	uint64_t out = stream_octets_out(stream);

	OK(stream_write(stream, slice_of("a2 LOGIN me secret\r\n"), LONG_MS, &err));
	FAILS(ERROR_TRUST, "expired", stream_flush(stream, LONG_MS, &err));
	assert_int_equal(stream_octets_out(stream), out);
	stream_close(&stream);
	finish(&server);
	stream_tls_destroy(&tls);
}

/* --- much --- */

#define MUCH (16u << 20)

static char
octet_at(uint64_t n)
{
	return (char)(n * 7 + n / 251 + n / 65537);
}

/* Writes all before it reads anything. */
static void
write_much_then_read_much(SSL *ssl, struct tls_server *server)
{
	static char octets[1u << 14];

	for (uint64_t at = 0; at < MUCH; at += sizeof(octets)) {
		for (size_t i = 0; i < sizeof(octets); i++) {
			octets[i] = octet_at(at + i);
		}
		if (SSL_write(ssl, octets, sizeof(octets)) <= 0) {
			return;
		}
	}
	while (server->got < MUCH) {
		int count = SSL_read(ssl, octets, sizeof(octets));

		if (count <= 0) {
			return;
		}
		for (int i = 0; i < count; i++) {
			if (octets[i] != octet_at(server->got++)) {
				return;
			}
		}
	}
}

static void
both_sides_may_write_16_mib_before_either_reads(void **state)
{
	struct world *world = *state;
	struct tls_server server = {.speak = write_much_then_read_much};
	struct stream_tls *tls = trust(world, NULL);
	struct stream *stream;
	struct slice heard;
	char *octets = malloc(MUCH);

	assert_non_null(octets);
	for (size_t i = 0; i < MUCH; i++) {
		octets[i] = octet_at(i);
	}
	start(world, &server, GOOD, 1);
	OK(stream_connect(world->io, "localhost", server.server.port, tls, LONG_MS, NULL, &stream, &err));
	OK(stream_write(stream, slice_make(octets, MUCH), LONG_MS, &err));
	OK(stream_flush(stream, LONG_MS, &err));
	assert_int_equal(stream_sent(stream), MUCH);
	for (size_t at = 0; at < MUCH;) {
		OK(stream_peek(stream, false, LONG_MS, &heard, &err));
		assert_true(at + heard.length <= MUCH);
		assert_memory_equal(heard.data, octets + at, heard.length);
		at += heard.length;
		stream_consume(stream, heard.length);
	}
	stream_close(&stream);
	finish(&server);
	assert_int_equal(server.got, MUCH);
	stream_tls_destroy(&tls);
	free(octets);
}

static void
wait_then_count(SSL *ssl, struct tls_server *server)
{
	struct timespec pause = {.tv_nsec = 300000000};
	static char octets[1u << 14];
	int count;

	(void)nanosleep(&pause, NULL); /* the client gives up meanwhile */
	while ((count = SSL_read(ssl, octets, sizeof(octets))) > 0) {
		server->got += (uint64_t)count;
	}
}

static void
sent_is_what_a_peer_can_decrypt(void **state)
{
	struct world *world = *state;
	struct tls_server server = {.speak = wait_then_count};
	struct stream_tls *tls = trust(world, NULL);
	struct stream *stream;
	char *octets = calloc(1, MUCH);

	assert_non_null(octets);
	start(world, &server, GOOD, 1);
	OK(stream_connect(world->io, "localhost", server.server.port, tls, LONG_MS, NULL, &stream, &err));
	FAILS(ERROR_RETRY, "took nothing", stream_write(stream, slice_make(octets, MUCH), 50, &err));
	uint64_t sent = stream_sent(stream);

	assert_true(sent > 0 && sent < stream_queued(stream));
	stream_close(&stream);
	finish(&server);
	assert_int_equal(server.got, sent);
	stream_tls_destroy(&tls);
	free(octets);
}

static void
deflate_goes_inside_tls(void **state)
{
	struct world *world = *state;
	struct tls_server server = {.speak = wait_then_count};
	struct stream_tls *tls = trust(world, NULL);
	struct stream *stream;
	char *octets = calloc(1, MUCH);

	assert_non_null(octets);
	start(world, &server, GOOD, 1);
	OK(stream_connect(world->io, "localhost", server.server.port, tls, LONG_MS, NULL, &stream, &err));
	OK(stream_start_deflate(stream, &err));
	OK(stream_write(stream, slice_make(octets, MUCH), LONG_MS, &err));
	OK(stream_flush(stream, LONG_MS, &err));
	assert_int_equal(stream_sent(stream), MUCH);
	stream_close(&stream);
	finish(&server);
	assert_in_range(server.got, 1000, MUCH / 100);
	stream_tls_destroy(&tls);
	free(octets);
}

static void
whichever_call_fails_the_handshake_fails_cleanly(void **state)
{
	struct world *world = *state;
	struct stream_tls *tls = trust(world, NULL);
	unsigned faults = 0;

	for (unsigned nth = 1;; nth++) {
		struct tls_server server = {0};
		struct stream *stream = NULL;
		struct error failure = ERROR_INIT;

		start(world, &server, GOOD, 1);
		io_test_reset(world->io, IO_EFFECT_BIT(IO_EFFECT_SEND) | IO_EFFECT_BIT(IO_EFFECT_RECV));
		io_test_tear(world->io, nth, ECONNRESET);
		bool done = stream_connect(
			world->io, "localhost", server.server.port, tls, LONG_MS, NULL, &stream, &failure);
		bool fired = io_test_fired(world->io);

		assert_int_equal(done, !fired);
		io_test_reset(world->io, 0);
		if (fired) {
			faults++;
			assert_int_equal(failure.kind, ERROR_UNREACHABLE);
		} else {
			assert_heard(stream, "* OK\r\n");
		}
		stream_close(&stream);
		finish(&server);
		if (!fired) {
			break;
		}
	}
	assert_true(faults >= 3);
	stream_tls_destroy(&tls);
}

#define TEST(name) cmocka_unit_test(name)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_server_with_a_good_certificate_is_spoken_with),
		TEST(a_certificate_that_is_not_good_is_refused_with_its_reason),
		TEST(a_self_signed_certificate_is_good_when_it_is_the_ca_file),
		TEST(a_pin_is_asked_for_as_well_and_not_instead),
		TEST(what_cannot_be_used_for_trust_is_told_at_once),
		TEST(old_versions_are_refused),
		TEST(a_client_certificate_is_shown_when_there_is_one),
		TEST(a_second_connection_resumes_the_session),
		TEST(an_end_without_farewell_is_told_from_one_with),
		TEST(a_server_that_speaks_no_tls_is_told_from_one_that_is_away),
		TEST(clear_text_becomes_tls_when_asked),
		TEST(clear_text_behind_starttls_is_refused),
		TEST(a_stream_whose_starttls_failed_carries_nothing_more),
		TEST(both_sides_may_write_16_mib_before_either_reads),
		TEST(sent_is_what_a_peer_can_decrypt),
		TEST(deflate_goes_inside_tls),
		TEST(whichever_call_fails_the_handshake_fails_cleanly),
	};

	/* the server's side writes by OpenSSL's own socket BIO; ours must not need this, see stream_test */
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, setup, teardown);
}
