#include "engine/io/tls.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/base64.h"
#include "engine/io/stream_tls.h"

#define HOST_BYTES_MAX   256
#define NAMES_SHOWN_MAX  3
#define NAME_SHOWN_BYTES 64u

struct tls {
	struct stream_tls *trust;
	struct socket *socket;
	SSL *ssl;
	char host[HOST_BYTES_MAX];
	char names[256]; /* for whom a certificate is that is not for host */
	short read_events, write_events;
	bool established; /* the handshake is done and the peer is trusted */
	bool broken;      /* nothing more may be sent, not even a farewell */
	bool socket_ended;
	struct error socket_error; /* what the socket last said, beneath OpenSSL */
};

/* --- the socket as OpenSSL sees it: a BIO of our own, because its socket BIO may raise SIGPIPE and goes past the table of effects --- */

static int
bio_send(BIO *bio, const char *data, int size)
{
	struct tls *tls = BIO_get_data(bio);
	size_t count;

	BIO_clear_retry_flags(bio);
	if (size <= 0) {
		return 0;
	}
	switch (socket_send(tls->socket, data, (size_t)size, &count, &tls->socket_error)) {
	case TRANSFER_SOME:
		return (int)count;
	case TRANSFER_WAIT:
		BIO_set_retry_write(bio);
		return -1;
	case TRANSFER_ENDED:
	case TRANSFER_FAILED:
		break;
	}
	return -1;
}

static int
bio_recv(BIO *bio, char *out, int room)
{
	struct tls *tls = BIO_get_data(bio);
	size_t count;

	BIO_clear_retry_flags(bio);
	if (room <= 0) {
		return 0;
	}
	switch (socket_recv(tls->socket, out, (size_t)room, &count, &tls->socket_error)) {
	case TRANSFER_SOME:
		return (int)count;
	case TRANSFER_WAIT:
		BIO_set_retry_read(bio);
		return -1;
	case TRANSFER_ENDED:
		tls->socket_ended = true;
		return 0;
	case TRANSFER_FAILED:
		break;
	}
	return -1;
}

static long
bio_control(BIO *bio, int command, long number, void *pointer)
{
	const struct tls *tls = BIO_get_data(bio);

	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return tls->socket_ended ? 1 : 0;
	default:
		return 0;
	}
}

static BIO_METHOD *bio_method;
static pthread_once_t bio_method_once = PTHREAD_ONCE_INIT;

static void
make_bio_method(void)
{
	bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "mailfs socket");
	if (bio_method == NULL || BIO_meth_set_write(bio_method, bio_send) != 1 ||
		BIO_meth_set_read(bio_method, bio_recv) != 1 || BIO_meth_set_ctrl(bio_method, bio_control) != 1) {
		abort(); /* no memory */
	}
}

/* --- beginning and end --- */

static bool
is_address(const char *host)
{
	struct in6_addr address;

	return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

/* Makes OpenSSL ask for the host by name and check that the certificate is for it. */
static bool
set_host(struct tls *tls, struct error *err)
{
	bool done;

	if (is_address(tls->host)) {
		done = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->ssl), tls->host) == 1;
	} else {
		SSL_set_hostflags(tls->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		done = SSL_set1_host(tls->ssl, tls->host) == 1 && SSL_set_tlsext_host_name(tls->ssl, tls->host) == 1;
	}
	return done || error_set(err, ERROR_CONFIG, "%s cannot be the host of a certificate", tls->host);
}

/* Tells for whom a certificate is, a few names of it. */
static void
note_names(struct tls *tls, X509 *certificate)
{
	SCOPED(buf_finish) struct buf text = BUF_INIT;
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	int shown = 0, total = names != NULL ? sk_GENERAL_NAME_num(names) : 0;

	for (int i = 0; i < total && shown < NAMES_SHOWN_MAX; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_DNS) {
			struct slice octets = slice_make(
				ASN1_STRING_get0_data(name->d.dNSName), (size_t)ASN1_STRING_length(name->d.dNSName));

			buf_append_text(&text, shown++ == 0 ? "; it is for " : ", ");
			buf_append(&text, slice_head(octets, NAME_SHOWN_BYTES));
		}
	}
	if (shown > 0 && total > shown) {
		buf_append_text(&text, " and others");
	}
	GENERAL_NAMES_free(names);
	(void)snprintf(tls->names, sizeof(tls->names), "%s", shown > 0 ? text.data : "");
}

/* Hears what OpenSSL finds of each certificate, and changes nothing: a certificate that is refused cannot be looked at later. */
static int
hear_verdict(int good, X509_STORE_CTX *context)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx());
	X509 *certificate = X509_STORE_CTX_get_current_cert(context);
	int code = X509_STORE_CTX_get_error(context);

	if (good == 0 && certificate != NULL &&
		(code == X509_V_ERR_HOSTNAME_MISMATCH || code == X509_V_ERR_IP_ADDRESS_MISMATCH)) {
		note_names(SSL_get_app_data(ssl), certificate);
	}
	return good;
}

