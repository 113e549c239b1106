#include "engine/mail/flags.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/random.h"
#include "tests/unit/assert_slice.h"

/* A set from IMAP's spelling, words separated by spaces. */
static struct flags
make(const char *text)
{
	struct flags flags = FLAGS_INIT;
	struct slice rest = slice_of(text), word;

	while (flags_next_keyword(&rest, &word)) {
		assert_true(flags_add_imap(&flags, word));
	}
	return flags;
}

static void
assert_flags(const struct flags *flags, const char *imap)
{
	SCOPED(buf_finish) struct buf text = BUF_INIT;

	flags_print_imap(flags, &text);
	assert_slices(buf_slice(&text), slice_of(imap));
}

static void
keywords_are_sorted_without_case_and_keep_their_first_spelling(void **state)
{
	SCOPED(flags_finish) struct flags flags = make("zeta Alpha $Forwarded alpha ALPHA beta \\sEEN");

	assert_string_equal(flags.keywords, "$Forwarded Alpha beta zeta");
	assert_flags(&flags, "\\Seen $Forwarded Alpha beta zeta");
	assert_true(flags_has_keyword(&flags, SLICE_LITERAL("BETA")));
	assert_false(flags_has_keyword(&flags, SLICE_LITERAL("bet")));
	flags_remove_keyword(&flags, SLICE_LITERAL("ZETA"));
	flags_remove_keyword(&flags, SLICE_LITERAL("absent"));
	assert_string_equal(flags.keywords, "$Forwarded Alpha beta");
}

static void
the_last_keyword_leaves_no_text(void **state)
{
	SCOPED(flags_finish) struct flags flags = make("one");

	flags_remove_keyword(&flags, SLICE_LITERAL("One"));
	assert_null(flags.keywords);
	assert_true(flags_empty(&flags));
}

static void
recent_and_unknown_system_flags_are_passed_over(void **state)
{
	SCOPED(flags_finish) struct flags flags = make("\\Recent \\Important \\Answered");

	assert_flags(&flags, "\\Answered");
	assert_false(flags_add_imap(&flags, SLICE_LITERAL("\\")));
	assert_false(flags_add_imap(&flags, SLICE_LITERAL("")));
	assert_flags(&flags, "\\Answered");
}

static void
only_atoms_are_keywords(void **state)
{
	char longest[FLAGS_KEYWORD_MAX + 1];

	memset(longest, 'k', sizeof(longest));
	assert_true(flags_is_keyword(slice_make(longest, FLAGS_KEYWORD_MAX)));
	assert_false(flags_is_keyword(slice_make(longest, FLAGS_KEYWORD_MAX + 1)));
	for (int octet = 0; octet < 256; octet++) {
		char c = (char)octet;
		bool allowed = octet > ' ' && octet < 0x7f && (octet == 0 || strchr("(){%*\"\\]", octet) == NULL);

		assert_int_equal(flags_is_keyword(slice_make(&c, 1)), allowed);
	}
}

static void
a_full_set_takes_no_more(void **state)
{
	SCOPED(flags_finish) struct flags flags = FLAGS_INIT;
	SCOPED(flags_finish) struct flags other = FLAGS_INIT;
	SCOPED(flags_finish) struct flags sum = FLAGS_INIT;
	unsigned count = 0;

	for (;; count++) {
		char keyword[FLAGS_KEYWORD_MAX + 1];

		snprintf(keyword, sizeof(keyword), "%0100u", count);
		if (!flags_add_keyword(&flags, slice_of(keyword))) {
			break;
		}
	}
	assert_int_equal(count, FLAGS_KEYWORDS_BYTES_MAX / 101);
	assert_true(flags_add_keyword(&flags, slice_head(slice_of(flags.keywords), 100))); /* is there already */
	other = make("zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz");
	sum = flags_union(&flags, &other);
	assert_true(strlen(sum.keywords) <= FLAGS_KEYWORDS_BYTES_MAX);
}

static void
sets_combine_with_the_spelling_of_the_first(void **state)
{
	SCOPED(flags_finish) struct flags a = make("\\Seen \\Draft Foo bar");
	SCOPED(flags_finish) struct flags b = make("\\Draft \\Deleted BAR foo qux");
	SCOPED(flags_finish) struct flags both = flags_union(&a, &b);
	SCOPED(flags_finish) struct flags common = flags_intersection(&a, &b);
	SCOPED(flags_finish) struct flags left = flags_minus(&b, &a);
	SCOPED(flags_finish) struct flags copy = flags_copy(&both);

	assert_flags(&both, "\\Seen \\Draft \\Deleted bar Foo qux");
	assert_flags(&common, "\\Draft bar Foo");
	assert_flags(&left, "\\Deleted qux");
	assert_true(flags_equal(&copy, &both));
	assert_false(flags_equal(&copy, &common));
	flags_remove_keyword(&copy, SLICE_LITERAL("qux"));
	assert_flags(&both, "\\Seen \\Draft \\Deleted bar Foo qux");
}

