/* Mechanisms: which one, and what the client says in each (RFC 4422, 4616, 7628, 5802, 7677; XOAUTH2 as Google and Microsoft write it).
 *
 * No I/O. PLAIN, LOGIN, EXTERNAL, OAUTHBEARER and XOAUTH2 are printed here; SCRAM is done by gsasl where that was built in.
 * Secrets stay in bufs that their owner wipes; nothing here logs.
 */
#ifndef REMOTE_IMAP_IMAP_AUTH_H
#define REMOTE_IMAP_IMAP_AUTH_H

#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/remote/imap/imap_capability.h"

#define IMAP_AUTH_COMMAND   IMAP_CAPABILITY_COUNT /* the LOGIN command, which is no SASL mechanism */
#define IMAP_SECRET_MAX     8192
#define IMAP_CHALLENGES_MAX 10

struct imap_auth_means {     /* what we have */
	const char *setting; /* "auto", or the name of one */
	bool is_token;       /* the secret is one, not a password */
	bool has_secret;
	bool certificate;     /* TLS showed one */
	bool channel_binding; /* tls-exporter can be had */
};

/* Chooses the strongest mechanism that the server offers and we have the means for; with a setting that one. ERROR_CREDENTIALS where there is none, ERROR_CONFIG for a
 * setting that names none. *out is a mechanism or IMAP_AUTH_COMMAND. */
bool imap_auth_choose(const struct imap_capabilities *can, const struct imap_auth_means *means, unsigned *out,
	struct error *err) MUST_CHECK;
/* Its name for people: "PLAIN", "LOGIN command". */
const char *imap_auth_name(unsigned mechanism);

struct imap_auth_facts {
	const char *user, *host;
	uint16_t port;
	struct slice secret;
	const uint8_t *binding; /* 32 octets of tls-exporter, or NULL */
};

struct imap_auth; /* one exchange */

bool imap_auth_create(
	unsigned mechanism, const struct imap_auth_facts *facts, struct imap_auth **out, struct error *err) MUST_CHECK;
void imap_auth_destroy(struct imap_auth **auth);
/* Tells whether the client has the first word, which may go along with AUTHENTICATE (RFC 4959). */
bool imap_auth_begins(const struct imap_auth *auth);
/* Answers a challenge (base64, empty for the first); appends base64, which may be nothing. */
bool imap_auth_answer(struct imap_auth *auth, struct slice challenge, struct buf *out, struct error *err) MUST_CHECK;
/* Tells whether the exchange may end in OK: with SCRAM the server must have proved that it knows the password. */
bool imap_auth_complete(const struct imap_auth *auth);

#endif
