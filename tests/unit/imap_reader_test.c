#include "engine/remote/imap/imap_reader.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/assert_slice.h"
#include "tests/unit/imap_dump.h"

/* What the octets say, however they are cut. */
static void
assert_reads(struct slice octets, const char *lines)
{
	static const size_t pieces[] = {1, 2, 3, 7, 64, 100000000};

	for (size_t i = 0; i < ARRAY_LENGTH(pieces); i++) {
		SCOPED(buf_finish) struct buf out = BUF_INIT;

		if (octets.length > 100000 && pieces[i] < 64) {
			continue;
		}
		imap_dump(octets, pieces[i], &out);
		assert_slices(buf_slice(&out), slice_of(lines));
	}
}

#define assert_says(octets, lines) assert_reads(SLICE_LITERAL(octets), lines)

static void
status_responses_have_codes_and_sentences(void **state)
{
	assert_says("* OK [UIDVALIDITY 3857529045] UIDs valid\r\n",
		"status OK code=UIDVALIDITY arguments=3857529045 text=UIDs valid\n");
	assert_says("* OK [PERMANENTFLAGS (\\Seen Junk \\*)] Limited\r\n",
		"status OK code=PERMANENTFLAGS arguments=(\\Seen Junk \\*) text=Limited\n");
	assert_says("m12 NO [OVERQUOTA] no room\r\n", "tagged tag=m12 NO code=OVERQUOTA text=no room\n");
	assert_says("m1 OK\r\n", "tagged tag=m1 OK\n");
	assert_says("m1 OK \r\n", "tagged tag=m1 OK\n");
	assert_says("* BYE going down\r\n", "status BYE text=going down\n");
	assert_says("* PREAUTH hello\r\n", "status PREAUTH text=hello\n");
	assert_says("* OK [unfinished code\r\n", "status OK text=[unfinished code\n");
	assert_says("* NO [BADCHARSET (\"]\")] odd\r\n", "status NO code=BADCHARSET arguments=(\"]\") text=odd\n");
	assert_says("m3 OK [COPYUID 38505 304,319:320 3956:3958] Done\r\n",
		"tagged tag=m3 OK code=COPYUID arguments=38505 304,319:320 3956:3958 text=Done\n");
	assert_says("+ \r\n", "continue\n");
	assert_says("+\r\n", "continue\n");
	assert_says("+ eyJzdGF0dXMiOiI0MDAifQ==\r\n", "continue text=eyJzdGF0dXMiOiI0MDAifQ==\n");
}

static void
the_first_personal_namespace_is_told_by_its_prefix(void **state)
{
	assert_says(
		"* NAMESPACE ((\"INBOX.\" \".\")) ((\"user.\" \".\")) ((\"\" \".\"))\r\n", "namespace prefix=INBOX.\n");
	assert_says("* NAMESPACE ((\"\" \"/\")(\"#mh/\" \"/\" \"X\" (\"A\" \"B\"))) NIL NIL\r\n", "namespace\n");
	assert_says("* NAMESPACE ((INBOX/ \"/\")) NIL NIL\r\n", "namespace prefix=INBOX/\n");
	assert_says("* NAMESPACE (({6}\r\nINBOX. {1}\r\n.)) NIL NIL\r\n", "namespace prefix=INBOX.\n");
	assert_says("* NAMESPACE NIL NIL ((\"x/\" \"/\"))\r\n* NAMESPACE\r\n* NAMESPACE ((\r\n* NAMESPACE (((\r\n",
		"namespace\nnamespace\nnamespace\nnamespace\n");
}

static void
braces_at_the_end_of_a_sentence_are_no_literal(void **state)
{
	assert_says("* OK see {5}\r\nm1 OK done {3}\r\n* 1 EXISTS\r\n",
		"status OK text=see {5}\ntagged tag=m1 OK text=done {3}\nexists 1\n");
	assert_says("+ go {3}\r\n* 1 EXISTS\r\n", "continue text=go {3}\nexists 1\n");
}

static void
what_nobody_knows_is_passed_over(void **state)
{
	assert_says("* ACL INBOX a lrs\r\n* QUOTA \"\" (STORAGE 1 2)\r\n", "other\nother\n");
	assert_says("* 23 RECENT\r\n", "other 23\n");
	assert_says("\r\n* 5 EXISTS\r\n", "other\nexists 5\n"); /* the rest of a literal that was refused early */
	assert_says("* 5 EXISTS\n", "exists 5\n");              /* LF alone */
	assert_says(
		"* 1 FETCH (UID 7 BODYSTRUCTURE ((\"a(\" \"b\\\")\" (NIL NIL) 3)(1 2)) X-NEW atom EMAILID (M1))\r\n",
		"fetch 1 uid=7 guid2 is=M1\n");
}

