#include "engine/mail/mailbox_name.h"

#include "engine/base/random.h"
#include "engine/mail/safe_text.h"
#include "tests/unit/assert_slice.h"

struct row {
	const char *raw;
	char separator;
	const char *ours;
};

static const struct row exact[] = {
	{"INBOX", '/', "INBOX"},
	{"INBOX.Sent", '.', "INBOX/Sent"},
	{"Work/2026/Q4", '/', "Work/2026/Q4"},
	{"Work/2026", '.', "Work%2F2026"},
	{"Work/2026", '\0', "Work%2F2026"},
	{"Entw&APw-rfe", '/', "Entw\xc3\xbcrfe"},
	{"&ZeVnLIqe-/&U,BTFw-", '/', "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e/\xe5\x8f\xb0\xe5\x8c\x97"},
	{"&2D3eAA-", '/', "\xf0\x9f\x98\x80"},
	{"A&-B", '/', "A&B"},
	{"100%", '/', "100%"},
	{"50%ab", '/', "50%25ab"},
	{"50%2", '/', "50%2"},
	{"%2F", '.', "%252F"},
	/* not canonical modified UTF-7, so left as it is, with its & marked */
	{"&AOk-&AOk-", '/', "\xc3\xa9%26AOk-"},
	{"&AOk", '/', "%26AOk"},
	{"&AGE-", '/', "%26AGE-"}, /* an ASCII letter */
	{"&AC8-", '/', "%26AC8-"}, /* a slash in disguise */
	{"&AAA-", '/', "%26AAA-"}, /* a NUL */
	{"&IC4-", '/', "%26IC4-"}, /* a bidi mark */
	{"&2D0-", '/', "%262D0-"}, /* half a pair */
	{"&AOl-", '/', "%26AOl-"}, /* bits left over */
	{"a&b", '/', "a%26b"},
	{"caf\xc3\xa9", '/', "caf%C3%A9"},
	{"a\x01z", '/', "a%01z"},
	/* separators that would make empty levels */
	{"a//b", '/', "a/%2fb"},
	{"a/", '/', "a%2f"},
	{"/a", '/', "%2fa"},
	{"/", '/', "%2f"},
	{"a..b.", '.', "a/%2eb%2e"},
};

static void
raw_names_become_ours_and_go_back(void **state)
{
	for (size_t i = 0; i < ARRAY_LENGTH(exact); i++) {
		SCOPED(buf_finish) struct buf ours = BUF_INIT;
		SCOPED(buf_finish) struct buf raw = BUF_INIT;
		struct error err = ERROR_INIT;

		assert_true(mailbox_name_from_imap(slice_of(exact[i].raw), exact[i].separator, &ours));
		assert_slices(buf_slice(&ours), slice_of(exact[i].ours));
		if (!mailbox_name_to_imap(buf_slice(&ours), exact[i].separator, &raw, &err)) {
			fail_msg("%s: %s", exact[i].raw, err.text);
		}
		assert_slices(buf_slice(&raw), slice_of(exact[i].raw));
	}
}

static void
inbox_is_spelled_in_one_way(void **state)
{
	static const struct row rows[] = {{"inbox", '/', "INBOX"}, {"InBox.x", '.', "INBOX/x"},
		{"Inboxes", '/', "Inboxes"}, {"a/inbox", '/', "a/inbox"}};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		SCOPED(buf_finish) struct buf ours = BUF_INIT;

		assert_true(mailbox_name_from_imap(slice_of(rows[i].raw), rows[i].separator, &ours));
		assert_slices(buf_slice(&ours), slice_of(rows[i].ours));
	}
	assert_true(mailbox_name_is_inbox(SLICE_LITERAL("iNBOX")));
	assert_false(mailbox_name_is_inbox(SLICE_LITERAL("INBOX/a")));
}

