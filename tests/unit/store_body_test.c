#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "engine/store/store_internal.h"
#include "tests/unit/store_fixture.h"

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

static struct body_prepared *
prepare(struct slice octets, bool served)
{
	SCOPED(spool_close) struct spool *spool = spool_create(store_dir(fixture.store));
	struct body_prepared *prepared = NULL;

	assert_ok(spool_append(spool, octets, &fixture.err));
	if (served) {
		assert_ok(body_prepare_wire(fixture.store, spool, &prepared, &fixture.err));
	} else {
		assert_ok(body_prepare_written(fixture.store, spool, &prepared, &fixture.err));
	}
	return prepared;
}

static uint64_t
put(struct slice octets, bool served)
{
	SCOPED(body_prepared_destroy) struct body_prepared *prepared = prepare(octets, served);
	uint64_t id;

	assert_ok(body_put(fixture.txn, prepared, &id, &fixture.err));
	return id;
}

static struct buf
read_all(uint64_t id)
{
	SCOPED(body_reader_close) struct body_reader *reader = NULL;
	struct buf out = BUF_INIT;

	assert_ok(body_open(fixture.txn, id, &reader, &fixture.err));
	while (out.length < body_reader_size(reader)) {
		size_t got;

		buf_reserve(&out, 1000);
		assert_ok(body_reader_read(reader, out.data + out.length, 1000, out.length, &got, &fixture.err));
		assert_true(got > 0);
		out.length += got;
	}
	return out;
}

static struct buf
read_wire(uint64_t id)
{
	SCOPED(spool_close) struct spool *wire = NULL;
	struct buf out = BUF_INIT;
	struct slice view;

	assert_ok(body_to_wire(fixture.txn, id, &wire, &fixture.err));
	assert_ok(spool_view(wire, &view, &fixture.err));
	buf_append(&out, view);
	return out;
}

/* Puts served octets and checks what comes back, kept and on the wire. */
static void
assert_served(struct slice wire, struct slice kept)
{
	struct body body;

	fixture_write();
	uint64_t id = put(wire, true);
	SCOPED(buf_finish) struct buf read = read_all(id);
	SCOPED(buf_finish) struct buf again = read_wire(id);
	struct digest digest = sha256_of(wire);

	assert_ok(body_load(fixture.txn, id, &body, &fixture.err));
	assert_true(slice_equal(buf_slice(&read), kept));
	assert_true(slice_equal(buf_slice(&again), wire));
	assert_true(digest_equal(&body.digest, &digest));
	assert_true(body.size_bytes == kept.length && body.wire_size_bytes == wire.length);
	fixture_commit();
	fixture_audit();
}

static void
served_bytes_are_kept_with_lf_where_that_turns_back(void **state)
{
	assert_served(SLICE_LITERAL("From: a\r\n\r\nhello\r\n"), SLICE_LITERAL("From: a\n\nhello\n"));
	assert_served(SLICE_LITERAL("no end"), SLICE_LITERAL("no end"));
	assert_served(SLICE_LITERAL("bare\nlf\r\n"), SLICE_LITERAL("bare\nlf\r\n"));
	assert_served(SLICE_LITERAL("bare\rcr\r\n"), SLICE_LITERAL("bare\rcr\r\n"));
	assert_served(SLICE_LITERAL("nul\0\xff\r\n"), SLICE_LITERAL("nul\0\xff\n"));
	assert_served(SLICE_LITERAL(""), SLICE_LITERAL(""));
}

static void
written_bytes_read_back_with_lf(void **state)
{
	fixture_write();
	uint64_t lf = put(SLICE_LITERAL("From: a\n\nhello\n"), false);
	uint64_t crlf = put(SLICE_LITERAL("From: a\r\n\r\nhello\r\n"), false);
	uint64_t served = put(SLICE_LITERAL("From: a\r\n\r\nhello\r\n"), true);
	uint64_t mbox = put(SLICE_LITERAL("From a@b Tue\nFrom: a\n\nhello\n"), false);
	SCOPED(buf_finish) struct buf read = read_all(lf);
	SCOPED(buf_finish) struct buf wire = read_wire(lf);

	assert_true(lf == crlf && lf == served && lf == mbox); /* same digest, same body */
	assert_true(slice_equal(buf_slice(&read), SLICE_LITERAL("From: a\n\nhello\n")));
	assert_true(slice_equal(buf_slice(&wire), SLICE_LITERAL("From: a\r\n\r\nhello\r\n")));
	uint64_t odd = put(SLICE_LITERAL("From: a\n\nb\rc\n"), false);
	SCOPED(buf_finish) struct buf odd_read = read_all(odd);
	SCOPED(buf_finish) struct buf odd_wire = read_wire(odd);

	assert_true(slice_equal(buf_slice(&odd_wire), SLICE_LITERAL("From: a\r\n\r\nb\rc\r\n")));
	assert_true(slice_equal(buf_slice(&odd_read), SLICE_LITERAL("From: a\r\n\r\nb\rc\r\n")));
	fixture_commit();
	fixture_audit();
}

