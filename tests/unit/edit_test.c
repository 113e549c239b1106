#include "engine/edit.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/account.h"
#include "engine/store/message.h"
#include "tests/unit/engine_fixture.h"

#define MESSAGE "From: Ana <ana@example.org>\nSubject: hello\nMessage-ID: <1@x>\n\nbody\n"
#define OTHER   "From: Bo <bo@example.org>\nSubject: other\nMessage-ID: <2@x>\n\nbody 2\n"

static struct engine_fixture fixture;
static struct account *account;
static struct mailbox_id inbox;
static struct error err;

#define must(call)                                           \
	do {                                                 \
		err = ERROR_INIT;                            \
		if (!(call)) {                               \
			fail_msg("%s: %s", #call, err.text); \
		}                                            \
	} while (0)
#define must_fail(call, expected)                                                          \
	do {                                                                               \
		err = ERROR_INIT;                                                          \
		assert_false(call);                                                        \
		assert_string_equal(error_kind_name(err.kind), error_kind_name(expected)); \
	} while (0)

static void
open_fixture(void)
{
	engine_fixture_open(&fixture, &(struct engine_options){.mounted = true});
	account = fixture.account;
}

static int
set_up_with(const char *lines)
{
	struct view_mailbox box;

	engine_fixture_create(&fixture, lines);
	open_fixture();
	must(edit_mailbox_create(account, SLICE_LITERAL("Work"), &inbox, &err));
	must(view_mailbox_by_name(account, SLICE_LITERAL("Work"), &box, &err));
	assert_int_equal(box.id.value, inbox.value);
	view_mailbox_finish(&box);
	return 0;
}

static int
set_up(void **state)
{
	return set_up_with("server = maildir:/nowhere");
}

static int
set_up_without_trash(void **state)
{
	return set_up_with("server = maildir:/nowhere\ntrash = none");
}

static int
set_up_pulling(void **state)
{
	engine_fixture_create(&fixture, "server = maildir:/nowhere\ndirection = pull");
	open_fixture();
	return 0;
}

static int
tear_down(void **state)
{
	engine_fixture_destroy(&fixture);
	return 0;
}

static void
put(struct edit_writer *writer, const char *text)
{
	must(edit_writer_pwrite(writer, slice_of(text), edit_writer_size(writer), &err));
}

/* Writes a file as a program does; its number. */
static struct number
write_message(struct mailbox_id mailbox, const char *name, const char *text)
{
	struct edit_writer *writer = NULL;
	struct number message = {0}, local = {0};

	must(edit_writer_create(account, mailbox, slice_of(name), &writer, &err));
	put(writer, text);
	must(edit_writer_flush(writer, false, &err));
	must(edit_writer_release(&writer, &message, &local, &err));
	assert_null(writer);
	assert_int_equal(local.value, 0);
	assert_int_not_equal(message.value, 0);
	return message;
}

static struct message
load(struct number number)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct message row;

	must(store_read_begin(account->store, &txn, &err));
	must(message_load(txn, number, &row, &err));
	return row;
}

static bool
is_live(struct number number)
{
	struct message row = load(number);
	bool live = row.expunged_s == 0;

	message_finish(&row);
	return live;
}

static void
assert_body(struct number number, const char *text)
{
	struct view_body *body = NULL;
	char found[4096];
	size_t got;

	assert_int_equal(view_body_open(account, number, &body, &err), VIEW_BODY_OPEN);
	must(view_body_read(body, found, sizeof(found), 0, &got, &err));
	assert_int_equal(got, strlen(text));
	assert_memory_equal(found, text, got);
	view_body_close(&body);
}

static void
assert_attribute(struct number number, const char *name, const char *value)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;

	must(view_attribute(account, number, name, &out, &err));
	assert_string_equal(out.length > 0 ? out.data : "", value);
}

static bool
count_message(void *context, const struct view_message *message)
{
	(*(unsigned *)context)++;
	return true;
}

static unsigned
count_in(struct mailbox_id mailbox)
{
	unsigned count = 0;

	must(view_list(account, mailbox, 0, count_message, &count, &err));
	return count;
}