static void
fetch_tells_a_message(void **state)
{
	assert_says("* 12 FETCH (FLAGS (\\Seen $Junk) UID 4827313 MODSEQ (65402) INTERNALDATE \"17-Jul-1996 02:44:25 "
		    "-0700\" RFC822.SIZE 44827 "
		    "X-GUID 4817a109270b026b)\r\n",
		"fetch 12 uid=4827313 flags is=\\Seen $Junk modseq=65402 date=837596665 size=44827 guid1 "
		"is=4817a109270b026b\n");
	assert_says("* 1 FETCH (UID 1 FLAGS () INTERNALDATE \" 1-Jan-1970 00:00:00 +0000\" X-GUID \"with "
		    "\\\"quote\\\\\")\r\n",
		"fetch 1 uid=1 flags date=0 guid1 is=with \"quote\\\n");
	assert_says(
		"* 1 FETCH (UID 1 X-GM-MSGID 1278455344230334865)\r\n", "fetch 1 uid=1 guid3 is=1278455344230334865\n");
	assert_says("* 9 UIDFETCH (FLAGS ())\r\n", "fetch uid=9 flags\n");
}

static void
numbers_and_ids_that_cannot_be_are_absent(void **state)
{
	assert_says("* 1 FETCH (UID 1 MODSEQ (-1) RFC822.SIZE -5 INTERNALDATE \"never\" X-GUID NIL)\r\n",
		"fetch 1 uid=1\n");
	assert_says("* 1 FETCH (UID 1 MODSEQ () RFC822.SIZE NIL INTERNALDATE NIL EMAILID NIL)\r\n", "fetch 1 uid=1\n");
	assert_says("* 1 FETCH (UID 1 MODSEQ (99999999999999999999) RFC822.SIZE 18446744073709551615)\r\n",
		"fetch 1 uid=1\n");
	assert_says("* STATUS a (MESSAGES x UIDNEXT -1 HIGHESTMODSEQ 99999999999999999999)\r\n",
		"mailbox name=a messages=0? uidnext=0 uidvalidity=0 modseq=0\n");
}

static void
what_servers_have_sent_is_read(void **state)
{
	assert_says("* 1 FETCH ( MODSEQ ( 624140003 ) )\r\n", "fetch 1 uid=0 modseq=624140003\n");
	assert_says("* 1 FETCH (UID 3016 BODY[] )\r\n", "fetch 1 uid=3016\n");
	assert_says("* 1 FETCH (UID 7 FLAGS)\r\n", "fetch 1 uid=7\n");
	assert_says("[COPYUID 55 31 6]\r\n", "status OK code=COPYUID arguments=55 31 6\n");
	assert_says("* STATUS a (comp-multi (1 \"str\" 2:3 nil (nested (layers))) MESSAGES 3)\r\n",
		"mailbox name=a messages=3 uidnext=0 uidvalidity=0 modseq=0\n");
}

static void
bodies_are_streamed(void **state)
{
	assert_says("* 2 FETCH (UID 5 BODY[] {11}\r\nab\r\ncd)\0{3} FLAGS (\\Seen))\r\n",
		"body of 5 is=ab%0D%0Acd)%00{3}\nfetch 2 uid=5 flags is=\\Seen streamed:11\n");
	assert_says("* 2 FETCH (BODY[] {2}\r\nab UID 5)\r\n", "body of 0 is=ab\nfetch 2 uid=5 streamed:2\n");
	assert_says("* 2 FETCH (UID 5 BODY[] {0}\r\n)\r\n", "body of 5\nfetch 2 uid=5 streamed:0\n");
	assert_says("* 2 FETCH (UID 5 BODY[]<1048576> {3}\r\nabc)\r\n",
		"body of 5 is=abc\nfetch 2 uid=5 streamed:3<1048576>\n");
	assert_says(
		"* 2 FETCH (UID 5 BINARY[] ~{3}\r\na\0c)\r\n", "body of 5 is=a%00c\nfetch 2 uid=5 streamed:3:binary\n");
	assert_says("* 2 FETCH (UID 5 BODY[] ~{1}\r\na BODY[] NIL)\r\n", "body of 5 is=a\nfetch 2 uid=5 NIL\n");
	assert_says("* 2 FETCH (UID 5 BODY[] NIL)\r\n", "fetch 2 uid=5 NIL\n");
	assert_says("* 2 FETCH (UID 5 BODY[] \"a\\\"b\")\r\n", "fetch 2 uid=5 kept:3 is=a\"b\n");
}

