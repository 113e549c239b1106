#include "tests/unit/store_fixture.h"

static void
a_new_store_is_empty_and_sound(void **state)
{
	fixture_audit();
	fixture_reopen();
	fixture_audit();
}

static void
a_message_is_there_after_the_store_is_opened_again(void **state)
{
	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX");
	struct number number = fixture_message(inbox, "Re: Q4 budget", NULL);

	fixture_commit();
	fixture_reopen();
	fixture_read();
	SCOPED(message_finish) struct message message = {0};
	char *name = fixture_name(number);

	assert_ok(message_load(fixture.txn, number, &message, &fixture.err));
	assert_int_equal(message.mailbox.value, inbox.value);
	assert_string_equal(name, "2026-11-03 0912 Ana Ruiz - Re Q4 budget.00001.eml");
	free(name);
	fixture_end();
	fixture_audit();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_new_store_is_empty_and_sound, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			a_message_is_there_after_the_store_is_opened_again, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
