#include "engine/mail/message_id32.h"

#include "engine/base/random.h"
#include "tests/unit/assert_slice.h"

static void
numbers_have_five_digits_or_more(void **state)
{
	static const struct {
		uint64_t number;
		const char *id;
	} cases[] = {
		{1, "00001"},
		{9, "00009"},
		{10, "0000_"},
		{11, "0000b"},
		{31, "0000z"},
		{32, "00010"},
		{(UINT64_C(1) << 25) - 1, "zzzzz"},
		{UINT64_C(1) << 25, "100000"},
		{UINT64_MAX, "gzzzzzzzzzzzz"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		SCOPED(buf_finish) struct buf id = BUF_INIT;
		struct number back;

		number_to_id((struct number){cases[i].number}, &id);
		assert_slices(buf_slice(&id), slice_of(cases[i].id));
		assert_true(number_from_id(buf_slice(&id), &back));
		assert_true(back.value == cases[i].number);
	}
}

static void
other_spellings_are_refused(void **state)
{
	static const char *const refused[] = {
		"",
		"1",
		"0001",
		"00000",
		"000001",
		"0000B",
		"0000a",
		"0000e",
		"0000-",
		"0000 ",
		"0000001",
		"00000000000000",
		"hzzzzzzzzzzzz",
		"zzzzzzzzzzzzz",
		"10000000000000",
	};
	struct number number;

	for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
		if (number_from_id(slice_of(refused[i]), &number)) {
			fail_msg("accepted: %s", refused[i]);
		}
	}
	assert_false(number_from_id(SLICE_LITERAL("0000\0"), &number));
}

static void
ids_of_one_length_sort_as_their_numbers(void **state)
{
	SCOPED(buf_finish) struct buf before = BUF_INIT;

	for (uint64_t number = 1; number < 3000; number++) {
		SCOPED(buf_finish) struct buf id = BUF_INIT;

		number_to_id((struct number){number}, &id);
		assert_true(slice_compare(buf_slice(&before), buf_slice(&id)) < 0);
		buf_clear(&before);
		buf_append(&before, buf_slice(&id));
	}
}

static void
random_numbers_come_back_from_names(void **state)
{
	struct random random;

	random_seed(&random, 2);
	for (unsigned round = 0; round < 5000; round++) {
		SCOPED(buf_finish) struct buf name = BUF_INIT;
		struct number number = {(random_u64(&random) >> random_below(&random, 64)) | 1}, back;

		buf_append_text(&name, round % 2 == 0 ? "2026-11-03 0912 Ana - x.y." : ".");
		number_to_id(number, &name);
		assert_false(number_from_name(buf_slice(&name), &back));
		buf_append_text(&name, ".eml");
		assert_true(number_from_name(buf_slice(&name), &back));
		assert_true(back.value == number.value);
	}
}

static void
names_without_an_id_have_no_number(void **state)
{
	static const char *const names[] = {
		"",
		".eml",
		"..eml",
		"x.eml",
		"00001.eml",
		"x.00001.EML",
		"x.00001.eml~",
		"x.00001",
		"x.0000.eml",
		"x.photo.eml",
		"x.00001 .eml",
		"x.00000000000000000000000000000000001.eml",
	};
	struct number number;

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		if (number_from_name(slice_of(names[i]), &number)) {
			fail_msg("accepted: %s", names[i]);
		}
	}
	assert_true(number_from_name(SLICE_LITERAL("x.00001.00002.eml"), &number));
	assert_true(number.value == 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_have_five_digits_or_more),
		cmocka_unit_test(other_spellings_are_refused),
		cmocka_unit_test(ids_of_one_length_sort_as_their_numbers),
		cmocka_unit_test(random_numbers_come_back_from_names),
		cmocka_unit_test(names_without_an_id_have_no_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
