#include <stdlib.h>

#include "engine/remote/imap/imap_effects.h"
#include "tests/unit/assert_slice.h"
#include "tests/unit/imap_fake.h"

/* A session on a script. */
struct stage {
	struct imap_fake *fake;
	struct remote *remote;
	struct remote_session *session;
};

static struct stage
set_stage(const char *script)
{
	struct stage stage = {.fake = imap_fake_start(script, NULL)};

	stage.remote = imap_fake_remote(stage.fake, NULL);
	stage.session = imap_fake_open(stage.fake, stage.remote);
	return stage;
}

static void
clear_stage(struct stage *stage)
{
	stage->remote->ops->close(&stage->session);
	stage->remote->ops->destroy(&stage->remote);
	imap_fake_end(&stage->fake);
}

static const struct remote_target a = {.raw_name = SLICE_LITERAL("a"), .uidvalidity = 7};
static const struct remote_target b = {.raw_name = SLICE_LITERAL("b"), .uidvalidity = 8};

#define SELECT_A \
	IMAP_FAKE_ENABLE "C: m3 SELECT \"a\"\n" IMAP_FAKE_SELECTED("5", "7", "6", "10") "S: m3 OK [READ-WRITE] x\n"

/* --- uploads --- */

#define UPLOADS 4

struct uploads {
	struct remote_append items[UPLOADS];
	bool fine;
	struct error err;
};

static struct uploads
upload(struct stage *stage, size_t count, const char *const *texts)
{
	struct uploads uploads = {0};

	for (size_t i = 0; i < count; i++) {
		uploads.items[i].body = spool_create(imap_fake_spools(stage->fake));
		uploads.items[i].flags.bits = FLAG_SEEN;
		assert_true(spool_append(uploads.items[i].body, slice_of(texts[i]), &uploads.err));
	}
	uploads.fine = stage->session->ops->append(stage->session, &a, uploads.items, count, &uploads.err);
	for (size_t i = 0; i < count; i++) {
		spool_close(&uploads.items[i].body);
	}
	return uploads;
}

static const char *const texts[UPLOADS] = {"A: 1\r\n\r\n", "A: 2\r\n\r\n", "A: 3\r\n\r\n", "A: 4\r\n\r\n"};

#define PIECE " (\\Seen) \"01-Jan-1970 00:00:00 +0000\" {8+}\n"
#define TWO   "L: 8\nC: " PIECE

static void
uploads_go_in_one_command_and_tell_their_uids(void **state)
{
	struct stage stage =
		set_stage(IMAP_FAKE_IN IMAP_FAKE_ENABLE "C: m3 APPEND \"a\"" PIECE TWO TWO TWO "L: 8\nC: \n"
							"S: m3 OK [APPENDUID 7 12,5,8:9] done\n");
	struct uploads uploads = upload(&stage, 4, texts);
	static const uint32_t uids[] = {12, 5, 8, 9};

	assert_true(uploads.fine);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(uploads.items[i].outcome, REMOTE_DONE);
		assert_int_equal(uploads.items[i].uid.uid, uids[i]);
		assert_int_equal(uploads.items[i].uid.uidvalidity, 7);
	}
	clear_stage(&stage);
}

static void
uids_that_do_not_fit_are_not_believed(void **state)
{
	static const char *const told[] = {"7 12", "7 12,13,14", "7 12:4000000000", "7 0:1", "7", "x 1:2", "7 1,1x"};

	for (size_t i = 0; i < ARRAY_LENGTH(told); i++) {
		SCOPED(buf_finish) struct buf script = BUF_INIT;

		buf_printf(&script,
			IMAP_FAKE_IN IMAP_FAKE_ENABLE "C: m3 APPEND \"a\"" PIECE TWO
						      "L: 8\nC: \nS: m3 OK [APPENDUID %s] done\n",
			told[i]);

		struct stage stage = set_stage(script.data);
		struct uploads uploads = upload(&stage, 2, texts);

		assert_true(uploads.fine);
		assert_int_equal(uploads.items[0].outcome, REMOTE_DONE);
		assert_int_equal(uploads.items[0].uid.uid, 0);
		assert_int_equal(uploads.items[1].uid.uid, 0);
		clear_stage(&stage);
	}
}

