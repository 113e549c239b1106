#include "engine/base/base64.h"

#include "engine/base/random.h"
#include "tests/unit/assert_slice.h"

static void
the_examples_of_rfc_4648_hold_both_ways(void **state)
{
	static const struct {
		const char *data, *text;
	} cases[] = {
		{"", ""},
		{"f", "Zg=="},
		{"fo", "Zm8="},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		SCOPED(buf_finish) struct buf text = BUF_INIT;
		SCOPED(buf_finish) struct buf data = BUF_INIT;

		base64_encode(slice_of(cases[i].data), &text);
		assert_slices(buf_slice(&text), slice_of(cases[i].text));
		assert_true(base64_decode(buf_slice(&text), &data));
		assert_slices(buf_slice(&data), slice_of(cases[i].data));
	}
}

static void
what_is_no_base64_is_refused_and_appends_nothing(void **state)
{
	static const char *const refused[] = {
		"Z",
		"Zg",
		"Zg=",
		"Zg===",
		"Z===",
		"====",
		"Zg==Zg==",
		"Zm9v\n",
		" Zm9v",
		"Zm 9",
		"Zm9-",
		"Zm9_",
		"Zh==",
		"Zm9=",
		"=m9v",
		"Zm9v====",
	};

	for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
		SCOPED(buf_finish) struct buf data = BUF_INIT;

		buf_append_text(&data, "kept");
		if (base64_decode(slice_of(refused[i]), &data)) {
			fail_msg("accepted: %s", refused[i]);
		}
		assert_string_equal(data.data, "kept");
	}
}

static void
random_octets_come_back(void **state)
{
	struct random random;

	random_seed(&random, 7);
	for (unsigned round = 0; round < 300; round++) {
		SCOPED(buf_finish) struct buf data = BUF_INIT;
		SCOPED(buf_finish) struct buf text = BUF_INIT;
		SCOPED(buf_finish) struct buf again = BUF_INIT;
		uint64_t length = random_below(&random, round % 50 == 0 ? 40000 : 100);

		for (uint64_t i = 0; i < length; i++) {
			buf_append_octet(&data, (char)random_u64(&random));
		}
		base64_encode(buf_slice(&data), &text);
		assert_int_equal(text.length, (length + 2) / 3 * 4);
		assert_true(base64_decode(buf_slice(&text), &again));
		assert_slices(buf_slice(&again), buf_slice(&data));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_rfc_4648_hold_both_ways),
		cmocka_unit_test(what_is_no_base64_is_refused_and_appends_nothing),
		cmocka_unit_test(random_octets_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
