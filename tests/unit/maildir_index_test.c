#include "engine/remote/maildir/maildir_index.h"

#include <stdio.h>

#include "engine/base/random.h"
#include "engine/remote/maildir/maildir_names.h"
#include "tests/unit/assert_slice.h"

#define ID   "0123456789abcdef0123456789abcdef"
#define HEAD "mailfs-uids 1 " ID " 77 5 1\n"

static struct maildir_index
begun(void)
{
	struct maildir_index index;

	maildir_index_begin(&index, ID, 77, 5, 9);
	return index;
}

static void
assert_same(const struct maildir_index *a, const struct maildir_index *b)
{
	SCOPED(buf_finish) struct buf left = BUF_INIT;
	SCOPED(buf_finish) struct buf right = BUF_INIT;

	maildir_index_print(a, &left);
	maildir_index_print(b, &right);
	assert_slices(buf_slice(&left), buf_slice(&right));
}

static void
lines_are_added_and_read_back(void **state)
{
	SCOPED(maildir_index_finish) struct maildir_index index = begun();
	SCOPED(maildir_index_finish) struct maildir_index again = {.seed = 3};
	SCOPED(maildir_keywords_finish) struct maildir_keywords keywords = {0};
	SCOPED(buf_finish) struct buf text = BUF_INIT;
	struct error err = ERROR_INIT;
	size_t used;

	maildir_index_print_head(&index, &text);
	assert_non_null(maildir_index_add(&index, slice_of("1.a"), true, 2, &text));
	assert_non_null(maildir_index_add(&index, slice_of("2.b:2,Sa"), false, 2, &text));
	assert_non_null(maildir_index_add(&index, slice_of("3.%\n:2,"), false, 3, &text));
	maildir_index_rename(&index, maildir_index_find(&index, 1), slice_of("1.a:2,F"), false, 4, &text);
	maildir_keywords_read(&keywords, slice_of("0 Work\n"));
	maildir_index_set_keywords(&index, &keywords, 5, &text);
	maildir_index_remove(&index, maildir_index_find(&index, 3), 6, &text);
	maildir_index_set_guid(&index, maildir_index_find(&index, 2), slice_of("0.%"), &text);
	assert_slice(buf_slice(&text),
		HEAD "U 1 2 n 1.a\nU 2 2 c 2.b:2,Sa\nU 3 3 c 3.%25%0A:2,\nU 1 4 c 1.a:2,F\nK a Work\nU 2 5 c 2.b:2,Sa\n"
		     "D 3 6\nG 2 0.%25\n");
	assert_true(maildir_index_feed(&again, buf_slice(&text), &used, &err));
	assert_int_equal(used, text.length);
	assert_int_equal(again.live, 2);
	assert_int_equal(again.uidnext, 4);
	assert_true(again.modseq == 6 && again.uidvalidity == 77 && again.directory == 5);
	assert_null(maildir_index_find(&again, 3));
	assert_null(maildir_index_find_key(&again, slice_of("3.%\n")));
	assert_int_equal(maildir_index_find_key(&again, slice_of("2.b"))->uid, 2);
	assert_slice(maildir_index_guid(maildir_index_find(&again, 2)), "0.%");
	assert_slice(maildir_index_guid(maildir_index_find(&again, 1)), "1.a");
	assert_same(&index, &again);
}

static void
a_new_file_says_the_same(void **state)
{
	SCOPED(maildir_index_finish) struct maildir_index index = begun();
	SCOPED(maildir_index_finish) struct maildir_index again = {.seed = 3};
	SCOPED(buf_finish) struct buf lines = BUF_INIT;
	SCOPED(buf_finish) struct buf text = BUF_INIT;
	struct error err = ERROR_INIT;
	size_t used;

	for (int i = 0; i < 100; i++) {
		char name[30];

		(void)snprintf(name, sizeof(name), "%d.x:2,", i);
		assert_non_null(maildir_index_add(&index, slice_of(name), false, 2, &lines));
	}
	for (uint32_t uid = 1; uid <= 100; uid += 3) {
		maildir_index_remove(&index, maildir_index_find(&index, uid), 7, &lines);
	}
	maildir_index_print(&index, &text);
	assert_true(maildir_index_feed(&again, buf_slice(&text), &used, &err));
	assert_int_equal(used, text.length);
	assert_true(again.uidnext == 101 && again.modseq == 7 && again.live == 66);
	assert_same(&index, &again);
}