static void
a_nul_in_a_raw_name_is_escaped(void **state)
{
	SCOPED(buf_finish) struct buf ours = BUF_INIT;
	SCOPED(buf_finish) struct buf raw = BUF_INIT;
	struct error err = ERROR_INIT;

	assert_true(mailbox_name_from_imap(SLICE_LITERAL("a\0b"), '/', &ours));
	assert_slice(buf_slice(&ours), "a%00b");
	assert_true(mailbox_name_to_imap(buf_slice(&ours), '/', &raw, &err));
	assert_slice(buf_slice(&raw), "a\0b");
}

static void
names_that_no_raw_name_gives_are_refused(void **state)
{
	static const struct {
		const char *ours;
		char separator;
	} refused[] = {
		{"", '/'},
		{"/a", '/'},
		{"a/", '/'},
		{"a//b", '/'},
		{"a.b", '.'},
		{"a/b", '\0'},
		{"%41", '/'},
		{"a%2Fb", '/'},
		{"%2fa", '.'},
		{"50%ab", '/'},
		{"inbox", '/'},
		{"Inbox/a", '/'},
		{"a\x01", '/'},
		{"a\xff", '/'},
		{"\xe2\x80\xae", '/'},
		{"\xc2\x85", '/'},
		{"%26-", '/'},
		{"%26AOk-", '/'},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
		SCOPED(buf_finish) struct buf raw = BUF_INIT;
		struct error err = ERROR_INIT;
		bool accepted = mailbox_name_to_imap(slice_of(refused[i].ours), refused[i].separator, &raw, &err);

		if (accepted) {
			fail_msg("accepted: %s as %s", refused[i].ours, raw.data);
		}
		assert_true(accepted || (err.kind == ERROR_INVALID && raw.length == 0));
	}
}

static void
names_too_long_or_too_deep_are_refused(void **state)
{
	SCOPED(buf_finish) struct buf raw = BUF_INIT;
	SCOPED(buf_finish) struct buf out = BUF_INIT;

	for (unsigned i = 0; i < MAILBOX_DEPTH_MAX; i++) {
		buf_append_text(&raw, i == 0 ? "a" : "/a");
	}
	assert_true(mailbox_name_from_imap(buf_slice(&raw), '/', &out));
	buf_append_text(&raw, "/a");
	buf_clear(&out);
	assert_false(mailbox_name_from_imap(buf_slice(&raw), '/', &out));
	assert_int_equal(out.length, 0);

	buf_clear(&raw);
	for (unsigned i = 0; i < MAILBOX_NAME_MAX; i++) {
		buf_append_octet(&raw, 'x');
	}
	assert_true(mailbox_name_from_imap(buf_slice(&raw), '/', &out));
	buf_append_octet(&raw, 'x');
	buf_clear(&out);
	assert_false(mailbox_name_from_imap(buf_slice(&raw), '/', &out));
	assert_false(mailbox_name_from_imap(slice_of(NULL), '/', &out));
	assert_int_equal(out.length, 0);
}

