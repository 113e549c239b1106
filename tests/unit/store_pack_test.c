/* Bodies in packs: what is put comes back, what is damaged is told and healed, and what nobody needs gives its room back. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "engine/store/store_internal.h"
#include "tests/unit/io_test_ops.h"
#include "tests/unit/store_fixture.h"

#define test(name)  cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define MANY        40
#define BODY_OCTETS 100000u

/* The octets of the n-th body, as served. */
static struct buf
octets_of(unsigned n)
{
	struct buf octets = BUF_INIT;

	buf_printf(&octets, "From: a\r\nSubject: %u\r\n\r\n", n);
	while (octets.length < BODY_OCTETS) {
		buf_printf(&octets, "%zu of %u\r\n", octets.length, n);
	}
	return octets;
}

static struct body_prepared *
prepare_in(struct store *store, unsigned n)
{
	SCOPED(spool_close) struct spool *spool = spool_create(store_dir(store));
	SCOPED(buf_finish) struct buf octets = octets_of(n);
	struct body_prepared *prepared = NULL;

	assert_ok(spool_append(spool, buf_slice(&octets), &fixture.err));
	assert_ok(body_prepare_wire(store, spool, &prepared, &fixture.err));
	return prepared;
}

/* Packs and puts it, with a message that needs it; gives the message. */
static struct number
add(struct mailbox_id inbox, unsigned n)
{
	SCOPED(body_prepared_destroy) struct body_prepared *prepared = prepare_in(fixture.store, n);
	struct message_new new = {.mailbox = inbox, .size_bytes = body_prepared_get(prepared)->size_bytes};
	struct number number;

	assert_ok(body_pack(fixture.store, &prepared, 1, &fixture.err));
	assert_true(body_prepared_get(prepared)->pack != 0);
	fixture_write();
	assert_ok(body_put(fixture.txn, prepared, &new.body, &fixture.err));
	assert_ok(message_create(fixture.txn, &new, &number, &fixture.err));
	fixture_commit();
	return number;
}

static struct body
body_of(struct number number)
{
	SCOPED(message_finish) struct message message = {0};
	struct body body;

	fixture_read();
	assert_ok(message_load(fixture.txn, number, &message, &fixture.err));
	assert_ok(body_load(fixture.txn, message.body, &body, &fixture.err));
	fixture_end();
	return body;
}

static void
assert_reads(struct number number, unsigned n)
{
	SCOPED(spool_close) struct spool *wire = NULL;
	SCOPED(buf_finish) struct buf octets = octets_of(n);
	struct body body = body_of(number);
	struct slice view;

	fixture_read();
	assert_ok(body_to_wire(fixture.txn, body.id, &wire, &fixture.err));
	fixture_end();
	assert_ok(spool_view(wire, &view, &fixture.err));
	assert_true(slice_equal(view, buf_slice(&octets)));
}

static void
assert_damaged(struct number number)
{
	struct body_reader *reader = NULL;
	struct body body = body_of(number);

	fixture_read();
	assert_fails(body_open(fixture.txn, body.id, &reader, &fixture.err), ERROR_DAMAGED);
	fixture_end();
}

static void
path_of(uint64_t pack, char out[256])
{
	(void)snprintf(out, 256, "%s/bodies/packs/%016llx", fixture.path, (unsigned long long)pack);
}

static unsigned
count_packs(void)
{
	char path[256];
	unsigned count = 0;

	(void)snprintf(path, sizeof(path), "%s/bodies/packs", fixture.path);
	DIR *dir = opendir(path);

	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		count += entry->d_name[0] != '.';
	}
	(void)closedir(dir);
	return count;
}

static void
maintain_at(uint64_t running_s)
{
	fixture_write();
	assert_ok(store_meta_set_u64(fixture.txn, "running_s", running_s, &fixture.err));
	fixture_commit();
	assert_ok(store_maintain(fixture.store, 0, &fixture.err));
}

/* Makes the pack a full one, so that another is begun. */
static void
fill_up(uint64_t pack)
{
	char path[256];

	path_of(pack, path);
	assert_int_equal(truncate(path, 64 << 20), 0);
	fixture_reopen();
}

static void
expunge(struct number number)
{
	fixture_write();
	assert_ok(message_expunge(fixture.txn, number, MESSAGE_BY_USER, (struct number){0}, &fixture.err));
	fixture_commit();
}

static void
what_is_packed_comes_back(void **state)
{
	struct mailbox_id inbox = fixture_inbox();
	struct number numbers[MANY];

	for (unsigned n = 0; n < MANY; n++) {
		numbers[n] = add(inbox, n);
	}
	assert_int_equal(count_packs(), 1);
	fixture_reopen();
	for (unsigned n = MANY; n-- > 0;) {
		struct body body = body_of(numbers[n]);

		assert_true(body.pack != 0 && !body.is_file);
		assert_reads(numbers[n], n);
	}
	struct number later = add(inbox, MANY); /* one goes on where another ended */

	assert_int_equal(count_packs(), 1);
	assert_reads(later, MANY);
	fixture_audit();
}

static void
two_append_to_packs_of_their_own(void **state)
{
	struct mailbox_id inbox = fixture_inbox();
	struct number number = add(inbox, 1);
	SCOPED(store_close) struct store *other = NULL;
	SCOPED(body_prepared_destroy) struct body_prepared *prepared = NULL;

	assert_ok(store_open(fixture.io, fixture.path, NULL, NULL, &other, &fixture.err));
	prepared = prepare_in(other, 2);
	assert_ok(body_pack(other, &prepared, 1, &fixture.err));
	assert_true(body_prepared_get(prepared)->pack != body_of(number).pack);
	assert_int_equal(count_packs(), 2);
}