static void
an_upload_into_another_mailbox_of_that_name_is_looked_for(void **state)
{
	struct stage stage = set_stage(
		IMAP_FAKE_IN IMAP_FAKE_ENABLE "C: m3 APPEND \"a\"" PIECE "L: 8\nC: \nS: m3 OK [APPENDUID 9 1] done\n");
	struct uploads uploads = upload(&stage, 1, texts);

	assert_true(uploads.fine);
	assert_int_equal(uploads.items[0].outcome, REMOTE_UNKNOWN);
	assert_int_equal(uploads.items[0].error.kind, ERROR_RETRY);
	assert_non_null(strstr(uploads.items[0].error.text, "rebuilt"));
	assert_int_equal(uploads.items[0].uid.uid, 0);
	clear_stage(&stage);
}

static void
a_bad_message_is_found_by_halves(void **state)
{
	struct stage stage = set_stage(
		IMAP_FAKE_IN IMAP_FAKE_ENABLE "C: m3 APPEND \"a\"" PIECE TWO TWO TWO "L: 8\nC: \nS: m3 NO bad message\n"
					      "C: m4 APPEND \"a\"" PIECE TWO "L: 8\nC: \n"
					      "C: m5 APPEND \"a\"" PIECE TWO "L: 8\nC: \n"
					      "S: m4 OK [APPENDUID 7 1:2] x\n"
					      "S: m5 NO bad message\n"
					      "C: m6 APPEND \"a\"" PIECE "L: 8\nC: \n"
					      "C: m7 APPEND \"a\"" PIECE "L: 8\nC: \n"
					      "S: m6 NO [OVERQUOTA] no room\n"
					      "S: m7 OK [APPENDUID 7 3] x\n");
	struct uploads uploads = upload(&stage, 4, texts);

	assert_true(uploads.fine);
	assert_int_equal(uploads.items[0].uid.uid, 1);
	assert_int_equal(uploads.items[1].uid.uid, 2);
	assert_int_equal(uploads.items[2].outcome, REMOTE_REFUSED);
	assert_int_equal(uploads.items[2].error.kind, ERROR_ITEM);
	assert_int_equal(uploads.items[3].uid.uid, 3);
	clear_stage(&stage);
}

static void
a_missing_mailbox_is_not_searched_by_halves(void **state)
{
	struct stage stage = set_stage(IMAP_FAKE_IN IMAP_FAKE_ENABLE "C: m3 APPEND \"a\"" PIECE TWO TWO TWO
								     "L: 8\nC: \nS: m3 NO [TRYCREATE] none\n");
	struct uploads uploads = upload(&stage, 4, texts);

	assert_true(uploads.fine);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(uploads.items[i].outcome, REMOTE_REFUSED);
		assert_int_equal(uploads.items[i].error.kind, ERROR_GONE);
	}
	clear_stage(&stage);
}

static void
what_a_cut_leaves_is_told(void **state)
{
	/* the first was answered, the second sent to its end, the third waits for a word that does not come */
	struct stage stage = set_stage(IMAP_FAKE_LOGIN(
		"IMAP4rev1 UIDPLUS") "C: m2 APPEND \"a\" (\\Seen) \"01-Jan-1970 00:00:00 +0000\" {8}\n"
				     "S: + go\nL: 8\nC: \n"
				     "C: m3 APPEND \"a\" (\\Seen) \"01-Jan-1970 00:00:00 +0000\" {8}\n"
				     "S: m2 OK [APPENDUID 7 1] x\nS: + go\nL: 8\nC: \n"
				     "C: m4 APPEND \"a\" (\\Seen) \"01-Jan-1970 00:00:00 +0000\" {8}\nX:\n");
	struct uploads uploads = upload(&stage, 4, texts);

	assert_false(uploads.fine);
	assert_int_equal(uploads.err.kind, ERROR_RETRY);
	assert_int_equal(uploads.items[0].outcome, REMOTE_DONE);
	assert_int_equal(uploads.items[1].outcome, REMOTE_UNKNOWN);
	assert_int_equal(uploads.items[2].outcome, REMOTE_NOT_SENT);
	assert_int_equal(uploads.items[3].outcome, REMOTE_NOT_SENT);
	assert_false(stage.session->ops->alive(stage.session));
	/* and it stays so */
	uploads = upload(&stage, 1, texts);
	assert_false(uploads.fine);
	assert_int_equal(uploads.items[0].outcome, REMOTE_NOT_SENT);
	clear_stage(&stage);
}

