#include "engine/base/sha256.h"

#include "engine/base/scope.h"
#include "tests/unit/assert_slice.h"

static void
the_examples_of_fips_180_hold(void **state)
{
	static const struct {
		const char *text, *hex;
	} cases[] = {
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
			"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct digest digest = sha256_of(slice_of(cases[i].text)), back;
		char hex[SHA256_HEX_BYTES];

		digest_to_hex(&digest, hex);
		assert_string_equal(hex, cases[i].hex);
		assert_true(digest_from_hex(slice_of(hex), &back));
		assert_true(digest_equal(&digest, &back));
	}
}

static void
pieces_give_the_digest_of_the_whole_and_the_next_begins_anew(void **state)
{
	SCOPED(sha256_destroy) struct sha256 *sha = sha256_create();
	struct digest whole = sha256_of(SLICE_LITERAL("abc")), pieces;

	for (unsigned round = 0; round < 2; round++) {
		sha256_update(sha, SLICE_LITERAL("a"));
		sha256_update(sha, slice_of(NULL));
		sha256_update(sha, SLICE_LITERAL("bc"));
		pieces = sha256_final(sha);
		assert_true(digest_equal(&whole, &pieces));
	}
	sha256_update(sha, SLICE_LITERAL("abd"));
	pieces = sha256_final(sha);
	assert_false(digest_equal(&whole, &pieces));
}

static void
what_is_no_digest_in_hex_is_refused(void **state)
{
	struct digest digest;
	char hex[SHA256_HEX_BYTES];

	memset(hex, 'a', sizeof(hex));
	assert_true(digest_from_hex(slice_make(hex, 64), &digest));
	assert_false(digest_from_hex(slice_make(hex, 65), &digest));
	assert_false(digest_from_hex(slice_make(hex, 63), &digest));
	hex[63] = 'g';
	assert_false(digest_from_hex(slice_make(hex, 64), &digest));
	hex[63] = 'A'; /* names of files are small letters only */
	assert_false(digest_from_hex(slice_make(hex, 64), &digest));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_fips_180_hold),
		cmocka_unit_test(pieces_give_the_digest_of_the_whole_and_the_next_begins_anew),
		cmocka_unit_test(what_is_no_digest_in_hex_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
