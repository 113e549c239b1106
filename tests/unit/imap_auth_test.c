#include "engine/remote/imap/imap_auth.h"

#include "engine/base/base64.h"
#include "tests/unit/assert_slice.h"

#if HAVE_GSASL
#include <gsasl.h>
#endif

static unsigned
choose(const char *words, const char *setting, bool is_token, bool certificate, bool binding)
{
	const struct imap_auth_means means = {.setting = setting,
		.is_token = is_token,
		.has_secret = true,
		.certificate = certificate,
		.channel_binding = binding};
	struct imap_capabilities can;
	struct error err;
	unsigned mechanism;

	imap_capability_read(slice_of(words), NULL, &can);
	return imap_auth_choose(&can, &means, &mechanism, &err) ? mechanism : 1000 + (unsigned)err.kind;
}

static void
the_strongest_that_is_offered_is_chosen(void **state)
{
	const char *all = "AUTH=LOGIN AUTH=PLAIN AUTH=SCRAM-SHA-1 AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-256-PLUS "
			  "AUTH=XOAUTH2 AUTH=OAUTHBEARER AUTH=EXTERNAL";

	assert_int_equal(choose(all, "auto", true, false, false), IMAP_AUTH_OAUTHBEARER);
	assert_int_equal(choose("AUTH=XOAUTH2 AUTH=PLAIN", "auto", true, false, false), IMAP_AUTH_XOAUTH2);
	assert_int_equal(choose(all, "auto", false, true, true), IMAP_AUTH_EXTERNAL);
#if HAVE_GSASL
	assert_int_equal(choose(all, "auto", false, false, true), IMAP_AUTH_SCRAM_SHA_256_PLUS);
	assert_int_equal(choose(all, "auto", false, false, false), IMAP_AUTH_SCRAM_SHA_256);
	assert_int_equal(choose("AUTH=SCRAM-SHA-1 AUTH=PLAIN", "auto", false, false, false), IMAP_AUTH_SCRAM_SHA_1);
#endif
	assert_int_equal(choose("AUTH=LOGIN AUTH=PLAIN", "auto", false, false, false), IMAP_AUTH_PLAIN);
	assert_int_equal(choose("AUTH=LOGIN LOGINDISABLED", "auto", false, false, false), IMAP_AUTH_LOGIN);
	assert_int_equal(choose("IDLE", "auto", false, false, false), IMAP_AUTH_COMMAND);
	assert_int_equal(choose("LOGINDISABLED", "auto", false, false, false), 1000 + ERROR_CREDENTIALS);
	/* a token is never sent as a password, nor a password as a token */
	assert_int_equal(choose("AUTH=PLAIN AUTH=LOGIN", "auto", true, false, false), 1000 + ERROR_CREDENTIALS);
	assert_int_equal(choose("AUTH=XOAUTH2 LOGINDISABLED", "auto", false, false, false), 1000 + ERROR_CREDENTIALS);
}

static void
a_setting_is_followed_or_refused(void **state)
{
	assert_int_equal(choose("AUTH=PLAIN AUTH=LOGIN", "plain", false, false, false), IMAP_AUTH_PLAIN);
	assert_int_equal(choose("AUTH=PLAIN AUTH=LOGIN", "LOGIN", false, false, false), IMAP_AUTH_LOGIN);
	assert_int_equal(choose("IDLE", "login", false, false, false), IMAP_AUTH_COMMAND);
	assert_int_equal(choose("LOGINDISABLED", "login", false, false, false), 1000 + ERROR_CREDENTIALS);
	assert_int_equal(choose("AUTH=LOGIN", "PLAIN", false, false, false), 1000 + ERROR_CREDENTIALS);
	assert_int_equal(choose("AUTH=CRAM-MD5", "CRAM-MD5", false, false, false), 1000 + ERROR_CONFIG);
}

static void
assert_words(unsigned mechanism, struct slice words)
{
	SCOPED(imap_auth_destroy) struct imap_auth *auth = NULL;
	SCOPED(buf_finish) struct buf answer = BUF_INIT;
	SCOPED(buf_finish) struct buf said = BUF_INIT;
	const struct imap_auth_facts facts = {
		.user = "a,b=c", .host = "imap.example.org", .port = 993, .secret = SLICE_LITERAL("se cret")};
	struct error err;

	assert_true(imap_auth_create(mechanism, &facts, &auth, &err));
	assert_true(imap_auth_begins(auth));
	assert_true(imap_auth_answer(auth, (struct slice){0}, &answer, &err));
	assert_true(base64_decode(buf_slice(&answer), &said));
	assert_slices(buf_slice(&said), words);
	assert_true(imap_auth_complete(auth));
}

static void
first_words_are_as_the_mechanisms_want_them(void **state)
{
	assert_words(IMAP_AUTH_PLAIN, SLICE_LITERAL("\0a,b=c\0se cret"));
	assert_words(IMAP_AUTH_EXTERNAL, SLICE_LITERAL("a,b=c"));
	assert_words(IMAP_AUTH_XOAUTH2, SLICE_LITERAL("user=a,b=c\001auth=Bearer se cret\001\001"));
	assert_words(IMAP_AUTH_OAUTHBEARER,
		SLICE_LITERAL("n,a=a=2Cb=3Dc,\001host=imap.example.org\001port=993\001auth=Bearer se cret\001\001"));
}

