/* What a server says, read at once and octet by octet: both must say the same, and what the words, sets, flags and dates in it are must be had
 * without harm. */
#include <assert.h>

#include "tests/unit/imap_dump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
use_words(struct slice list)
{
	SCOPED(flags_finish) struct flags flags = FLAGS_INIT;
	SCOPED(uidset_finish) struct uidset set = UIDSET_INIT;
	struct uid_range range;
	struct guid guid;
	int64_t seconds;
	uint64_t sum = 0;

	imap_words_flags(list, &flags);
	(void)imap_words_has_word(list, SLICE_LITERAL("\\*"));
	(void)imap_words_date(list, &seconds);
	imap_words_guid(GUID_MAILBOXID, list, &guid);
	assert(guid.kind != GUID_NONE || guid.length == 0);
	if (uidset_parse(&set, list)) {
		/* the walk in order sees what the set holds, and no less */
		struct slice rest = list;

		while (imap_words_next_range(&rest, &range)) {
			assert(range.first > 0 && range.first <= range.last);
			sum += (uint64_t)range.last - range.first + 1;
		}
		assert(rest.length == 0 && sum >= uidset_size(&set));
	}
}

static void
use_responses(struct slice input)
{
	SCOPED(imap_reader_finish) struct imap_reader reader;
	struct imap_event event;
	struct error err;

	imap_reader_init(&reader);
	while (imap_reader_next(&reader, &input, &event, &err) && event.kind != IMAP_EVENT_MORE) {
		if (event.kind == IMAP_EVENT_RESPONSE) {
			use_words(event.response.text);
			use_words(event.response.arguments);
			use_words(event.response.fetched.flags);
			use_words(event.response.fetched.guid);
			use_words(event.response.esearch.all);
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPED(buf_finish) struct buf whole = BUF_INIT;
	SCOPED(buf_finish) struct buf pieces = BUF_INIT;
	struct slice octets = slice_make(data, size);

	imap_dump(octets, size > 0 ? size : 1, &whole);
	imap_dump(octets, 1, &pieces);
	assert(slice_equal(buf_slice(&whole), buf_slice(&pieces)));
	use_responses(octets);
	return 0;
}
