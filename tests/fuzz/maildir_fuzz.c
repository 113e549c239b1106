/* What stands beside and in a Maildir: the first octet says what the rest is. Names of files, the index, keywords, raw names. */
#include <assert.h>

#include "engine/remote/maildir/maildir_filename.h"
#include "engine/remote/maildir/maildir_index.h"
#include "engine/remote/maildir/maildir_names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_name(struct slice text)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;
	struct maildir_filename name, again;

	if (!maildir_filename_read(text, &name) || !maildir_filename_print(&name, name.bits, name.keywords, &out)) {
		return;
	}
	assert(maildir_filename_read(buf_slice(&out), &again));
	assert(again.bits == name.bits && again.keywords == name.keywords && slice_equal(again.key, name.key));
	assert(again.has_wire_size == name.has_wire_size && again.wire_size == name.wire_size);
}

/* What was read prints as a file that reads as the same, and goes on. */
static void
check_index(struct slice text)
{
	SCOPED(maildir_index_finish) struct maildir_index index = {.seed = 1};
	SCOPED(maildir_index_finish) struct maildir_index again = {.seed = 2};
	SCOPED(buf_finish) struct buf first = BUF_INIT;
	SCOPED(buf_finish) struct buf second = BUF_INIT;
	struct error err = ERROR_INIT;
	size_t used;

	if (!maildir_index_feed(&index, text, &used, &err) || index.id[0] == '\0') {
		return;
	}
	maildir_index_print(&index, &first);
	assert(maildir_index_feed(&again, buf_slice(&first), &used, &err) && used == first.length);
	maildir_index_print(&again, &second);
	assert(slice_equal(buf_slice(&first), buf_slice(&second)));
	assert(again.live == index.live && again.uidnext == index.uidnext && again.modseq == index.modseq);
	buf_clear(&first);
	if (maildir_index_find_key(&index, SLICE_LITERAL("1.new")) == NULL && index.modseq < INT64_MAX - 1 &&
		maildir_index_add(&index, SLICE_LITERAL("1.new"), true, index.modseq + 1, &first) != NULL) {
		assert(maildir_index_feed(&again, buf_slice(&first), &used, &err) && used == first.length);
	}
}

static void
check_keywords(struct slice text)
{
	SCOPED(maildir_keywords_finish) struct maildir_keywords table = {0};
	SCOPED(maildir_keywords_finish) struct maildir_keywords again = {0};
	SCOPED(buf_finish) struct buf out = BUF_INIT;

	maildir_keywords_read(&table, text);
	buf_append(&out, text);
	if (maildir_keywords_find(&table, SLICE_LITERAL("New")) < 0 && text.length < MAILDIR_KEYWORDS_BYTES_MAX &&
		maildir_keywords_add(&table, SLICE_LITERAL("New"), &out)) {
		maildir_keywords_read(&again, buf_slice(&out));
	}
	SCOPED(flags_finish) struct flags flags = maildir_keywords_flags(&table, 0, UINT32_MAX);

	assert((maildir_keywords_letters(&table, &flags) & ~maildir_keywords_all_letters(&table, &flags)) == 0);
}

/* A directory that a raw name leads to has that raw name, and is beneath the top. */
static void
check_raw(const struct maildir_layout *layout, struct slice text)
{
	SCOPED(buf_finish) struct buf path = BUF_INIT;
	SCOPED(buf_finish) struct buf raw = BUF_INIT;
	SCOPED(buf_finish) struct buf again = BUF_INIT;
	struct error err = ERROR_INIT;

	if (maildir_names_raw(layout, text, &raw) && !slice_equal_nocase(buf_slice(&raw), SLICE_LITERAL("INBOX"))) {
		assert(maildir_names_path(layout, buf_slice(&raw), &path, &err));
		assert(maildir_names_raw(layout, buf_slice(&path), &again));
		assert(slice_equal(buf_slice(&again), buf_slice(&raw)));
	}
	buf_clear(&path);
	if (maildir_names_path(layout, text, &path, &err) && path.length > 0) {
		assert(path.data[0] != '/' && memmem(path.data, path.length, "/../", 4) == NULL &&
			!slice_has_prefix(buf_slice(&path), SLICE_LITERAL("../")) &&
			!slice_has_suffix(buf_slice(&path), SLICE_LITERAL("/..")));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct maildir_layout nested = {.style = MAILDIR_NESTED};
	static const struct maildir_layout plus = {.style = MAILDIR_PLUS, .top_is_inbox = true};
	struct slice text = slice_make(data, size);

	if (size == 0) {
		return 0;
	}
	text = slice_skip(text, 1);
	switch (data[0]) {
	case 'f':
		check_name(text);
		break;
	case 'k':
		check_keywords(text);
		break;
	case 'n':
		check_raw(&nested, text);
		break;
	case 'p':
		check_raw(&plus, text);
		break;
	default:
		check_index(text);
	}
	return 0;
}
