#include "engine/mime/identity.h"

#include "engine/base/scope.h"
#include "tests/unit/assert_slice.h"

static const char plain[] =
	"From: Ana <a@b>\r\nSubject: Q4 budget\r\nDate: Tue, 3 Nov 2026 09:12:40 +0100\r\nMessage-ID: <1@b>\r\n\r\n";

static bool
same(const char *a, const char *b)
{
	struct identity first = identity_of(slice_of(a)), second = identity_of(slice_of(b));

	return identity_equal(&first, &second);
}

static void
what_servers_rewrite_does_not_change_it(void **state)
{
	assert_true(same(plain, plain));
	/* other line ends, order, case of names, and fields that do not count */
	assert_true(same(plain, "X-New: 1\nMESSAGE-ID: <1@b>\nDate: Tue, 3 Nov 2026 09:12:40 +0100\nTo: x\nSubject: Q4 "
				"budget\nFrom: Ana <a@b>\n"));
	/* folded anew */
	assert_true(same(plain, "From: Ana\r\n <a@b>\r\nSubject:Q4\r\n\tbudget \r\nDate: Tue,  3 Nov 2026 09:12:40 "
				"+0100\r\nMessage-ID:\r\n <1@b>\r\n"));
	/* 8-bit octets and NULs replaced, one by one or in runs */
	assert_true(same("Subject: gr\xfc\xdf dich\n", "Subject: gr?? dich\n"));
	assert_true(same("Subject: gr\xc3\xbc\xc3\x9f dich\n", "Subject: gr? dich\n"));
	assert_true(same("Subject: a\x01"
			 "b\n",
		"Subject: a?b\n"));
}

static void
each_of_the_four_fields_counts(void **state)
{
	assert_false(same(plain, "From: Ana <a@b>\r\nSubject: Q4 budget\r\nDate: Tue, 3 Nov 2026 09:12:40 "
				 "+0100\r\nMessage-ID: <2@b>\r\n\r\n"));
	assert_false(same(plain, "From: Ana <a@b>\r\nSubject: Q4 budget\r\nDate: Tue, 3 Nov 2026 09:12:41 "
				 "+0100\r\nMessage-ID: <1@b>\r\n\r\n"));
	assert_false(same(plain, "From: Ana <a@b>\r\nSubject: Q3 budget\r\nDate: Tue, 3 Nov 2026 09:12:40 "
				 "+0100\r\nMessage-ID: <1@b>\r\n\r\n"));
	assert_false(same(plain, "From: Bob <a@b>\r\nSubject: Q4 budget\r\nDate: Tue, 3 Nov 2026 09:12:40 "
				 "+0100\r\nMessage-ID: <1@b>\r\n\r\n"));
	/* a value in one field is not the same value in another */
	assert_false(same("Subject: x\n", "From: x\n"));
	assert_false(same("Date: x\nFrom: y\n", "Date: xy\n"));
}

static void
a_header_without_them_has_none_and_none_is_equal_to_nothing(void **state)
{
	static const char *const without[] = {"", "To: x\n\n", "Subject:\nFrom: \r\n \t\n", "\nSubject: body\n"};

	for (size_t i = 0; i < ARRAY_LENGTH(without); i++) {
		struct identity none = identity_of(slice_of(without[i]));

		assert_true(identity_is_none(&none));
		assert_false(identity_equal(&none, &none));
	}
}

/* Identities are in stores: what this version gives for a header may never change. */
static void
the_first_octet_is_the_version_and_the_value_is_frozen(void **state)
{
	static const uint8_t frozen[IDENTITY_BYTES] = {
		0x01, 0x40, 0x1a, 0xde, 0xa3, 0xf0, 0x07, 0x73, 0x2e, 0x22, 0x85, 0x47, 0x04, 0x2a, 0xf7, 0xc0, 0xcd};
	struct identity identity = identity_of(slice_of(plain));

	assert_int_equal(identity.bytes[0], IDENTITY_VERSION);
	assert_memory_equal(identity.bytes, frozen, sizeof(frozen));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_servers_rewrite_does_not_change_it),
		cmocka_unit_test(each_of_the_four_fields_counts),
		cmocka_unit_test(a_header_without_them_has_none_and_none_is_equal_to_nothing),
		cmocka_unit_test(the_first_octet_is_the_version_and_the_value_is_frozen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