static bool
count_rejected(void *context, const char *name, uint64_t size_bytes, int64_t mtime_s)
{
	(*(unsigned *)context)++;
	return true;
}

static unsigned
rejected(void)
{
	unsigned count = 0;

	must(edit_rejected_each(account, count_rejected, &count, &err));
	return count;
}

/* --- writers --- */

static void
a_written_file_is_a_message_under_its_name(void **state)
{
	struct number number = write_message(inbox, "x.eml", MESSAGE);
	struct view_message message;

	must(view_message_by_name(account, inbox, SLICE_LITERAL("x.eml"), &message, &err));
	assert_int_equal(message.number.value, number.value);
	assert_true(message.here);
	assert_int_equal(message.size_bytes, strlen(MESSAGE));
	view_message_finish(&message);
	assert_body(number, MESSAGE);
	assert_attribute(number, "mail.subject", "hello");
	assert_attribute(number, "mail.message-id", "<1@x>");
	assert_attribute(number, "mail.flags", "");
	must_fail(view_attribute(account, number, "mail.guid", &(struct buf){0}, &err), ERROR_GONE);
	assert_int_equal(count_in(inbox), 1);
}

static void
crlf_and_an_mbox_line_are_taken_out(void **state)
{
	struct number number = write_message(inbox, "x.eml", "From ana Mon\nFrom: a@b\r\nSubject: x\r\n\r\nb\r\n");

	assert_body(number, "From: a@b\nSubject: x\n\nb\n");
}

static void
a_write_may_follow_a_flush(void **state)
{
	struct edit_writer *writer = NULL;
	struct number message, local;

	must(edit_writer_create(account, inbox, SLICE_LITERAL("x.eml"), &writer, &err));
	put(writer, "From: a@b\nSubject: x\n\n");
	must(edit_writer_flush(writer, false, &err));
	put(writer, "more\n");
	must(edit_writer_flush(writer, false, &err));
	must(edit_writer_flush(writer, false, &err));
	must(edit_writer_release(&writer, &message, &local, &err));
	assert_body(message, "From: a@b\nSubject: x\n\nmore\n");
}

static void
a_large_file_is_a_message_too(void **state)
{
	enum { SIZE = 700000 };
	char *text = malloc(SIZE + 1);
	struct number number;
	struct view_body *body = NULL;

	assert_non_null(text);
	memset(text, 'x', SIZE);
	text[SIZE] = '\0';
	memcpy(text, "Subject: big\n\n", 14);
	number = write_message(inbox, "big.eml", text);
	assert_int_equal(view_body_open(account, number, &body, &err), VIEW_BODY_OPEN);
	assert_int_equal(view_body_size(body), SIZE);
	view_body_close(&body);
	free(text);
}

static void
bytes_that_are_no_message_stay_as_a_local_file(void **state)
{
	static const char *const texts[] = {"", "hello, world\n", "\n\nFrom: a@b\n"};

	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		struct edit_writer *writer = NULL;
		struct number message, local;
		struct edit_local found;

		must(edit_writer_create(account, inbox, SLICE_LITERAL("x.eml"), &writer, &err));
		put(writer, texts[i]);
		must_fail(edit_writer_flush(writer, false, &err), ERROR_INVALID);
		assert_int_equal(err.sys_errno, EINVAL);
		must(edit_writer_release(&writer, &message, &local, &err));
		assert_int_equal(message.value, 0);
		must(edit_local_by_name(account, 0, inbox.value, SLICE_LITERAL("x.eml"), &found, &err));
		assert_int_equal(found.id.value, local.value);
		assert_int_equal(found.size_bytes, strlen(texts[i]));
		assert_non_null(found.error);
		edit_local_finish(&found);
	}
	assert_int_equal(count_in(inbox), 0);
}

static void
a_file_of_a_killed_program_is_rejected(void **state)
{
	struct edit_writer *writer = NULL;
	struct number message, local;

	must(edit_writer_create(account, inbox, SLICE_LITERAL("x.eml"), &writer, &err));
	put(writer, MESSAGE);
	must(edit_writer_flush(writer, true, &err));
	must(edit_writer_release(&writer, &message, &local, &err));
	assert_int_equal(message.value, 0);
	assert_int_equal(local.value, 0);
	assert_int_equal(count_in(inbox), 0);
	assert_int_equal(rejected(), 1);
}