bool
tls_create(struct stream_tls *trust, struct socket *socket, const char *host, struct tls **out, struct error *err)
{
	size_t length = strlen(host);

	if (length > 0 && host[length - 1] == '.') {
		length--; /* the name as it stands in certificates */
	}
	if (length == 0 || length >= HOST_BYTES_MAX) {
		return error_set(err, ERROR_CONFIG, "that is no name of a host: %.64s", host);
	}
	(void)pthread_once(&bio_method_once, make_bio_method);
	SCOPED(tls_destroy) struct tls *tls = io_alloc(sizeof(*tls));

	*tls = (struct tls){.trust = trust, .socket = socket, .read_events = POLLIN, .write_events = POLLOUT};
	memcpy(tls->host, host, length);
	tls->ssl = SSL_new(trust->context);
	BIO *bio = BIO_new(bio_method);

	if (tls->ssl == NULL || bio == NULL) {
		abort(); /* no memory */
	}
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	SSL_set_bio(tls->ssl, bio, bio);
	SSL_set_connect_state(tls->ssl);
	(void)SSL_set_app_data(tls->ssl, tls);
	SSL_set_verify(tls->ssl, SSL_VERIFY_PEER, hear_verdict);
	if (!set_host(tls, err)) {
		return false;
	}
	SSL_SESSION *session = stream_tls_session(trust, tls->host);

	if (session != NULL) {
		(void)SSL_set_session(tls->ssl, session);
		SSL_SESSION_free(session);
	}
	*out = tls;
	tls = NULL;
	return true;
}

void
tls_destroy(struct tls **tls)
{
	if (tls == NULL || *tls == NULL) {
		return;
	}
	if ((*tls)->established && !(*tls)->broken) {
		ERR_clear_error();
		(void)SSL_shutdown((*tls)->ssl);
	}
	SSL_free((*tls)->ssl);
	ERR_clear_error();
	free(*tls);
	*tls = NULL;
}

/* --- what went wrong --- */

static bool
fail_certificate(struct tls *tls, long code, struct error *err)
{
	switch (code) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return error_set(err, ERROR_TRUST, "the certificate is not valid for host %s%s", tls->host, tls->names);
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return error_set(err, ERROR_TRUST, "the certificate has expired");
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return error_set(err, ERROR_TRUST, "the certificate is not valid yet: is this machine's clock right?");
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE: /* another authority of the same name */
		return error_set(err, ERROR_TRUST, "the certificate is signed by an unknown authority; %s",
			tls->trust->own_ca_file ? "it is not in tls-ca-file" : "set tls-ca-file if it is yours");
	case X509_V_ERR_CERT_REVOKED:
		return error_set(err, ERROR_TRUST, "the certificate was revoked");
	default:
		return error_set(
			err, ERROR_TRUST, "the certificate cannot be trusted: %s", X509_verify_cert_error_string(code));
	}
}

/* What OpenSSL itself found wrong. During the handshake the other side may be no mail server at all; later it is the connection that is to blame. */
static bool
fail_protocol(struct tls *tls, struct error *err)
{
	unsigned long code = ERR_peek_last_error(); /* the first may be a detail from deeper below */
	const char *text = ERR_reason_error_string(code);

	if (ERR_GET_LIB(code) == ERR_LIB_SSL) {
		switch (ERR_GET_REASON(code)) {
		case SSL_R_CERTIFICATE_VERIFY_FAILED:
			return fail_certificate(tls, SSL_get_verify_result(tls->ssl), err);
		case SSL_R_UNEXPECTED_EOF_WHILE_READING:
			return tls->established ? error_set(err, ERROR_RETRY,
							  "the connection was cut: TLS did not end as it should")
						: error_set(err, ERROR_UNREACHABLE,
							  "the server closed the connection during the TLS handshake");
		case SSL_R_WRONG_VERSION_NUMBER:
		case SSL_R_HTTP_REQUEST:
		case SSL_R_PACKET_LENGTH_TOO_LONG:
			if (!tls->established) {
				return error_set(err, ERROR_TRUST,
					"the server does not speak TLS on this port: for TLS after STARTTLS write "
					"imap+starttls://");
			}
			break;
		case SSL_R_UNSUPPORTED_PROTOCOL:
		case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
			return error_set(err, ERROR_TRUST, "the server offers no TLS 1.2 or newer");
		case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
			return error_set(err, ERROR_TRUST, "the server asks for a client certificate");
		default:
			break;
		}
	}
	return error_set(
		err, tls->established ? ERROR_RETRY : ERROR_TRUST, "TLS: %s", text != NULL ? text : "unknown error");
}