static void
a_line_that_was_never_finished_says_nothing(void **state)
{
	SCOPED(maildir_index_finish) struct maildir_index index = {.seed = 3};
	struct slice text = SLICE_LITERAL(HEAD "U 1 2 n 1.a\nU 2 2 n 2.");
	struct error err = ERROR_INIT;
	size_t used;

	assert_true(maildir_index_feed(&index, text, &used, &err));
	assert_int_equal(used, text.length - strlen("U 2 2 n 2."));
	assert_int_equal(index.uidnext, 2);
}

static void
what_cannot_be_is_refused(void **state)
{
	static const char *const bad[] = {"mailfs-uids 2 " ID " 77 5 1\n", "mailfs-uids 1 " ID " 77 5\n",
		"mailfs-uids 1 " ID " 0 5 1\n", "mailfs-uids 1 0123 77 5 1\n", "\n", HEAD "X\n", HEAD "\n",
		HEAD "U 0 2 n 1.a\n", HEAD "U 1 2 x 1.a\n", HEAD "U 1 2 n .a\n", HEAD "U 1 2 n a%2Fb\n",
		HEAD "U 1 2 n a%zz\n", HEAD "U 1 2 n a%4\n", HEAD "U 4294967295 2 n 1.a\n",
		HEAD "U 1 99999999999999999999 n 1.a\n", HEAD "U 1 2 n\n", HEAD "U 1 2 n 1.a\nU 2 2 n 1.a\n",
		HEAD "U 1 2 n 1.a\nU 1 3 n 2.b\n", HEAD "U 5 2 n 1.a\nU 4 2 n 2.b\n", HEAD "D 1 2\n", HEAD "G 1 a\n",
		HEAD "U 1 2 n 1.a\nG 1 \n", HEAD "U 1 9 n 1.a\nD 1 3\n", HEAD "K 0 a\n", HEAD "K a b c\n",
		HEAD "N 5 4\nN 4 4\n", HEAD "N 5\n"};

	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		SCOPED(maildir_index_finish) struct maildir_index index = {.seed = 3};
		struct error err = ERROR_INIT;
		size_t used;

		assert_false(maildir_index_feed(&index, slice_of(bad[i]), &used, &err));
		assert_int_equal(err.kind, ERROR_DAMAGED);
	}
	SCOPED(buf_finish) struct buf long_line = BUF_INIT;
	SCOPED(maildir_index_finish) struct maildir_index index = {.seed = 3};
	struct error err = ERROR_INIT;
	size_t used;

	buf_append_text(&long_line, HEAD);
	for (int i = 0; i < MAILDIR_INDEX_LINE_MAX + 1; i++) {
		buf_append_octet(&long_line, 'x');
	}
	assert_false(maildir_index_feed(&index, buf_slice(&long_line), &used, &err));
}

