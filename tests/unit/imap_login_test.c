#include "tests/unit/assert_slice.h"
#include "tests/unit/imap_fake.h"

struct asked {
	unsigned times, again;
	bool is_token;
	const char *text;
};

static bool
give_secret(void *context, bool again, struct buf *out, bool *out_is_token, struct cancel *cancel, struct error *err)
{
	struct asked *asked = context;

	(void)cancel;
	(void)err;
	asked->times++;
	asked->again += again;
	buf_append_text(out, asked->text);
	*out_is_token = asked->is_token;
	return true;
}

static struct imap_settings
settings_with(struct asked *asked)
{
	return (struct imap_settings){.transport = IMAP_CLEAR, .secret = give_secret, .secret_context = asked};
}

/* Opens on a script that must make it fail. */
static struct error
failure_of(const char *script, struct imap_settings *settings)
{
	struct imap_fake *fake = imap_fake_start(script, NULL);
	struct remote *remote = imap_fake_remote(fake, settings);
	struct cancel *cancel = cancel_create();
	struct remote_session *session;
	struct error err = ERROR_INIT;

	assert_false(remote->ops->open(remote, cancel, &session, &err));
	remote->ops->destroy(&remote);
	cancel_destroy(&cancel);
	imap_fake_end(&fake);
	return err;
}

static void
succeeds_with(const char *script, struct imap_settings *settings)
{
	struct imap_fake *fake = imap_fake_start(script, NULL);
	struct remote *remote = imap_fake_remote(fake, settings);
	struct remote_session *session = imap_fake_open(fake, remote);

	assert_true(remote->ops->alive(session));
	remote->ops->close(&session);
	assert_null(session);
	remote->ops->destroy(&remote);
	imap_fake_end(&fake);
}

static void
a_greeting_that_is_none_ends_it(void **state)
{
	assert_int_equal(failure_of("S: HTTP/1.1 400 Bad Request\n", NULL).kind, ERROR_RETRY);
	assert_int_equal(failure_of("S: 220 smtp\n", NULL).kind, ERROR_RETRY);
	assert_int_equal(failure_of("S: * NO go away\n", NULL).kind, ERROR_RETRY);
	assert_int_equal(failure_of("X:\n", NULL).kind, ERROR_RETRY);
	assert_int_equal(failure_of("R: * OK half a\nX:\n", NULL).kind, ERROR_RETRY);
}

static void
a_goodbye_says_why(void **state)
{
	struct error err =
		failure_of("S: * BYE Request is throttled. Suggested Backoff Time: 2500 milliseconds\n", NULL);

	assert_int_equal(err.kind, ERROR_THROTTLED);
	assert_int_equal(err.wait_s, 3);
	assert_int_equal(
		failure_of("S: * BYE [LIMIT] Too many simultaneous connections\n", NULL).kind, ERROR_THROTTLED);
	assert_int_equal(failure_of("S: * BYE [UNAVAILABLE] later\n", NULL).kind, ERROR_UNREACHABLE);
	/* also when it comes in the place of an answer */
	err = failure_of(
		"S: * OK [CAPABILITY IMAP4rev1] hi\nC: m1 LOGIN \"u\" \"p\"\nS: * BYE Too many connections\nX:\n",
		NULL);
	assert_int_equal(err.kind, ERROR_THROTTLED);
}

static void
nobody_but_a_tunnel_may_say_that_we_are_logged_in(void **state)
{
	assert_int_equal(failure_of("S: * PREAUTH [CAPABILITY IMAP4rev1] welcome\n", NULL).kind, ERROR_TRUST);
}

static void
a_tunnel_may_begin_logged_in(void **state)
{
	struct io *io = io_posix_create();
	struct cancel *cancel = cancel_create();
	const struct imap_settings settings = {.transport = IMAP_TUNNEL,
		.user = "u",
		.tunnel = "printf '* PREAUTH [CAPABILITY IMAP4rev1 OBJECTID] hi\\r\\n'; cat >/dev/null"};
	struct remote *remote;
	struct remote_session *session;
	struct error err;

	assert_true(imap_remote_create(io, NULL, &settings, &remote, &err));
	assert_true(remote->ops->open(remote, cancel, &session, &err));
	remote->ops->close(&session);
	remote->ops->destroy(&remote);
	cancel_destroy(&cancel);
	io_destroy(&io);
}

