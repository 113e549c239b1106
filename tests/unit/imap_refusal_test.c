#include "engine/remote/imap/imap_refusal.h"

#include "engine/remote/imap/imap_capability.h"
#include "tests/unit/assert_slice.h"

static struct error
meaning(enum imap_status status, const char *code, const char *text, const char *what)
{
	const struct imap_response answer = {
		.kind = IMAP_RESPONSE_TAGGED, .status = status, .code = slice_of(code), .text = slice_of(text)};
	struct error err;

	assert_false(imap_refusal(&answer, what, &err));
	return err;
}

static void
codes_say_what_can_be_done(void **state)
{
	static const struct {
		const char *code, *what;
		enum error_kind kind;
	} rows[] = {
		{"OVERQUOTA", "APPEND", ERROR_ITEM},
		{"TRYCREATE", "APPEND", ERROR_GONE},
		{"NONEXISTENT", "SELECT", ERROR_GONE},
		{"ALREADYEXISTS", "CREATE", ERROR_EXISTS},
		{"NOPERM", "STORE", ERROR_REFUSED},
		{"LIMIT", "APPEND", ERROR_ITEM},
		{"LIMIT", "login", ERROR_THROTTLED},
		{"UNAVAILABLE", "login", ERROR_UNREACHABLE},
		{"UNAVAILABLE", "SELECT", ERROR_ITEM},
		{"AUTHENTICATIONFAILED", "login", ERROR_CREDENTIALS},
		{"authenticationfailed", "login", ERROR_CREDENTIALS},
		{"PRIVACYREQUIRED", "login", ERROR_TRUST},
		{"", "login", ERROR_CREDENTIALS},
		{"", "STORE", ERROR_ITEM},
		{"X-UNHEARD", "STORE", ERROR_ITEM},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct error err = meaning(IMAP_NO, rows[i].code, "some words", rows[i].what);

		if (err.kind != rows[i].kind) {
			print_error("%s: %s\n", rows[i].code, error_kind_name(err.kind));
		}
		assert_int_equal(err.kind, rows[i].kind);
		assert_non_null(strstr(err.text, "some words"));
	}
}

static void
throttling_is_known_by_its_words(void **state)
{
	struct error err =
		meaning(IMAP_BAD, "", "Request is throttled. Suggested Backoff Time: 299961 milliseconds", "FETCH");

	assert_int_equal(err.kind, ERROR_THROTTLED);
	assert_int_equal(err.wait_s, 300);
	err = meaning(IMAP_NO, "ALERT", "Too many simultaneous connections. (Failure)", "login");
	assert_int_equal(err.kind, ERROR_THROTTLED);
	assert_int_equal(err.wait_s, 0);
	err = meaning(IMAP_BYE, "", "Suggested Backoff Time: 99999999999999999999 seconds", "FETCH");
	assert_int_equal(err.wait_s, 0);
	err = meaning(IMAP_BYE, "", "Suggested Backoff Time: 99999999 seconds", "FETCH");
	assert_int_equal(err.wait_s, 86400);
	err = meaning(IMAP_NO, "", "User is authenticated but not connected.", "SELECT");
	assert_int_equal(err.kind, ERROR_UNREACHABLE);
}

static void
a_missing_mailbox_is_known_by_code_or_words(void **state)
{
	const struct imap_response cyrus = {.status = IMAP_NO, .text = SLICE_LITERAL("Mailbox does not exist")};
	const struct imap_response bad = {.status = IMAP_BAD, .text = SLICE_LITERAL("Unknown command: does not exist")};
	const struct imap_response other = {.status = IMAP_NO, .text = SLICE_LITERAL("Permission denied")};

	assert_true(imap_refusal_is_gone(&cyrus));
	assert_false(imap_refusal_is_gone(&bad));
	assert_false(imap_refusal_is_gone(&other));
	assert_int_equal(meaning(IMAP_NO, "", "Mailbox doesn't exist: a", "SELECT").kind, ERROR_GONE);
}

static void
words_of_a_server_cannot_write_on_a_terminal(void **state)
{
	struct error err = meaning(IMAP_NO, "", "\x1b]0;owned\x07 \r no", "STORE");

	for (const char *at = err.text; *at != '\0'; at++) {
		assert_true((unsigned char)*at >= 0x20 && *at != 0x7f);
	}
}

static void
capabilities_are_read_in_any_case(void **state)
{
	struct imap_capabilities can;

	imap_capability_read(SLICE_LITERAL("IMAP4rev1 idle QRESYNC LIST-STATUS AUTH=Plain AUTH=SCRAM-SHA-256 X-NEW "
					   "APPENDLIMIT=35651584 MESSAGELIMIT=1000"),
		"SCRAM IDLE AUTH=SCRAM-SHA-256", &can);
	assert_false(imap_can(&can, IMAP_CAN_IDLE));
	assert_true(imap_can(&can, IMAP_CAN_QRESYNC));
	assert_true(imap_can(&can, IMAP_CAN_CONDSTORE)); /* comes with QRESYNC */
	assert_true(imap_can(&can, IMAP_CAN_LIST_EXTENDED));
	assert_true(imap_can(&can, IMAP_AUTH_PLAIN));
	assert_false(imap_can(&can, IMAP_AUTH_SCRAM_SHA_256));
	assert_int_equal(can.append_limit, 35651584);
	assert_int_equal(can.message_limit, 1000);
	assert_string_equal(imap_capability_mechanism(IMAP_AUTH_SCRAM_SHA_256_PLUS), "SCRAM-SHA-256-PLUS");
	assert_null(imap_capability_mechanism(IMAP_CAN_IDLE));
	imap_capability_read(SLICE_LITERAL("APPENDLIMIT APPENDLIMIT= APPENDLIMIT=-1"), NULL, &can);
	assert_int_equal(can.append_limit, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codes_say_what_can_be_done),
		cmocka_unit_test(throttling_is_known_by_its_words),
		cmocka_unit_test(a_missing_mailbox_is_known_by_code_or_words),
		cmocka_unit_test(words_of_a_server_cannot_write_on_a_terminal),
		cmocka_unit_test(capabilities_are_read_in_any_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
