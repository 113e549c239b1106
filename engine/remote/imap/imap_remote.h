/* The imap kind of remote: makes a `struct remote` from an account's configuration. */
#ifndef REMOTE_IMAP_IMAP_REMOTE_H
#define REMOTE_IMAP_IMAP_REMOTE_H

#include "engine/io/stream.h"
#include "engine/remote/remote.h"

enum imap_transport {
	IMAP_TLS,      /* imaps:// */
	IMAP_STARTTLS, /* imap+starttls:// ; required, never "if offered" */
	IMAP_CLEAR,    /* imap:// to loopback only; the configuration has checked it */
	IMAP_TUNNEL,   /* tunnel:COMMAND ; PREAUTH allowed */
};

/* Gives the secret when it is needed: a password, or a token when `is_token`. Called again with again = true once after a refusal.
 * The buf is wiped by the caller. Thread-safe. */
typedef bool imap_secret_fn(
	void *context, bool again, struct buf *out, bool *out_is_token, struct cancel *cancel, struct error *err);

struct imap_settings {
	enum imap_transport transport;
	const char *host;
	uint16_t port;
	const char *tunnel; /* the command of IMAP_TUNNEL */
	const char *user;
	const char *auth;                                           /* "auto" or a SASL mechanism's name */
	const char *tls_ca_file, *tls_pin, *tls_client_certificate; /* or NULL */
	bool compress;
	const char *without; /* capabilities to pretend missing, separated by spaces (tests), or NULL */
	imap_secret_fn *secret;
	void *secret_context;
};

/* Copies the settings. ERROR_CONFIG for what cannot be used. */
bool imap_remote_create(struct io *io, struct io_dir *spool_dir, const struct imap_settings *settings,
	struct remote **out, struct error *err) MUST_CHECK;

#endif