static void
what_is_discarded_leaves_nothing(void **state)
{
	struct edit_writer *writer = NULL;

	must(edit_writer_create(account, inbox, SLICE_LITERAL("x.eml"), &writer, &err));
	put(writer, MESSAGE);
	must(edit_writer_flush(writer, false, &err));
	edit_writer_discard(&writer);
	assert_null(writer);
	must(edit_recover(account, &err));
	assert_int_equal(count_in(inbox), 0);
	assert_int_equal(rejected(), 0);
}

static void
a_copy_takes_date_and_flags(void **state)
{
	struct number first = write_message(inbox, "x.eml", MESSAGE), second;
	struct message a, b;

	must(edit_message_attribute(account, first, "mail.flags", SLICE_LITERAL("seen flagged"), &err));
	must(edit_message_set_mtime(account, first, 1000000000, &err)); /* just delivered: it is its date */
	second = write_message(inbox, "y.eml", MESSAGE);
	assert_int_not_equal(first.value, second.value);
	a = load(first);
	b = load(second);
	assert_int_equal(a.internaldate_s, 1000000000);
	assert_int_equal(b.internaldate_s, 1000000000);
	assert_int_equal(a.body, b.body);
	message_finish(&a);
	message_finish(&b);
	assert_attribute(second, "mail.flags", "seen flagged");
}

static void
a_time_set_before_the_last_close_is_the_date(void **state)
{
	struct edit_writer *writer = NULL;
	struct number first = write_message(inbox, "x.eml", MESSAGE), message, local;
	struct message row;

	must(edit_message_attribute(account, first, "mail.flags", SLICE_LITERAL("seen"), &err));
	must(edit_writer_create(account, inbox, SLICE_LITERAL("y.eml"), &writer, &err));
	put(writer, MESSAGE);
	must(edit_writer_flush(writer, false, &err));
	edit_writer_set_mtime(writer, 1234567890);
	must(edit_writer_release(&writer, &message, &local, &err));
	row = load(message);
	assert_int_equal(row.internaldate_s, 1234567890);
	message_finish(&row);
	assert_attribute(message, "mail.flags", ""); /* another time: no copy of that message */
}

static void
a_late_time_changes_mtime_alone(void **state)
{
	struct number number = write_message(inbox, "x.eml", MESSAGE);
	struct message before = load(number), after;
	struct view_message shown;

	usleep(120000);
	must(edit_message_set_mtime(account, number, 1000, &err));
	after = load(number);
	assert_int_equal(before.internaldate_s, after.internaldate_s);
	message_finish(&before);
	message_finish(&after);
	must(view_message_load(account, number, &shown, &err));
	assert_int_equal(shown.mtime_s, 1000);
	view_message_finish(&shown);
}

/* --- replacement --- */

static void
a_replacement_keeps_flags_and_names_its_successor(void **state)
{
	struct number old = write_message(inbox, "x.eml", MESSAGE), message, local;
	struct edit_writer *writer = NULL;
	struct message row;
	struct view_message shown;

	must(edit_message_attribute(account, old, "mail.flags", SLICE_LITERAL("+flagged"), &err));
	must(edit_message_attribute(account, old, "mail.keywords", SLICE_LITERAL("Junk"), &err));
	must(edit_writer_replace(account, old, true, &writer, &err));
	put(writer, OTHER);
	must(edit_writer_flush(writer, false, &err));
	assert_body(old, MESSAGE); /* until the last close */
	must(edit_writer_release(&writer, &message, &local, &err));
	assert_int_not_equal(message.value, old.value);
	row = load(old);
	assert_int_not_equal(row.expunged_s, 0);
	assert_int_equal(row.expunged_by, MESSAGE_REPLACED);
	assert_int_equal(row.successor.value, message.value);
	message_finish(&row);
	assert_attribute(message, "mail.flags", "flagged");
	assert_attribute(message, "mail.keywords", "Junk");
	must(view_message_by_name(account, inbox, SLICE_LITERAL("x.eml"), &shown, &err));
	assert_int_equal(shown.number.value, message.value);
	view_message_finish(&shown);
	assert_int_equal(count_in(inbox), 1);
}

