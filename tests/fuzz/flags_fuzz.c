/* Three lines of flags as a user writes them: base, here, there. Each is applied, printed, read again, and the three are merged. */
#include <assert.h>

#include "engine/mail/flags.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_spellings(const struct flags *flags)
{
	SCOPED(buf_finish) struct buf text = BUF_INIT;
	SCOPED(flags_finish) struct flags again = FLAGS_INIT;
	struct slice rest, word;

	assert(flags->keywords == NULL ||
		(flags->keywords[0] != '\0' && flags_keywords(flags).length <= FLAGS_KEYWORDS_BYTES_MAX));
	flags_print_imap(flags, &text);
	rest = buf_slice(&text);
	while (flags_next_keyword(&rest, &word)) {
		assert(flags_add_imap(&again, word));
	}
	assert(flags_equal(flags, &again));
}

/* Reads a line: its system flags up to a `|`, then its keywords; what is refused is left out. */
static struct flags
read_line(struct slice *rest)
{
	size_t length = slice_find(*rest, '\n'), bar;
	struct slice line = slice_head(*rest, length), word;
	struct flags flags = FLAGS_INIT;
	struct error err = ERROR_INIT;

	*rest = slice_skip(*rest, length < rest->length ? length + 1 : length);
	bar = slice_find(line, '|');
	if (!flags_apply_system(&flags, slice_head(line, bar), &err)) {
		assert(err.kind == ERROR_INVALID && flags_empty(&flags));
	}
	line = slice_skip(line, bar < line.length ? bar + 1 : bar);
	if (!flags_apply_keywords(&flags, line, &err)) {
		while (flags_next_keyword(&line, &word)) {
			(void)flags_add_imap(&flags, word);
		}
	}
	flags.bits |= flags_bits_of_maildir(line);
	return flags;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_make(data, size);
	SCOPED(flags_finish) struct flags base = read_line(&rest);
	SCOPED(flags_finish) struct flags a = read_line(&rest);
	SCOPED(flags_finish) struct flags b = read_line(&rest);
	SCOPED(flags_finish) struct flags merged = flags_merge(&base, &a, &b);
	SCOPED(flags_finish) struct flags unchanged = flags_merge(&base, &base, &base);
	SCOPED(flags_finish) struct flags common = flags_intersection(&a, &b);
	SCOPED(flags_finish) struct flags only_a = flags_minus(&a, &b);
	SCOPED(flags_finish) struct flags a_again = flags_union(&common, &only_a);

	check_spellings(&base);
	check_spellings(&a);
	check_spellings(&merged);
	assert(flags_equal(&unchanged, &base));
	assert(flags_equal(&a_again, &a));
	return 0;
}