/* --- large ones --- */

static struct buf
large(size_t lines, const char *line)
{
	struct buf octets = BUF_INIT;

	buf_append_text(&octets, "From: a\r\n\r\n");
	for (size_t i = 0; i < lines; i++) {
		buf_printf(&octets, "%zu", i);
		buf_append_text(&octets, line);
	}
	return octets;
}

static void
file_of(uint64_t id, char out[256])
{
	struct body body;
	char hex[SHA256_HEX_BYTES];

	assert_ok(body_load(fixture.txn, id, &body, &fixture.err));
	assert_true(body.is_file);
	digest_to_hex(&body.digest, hex);
	(void)snprintf(out, 256, "%s/bodies/%.2s/%s", fixture.path, hex, hex + 2);
}

static void
large_bodies_are_files_whichever_way_they_came(void **state)
{
	SCOPED(buf_finish) struct buf wire = large(100000, " a line of text\r\n");
	SCOPED(buf_finish) struct buf written = BUF_INIT;
	char name[256];
	struct stat st;

	for (size_t i = 0; i < wire.length; i++) {
		if (wire.data[i] != '\r') {
			buf_append_octet(&written, wire.data[i]);
		}
	}
	fixture_write();
	uint64_t id = put(buf_slice(&wire), true), same = put(buf_slice(&written), false);
	SCOPED(buf_finish) struct buf read = read_all(id);
	SCOPED(buf_finish) struct buf again = read_wire(id);

	assert_true(id == same);
	assert_true(slice_equal(buf_slice(&read), buf_slice(&written)));
	assert_true(slice_equal(buf_slice(&again), buf_slice(&wire)));
	file_of(id, name);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_size, written.length);
	fixture_commit();
	fixture_audit();
}

static void
large_bodies_that_do_not_turn_back_are_kept_raw(void **state)
{
	SCOPED(buf_finish) struct buf wire = large(100000, " a line with a bare \n in it\r\n");

	fixture_write();
	uint64_t id = put(buf_slice(&wire), true);
	SCOPED(buf_finish) struct buf read = read_all(id);
	SCOPED(buf_finish) struct buf again = read_wire(id);

	assert_true(slice_equal(buf_slice(&read), buf_slice(&wire)));
	assert_true(slice_equal(buf_slice(&again), buf_slice(&wire)));
	uint64_t written = put(buf_slice(&wire), false);
	SCOPED(buf_finish) struct buf turned = read_all(written);

	assert_true(written != id); /* the bare LF has become CRLF, so all are, and it is kept with LF */
	assert_null(memchr(turned.data, '\r', turned.length));
	fixture_commit();
	fixture_audit();
}

static void
the_limit_is_a_matter_of_what_is_kept(void **state)
{
	SCOPED(buf_finish) struct buf octets = BUF_INIT;
	struct body body;

	fixture_write();
	for (int over = 0; over < 2; over++) {
		buf_clear(&octets);
		while (octets.length < BODY_ROW_MAX + (size_t)over) {
			buf_append_octet(&octets, octets.length % 2 == 0 ? 'x' : '\n');
		}
		uint64_t id = put(buf_slice(&octets), false);
		SCOPED(buf_finish) struct buf read = read_all(id);
		SCOPED(buf_finish) struct buf wire = read_wire(id);

		assert_ok(body_load(fixture.txn, id, &body, &fixture.err));
		assert_int_equal(body.is_file, over == 1);
		assert_true(slice_equal(buf_slice(&read), buf_slice(&octets)));
		assert_true(put(buf_slice(&wire), true) == id);
	}
	fixture_commit();
	fixture_audit();
}