static void
a_literal_that_is_refused_early_is_not_sent(void **state)
{
	struct stage stage = set_stage(
		IMAP_FAKE_LOGIN("IMAP4rev1 UIDPLUS") "C: m2 APPEND \"a\" (\\Seen) \"01-Jan-1970 00:00:00 +0000\" {8}\n"
						     "S: m2 NO [OVERQUOTA] no room\n"
						     "C: m3 APPEND \"a\" (\\Seen) \"01-Jan-1970 00:00:00 +0000\" {8}\n"
						     "S: + go\nL: 8\nC: \nS: * BAD what was that\nS: m3 OK x\n");
	struct uploads uploads = upload(&stage, 2, texts);

	assert_true(uploads.fine);
	assert_int_equal(uploads.items[0].outcome, REMOTE_REFUSED);
	assert_int_equal(uploads.items[0].error.kind, ERROR_ITEM);
	assert_int_equal(uploads.items[1].outcome, REMOTE_DONE);
	clear_stage(&stage);
}

static void
what_no_server_takes_is_not_tried(void **state)
{
	static const char *const odd[] = {"", "A: 123456789012345\r\n\r\n", "A: 1\r\n\r\n"};
	struct stage stage = set_stage(IMAP_FAKE_LOGIN("IMAP4rev1 APPENDLIMIT=10 LITERAL-") "C: m2 APPEND \"a\"" PIECE
											    "L: 8\nC: \nS: m2 OK x\n");
	struct uploads uploads = upload(&stage, 3, odd);

	assert_true(uploads.fine);
	assert_int_equal(uploads.items[0].outcome, REMOTE_REFUSED);
	assert_int_equal(uploads.items[0].error.kind, ERROR_INVALID);
	assert_int_equal(uploads.items[1].outcome, REMOTE_REFUSED);
	assert_int_equal(uploads.items[2].outcome, REMOTE_DONE);
	assert_int_equal(uploads.items[2].uid.uid, 0);
	clear_stage(&stage);
}

/* --- flags --- */

static bool
count_stored(void *context, uint32_t uid, const struct flags *flags, uint64_t modseq, struct error *err)
{
	unsigned *count = context;

	(void)err;
	assert_true(uid == 2 || uid == 3 || uid == 5);
	assert_true(uid == 2 ? flags == NULL && modseq == 22 : flags_has_keyword(flags, SLICE_LITERAL("Junk")));
	(*count)++;
	return true;
}

static void
flags_go_out_in_groups_and_each_has_its_outcome(void **state)
{
	struct stage stage = set_stage(IMAP_FAKE_IN SELECT_A
		"C: m4 UID STORE 1:2 +FLAGS.SILENT (\\Seen Junk)\n"
		"C: m5 UID STORE 1:2 -FLAGS.SILENT (\\Deleted)\n"
		"C: m6 UID STORE 5,9 +FLAGS.SILENT (\\Flagged)\n"
		"S: * 2 FETCH (UID 2 MODSEQ (22))\n"
		"S: * 3 FETCH (FLAGS (Junk) UID 3)\n"
		"S: * 3 FETCH (FLAGS (Junk))\n"
		"S: m4 OK x\nS: m5 NO [NOPERM] not yours\nS: m6 OK [APPENDUID 7 99] not asked for\n"
		/* nothing was said of 1, 5 and 9 */
		"C: m7 UID FETCH 1,5,9 (UID FLAGS MODSEQ)\n"
		"S: * 4 FETCH (UID 5 FLAGS (Junk \\Flagged) MODSEQ (21))\nS: m7 OK x\n");
	struct remote_store groups[3] = {{.add = {.bits = FLAG_SEEN}, .remove = {.bits = FLAG_DELETED}},
		{.add = {.bits = FLAG_FLAGGED}}, {.outcome = REMOTE_UNKNOWN}};
	struct error err;
	unsigned count = 0;

	uidset_add(&groups[0].uids, 1, 2);
	uidset_add(&groups[1].uids, 5, 5);
	uidset_add(&groups[1].uids, 9, 9);
	uidset_add(&groups[2].uids, 1, 1);
	assert_true(flags_add_keyword(&groups[0].add, SLICE_LITERAL("Junk")));
	assert_true(stage.session->ops->store(stage.session, &a, groups, 3, count_stored, &count, &err));
	assert_int_equal(groups[0].outcome, REMOTE_REFUSED);
	assert_int_equal(groups[0].error.kind, ERROR_REFUSED);
	assert_int_equal(groups[1].outcome, REMOTE_DONE);
	assert_int_equal(groups[2].outcome, REMOTE_DONE); /* there was nothing to do */
	assert_int_equal(count, 3);
	for (size_t i = 0; i < 3; i++) {
		uidset_finish(&groups[i].uids);
	}
	flags_finish(&groups[0].add);
	clear_stage(&stage);
}