static void
a_replacement_by_equal_bytes_changes_nothing(void **state)
{
	struct number old = write_message(inbox, "x.eml", MESSAGE), message, local;
	struct edit_writer *writer = NULL;

	must(edit_writer_replace(account, old, false, &writer, &err));
	assert_int_equal(edit_writer_size(writer), strlen(MESSAGE));
	must(edit_writer_pwrite(writer, SLICE_LITERAL("From"), 0, &err));
	must(edit_writer_flush(writer, false, &err));
	must(edit_writer_release(&writer, &message, &local, &err));
	assert_int_equal(message.value, old.value);
	assert_true(is_live(old));
	assert_int_equal(count_in(inbox), 1);
}

static void
a_replacement_that_is_no_message_leaves_the_old_one(void **state)
{
	struct number old = write_message(inbox, "x.eml", MESSAGE), message, local;
	struct edit_writer *writer = NULL;

	must(edit_writer_replace(account, old, true, &writer, &err));
	put(writer, "garbage");
	must_fail(edit_writer_flush(writer, false, &err), ERROR_INVALID);
	must(edit_writer_release(&writer, &message, &local, &err));
	assert_true(is_live(old));
	assert_body(old, MESSAGE);
	assert_int_equal(rejected(), 1);
}

/* As an editor saves: the message goes to a temporary's name, and a new file comes under its own. */
static void
a_new_file_replaces_what_stands_aside_for_it(void **state)
{
	struct number old = write_message(inbox, "x.eml", MESSAGE), none = {0}, message, local_id, number;
	SCOPED(edit_local_finish) struct edit_local local = {0};
	struct edit_writer *writer = NULL;
	struct message row;
	char bytes[4096];
	ssize_t got;
	int fd;

	must(edit_message_attribute(account, old, "mail.flags", SLICE_LITERAL("+flagged"), &err));
	must(edit_message_move(account, old, inbox, SLICE_LITERAL("x.eml~"), none, &err));
	must(edit_writer_create(account, inbox, SLICE_LITERAL("x.eml"), &writer, &err));
	must(edit_writer_rename(writer, inbox, SLICE_LITERAL("x.eml"), old, &err));
	number = edit_writer_number(writer);
	put(writer, OTHER);
	must(edit_writer_flush(writer, false, &err));
	assert_true(is_live(old));
	must(edit_writer_release(&writer, &message, &local_id, &err));
	assert_int_equal(message.value, number.value);
	assert_attribute(message, "mail.flags", "flagged");
	row = load(old);
	assert_int_equal(row.expunged_by, MESSAGE_REPLACED);
	assert_int_equal(row.successor.value, message.value);
	message_finish(&row);
	assert_int_equal(count_in(inbox), 1);
	/* the temporary is a local file with the old bytes */
	must(edit_local_load(account, local_id, &local, &err));
	assert_string_equal(local.name, "x.eml~");
	assert_int_equal(local.size_bytes, strlen(MESSAGE));
	must(edit_local_open(account, local_id, O_RDONLY, &fd, &err));
	got = read(fd, bytes, sizeof(bytes));
	(void)close(fd);
	assert_int_equal(got, (ssize_t)strlen(MESSAGE));
	assert_memory_equal(bytes, MESSAGE, strlen(MESSAGE));
}

/* An editor that thought better of it: the message has a name of its own again before the new file is closed. */
static void
what_stands_aside_no_more_is_not_replaced(void **state)
{
	struct number old = write_message(inbox, "x.eml", MESSAGE), none = {0}, message, local_id;
	struct edit_writer *writer = NULL;

	must(edit_message_move(account, old, inbox, SLICE_LITERAL("x.eml~"), none, &err));
	must(edit_writer_create(account, inbox, SLICE_LITERAL("x.eml"), &writer, &err));
	must(edit_writer_rename(writer, inbox, SLICE_LITERAL("x.eml"), old, &err));
	put(writer, OTHER);
	must(edit_writer_flush(writer, false, &err));
	must(edit_message_move(account, old, inbox, SLICE_LITERAL("y.eml"), none, &err));
	must(edit_writer_release(&writer, &message, &local_id, &err));
	assert_true(is_live(old));
	assert_body(old, MESSAGE);
	assert_int_equal(count_in(inbox), 2);
}