static void
equality_ignores_the_case_of_keywords(void **state)
{
	SCOPED(flags_finish) struct flags a = make("\\Seen Foo bar");
	SCOPED(flags_finish) struct flags b = make("BAR foo \\Seen");
	SCOPED(flags_finish) struct flags c = make("BAR foo");

	assert_true(flags_equal(&a, &b));
	assert_false(flags_equal(&b, &c));
}

/* What the merge must do to one flag: whoever differs from the base has changed it. */
static bool
merged(bool base, bool a, bool b)
{
	return a != base ? a : b != base ? b : base;
}

static void
merge_follows_whoever_changed_each_flag_in_all_combinations(void **state)
{
	for (uint32_t base = 0; base <= FLAG_ALL; base++) {
		for (uint32_t a = 0; a <= FLAG_ALL; a++) {
			for (uint32_t b = 0; b <= FLAG_ALL; b++) {
				struct flags result = flags_merge(&(struct flags){.bits = base},
					&(struct flags){.bits = a}, &(struct flags){.bits = b});

				for (uint32_t bit = 1; bit < FLAG_ALL; bit <<= 1) {
					assert_int_equal((result.bits & bit) != 0,
						merged((base & bit) != 0, (a & bit) != 0, (b & bit) != 0));
				}
				assert_int_equal(result.bits & ~(uint32_t)FLAG_ALL, 0);
				assert_null(result.keywords);
			}
		}
	}
}

/* Eight keywords, each a bit of `which`. */
static struct flags
make_keywords(unsigned which)
{
	static const char *const names[] = {"a", "B", "b-2", "$MDNSent", "Junk", "junk2", "~", "Z"};
	struct flags flags = FLAGS_INIT;

	for (unsigned i = 0; i < 8; i++) {
		if ((which & 1u << i) != 0) {
			assert_true(flags_add_keyword(&flags, slice_of(names[i])));
		}
	}
	return flags;
}

static void
merge_and_sets_hold_for_keywords_as_for_bits(void **state)
{
	struct random random;

	random_seed(&random, 3);
	for (unsigned round = 0; round < 3000; round++) {
		unsigned base = (unsigned)random_below(&random, 256), a = (unsigned)random_below(&random, 256),
			 b = (unsigned)random_below(&random, 256), expected = 0;
		SCOPED(flags_finish) struct flags base_flags = make_keywords(base);
		SCOPED(flags_finish) struct flags a_flags = make_keywords(a);
		SCOPED(flags_finish) struct flags b_flags = make_keywords(b);
		SCOPED(flags_finish) struct flags result = flags_merge(&base_flags, &a_flags, &b_flags);
		SCOPED(flags_finish) struct flags swapped = flags_merge(&base_flags, &b_flags, &a_flags);
		SCOPED(flags_finish) struct flags sum = flags_union(&a_flags, &b_flags);
		SCOPED(flags_finish) struct flags common = flags_intersection(&a_flags, &b_flags);
		SCOPED(flags_finish) struct flags left = flags_minus(&a_flags, &b_flags);
		SCOPED(flags_finish) struct flags merge_expected = FLAGS_INIT;
		SCOPED(flags_finish) struct flags sum_expected = make_keywords(a | b);
		SCOPED(flags_finish) struct flags common_expected = make_keywords(a & b);
		SCOPED(flags_finish) struct flags left_expected = make_keywords(a & ~b);

		for (unsigned bit = 1; bit < 256; bit <<= 1) {
			expected |= merged((base & bit) != 0, (a & bit) != 0, (b & bit) != 0) ? bit : 0;
		}
		merge_expected = make_keywords(expected);
		assert_true(flags_equal(&result, &merge_expected));
		assert_true(flags_equal(&swapped, &result));
		assert_true(flags_equal(&sum, &sum_expected));
		assert_true(flags_equal(&common, &common_expected));
		assert_true(flags_equal(&left, &left_expected));
	}
}

