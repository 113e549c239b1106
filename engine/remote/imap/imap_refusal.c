#include "engine/remote/imap/imap_refusal.h"

#include <ctype.h>

#define WAIT_S_MAX 86400
#define TEXT_MAX   300

static const struct {
	const char *code;
	enum error_kind kind;
	enum error_kind at_login;
} codes[] = {
	{"OVERQUOTA", ERROR_ITEM, ERROR_ITEM}, /* ERROR_SPACE is of our own disk, and stops everything */
	{"LIMIT", ERROR_ITEM, ERROR_THROTTLED},
	{"INUSE", ERROR_ITEM, ERROR_THROTTLED},
	{"UNAVAILABLE", ERROR_ITEM, ERROR_UNREACHABLE},
	{"SERVERBUG", ERROR_ITEM, ERROR_UNREACHABLE},
	{"CONTACTADMIN", ERROR_ITEM, ERROR_CREDENTIALS},
	{"NONEXISTENT", ERROR_GONE, ERROR_CREDENTIALS},
	{"TRYCREATE", ERROR_GONE, ERROR_ITEM},
	{"ALREADYEXISTS", ERROR_EXISTS, ERROR_ITEM},
	{"NOPERM", ERROR_REFUSED, ERROR_CREDENTIALS},
	{"READ-ONLY", ERROR_REFUSED, ERROR_ITEM},
	{"CANNOT", ERROR_REFUSED, ERROR_CREDENTIALS},
	{"AUTHENTICATIONFAILED", ERROR_CREDENTIALS, ERROR_CREDENTIALS},
	{"AUTHORIZATIONFAILED", ERROR_CREDENTIALS, ERROR_CREDENTIALS},
	{"EXPIRED", ERROR_CREDENTIALS, ERROR_CREDENTIALS},
	{"PRIVACYREQUIRED", ERROR_TRUST, ERROR_TRUST},
};

/* What servers say in words, in small letters. */
static const struct {
	const char *words;
	enum error_kind kind;
} sentences[] = {
	{"throttled", ERROR_THROTTLED},
	{"suggested backoff time", ERROR_THROTTLED},
	{"too many simultaneous", ERROR_THROTTLED},
	{"too many connections", ERROR_THROTTLED},
	{"maximum number of connections", ERROR_THROTTLED},
	{"bandwidth limit", ERROR_THROTTLED},
	{"rate limit", ERROR_THROTTLED},
	{"authenticated but not connected", ERROR_UNREACHABLE},
	{"quota exceeded", ERROR_ITEM},
	{"over quota", ERROR_ITEM},
	{"exceeded quota", ERROR_ITEM},
};

static const char *const gone_sentences[] = {
	"doesn't exist", "does not exist", "no such mailbox", "unknown mailbox", "nonexistent", "not found"};

/* The text in small letters, cut. */
static void
small_letters(struct slice text, char out[TEXT_MAX])
{
	size_t length = text.length < TEXT_MAX - 1 ? text.length : TEXT_MAX - 1;

	for (size_t i = 0; i < length; i++) {
		out[i] = text.data[i] == '\0' ? ' ' : (char)tolower((unsigned char)text.data[i]);
	}
	out[length] = '\0';
}

/* "Suggested Backoff Time: 299961 milliseconds" */
static unsigned
wait_of(const char *text)
{
	static const char words[] = "backoff time: ";
	const char *at = strstr(text, words);
	uint64_t number;

	if (at == NULL) {
		return 0;
	}
	at += sizeof words - 1;
	if (!slice_to_u64(slice_make(at, strspn(at, "0123456789")), &number)) {
		return 0;
	}
	at += strspn(at, "0123456789 ");
	if (strncmp(at, "milli", 5) == 0 || strncmp(at, "ms", 2) == 0) {
		number = number / 1000 + (number % 1000 > 0);
	}
	return number < WAIT_S_MAX ? (unsigned)number : WAIT_S_MAX;
}

bool
imap_refusal_is_gone(const struct imap_response *answer)
{
	char text[TEXT_MAX];

	if (answer->status != IMAP_NO) {
		return false;
	}
	if (slice_equal_nocase(answer->code, SLICE_LITERAL("NONEXISTENT")) ||
		slice_equal_nocase(answer->code, SLICE_LITERAL("TRYCREATE"))) {
		return true;
	}
	small_letters(answer->text, text);
	for (size_t i = 0; i < ARRAY_LENGTH(gone_sentences); i++) {
		if (strstr(text, gone_sentences[i]) != NULL) {
			return true;
		}
	}
	return false;
}

static enum error_kind
kind_of(const struct imap_response *answer, const char *text, bool login)
{
	for (size_t i = 0; i < ARRAY_LENGTH(sentences); i++) {
		if (strstr(text, sentences[i].words) != NULL) {
			return sentences[i].kind;
		}
	}
	for (size_t i = 0; i < ARRAY_LENGTH(codes); i++) {
		if (slice_equal_nocase(answer->code, slice_of(codes[i].code))) {
			return login ? codes[i].at_login : codes[i].kind;
		}
	}
	if (login) {
		return answer->status == IMAP_NO ? ERROR_CREDENTIALS : ERROR_RETRY;
	}
	if (answer->status == IMAP_BYE) {
		return ERROR_RETRY;
	}
	if (answer->status == IMAP_NO && strstr(text, "permission denied") != NULL) { /* Cyrus has no code for it */
		return ERROR_REFUSED;
	}
	return imap_refusal_is_gone(answer) ? ERROR_GONE : ERROR_ITEM;
}

bool
imap_refusal(const struct imap_response *answer, const char *what, struct error *err)
{
	static const char *const words[] = {[IMAP_OK] = "said",
		[IMAP_NO] = "refused",
		[IMAP_BAD] = "does not take",
		[IMAP_PREAUTH] = "said",
		[IMAP_BYE] = "hung up on"};
	bool login = strcmp(what, "login") == 0;
	char text[TEXT_MAX];

	small_letters(answer->text, text);

	enum error_kind kind = kind_of(answer, text, login);
	struct slice said = slice_head(answer->text, TEXT_MAX);

	error_set(err, kind, "the server %s %s: %s%.*s%s%.*s", words[answer->status], what,
		answer->code.length > 0 ? "[" : "", (int)slice_head(answer->code, 40).length,
		answer->code.length > 0 ? answer->code.data : "", answer->code.length > 0 ? "] " : "", (int)said.length,
		said.length > 0 ? said.data : "");
	if (kind == ERROR_THROTTLED) {
		err->wait_s = wait_of(text);
	}
	return false;
}