static void
what_stands_aside_is_left_where_the_new_file_is_no_message(void **state)
{
	struct number old = write_message(inbox, "x.eml", MESSAGE), none = {0}, message = {0}, local_id = {0};
	SCOPED(edit_local_finish) struct edit_local local = {0};
	struct edit_writer *writer = NULL;

	must(edit_message_move(account, old, inbox, SLICE_LITERAL("x.eml~"), none, &err));
	must(edit_writer_create(account, inbox, SLICE_LITERAL("x.eml"), &writer, &err));
	must(edit_writer_rename(writer, inbox, SLICE_LITERAL("x.eml"), old, &err));
	put(writer, "garbage");
	must_fail(edit_writer_flush(writer, false, &err), ERROR_INVALID);
	must(edit_writer_release(&writer, &message, &local_id, &err));
	assert_int_equal(message.value, 0);
	assert_true(is_live(old));
	must(edit_local_load(account, local_id, &local, &err));
	assert_string_equal(local.name, "x.eml");
	assert_non_null(local.error);
}

/* Renamed and moved while it is written in place: it stays where it went. */
static void
a_message_written_in_place_keeps_the_name_that_it_gets_meanwhile(void **state)
{
	struct number old = write_message(inbox, "x.eml", MESSAGE), none = {0}, message, local;
	struct edit_writer *writer = NULL;
	struct view_message shown;

	must(edit_writer_replace(account, old, false, &writer, &err));
	put(writer, "more\n");
	must(edit_writer_flush(writer, false, &err));
	must(edit_message_move(account, old, inbox, SLICE_LITERAL("y.eml"), none, &err));
	must(edit_writer_release(&writer, &message, &local, &err));
	must(view_message_by_name(account, inbox, SLICE_LITERAL("y.eml"), &shown, &err));
	assert_int_equal(shown.number.value, message.value);
	view_message_finish(&shown);
	assert_int_equal(count_in(inbox), 1);
}

static void
a_rename_onto_a_message_takes_its_place(void **state)
{
	struct number old = write_message(inbox, "x.eml", MESSAGE), new = write_message(inbox, "y.eml", OTHER);
	struct view_message shown;

	must(edit_message_attribute(account, old, "mail.flags", SLICE_LITERAL("seen"), &err));
	must(edit_message_move(account, new, inbox, SLICE_LITERAL("x.eml"), old, &err));
	assert_false(is_live(old));
	must(view_message_by_name(account, inbox, SLICE_LITERAL("x.eml"), &shown, &err));
	assert_int_equal(shown.number.value, new.value);
	view_message_finish(&shown);
	assert_attribute(new, "mail.flags", "seen");
	must_fail(view_message_by_name(account, inbox, SLICE_LITERAL("y.eml"), &shown, &err), ERROR_GONE);
}

static void
a_temporary_is_delivered_onto_a_message(void **state)
{
	struct number old = write_message(inbox, "x.eml", MESSAGE), message, local;
	struct edit_local temporary = {.parent_kind = 0, .parent = inbox.value, .name = (char *)".x.tmp", .mode = 0600};
	struct edit_writer *writer = NULL;
	struct edit_local gone;
	char path[128];
	int fd;

	must(edit_local_create(account, &temporary, &err));
	must(edit_local_open(account, temporary.id, O_RDWR, &fd, &err));
	assert_int_equal(write(fd, OTHER, strlen(OTHER)), (ssize_t)strlen(OTHER));
	close(fd);
	must(edit_writer_from_local(account, temporary.id, inbox, SLICE_LITERAL("x.eml"), old, &writer, &err));
	must(edit_writer_flush(writer, false, &err));
	must(edit_writer_release(&writer, &message, &local, &err));
	assert_false(is_live(old));
	assert_body(message, OTHER);
	must_fail(edit_local_load(account, temporary.id, &gone, &err), ERROR_GONE);
	snprintf(path, sizeof(path), "%s/store/spool/l%llu", fixture.top, (unsigned long long)temporary.id.value);
	assert_int_not_equal(access(path, F_OK), 0);
}

