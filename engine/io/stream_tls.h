/* What stream_tls.c and tls.c share: the trust of an account, and one TLS connection on a socket. */
#ifndef IO_STREAM_TLS_H
#define IO_STREAM_TLS_H

#include <openssl/ssl.h>

#include "engine/base/mutex.h"
#include "engine/io/stream.h"

#define TLS_PIN_BYTES 32

struct stream_tls {
	SSL_CTX *context;
	bool own_ca_file; /* the system's authorities are not asked */
	bool has_pin;
	uint8_t pin[TLS_PIN_BYTES];
	struct mutex lock;
	SSL_SESSION *session; /* under lock: the newest that a server gave, or NULL */
	char *session_host;   /* under lock: whose it is */
};

/* Gives the session kept for a host, to be freed, or NULL; takes one over in exchange for what was kept. */
SSL_SESSION *stream_tls_session(struct stream_tls *tls, const char *host);
void stream_tls_keep_session(struct stream_tls *tls, const char *host, SSL_SESSION *session);

/* The SHA-256 of a certificate's public key (SubjectPublicKeyInfo); false where it has none. */
bool stream_tls_pin_of(X509 *certificate, uint8_t out[TLS_PIN_BYTES]);

#endif
