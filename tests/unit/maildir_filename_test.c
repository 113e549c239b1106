#include "engine/remote/maildir/maildir_filename.h"

#include "engine/base/random.h"
#include "engine/mail/flags.h"
#include "tests/unit/assert_slice.h"

static void
names_are_read(void **state)
{
	static const struct {
		const char *name, *key, *base;
		uint32_t bits, keywords;
		uint64_t wire_size; /* 0: none */
	} rows[] = {
		{"1.a", "1.a", "1.a", 0, 0, 0},
		{"1.a:2,", "1.a", "1.a", 0, 0, 0},
		{"1.a:2,FS", "1.a", "1.a", FLAG_FLAGGED | FLAG_SEEN, 0, 0},
		{"1.a:2,DRTPacz", "1.a", "1.a", FLAG_DRAFT | FLAG_ANSWERED | FLAG_DELETED, 1u << 25 | 5, 0},
		{"1.a,S=12,W=14:2,S", "1.a", "1.a,S=12,W=14", FLAG_SEEN, 0, 14},
		{"1.a,W=14", "1.a", "1.a,W=14", 0, 0, 14},
		{"1.a,W=x,W=9", "1.a", "1.a,W=x,W=9", 0, 0, 9},
		{"1.a,U=7:2,", "1.a", "1.a,U=7", 0, 0, 0},
		{"1.a:1,FS", "1.a", "1.a", 0, 0, 0}, /* another kind of information */
		{"1.a:2", "1.a", "1.a", 0, 0, 0},
		{"1.a:2,S:2,F", "1.a", "1.a", FLAG_SEEN | FLAG_FLAGGED, 0, 0},
		{",S=5", ",S=5", ",S=5", 0, 0, 0}, /* no key before the comma: all of it is */
		{"a b\n", "a b\n", "a b\n", 0, 0, 0},
	};
	static const char *const bad[] = {"", ".hidden", ":2,S", "a/b", ".", ".."};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct maildir_filename name;

		assert_true(maildir_filename_read(slice_of(rows[i].name), &name));
		assert_slices(name.key, slice_of(rows[i].key));
		assert_slices(name.base, slice_of(rows[i].base));
		assert_int_equal(name.bits, rows[i].bits);
		assert_int_equal(name.keywords, rows[i].keywords);
		assert_int_equal(name.has_wire_size, rows[i].wire_size != 0);
		assert_true(name.wire_size == rows[i].wire_size || !name.has_wire_size);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		struct maildir_filename name;

		assert_false(maildir_filename_read(slice_of(bad[i]), &name));
	}
}

static void
too_long_a_name_is_none(void **state)
{
	char text[MAILDIR_FILENAME_MAX + 2];
	struct maildir_filename name;
	SCOPED(buf_finish) struct buf out = BUF_INIT;

	memset(text, 'x', sizeof(text));
	assert_true(maildir_filename_read(slice_make(text, MAILDIR_FILENAME_MAX), &name));
	assert_false(maildir_filename_print(&name, FLAG_SEEN, 0, &out));
	assert_int_equal(out.length, 0);
	assert_false(maildir_filename_read(slice_make(text, MAILDIR_FILENAME_MAX + 1), &name));
}

static void
assert_printed(const char *from, uint32_t bits, uint32_t keywords, const char *to)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;
	struct maildir_filename name;

	assert_true(maildir_filename_read(slice_of(from), &name));
	assert_true(maildir_filename_print(&name, bits, keywords, &out));
	assert_slices(buf_slice(&out), slice_of(to));
}

static void
letters_that_are_not_ours_stay(void **state)
{
	assert_printed("1.a", 0, 0, "1.a:2,");
	assert_printed("1.a,S=3", FLAG_SEEN | FLAG_DRAFT, 3, "1.a,S=3:2,DSab");
	assert_printed("1.a:2,PSX", FLAG_FLAGGED, 0, "1.a:2,FPX");
	assert_printed("1.a:2,SSPP:9", FLAG_SEEN, 0, "1.a:2,PS");
	assert_printed("1.a:1,FS", FLAG_ALL, 1u << 25, "1.a:2,DFRSTz");
}

static void
what_moves_leaves_its_uid_behind(void **state)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;
	struct maildir_filename name;

	assert_true(maildir_filename_read(slice_of("1.a,U=7,S=3:2,PS"), &name));
	assert_true(maildir_filename_print_moved(&name, (struct slice){0}, true, FLAG_SEEN, 0, &out));
	assert_slice(buf_slice(&out), "1.a,S=3:2,PS");
	buf_clear(&out);
	assert_true(maildir_filename_print_moved(&name, SLICE_LITERAL("2.b"), false, 0, 0, &out));
	assert_slice(buf_slice(&out), "2.b,S=3");
}

static void
made_names_say_their_sizes(void **state)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;
	struct maildir_filename name;

	maildir_filename_make(1793610720, 0xf3a, 12, 14, &out);
	assert_slice(buf_slice(&out), "1793610720.R0000000000000f3a.mailfs,S=12,W=14");
	assert_true(maildir_filename_read(buf_slice(&out), &name));
	assert_slice(name.key, "1793610720.R0000000000000f3a.mailfs");
	assert_true(name.has_wire_size && name.wire_size == 14);
}

/* Of any octets: what is printed of it reads back with the flags that were asked for, and with the same key. */
static void
names_at_random_read_back(void **state)
{
	static const char octets[] = "a1.,:2SFUW=z/\n\xc3\xbcPT";
	struct random random;

	random_seed(&random, 1);
	for (int i = 0; i < 200000; i++) {
		SCOPED(buf_finish) struct buf text = BUF_INIT;
		SCOPED(buf_finish) struct buf out = BUF_INIT;
		struct maildir_filename name, again;
		uint32_t bits = (uint32_t)random_below(&random, FLAG_ALL + 1);
		uint32_t keywords = (uint32_t)random_below(&random, 1u << 26);

		for (uint64_t left = random_below(&random, 20); left > 0; left--) {
			buf_append_octet(&text, octets[random_below(&random, sizeof(octets) - 1)]);
		}
		if (!maildir_filename_read(buf_slice(&text), &name)) {
			continue;
		}
		assert_true(maildir_filename_print(&name, bits, keywords, &out));
		assert_true(maildir_filename_read(buf_slice(&out), &again));
		assert_true(again.bits == bits && again.keywords == keywords);
		assert_true(slice_equal(again.key, name.key) && slice_equal(again.base, name.base));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_read),
		cmocka_unit_test(too_long_a_name_is_none),
		cmocka_unit_test(letters_that_are_not_ours_stay),
		cmocka_unit_test(what_moves_leaves_its_uid_behind),
		cmocka_unit_test(made_names_say_their_sizes),
		cmocka_unit_test(names_at_random_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
