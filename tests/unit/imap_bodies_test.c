#include <inttypes.h>
#include <stdlib.h>

#include "engine/remote/imap/imap_fetch.h"
#include "tests/unit/assert_slice.h"
#include "tests/unit/imap_fake.h"

struct told {
	struct buf text;
	uint64_t octets;
	uint64_t had; /* octets of a large body that are had already */
};

static bool
on_begin(void *context, uint32_t uid, uint64_t size_bytes, struct error *err)
{
	struct told *told = context;

	(void)err;
	buf_printf(&told->text, "%" PRIu32 " begins %" PRIu64 "\n", uid, size_bytes);
	return true;
}

static bool
on_data(void *context, uint32_t uid, struct slice data, struct error *err)
{
	struct told *told = context;

	(void)err;
	told->octets += data.length;
	if (data.length < 100) {
		buf_printf(&told->text, "%" PRIu32 " %.*s\n", uid, (int)data.length, data.data);
	}
	return true;
}

static bool
on_end(void *context, uint32_t uid, bool found, struct error *err)
{
	struct told *told = context;

	(void)err;
	buf_printf(&told->text, "%" PRIu32 " ends %s\n", uid, found ? "found" : "gone");
	return true;
}

static uint64_t
on_resume(void *context, uint32_t uid, uint64_t size_bytes)
{
	const struct told *told = context;

	(void)uid;
	(void)size_bytes;
	return told->had;
}

/* Fetches on a script; what is told, or the error, must be `lines`. Gives the octets that came. */
static uint64_t
assert_fetches(const char *script, const char *set, const uint64_t *sizes, uint64_t had, const char *lines)
{
	struct imap_fake *fake = imap_fake_start(script, NULL);
	struct remote *remote = imap_fake_remote(fake, NULL);
	struct remote_session *session = imap_fake_open(fake, remote);
	const struct remote_target target = {.raw_name = SLICE_LITERAL("a"), .uidvalidity = 7};
	SCOPED(uidset_finish) struct uidset uids = UIDSET_INIT;
	struct told told = {.had = had};
	const struct remote_body_sink sink = {.begin = on_begin,
		.data = on_data,
		.end = on_end,
		.context = &told,
		.resume = had > 0 ? on_resume : NULL};
	struct error err;

	assert_true(uidset_parse(&uids, slice_of(set)));
	if (!remote->ops->fetch(session, &target, &uids, sizes, &sink, &err)) {
		buf_printf(&told.text, "%s: %s\n", error_kind_name(err.kind), err.text);
	}
	remote->ops->close(&session);
	remote->ops->destroy(&remote);
	imap_fake_end(&fake);
	assert_slices(buf_slice(&told.text), slice_of(lines));
	buf_finish(&told.text);
	return told.octets;
}

#define SELECT_A IMAP_FAKE_IN IMAP_FAKE_ENABLE "C: m3 SELECT \"a\"\n"
#define SELECTED IMAP_FAKE_SELECTED("5", "7", "6", "10") "S: m3 OK [READ-WRITE] x\n"

static void
bodies_come_in_the_turn_of_the_select(void **state)
{
	assert_fetches(SELECT_A "C: m4 UID FETCH 1:4 (UID BODY.PEEK[])\n" SELECTED
				"R: * 2 FETCH (UID 2 BODY[] {3}\\r\\ntwo)\\r\\n\n"
				"R: * 1 FETCH (BODY[] {3}\\r\\none UID 1)\\r\\n\n" /* the UID behind it */
				"S: * 5 FETCH (UID 5 FLAGS (\\Seen))\n"
				"S: * 3 FETCH (UID 3 BODY[] NIL)\n"
				"S: m4 OK x\n",
		"1:4", NULL, 0,
		"2 begins 3\n2 two\n2 ends found\n1 begins 3\n1 one\n1 ends found\n3 ends gone\n4 ends gone\n");
	assert_fetches(SELECT_A "C: m4 UID FETCH 1 (UID BODY.PEEK[])\n" SELECTED
				"S: * 1 FETCH (UID 1 BODY[] \"\")\nS: m4 OK x\n",
		"1", NULL, 0, "1 begins 0\n1 ends found\n");
}

static void
nothing_is_taken_from_a_mailbox_that_was_replaced(void **state)
{
	assert_fetches(SELECT_A "C: m4 UID FETCH 1 (UID BODY.PEEK[])\n" IMAP_FAKE_SELECTED(
			       "5", "9", "6", "10") "S: m3 OK x\n"
						    "R: * 1 FETCH (UID 1 BODY[] {3}\\r\\nbad)\\r\\n\nS: m4 OK x\n",
		"1", NULL, 0, "retry: rebuilt: UIDVALIDITY is 9, and was 7\n");
	assert_fetches(SELECT_A "C: m4 UID FETCH 1 (UID BODY.PEEK[])\nS: m3 NO [NONEXISTENT] x\nS: m4 BAD x\n", "1",
		NULL, 0, "gone: the server refused SELECT: [NONEXISTENT] x\n");
}

