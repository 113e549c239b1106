#include "engine/remote/imap/imap_auth.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/base/base64.h"

#if HAVE_GSASL
#include <gsasl.h>
#endif

struct imap_auth {
	unsigned mechanism;
	unsigned answers; /* given so far */
	struct buf user, secret, host;
	uint16_t port;
	struct buf binding; /* base64, empty where there is none */
#if HAVE_GSASL
	Gsasl *gsasl;
	Gsasl_session *exchange;
	bool proved;
#endif
};

static void
wipe(struct buf *buf)
{
	if (buf->data != NULL) {
		explicit_bzero(buf->data, buf->capacity);
	}
	buf_finish(buf);
}

static bool
is_scram(unsigned mechanism)
{
	return mechanism >= IMAP_AUTH_SCRAM_SHA_256_PLUS && mechanism <= IMAP_AUTH_SCRAM_SHA_1;
}

static bool
is_plus(unsigned mechanism)
{
	return mechanism == IMAP_AUTH_SCRAM_SHA_256_PLUS || mechanism == IMAP_AUTH_SCRAM_SHA_1_PLUS;
}

static bool
is_built_in(unsigned mechanism)
{
#if HAVE_GSASL
	(void)mechanism;
	return true;
#else
	return !is_scram(mechanism);
#endif
}

const char *
imap_auth_name(unsigned mechanism)
{
	return mechanism == IMAP_AUTH_COMMAND ? "LOGIN command"
					      : imap_capability_mechanism((enum imap_capability)mechanism);
}

/* Tells whether we have what a mechanism needs. */
static bool
have_means(const struct imap_auth_means *means, unsigned mechanism)
{
	if (mechanism == IMAP_AUTH_OAUTHBEARER || mechanism == IMAP_AUTH_XOAUTH2) {
		return means->has_secret && means->is_token;
	}
	if (mechanism == IMAP_AUTH_EXTERNAL) {
		return means->certificate;
	}
	return means->has_secret && !means->is_token && is_built_in(mechanism) &&
	       (!is_plus(mechanism) || means->channel_binding);
}

static bool
offered(const struct imap_capabilities *can, unsigned mechanism)
{
	return mechanism == IMAP_AUTH_COMMAND ? !imap_can(can, IMAP_CAN_LOGINDISABLED)
					      : imap_can(can, (enum imap_capability)mechanism);
}

static bool
choose_named(const struct imap_capabilities *can, const struct imap_auth_means *means, unsigned *out, struct error *err)
{
	struct slice setting = slice_of(means->setting);
	bool known = false;

	for (unsigned mechanism = IMAP_AUTH_OAUTHBEARER; mechanism <= IMAP_AUTH_LOGIN; mechanism++) {
		if (!slice_equal_nocase(setting, slice_of(imap_auth_name(mechanism)))) {
			continue;
		}
		known = true;
		if (!is_built_in(mechanism)) {
			return error_set(
				err, ERROR_CONFIG, "auth = %s needs a program built with gsasl", means->setting);
		}
		if (offered(can, mechanism)) {
			*out = mechanism;
			return true;
		}
	}
	if (slice_equal_nocase(setting, SLICE_LITERAL("LOGIN")) && offered(can, IMAP_AUTH_COMMAND)) {
		*out = IMAP_AUTH_COMMAND;
		return true;
	}
	return known ? error_set(err, ERROR_CREDENTIALS, "the server does not offer %s", means->setting)
		     : error_set(err, ERROR_CONFIG, "auth = %s is no mechanism that is known here", means->setting);
}

bool
imap_auth_choose(
	const struct imap_capabilities *can, const struct imap_auth_means *means, unsigned *out, struct error *err)
{
	if (!slice_equal_nocase(slice_of(means->setting), SLICE_LITERAL("auto"))) {
		return choose_named(can, means, out, err);
	}
	for (unsigned mechanism = IMAP_AUTH_OAUTHBEARER; mechanism <= IMAP_AUTH_COMMAND; mechanism++) {
		if (have_means(means, mechanism) && offered(can, mechanism)) {
			*out = mechanism;
			return true;
		}
	}
	return error_set(err, ERROR_CREDENTIALS, "the server offers no way to log in with a %s",
		means->is_token ? "token" : "password");
}

void
imap_auth_destroy(struct imap_auth **auth)
{
	struct imap_auth *a = *auth;

	if (a == NULL) {
		return;
	}
#if HAVE_GSASL
	if (a->exchange != NULL) {
		gsasl_finish(a->exchange);
	}
	if (a->gsasl != NULL) {
		gsasl_done(a->gsasl);
	}
#endif
	wipe(&a->user);
	wipe(&a->secret);
	wipe(&a->binding);
	buf_finish(&a->host);
	free(a);
	*auth = NULL;
}

#if HAVE_GSASL
static bool
begin_scram(struct imap_auth *auth, struct error *err)
{
	int rc = gsasl_init(&auth->gsasl);

	if (rc == GSASL_OK) {
		rc = gsasl_client_start(auth->gsasl, imap_auth_name(auth->mechanism), &auth->exchange);
	}
	if (rc == GSASL_OK) {
		rc = gsasl_property_set(auth->exchange, GSASL_AUTHID, auth->user.data);
	}
	if (rc == GSASL_OK) {
		rc = gsasl_property_set_raw(auth->exchange, GSASL_PASSWORD, auth->secret.data, auth->secret.length);
	}
	if (rc == GSASL_OK && is_plus(auth->mechanism)) {
		rc = gsasl_property_set(auth->exchange, GSASL_CB_TLS_EXPORTER, auth->binding.data);
	}
	return rc == GSASL_OK || error_set(err, ERROR_CREDENTIALS, "%s cannot begin: %s",
					 imap_auth_name(auth->mechanism), gsasl_strerror(rc));
}