static bool
count_all(void *context, uint32_t uid, const struct flags *flags, uint64_t modseq, struct error *err)
{
	(void)err;
	assert_non_null(flags);
	assert_int_equal(modseq, 0);
	*(uint32_t *)context += uid;
	return true;
}

/* Where there are no mod-sequences a silent STORE would tell nothing. */
static void
without_modseqs_the_server_tells_the_flags(void **state)
{
	struct stage stage =
		set_stage(IMAP_FAKE_LOGIN("IMAP4rev1 UIDPLUS") "C: m2 SELECT \"a\"\n"
							       "S: * 9 EXISTS\nS: * OK [UIDVALIDITY 7] x\nS: m2 OK x\n"
							       "C: m3 UID STORE 1:2 +FLAGS (\\Seen)\n"
							       "S: * 2 FETCH (UID 2 FLAGS (\\Seen))\nS: m3 OK x\n"
							       "C: m4 UID FETCH 1 (UID FLAGS)\nS: m4 OK x\n");
	struct remote_store group = {.add = {.bits = FLAG_SEEN}};
	struct error err;
	uint32_t sum = 0;

	uidset_add(&group.uids, 1, 2);
	assert_true(stage.session->ops->store(stage.session, &a, &group, 1, count_all, &sum, &err));
	assert_int_equal(group.outcome, REMOTE_DONE);
	assert_int_equal(sum, 2);
	uidset_finish(&group.uids);
	clear_stage(&stage);
}

static void
nothing_is_done_to_a_mailbox_that_was_replaced(void **state)
{
	struct stage stage = set_stage(IMAP_FAKE_IN IMAP_FAKE_ENABLE
		"C: m3 SELECT \"a\"\n" IMAP_FAKE_SELECTED("5", "9", "6", "10") "S: m3 OK [READ-WRITE] x\n");
	struct remote_store group = {.add = {.bits = FLAG_SEEN}};
	struct remote_copy copy = {.uid = 1};
	enum remote_outcome outcome;
	struct error err;
	bool marked;

	uidset_add(&group.uids, 1, 1);
	assert_false(stage.session->ops->store(stage.session, &a, &group, 1, NULL, NULL, &err));
	assert_int_equal(err.kind, ERROR_RETRY);
	assert_non_null(strstr(err.text, "rebuilt"));
	assert_int_equal(group.outcome, REMOTE_NOT_SENT);
	assert_true(stage.session->ops->alive(stage.session));
	assert_false(stage.session->ops->copy(stage.session, &a, &b, true, &copy, 1, &marked, &err));
	assert_int_equal(copy.outcome, REMOTE_NOT_SENT);
	assert_false(stage.session->ops->expunge(stage.session, &a, &group.uids, &outcome, &marked, &err));
	assert_int_equal(outcome, REMOTE_NOT_SENT);
	uidset_finish(&group.uids);
	clear_stage(&stage);
}