static void
our_spelling_replaces_or_changes(void **state)
{
	static const struct {
		const char *before, *value, *after; /* NULL: refused */
	} cases[] = {
		{"\\Seen \\Draft", "flagged", "\\Flagged"},
		{"\\Seen \\Draft", "+flagged -seen", "\\Flagged \\Draft"},
		{"\\Seen Junk", "", "Junk"},
		{"", "SEEN answered\n", "\\Seen \\Answered"},
		{"", "draft deleted seen flagged answered", "\\Seen \\Flagged \\Answered \\Draft \\Deleted"},
		{"\\Seen", "+seen flagged", NULL},
		{"\\Seen", "flagged -seen", NULL},
		{"\\Seen", "recent", NULL},
		{"\\Seen", "+", NULL},
		{"\\Seen", "\\Seen", NULL},
		{"\\Seen", "seen,flagged", NULL},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		SCOPED(flags_finish) struct flags flags = make(cases[i].before);
		struct error err = ERROR_INIT;

		assert_int_equal(flags_apply_system(&flags, slice_of(cases[i].value), &err), cases[i].after != NULL);
		assert_int_equal(err.kind, cases[i].after != NULL ? ERROR_NONE : ERROR_INVALID);
		assert_flags(&flags, cases[i].after != NULL ? cases[i].after : cases[i].before);
	}
}

static void
a_refused_value_names_the_word_and_a_nul_is_no_end(void **state)
{
	struct flags flags = FLAGS_INIT;
	struct error err = ERROR_INIT;

	assert_false(flags_apply_system(&flags, SLICE_LITERAL("seen bogus"), &err));
	assert_non_null(strstr(err.text, "bogus"));
	assert_false(flags_apply_system(&flags, SLICE_LITERAL("seen\0junk"), &err));
	assert_false(flags_apply_keywords(&flags, SLICE_LITERAL("Junk\0x"), &err));
	assert_true(flags_empty(&flags));
}

static void
keywords_are_replaced_or_changed_whole_or_not_at_all(void **state)
{
	static const struct {
		const char *before, *value, *after; /* NULL: refused */
	} cases[] = {
		{"\\Seen Junk", "Work home", "\\Seen home Work"},
		{"\\Seen Junk", "+work", "\\Seen Junk work"},
		{"\\Seen Junk", "-JUNK", "\\Seen"},
		{"\\Seen Junk", "", "\\Seen"},
		{"Junk", "-absent", "Junk"},
		{"Junk", "ok b(d", NULL},
		{"Junk", "+ok -", NULL},
		{"Junk", "\\Seen", NULL},
		{"Junk", "caf\xc3\xa9", NULL},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		SCOPED(flags_finish) struct flags flags = make(cases[i].before);
		struct error err = ERROR_INIT;

		assert_int_equal(flags_apply_keywords(&flags, slice_of(cases[i].value), &err), cases[i].after != NULL);
		assert_flags(&flags, cases[i].after != NULL ? cases[i].after : cases[i].before);
	}
}

static void
every_spelling_of_the_system_flags_comes_back(void **state)
{
	for (uint32_t bits = 0; bits <= FLAG_ALL; bits++) {
		SCOPED(buf_finish) struct buf letters = BUF_INIT;
		SCOPED(buf_finish) struct buf names = BUF_INIT;
		struct flags flags = {.bits = bits}, again = {.bits = FLAG_ALL};
		struct error err = ERROR_INIT;

		flags_print_maildir(&flags, &letters);
		for (size_t i = 1; i < letters.length; i++) {
			assert_true(letters.data[i - 1] < letters.data[i]);
		}
		assert_int_equal(flags_bits_of_maildir(buf_slice(&letters)), bits);
		flags_print_system(&flags, &names);
		assert_true(flags_apply_system(&again, buf_slice(&names), &err));
		assert_int_equal(again.bits, bits);
	}
	assert_int_equal(flags_bits_of_maildir(SLICE_LITERAL("DFRSTPabc,\xff")), FLAG_ALL);
	assert_int_equal(flags_bit_of(SLICE_LITERAL("junk")), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keywords_are_sorted_without_case_and_keep_their_first_spelling),
		cmocka_unit_test(the_last_keyword_leaves_no_text),
		cmocka_unit_test(recent_and_unknown_system_flags_are_passed_over),
		cmocka_unit_test(only_atoms_are_keywords),
		cmocka_unit_test(a_full_set_takes_no_more),
		cmocka_unit_test(sets_combine_with_the_spelling_of_the_first),
		cmocka_unit_test(equality_ignores_the_case_of_keywords),
		cmocka_unit_test(merge_follows_whoever_changed_each_flag_in_all_combinations),
		cmocka_unit_test(merge_and_sets_hold_for_keywords_as_for_bits),
		cmocka_unit_test(our_spelling_replaces_or_changes),
		cmocka_unit_test(a_refused_value_names_the_word_and_a_nul_is_no_end),
		cmocka_unit_test(keywords_are_replaced_or_changed_whole_or_not_at_all),
		cmocka_unit_test(every_spelling_of_the_system_flags_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