/* A history at random: what was written, in pieces cut anywhere, reads as what is in memory. */
static void
a_history_at_random_reads_back(void **state)
{
	struct random random;

	random_seed(&random, 2);
	for (int round = 0; round < 30; round++) {
		SCOPED(maildir_index_finish) struct maildir_index index = begun();
		SCOPED(maildir_index_finish) struct maildir_index again = {.seed = 4};
		SCOPED(buf_finish) struct buf text = BUF_INIT;
		struct error err = ERROR_INIT;
		size_t at = 0, used;

		maildir_index_print_head(&index, &text);
		for (unsigned i = 1; i < 600; i++) {
			uint32_t uid = (uint32_t)random_below(&random, index.uidnext) + 1;
			struct maildir_entry *entry = maildir_index_find(&index, uid);
			char name[40];

			if (entry == NULL) {
				(void)snprintf(name, sizeof(name), "%u.new", i);
				assert_non_null(maildir_index_add(&index, slice_of(name), true, i + 1, &text));
			} else if (random_below(&random, 2) == 0) {
				(void)snprintf(name, sizeof(name), "%.*s:2,%s", (int)entry->key_length, entry->name,
					random_below(&random, 2) == 0 ? "S" : "Fb");
				maildir_index_rename(&index, entry, slice_of(name), false, i + 1, &text);
			} else {
				maildir_index_remove(&index, entry, i + 1, &text);
			}
		}
		for (size_t length = 0; at < text.length; at += used) {
			length = at + 1 + random_below(&random, text.length - at);
			assert_true(maildir_index_feed(&again, slice_make(text.data + at, length - at), &used, &err));
		}
		assert_same(&index, &again);
		assert_int_equal(again.live, index.live);
	}
}

static void
keywords_have_letters(void **state)
{
	SCOPED(maildir_keywords_finish) struct maildir_keywords table = {0};
	SCOPED(maildir_keywords_finish) struct maildir_keywords other = {0};
	SCOPED(buf_finish) struct buf text = BUF_INIT;
	SCOPED(flags_finish) struct flags flags = FLAGS_INIT;

	buf_append_text(&text, "0 Work\nx y\n25 $Forwarded\n26 TooFar\n3 work\n1 a b\n2 Later");
	maildir_keywords_read(&table, buf_slice(&text));
	assert_int_equal(maildir_keywords_find(&table, slice_of("WORK")), 0);
	assert_int_equal(maildir_keywords_find(&table, slice_of("$forwarded")), 25);
	assert_int_equal(maildir_keywords_find(&table, slice_of("Later")), 2);
	assert_int_equal(maildir_keywords_find(&table, slice_of("TooFar")), -1);
	assert_true(maildir_keywords_add(&table, slice_of("New"), &text));
	assert_slice(buf_slice(&text), "0 Work\nx y\n25 $Forwarded\n26 TooFar\n3 work\n1 a b\n2 Later\n1 New\n");
	maildir_keywords_read(&other, buf_slice(&text));
	assert_true(maildir_keywords_equal(&table, &other));
	flags = maildir_keywords_flags(&table, FLAG_SEEN, 1u << 25 | 1u << 1 | 1u << 9);
	assert_int_equal(flags.bits, FLAG_SEEN);
	assert_string_equal(flags.keywords, "$Forwarded New");
	assert_int_equal(maildir_keywords_letters(&table, &flags), 1u << 25 | 1u << 1);
	flags_finish(&flags);
	flags = maildir_keywords_flags(&table, 0, 1u << 3); /* a second letter of Work */
	assert_string_equal(flags.keywords, "work");
	assert_int_equal(maildir_keywords_letters(&table, &flags), 1);
	assert_int_equal(maildir_keywords_all_letters(&table, &flags), 1 | 1u << 3);
	for (char name[] = "ka"; maildir_keywords_have_room(&table); name[1]++) {
		assert_true(maildir_keywords_add(&table, slice_of(name), &text));
	}
	assert_false(maildir_keywords_add(&table, slice_of("full"), &text));
}