static void
a_mailbox_for_reading_is_not_written(void **state)
{
	struct stage stage = set_stage(IMAP_FAKE_IN IMAP_FAKE_ENABLE
		"C: m3 SELECT \"a\"\n" IMAP_FAKE_SELECTED("5", "7", "6", "10") "S: m3 OK [READ-ONLY] x\n");
	struct remote_store group = {.add = {.bits = FLAG_SEEN}};
	struct error err;

	uidset_add(&group.uids, 1, 1);
	assert_false(stage.session->ops->store(stage.session, &a, &group, 1, NULL, NULL, &err));
	assert_int_equal(err.kind, ERROR_REFUSED);
	uidset_finish(&group.uids);
	clear_stage(&stage);
}

/* --- copies, moves, expunges --- */

static bool
move(struct stage *stage, struct remote_copy items[3], bool *out_marked, struct error *err)
{
	for (uint32_t i = 0; i < 3; i++) {
		items[i] = (struct remote_copy){.uid = i + 1};
	}
	return stage->session->ops->copy(stage->session, &a, &b, true, items, 3, out_marked, err);
}

static void
a_move_is_what_the_server_names(void **state)
{
	struct stage stage = set_stage(IMAP_FAKE_IN SELECT_A "C: m4 UID MOVE 1:3 \"b\"\n"
							     "S: * OK [COPYUID 8 3,1 20:21] moved\n"
							     "S: * VANISHED 1,3\n"
							     "S: m4 OK x\n");
	struct remote_copy items[3];
	struct error err;
	bool marked;

	assert_true(move(&stage, items, &marked, &err));
	assert_false(marked);
	assert_int_equal(items[0].outcome, REMOTE_DONE);
	assert_int_equal(items[0].target.uid, 21);
	assert_int_equal(items[1].outcome, REMOTE_REFUSED);
	assert_int_equal(items[1].refusal, ERROR_GONE);
	assert_int_equal(items[2].target.uid, 20);
	assert_int_equal(items[2].target.uidvalidity, 8);
	clear_stage(&stage);
}

static void
a_move_that_is_not_explained_has_to_be_looked_for(void **state)
{
	struct stage stage = set_stage(IMAP_FAKE_IN SELECT_A "C: m4 UID MOVE 1:3 \"b\"\nS: m4 OK x\n");
	struct remote_copy items[3];
	struct error err;
	bool marked;

	assert_true(move(&stage, items, &marked, &err));
	assert_int_equal(items[0].outcome, REMOTE_UNKNOWN);
	clear_stage(&stage);
}

static void
a_target_that_was_replaced_is_told(void **state)
{
	struct stage stage =
		set_stage(IMAP_FAKE_IN SELECT_A "C: m4 UID MOVE 1:3 \"b\"\nS: m4 OK [COPYUID 9 1:3 1:3] x\n");
	struct remote_copy items[3];
	struct error err;
	bool marked;

	assert_false(move(&stage, items, &marked, &err));
	assert_int_equal(err.kind, ERROR_RETRY);
	assert_non_null(strstr(err.text, "rebuilt"));
	assert_int_equal(items[0].outcome, REMOTE_UNKNOWN);
	assert_int_equal(items[0].target.uid, 0);
	assert_true(stage.session->ops->alive(stage.session));
	clear_stage(&stage);
}

static void
without_move_exactly_the_copied_are_expunged(void **state)
{
	struct stage stage = set_stage(IMAP_FAKE_LOGIN("IMAP4rev1 UIDPLUS") "C: m2 SELECT \"a\"\n" IMAP_FAKE_SELECTED(
		"5", "7", "6", "10") "S: m2 OK [READ-WRITE] x\n"
				     "C: m3 UID COPY 1:3 \"b\"\n"
				     "S: m3 OK [COPYUID 8 1,3 20:21] x\n"
				     "C: m4 UID STORE 1,3 +FLAGS.SILENT (\\Deleted)\n"
				     "C: m5 UID EXPUNGE 1,3\n"
				     "S: m4 OK x\nS: * 1 EXPUNGE\nS: * 2 EXPUNGE\nS: m5 OK x\n");
	struct remote_copy items[3];
	struct error err;
	bool marked;

	assert_true(move(&stage, items, &marked, &err));
	assert_false(marked);
	assert_int_equal(items[0].target.uid, 20);
	assert_int_equal(items[1].refusal, ERROR_GONE);
	clear_stage(&stage);
}