static void
the_head_holds_the_header_and_no_more_than_its_limit(void **state)
{
	SCOPED(buf_finish) struct buf wire = large(100000, " a line\r\n");
	SCOPED(body_prepared_destroy) struct body_prepared *small = prepare(SLICE_LITERAL("From: a\r\n\r\nx"), true);
	SCOPED(body_prepared_destroy) struct body_prepared *big = prepare(buf_slice(&wire), true);

	assert_true(slice_equal(body_prepared_head(small), SLICE_LITERAL("From: a\n\nx")));
	assert_int_equal(body_prepared_head(big).length, 256u << 10);
	assert_true(slice_has_prefix(body_prepared_head(big), SLICE_LITERAL("From: a\n\n0 a line\n")));
}

static void
an_open_body_outlives_its_row_and_its_file(void **state)
{
	SCOPED(body_reader_close) struct body_reader *row = NULL;
	SCOPED(body_reader_close) struct body_reader *file = NULL;
	SCOPED(buf_finish) struct buf wire = large(100000, " a line\r\n");
	char octets[8], name[256];
	size_t got;

	fixture_write();
	uint64_t small = put(SLICE_LITERAL("From: a\r\n\r\nhello"), true), big = put(buf_slice(&wire), true);

	assert_ok(body_open(fixture.txn, small, &row, &fixture.err));
	assert_ok(body_open(fixture.txn, big, &file, &fixture.err));
	file_of(big, name);
	store_write_rollback(&fixture.txn);
	assert_int_equal(unlink(name), 0);
	assert_ok(body_reader_read(row, octets, sizeof(octets), 9, &got, &fixture.err));
	assert_int_equal(got, 5);
	assert_memory_equal(octets, "hello", 5);
	assert_ok(body_reader_read(file, octets, sizeof(octets), 9, &got, &fixture.err));
	assert_int_equal(got, 8);
	assert_memory_equal(octets, "0 a line", 8);
	assert_true(body_reader_fd(file) >= 0 && body_reader_memory(file).data == NULL);
	assert_int_equal(body_reader_memory(row).length, 14);
	assert_ok(body_reader_read(row, octets, sizeof(octets), 99, &got, &fixture.err));
	assert_int_equal(got, 0);
}

/* --- damage --- */

static void
a_damaged_file_is_found_told_and_healed(void **state)
{
	SCOPED(buf_finish) struct buf wire = large(100000, " a line\r\n");
	struct body_reader *reader = NULL;
	struct body body;
	char name[256];

	fixture_write();
	uint64_t id = put(buf_slice(&wire), true);

	file_of(id, name);
	fixture_commit();
	int fd = open(name, O_RDWR);

	assert_int_equal(pwrite(fd, "X", 1, 100000), 1);
	(void)close(fd);
	fixture_read();
	assert_fails(body_open(fixture.txn, id, &reader, &fixture.err), ERROR_DAMAGED);
	fixture_end();
	fixture_write();
	assert_ok(body_set_damaged(fixture.txn, id, &fixture.err));
	assert_fails(body_open(fixture.txn, id, &reader, &fixture.err), ERROR_DAMAGED);
	assert_true(put(buf_slice(&wire), true) == id);
	assert_ok(body_load(fixture.txn, id, &body, &fixture.err));
	assert_false(body.damaged);
	SCOPED(buf_finish) struct buf read = read_all(id);

	assert_true(read.length == body.size_bytes);
	fixture_commit();
	fixture_audit();
}

static void
a_file_that_is_gone_or_short_is_damage(void **state)
{
	SCOPED(buf_finish) struct buf wire = large(100000, " a line\r\n");
	struct body_reader *reader = NULL;
	char name[256];

	fixture_write();
	uint64_t id = put(buf_slice(&wire), true);

	file_of(id, name);
	assert_int_equal(truncate(name, 1000), 0);
	assert_fails(body_open(fixture.txn, id, &reader, &fixture.err), ERROR_DAMAGED);
	assert_int_equal(unlink(name), 0);
	assert_fails(body_open(fixture.txn, id, &reader, &fixture.err), ERROR_DAMAGED);
	assert_fails(body_open(fixture.txn, 999, &reader, &fixture.err), ERROR_GONE);
	fixture_commit();
	SCOPED(buf_finish) struct buf findings = BUF_INIT;

	assert_ok(store_audit(fixture.store, &findings, &fixture.err));
	assert_non_null(strstr(findings.data, "has lost its file"));
}

static bool
count_missing(void *context, struct number number, struct mailbox_id mailbox)
{
	++*(int *)context;
	return true;
}

