/* The process of a mount ends at each of its effects on the disk, and so does one that recovers; what was acknowledged is there afterwards, and what was
 * under way is done or not, never half (P1, P3, P20). */
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
#include "engine/edit.h"
#include "tests/unit/engine_fixture.h"
#include "tests/unit/io_test_ops.h"

#define EFFECTS_MAX 400
#define LARGE       (300 * 1024) /* a file of its own in the store */
#define HEADER      "From: Ana <ana@example.org>\nMessage-ID: <1@x>\nSubject: "

/* What changes something on the disk: between two of these it is all one where a process ends. */
#define CHANGES                                                                                             \
	(IO_EFFECT_BIT(IO_EFFECT_OPEN) | IO_EFFECT_BIT(IO_EFFECT_MKDIR) | IO_EFFECT_BIT(IO_EFFECT_RENAME) | \
		IO_EFFECT_BIT(IO_EFFECT_UNLINK) | IO_EFFECT_BIT(IO_EFFECT_SET_TIMES) |                      \
		IO_EFFECT_BIT(IO_EFFECT_PWRITE) | IO_EFFECT_BIT(IO_EFFECT_TRUNCATE) | IO_EFFECT_BIT(IO_EFFECT_FSYNC))

enum { DONE = 10, STOPPED = 11, FAILED = 12 };

static struct engine_fixture fixture;
static struct account *account;
static struct mailbox_id work, done;

/* Opens the engine; the n-th effect from then on is the last of the process; 0: none is. */
static bool
open_to_stop(unsigned nth, struct error *err)
{
	const struct engine_options options = {.mounted = true};

	if (!engine_create(fixture.config, NULL, 0, &options, &fixture.engine, err)) {
		return false;
	}
	account = engine_account_by_name(fixture.engine, "home");
	if (nth > 0) {
		account->io = io_test_create(account->io);
	}
	if (!engine_start(fixture.engine, err)) {
		return false;
	}
	if (nth > 0) {
		io_test_reset(account->io, CHANGES);
		io_test_exit(account->io, nth, STOPPED);
	}
	return true;
}

static bool
find(const char *name, struct mailbox_id *out)
{
	struct view_mailbox box;
	struct error err = ERROR_INIT;

	if (!view_mailbox_by_name(account, slice_of(name), &box, &err)) {
		return false;
	}
	*out = box.id;
	view_mailbox_finish(&box);
	return true;
}

/* A message of so many octets and a few. */
static bool
fill(struct edit_writer *writer, const char *subject, size_t size, struct error *err)
{
	SCOPED(buf_finish) struct buf text = BUF_INIT;

	buf_printf(&text, "%s%s\n\n", HEADER, subject);
	while (text.length < size) {
		buf_append_text(&text, "one line of a message, which may be a long one..\n");
	}
	return edit_writer_pwrite(writer, buf_slice(&text), 0, err) && edit_writer_flush(writer, false, err);
}

static bool
write_one(const char *name, size_t size, struct number *out, struct error *err)
{
	struct edit_writer *writer = NULL;
	struct number local;

	return edit_writer_create(account, work, slice_of(name), &writer, err) && fill(writer, name, size, err) &&
	       edit_writer_release(&writer, out, &local, err);
}

static bool
replace(struct number number, struct error *err)
{
	struct edit_writer *writer = NULL;
	struct number message, local;

	return edit_writer_replace(account, number, true, &writer, err) && fill(writer, "replaced", LARGE * 2, err) &&
	       edit_writer_release(&writer, &message, &local, err);
}

/* What is there after each step, each acknowledged. */
static const char *const after[] = {
	"",
	"large.eml 300 KiB",
	"large.eml 300 KiB; small.eml 0 KiB",
	"small.eml 0 KiB; large.eml 600 KiB",
	"large.eml 600 KiB; Done: small.eml 0 KiB",
	"large.eml 600 KiB seen; Done: small.eml 0 KiB",
	"Done: small.eml 0 KiB",
	"Done: small.eml 0 KiB; New",
};

#define STEPS (sizeof(after) / sizeof(after[0]) - 1)

static bool
step(unsigned number, struct error *err)
{
	static struct number large, small;
	struct view_message found;
	struct mailbox_id made;

	switch (number) {
	case 1:
		return write_one("large.eml", LARGE, &large, err);
	case 2:
		return write_one("small.eml", 100, &small, err);
	case 3:
		return replace(large, err);
	case 4:
		return edit_message_move(account, small, done, SLICE_LITERAL("small.eml"), (struct number){0}, err);
	case 5: /* the replacement has a number of its own */
		if (!view_message_by_name(account, work, SLICE_LITERAL("large.eml"), &found, err)) {
			return false;
		}
		large = found.number;
		view_message_finish(&found);
		return edit_message_attribute(account, large, "mail.flags", SLICE_LITERAL("seen"), err);
	case 6:
		return edit_message_expunge(account, large, err);
	default:
		return edit_mailbox_create(account, SLICE_LITERAL("New"), &made, err);
	}
}

