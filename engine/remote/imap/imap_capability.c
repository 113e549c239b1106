#include "engine/remote/imap/imap_capability.h"

#include <assert.h>

#include "engine/base/scope.h"
#include "engine/remote/imap/imap_words.h"

static const struct {
	const char *word;
	enum imap_capability one;
} known[] = {
	{"STARTTLS", IMAP_CAN_STARTTLS},
	{"LOGINDISABLED", IMAP_CAN_LOGINDISABLED},
	{"SASL-IR", IMAP_CAN_SASL_IR},
	{"ID", IMAP_CAN_ID},
	{"ENABLE", IMAP_CAN_ENABLE},
	{"CONDSTORE", IMAP_CAN_CONDSTORE},
	{"QRESYNC", IMAP_CAN_QRESYNC},
	{"UIDPLUS", IMAP_CAN_UIDPLUS},
	{"MOVE", IMAP_CAN_MOVE},
	{"MULTIAPPEND", IMAP_CAN_MULTIAPPEND},
	{"LITERAL+", IMAP_CAN_LITERAL_PLUS},
	{"LITERAL-", IMAP_CAN_LITERAL_MINUS},
	{"BINARY", IMAP_CAN_BINARY},
	{"ESEARCH", IMAP_CAN_ESEARCH},
	{"LIST-EXTENDED", IMAP_CAN_LIST_EXTENDED},
	{"LIST-STATUS", IMAP_CAN_LIST_STATUS},
	{"SPECIAL-USE", IMAP_CAN_SPECIAL_USE},
	{"XLIST", IMAP_CAN_XLIST},
	{"NOTIFY", IMAP_CAN_NOTIFY},
	{"IDLE", IMAP_CAN_IDLE},
	{"COMPRESS=DEFLATE", IMAP_CAN_COMPRESS},
	{"OBJECTID", IMAP_CAN_OBJECTID},
	{"X-GM-EXT-1", IMAP_CAN_GMAIL},
	{"UNSELECT", IMAP_CAN_UNSELECT},
	{"NAMESPACE", IMAP_CAN_NAMESPACE},
	{"XAPPLEPUSHSERVICE", IMAP_CAN_APPLE},
	{"AUTH=OAUTHBEARER", IMAP_AUTH_OAUTHBEARER},
	{"AUTH=XOAUTH2", IMAP_AUTH_XOAUTH2},
	{"AUTH=EXTERNAL", IMAP_AUTH_EXTERNAL},
	{"AUTH=SCRAM-SHA-256-PLUS", IMAP_AUTH_SCRAM_SHA_256_PLUS},
	{"AUTH=SCRAM-SHA-256", IMAP_AUTH_SCRAM_SHA_256},
	{"AUTH=SCRAM-SHA-1-PLUS", IMAP_AUTH_SCRAM_SHA_1_PLUS},
	{"AUTH=SCRAM-SHA-1", IMAP_AUTH_SCRAM_SHA_1},
	{"AUTH=PLAIN", IMAP_AUTH_PLAIN},
	{"AUTH=LOGIN", IMAP_AUTH_LOGIN},
};

static_assert(IMAP_CAPABILITY_COUNT <= 64, "a bit each");

const char *
imap_capability_mechanism(enum imap_capability one)
{
	for (size_t i = 0; i < ARRAY_LENGTH(known); i++) {
		if (known[i].one == one && strncmp(known[i].word, "AUTH=", 5) == 0) {
			return known[i].word + 5;
		}
	}
	return NULL;
}

static void
read_word(struct slice word, struct imap_capabilities *out)
{
	static const struct slice append_limit = {"APPENDLIMIT=", 12}, message_limit = {"MESSAGELIMIT=", 13};

	for (size_t i = 0; i < ARRAY_LENGTH(known); i++) {
		if (slice_equal_nocase(word, slice_of(known[i].word))) {
			out->bits |= 1ull << known[i].one;
		}
	}
	if (slice_has_prefix_nocase(word, append_limit)) {
		(void)slice_to_u32(slice_skip(word, append_limit.length), &out->append_limit);
	} else if (slice_has_prefix_nocase(word, message_limit)) {
		(void)slice_to_u32(slice_skip(word, message_limit.length), &out->message_limit);
	}
}

void
imap_capability_read(struct slice words, const char *pretend_missing, struct imap_capabilities *out)
{
	struct slice missing = slice_of(pretend_missing), word;

	*out = (struct imap_capabilities){0};
	while (imap_words_next_word(&words, &word)) {
		if (!imap_words_has_word(missing, word)) {
			read_word(word, out);
		}
	}
	/* what brings something else with it (RFC 7162, 3.2.3; RFC 5819; RFC 6154 needs RETURN) */
	if (imap_can(out, IMAP_CAN_QRESYNC)) {
		out->bits |= 1ull << IMAP_CAN_CONDSTORE;
	}
	if (imap_can(out, IMAP_CAN_LIST_STATUS)) {
		out->bits |= 1ull << IMAP_CAN_LIST_EXTENDED;
	}
}