static void
messages_with_a_damaged_body_are_missing_one(void **state)
{
	struct message_new new = {0};
	struct number number;
	int missing = 0;

	fixture_write();
	new.mailbox = fixture_mailbox("INBOX");
	new.body = put(SLICE_LITERAL("From: a\r\n\r\nx"), true);
	new.size_bytes = 10;
	assert_ok(message_create(fixture.txn, &new, &number, &fixture.err));
	assert_ok(
		message_each_missing(fixture.txn, (struct mailbox_id){0}, 0, 9, count_missing, &missing, &fixture.err));
	assert_int_equal(missing, 0);
	assert_ok(body_set_damaged(fixture.txn, new.body, &fixture.err));
	assert_ok(message_each_missing(fixture.txn, new.mailbox, 0, 9, count_missing, &missing, &fixture.err));
	assert_int_equal(missing, 1);
	assert_ok(message_find_by_body(fixture.txn, new.body, &number, &fixture.err));
	assert_fails(message_find_by_body(fixture.txn, 77, &number, &fixture.err), ERROR_GONE);
}

static void
a_body_that_comes_makes_size_and_presence_exact(void **state)
{
	SCOPED(listing_finish) struct listing listing = {0};
	struct envelope envelope = fixture_envelope("x");
	struct number number;

	fixture_write();
	struct message_new new = {.mailbox = fixture_mailbox("INBOX"), .size_bytes = 999, .envelope = &envelope};

	assert_ok(message_create(fixture.txn, &new, &number, &fixture.err));
	uint64_t body = put(SLICE_LITERAL("From: a\r\n\r\nx"), true);

	assert_ok(message_set_body(fixture.txn, number, body, 10, NULL, NULL, &fixture.err));
	struct modseq once = store_modseq(fixture.txn);

	assert_ok(message_set_body(fixture.txn, number, body, 10, NULL, NULL, &fixture.err));
	assert_true(store_modseq(fixture.txn).value == once.value);
	assert_ok(listing_load(fixture.txn, number, &listing, &fixture.err));
	assert_true(listing.here && listing.size_bytes == 10);
	fixture_commit();
	fixture_audit();
}

/* --- sweeping --- */

static bool
is_there(uint64_t id)
{
	struct body body;
	bool there;

	fixture_read();
	there = body_load(fixture.txn, id, &body, &fixture.err);
	fixture_end();
	return there;
}

static void
set_running(uint64_t seconds)
{
	fixture_write();
	assert_ok(store_meta_set_u64(fixture.txn, "running_s", seconds, &fixture.err));
	fixture_commit();
}

static void
bodies_that_nobody_needs_are_swept(void **state)
{
	SCOPED(buf_finish) struct buf wire = large(100000, " a line\r\n");
	struct number number;
	char name[256];

	fixture_write();
	struct message_new new = {.mailbox = fixture_mailbox("INBOX"), .size_bytes = 10};
	uint64_t lost = put(SLICE_LITERAL("From: a\r\n\r\nlost"), true), big = put(buf_slice(&wire), true);

	new.body = put(SLICE_LITERAL("From: a\r\n\r\nx"), true);
	assert_ok(message_create(fixture.txn, &new, &number, &fixture.err));
	file_of(big, name);
	fixture_commit();
	set_running(100000);
	assert_ok(store_maintain(fixture.store, 30, &fixture.err));
	assert_false(is_there(lost));
	assert_true(is_there(new.body) && is_there(big));
	set_running(103000);
	assert_ok(store_maintain(fixture.store, 30, &fixture.err));
	assert_int_equal(access(name, F_OK), 0);
	set_running(104000);
	assert_ok(store_maintain(fixture.store, 30, &fixture.err));
	assert_int_not_equal(access(name, F_OK), 0);
	assert_false(is_there(big));
	assert_true(is_there(new.body));
	fixture_audit();
}

static void
a_body_that_is_wanted_again_is_not_swept(void **state)
{
	SCOPED(buf_finish) struct buf wire = large(100000, " a line\r\n");
	struct number number;
	char name[256];

	fixture_write();
	struct message_new new = {.mailbox = fixture_mailbox("INBOX")};
	uint64_t big = put(buf_slice(&wire), true);

	file_of(big, name);
	fixture_commit();
	assert_ok(store_maintain(fixture.store, 30, &fixture.err));
	fixture_write();
	new.body = put(buf_slice(&wire), true);
	new.size_bytes = wire.length - 100002;
	assert_int_equal(new.body, big);
	assert_ok(message_create(fixture.txn, &new, &number, &fixture.err));
	fixture_commit();
	set_running(200000);
	assert_ok(store_maintain(fixture.store, 30, &fixture.err));
	assert_true(is_there(big));
	assert_int_equal(access(name, F_OK), 0);
	fixture_audit();
}