static void
without_a_way_to_log_in_no_password_leaves(void **state)
{
	struct error err = failure_of("S: * OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi\n", NULL);

	assert_int_equal(err.kind, ERROR_CREDENTIALS);
}

static void
starttls_is_required_where_it_is_configured(void **state)
{
	struct imap_settings settings = {.transport = IMAP_STARTTLS};

	assert_int_equal(failure_of("S: * OK [CAPABILITY IMAP4rev1] hi\n", &settings).kind, ERROR_TRUST);
	assert_int_equal(failure_of("S: * OK hi\nC: m1 STARTTLS\nS: m1 BAD what\n", &settings).kind, ERROR_TRUST);
	assert_int_equal(failure_of("S: * PREAUTH hi\n", &settings).kind, ERROR_TRUST);
	/* what comes behind the OK in the clear was put there by somebody */
	assert_int_equal(failure_of("S: * OK [CAPABILITY STARTTLS] hi\nC: m1 STARTTLS\n"
				    "R: m1 OK go\\r\\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\\r\\n\n",
				 &settings)
				 .kind,
		ERROR_TRUST);
}

static void
a_refused_token_is_asked_for_once_more(void **state)
{
	struct asked asked = {.is_token = true, .text = "tok"};
	struct imap_settings settings = settings_with(&asked);
	struct error err;

	succeeds_with("S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\n"
		      "C: m1 AUTHENTICATE XOAUTH2 dXNlcj11AWF1dGg9QmVhcmVyIHRvawEB\n"
		      "S: + eyJzdGF0dXMiOiI0MDEifQ==\n"
		      "C: \n"
		      "S: m1 NO [AUTHENTICATIONFAILED] expired\n"
		      "C: m2 AUTHENTICATE XOAUTH2 dXNlcj11AWF1dGg9QmVhcmVyIHRvawEB\n"
		      "S: m2 OK [CAPABILITY IMAP4rev1 OBJECTID] in\n",
		&settings);
	assert_int_equal(asked.times, 2);
	assert_int_equal(asked.again, 1);

	asked.times = asked.again = 0;
	err = failure_of("S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=OAUTHBEARER] hi\n"
			 "C: m1 AUTHENTICATE OAUTHBEARER ~\n"
			 "S: + eyJzdGF0dXMiOiI0MDEifQ==\n"
			 "C: AQ==\n"
			 "S: m1 NO expired\n"
			 "C: m2 AUTHENTICATE OAUTHBEARER ~\n"
			 "S: m2 NO expired\n",
		&settings);
	assert_int_equal(err.kind, ERROR_CREDENTIALS);
	assert_int_equal(asked.times, 2); /* no more: accounts are locked by storms */
}

static void
a_server_that_is_not_there_costs_no_second_secret(void **state)
{
	struct asked asked = {.text = "p"};
	struct imap_settings settings = settings_with(&asked);
	struct error err =
		failure_of("S: * OK [CAPABILITY IMAP4rev1] hi\nC: m1 LOGIN \"u\" \"p\"\nS: m1 NO [UNAVAILABLE] later\n",
			&settings);

	assert_int_equal(err.kind, ERROR_UNREACHABLE);
	assert_int_equal(asked.times, 1);
}

static void
what_was_said_before_the_login_counts_for_nothing(void **state)
{
	/* QRESYNC before, none after: no ENABLE is sent */
	succeeds_with("S: * OK [CAPABILITY IMAP4rev1 QRESYNC ENABLE ID OBJECTID] hi\n"
		      "C: m1 LOGIN \"u\" \"p\"\n"
		      "S: m1 OK in\n"
		      "C: m2 CAPABILITY\n"
		      "S: * CAPABILITY IMAP4rev1 OBJECTID\n"
		      "S: m2 OK\n",
		NULL);
}

static void
a_mechanism_without_initial_response_waits_its_turn(void **state)
{
	struct asked asked = {.text = "p"};
	struct imap_settings settings = settings_with(&asked);

	succeeds_with("S: * OK hi\n"
		      "C: m1 CAPABILITY\n"
		      "S: * CAPABILITY IMAP4rev1 AUTH=PLAIN LOGINDISABLED\n"
		      "S: m1 OK\n"
		      "C: m2 AUTHENTICATE PLAIN\n"
		      "S: + \n"
		      "C: AHUAcA==\n"
		      "S: m2 OK [CAPABILITY OBJECTID] in\n",
		&settings);
	settings.auth = "LOGIN";
	succeeds_with("S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=LOGIN] hi\n"
		      "C: m1 AUTHENTICATE LOGIN\n"
		      "S: + VXNlcm5hbWU6\n"
		      "C: dQ==\n"
		      "S: + UGFzc3dvcmQ6\n"
		      "C: cA==\n"
		      "S: m1 OK [CAPABILITY OBJECTID] in\n",
		&settings);
}