/* --- other names --- */

static void
a_file_of_another_name_becomes_a_message_after_its_rest(void **state)
{
	struct edit_writer *writer = NULL;
	struct number message, local;
	struct edit_local resting;
	struct view_message shown;

	must(edit_writer_create(account, inbox, SLICE_LITERAL("letter.txt"), &writer, &err));
	put(writer, MESSAGE);
	must(edit_writer_flush(writer, false, &err));
	must(edit_writer_release(&writer, &message, &local, &err));
	assert_int_equal(message.value, 0);
	must(edit_local_load(account, local, &resting, &err));
	assert_int_not_equal(resting.closed_ns, 0);
	must(edit_recover(account, &err));
	must_fail(view_message_by_name(account, inbox, SLICE_LITERAL("letter.txt"), &shown, &err), ERROR_GONE);
	resting.closed_ns -= INT64_C(11000000000);
	must(edit_local_update(account, &resting, &err));
	edit_local_finish(&resting);
	must(edit_recover(account, &err));
	must(view_message_by_name(account, inbox, SLICE_LITERAL("letter.txt"), &shown, &err));
	assert_body(shown.number, MESSAGE);
	view_message_finish(&shown);
	must_fail(edit_local_load(account, local, &resting, &err), ERROR_GONE);
}

static void
a_file_that_looks_like_no_mail_stays_local(void **state)
{
	struct edit_writer *writer = NULL;
	struct number message, local;
	struct edit_local file;

	must(edit_writer_create(account, inbox, SLICE_LITERAL("notes"), &writer, &err));
	put(writer, "List: milk\n");
	must(edit_writer_flush(writer, false, &err));
	must(edit_writer_release(&writer, &message, &local, &err));
	must(edit_local_load(account, local, &file, &err));
	assert_int_equal(file.closed_ns, 0);
	edit_local_finish(&file);
}

/* --- rm --- */

static void
rm_moves_to_a_trash_that_it_makes(void **state)
{
	struct number number = write_message(inbox, "x.eml", MESSAGE);
	struct view_mailbox trash;
	struct message row;

	must_fail(view_mailbox_by_name(account, SLICE_LITERAL("Trash"), &trash, &err), ERROR_GONE);
	must(edit_message_remove(account, number, &err));
	must(view_mailbox_by_name(account, SLICE_LITERAL("Trash"), &trash, &err));
	row = load(number);
	assert_int_equal(row.mailbox.value, trash.id.value);
	assert_int_equal(row.expunged_s, 0);
	message_finish(&row);
	view_mailbox_finish(&trash);
	must(edit_message_remove(account, number, &err)); /* inside the trash */
	assert_false(is_live(number));
	must_fail(edit_message_remove(account, number, &err), ERROR_GONE);
}

static void
rm_below_the_trash_expunges(void **state)
{
	struct mailbox_id trash, child;
	struct number number;

	must(edit_mailbox_create(account, SLICE_LITERAL("trash"), &trash, &err));
	must(edit_mailbox_create(account, SLICE_LITERAL("trash/old"), &child, &err));
	number = write_message(child, "x.eml", MESSAGE);
	must(edit_message_remove(account, number, &err));
	assert_false(is_live(number));
}

static void
rm_expunges_where_there_is_no_trash(void **state)
{
	struct number number = write_message(inbox, "x.eml", MESSAGE);

	must(edit_message_remove(account, number, &err));
	assert_false(is_live(number));
}

/* --- moves, flags, mailboxes --- */

