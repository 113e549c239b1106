/* Ends a process that writes at moments that nobody chose, again and again, and looks at what it left (P11, P20). */
#include <signal.h>
#include <sys/wait.h>

#include "tests/unit/store_fixture.h"

#define KILLS 50

/* Does a bit of everything for ever. It tells the number of each message it made durably. */
static void
write_for_ever(int to_parent, uint64_t seed)
{
	static const char text[] = "From: Ana Ruiz <ana@example.org>\r\nSubject: x\r\n\r\nhello %llu\r\n";
	struct envelope envelope = fixture_envelope("x");
	struct store *store = NULL;
	struct random random;
	struct io *io = io_posix_create();
	struct mailbox_id mailboxes[2];
	struct error err;

	random_seed(&random, seed);
	if (!store_open(io, fixture.path, NULL, NULL, &store, &err)) {
		_exit(1);
	}
	for (uint64_t n = 0;; n++) {
		SCOPED(store_write_rollback) struct store_txn *txn = NULL;
		SCOPED(spool_close) struct spool *spool = spool_create(store_dir(store));
		SCOPED(body_prepared_destroy) struct body_prepared *body = NULL;
		SCOPED(buf_finish) struct buf octets = BUF_INIT;
		struct mailbox mailbox = {0};
		struct number number = {1 + random_below(&random, 200)};
		struct flags flags = {.bits = (uint32_t)random_below(&random, FLAG_ALL + 1)};
		bool applied, durable = random_below(&random, 4) == 0;

		buf_printf(&octets, text, (unsigned long long)random_below(&random, 100000));
		while (random_below(&random, 20) == 0 && octets.length < 200000) {
			for (int i = 0; i < 10000; i++) {
				buf_append_text(&octets, "a long body\r\n");
			}
		}
		if (!spool_append(spool, buf_slice(&octets), &err) || !body_prepare_wire(store, spool, &body, &err) ||
			(random_below(&random, 2) == 0 && !body_pack(store, &body, 1, &err)) ||
			!store_write_begin(store, STORE_ENGINE, &txn, &err)) {
			_exit(2);
		}
		for (int i = 0; i < 2; i++) {
			struct slice name = i == 0 ? SLICE_LITERAL("A") : SLICE_LITERAL("B");

			if (mailbox_load_by_name(txn, name, &mailbox, &err)) {
				mailboxes[i] = mailbox.id;
				mailbox_finish(&mailbox);
			} else if (!mailbox_create(txn, name, MAILBOX_REAL, NULL, &mailboxes[i], &err)) {
				_exit(3);
			}
		}
		struct message_new new = {.mailbox = mailboxes[random_below(&random, 2)],
			.size_bytes = body_prepared_get(body)->size_bytes,
			.envelope = &envelope};
		struct number made;

		if (!body_put(txn, body, &new.body, &err) || !message_create(txn, &new, &made, &err)) {
			_exit(4);
		}
		switch (random_below(&random, 3)) {
		case 0:
			applied = message_expunge(txn, number, MESSAGE_BY_USER, (struct number){0}, &err);
			break;
		case 1:
			applied = message_move(txn, number, mailboxes[random_below(&random, 2)], slice_of(NULL), &err);
			break;
		default:
			if (!message_set_flags(txn, number, &flags, (struct modseq){0}, &applied, &err)) {
				applied = false;
			}
		}
		if (!applied && err.kind != ERROR_GONE) {
			_exit(5);
		}
		if (!store_write_commit(&txn, durable ? STORE_DURABLE : STORE_LAZY, &err)) {
			_exit(6);
		}
		if (write(to_parent, &made.value, sizeof(made.value)) != (ssize_t)sizeof(made.value)) {
			_exit(7);
		}
	}
}

static void
a_store_is_sound_whenever_its_writer_was_killed(void **state)
{
	struct random random;
	uint64_t last = 0, told = 0, kills_in_time = 0;

	random_seed(&random, 7);
	store_close(&fixture.store);
	for (int i = 0; i < KILLS; i++) {
		int from_child[2], status;

		assert_int_equal(pipe(from_child), 0);
		pid_t child = fork();

		if (child == 0) {
			write_for_ever(from_child[1], (uint64_t)i);
		}
		(void)close(from_child[1]);
		(void)usleep((useconds_t)random_below(&random, 100000));
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (!WIFSIGNALED(status)) {
			fail_msg("the writer ended by itself: %d", WEXITSTATUS(status));
		}
		uint64_t before = told;

		while (read(from_child[0], &last, sizeof(last)) == (ssize_t)sizeof(last)) {
			assert_true(last > told); /* no number twice */
			told = last;
		}
		kills_in_time += told > before;
		(void)close(from_child[0]);
		bool rolled_back = true;

		assert_ok(store_open(fixture.io, fixture.path, NULL, &rolled_back, &fixture.store, &fixture.err));
		assert_false(rolled_back);
		fixture_audit();
		if (told > 0) { /* what was committed is there: only a power failure may take a lazy one */
			SCOPED(message_finish) struct message message = {0};

			fixture_read();
			assert_ok(message_load(fixture.txn, (struct number){told}, &message, &fixture.err));
			fixture_end();
		}
		store_close(&fixture.store);
	}
	assert_true(kills_in_time >= KILLS / 5); /* the kills did hit it at work */
	assert_ok(store_open(fixture.io, fixture.path, NULL, NULL, &fixture.store, &fixture.err));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_store_is_sound_whenever_its_writer_was_killed, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests_name("store_crash", tests, NULL, NULL);
}