static void
headers_are_kept(void **state)
{
	assert_says("* 2 FETCH (UID 5 BODY[HEADER.FIELDS (FROM \"TO\")] {8}\r\nFrom: a\n FLAGS ())\r\n* 3 EXISTS\r\n",
		"fetch 2 uid=5 flags header is=From: a%0A\nexists 3\n");
	assert_says("* 2 FETCH (UID 5 BODY[HEADER] {0}\r\n)\r\n", "fetch 2 uid=5 header\n");
}

static void
a_header_that_is_too_long_is_cut(void **state)
{
	SCOPED(buf_finish) struct buf octets = BUF_INIT;
	SCOPED(imap_reader_finish) struct imap_reader reader;
	struct imap_event event;
	struct error err;
	size_t size = IMAP_LITERAL_KEEP_MAX + 100000;

	imap_reader_init(&reader);
	buf_printf(&octets, "* 1 FETCH (UID 5 BODY[HEADER] {%zu}\r\n", size);
	for (size_t i = 0; i < size; i++) {
		buf_append_octet(&octets, 'x');
	}
	buf_append_text(&octets, " FLAGS (\\Seen))\r\n");

	struct slice input = buf_slice(&octets);

	assert_true(imap_reader_next(&reader, &input, &event, &err));
	assert_int_equal(event.kind, IMAP_EVENT_RESPONSE);
	assert_int_equal(event.response.fetched.header.length, IMAP_LITERAL_KEEP_MAX);
	assert_slice(event.response.fetched.flags, "\\Seen");
	assert_int_equal(input.length, 0);
}

static void
mailboxes_are_listed_in_every_spelling(void **state)
{
	assert_says("* LIST (\\HasNoChildren \\Trash) \"/\" \"Deleted Items\"\r\n",
		"list attributes=\\HasNoChildren \\Trash separator=/ name=Deleted Items\n");
	assert_says("* LIST () NIL INBOX\r\n", "list separator=0 name=INBOX\n");
	assert_says("* LIST () \"\\\\\" {7}\r\na\"b\\c d\r\n", "list separator=\\ name=a\"b\\c d\n");
	assert_says("* LIST () \"/\" odd name (with) more\r\n", "list separator=/ name=odd name\n");
	assert_says("* LIST () \"/\" a (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n", "list separator=/ name=a\n");
	assert_says("* LIST () \"/\" \"b\" (\"OLDNAME\" (\"a\"))\r\n", "list separator=/ name=b renamed\n");
	assert_says("* LIST () \"/\" \"\"\r\n", "list separator=/\n");
	assert_says("* LSUB () \".\" a.b\r\n", "lsub separator=. name=a.b\n");
	assert_says("* XLIST (\\AllMail) \"/\" \"[Gmail]/All\"\r\n",
		"list attributes=\\AllMail separator=/ name=[Gmail]/All\n");
	assert_says("* STATUS {1}\r\na (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 HIGHESTMODSEQ 4 X-GUID abc UNSEEN 9)\r\n",
		"mailbox name=a messages=1 uidnext=2 uidvalidity=3 modseq=4 x-guid=abc\n");
	assert_says("* STATUS \"a b\" (MAILBOXID (F2212ea87))\r\n",
		"mailbox name=a b messages=0? uidnext=0 uidvalidity=0 modseq=0 mailboxid=F2212ea87\n");
	assert_says("* STATUS a () \r\n", "mailbox name=a messages=0? uidnext=0 uidvalidity=0 modseq=0\n");
}

static void
sets_and_searches_come_through(void **state)
{
	assert_says("* VANISHED (EARLIER) 41,43:116,118\r\n", "vanished earlier text=41,43:116,118\n");
	assert_says("* VANISHED 405\r\n", "vanished text=405\n");
	assert_says("* SEARCH\r\n* SEARCH 2 84 882\r\n", "search\nsearch text=2 84 882\n");
	assert_says("* ESEARCH (TAG \"m4\") UID ALL 1:3,7 COUNT 4 MODSEQ 12\r\n", "esearch tag=m4 all=1:3,7 count=4\n");
	assert_says("* ESEARCH (TAG m4) UID\r\n", "esearch tag=m4\n");
	assert_says("* FLAGS (\\Answered \\Seen)\r\n* CAPABILITY IMAP4rev1 IDLE\r\n* ENABLED QRESYNC\r\n",
		"flags text=\\Answered \\Seen\ncapability text=IMAP4rev1 IDLE\nenabled text=QRESYNC\n");
	assert_says("* ID (\"name\" \"Dovecot\" \"version\" NIL)\r\n* ID NIL\r\n", "id name=Dovecot version=NIL\nid\n");
}