/* Does all of it, and tells of each step that was done and is durable. */
static int
do_all(int to_parent, unsigned nth)
{
	struct error err = ERROR_INIT;
	bool ok = open_to_stop(nth, &err) && find("Work", &work) && find("Done", &done);

	for (unsigned i = 1; ok && i <= STEPS; i++) {
		ok = step(i, &err) && edit_sync(account, &err);
		if (ok && write(to_parent, "", 1) != 1) {
			return FAILED;
		}
	}
	if (!ok) {
		(void)fprintf(stderr, "%s\n", err.text);
	}
	return ok ? DONE : FAILED;
}

static int
recover(unsigned nth)
{
	struct error err = ERROR_INIT;

	return open_to_stop(nth, &err) && edit_recover(account, &err) ? DONE : FAILED;
}

static bool
tell_message(void *context, const struct view_message *message)
{
	struct buf *out = context;

	buf_printf(out, "%s%.*s %llu KiB%s", out->length > 0 && out->data[out->length - 1] != ' ' ? "; " : "",
		(int)message->name.length, message->name.data, (unsigned long long)message->size_bytes / 1024,
		message->flags != 0 ? " seen" : "");
	return true;
}

static void
tell(struct buf *out)
{
	struct error err = ERROR_INIT;
	struct mailbox_id made;
	struct buf moved = BUF_INIT;

	assert_true(find("Work", &work) && find("Done", &done));
	if (!view_list(account, work, 0, tell_message, out, &err) ||
		!view_list(account, done, 0, tell_message, &moved, &err)) {
		fail_msg("%s", err.text);
	}
	if (moved.length > 0) {
		buf_printf(out, "%sDone: %s", out->length > 0 ? "; " : "", moved.data);
	}
	if (find("New", &made)) {
		buf_append_text(out, "; New");
	}
	buf_finish(&moved);
}

/* Runs a part of it in a process of its own. */
static int
run_child(unsigned nth, bool recovers, unsigned *out_done)
{
	int ends[2], status;
	char word;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		_exit(recovers ? recover(nth) : do_all(ends[1], nth));
	}
	(void)close(ends[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	for (*out_done = 0; read(ends[0], &word, 1) == 1; (*out_done)++) {
	}
	(void)close(ends[0]);
	return WEXITSTATUS(status);
}

static void
begin(void)
{
	struct error err = ERROR_INIT;

	engine_fixture_create(&fixture, "server = maildir:/nowhere\ntrash = none");
	if (!open_to_stop(0, &err) || !edit_mailbox_create(account, SLICE_LITERAL("Work"), &work, &err) ||
		!edit_mailbox_create(account, SLICE_LITERAL("Done"), &done, &err)) {
		fail_msg("%s", err.text);
	}
	engine_fixture_close(&fixture);
}

static void
check(unsigned nth, unsigned done_steps)
{
	SCOPED(buf_finish) struct buf found = BUF_INIT;
	struct error err = ERROR_INIT;
	unsigned next = done_steps < STEPS ? done_steps + 1 : done_steps;

	for (int round = 0; round < 2; round++) { /* a second recovery finds nothing to do */
		if (!open_to_stop(0, &err) || !edit_recover(account, &err)) {
			fail_msg("effect %u: %s", nth, err.text);
		}
		buf_truncate(&found, 0);
		buf_append_text(&found, "");
		tell(&found);
		engine_fixture_close(&fixture);
		const char *text = found.length > 0 ? found.data : "";

		if (strcmp(text, after[done_steps]) != 0 && strcmp(text, after[next]) != 0) {
			fail_msg("ended at effect %u, after %u steps: there is '%s'; it should be '%s' or '%s'", nth,
				done_steps, text, after[done_steps], after[next]);
		}
	}
}

static void
whatever_was_the_last_effect_nothing_acknowledged_is_lost(void **state)
{
	int status = STOPPED;
	unsigned stopped = 0, stopped_again = 0;

	for (unsigned nth = 1; status == STOPPED; nth++) {
		unsigned done_steps, none;

		assert_true(nth < EFFECTS_MAX);
		begin();
		status = run_child(nth, false, &done_steps);
		assert_int_not_equal(status, FAILED);
		stopped += status == STOPPED;
		assert_true(status == STOPPED || done_steps == STEPS);
		/* What recovers is ended too, at another effect each time. */
		if (run_child(1 + nth % 9, true, &none) == STOPPED) {
			stopped_again++;
		}
		check(nth, done_steps);
		engine_fixture_destroy(&fixture);
	}
	assert_true(stopped > STEPS * 2); /* each step has effects */
	assert_true(stopped_again > 0);
	print_message("stopped at %u effects, and %u times while it recovered\n", stopped, stopped_again);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_was_the_last_effect_nothing_acknowledged_is_lost),
	};

	return cmocka_run_group_tests_name("edit_stop", tests, NULL, NULL);
}