static void
files_without_a_row_are_swept_in_two_steps(void **state)
{
	SCOPED(buf_finish) struct buf wire = large(100000, " a line\r\n");
	SCOPED(body_prepared_destroy) struct body_prepared *prepared = prepare(buf_slice(&wire), true);
	char hex[SHA256_HEX_BYTES], name[256];

	digest_to_hex(&body_prepared_get(prepared)->digest, hex);
	(void)snprintf(name, sizeof(name), "%s/bodies/%.2s/%s", fixture.path, hex, hex + 2);
	assert_int_equal(access(name, F_OK), 0);
	for (int i = 0; i < 256; i++) { /* each call looks at one directory */
		assert_ok(store_maintain(fixture.store, 30, &fixture.err));
	}
	assert_int_equal(access(name, F_OK), 0);
	set_running(4000);
	assert_ok(store_maintain(fixture.store, 30, &fixture.err));
	assert_int_not_equal(access(name, F_OK), 0);
	fixture_write();
	uint64_t id;

	assert_fails(body_put(fixture.txn, prepared, &id, &fixture.err), ERROR_RETRY); /* its file is gone */
}

static void
tombstones_go_with_their_bodies_when_their_time_is_over(void **state)
{
	struct number kept, gone;
	uint64_t purged;

	fixture_write();
	struct message_new new = {.mailbox = fixture_mailbox("INBOX"), .size_bytes = 10};

	new.body = put(SLICE_LITERAL("From: a\r\n\r\nx"), true);
	assert_ok(message_create(fixture.txn, &new, &gone, &fixture.err));
	assert_ok(message_create(fixture.txn, &new, &kept, &fixture.err));
	assert_ok(message_expunge(fixture.txn, gone, MESSAGE_BY_USER, (struct number){0}, &fixture.err));
	fixture_commit();
	assert_ok(store_maintain(fixture.store, 30, &fixture.err));
	fixture_read();
	SCOPED(message_finish) struct message message = {0};

	assert_ok(message_load(fixture.txn, gone, &message, &fixture.err)); /* not yet */
	fixture_end();
	(void)sleep(1);
	assert_ok(store_maintain(fixture.store, 0, &fixture.err));
	fixture_read();
	assert_fails(message_load(fixture.txn, gone, &message, &fixture.err), ERROR_GONE);
	assert_ok(store_meta_get_u64(fixture.txn, "purged", &purged, &fixture.err));
	assert_true(purged > 0);
	fixture_end();
	assert_true(is_there(new.body));
	fixture_write();
	assert_ok(message_expunge(fixture.txn, kept, MESSAGE_BY_USER, (struct number){0}, &fixture.err));
	fixture_commit();
	(void)sleep(1);
	assert_ok(store_maintain(fixture.store, 0, &fixture.err));
	assert_false(is_there(new.body));
	fixture_audit();
}

static bool
note_reset(void *context, const struct change *change)
{
	if (change->kind == CHANGE_RESET) {
		*(bool *)context = true;
	}
	return true;
}

/* Runs SQL in the open write: rows that other parts keep. */
static void
run_sql(const char *sql)
{
	assert_ok(db_exec(store_db(fixture.txn), sql, &fixture.err));
}

static bool
has_message(struct number number)
{
	struct message message;
	bool there;

	fixture_read();
	there = message_load(fixture.txn, number, &message, &fixture.err);
	if (there) {
		message_finish(&message);
	}
	fixture_end();
	return there;
}