static void
a_set_may_be_longer_than_a_line(void **state)
{
	SCOPED(buf_finish) struct buf octets = BUF_INIT;
	SCOPED(imap_reader_finish) struct imap_reader reader;
	SCOPED(uidset_finish) struct uidset set = UIDSET_INIT;
	struct imap_event event;
	struct error err;

	imap_reader_init(&reader);
	buf_append_text(&octets, "* VANISHED (EARLIER) 1");
	for (unsigned uid = 3; uid < 600000; uid += 2) {
		buf_printf(&octets, ",%u", uid);
	}
	buf_append_text(&octets, "\r\n");
	assert_true(octets.length > 10 * IMAP_LINE_MAX);

	struct slice input = buf_slice(&octets);

	assert_true(imap_reader_next(&reader, &input, &event, &err));
	assert_true(uidset_parse(&set, event.response.text));
	assert_int_equal(uidset_size(&set), 300000);
}

static void
assert_refused(const char *octets, const char *word)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;

	imap_dump(slice_of(octets), 1, &out);
	if (strncmp(out.data, "error ", 6) != 0 || strstr(out.data, word) == NULL) {
		print_error("%s: %s\n", octets, out.data);
		fail();
	}
}

static void
what_cannot_be_imap_is_refused(void **state)
{
	assert_refused("HTTP/1.1 200 Fine\r\n", "no response");
	assert_refused("220 mail.example.org ESMTP\r\n", "no response");
	assert_refused("m1 PREAUTH x\r\n", "no response");
	assert_refused("*\r\n", "* alone");
	assert_refused("* 1 FETCH (UID 0)\r\n", "UID");
	assert_refused("* 1 FETCH (UID 4294967296)\r\n", "UID");
	assert_refused("* 1 FETCH (UID -7)\r\n", "UID");
	assert_refused("* 1 FETCH (UID 7 UID 8)\r\n", "two UIDs");
	assert_refused("* 0 FETCH (UID 7)\r\n", "number 0");
	assert_refused("* 0 EXPUNGE\r\n", "number 0");
	assert_refused("* 4294967296 EXISTS\r\n", "number");
	assert_refused("* 1 FETCH (UID 7\r\n", "does not end");
	assert_refused("* 1 FETCH UID 7\r\n", "without its list");
	assert_refused("* 1 FETCH (UID 7 FLAGS x)\r\n", "without its value");
	assert_refused("* 1 FETCH (UID 7 BODY[] (a))\r\n", "without its value");
	assert_refused("* 1 FETCH (UID 7 X \"no end)\r\n", "cannot be read");
	assert_refused("* STATUS\r\n", "without a name");
	assert_refused("* STATUS a\r\n", "without its list");
	assert_refused("* LIST\r\n", "without attributes");
	assert_refused("* FLAGS x\r\n", "without a list");
}

static void
what_is_too_much_is_refused(void **state)
{
	SCOPED(buf_finish) struct buf octets = BUF_INIT;
	SCOPED(buf_finish) struct buf out = BUF_INIT;

	assert_refused("* 1 FETCH (UID 1 BODY[] {1073741825}\r\n", "1073741825 octets");
	assert_refused("* LIST () \"/\" {99999999999999}\r\n", "99999999999999 octets");
	/* nobody can count that far, so it is text, and no name of a mailbox either */
	imap_dump(SLICE_LITERAL("* LIST () \"/\" {99999999999999999999999}\r\n"), 1, &out);
	assert_slices(buf_slice(&out), slice_of("list separator=/ name={99999999999999999999999}\n"));
	buf_clear(&out);

	imap_dump(SLICE_LITERAL("* OK a\0b\r\n"), 100, &out);
	assert_slices(buf_slice(&out), slice_of("error the server sent a NUL outside of a literal\n"));
	buf_clear(&out);

	buf_append_text(&octets, "* CAPABILITY");
	while (octets.length < IMAP_LINE_MAX + 10) {
		buf_append_text(&octets, " X");
	}
	imap_dump(buf_slice(&octets), 1000, &out);
	assert_slices(buf_slice(&out), slice_of("error the server sent a line of more than 65536 octets\n"));
	buf_clear(&out);
	buf_clear(&octets);

	buf_append_text(&octets, "* 1 FETCH (X ");
	for (int i = 0; i < 100000; i++) {
		buf_append_octet(&octets, '(');
	}
	buf_truncate(&octets, 60000);
	buf_append_text(&octets, "\r\n");
	imap_dump(buf_slice(&octets), 1000, &out);
	assert_slices(buf_slice(&out),
		slice_of("error the server sent what is no IMAP: a FETCH response that cannot be read\n"));
}