static void
mailboxes_have_directories(void **state)
{
	static const struct {
		struct maildir_layout layout;
		const char *raw, *path;
	} rows[] = {
		{{.style = MAILDIR_PLUS, .top_is_inbox = true}, "INBOX", ""},
		{{.style = MAILDIR_PLUS, .top_is_inbox = true}, "Work.2026", ".Work.2026"},
		{{.style = MAILDIR_PLUS, .top_is_inbox = true}, "Entw&APw-rfe", ".Entw&APw-rfe"},
		{{.style = MAILDIR_NESTED, .top_is_inbox = true}, "INBOX", ""},
		{{.style = MAILDIR_NESTED, .top_is_inbox = true}, "INBOX/Sub", "INBOX/Sub"},
		{{.style = MAILDIR_NESTED}, "INBOX", "INBOX"},
		{{.style = MAILDIR_NESTED, .inbox = "Inbox"}, "INBOX", "Inbox"},
		{{.style = MAILDIR_NESTED, .inbox = "Inbox"}, "INBOX/Sub", "Inbox/Sub"},
		{{.style = MAILDIR_NESTED}, "Entw&APw-rfe/a.b", "Entw\xc3\xbcrfe/a.b"},
		{{.style = MAILDIR_NESTED}, "Work/cur", "Work/%63ur"},
		{{.style = MAILDIR_NESTED}, ".x", "%2Ex"},
	};
	static const struct {
		enum maildir_style style;
		const char *raw;
	} bad[] = {{MAILDIR_PLUS, ""}, {MAILDIR_PLUS, "a..b"}, {MAILDIR_PLUS, ".a"}, {MAILDIR_PLUS, "a."},
		{MAILDIR_PLUS, "a/b"}, {MAILDIR_PLUS, "../x"}, {MAILDIR_PLUS, "a\nb"}, {MAILDIR_NESTED, ""}};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		SCOPED(buf_finish) struct buf path = BUF_INIT;
		SCOPED(buf_finish) struct buf raw = BUF_INIT;
		struct error err = ERROR_INIT;

		assert_true(maildir_names_path(&rows[i].layout, slice_of(rows[i].raw), &path, &err));
		assert_slices(buf_slice(&path), slice_of(rows[i].path));
		assert_true(maildir_names_raw(&rows[i].layout, slice_of(rows[i].path), &raw));
		assert_slices(buf_slice(&raw), slice_of(rows[i].raw));
	}
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		const struct maildir_layout layout = {.style = bad[i].style};
		SCOPED(buf_finish) struct buf path = BUF_INIT;
		struct error err = ERROR_INIT;

		assert_false(maildir_names_path(&layout, slice_of(bad[i].raw), &path, &err));
		assert_int_equal(err.kind, ERROR_INVALID);
		assert_int_equal(path.length, 0);
	}
}

/* No raw name leads out of the tree, or into a Maildir's own directories. */
static void
no_name_leads_out(void **state)
{
	static const char octets[] = "./a&-%2EcurNBX~";
	struct random random;

	random_seed(&random, 3);
	for (int i = 0; i < 200000; i++) {
		const struct maildir_layout layout = {
			.style = random_below(&random, 2) == 0 ? MAILDIR_PLUS : MAILDIR_NESTED,
			.top_is_inbox = random_below(&random, 2) == 0};
		SCOPED(buf_finish) struct buf raw = BUF_INIT;
		SCOPED(buf_finish) struct buf path = BUF_INIT;
		struct error err = ERROR_INIT;

		for (uint64_t left = random_below(&random, 12); left > 0; left--) {
			buf_append_octet(&raw, octets[random_below(&random, sizeof(octets) - 1)]);
		}
		if (!maildir_names_path(&layout, buf_slice(&raw), &path, &err)) {
			continue;
		}
		for (struct slice rest = buf_slice(&path); rest.length > 0;) {
			struct slice level = slice_head(rest, slice_find(rest, '/'));

			assert_true(level.length > 0 && !slice_equal(level, SLICE_LITERAL("..")) &&
				    !slice_equal(level, SLICE_LITERAL(".")) &&
				    !slice_equal(level, SLICE_LITERAL("cur")));
			rest = slice_skip(rest, level.length < rest.length ? level.length + 1 : level.length);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_added_and_read_back),
		cmocka_unit_test(a_new_file_says_the_same),
		cmocka_unit_test(a_line_that_was_never_finished_says_nothing),
		cmocka_unit_test(what_cannot_be_is_refused),
		cmocka_unit_test(a_history_at_random_reads_back),
		cmocka_unit_test(keywords_have_letters),
		cmocka_unit_test(mailboxes_have_directories),
		cmocka_unit_test(no_name_leads_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