static void
a_password_that_needs_a_literal_waits_for_the_word(void **state)
{
	struct asked asked = {.text = "p\xc3\xa4"};
	struct imap_settings settings = settings_with(&asked);

	succeeds_with("S: * OK [CAPABILITY IMAP4rev1] hi\n"
		      "C: m1 LOGIN \"u\" {3}\n"
		      "S: + go\n"
		      "C: p\xc3\xa4\n"
		      "S: m1 OK [CAPABILITY OBJECTID] in\n",
		&settings);
	asked.text = "p\r\nm2 DELETE INBOX";
	assert_int_equal(failure_of("S: * OK [CAPABILITY IMAP4rev1] hi\n", &settings).kind, ERROR_INVALID);
}

#if HAVE_GSASL
static void
a_server_that_proves_nothing_is_not_believed(void **state)
{
	struct error err = failure_of("S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256] hi\n"
				      "C: m1 AUTHENTICATE SCRAM-SHA-256 ~\n"
				      "S: m1 OK in\n",
		NULL);

	assert_int_equal(err.kind, ERROR_TRUST);
}
#endif

static void
an_answer_to_nothing_ends_the_session(void **state)
{
	assert_int_equal(
		failure_of("S: * OK [CAPABILITY IMAP4rev1] hi\nC: m1 LOGIN \"u\" \"p\"\nS: m7 OK in\n", NULL).kind,
		ERROR_RETRY);
	assert_int_equal(
		failure_of("S: * OK [CAPABILITY IMAP4rev1] hi\nC: m1 LOGIN \"u\" \"p\"\nS: a1 OK in\n", NULL).kind,
		ERROR_RETRY);
}

static void
an_unknown_server_is_asked_once_for_its_ids(void **state)
{
	struct imap_fake *fake = imap_fake_start("S: * OK [CAPABILITY IMAP4rev1] hello\n"
						 "C: m1 LOGIN \"u\" \"p\"\n"
						 "S: m1 OK [CAPABILITY IMAP4rev1 ID] in\n"
						 "C: m2 ID (\"name\" \"mailfs\"~\n"
						 "S: * ID (\"name\" \"Other\" \"version\" \"1\")\n"
						 "S: m2 OK\n"
						 "C: m3 STATUS INBOX (X-GUID)\n"
						 "S: m3 BAD what\n",
		"S: * OK [CAPABILITY IMAP4rev1] hello\nC: m1 LOGIN \"u\" \"p\"\nS: m1 OK [CAPABILITY IMAP4rev1] in\n");
	struct remote *remote = imap_fake_remote(fake, NULL);
	struct remote_session *session = imap_fake_open(fake, remote);

	assert_false(remote->ops->capabilities(session)->message_guid);
	assert_string_equal(remote->ops->capabilities(session)->server, "Other 1");
	remote->ops->close(&session);
	session = imap_fake_open(fake, remote);
	remote->ops->close(&session);
	remote->ops->destroy(&remote);
	imap_fake_end(&fake);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_greeting_that_is_none_ends_it),
		cmocka_unit_test(a_goodbye_says_why),
		cmocka_unit_test(nobody_but_a_tunnel_may_say_that_we_are_logged_in),
		cmocka_unit_test(a_tunnel_may_begin_logged_in),
		cmocka_unit_test(without_a_way_to_log_in_no_password_leaves),
		cmocka_unit_test(starttls_is_required_where_it_is_configured),
		cmocka_unit_test(a_refused_token_is_asked_for_once_more),
		cmocka_unit_test(a_server_that_is_not_there_costs_no_second_secret),
		cmocka_unit_test(what_was_said_before_the_login_counts_for_nothing),
		cmocka_unit_test(a_mechanism_without_initial_response_waits_its_turn),
		cmocka_unit_test(a_password_that_needs_a_literal_waits_for_the_word),
#if HAVE_GSASL
		cmocka_unit_test(a_server_that_proves_nothing_is_not_believed),
#endif
		cmocka_unit_test(an_answer_to_nothing_ends_the_session),
		cmocka_unit_test(an_unknown_server_is_asked_once_for_its_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