static bool
answer_scram(struct imap_auth *auth, struct slice challenge, struct buf *out, struct error *err)
{
	char *text = slice_dup(challenge), *answer = NULL;
	int rc = gsasl_step64(auth->exchange, text, &answer);

	free(text);
	if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE) {
		return error_set(
			err, ERROR_CREDENTIALS, "%s failed: %s", imap_auth_name(auth->mechanism), gsasl_strerror(rc));
	}
	auth->proved = rc == GSASL_OK;
	buf_append_text(out, answer != NULL ? answer : "");
	gsasl_free(answer);
	return true;
}
#else
static bool
begin_scram(struct imap_auth *auth, struct error *err)
{
	return error_set(err, ERROR_CONFIG, "%s needs a program built with gsasl", imap_auth_name(auth->mechanism));
}

static bool
answer_scram(struct imap_auth *auth, struct slice challenge, struct buf *out, struct error *err)
{
	(void)challenge;
	(void)out;
	return begin_scram(auth, err);
}
#endif

bool
imap_auth_create(unsigned mechanism, const struct imap_auth_facts *facts, struct imap_auth **out, struct error *err)
{
	struct imap_auth *auth;

	if (facts->secret.length > IMAP_SECRET_MAX || slice_find(facts->secret, '\0') < facts->secret.length) {
		return error_set(err, ERROR_CREDENTIALS,
			"the password or token is longer than %d octets or holds a NUL", IMAP_SECRET_MAX);
	}
	auth = calloc(1, sizeof *auth);
	if (auth == NULL) {
		abort();
	}
	auth->mechanism = mechanism;
	auth->port = facts->port;
	buf_append_text(&auth->user, facts->user != NULL ? facts->user : "");
	buf_append_text(&auth->host, facts->host != NULL ? facts->host : "");
	buf_reserve(&auth->secret, facts->secret.length + 1);
	buf_append(&auth->secret, facts->secret);
	if (facts->binding != NULL) {
		base64_encode(slice_make(facts->binding, 32), &auth->binding);
	}
	if (is_scram(mechanism) && !begin_scram(auth, err)) {
		imap_auth_destroy(&auth);
		return false;
	}
	*out = auth;
	return true;
}

bool
imap_auth_begins(const struct imap_auth *auth)
{
	return auth->mechanism != IMAP_AUTH_LOGIN;
}

bool
imap_auth_complete(const struct imap_auth *auth)
{
#if HAVE_GSASL
	return !is_scram(auth->mechanism) || auth->proved;
#else
	return true;
#endif
}

/* What the client says first, before base64. Reserved whole, so that no copy of the secret stays behind. */
static void
first_words(const struct imap_auth *auth, struct buf *out)
{
	buf_reserve(out, auth->user.length + auth->secret.length + auth->host.length + 64);
	if (auth->mechanism == IMAP_AUTH_PLAIN) {
		buf_append_octet(out, '\0');
		buf_append(out, buf_slice(&auth->user));
		buf_append_octet(out, '\0');
		buf_append(out, buf_slice(&auth->secret));
	} else if (auth->mechanism == IMAP_AUTH_EXTERNAL) {
		buf_append(out, buf_slice(&auth->user));
	} else if (auth->mechanism == IMAP_AUTH_XOAUTH2) {
		buf_append_text(out, "user=");
		buf_append(out, buf_slice(&auth->user));
		buf_append_text(out, "\001auth=Bearer ");
		buf_append(out, buf_slice(&auth->secret));
		buf_append_text(out, "\001\001");
	} else {
		assert(auth->mechanism == IMAP_AUTH_OAUTHBEARER);
		buf_append_text(out, "n,a=");
		for (size_t i = 0; i < auth->user.length; i++) { /* a saslname (RFC 5801, 4) */
			char octet = auth->user.data[i];

			buf_append(out, octet == ','   ? SLICE_LITERAL("=2C")
					: octet == '=' ? SLICE_LITERAL("=3D")
						       : slice_make(&octet, 1));
		}
		buf_printf(out, ",\001host=%s\001port=%u\001auth=Bearer ",
			auth->host.data != NULL ? auth->host.data : "", auth->port);
		buf_append(out, buf_slice(&auth->secret));
		buf_append_text(out, "\001\001");
	}
}

bool
imap_auth_answer(struct imap_auth *auth, struct slice challenge, struct buf *out, struct error *err)
{
	SCOPED(wipe) struct buf words = BUF_INIT;

	if (++auth->answers > IMAP_CHALLENGES_MAX) {
		return error_set(err, ERROR_CREDENTIALS, "the server does not come to an end with %s",
			imap_auth_name(auth->mechanism));
	}
	if (is_scram(auth->mechanism)) {
		return answer_scram(auth, slice_trim(challenge), out, err);
	}
	if (auth->mechanism == IMAP_AUTH_LOGIN && auth->answers <= 2) {
		base64_encode(buf_slice(auth->answers == 1 ? &auth->user : &auth->secret), out);
		return true;
	}
	if (auth->answers == 1) {
		first_words(auth, &words);
		base64_encode(buf_slice(&words), out);
	} else if (auth->mechanism == IMAP_AUTH_OAUTHBEARER) {
		buf_append_text(
			out, "AQ=="); /* the challenge told an error: the server says NO after this (RFC 7628, 3.2.3) */
	}
	return true; /* so does an empty answer with XOAUTH2 */
}
