/* A separator and a name: read as a raw name, as a name of ours, as a file name, and as globs. */
#include <assert.h>

#include "engine/mail/mailbox_name.h"
#include "engine/mail/safe_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_file(struct slice level)
{
	SCOPED(buf_finish) struct buf file = BUF_INIT;
	SCOPED(buf_finish) struct buf again = BUF_INIT;

	if (!mailbox_name_to_file(level, &file)) {
		assert(file.length == 0);
		return;
	}
	assert(file.length > 0 && file.length <= 255 && file.data[0] != '.');
	assert(slice_find(buf_slice(&file), '/') == file.length && slice_find(buf_slice(&file), '\0') == file.length);
	assert(mailbox_name_from_file(buf_slice(&file), &again) && slice_equal(buf_slice(&again), level));
}

static void
check_raw(struct slice raw, char separator)
{
	SCOPED(buf_finish) struct buf ours = BUF_INIT;
	SCOPED(buf_finish) struct buf back = BUF_INIT;
	struct error err = ERROR_INIT;

	if (!mailbox_name_from_imap(raw, separator, &ours)) {
		assert(ours.length == 0);
		return;
	}
	assert(ours.length <= MAILBOX_NAME_MAX && safe_text_is_utf8(buf_slice(&ours)));
	check_file(mailbox_name_leaf(buf_slice(&ours)));
	/* Separators that are no signs are met nowhere, and INBOX has one spelling. */
	if ((separator == '/' || separator == '.' || separator == '\\' || separator == '\0') &&
		!slice_has_prefix_nocase(raw, SLICE_LITERAL("INBOX"))) {
		assert(mailbox_name_to_imap(buf_slice(&ours), separator, &back, &err));
		assert(slice_equal(buf_slice(&back), raw));
	}
}

/* A personal name and its raw one, with a prefix that ends in the separator. */
static void
check_behind(struct slice raw, char separator)
{
	SCOPED(buf_finish) struct buf prefix = BUF_INIT, ours = BUF_INIT, back = BUF_INIT;
	struct error err = ERROR_INIT;

	buf_append_text(&prefix, "INBOX");
	buf_append_octet(&prefix, separator);
	if (mailbox_name_to_imap_behind(buf_slice(&prefix), raw, separator, &back, &err)) {
		assert(mailbox_name_from_imap_behind(buf_slice(&prefix), buf_slice(&back), separator, &ours));
		assert(slice_equal(buf_slice(&ours), raw));
	}
}

static void
check_ours(struct slice name, char separator)
{
	SCOPED(buf_finish) struct buf raw = BUF_INIT;
	SCOPED(buf_finish) struct buf back = BUF_INIT;
	SCOPED(buf_finish) struct buf leaf = BUF_INIT;
	struct error err = ERROR_INIT;

	if (mailbox_name_to_imap(name, separator, &raw, &err)) {
		assert(mailbox_name_from_imap(buf_slice(&raw), separator, &back));
		assert(slice_equal(buf_slice(&back), name));
	}
	check_behind(name, separator);
	if (mailbox_name_from_file(name, &leaf)) {
		buf_clear(&raw);
		assert(mailbox_name_to_file(buf_slice(&leaf), &raw) && slice_equal(buf_slice(&raw), name));
	}
	check_file(name);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice input = slice_make(data, size), name;
	char separator;
	size_t globs;

	if (size == 0) {
		return 0;
	}
	separator = input.data[0] == '0' ? '\0' : input.data[0];
	name = slice_skip(input, 1);
	check_raw(name, separator);
	check_ours(name, separator);
	globs = slice_find(name, '\n');
	if (globs <= 2000) {
		(void)mailbox_name_selected(
			slice_head(name, globs), slice_head(slice_skip(name, globs), MAILBOX_NAME_MAX));
	}
	return 0;
}