static void
without_uidplus_nothing_is_expunged(void **state)
{
	struct stage stage = set_stage(IMAP_FAKE_LOGIN("IMAP4rev1") "C: m2 SELECT \"a\"\n" IMAP_FAKE_SELECTED(
		"5", "7", "6", "10") "S: m2 OK [READ-WRITE] x\n"
				     "C: m3 UID COPY 1:3 \"b\"\n"
				     "S: m3 OK x\n"
				     "C: m4 UID STORE 1:3 +FLAGS.SILENT (\\Deleted)\n"
				     "S: m4 OK x\n"
				     "C: m5 UID STORE 5 +FLAGS.SILENT (\\Deleted)\n"
				     "S: m5 OK x\n");
	SCOPED(uidset_finish) struct uidset five = UIDSET_INIT;
	struct remote_copy items[3];
	enum remote_outcome outcome;
	struct error err;
	bool marked;

	assert_true(move(&stage, items, &marked, &err));
	assert_true(marked);
	assert_int_equal(items[1].outcome, REMOTE_DONE);
	assert_int_equal(items[1].target.uid, 0);
	uidset_add(&five, 5, 5);
	assert_true(stage.session->ops->expunge(stage.session, &a, &five, &outcome, &marked, &err));
	assert_true(marked);
	assert_int_equal(outcome, REMOTE_DONE);
	clear_stage(&stage);
}

static void
a_cut_move_is_unknown(void **state)
{
	struct stage stage =
		set_stage(IMAP_FAKE_IN SELECT_A "C: m4 UID MOVE 1:3 \"b\"\nS: * OK [COPYUID 8 1 20] x\nX:\n");
	struct remote_copy items[3];
	struct error err;
	bool marked;

	assert_false(move(&stage, items, &marked, &err));
	assert_int_equal(items[0].outcome, REMOTE_DONE);
	assert_int_equal(items[1].outcome, REMOTE_UNKNOWN);
	assert_int_equal(items[2].outcome, REMOTE_UNKNOWN);
	clear_stage(&stage);
}

static void
a_throttled_session_says_for_how_long(void **state)
{
	struct stage stage = set_stage(
		IMAP_FAKE_IN SELECT_A "C: m4 UID MOVE 1:3 \"b\"\n"
				      "S: m4 BAD Request is throttled. Suggested Backoff Time: 4000 milliseconds\n"
				      "C: m5 UID MOVE 1:3 \"b\"\n"
				      "S: * BYE Request is throttled. Suggested Backoff Time: 5000 milliseconds\nX:\n");
	struct remote_copy items[3];
	struct error err;
	bool marked;

	assert_true(move(&stage, items, &marked, &err));
	assert_int_equal(items[0].refusal, ERROR_THROTTLED);
	assert_false(move(&stage, items, &marked, &err));
	assert_int_equal(err.kind, ERROR_THROTTLED);
	assert_int_equal(err.wait_s, 5);
	clear_stage(&stage);
}

/* --- the tree --- */