static void
an_exchange_comes_to_an_end(void **state)
{
	SCOPED(imap_auth_destroy) struct imap_auth *auth = NULL;
	const struct imap_auth_facts facts = {.user = "u", .secret = SLICE_LITERAL("p")};
	struct error err;

	assert_true(imap_auth_create(IMAP_AUTH_LOGIN, &facts, &auth, &err));
	assert_false(imap_auth_begins(auth));
	for (int i = 0; i < IMAP_CHALLENGES_MAX; i++) {
		SCOPED(buf_finish) struct buf answer = BUF_INIT;

		assert_true(imap_auth_answer(auth, SLICE_LITERAL("VXNlcm5hbWU6"), &answer, &err));
		assert_slices(buf_slice(&answer), slice_of(i == 0   ? "dQ=="
							   : i == 1 ? "cA=="
								    : "")); /* the secret once */
	}
	SCOPED(buf_finish) struct buf more = BUF_INIT;

	assert_false(imap_auth_answer(auth, (struct slice){0}, &more, &err));
	assert_int_equal(err.kind, ERROR_CREDENTIALS);
}

static void
secrets_that_cannot_be_said_are_refused(void **state)
{
	struct imap_auth *auth = NULL;
	struct imap_auth_facts facts = {.user = "u", .secret = SLICE_LITERAL("a\0b")};
	char large[IMAP_SECRET_MAX + 1];
	struct error err;

	assert_false(imap_auth_create(IMAP_AUTH_PLAIN, &facts, &auth, &err));
	memset(large, 'x', sizeof large);
	facts.secret = slice_make(large, sizeof large);
	assert_false(imap_auth_create(IMAP_AUTH_PLAIN, &facts, &auth, &err));
	assert_int_equal(err.kind, ERROR_CREDENTIALS);
}

#if HAVE_GSASL
/* The other side: gsasl as a server that knows user and password. */
static int
serve(Gsasl *gsasl, Gsasl_session *session, Gsasl_property property)
{
	const char *binding = gsasl_callback_hook_get(gsasl);

	switch ((int)property) {
	case GSASL_PASSWORD:
		return gsasl_property_set(session, property, "pencil");
	case GSASL_SCRAM_ITER:
		return gsasl_property_set(session, property, "4096");
	case GSASL_SCRAM_SALT:
		return gsasl_property_set(session, property, "W22ZaJ0SNY7soEsUEjb6gQ==");
	case GSASL_CB_TLS_EXPORTER:
		return binding != NULL ? gsasl_property_set(session, property, binding) : GSASL_NO_CALLBACK;
	default:
		return GSASL_NO_CALLBACK;
	}
}

/* Runs an exchange; tells whether both sides were content, in *out_proved whether the client was. */
static bool
exchange(unsigned mechanism, const char *password, const char *server_binding, bool *out_proved)
{
	static const uint8_t binding[32] = {1, 2, 3};
	SCOPED(imap_auth_destroy) struct imap_auth *auth = NULL;
	SCOPED(buf_finish) struct buf answer = BUF_INIT;
	const struct imap_auth_facts facts = {
		.user = "user", .secret = slice_of(password), .binding = server_binding != NULL ? binding : NULL};
	Gsasl *gsasl;
	Gsasl_session *server;
	char *challenge = NULL;
	struct error err;
	int rc;

	assert_int_equal(gsasl_init(&gsasl), GSASL_OK);
	gsasl_callback_set(gsasl, serve);
	gsasl_callback_hook_set(gsasl, (void *)(uintptr_t)server_binding);
	assert_int_equal(gsasl_server_start(gsasl, imap_auth_name(mechanism), &server), GSASL_OK);
	assert_true(imap_auth_create(mechanism, &facts, &auth, &err));
	bool fine = imap_auth_answer(auth, (struct slice){0}, &answer, &err);

	do {
		rc = gsasl_step64(server, answer.data, &challenge);
		buf_clear(&answer);
		if (rc == GSASL_OK || rc == GSASL_NEEDS_MORE) {
			fine = imap_auth_answer(auth, slice_of(challenge), &answer, &err);
		}
		gsasl_free(challenge);
		challenge = NULL;
	} while (rc == GSASL_NEEDS_MORE && fine);
	*out_proved = imap_auth_complete(auth);
	gsasl_finish(server);
	gsasl_done(gsasl);
	return rc == GSASL_OK && fine;
}

static void
scram_proves_both_sides(void **state)
{
	static const uint8_t binding[32] = {1, 2, 3};
	SCOPED(buf_finish) struct buf text = BUF_INIT;
	bool proved;

	base64_encode(slice_make(binding, sizeof binding), &text);
	assert_true(exchange(IMAP_AUTH_SCRAM_SHA_256, "pencil", NULL, &proved));
	assert_true(proved);
	assert_true(exchange(IMAP_AUTH_SCRAM_SHA_1, "pencil", NULL, &proved));
	assert_true(exchange(IMAP_AUTH_SCRAM_SHA_256_PLUS, "pencil", text.data, &proved));
	assert_true(proved);
	assert_false(exchange(IMAP_AUTH_SCRAM_SHA_256, "crayon", NULL, &proved));
	assert_false(proved);
	/* somebody in the middle has another channel */
	text.data[0] = text.data[0] == 'A' ? 'B' : 'A';
	assert_false(exchange(IMAP_AUTH_SCRAM_SHA_256_PLUS, "pencil", text.data, &proved));
	assert_false(proved);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_strongest_that_is_offered_is_chosen),
		cmocka_unit_test(a_setting_is_followed_or_refused),
		cmocka_unit_test(first_words_are_as_the_mechanisms_want_them),
		cmocka_unit_test(an_exchange_comes_to_an_end),
		cmocka_unit_test(secrets_that_cannot_be_said_are_refused),
#if HAVE_GSASL
		cmocka_unit_test(scram_proves_both_sides),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