static void
levels_become_file_names_and_go_back(void **state)
{
	static const struct {
		const char *leaf, *file;
	} cases[] = {
		{"Work", "Work"},
		{"cur", "%63ur"},
		{"new", "%6Eew"},
		{"tmp", "%74mp"},
		{"Cur", "Cur"},
		{"current", "current"},
		{".git", "%2Egit"},
		{".", "%2E"},
		{"..", "%2E."},
		{"a%2Fb", "a%2Fb"},
		{"50%25ab", "50%25ab"},
		{"%252Egit", "%252Egit"},
		{"%2egit", "%2egit"},
		{"caf\xc3\xa9", "caf\xc3\xa9"},
		{"-rf", "-rf"},
		{"inbox", "inbox"},
		{"%26AOk", "%26AOk"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		SCOPED(buf_finish) struct buf file = BUF_INIT;
		SCOPED(buf_finish) struct buf leaf = BUF_INIT;

		assert_true(mailbox_name_to_file(slice_of(cases[i].leaf), &file));
		assert_slices(buf_slice(&file), slice_of(cases[i].file));
		assert_true(mailbox_name_from_file(buf_slice(&file), &leaf));
		assert_slices(buf_slice(&leaf), slice_of(cases[i].leaf));
	}
}

static void
file_names_that_no_level_has_are_refused(void **state)
{
	static const char *const refused[] = {"", ".", "..", ".git", "cur", "new", "tmp", "%41bc", "50%ab", "%2fx/",
		"a/b", "%63urr", "a\x01", "a\xff", "\xe2\x80\xae", "%2egit%2f"};
	SCOPED(buf_finish) struct buf leaf = BUF_INIT;
	char longest[257];

	for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
		if (mailbox_name_from_file(slice_of(refused[i]), &leaf)) {
			fail_msg("accepted: %s", refused[i]);
		}
		assert_int_equal(leaf.length, 0);
	}
	memset(longest, '.', sizeof(longest));
	assert_true(mailbox_name_to_file(slice_make(longest, 253), &leaf));
	buf_clear(&leaf);
	assert_false(mailbox_name_to_file(slice_make(longest, 254), &leaf));
	assert_false(mailbox_name_to_file(SLICE_LITERAL("a\0b"), &leaf));
	assert_int_equal(leaf.length, 0);
}

/* Octets that mean something in raw names, in ours, or in file names. */
static char
random_octet(struct random *random)
{
	static const char telling[] = "ab&-/.%%2FfeAOkE,1IiNnBbOoXxcurnewtmp\x01\x7f\0\xc3\xa9\xe2\x80\xae ~";

	return random_below(random, 10) == 0 ? (char)random_u64(random)
					     : telling[random_below(random, sizeof(telling) - 1)];
}

static void
random_raw_names_come_back_octet_for_octet_and_so_do_their_files(void **state)
{
	static const char separators[] = "/.\\";
	struct random random;

	random_seed(&random, 9);
	for (unsigned round = 0; round < 40000; round++) {
		char text[24];
		struct slice raw = slice_make(text, 1 + random_below(&random, sizeof(text)));
		char separator = separators[random_below(&random, sizeof(separators))];
		SCOPED(buf_finish) struct buf ours = BUF_INIT;
		SCOPED(buf_finish) struct buf back = BUF_INIT;
		struct error err = ERROR_INIT;
		struct slice rest;

		for (size_t i = 0; i < raw.length; i++) {
			text[i] = random_octet(&random);
		}
		assert_true(mailbox_name_from_imap(raw, separator, &ours));
		assert_true(safe_text_is_utf8(buf_slice(&ours)));
		assert_int_equal(slice_find(buf_slice(&ours), '\0'), ours.length);
		if (!slice_has_prefix_nocase(raw, SLICE_LITERAL("inbox"))) {
			if (!mailbox_name_to_imap(buf_slice(&ours), separator, &back, &err)) {
				fail_msg("%s: %s", ours.data, err.text);
			}
			assert_slices(buf_slice(&back), raw);
		}
		for (rest = buf_slice(&ours);;) {
			struct slice level = slice_head(rest, slice_find(rest, '/'));
			SCOPED(buf_finish) struct buf file = BUF_INIT;
			SCOPED(buf_finish) struct buf leaf = BUF_INIT;

			assert_true(mailbox_name_to_file(level, &file));
			assert_int_not_equal(file.data[0], '.');
			assert_true(mailbox_name_from_file(buf_slice(&file), &leaf));
			assert_slices(buf_slice(&leaf), level);
			if (level.length == rest.length) {
				break;
			}
			rest = slice_skip(rest, level.length + 1);
		}
	}
}

