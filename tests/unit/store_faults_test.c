/* Every effect of the store on the world is made to fail once, and to be the last of a process once; then it goes on to the same end. */
#include <errno.h>
#include <sys/wait.h>

#include "tests/unit/io_test_ops.h"
#include "tests/unit/store_fixture.h"

#define EFFECTS_MAX 400

/* A body of so many lines, ready to be put. */
static bool
prepare(struct store *store, int lines, struct body_prepared **out, struct error *err)
{
	SCOPED(spool_close) struct spool *spool = spool_create(store_dir(store));
	SCOPED(buf_finish) struct buf octets = BUF_INIT;

	for (int i = 0; i < lines; i++) {
		buf_append_text(&octets, "Subject: a line\r\n");
	}
	return spool_append(spool, buf_slice(&octets), err) && body_prepare_wire(store, spool, out, err);
}

/* Opens the store, adds a message with a large body and a small one durably, their bodies in a file and in a pack, looks after it and closes it. *out_kept tells that the commit said so. */
static bool
work(struct io *io, bool *out_kept, struct error *err)
{
	SCOPED(store_close) struct store *store = NULL;
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	SCOPED(body_prepared_destroy) struct body_prepared *large = NULL;
	SCOPED(body_prepared_destroy) struct body_prepared *small = NULL;
	struct envelope envelope = fixture_envelope("x");
	struct mailbox mailbox = {0};
	struct mailbox_id id;
	struct number number;

	if (!store_open(io, fixture.path, NULL, NULL, &store, err)) {
		return false;
	}
	if (!prepare(store, 100000, &large, err) || !prepare(store, 1000, &small, err) ||
		!body_pack(store, (struct body_prepared *[]){large, small}, 2, err) ||
		!store_write_begin(store, STORE_MOUNT, &txn, err)) {
		return false;
	}
	if (mailbox_load_by_name(txn, SLICE_LITERAL("INBOX"), &mailbox, err)) {
		id = mailbox.id;
		mailbox_finish(&mailbox);
	} else if (!mailbox_create(txn, SLICE_LITERAL("INBOX"), MAILBOX_REAL, NULL, &id, err)) {
		return false;
	}
	struct message_new new = {
		.mailbox = id, .envelope = &envelope, .size_bytes = body_prepared_get(large)->size_bytes};
	struct message_new other = new;

	other.size_bytes = body_prepared_get(small)->size_bytes;
	if (!body_put(txn, large, &new.body, err) || !message_create(txn, &new, &number, err) ||
		!body_put(txn, small, &other.body, err) || !message_create(txn, &other, &number, err) ||
		!store_write_commit(&txn, STORE_DURABLE, err)) {
		return false;
	}
	*out_kept = true;
	return store_maintain(store, 30, err);
}

static uint32_t
count_messages(void)
{
	SCOPED(mailbox_finish) struct mailbox mailbox = {0};
	uint32_t count = 0;

	fixture_read();
	if (mailbox_load_by_name(fixture.txn, slice_of("INBOX"), &mailbox, &fixture.err)) {
		count = mailbox.messages;
	}
	fixture_end();
	return count;
}

/* Opens what the fault left, with nothing in the way. */
static uint32_t
look_after_fault(void)
{
	bool rolled_back = true;

	assert_ok(store_open(fixture.io, fixture.path, NULL, &rolled_back, &fixture.store, &fixture.err));
	assert_false(rolled_back);
	fixture_audit();
	uint32_t count = count_messages();

	store_close(&fixture.store);
	return count;
}

static void
whatever_fails_is_told_and_the_store_stays_sound(void **state)
{
	uint32_t before = 0;
	bool fired = true;

	store_close(&fixture.store);
	for (unsigned nth = 1; fired; nth++) {
		struct io *io = io_test_create(fixture.io);
		bool kept = false;
		struct error err = ERROR_INIT;

		assert_true(nth < EFFECTS_MAX);
		io_test_reset(io, IO_EFFECT_ALL);
		io_test_fail(io, nth, EIO, false);
		bool done = work(io, &kept, &err);

		fired = io_test_fired(io);
		if (!done && err.kind == ERROR_NONE) {
			fail_msg("effect %u (%s) failed without a reason", nth, io_test_fired_name(io));
		}
		if (!fired) {
			assert_true(done);
		}
		uint32_t after = look_after_fault();

		/* An effect behind the commit may fail: then it is there, and was not told to be. */
		if (after < before + 2 * kept || after > before + 2) {
			fail_msg("effect %u (%s): %u messages became %u", nth, io_test_fired_name(io), before, after);
		}
		before = after;
		io_destroy(&io);
	}
}

static void
wherever_it_ends_the_store_stays_sound(void **state)
{
	enum { DONE = 10, EXITED = 11 };
	uint32_t before = 0;
	bool exited = true;

	store_close(&fixture.store);
	for (unsigned nth = 1; exited; nth++) {
		int status;
		pid_t child = fork();

		assert_true(nth < EFFECTS_MAX);
		if (child == 0) {
			struct io *real = io_posix_create(), *io = io_test_create(real);
			bool kept = false;
			struct error err;

			io_test_reset(io, IO_EFFECT_ALL);
			io_test_exit(io, nth, EXITED);
			_exit(work(io, &kept, &err) ? DONE : 1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == DONE || WEXITSTATUS(status) == EXITED));
		exited = WEXITSTATUS(status) == EXITED;
		uint32_t after = look_after_fault();

		assert_true(after == before || after == before + 2);
		assert_true(exited || after == before + 2);
		before = after;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			whatever_fails_is_told_and_the_store_stays_sound, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			wherever_it_ends_the_store_stays_sound, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests_name("store_faults", tests, NULL, NULL);
}