/* Sorts out what a call of OpenSSL that did not go through means; *events is what to wait for. */
static enum transfer
explain(struct tls *tls, int answer, short *events, struct error *err)
{
	switch (SSL_get_error(tls->ssl, answer)) {
	case SSL_ERROR_WANT_READ:
		*events = POLLIN;
		return TRANSFER_WAIT;
	case SSL_ERROR_WANT_WRITE:
		*events = POLLOUT;
		return TRANSFER_WAIT;
	case SSL_ERROR_ZERO_RETURN:
		(void)error_set(err, ERROR_RETRY, "the other side closed the connection");
		return TRANSFER_ENDED;
	case SSL_ERROR_SSL:
		(void)fail_protocol(tls, err);
		break;
	default:
		*err = tls->socket_error;
		if (err->kind == ERROR_NONE) {
			(void)error_set(err, ERROR_RETRY, "the connection broke");
		}
		if (!tls->established) {
			err->kind = ERROR_UNREACHABLE;
			(void)error_wrap(err, "TLS handshake");
		}
		break;
	}
	tls->broken = true;
	ERR_clear_error();
	return TRANSFER_FAILED;
}

/* --- what streams use --- */

static bool
check_pin(struct tls *tls, struct error *err)
{
	SCOPED(buf_finish) struct buf text = BUF_INIT;
	X509 *certificate = SSL_get1_peer_certificate(tls->ssl);
	uint8_t pin[TLS_PIN_BYTES];
	bool known = certificate != NULL && stream_tls_pin_of(certificate, pin);

	X509_free(certificate);
	if (!known) {
		return error_set(err, ERROR_TRUST, "the server showed no certificate");
	}
	if (!tls->trust->has_pin || CRYPTO_memcmp(pin, tls->trust->pin, sizeof(pin)) == 0) {
		return true;
	}
	base64_encode(slice_make(pin, sizeof(pin)), &text);
	return error_set(err, ERROR_TRUST, "the pin does not match; the server's key has pin %s", text.data);
}

enum transfer
tls_handshake(struct tls *tls, struct error *err)
{
	short events = 0;

	ERR_clear_error();
	int answer = SSL_do_handshake(tls->ssl);

	if (answer != 1) {
		enum transfer transfer = explain(tls, answer, &events, err);

		tls->read_events = events;
		return transfer;
	}
	/* it does not get here with a bad certificate; nor may it if that should ever change */
	long verified = SSL_get_verify_result(tls->ssl);

	if (verified != X509_V_OK ? !fail_certificate(tls, verified, err) : !check_pin(tls, err)) {
		tls->broken = true;
		return TRANSFER_FAILED;
	}
	tls->established = true;
	tls->read_events = POLLIN;
	tls->write_events = POLLOUT;
	return TRANSFER_SOME;
}

enum transfer
tls_read(struct tls *tls, void *out, size_t room, size_t *out_count, struct error *err)
{
	ERR_clear_error();
	int answer = SSL_read_ex(tls->ssl, out, room, out_count);

	return answer == 1 ? TRANSFER_SOME : explain(tls, answer, &tls->read_events, err);
}

enum transfer
tls_write(struct tls *tls, const void *data, size_t size, size_t *out_count, struct error *err)
{
	ERR_clear_error();
	int answer = SSL_write_ex(tls->ssl, data, size, out_count);

	return answer == 1 ? TRANSFER_SOME : explain(tls, answer, &tls->write_events, err);
}

const char *
tls_host(const struct tls *tls)
{
	return tls->host;
}

short
tls_read_events(const struct tls *tls)
{
	return tls->read_events;
}

short
tls_write_events(const struct tls *tls)
{
	return tls->write_events;
}

void
tls_describe(const struct tls *tls, struct buf *out)
{
	buf_printf(out, "%s %s", SSL_get_version(tls->ssl), SSL_get_cipher_name(tls->ssl));
}

void
tls_peer_pin(const struct tls *tls, struct buf *out)
{
	X509 *certificate = SSL_get1_peer_certificate(tls->ssl);
	uint8_t pin[TLS_PIN_BYTES];

	if (certificate != NULL && stream_tls_pin_of(certificate, pin)) {
		base64_encode(slice_make(pin, sizeof(pin)), out);
	}
	X509_free(certificate);
}

bool
tls_exporter(const struct tls *tls, uint8_t out[32])
{
	static const char label[] = "EXPORTER-Channel-Binding";

	return SSL_version(tls->ssl) == TLS1_3_VERSION &&
	       SSL_export_keying_material(tls->ssl, out, 32, label, sizeof(label) - 1, NULL, 0, 0) == 1;
}