static void
a_move_keeps_number_and_flags(void **state)
{
	struct number number = write_message(inbox, "x.eml", MESSAGE);
	struct mailbox_id other;
	struct view_message shown;

	must(edit_mailbox_create(account, SLICE_LITERAL("Other"), &other, &err));
	must(edit_message_attribute(account, number, "mail.flags", SLICE_LITERAL("seen"), &err));
	must(edit_message_move(account, number, other, SLICE_LITERAL("x.eml"), (struct number){0}, &err));
	assert_int_equal(count_in(inbox), 0);
	must(view_message_by_name(account, other, SLICE_LITERAL("x.eml"), &shown, &err));
	assert_int_equal(shown.number.value, number.value);
	view_message_finish(&shown);
	assert_attribute(number, "mail.flags", "seen");
}

static void
wrong_flags_are_refused(void **state)
{
	struct number number = write_message(inbox, "x.eml", MESSAGE);

	must_fail(edit_message_attribute(account, number, "mail.flags", SLICE_LITERAL("sean"), &err), ERROR_INVALID);
	must_fail(edit_message_attribute(account, number, "mail.subject", SLICE_LITERAL("x"), &err), ERROR_REFUSED);
	assert_int_equal(err.sys_errno, ENOTSUP);
}

static void
mailboxes_have_rules(void **state)
{
	struct mailbox_id id, made;

	must_fail(edit_mailbox_create(account, SLICE_LITERAL("inbox"), &id, &err), ERROR_EXISTS);
	must_fail(edit_mailbox_create(account, SLICE_LITERAL("Work"), &id, &err), ERROR_EXISTS);
	must(edit_mailbox_create(account, SLICE_LITERAL("A"), &made, &err));
	must_fail(edit_mailbox_rename(account, made, SLICE_LITERAL("Inbox"), &err), ERROR_EXISTS);
	must(edit_mailbox_rename(account, made, SLICE_LITERAL("B"), &err));
	(void)write_message(made, "x.eml", MESSAGE);
	must_fail(edit_mailbox_remove(account, made, &err), ERROR_REFUSED);
	assert_int_equal(err.sys_errno, ENOTEMPTY);
	must(edit_mailbox_create(account, SLICE_LITERAL("C"), &id, &err));
	must(edit_mailbox_remove(account, id, &err));
	must_fail(edit_mailbox_remove(account, id, &err), ERROR_GONE);
}

static void
local_files_keep_a_mailbox_from_going(void **state)
{
	struct edit_local file = {.parent_kind = 0, .parent = inbox.value, .name = (char *)".x", .mode = 0600};

	must(edit_local_create(account, &file, &err));
	must_fail(edit_mailbox_remove(account, inbox, &err), ERROR_REFUSED);
	assert_int_equal(err.sys_errno, ENOTEMPTY);
	must(edit_local_remove(account, file.id, &err));
	must(edit_mailbox_remove(account, inbox, &err));
}

static void
an_account_that_pulls_is_read_only(void **state)
{
	struct mailbox_id id;

	must_fail(edit_mailbox_create(account, SLICE_LITERAL("A"), &id, &err), ERROR_REFUSED);
	assert_int_equal(err.sys_errno, EROFS);
}

/* --- crashes --- */