static void
a_tombstone_stays_while_a_remote_a_hold_or_an_intent_knows_it(void **state)
{
	struct number numbers[5];

	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX");

	for (int i = 0; i < 5; i++) {
		numbers[i] = fixture_message(inbox, "x", NULL);
		assert_ok(message_expunge(fixture.txn, numbers[i], MESSAGE_BY_USER, (struct number){0}, &fixture.err));
	}
	run_sql("INSERT INTO base_message (remote, mailbox, uidvalidity, uid, number, internaldate, flags) VALUES (1, "
		"1, 1, 1, 1, 0, 0)");
	run_sql("INSERT INTO intent (remote, kind, number, created) VALUES (1, 1, 2, 0)");
	run_sql("INSERT INTO hold (id, remote, mailbox, side, kind, state, modseq, created, reason) VALUES (1, 1, 1, "
		"0, 0, 0, 1, 0, ''), "
		"(2, 1, 1, 0, 0, 1, 1, 0, '')");
	run_sql("INSERT INTO hold_message (hold, number) VALUES (1, 3), (2, 4)");
	fixture_commit();
	(void)sleep(1);
	assert_ok(store_maintain(fixture.store, 0, &fixture.err));
	assert_true(has_message(numbers[0]) && has_message(numbers[1]) && has_message(numbers[2]));
	assert_false(has_message(numbers[3])); /* its hold is confirmed */
	assert_false(has_message(numbers[4]));
	fixture_audit();
}

static void
a_trace_stays_until_its_remote_has_heard(void **state)
{
	struct modseq until;
	bool reset = false;

	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX"), other = fixture_mailbox("Other");

	run_sql("INSERT INTO base_mailbox (remote, mailbox, raw_name, separator, name, merged) VALUES (1, 1, 'INBOX', "
		"'/', 'INBOX', 0)");
	struct number number = fixture_message(inbox, "x", NULL);

	assert_ok(message_move(fixture.txn, number, other, slice_of(NULL), &fixture.err));
	fixture_commit();
	(void)sleep(1);
	assert_ok(store_maintain(fixture.store, 0, &fixture.err));
	fixture_read();
	assert_ok(change_each(fixture.txn, (struct modseq){1}, 9, note_reset, &reset, &until, &fixture.err));
	assert_false(reset);
	fixture_end();
	fixture_write();
	run_sql("UPDATE base_mailbox SET merged = 1000");
	fixture_commit();
	assert_ok(store_maintain(fixture.store, 0, &fixture.err));
	fixture_read();
	assert_ok(change_each(fixture.txn, (struct modseq){1}, 9, note_reset, &reset, &until, &fixture.err));
	assert_true(reset);
}

static void
a_body_that_an_intent_names_is_not_swept(void **state)
{
	SCOPED(db_end) struct db_statement *insert = NULL;
	struct body body;

	fixture_write();
	uint64_t id = put(SLICE_LITERAL("From: a\r\n\r\nx"), true);

	assert_ok(body_load(fixture.txn, id, &body, &fixture.err));
	assert_ok(store_prepare_write(fixture.txn,
		"INSERT INTO intent (remote, kind, digest, created) VALUES (1, 1, ?, 0)", &insert, &fixture.err));
	store_bind_digest(insert, 1, &body.digest);
	assert_ok(db_run(insert, &fixture.err));
	db_end(&insert);
	fixture_commit();
	assert_ok(store_maintain(fixture.store, 30, &fixture.err));
	assert_true(is_there(id));
	fixture_write();
	run_sql("DELETE FROM intent");
	fixture_commit();
	assert_ok(store_maintain(fixture.store, 30, &fixture.err));
	assert_ok(store_maintain(fixture.store, 30, &fixture.err)); /* the sweep may stand behind it */
	assert_false(is_there(id));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test(served_bytes_are_kept_with_lf_where_that_turns_back),
		test(written_bytes_read_back_with_lf),
		test(large_bodies_are_files_whichever_way_they_came),
		test(large_bodies_that_do_not_turn_back_are_kept_raw),
		test(the_limit_is_a_matter_of_what_is_kept),
		test(the_head_holds_the_header_and_no_more_than_its_limit),
		test(an_open_body_outlives_its_row_and_its_file),
		test(a_damaged_file_is_found_told_and_healed),
		test(a_file_that_is_gone_or_short_is_damage),
		test(messages_with_a_damaged_body_are_missing_one),
		test(a_body_that_comes_makes_size_and_presence_exact),
		test(bodies_that_nobody_needs_are_swept),
		test(a_body_that_is_wanted_again_is_not_swept),
		test(files_without_a_row_are_swept_in_two_steps),
		test(tombstones_go_with_their_bodies_when_their_time_is_over),
		test(a_tombstone_stays_while_a_remote_a_hold_or_an_intent_knows_it),
		test(a_trace_stays_until_its_remote_has_heard),
		test(a_body_that_an_intent_names_is_not_swept),
	};

	return cmocka_run_group_tests_name("store_body", tests, NULL, NULL);
}
