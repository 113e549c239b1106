#include "engine/mail/maildir_name.h"

#include "engine/base/random.h"
#include "tests/unit/assert_slice.h"

static void
names_are_read_and_printed(void **state)
{
	static const struct {
		const char *leaf, *base, *printed;
		bool is_new;
		uint32_t letters;
	} cases[] = {
		{"1793610720.k7q2m.mailfs:2,RS", "1793610720.k7q2m.mailfs", "1793610720.k7q2m.mailfs:2,RS", false,
			FLAG_ANSWERED | FLAG_SEEN},
		{"a:2,DFPRST", "a", "a:2,DFPRST", false, MAILDIR_LETTERS_ALL},
		{"a:2,", "a", "a:2,", false, 0},
		{"a", "a", "a:2,", false, 0},
		{"a", "a", "a", true, 0},
		{"a:2,", "a", "a", true, 0},
		{"a:2,F", "a", "a:2,F", true, FLAG_FLAGGED},
		{"17.M1P2.host,U=5:2,S", "17.M1P2.host,U=5", "17.M1P2.host,U=5:2,S", false, FLAG_SEEN},
		{"a:1,b", "a:1,b", "a:1,b:2,", false, 0},
		{"a:b:2,T", "a:b", "a:b:2,T", false, FLAG_DELETED},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		SCOPED(buf_finish) struct buf printed = BUF_INIT;
		struct maildir_name name;

		assert_true(maildir_name_read(slice_of(cases[i].leaf), cases[i].is_new, &name));
		assert_slices(name.base, slice_of(cases[i].base));
		assert_int_equal(name.letters, cases[i].letters);
		maildir_name_print(&name, &printed);
		assert_slices(buf_slice(&printed), slice_of(cases[i].printed));
	}
}

static void
what_no_mail_program_writes_is_refused(void **state)
{
	static const char *const refused[] = {
		"",
		":2,S",
		".a:2,S",
		"a:2,SR",
		"a:2,SS",
		"a:2,a",
		"a:2,X",
		"a:2,S:2,F",
		"a:2,S.bak:2,",
		"a/b",
	};
	struct maildir_name name;
	char longest[MAILDIR_BASE_MAX + 2];

	for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
		assert_false(maildir_name_read(slice_of(refused[i]), false, &name));
	}
	memset(longest, 'x', sizeof(longest));
	assert_true(maildir_name_read(slice_make(longest, MAILDIR_BASE_MAX), false, &name));
	assert_false(maildir_name_read(slice_make(longest, MAILDIR_BASE_MAX + 1), false, &name));
	assert_false(maildir_name_read(slice_make("a\0b", 3), false, &name));
}

static void
paths_tell_the_directory(void **state)
{
	SCOPED(buf_finish) struct buf path = BUF_INIT;
	struct maildir_name name = {.is_new = true, .base = slice_of("a")}, back;

	maildir_name_print_path(&name, &path);
	assert_slices(buf_slice(&path), slice_of("new/a"));
	assert_true(maildir_name_read_path(buf_slice(&path), &back));
	assert_true(back.is_new && slice_equal(back.base, name.base) && back.letters == 0);
	name.is_new = false;
	name.letters = FLAG_SEEN;
	buf_clear(&path);
	maildir_name_print_path(&name, &path);
	assert_slices(buf_slice(&path), slice_of("cur/a:2,S"));
	assert_false(maildir_name_read_path(slice_of("tmp/a"), &back));
	assert_false(maildir_name_read_path(slice_of("cur"), &back));
	assert_false(maildir_name_read_path(slice_of(""), &back));
}

