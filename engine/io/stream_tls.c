/* The trust of an account: whose signatures count, which key is pinned, and the session that shortens the next handshake. */
#include "engine/io/stream_tls.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/base64.h"
#include "engine/base/sha256.h"
#include "engine/io/io_ops.h"
#include "engine/io/tls.h"

#define READ_AHEAD_BYTES (64u << 10) /* several records at a time, so that few calls read much */

_Static_assert(TLS_PIN_BYTES == SHA256_BYTES, "a pin is a SHA-256");

/* What OpenSSL says went wrong, in its words. */
static const char *
reason(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	return text != NULL ? text : "for a reason that OpenSSL does not tell";
}

/* Never asks at the terminal for the passphrase of a key. */
static int
no_passphrase(char *space, int size, int writing, void *context)
{
	return -1;
}

static bool
load_authorities(struct stream_tls *tls, const char *ca_file, struct error *err)
{
	if (ca_file == NULL) {
		return SSL_CTX_set_default_verify_paths(tls->context) == 1 ||
		       error_set(err, ERROR_CONFIG, "the system's certificate store cannot be used: %s", reason());
	}
	if (access(ca_file, R_OK) != 0) {
		(void)error_errno(err, errno, "tls-ca-file %s", ca_file);
		err->kind = ERROR_CONFIG;
		return false;
	}
	if (SSL_CTX_load_verify_locations(tls->context, ca_file, NULL) != 1) {
		return error_set(err, ERROR_CONFIG, "tls-ca-file %s holds no certificate in PEM form", ca_file);
	}
	/* who names a file trusts what is in it, be it an authority or the server's own certificate */
	(void)X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(tls->context), X509_V_FLAG_PARTIAL_CHAIN);
	tls->own_ca_file = true;
	return true;
}

static bool
load_pin(struct stream_tls *tls, const char *pin, struct error *err)
{
	SCOPED(buf_finish) struct buf octets = BUF_INIT;

	if (pin == NULL) {
		return true;
	}
	if (!base64_decode(slice_of(pin), &octets) || octets.length != sizeof(tls->pin)) {
		return error_set(err, ERROR_CONFIG,
			"tls-pin is not the base64 of a SHA-256 (44 characters): `mailfs check` shows the server's");
	}
	memcpy(tls->pin, octets.data, sizeof(tls->pin));
	tls->has_pin = true;
	return true;
}

static bool
load_client_certificate(struct stream_tls *tls, const char *file, struct error *err)
{
	if (file == NULL) {
		return true;
	}
	SSL_CTX_set_default_passwd_cb(tls->context, no_passphrase);
	if (SSL_CTX_use_certificate_chain_file(tls->context, file) != 1) {
		return error_set(err, ERROR_CONFIG, "client certificate %s: %s", file, reason());
	}
	if (SSL_CTX_use_PrivateKey_file(tls->context, file, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(tls->context) != 1) {
		return error_set(err, ERROR_CONFIG,
			"client certificate %s: its private key must be in the same file, without passphrase: %s", file,
			reason());
	}
	return true;
}

static int
new_session(SSL *ssl, SSL_SESSION *session)
{
	stream_tls_keep_session(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)), tls_host(SSL_get_app_data(ssl)), session);
	return 1; /* ours now */
}

static void
configure(struct stream_tls *tls)
{
	SSL_CTX *context = tls->context;

	(void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	(void)SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	/* a count that comes back is of whole records with the kernel (tls.h) */
	(void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_default_read_buffer_len(context, READ_AHEAD_BYTES);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context, new_session);
	(void)SSL_CTX_set_app_data(context, tls);
}

bool
stream_tls_create(const char *ca_file, const char *pin, const char *client_certificate_file, struct stream_tls **out,
	struct error *err)
{
	SCOPED(stream_tls_destroy) struct stream_tls *tls = io_alloc(sizeof(*tls));

	mutex_init(&tls->lock, LOCK_RANK_LEAF);
	ERR_clear_error();
	tls->context = SSL_CTX_new(TLS_client_method());
	if (tls->context == NULL) {
		return error_set(err, ERROR_CONFIG, "TLS cannot be set up: %s", reason());
	}
	configure(tls);
	if (!load_authorities(tls, ca_file, err) || !load_pin(tls, pin, err) ||
		!load_client_certificate(tls, client_certificate_file, err)) {
		ERR_clear_error();
		return false;
	}
	*out = tls;
	tls = NULL;
	return true;
}

void
stream_tls_destroy(struct stream_tls **tls)
{
	if (tls == NULL || *tls == NULL) {
		return;
	}
	stream_tls_keep_session(*tls, NULL, NULL);
	SSL_CTX_free((*tls)->context);
	mutex_finish(&(*tls)->lock);
	free(*tls);
	*tls = NULL;
}

SSL_SESSION *
stream_tls_session(struct stream_tls *tls, const char *host)
{
	SSL_SESSION *session = NULL;

	mutex_lock(&tls->lock);
	if (tls->session != NULL && strcmp(tls->session_host, host) == 0 && SSL_SESSION_up_ref(tls->session) == 1) {
		session = tls->session;
	}
	mutex_unlock(&tls->lock);
	return session;
}

void
stream_tls_keep_session(struct stream_tls *tls, const char *host, SSL_SESSION *session)
{
	char *copy = host != NULL ? slice_dup(slice_of(host)) : NULL;

	mutex_lock(&tls->lock);
	SSL_SESSION *old = tls->session;
	char *old_host = tls->session_host;

	tls->session = session;
	tls->session_host = copy;
	mutex_unlock(&tls->lock);
	SSL_SESSION_free(old);
	free(old_host);
}

bool
stream_tls_pin_of(X509 *certificate, uint8_t out[TLS_PIN_BYTES])
{
	unsigned char *der = NULL;
	int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);

	if (length <= 0) {
		return false;
	}
	struct digest digest = sha256_of(slice_make(der, (size_t)length));

	OPENSSL_free(der);
	memcpy(out, digest.bytes, TLS_PIN_BYTES);
	return true;
}
