#include "engine/mime/header.h"

#include "engine/base/random.h"
#include "tests/unit/assert_slice.h"

static void
the_header_ends_with_its_first_empty_line(void **state)
{
	static const struct {
		const char *message;
		size_t length;
	} cases[] = {
		{"", 0},
		{"A: b\n\nbody\n\n", 6},
		{"A: b\r\n\r\nbody", 8},
		{"A: b\r\n\nbody", 7},
		{"A: b", 4},
		{"A: b\n", 5},
		{"\nA: b\n", 1},
		{"\r\nbody", 2},
		{"From me 2026\nA: b\n\nx", 19},
		{"From me", 7},
		{"A: b\n \n\nx", 8},
		{"A: b\r\rx\n\n", 9},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		assert_int_equal(header_length(slice_of(cases[i].message)), cases[i].length);
	}
}

/* Appends the fields that a walk gives as `name[raw]`. */
static void
walk(struct slice message, struct buf *out)
{
	struct header_walk walk;
	struct header_field field;

	header_walk_begin(&walk, message);
	while (header_next(&walk, &field)) {
		buf_append(out, field.name);
		buf_append_octet(out, '[');
		buf_append(out, field.raw);
		buf_append_octet(out, ']');
	}
	assert_false(header_next(&walk, &field));
}

static void
fields_are_walked_with_their_continuations(void **state)
{
	static const struct {
		const char *message, *fields;
	} cases[] = {
		{"A: b\nC: d\n\nE: f\n", "A[ b]C[ d]"},
		{"A: b\r\n\tc\r\n d\r\nE:f\r\n\r\n", "A[ b\r\n\tc\r\n d]E[f]"},
		{"A:\nB: \n", "A[]B[ ]"},
		{"A : b\n", "A[ b]"},          /* obsolete blanks */
		{" stray\nA: b\n", "A[ b]"},   /* a continuation of nothing */
		{"no field\nA: b\n", "A[ b]"}, /* passed over */
		{": x\nA: b\n", "A[ b]"},
		{"A: b: c\n", "A[ b: c]"},
		{"\xc3\xa9: x\nA: b", "A[ b]"},
		{"From me 2026\nA: b\n", "A[ b]"},
		{">From me 2026\nA: b\n", "A[ b]"},
		{"From: me\n", "From[ me]"},
		{"A: b\n \t\nC: d\n", "A[ b\n \t]C[ d]"},
		{"A: b\r", "A[ b]"},
		{"\nA: b\n", ""},
		{"", ""},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		SCOPED(buf_finish) struct buf out = BUF_INIT;

		walk(slice_of(cases[i].message), &out);
		assert_slices(buf_slice(&out), slice_of(cases[i].fields));
	}
}

static void
nuls_are_octets_as_others_in_a_value(void **state)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;

	walk(SLICE_LITERAL("A: b\0c\nD\0: e\nF: g\n"), &out);
	assert_slice(buf_slice(&out), "A[ b\0c]F[ g]");
}

static void
the_first_of_a_name_is_found_whatever_its_case(void **state)
{
	struct slice raw;

	assert_true(header_find(SLICE_LITERAL("Subject: one\nSUBJECT: two\n"), SLICE_LITERAL("sUbJeCt"), &raw));
	assert_slice(raw, " one");
	assert_false(header_find(
		SLICE_LITERAL("Subjects: one\nSubjec: x\n\nSubject: body\n"), SLICE_LITERAL("Subject"), &raw));
}

static void
unfolding_takes_out_line_ends_only(void **state)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;

	header_unfold(SLICE_LITERAL(" a\r\n\tb\n  c\rd \r\n "), &out);
	assert_slice(buf_slice(&out), "a\tb  c\rd");
	buf_clear(&out);
	header_unfold(SLICE_LITERAL(" \r\n "), &out);
	assert_int_equal(out.length, 0);
}

static void
keys_are_collected_in_one_pass(void **state)
{
	struct header_keys keys;

	header_collect(SLICE_LITERAL("Received: 1\nreceived: 2\nFROM: a\nTo: b\nTo: c\nSubject: s\n t\nX-To: "
				     "no\nmessage-id: <m>\n\nDate: body\n"),
		&keys);
	assert_slice(keys.raw[HEADER_FROM], " a");
	assert_slice(keys.raw[HEADER_TO], " b");
	assert_slice(keys.raw[HEADER_SUBJECT], " s\n t");
	assert_slice(keys.raw[HEADER_MESSAGE_ID], " <m>");
	assert_null(keys.raw[HEADER_DATE].data);
	assert_int_equal(keys.received_count, 2);

	header_collect(SLICE_LITERAL("Date:\n"), &keys);
	assert_non_null(keys.raw[HEADER_DATE].data);
	assert_int_equal(keys.raw[HEADER_DATE].length, 0);
}