static void
random_names_of_ours_come_back_where_they_are_taken(void **state)
{
	struct random random;
	unsigned taken = 0;

	random_seed(&random, 10);
	for (unsigned round = 0; round < 40000; round++) {
		char text[12];
		struct slice name = slice_make(text, 1 + random_below(&random, sizeof(text)));
		SCOPED(buf_finish) struct buf raw = BUF_INIT;
		SCOPED(buf_finish) struct buf back = BUF_INIT;
		SCOPED(buf_finish) struct buf leaf = BUF_INIT;
		SCOPED(buf_finish) struct buf file = BUF_INIT;
		struct error err = ERROR_INIT;

		for (size_t i = 0; i < name.length; i++) {
			text[i] = random_octet(&random);
		}
		if (mailbox_name_to_imap(name, '/', &raw, &err)) {
			assert_true(mailbox_name_from_imap(buf_slice(&raw), '/', &back));
			assert_slices(buf_slice(&back), name);
			taken++;
		}
		if (mailbox_name_from_file(name, &leaf)) {
			assert_true(mailbox_name_to_file(buf_slice(&leaf), &file));
			assert_slices(buf_slice(&file), name);
			taken++;
		}
	}
	assert_in_range(taken, 10000, 80000);
}

static void
parts_of_a_name_are_told(void **state)
{
	assert_slice(mailbox_name_parent(SLICE_LITERAL("A/B/C")), "A/B");
	assert_slice(mailbox_name_leaf(SLICE_LITERAL("A/B/C")), "C");
	assert_slice(mailbox_name_parent(SLICE_LITERAL("A")), "");
	assert_slice(mailbox_name_leaf(SLICE_LITERAL("A")), "A");
	assert_true(mailbox_name_within(SLICE_LITERAL("A/B"), SLICE_LITERAL("A")));
	assert_true(mailbox_name_within(SLICE_LITERAL("A"), SLICE_LITERAL("A")));
	assert_true(mailbox_name_within(SLICE_LITERAL("A"), SLICE_LITERAL("")));
	assert_false(mailbox_name_within(SLICE_LITERAL("AB"), SLICE_LITERAL("A")));
	assert_false(mailbox_name_within(SLICE_LITERAL("A"), SLICE_LITERAL("A/B")));
}

static void
globs_select_and_the_last_match_wins(void **state)
{
	static const struct {
		const char *globs, *name;
		bool selected;
	} cases[] = {
		{"*", "INBOX/a", true},
		{"*;!Spam", "Spam", false},
		{"*;!Spam", "Spam/x", true},
		{"*;!Spam*", "Spam/x", false},
		{"*;!Lists/*;Lists/keep", "Lists/keep", true},
		{"*;!Lists/*;Lists/keep", "Lists/other", false},
		{"INBOX", "Work", false},
		{"!Spam", "Work", true},
		{"!Spam", "Spam", false},
		{"", "INBOX", false},
		{" INBOX ; Work ", "Work", true},
		{"W??k", "Work", true},
		{"W??k", "Wok", false},
		{"*a*b*", "xxaxxbxx", true},
		{"*a*b", "xxaxxbxx", false},
		{"a", "", false},
		{"*", "", true},
		{"***", "x", true},
		{";;INBOX", "INBOX", true},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		if (mailbox_name_selected(slice_of(cases[i].globs), slice_of(cases[i].name)) != cases[i].selected) {
			fail_msg("%s on %s", cases[i].globs, cases[i].name);
		}
	}
}

