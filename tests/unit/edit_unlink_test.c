/* unlink in the Maildir view: an expunge, or the second half of a move. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/account.h"
#include "engine/edit.h"
#include "engine/store/intent.h"
#include "engine/store/message.h"
#include "tests/unit/engine_fixture.h"

#define MESSAGE "From: Ana <ana@example.org>\nSubject: hello\nMessage-ID: <1@x>\n\nbody\n"

static struct engine_fixture fixture;
static struct account *account;
static struct mailbox_id work, done;
static struct error err;

#define must(call)                                           \
	do {                                                 \
		err = ERROR_INIT;                            \
		if (!(call)) {                               \
			fail_msg("%s: %s", #call, err.text); \
		}                                            \
	} while (0)

static int
set_up(void **state)
{
	engine_fixture_create(&fixture, "server = maildir:/nowhere");
	engine_fixture_open(&fixture, &(struct engine_options){.mounted = true});
	account = fixture.account;
	must(edit_mailbox_create(account, SLICE_LITERAL("Work"), &work, &err));
	must(edit_mailbox_create(account, SLICE_LITERAL("Done"), &done, &err));
	return 0;
}

static int
tear_down(void **state)
{
	engine_fixture_destroy(&fixture);
	return 0;
}

/* Delivers to the Maildir view; its number. */
static struct number
deliver(struct mailbox_id mailbox, const char *leaf, int64_t date_s)
{
	struct edit_writer *writer = NULL;
	struct number message = {0}, local = {0};
	struct maildir_name name;

	assert_true(maildir_name_read(slice_of(leaf), false, &name));
	must(edit_writer_create(account, mailbox, slice_of(""), &writer, &err));
	edit_writer_set_maildir(writer, &name);
	must(edit_writer_pwrite(writer, slice_of(MESSAGE), 0, &err));
	if (date_s != 0) {
		edit_writer_set_mtime(writer, date_s);
	}
	must(edit_writer_flush(writer, false, &err));
	must(edit_writer_release(&writer, &message, &local, &err));
	assert_int_not_equal(message.value, 0);
	return message;
}

static bool
is_there(struct mailbox_id mailbox, const char *base, struct number number, uint32_t flags)
{
	struct view_message message;
	bool same;

	err = ERROR_INIT;
	if (!view_message_by_base_name(account, mailbox, slice_of(base), &message, &err)) {
		return false;
	}
	same = message.number.value == number.value && message.flags == flags;
	view_message_finish(&message);
	return same;
}

static void
a_copy_not_sent_yet_is_the_first_half(void **state)
{
	struct number first = deliver(work, "a:2,S", 0), copy = deliver(done, "b:2,FS", 0), took;

	must(edit_message_unlink(account, first, &took, &err));
	assert_int_equal(took.value, copy.value);
	assert_true(is_there(done, "b", first, FLAG_FLAGGED | FLAG_SEEN));
	assert_false(is_there(work, "a", first, FLAG_SEEN));
	assert_int_equal(view_message_count(account), 1);
	must(edit_message_unlink(account, first, &took, &err));
	assert_int_equal(took.value, 0);
	assert_int_equal(view_message_count(account), 0);
}

static void
what_was_sent_stays_what_it_is(void **state)
{
	struct number first = deliver(work, "a:2,S", 0), copy = deliver(done, "b:2,S", 0), took;
	struct intent intent = {.kind = INTENT_APPEND, .number = copy, .mailbox = done};
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;

	must(store_write_begin(account->store, STORE_ENGINE, &txn, &err));
	must(intent_add(txn, 1, &intent, &err));
	must(store_write_commit(&txn, STORE_LAZY, &err));
	must(edit_message_unlink(account, first, &took, &err));
	assert_int_equal(took.value, 0);
	assert_true(is_there(done, "b", copy, FLAG_SEEN));
	assert_int_equal(view_message_count(account), 1);
}

static void
another_date_or_the_same_mailbox_is_no_half(void **state)
{
	struct number first = deliver(work, "a:2,S", 0), dated = deliver(done, "b:2,S", 7),
		      twin = deliver(work, "c:2,S", 0);
	struct number took;

	must(edit_message_unlink(account, first, &took, &err));
	assert_int_equal(took.value, 0);
	assert_true(is_there(done, "b", dated, FLAG_SEEN) && is_there(work, "c", twin, FLAG_SEEN));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_copy_not_sent_yet_is_the_first_half, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_was_sent_stays_what_it_is, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_date_or_the_same_mailbox_is_no_half, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