static void
sets_are_bounded_by_messages_and_octets(void **state)
{
	static const uint64_t sizes[] = {3 << 20, 2 << 20, 2 << 20, 0};

	assert_fetches(SELECT_A "C: m4 UID FETCH 1 (UID BODY.PEEK[])\nC: m5 UID FETCH 2:3 (UID BODY.PEEK[])\nC: m6 UID "
				"FETCH 4 (UID BODY.PEEK[])\n" SELECTED "S: m4 OK x\nS: m5 OK x\nS: m6 OK x\n",
		"1:4", sizes, 0, "1 ends gone\n2 ends gone\n3 ends gone\n4 ends gone\n");
}

/* A line of a script that sends `size` octets of a body from `offset` on. */
static void
add_piece(struct buf *script, unsigned tag, size_t offset, size_t size)
{
	buf_printf(script, "R: * 1 FETCH (UID 1 BODY[]<%zu> {%zu}\\r\\n", offset, size);
	for (size_t i = 0; i < size; i++) {
		buf_append_octet(script, 'x');
	}
	buf_printf(script, ")\\r\\n\nS: m%u OK x\n", tag);
}

static void
a_large_body_comes_in_pieces(void **state)
{
	static const uint64_t sizes[] = {IMAP_FETCH_WHOLE_MAX + 1};
	SCOPED(buf_finish) struct buf script = BUF_INIT;

	buf_append_text(&script, SELECT_A);
	for (unsigned i = 0; i < IMAP_FETCH_PIECES_MAX; i++) {
		buf_printf(&script, "C: m%u UID FETCH 1 (UID BODY.PEEK[]<%u.1048576>)\n", 4 + i, i << 20);
	}
	buf_append_text(&script, SELECTED);
	/* the server announced more than it has: a short piece is the end, what was asked for behind it tells nothing */
	add_piece(&script, 4, 0, 1 << 20);
	buf_append_text(&script, "C: m10 UID FETCH 1 (UID BODY.PEEK[]<6291456.1048576>)\n");
	add_piece(&script, 5, 1 << 20, 50);
	for (unsigned i = 6; i < 11; i++) {
		buf_printf(&script, "S: * 1 FETCH (UID 1 BODY[]<%u> \"\")\nS: m%u OK x\n", (i - 4) << 20, i);
	}

	uint64_t octets = assert_fetches(script.data, "1", sizes, 0,
		"1 begins 0\n1 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n1 ends found\n");

	assert_int_equal(octets, (1 << 20) + 50);
}

static void
a_large_body_goes_on_where_it_was_cut(void **state)
{
	static const uint64_t sizes[] = {IMAP_FETCH_WHOLE_MAX + 3};
	SCOPED(buf_finish) struct buf script = BUF_INIT;

	buf_append_text(&script, SELECT_A "C: m4 UID FETCH 1 (UID BODY.PEEK[]<8388600.1048576>)\n" SELECTED);
	add_piece(&script, 4, 8388600, 11);
	assert_fetches(script.data, "1", sizes, 8388600, "1 begins 0\n1 xxxxxxxxxxx\n1 ends found\n");
}

static void
pieces_out_of_order_are_refused(void **state)
{
	static const uint64_t sizes[] = {IMAP_FETCH_WHOLE_MAX + 3};
	SCOPED(buf_finish) struct buf script = BUF_INIT;

	buf_append_text(&script, SELECT_A "C: m4 UID FETCH 1 (UID BODY.PEEK[]<8388600.1048576>)\n" SELECTED);
	add_piece(&script, 4, 8388601, 10);
	assert_fetches(script.data, "1", sizes, 8388600, "retry: the server sent a piece of message 1 out of order\n");
}

static void
what_cannot_be_had_does_not_keep_the_others_back(void **state)
{
	assert_fetches(SELECT_A "C: m4 UID FETCH 1:3 (UID BODY.PEEK[])\n" SELECTED
				"R: * 1 FETCH (UID 1 BODY[] {3}\\r\\none)\\r\\n\nS: m4 NO broken\n"
				"C: m5 UID FETCH 2:3 (UID BODY.PEEK[])\nS: m5 NO broken\n"
				"C: m6 UID FETCH 2 (UID BODY.PEEK[])\nC: m7 UID FETCH 3 (UID BODY.PEEK[])\n"
				"S: m6 NO broken\nR: * 3 FETCH (UID 3 BODY[] {5}\\r\\nthree)\\r\\n\nS: m7 OK x\n",
		"1:3", NULL, 0,
		"1 begins 3\n1 one\n1 ends found\n3 begins 5\n3 three\n3 ends found\nitem: message UID 2: the server "
		"refused FETCH: broken\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_come_in_the_turn_of_the_select),
		cmocka_unit_test(nothing_is_taken_from_a_mailbox_that_was_replaced),
		cmocka_unit_test(sets_are_bounded_by_messages_and_octets),
		cmocka_unit_test(a_large_body_comes_in_pieces),
		cmocka_unit_test(a_large_body_goes_on_where_it_was_cut),
		cmocka_unit_test(pieces_out_of_order_are_refused),
		cmocka_unit_test(what_cannot_be_had_does_not_keep_the_others_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
