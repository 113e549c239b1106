#include "engine/mime/wire.h"

#include "engine/base/random.h"
#include "tests/unit/assert_slice.h"

struct row {
	struct slice bytes;
	enum wire_form form;
	struct slice kept, wire;
};

#define ROW(bytes, form, kept, wire)                                                 \
	{                                                                            \
		SLICE_LITERAL(bytes), form, SLICE_LITERAL(kept), SLICE_LITERAL(wire) \
	}

static void
served_octets_are_kept_with_lf_where_that_turns_back(void **state)
{
	static const struct row rows[] = {
		ROW("", WIRE_FORM_LF, "", ""),
		ROW("a\r\nb\r\n", WIRE_FORM_LF, "a\nb\n", "a\r\nb\r\n"),
		ROW("a\r\nb", WIRE_FORM_LF, "a\nb", "a\r\nb"),
		ROW("\r\n\r\n", WIRE_FORM_LF, "\n\n", "\r\n\r\n"),
		ROW("a\0\r\n", WIRE_FORM_LF, "a\0\n", "a\0\r\n"),
		ROW("a\nb\r\n", WIRE_FORM_RAW, "a\nb\r\n", "a\nb\r\n"),
		ROW("a\nb\n", WIRE_FORM_RAW, "a\nb\n", "a\nb\n"),
		ROW("a\rb\r\n", WIRE_FORM_RAW, "a\rb\r\n", "a\rb\r\n"),
		ROW("a\r\r\n", WIRE_FORM_RAW, "a\r\r\n", "a\r\r\n"),
		ROW("a\r\n\r", WIRE_FORM_RAW, "a\r\n\r", "a\r\n\r"),
		ROW("\r", WIRE_FORM_RAW, "\r", "\r"),
		ROW("\n", WIRE_FORM_RAW, "\n", "\n"),
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		SCOPED(buf_finish) struct buf kept = BUF_INIT;
		SCOPED(buf_finish) struct buf lf = BUF_INIT;
		SCOPED(buf_finish) struct buf wire = BUF_INIT;

		assert_int_equal(wire_keep_served(rows[i].bytes, &kept), rows[i].form);
		assert_slices(buf_slice(&kept), rows[i].kept);
		assert_int_equal(wire_to_lf(rows[i].bytes, &lf), rows[i].form == WIRE_FORM_LF);
		assert_int_equal(lf.length, rows[i].form == WIRE_FORM_LF ? rows[i].kept.length : 0);
		wire_from_kept(buf_slice(&kept), rows[i].form, &wire);
		assert_slices(buf_slice(&wire), rows[i].wire);
	}
}

static void
written_octets_get_a_cr_where_an_lf_has_none(void **state)
{
	static const struct row rows[] = {
		ROW("", WIRE_FORM_LF, "", ""),
		ROW("a\nb\n", WIRE_FORM_LF, "a\nb\n", "a\r\nb\r\n"),
		ROW("a\r\nb\r\n", WIRE_FORM_LF, "a\nb\n", "a\r\nb\r\n"),
		ROW("a\r\nb\n", WIRE_FORM_LF, "a\nb\n", "a\r\nb\r\n"),
		ROW("\n\n", WIRE_FORM_LF, "\n\n", "\r\n\r\n"),
		ROW("a\rb\n", WIRE_FORM_RAW, "a\rb\r\n", "a\rb\r\n"),
		ROW("a\r\r\n", WIRE_FORM_RAW, "a\r\r\n", "a\r\r\n"),
		ROW("a\r", WIRE_FORM_RAW, "a\r", "a\r"),
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		SCOPED(buf_finish) struct buf kept = BUF_INIT;
		SCOPED(buf_finish) struct buf wire = BUF_INIT;
		struct wire_state fresh = WIRE_STATE_INIT;

		assert_int_equal(wire_keep_written(rows[i].bytes, &kept), rows[i].form);
		assert_slices(buf_slice(&kept), rows[i].kept);
		wire_from_lf(&fresh, rows[i].bytes, &wire);
		assert_slices(buf_slice(&wire), rows[i].wire);
		assert_true(wire_size(rows[i].bytes) == rows[i].wire.length);
	}
}

static void
fill_random(struct random *random, struct buf *out)
{
	static const char telling[] = "\r\n\n\r\nab";

	for (uint64_t i = random_below(random, 60); i > 0; i--) {
		buf_append_octet(out, telling[random_below(random, sizeof(telling) - 1)]);
		if (random_below(random, 2) == 0) {
			buf_append_text(out, "\r\n");
		}
	}
	if (random_below(random, 30) == 0) {
		for (unsigned i = 0; i < 3000; i++) {
			buf_append_text(out, "a line of text\r\n\r\n");
		}
	}
}

/* Gives a prefix of random length, and takes it off. */
static struct slice
take_piece(struct random *random, struct slice *rest)
{
	struct slice piece = slice_head(*rest, random_below(random, random_below(random, 8) == 0 ? 40000 : 5));

	*rest = slice_skip(*rest, piece.length);
	return piece;
}