static void
a_bare_no_is_explained_by_a_listing(void **state)
{
	struct stage stage = set_stage(
		IMAP_FAKE_IN IMAP_FAKE_ENABLE "C: m3 CREATE \"New\"\nS: m3 NO no\n"
					      "C: m4 LIST \"\" \"New\"\nS: * LIST () \"/\" new\nS: m4 OK x\n"
					      "C: m5 CREATE \"x\"\nS: m5 NO [ALREADYEXISTS] x\n"
					      "C: m6 DELETE \"y\"\nS: m6 NO no\nC: m7 LIST \"\" \"y\"\nS: m7 OK x\n"
					      "C: m8 CREATE \"z\"\nS: m8 NO no\nC: m9 LIST \"\" \"z\"\nS: m9 OK x\n"
					      "C: m10 RENAME \"p\" \"q\"\nS: m10 OK x\n");
	const struct remote_ops *ops = stage.session->ops;
	enum remote_outcome outcome;
	struct error err;

	assert_false(ops->create(stage.session, SLICE_LITERAL("New"), &outcome, &err));
	assert_int_equal(err.kind, ERROR_EXISTS);
	assert_int_equal(outcome, REMOTE_REFUSED);
	assert_false(ops->create(stage.session, SLICE_LITERAL("x"), &outcome, &err));
	assert_int_equal(err.kind, ERROR_EXISTS);
	assert_false(ops->remove(stage.session, SLICE_LITERAL("y"), &outcome, &err));
	assert_int_equal(err.kind, ERROR_GONE);
	assert_false(ops->create(stage.session, SLICE_LITERAL("z"), &outcome, &err));
	assert_int_equal(err.kind, ERROR_ITEM);
	assert_true(ops->rename(stage.session, SLICE_LITERAL("p"), SLICE_LITERAL("q"), &outcome, &err));
	assert_int_equal(outcome, REMOTE_DONE);
	assert_false(ops->create(stage.session, SLICE_LITERAL("a\r\nx"), &outcome, &err));
	assert_int_equal(err.kind, ERROR_INVALID);
	assert_int_equal(outcome, REMOTE_NOT_SENT);
	clear_stage(&stage);
}

static void
a_selected_mailbox_is_left_before_it_goes(void **state)
{
	struct stage stage = set_stage(IMAP_FAKE_LOGIN("IMAP4rev1 UIDPLUS") "C: m2 SELECT \"a\"\n" IMAP_FAKE_SELECTED(
		"5", "7", "6", "10") "S: m2 OK x\nC: m3 UID STORE 1 +FLAGS.SILENT (\\Seen)\nS: m3 OK x\n"
				     /* without UNSELECT, and without expunging */
				     "C: m4 EXAMINE \"a\"\nS: m4 OK [READ-ONLY] x\nC: m5 CLOSE\nS: m5 OK x\nC: m6 "
				     "DELETE \"a\"\nS: m6 OK x\n");
	struct remote_store group = {.add = {.bits = FLAG_SEEN}};
	enum remote_outcome outcome;
	struct error err;

	uidset_add(&group.uids, 1, 1);
	assert_true(stage.session->ops->store(stage.session, &a, &group, 1, NULL, NULL, &err));
	assert_true(stage.session->ops->remove(stage.session, SLICE_LITERAL("a"), &outcome, &err));
	uidset_finish(&group.uids);
	clear_stage(&stage);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uploads_go_in_one_command_and_tell_their_uids),
		cmocka_unit_test(uids_that_do_not_fit_are_not_believed),
		cmocka_unit_test(an_upload_into_another_mailbox_of_that_name_is_looked_for),
		cmocka_unit_test(a_bad_message_is_found_by_halves),
		cmocka_unit_test(a_missing_mailbox_is_not_searched_by_halves),
		cmocka_unit_test(what_a_cut_leaves_is_told),
		cmocka_unit_test(a_literal_that_is_refused_early_is_not_sent),
		cmocka_unit_test(what_no_server_takes_is_not_tried),
		cmocka_unit_test(flags_go_out_in_groups_and_each_has_its_outcome),
		cmocka_unit_test(without_modseqs_the_server_tells_the_flags),
		cmocka_unit_test(nothing_is_done_to_a_mailbox_that_was_replaced),
		cmocka_unit_test(a_mailbox_for_reading_is_not_written),
		cmocka_unit_test(a_move_is_what_the_server_names),
		cmocka_unit_test(a_move_that_is_not_explained_has_to_be_looked_for),
		cmocka_unit_test(a_target_that_was_replaced_is_told),
		cmocka_unit_test(without_move_exactly_the_copied_are_expunged),
		cmocka_unit_test(without_uidplus_nothing_is_expunged),
		cmocka_unit_test(a_cut_move_is_unknown),
		cmocka_unit_test(a_throttled_session_says_for_how_long),
		cmocka_unit_test(a_bare_no_is_explained_by_a_listing),
		cmocka_unit_test(a_selected_mailbox_is_left_before_it_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
