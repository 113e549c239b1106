/* Several threads on one store: for ThreadSanitizer, and for what each of them must see. */
#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/store_fixture.h"

#define MESSAGES 60
#define ROUNDS   60

static struct mailbox_id mailboxes[2];
static struct number numbers[MESSAGES];
static atomic_bool ended;
static atomic_int failures, heard;

static void
hear(void *context)
{
	atomic_fetch_add(&heard, 1);
}

static void
fail_thread(const struct error *err)
{
	(void)fprintf(stderr, "thread: %s\n", err->text);
	atomic_fetch_add(&failures, 1);
}

/* Moves messages to and fro, briefly. */
static void *
move_about(void *context)
{
	unsigned which = *(unsigned *)context;
	struct error err;

	for (unsigned round = 0; round < ROUNDS; round++) {
		for (size_t i = which; i < MESSAGES; i += 2) {
			SCOPED(store_write_rollback) struct store_txn *txn = NULL;

			if (!store_write_begin_brief(fixture.store, &txn, &err) ||
				!message_move(txn, numbers[i], mailboxes[(round + i) % 2], slice_of(NULL), &err) ||
				!store_write_commit(&txn, STORE_LAZY, &err)) {
				fail_thread(&err);
				return NULL;
			}
		}
	}
	return NULL;
}

/* Adds messages as the engine does, some durably. */
static void *
add(void *context)
{
	struct envelope envelope = fixture_envelope("added");
	struct message_new new = {.mailbox = mailboxes[0], .size_bytes = 10, .envelope = &envelope};
	struct number number;
	struct error err;

	for (unsigned round = 0; round < ROUNDS; round++) {
		SCOPED(store_write_rollback) struct store_txn *txn = NULL;

		if (!store_write_begin(fixture.store, STORE_ENGINE, &txn, &err)) {
			fail_thread(&err);
			return NULL;
		}
		for (int i = 0; i < 20 && !store_write_should_yield(txn); i++) {
			if (!message_create(txn, &new, &number, &err)) {
				fail_thread(&err);
				return NULL;
			}
		}
		if (!store_write_commit(&txn, round % 4 == 0 ? STORE_DURABLE : STORE_LAZY, &err)) {
			fail_thread(&err);
			return NULL;
		}
	}
	return NULL;
}

struct count {
	uint32_t messages;
};

static bool
count_one(void *context, const struct listing *listing)
{
	((struct count *)context)->messages++;
	return true;
}

/* In every snapshot the counts agree with the listings, and nothing is in two places or in none. */
static bool
check_once(bool look, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct count count;

	if (!(look ? store_look_begin(fixture.store, &txn, err) : store_read_begin(fixture.store, &txn, err))) {
		return false;
	}
	for (int i = 0; i < 2; i++) {
		SCOPED(mailbox_finish) struct mailbox mailbox = {0};

		count.messages = 0;
		if (!mailbox_load(txn, mailboxes[i], &mailbox, err) ||
			!listing_each(txn, mailboxes[i], 0, count_one, &count, err)) {
			return false;
		}
		if (mailbox.messages != count.messages) {
			return error_set(err, ERROR_FATAL, "mailbox %d says %u and lists %u", i, mailbox.messages,
				count.messages);
		}
	}
	for (size_t i = 0; i < MESSAGES; i += 7) {
		SCOPED(listing_finish) struct listing listing = {0};

		if (!listing_load(txn, numbers[i], &listing, err)) {
			return false;
		}
	}
	return true;
}

static void *
read_on(void *context)
{
	bool look = *(unsigned *)context == 1;
	struct error err;

	while (!atomic_load(&ended)) {
		if (!check_once(look, &err)) {
			fail_thread(&err);
			return NULL;
		}
	}
	return NULL;
}

static bool
ignore(void *context, const struct change *change)
{
	return true;
}

static void *
follow(void *context)
{
	struct modseq since = {0};
	struct error err;

	while (!atomic_load(&ended)) {
		SCOPED(store_read_end) struct store_txn *txn = NULL;

		if (!store_read_begin(fixture.store, &txn, &err) ||
			!change_each(txn, since, 100, ignore, NULL, &since, &err)) {
			fail_thread(&err);
			return NULL;
		}
	}
	return NULL;
}

static void *
look_after(void *context)
{
	struct error err;

	while (!atomic_load(&ended)) {
		if (!store_maintain(fixture.store, 30, &err) || !store_sync(fixture.store, &err)) {
			fail_thread(&err);
			return NULL;
		}
		(void)usleep(2000);
	}
	return NULL;
}

static void
readers_writers_and_upkeep_do_not_disturb_each_other(void **state)
{
	static unsigned zero = 0, one = 1;
	pthread_t writers[3], readers[4];

	fixture_write();
	mailboxes[0] = fixture_mailbox("A");
	mailboxes[1] = fixture_mailbox("B");
	for (size_t i = 0; i < MESSAGES; i++) {
		numbers[i] = fixture_message(mailboxes[i % 2], "x", NULL);
	}
	fixture_commit();
	store_set_listener(fixture.store, hear, NULL);
	assert_int_equal(pthread_create(&readers[0], NULL, read_on, &zero), 0);
	assert_int_equal(pthread_create(&readers[1], NULL, read_on, &one), 0);
	assert_int_equal(pthread_create(&readers[2], NULL, follow, NULL), 0);
	assert_int_equal(pthread_create(&readers[3], NULL, look_after, NULL), 0);
	assert_int_equal(pthread_create(&writers[0], NULL, move_about, &zero), 0);
	assert_int_equal(pthread_create(&writers[1], NULL, move_about, &one), 0);
	assert_int_equal(pthread_create(&writers[2], NULL, add, NULL), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(writers); i++) {
		assert_int_equal(pthread_join(writers[i], NULL), 0);
	}
	atomic_store(&ended, true);
	for (size_t i = 0; i < ARRAY_LENGTH(readers); i++) {
		assert_int_equal(pthread_join(readers[i], NULL), 0);
	}
	store_set_listener(fixture.store, NULL, NULL);
	assert_int_equal(atomic_load(&failures), 0);
	assert_true(atomic_load(&heard) > 0);
	fixture_audit();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			readers_writers_and_upkeep_do_not_disturb_each_other, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests_name("store_threads", tests, NULL, NULL);
}