static void
random_octets_turn_back_and_have_the_digest_of_their_wire_form(void **state)
{
	struct random random;

	random_seed(&random, 5);
	for (unsigned round = 0; round < 4000; round++) {
		SCOPED(buf_finish) struct buf bytes = BUF_INIT;
		SCOPED(buf_finish) struct buf kept = BUF_INIT;
		SCOPED(buf_finish) struct buf wire = BUF_INIT;
		SCOPED(buf_finish) struct buf written = BUF_INIT;
		SCOPED(buf_finish) struct buf again = BUF_INIT;
		struct wire_state fresh = WIRE_STATE_INIT;
		enum wire_form form;
		struct digest of_wire, of_kept;

		fill_random(&random, &bytes);
		form = wire_keep_served(buf_slice(&bytes), &kept);
		wire_from_kept(buf_slice(&kept), form, &wire);
		assert_slices(buf_slice(&wire), buf_slice(&bytes));
		of_wire = sha256_of(buf_slice(&bytes));
		of_kept = wire_digest_of_kept(buf_slice(&kept), form);
		assert_true(digest_equal(&of_wire, &of_kept));

		/* written, kept, and turned back: what making wire form of it gives at once */
		form = wire_keep_written(buf_slice(&bytes), &written);
		buf_clear(&wire);
		wire_from_kept(buf_slice(&written), form, &wire);
		wire_from_lf(&fresh, buf_slice(&bytes), &again);
		assert_slices(buf_slice(&wire), buf_slice(&again));
		assert_true(wire_size(buf_slice(&bytes)) == again.length);
		/* what is wire form stays as it is */
		buf_clear(&wire);
		fresh = WIRE_STATE_INIT;
		wire_from_lf(&fresh, buf_slice(&again), &wire);
		assert_slices(buf_slice(&wire), buf_slice(&again));
	}
}

static void
pieces_cut_anywhere_give_what_the_whole_gives(void **state)
{
	struct random random;

	random_seed(&random, 15);
	for (unsigned round = 0; round < 2000; round++) {
		SCOPED(sha256_destroy) struct sha256 *sha = sha256_create();
		SCOPED(buf_finish) struct buf bytes = BUF_INIT;
		SCOPED(buf_finish) struct buf whole = BUF_INIT;
		SCOPED(buf_finish) struct buf pieces = BUF_INIT;
		SCOPED(buf_finish) struct buf lf = BUF_INIT;
		SCOPED(buf_finish) struct buf dropped = BUF_INIT;
		struct wire_scan scan = WIRE_SCAN_INIT, at_once = WIRE_SCAN_INIT;
		struct wire_state state_whole = WIRE_STATE_INIT, state_pieces = WIRE_STATE_INIT,
				  state_digest = WIRE_STATE_INIT;
		struct digest of_pieces, of_whole;
		struct slice rest;

		fill_random(&random, &bytes);
		wire_scan_feed(&at_once, buf_slice(&bytes));
		wire_from_lf(&state_whole, buf_slice(&bytes), &whole);
		for (rest = buf_slice(&bytes); rest.length > 0;) {
			struct slice piece = take_piece(&random, &rest);

			wire_scan_feed(&scan, piece);
			wire_from_lf(&state_pieces, piece, &pieces);
			wire_digest_piece(&state_digest, piece, sha);
			wire_drop_cr(piece, &dropped);
		}
		assert_memory_equal(&scan, &at_once, offsetof(struct wire_scan, after_cr));
		assert_int_equal(scan.after_cr, at_once.after_cr);
		assert_slices(buf_slice(&pieces), buf_slice(&whole));
		assert_true(wire_scan_wire_size(&scan) == whole.length);
		of_pieces = sha256_final(sha);
		of_whole = sha256_of(buf_slice(&whole));
		assert_true(digest_equal(&of_pieces, &of_whole));
		assert_int_equal(wire_to_lf(buf_slice(&bytes), &lf), wire_scan_served(&scan) == WIRE_FORM_LF);
		if (wire_scan_served(&scan) == WIRE_FORM_LF) {
			assert_slices(buf_slice(&dropped), buf_slice(&lf));
			assert_true(wire_scan_lf_size(&scan) == lf.length);
		}
	}
}

static void
an_mbox_line_is_dropped(void **state)
{
	assert_slice(wire_skip_mbox_line(SLICE_LITERAL("From me@x Tue\nA: b\n")), "A: b\n");
	assert_slice(wire_skip_mbox_line(SLICE_LITERAL("From me@x Tue\r\nA: b\n")), "A: b\n");
	assert_slice(wire_skip_mbox_line(SLICE_LITERAL("From me")), "");
	assert_slice(wire_skip_mbox_line(SLICE_LITERAL("From: me\n")), "From: me\n");
	assert_slice(wire_skip_mbox_line(SLICE_LITERAL(">From me\n")), ">From me\n");
	assert_slice(wire_skip_mbox_line(SLICE_LITERAL("from me\n")), "from me\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(served_octets_are_kept_with_lf_where_that_turns_back),
		cmocka_unit_test(written_octets_get_a_cr_where_an_lf_has_none),
		cmocka_unit_test(random_octets_turn_back_and_have_the_digest_of_their_wire_form),
		cmocka_unit_test(pieces_cut_anywhere_give_what_the_whole_gives),
		cmocka_unit_test(an_mbox_line_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