static void
a_message_begins_with_a_field(void **state)
{
	static const struct {
		const char *bytes;
		bool is_message;
		unsigned score;
	} cases[] = {
		{"From: a\nTo: b\n\nx", true, 2},
		{"X-Any: a", true, 0},
		{"From a@b Tue Nov  3\nFrom: a\nDate: b\nDate: c\n", true, 2},
		{"From a@b Tue Nov  3\n", false, 0},
		{"From: a\nTo: b\nDate: c\nSubject: d\nMessage-ID: e\nReceived: f\nReceived: g\n", true, 6},
		{"", false, 0},
		{"\nFrom: a\n", false, 0},
		{"Hello there\n", false, 0},
		{" From: a\nTo: b\n", false, 1},
		{"#!/bin/sh\n", false, 0},
		{"\x7f"
		 "ELF: x\n",
			false, 0},
		{"S\xc3\xbc"
		 "bject: x\n",
			false, 0},
		{":\n", false, 0},
		{"A:", true, 0},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		assert_int_equal(header_is_message(slice_of(cases[i].bytes)), cases[i].is_message);
		assert_int_equal(header_score(slice_of(cases[i].bytes)), cases[i].score);
	}
}

static void
nothing_behind_the_bounds_is_looked_at(void **state)
{
	SCOPED(buf_finish) struct buf many = BUF_INIT;
	SCOPED(buf_finish) struct buf large = BUF_INIT;
	struct header_walk walk;
	struct header_field field;
	struct slice raw;
	unsigned count = 0;

	for (unsigned i = 0; i < HEADER_FIELDS_MAX; i++) {
		buf_append_text(&many, "A: b\n");
	}
	buf_append_text(&many, "Subject: s\n");
	header_walk_begin(&walk, buf_slice(&many));
	while (header_next(&walk, &field)) {
		count++;
	}
	assert_int_equal(count, HEADER_FIELDS_MAX);
	assert_false(header_find(buf_slice(&many), SLICE_LITERAL("Subject"), &raw));

	buf_append_text(&large, "A: ");
	while (large.length <= HEADER_BYTES_MAX) {
		buf_append_text(&large, "x\n ");
	}
	buf_append_text(&large, "x\nSubject: s\n\n");
	assert_int_equal(header_length(buf_slice(&large)), HEADER_BYTES_MAX);
	assert_false(header_find(buf_slice(&large), SLICE_LITERAL("Subject"), &raw));
}

static void
the_keys_of_random_octets_are_those_of_a_walk(void **state)
{
	static const char *const pieces[] = {"From", "To", "Subject", "Date", "Message-ID", "Received", ":", ": ", " ",
		"\t", "\n", "\r\n", "\n\n", "x", "\xff", "From ", "\r"};
	struct random random;

	random_seed(&random, 8);
	for (unsigned round = 0; round < 5000; round++) {
		SCOPED(buf_finish) struct buf text = BUF_INIT;
		struct header_keys keys;
		struct slice raw;

		for (uint64_t i = random_below(&random, 40); i > 0; i--) {
			buf_append_text(&text, pieces[random_below(&random, ARRAY_LENGTH(pieces))]);
		}
		header_collect(buf_slice(&text), &keys);
		assert_int_equal(header_find(buf_slice(&text), SLICE_LITERAL("subject"), &raw),
			keys.raw[HEADER_SUBJECT].data != NULL);
		assert_true(keys.raw[HEADER_SUBJECT].data == NULL || slice_equal(raw, keys.raw[HEADER_SUBJECT]));
		assert_int_equal(
			header_find(buf_slice(&text), SLICE_LITERAL("received"), &raw), keys.received_count > 0);
		assert_true(header_length(buf_slice(&text)) <= text.length);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_header_ends_with_its_first_empty_line),
		cmocka_unit_test(fields_are_walked_with_their_continuations),
		cmocka_unit_test(nuls_are_octets_as_others_in_a_value),
		cmocka_unit_test(the_first_of_a_name_is_found_whatever_its_case),
		cmocka_unit_test(unfolding_takes_out_line_ends_only),
		cmocka_unit_test(keys_are_collected_in_one_pass),
		cmocka_unit_test(a_message_begins_with_a_field),
		cmocka_unit_test(nothing_behind_the_bounds_is_looked_at),
		cmocka_unit_test(the_keys_of_random_octets_are_those_of_a_walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