/* Ends a process of its own at `point`: 1 after the FLUSH, 2 after a write behind it. */
static void
crash(int point)
{
	pid_t child;
	int status;

	engine_fixture_close(&fixture);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct edit_writer *writer = NULL;

		open_fixture();
		if (!edit_writer_create(account, inbox, SLICE_LITERAL("x.eml"), &writer, &err) ||
			!edit_writer_pwrite(writer, SLICE_LITERAL(MESSAGE), 0, &err) ||
			!edit_writer_flush(writer, false, &err)) {
			_exit(1);
		}
		if (point == 2 && !edit_writer_pwrite(writer, SLICE_LITERAL("more"), strlen(MESSAGE), &err)) {
			_exit(2);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	open_fixture();
}

static void
a_flushed_file_is_a_message_after_a_crash(void **state)
{
	struct view_message shown;

	crash(1);
	assert_int_equal(count_in(inbox), 0);
	must(edit_recover(account, &err));
	must(view_message_by_name(account, inbox, SLICE_LITERAL("x.eml"), &shown, &err));
	assert_body(shown.number, MESSAGE);
	view_message_finish(&shown);
	must(edit_recover(account, &err));
	assert_int_equal(count_in(inbox), 1);
}

static void
a_file_that_was_still_written_is_rejected_after_a_crash(void **state)
{
	crash(2);
	must(edit_recover(account, &err));
	assert_int_equal(count_in(inbox), 0);
	assert_int_equal(rejected(), 1);
	must(edit_recover(account, &err));
	assert_int_equal(rejected(), 1);
}

static void
the_writer_of_a_living_process_is_left_alone(void **state)
{
	struct edit_writer *writer = NULL;
	struct number message, local;

	must(edit_writer_create(account, inbox, SLICE_LITERAL("x.eml"), &writer, &err));
	put(writer, MESSAGE);
	must(edit_writer_flush(writer, false, &err));
	must(edit_recover(account, &err));
	assert_int_equal(count_in(inbox), 0);
	must(edit_writer_release(&writer, &message, &local, &err));
	assert_int_equal(count_in(inbox), 1);
}

/* --- views --- */

static void
the_feed_tells_of_changes(void **state)
{
	uint64_t before, after;
	struct number number;

	must(view_modseq(account, &before, &err));
	number = write_message(inbox, "x.eml", MESSAGE);
	must(view_modseq(account, &after, &err));
	assert_true(after > before);
	assert_true(number.value > 0);
}

static void
status_is_told_in_both_forms(void **state)
{
	SCOPED(buf_finish) struct buf text = BUF_INIT, json = BUF_INIT;

	(void)write_message(inbox, "x.eml", MESSAGE);
	must(view_status(account, false, &text, &err));
	assert_non_null(strstr(text.data, "home: stopped since "));
	assert_non_null(strstr(text.data, "1 message in 1 mailbox"));
	must(view_status(account, true, &json, &err));
	assert_non_null(strstr(json.data, "\"account\": \"home\""));
	assert_non_null(strstr(json.data, "\"name\": \"Work\""));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_written_file_is_a_message_under_its_name),
		TEST(crlf_and_an_mbox_line_are_taken_out),
		TEST(a_write_may_follow_a_flush),
		TEST(a_large_file_is_a_message_too),
		TEST(bytes_that_are_no_message_stay_as_a_local_file),
		TEST(a_file_of_a_killed_program_is_rejected),
		TEST(what_is_discarded_leaves_nothing),
		TEST(a_copy_takes_date_and_flags),
		TEST(a_time_set_before_the_last_close_is_the_date),
		TEST(a_late_time_changes_mtime_alone),
		TEST(a_replacement_keeps_flags_and_names_its_successor),
		TEST(a_replacement_by_equal_bytes_changes_nothing),
		TEST(a_replacement_that_is_no_message_leaves_the_old_one),
		TEST(a_new_file_replaces_what_stands_aside_for_it),
		TEST(what_stands_aside_no_more_is_not_replaced),
		TEST(what_stands_aside_is_left_where_the_new_file_is_no_message),
		TEST(a_message_written_in_place_keeps_the_name_that_it_gets_meanwhile),
		TEST(a_rename_onto_a_message_takes_its_place),
		TEST(a_temporary_is_delivered_onto_a_message),
		TEST(a_file_of_another_name_becomes_a_message_after_its_rest),
		TEST(a_file_that_looks_like_no_mail_stays_local),
		TEST(rm_moves_to_a_trash_that_it_makes),
		TEST(rm_below_the_trash_expunges),
		cmocka_unit_test_setup_teardown(rm_expunges_where_there_is_no_trash, set_up_without_trash, tear_down),
		TEST(a_move_keeps_number_and_flags),
		TEST(wrong_flags_are_refused),
		TEST(mailboxes_have_rules),
		TEST(local_files_keep_a_mailbox_from_going),
		cmocka_unit_test_setup_teardown(an_account_that_pulls_is_read_only, set_up_pulling, tear_down),
		TEST(a_flushed_file_is_a_message_after_a_crash),
		TEST(a_file_that_was_still_written_is_rejected_after_a_crash),
		TEST(the_writer_of_a_living_process_is_left_alone),
		TEST(the_feed_tells_of_changes),
		TEST(status_is_told_in_both_forms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
