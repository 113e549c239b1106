#include "engine/mime/listing_name.h"

#include "engine/base/random.h"
#include "engine/mail/message_id32.h"
#include "engine/mail/safe_text.h"
#include "engine/mime/envelope_read.h"
#include "tests/unit/assert_slice.h"

#define NOV_3_2026_09_12_40 INT64_C(1793697160)

static void
make(const char *header, int64_t internaldate_s, uint64_t number, struct buf *out)
{
	SCOPED(envelope_finish) struct envelope envelope = {0};

	(void)envelope_read(slice_of(header), &envelope);
	listing_name_make(&envelope, internaldate_s, number, out);
}

static void
names_say_when_who_and_what(void **state)
{
	static const struct {
		const char *header;
		int64_t internaldate_s;
		uint64_t number;
		const char *name;
	} cases[] = {
		{"From: Ana Ruiz <ana@example.org>\nSubject: Re: Q4 budget\n", NOV_3_2026_09_12_40, 700000,
			"2026-11-03 0912 Ana Ruiz - Re Q4 budget.0nbl0.eml"},
		{"From: build@ci\nSubject: main is red\n", NOV_3_2026_09_12_40, 1,
			"2026-11-03 0912 build@ci - main is red.00001.eml"},
		{"", 0, 1, "1970-01-01 0000 unknown - no subject.00001.eml"},
		{"From: \"...\" <>\nSubject: ///\n", -1, 1, "1969-12-31 2359 unknown - no subject.00001.eml"},
		{"From: =?utf-8?Q?=C3=89l=C3=A9ne?= <e@x>\nSubject: =?utf-8?Q?Cafe=CC=81/Bar?=\n", INT64_MAX, 31,
			"9999-12-31 2359 \xc3\x89l\xc3\xa9ne - Caf\xc3\xa9"
			"Bar.0000z.eml"},
		{"Subject: ../../../etc/passwd\n", INT64_MIN, UINT64_MAX,
			"0000-01-01 0000 unknown - etcpasswd.gzzzzzzzzzzzz.eml"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		SCOPED(buf_finish) struct buf name = BUF_INIT;

		make(cases[i].header, cases[i].internaldate_s, cases[i].number, &name);
		assert_slices(buf_slice(&name), slice_of(cases[i].name));
	}
}

static void
a_long_subject_fills_the_name_and_a_long_sender_leaves_it_room(void **state)
{
	SCOPED(buf_finish) struct buf header = BUF_INIT;
	SCOPED(buf_finish) struct buf name = BUF_INIT;

	buf_append_text(&header, "From: ");
	for (unsigned i = 0; i < 100; i++) {
		buf_append_octet(&header, 'f');
	}
	buf_append_text(&header, "\nSubject: ");
	for (unsigned i = 0; i < 300; i++) {
		buf_append_octet(&header, 's');
	}
	make(header.data, 0, 1, &name);
	assert_int_equal(name.length, LISTING_NAME_MAX);
	assert_slice(
		slice_skip(slice_head(buf_slice(&name), 63), 16), "ffffffffffffffffffffffffffffffffffffffff - ssss");
	assert_true(slice_has_suffix(buf_slice(&name), SLICE_LITERAL("s.00001.eml")));
}

static void
assert_good_name(struct slice name, uint64_t expected)
{
	struct number number;

	assert_in_range(name.length, 30, LISTING_NAME_MAX);
	assert_true(safe_text_is_utf8(name));
	for (size_t i = 0; i < name.length; i++) {
		assert_true((unsigned char)name.data[i] >= ' ' && strchr("/\\:*?\"<>|\x7f", name.data[i]) == NULL);
	}
	assert_true(name.data[0] >= '0' && name.data[0] <= '9');
	assert_true(number_from_name(name, &number));
	assert_true(number.value == expected);
}

static void
random_octets_make_names_that_hold_and_give_back_their_number(void **state)
{
	static const char telling[] =
		"./\\:*?\"<>|- \t\r\n\0\x7f\xc2\x85\xcc\x81\xe2\x80\xae\xef\xbb\xbf\xf0\x9f\x91\xa9"
		"ae=?()@,;";
	struct random random;

	random_seed(&random, 14);
	for (unsigned round = 0; round < 5000; round++) {
		SCOPED(buf_finish) struct buf header = BUF_INIT;
		SCOPED(buf_finish) struct buf name = BUF_INIT;
		SCOPED(buf_finish) struct buf repeated = BUF_INIT;
		uint64_t number = (random_u64(&random) >> random_below(&random, 64)) | 1;

		for (unsigned field = 0; field < 2; field++) {
			buf_append_text(&header, field == 0 ? "From:" : "\nSubject:");
			for (uint64_t i = random_below(&random, 150); i > 0; i--) {
				buf_append_octet(
					&header, random_below(&random, 2) == 0
							 ? (char)random_u64(&random)
							 : telling[random_below(&random, sizeof(telling) - 1)]);
			}
		}
		make(header.data, (int64_t)random_u64(&random) >> random_below(&random, 64), number, &name);
		assert_good_name(buf_slice(&name), number);
		assert_true(listing_name_repeat(buf_slice(&name), number, &repeated));
		assert_good_name(buf_slice(&repeated), number);
		assert_false(slice_equal(buf_slice(&name), buf_slice(&repeated)));
	}
}

static void
an_id_is_repeated_until_only_ids_are_left(void **state)
{
	SCOPED(buf_finish) struct buf name = BUF_INIT;
	unsigned count = 0;

	make("From: Ana\nSubject: hello\n", NOV_3_2026_09_12_40, 7, &name);
	for (;; count++) {
		SCOPED(buf_finish) struct buf next = BUF_INIT;

		if (!listing_name_repeat(buf_slice(&name), 7, &next)) {
			break;
		}
		if (count == 0) {
			assert_string_equal(next.data, "2026-11-03 0912 Ana - hello.00007.00007.eml");
		}
		assert_good_name(buf_slice(&next), 7);
		buf_clear(&name);
		buf_append(&name, buf_slice(&next));
	}
	assert_int_equal(count, 19);
	assert_true(slice_has_prefix(buf_slice(&name), SLICE_LITERAL("2026-11-03 0912.00007")));
}

static void
only_names_of_that_number_are_repeated(void **state)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;

	assert_false(listing_name_repeat(SLICE_LITERAL("x.00007.eml"), 8, &out));
	assert_false(listing_name_repeat(SLICE_LITERAL("x.eml"), 7, &out));
	assert_false(listing_name_repeat(SLICE_LITERAL("x.00007"), 7, &out));
	assert_int_equal(out.length, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_say_when_who_and_what),
		cmocka_unit_test(a_long_subject_fills_the_name_and_a_long_sender_leaves_it_room),
		cmocka_unit_test(random_octets_make_names_that_hold_and_give_back_their_number),
		cmocka_unit_test(an_id_is_repeated_until_only_ids_are_left),
		cmocka_unit_test(only_names_of_that_number_are_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