static void
literals_without_end_are_refused(void **state)
{
	SCOPED(buf_finish) struct buf octets = BUF_INIT;
	SCOPED(buf_finish) struct buf out = BUF_INIT;

	buf_append_text(&octets, "* 1 FETCH (UID 1");
	for (int i = 0; i <= IMAP_LITERALS_MAX; i++) {
		buf_append_text(&octets, " X {1}\r\na");
	}
	imap_dump(buf_slice(&octets), 1000, &out);
	assert_slices(buf_slice(&out), slice_of("error the server sent a response with more than 32 literals\n"));
	buf_clear(&out);
	buf_clear(&octets);

	buf_append_text(&octets, "* 1 FETCH (UID 1");
	for (int i = 0; i < 5; i++) {
		buf_printf(&octets, " X {%u}\r\n", IMAP_LITERAL_KEEP_MAX);
		for (size_t k = 0; k < IMAP_LITERAL_KEEP_MAX; k++) {
			buf_append_octet(&octets, 'x');
		}
	}
	imap_dump(buf_slice(&octets), 100000, &out);
	assert_slices(buf_slice(&out),
		slice_of("error the server sent a response with literals of more than 1048576 octets\n"));
}

static void
memory_follows_what_came_and_not_what_was_announced(void **state)
{
	SCOPED(imap_reader_finish) struct imap_reader reader;
	struct slice input = SLICE_LITERAL("* LIST () \"/\" {1073741824}\r\nabc");
	struct imap_event event;
	struct error err;

	imap_reader_init(&reader);
	assert_true(imap_reader_next(&reader, &input, &event, &err));
	assert_int_equal(event.kind, IMAP_EVENT_MORE);
	assert_true(reader.text.capacity < 4096);
}

/* Reads a file of a corpus whole and octet by octet; false where it cannot be IMAP. */
static bool
read_corpus_file(const char *path)
{
	SCOPED(buf_finish) struct buf octets = BUF_INIT;
	SCOPED(buf_finish) struct buf whole = BUF_INIT;
	SCOPED(buf_finish) struct buf pieces = BUF_INIT;
	char piece[4096];
	FILE *file = fopen(path, "rb");
	size_t got;

	assert_non_null(file);
	while ((got = fread(piece, 1, sizeof piece, file)) > 0) {
		buf_append(&octets, slice_make(piece, got));
	}
	fclose(file);
	imap_dump(buf_slice(&octets), octets.length + 1, &whole);
	imap_dump(buf_slice(&octets), 1, &pieces);
	assert_slices(buf_slice(&pieces), buf_slice(&whole));
	return whole.length == 0 || strstr(whole.data, "error ") == NULL;
}

static void
responses_of_many_servers_are_read(void **state)
{
	const char *corpus = getenv("MAILFS_CORPUS");
	char pattern[4096];
	size_t fine = 0;
	glob_t found;

	if (corpus == NULL) {
		skip();
	}
	snprintf(pattern, sizeof pattern, "%s/imap-responses/*/*.txt", corpus);
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		fine += read_corpus_file(found.gl_pathv[i]);
	}
	print_message("%zu of %zu files are IMAP\n", fine, found.gl_pathc);
	assert_true(fine * 100 >= found.gl_pathc * 95); /* the rest was made to be refused, or is cut */
	globfree(&found);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_responses_have_codes_and_sentences),
		cmocka_unit_test(braces_at_the_end_of_a_sentence_are_no_literal),
		cmocka_unit_test(what_nobody_knows_is_passed_over),
		cmocka_unit_test(the_first_personal_namespace_is_told_by_its_prefix),
		cmocka_unit_test(fetch_tells_a_message),
		cmocka_unit_test(numbers_and_ids_that_cannot_be_are_absent),
		cmocka_unit_test(what_servers_have_sent_is_read),
		cmocka_unit_test(bodies_are_streamed),
		cmocka_unit_test(headers_are_kept),
		cmocka_unit_test(a_header_that_is_too_long_is_cut),
		cmocka_unit_test(mailboxes_are_listed_in_every_spelling),
		cmocka_unit_test(sets_and_searches_come_through),
		cmocka_unit_test(a_set_may_be_longer_than_a_line),
		cmocka_unit_test(what_cannot_be_imap_is_refused),
		cmocka_unit_test(what_is_too_much_is_refused),
		cmocka_unit_test(literals_without_end_are_refused),
		cmocka_unit_test(memory_follows_what_came_and_not_what_was_announced),
		cmocka_unit_test(responses_of_many_servers_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