static void
what_is_not_packed_becomes_a_row(void **state)
{
	SCOPED(body_prepared_destroy) struct body_prepared *prepared = prepare_in(fixture.store, 1);
	struct body body;
	uint64_t id;

	fixture_write();
	assert_ok(body_put(fixture.txn, prepared, &id, &fixture.err));
	assert_ok(body_load(fixture.txn, id, &body, &fixture.err));
	assert_true(body.pack == 0 && !body.is_file);
	fixture_commit();
}

static void
a_pack_that_lost_octets_is_damage_and_heals(void **state)
{
	struct mailbox_id inbox = fixture_inbox();
	struct number first = add(inbox, 1), last = add(inbox, 2);
	struct body body = body_of(first);
	char path[256];

	path_of(body.pack, path);
	int fd = open(path, O_RDWR);

	assert_int_equal(pwrite(fd, "X", 1, (off_t)body.place + 5000), 1);
	(void)close(fd);
	assert_damaged(first);
	assert_reads(last, 2);

	fixture_write();
	assert_ok(body_set_damaged(fixture.txn, body.id, &fixture.err));
	fixture_commit();
	(void)add(inbox, 1); /* it comes again */
	assert_reads(first, 1);
	assert_int_equal(body_of(first).id, body.id);
	fixture_reopen();
	assert_int_equal(truncate(path, (off_t)body_of(last).place + 10), 0);
	assert_damaged(last);
	assert_int_equal(unlink(path), 0);
	fixture_reopen();
	assert_damaged(last);
}

static void
a_pack_that_nobody_needs_goes_in_two_steps(void **state)
{
	struct mailbox_id inbox = fixture_inbox();
	struct number number = add(inbox, 1);
	uint64_t pack = body_of(number).pack;

	expunge(number);
	fill_up(pack);
	(void)add(inbox, 2);
	assert_int_equal(count_packs(), 2);
	(void)sleep(1);
	maintain_at(10000); /* the message, its body, and a note of the pack */
	maintain_at(13599);
	assert_int_equal(count_packs(), 2);
	maintain_at(13600);
	assert_int_equal(count_packs(), 1);
	fixture_audit();
}

static void
a_pack_that_is_hardly_needed_is_copied_out(void **state)
{
	struct mailbox_id inbox = fixture_inbox();
	struct number numbers[MANY];

	for (unsigned n = 0; n < MANY; n++) {
		numbers[n] = add(inbox, n);
	}
	uint64_t pack = body_of(numbers[0]).pack;

	fill_up(pack);
	(void)add(inbox, MANY);
	for (unsigned n = 0; n < MANY; n++) {
		if (n % 4 != 0) {
			expunge(numbers[n]);
		}
	}
	(void)sleep(1);
	maintain_at(10000);
	for (unsigned n = 0; n < MANY; n += 4) {
		assert_true(body_of(numbers[n]).pack != pack);
		assert_reads(numbers[n], n);
	}
	maintain_at(20000);
	maintain_at(30000);
	assert_int_equal(count_packs(), 1);
	fixture_reopen();
	for (unsigned n = 0; n < MANY; n += 4) {
		assert_reads(numbers[n], n);
	}
	fixture_audit();
}

/* The order of a durable commit: the octets, then the log with the rows. (When the log's own fsync fails the log is copied, and the commit is good.) */
static void
a_pack_is_durable_before_the_log(void **state)
{
	struct io *io = io_test_create(fixture.io);
	struct body_prepared *prepared;
	struct store *store;
	struct store_txn *txn;
	uint64_t id;

	store_close(&fixture.store);
	assert_ok(store_open(io, fixture.path, NULL, NULL, &store, &fixture.err));
	for (unsigned round = 0; round < 2; round++) { /* the first one makes the pack, and the store's epoch */
		prepared = prepare_in(store, round);
		assert_ok(body_pack(store, &prepared, 1, &fixture.err));
		assert_ok(store_write_begin(store, STORE_ENGINE, &txn, &fixture.err));
		assert_ok(body_put(txn, prepared, &id, &fixture.err));
		body_prepared_destroy(&prepared);
		if (round == 0) {
			assert_ok(store_write_commit(&txn, STORE_DURABLE, &fixture.err));
		}
	}
	io_test_reset(io, IO_EFFECT_BIT(IO_EFFECT_FSYNC));
	io_test_fail(io, 1, EIO, false);
	assert_fails(store_write_commit(&txn, STORE_DURABLE, &fixture.err), ERROR_SYSTEM);
	assert_true(io_test_fired(io));
	store_close(&store);
	io_destroy(&io);
	assert_true(fixture_open(NULL));
	fixture_audit();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test(what_is_packed_comes_back),
		test(two_append_to_packs_of_their_own),
		test(what_is_not_packed_becomes_a_row),
		test(a_pack_that_lost_octets_is_damage_and_heals),
		test(a_pack_that_nobody_needs_goes_in_two_steps),
		test(a_pack_that_is_hardly_needed_is_copied_out),
		test(a_pack_is_durable_before_the_log),
	};

	return cmocka_run_group_tests_name("store_pack", tests, NULL, NULL);
}