static void
the_prefix_of_personal_mailboxes_is_left_out_and_comes_back(void **state)
{
	static const struct {
		const char *prefix, *raw;
		char separator;
		const char *ours;
	} cases[] = {
		{"INBOX.", "INBOX", '.', "INBOX"},
		{"INBOX.", "INBOX.Sent", '.', "Sent"},
		{"INBOX.", "INBOX.Work.2026", '.', "Work/2026"},
		{"INBOX/", "INBOX/Entw&APw-rfe", '/', "Entw\xc3\xbcrfe"},
		{"INBOX.", "user.ana", '.', "user/ana"},       /* another namespace */
		{"INBOX.", "INBOX.INBOX", '.', "INBOX/INBOX"}, /* whose short name is taken */
		{"INBOX.", "INBOX.inbox.x", '.', "INBOX/inbox/x"},
		{"INBOX.", "INBOXES", '.', "INBOXES"},
		{"INBOX.", "INBOX..a", '.', "INBOX/%2ea"},
		{"mail/", "mail/Sent", '/', "Sent"},
		{"mail/", "mail", '/', "mail"},
		{"mail/", "INBOX/x", '/', "INBOX/x"},
		{"mail/", "Mail/x", '/', "Mail/x"},
		{"mail", "mailbox", '/', "mailbox"}, /* ends no level, so it is none */
		{"", "INBOX.Sent", '.', "INBOX/Sent"},
		{"INBOX.", "INBOX.Sent", '\0', "INBOX.Sent"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		SCOPED(buf_finish) struct buf ours = BUF_INIT, raw = BUF_INIT;
		struct slice prefix = slice_of(cases[i].prefix);
		struct error err = ERROR_INIT;

		assert_true(mailbox_name_from_imap_behind(prefix, slice_of(cases[i].raw), cases[i].separator, &ours));
		assert_slices(buf_slice(&ours), slice_of(cases[i].ours));
		/* What is not the user's own is not made by its name alone: the caller knows below what it lies. */
		if (!mailbox_name_is_behind(prefix, slice_of(cases[i].raw), cases[i].separator) &&
			!slice_has_prefix(slice_of(cases[i].raw), SLICE_LITERAL("INBOX"))) {
			prefix = (struct slice){0};
		}
		if (!mailbox_name_to_imap_behind(prefix, buf_slice(&ours), cases[i].separator, &raw, &err)) {
			fail_msg("%s: %s", cases[i].raw, err.text);
		}
		if (strcmp(cases[i].raw, "INBOXES") != 0) { /* which becomes INBOX.INBOXES when it is made */
			assert_slices(buf_slice(&raw), slice_of(cases[i].raw));
		}
	}
}

static void
nothing_is_made_within_inbox_where_the_prefix_is_inbox(void **state)
{
	SCOPED(buf_finish) struct buf raw = BUF_INIT;
	struct error err = ERROR_INIT;

	assert_false(mailbox_name_to_imap_behind(SLICE_LITERAL("INBOX."), SLICE_LITERAL("INBOX/Z"), '.', &raw, &err));
	assert_non_null(strstr(err.text, "nothing can lie within INBOX"));
	assert_int_equal(raw.length, 0);
	assert_true(mailbox_name_to_imap_behind(SLICE_LITERAL("mail/"), SLICE_LITERAL("INBOX/Z"), '/', &raw, &err));
	assert_slices(buf_slice(&raw), SLICE_LITERAL("INBOX/Z"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(raw_names_become_ours_and_go_back),
		cmocka_unit_test(inbox_is_spelled_in_one_way),
		cmocka_unit_test(a_nul_in_a_raw_name_is_escaped),
		cmocka_unit_test(names_that_no_raw_name_gives_are_refused),
		cmocka_unit_test(names_too_long_or_too_deep_are_refused),
		cmocka_unit_test(levels_become_file_names_and_go_back),
		cmocka_unit_test(file_names_that_no_level_has_are_refused),
		cmocka_unit_test(random_raw_names_come_back_octet_for_octet_and_so_do_their_files),
		cmocka_unit_test(random_names_of_ours_come_back_where_they_are_taken),
		cmocka_unit_test(the_prefix_of_personal_mailboxes_is_left_out_and_comes_back),
		cmocka_unit_test(nothing_is_made_within_inbox_where_the_prefix_is_inbox),
		cmocka_unit_test(parts_of_a_name_are_told),
		cmocka_unit_test(globs_select_and_the_last_match_wins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