static void
made_bases_have_one_spelling(void **state)
{
	static const char *const refused[] = {
		"",
		".mailfs",
		"1793610720.mailfs",
		"1793610720..mailfs",
		"1793610720.00001",
		"01793610720.00001.mailfs",
		"+1.00001.mailfs",
		"-0.00001.mailfs",
		"1.0001.mailfs",
		"1.00000.mailfs",
		"1.000001.mailfs",
		"1.00001.host.mailfs",
		"99999999999999999999.00001.mailfs",
	};
	struct number number;
	int64_t seconds;

	for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
		assert_false(maildir_name_read_base(slice_of(refused[i]), &seconds, &number));
	}
	for (int64_t at = -1; at <= 1793610720; at += 1793610721) {
		SCOPED(buf_finish) struct buf base = BUF_INIT;

		maildir_name_make_base(at, (struct number){1}, &base);
		assert_slices(buf_slice(&base), slice_of(at < 0 ? "-1.00001.mailfs" : "1793610720.00001.mailfs"));
		assert_true(maildir_name_read_base(buf_slice(&base), &seconds, &number));
		assert_true(seconds == at && number.value == 1);
	}
}

static void
letters_are_flags_and_one_keyword(void **state)
{
	SCOPED(flags_finish) struct flags flags = FLAGS_INIT;

	assert_true(flags_add_keyword(&flags, slice_of("Junk")));
	assert_int_equal(maildir_name_letters(&flags), 0);
	assert_true(maildir_name_set_letters(&flags, MAILDIR_PASSED | FLAG_SEEN));
	assert_int_equal(maildir_name_letters(&flags), MAILDIR_PASSED | FLAG_SEEN);
	assert_true(flags_has_keyword(&flags, slice_of("$forwarded")) && flags_has_keyword(&flags, slice_of("junk")));
	assert_true(maildir_name_set_letters(&flags, FLAG_DRAFT));
	assert_int_equal(maildir_name_letters(&flags), FLAG_DRAFT);
	assert_true(flags_has_keyword(&flags, slice_of("Junk")));
}

/* Whatever is read is printed so that it is read as the same; what was made is found again; nothing else is taken for it. */
static void
at_random(void **state)
{
	static const char octets[] = "ab1.:2,DFPRST=U-mailfs/";
	struct random random;

	random_seed(&random, 42);
	for (int i = 0; i < 200000; i++) {
		SCOPED(buf_finish) struct buf leaf = BUF_INIT, printed = BUF_INIT, again = BUF_INIT;
		size_t length = (size_t)random_below(&random, 14);
		bool is_new = random_below(&random, 2) == 1;
		struct maildir_name name, back;
		struct number number;
		int64_t seconds;

		for (size_t at = 0; at < length; at++) {
			buf_append_octet(&leaf, octets[random_below(&random, sizeof(octets) - 1)]);
		}
		if (random_below(&random, 4) == 0) {
			buf_append_text(&leaf, ":2,S");
		}
		if (maildir_name_read(buf_slice(&leaf), is_new, &name)) {
			maildir_name_print(&name, &printed);
			assert_true(maildir_name_read(buf_slice(&printed), is_new, &back));
			assert_slices(back.base, name.base);
			assert_int_equal(back.letters, name.letters);
		}
		number.value = random_u64(&random) >> random_below(&random, 63) | 1;
		maildir_name_make_base((int64_t)(random_u64(&random) >> 20) - (1 << 20), number, &again);
		struct number made = number;

		assert_true(maildir_name_read_base(buf_slice(&again), &seconds, &number));
		assert_true(number.value == made.value);
		again.data[random_below(&random, again.length)] ^= (char)(1 + random_below(&random, 127));
		if (maildir_name_read_base(buf_slice(&again), &seconds, &number)) {
			buf_clear(&printed);
			maildir_name_make_base(seconds, number, &printed);
			assert_slices(buf_slice(&printed), buf_slice(&again));
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_read_and_printed),
		cmocka_unit_test(what_no_mail_program_writes_is_refused),
		cmocka_unit_test(paths_tell_the_directory),
		cmocka_unit_test(made_bases_have_one_spelling),
		cmocka_unit_test(letters_are_flags_and_one_keyword),
		cmocka_unit_test(at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
