#include "engine/remote/imap/imap_grammar.h"

#include <assert.h>

/* Where the reading stands. */
struct cursor {
	const struct imap_text *text;
	size_t at;
	size_t literal; /* the first literal that has not been passed */
};

enum value_kind { VALUE_NIL, VALUE_ATOM, VALUE_STRING, VALUE_OPEN /* a `(`: not taken */ };

struct value {
	enum value_kind kind;
	struct slice octets;
	const struct imap_literal *literal; /* where it was one */
};

static bool
wrong(struct error *err, const char *what)
{
	return error_set(err, ERROR_RETRY, "the server sent what is no IMAP: %s", what);
}

static struct slice
rest_of(const struct cursor *c)
{
	return slice_skip(c->text->octets, c->at);
}

static bool
at_end(const struct cursor *c)
{
	return c->at >= c->text->octets.length;
}

static char
peek(const struct cursor *c)
{
	return at_end(c) ? '\0' : c->text->octets.data[c->at];
}

static bool
take(struct cursor *c, char octet)
{
	if (at_end(c) || c->text->octets.data[c->at] != octet) {
		return false;
	}
	c->at++;
	return true;
}

static void
skip_spaces(struct cursor *c)
{
	while (take(c, ' ')) {
	}
}

/* The literal that begins at the cursor, or NULL. */
static const struct imap_literal *
literal_here(struct cursor *c)
{
	const struct imap_text *text = c->text;

	while (c->literal < text->literal_count && text->literals[c->literal].at < c->at) {
		c->literal++;
	}
	return c->literal < text->literal_count && text->literals[c->literal].at == c->at ? &text->literals[c->literal]
											  : NULL;
}

static bool
ends_atom(char octet)
{
	return octet == ' ' || octet == '(' || octet == ')';
}

/* Takes octets up to a space or parenthesis. */
static struct slice
take_atom(struct cursor *c)
{
	struct slice rest = rest_of(c);
	size_t length = 0;

	while (length < rest.length && !ends_atom(rest.data[length])) {
		length++;
	}
	c->at += length;
	return slice_head(rest, length);
}

static bool
take_quoted(struct cursor *c, struct slice *out)
{
	struct slice rest = rest_of(c);
	struct buf *scratch = c->text->scratch;
	size_t begin = scratch->length, at = 1;
	bool escaped = false;

	assert(rest.length > 0 && rest.data[0] == '"');
	while (at < rest.length && rest.data[at] != '"') {
		if (rest.data[at] == '\\' && at + 1 < rest.length) {
			if (!escaped) {
				buf_append(scratch, slice_make(rest.data + 1, at - 1));
				escaped = true;
			}
			at++;
		}
		if (escaped) {
			buf_append_octet(scratch, rest.data[at]);
		}
		at++;
	}
	if (at >= rest.length) {
		return false;
	}
	*out = escaped ? slice_make(scratch->data + begin, scratch->length - begin) : slice_make(rest.data + 1, at - 1);
	c->at += at + 1;
	return true;
}

/* Takes an atom, NIL, a quoted string or a literal; leaves a list where it is. */
static bool
take_value(struct cursor *c, struct value *out)
{
	const struct imap_literal *literal = literal_here(c);

	*out = (struct value){.kind = VALUE_STRING, .literal = literal};
	if (literal != NULL) {
		out->octets = slice_make(c->text->octets.data + literal->data, literal->length);
		c->at = literal->data + literal->length;
		c->literal++;
		return true;
	}
	if (peek(c) == '"') {
		return take_quoted(c, &out->octets);
	}
	if (peek(c) == '(') {
		out->kind = VALUE_OPEN;
		return true;
	}
	out->octets = take_atom(c);
	out->kind = slice_equal_nocase(out->octets, SLICE_LITERAL("NIL")) ? VALUE_NIL : VALUE_ATOM;
	return out->octets.length > 0;
}

/* Passes over a value, lists with all that is in them. */
static bool
skip_value(struct cursor *c)
{
	unsigned depth = 0;

	do {
		struct value value;

		skip_spaces(c);
		if (depth > 0 && take(c, ')')) {
			depth--;
		} else if (literal_here(c) == NULL && take(c, '(')) {
			if (++depth > IMAP_NESTING_MAX) {
				return false;
			}
		} else if (!take_value(c, &value)) {
			return false;
		}
	} while (depth > 0);
	return true;
}

/* Takes what stands between a pair of parentheses without looking into it; quotes are minded. */
static bool
take_list(struct cursor *c, struct slice *out)
{
	size_t begin = c->at + 1;

	if (peek(c) != '(' || !skip_value(c)) {
		return false;
	}
	*out = slice_make(c->text->octets.data + begin, c->at - begin - 1);
	return true;
}

static bool
take_u32(struct cursor *c, uint32_t *out)
{
	struct slice rest = rest_of(c);
	size_t length = 0;

	while (length < rest.length && rest.data[length] >= '0' && rest.data[length] <= '9') {
		length++;
	}
	if (!slice_to_u32(slice_head(rest, length), out)) {
		return false;
	}
	c->at += length;
	return true;
}

/* `name` against a word in capitals. */
static bool
is(struct slice name, const char *word)
{
	return slice_equal_nocase(name, slice_of(word));
}

/* --- FETCH --- */

/* Takes an item's name with its section, `BODY[HEADER.FIELDS (FROM)]<0>`. */
static bool
take_item_name(struct cursor *c, struct slice *out)
{
	struct slice rest = rest_of(c);
	size_t length = 0;
	bool section = false;

	while (length < rest.length && (section || !ends_atom(rest.data[length]))) {
		if (rest.data[length] == '[') {
			section = true;
		} else if (rest.data[length] == ']') {
			section = false;
		}
		length++;
	}
	c->at += length;
	*out = slice_head(rest, length);
	return length > 0 && !section;
}

/* Tells whether the item is a message as a whole, `BODY[]`, `BINARY[]`, with or without an origin. */
static bool
is_whole_body(struct slice name, struct imap_fetched *out)
{
	bool binary = slice_has_prefix_nocase(name, SLICE_LITERAL("BINARY[]"));

	if (!binary && !slice_has_prefix_nocase(name, SLICE_LITERAL("BODY[]"))) {
		return false;
	}
	struct slice origin = slice_skip(name, slice_find(name, ']') + 1);

	if (origin.length == 0) {
		out->body_partial = false;
		out->body_origin = 0;
	} else if (origin.length > 2 && origin.data[0] == '<' && origin.data[origin.length - 1] == '>' &&
		   slice_to_u64(slice_make(origin.data + 1, origin.length - 2), &out->body_origin)) {
		out->body_partial = true;
	} else {
		return false;
	}
	out->body_binary = binary;
	return true;
}

static bool
take_body(struct cursor *c, struct imap_fetched *out)
{
	struct value value;

	if (!take_value(c, &value) || value.kind == VALUE_OPEN) {
		return false;
	}
	if (value.kind == VALUE_NIL) {
		out->form = IMAP_BODY_NIL;
	} else if (value.literal != NULL && value.literal->streamed) {
		out->form = IMAP_BODY_STREAMED;
		out->body_size = value.literal->size;
	} else {
		out->form = IMAP_BODY_KEPT;
		out->body = value.octets;
		out->body_size = value.octets.length;
	}
	return true;
}

/* A value alone or in parentheses: `MODSEQ (12)`, `EMAILID (M1)`, `X-GUID a`. */
static bool
take_wrapped(struct cursor *c, struct slice *out)
{
	struct value value;
	bool list = take(c, '(');

	*out = (struct slice){0};
	if (list) {
		skip_spaces(c);
		if (take(c, ')')) {
			return true;
		}
	}
	if (!take_value(c, &value) || value.kind == VALUE_OPEN) {
		return false;
	}
	if (value.kind != VALUE_NIL) {
		*out = value.octets;
	}
	if (list) {
		skip_spaces(c);
	}
	return !list || take(c, ')');
}

static bool
take_uid(struct cursor *c, struct imap_fetched *out, struct error *err)
{
	uint32_t uid;

	if (!take_u32(c, &uid) || uid == 0) {
		return wrong(err, "a UID that is none");
	}
	if (out->uid != 0 && out->uid != uid) {
		return wrong(err, "two UIDs for one message");
	}
	out->uid = uid;
	return true;
}

static bool
take_number_item(struct cursor *c, bool *out_has, uint64_t *out)
{
	struct slice text;

	if (!take_wrapped(c, &text)) {
		return false;
	}
	*out_has = slice_to_u64(text, out) && *out <= INT64_MAX;
	return true;
}

static bool
take_date_item(struct cursor *c, struct imap_fetched *out)
{
	struct slice text;

	if (!take_wrapped(c, &text)) {
		return false;
	}
	out->has_date = imap_words_date(text, &out->internaldate_s);
	return true;
}

static bool
take_guid_item(struct cursor *c, enum guid_kind kind, struct imap_fetched *out)
{
	if (!take_wrapped(c, &out->guid)) {
		return false;
	}
	out->guid_kind = out->guid.length > 0 ? kind : GUID_NONE;
	return true;
}

static bool
take_header_item(struct cursor *c, struct imap_fetched *out)
{
	struct value value;

	if (!take_value(c, &value) || value.kind == VALUE_OPEN) {
		return false;
	}
	out->has_header = true;
	out->header = value.kind == VALUE_NIL ? (struct slice){0} : value.octets;
	return true;
}

/* Takes the value that belongs to the item `name`. */
static bool
take_item(struct cursor *c, struct slice name, struct imap_fetched *out, struct error *err)
{
	bool has, known = true, fine;

	if (is(name, "UID")) {
		return take_uid(c, out, err);
	}
	if (is(name, "FLAGS")) {
		fine = out->has_flags = take_list(c, &out->flags);
	} else if (is(name, "MODSEQ")) {
		fine = take_number_item(c, &has, &out->modseq);
		out->modseq = fine && has ? out->modseq : 0;
	} else if (is(name, "RFC822.SIZE")) {
		fine = take_number_item(c, &out->has_size, &out->size);
	} else if (is(name, "INTERNALDATE")) {
		fine = take_date_item(c, out);
	} else if (is(name, "X-GUID")) {
		fine = take_guid_item(c, GUID_X_GUID, out);
	} else if (is(name, "EMAILID")) {
		fine = take_guid_item(c, GUID_EMAILID, out);
	} else if (is(name, "X-GM-MSGID")) {
		fine = take_guid_item(c, GUID_X_GM_MSGID, out);
	} else if (slice_has_prefix_nocase(name, SLICE_LITERAL("BODY[HEADER"))) {
		fine = take_header_item(c, out);
	} else if (is_whole_body(name, out)) {
		fine = take_body(c, out);
	} else {
		known = false;
		fine = skip_value(c);
	}
	return fine || wrong(err, known ? "a FETCH item without its value" : "a FETCH response that cannot be read");
}

/* Takes items up to the closing parenthesis; with `partial` up to the literal that ends the text, whose item is then left in *out_item. */
static bool
take_items(struct cursor *c, bool partial, struct slice *out_item, struct imap_fetched *out, struct error *err)
{
	if (!take(c, '(')) {
		return wrong(err, "a FETCH response without its list");
	}
	for (;;) {
		skip_spaces(c);
		if (take(c, ')')) {
			*out_item = (struct slice){0};
			return true;
		}
		if (!take_item_name(c, out_item)) {
			return wrong(err, "a FETCH response that does not end");
		}
		skip_spaces(c);
		const struct imap_literal *literal = literal_here(c);

		if (partial && literal == &c->text->literals[c->text->literal_count - 1]) {
			return true;
		}
		if (literal == NULL && peek(c) == ')') {
			continue; /* some servers leave the value out where it is empty */
		}
		if (!take_item(c, *out_item, out, err)) {
			return false;
		}
	}
}

/* --- the other responses --- */

static void
take_code(struct cursor *c, struct imap_response *out)
{
	struct slice rest = rest_of(c);
	size_t end = 1, name = 0;
	bool quoted = false;

	if (rest.length == 0 || rest.data[0] != '[') {
		return;
	}
	while (end < rest.length && (quoted || rest.data[end] != ']')) {
		if (rest.data[end] == '"') {
			quoted = !quoted;
		}
		end++;
	}
	if (end >= rest.length) {
		return;
	}
	struct slice inner = slice_make(rest.data + 1, end - 1);

	name = slice_find(inner, ' ');
	out->code = slice_head(inner, name);
	out->arguments = slice_trim(slice_skip(inner, name));
	c->at += end + 1;
	skip_spaces(c);
}

static bool
status_of(struct slice word, enum imap_status *out)
{
	static const char *const names[] = {
		[IMAP_OK] = "OK", [IMAP_NO] = "NO", [IMAP_BAD] = "BAD", [IMAP_PREAUTH] = "PREAUTH", [IMAP_BYE] = "BYE"};

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		if (is(word, names[i])) {
			*out = (enum imap_status)i;
			return true;
		}
	}
	return false;
}

static void
take_status_text(struct cursor *c, struct imap_response *out)
{
	skip_spaces(c);
	take_code(c, out);
	out->text = rest_of(c);
}

static bool
take_listed(struct cursor *c, struct imap_listed *out, struct error *err)
{
	struct value separator, name;

	skip_spaces(c);
	if (!take_list(c, &out->attributes)) {
		return wrong(err, "a LIST response without attributes");
	}
	skip_spaces(c);
	if (!take_value(c, &separator) || separator.kind == VALUE_OPEN) {
		return wrong(err, "a LIST response without a separator");
	}
	if (separator.kind != VALUE_NIL && separator.octets.length == 1) {
		out->separator = separator.octets.data[0];
	}
	skip_spaces(c);
	if (literal_here(c) == NULL && peek(c) != '"') {
		/* some servers leave quotes out where the name has blanks or parentheses */
		struct slice rest = rest_of(c);
		size_t extra = 0;

		while (extra + 1 < rest.length && !(rest.data[extra] == ' ' && rest.data[extra + 1] == '(')) {
			extra++;
		}
		out->name = extra + 1 < rest.length ? slice_head(rest, extra) : slice_trim(rest);
		c->at += extra;
	} else if (take_value(c, &name)) {
		out->name = name.octets;
	}
	if (out->name.length == 0) {
		return true; /* LIST "" "": the separator alone */
	}
	skip_spaces(c);
	if (peek(c) == '(' && c->at + 1 < c->text->octets.length) {
		struct slice extended = rest_of(c);

		out->renamed = slice_has_prefix_nocase(extended, SLICE_LITERAL("(\"OLDNAME\"")) ||
			       slice_has_prefix_nocase(extended, SLICE_LITERAL("(OLDNAME"));
	}
	return true;
}

static bool
take_mailbox_item(struct cursor *c, struct imap_mailbox *out)
{
	static const char *const known[] = {
		"MESSAGES", "UIDNEXT", "UIDVALIDITY", "HIGHESTMODSEQ", "X-GUID", "MAILBOXID"};
	struct slice name = take_atom(c), text = {0};
	uint32_t number = 0;
	size_t item = 0;

	while (item < ARRAY_LENGTH(known) && !is(name, known[item])) {
		item++;
	}
	skip_spaces(c);
	if (name.length == 0 || !(item < ARRAY_LENGTH(known) ? take_wrapped(c, &text) : skip_value(c))) {
		return false;
	}
	bool fine = slice_to_u32(text, &number);

	if (item == 0) {
		out->messages = number;
		out->has_messages = fine;
	} else if (item == 1) {
		out->uidnext = number;
	} else if (item == 2) {
		out->uidvalidity = number;
	} else if (item == 3) {
		if (!slice_to_u64(text, &out->highestmodseq) || out->highestmodseq > INT64_MAX) {
			out->highestmodseq = 0;
		}
	} else if (item == 4) {
		out->x_guid = text;
	} else if (item == 5) {
		out->mailboxid = text;
	}
	return true;
}

static bool
take_mailbox(struct cursor *c, struct imap_mailbox *out, struct error *err)
{
	struct value name;

	skip_spaces(c);
	if (!take_value(c, &name) || name.kind == VALUE_OPEN) {
		return wrong(err, "a STATUS response without a name");
	}
	out->name = name.octets;
	skip_spaces(c);
	if (!take(c, '(')) {
		return wrong(err, "a STATUS response without its list");
	}
	for (;;) {
		skip_spaces(c);
		if (take(c, ')')) {
			return true;
		}
		if (!take_mailbox_item(c, out)) {
			return wrong(err, "a STATUS response that cannot be read");
		}
	}
}

static bool
take_esearch(struct cursor *c, struct imap_esearch *out, struct error *err)
{
	skip_spaces(c);
	if (take(c, '(')) {
		struct slice name = take_atom(c);
		struct value tag;

		skip_spaces(c);
		if (!is(name, "TAG") || !take_value(c, &tag) || !take(c, ')')) {
			return wrong(err, "an ESEARCH response whose tag cannot be read");
		}
		out->tag = tag.octets;
	}
	for (;;) {
		skip_spaces(c);
		if (at_end(c)) {
			return true;
		}
		struct slice name = take_atom(c), text;

		if (is(name, "UID")) {
			continue;
		}
		skip_spaces(c);
		if (is(name, "ALL")) {
			out->all = take_atom(c);
		} else if (is(name, "COUNT") && take_wrapped(c, &text)) {
			out->has_count = slice_to_u32(text, &out->count);
		} else if (name.length == 0 || !skip_value(c)) {
			return wrong(err, "an ESEARCH response that cannot be read");
		}
	}
}

/* ("name" "Dovecot" "version" "2.3"): only for the eyes of `check`, so nothing here is an error. */
static void
take_id(struct cursor *c, struct imap_response *out)
{
	struct value key, value;

	skip_spaces(c);
	if (!take(c, '(')) {
		return;
	}
	for (;;) {
		skip_spaces(c);
		if (!take_value(c, &key) || key.kind == VALUE_OPEN) {
			return;
		}
		skip_spaces(c);
		if (!take_value(c, &value) || value.kind == VALUE_OPEN) {
			return;
		}
		if (is(key.octets, "name")) {
			out->id_name = value.octets;
		} else if (is(key.octets, "version")) {
			out->id_version = value.octets;
		}
	}
}

/* (("INBOX." "." …)…) …: the prefix of the first personal namespace; none where it cannot be read. The others are told of by LIST. */
static void
take_namespace(struct cursor *c, struct imap_response *out)
{
	struct value prefix;

	skip_spaces(c);
	if (!take(c, '(')) {
		return;
	}
	skip_spaces(c);
	if (!take(c, '(')) {
		return;
	}
	skip_spaces(c);
	if (take_value(c, &prefix) && prefix.kind != VALUE_OPEN) {
		out->prefix = prefix.octets;
	}
}

static void
take_vanished(struct cursor *c, struct imap_response *out)
{
	skip_spaces(c);
	if (slice_has_prefix_nocase(rest_of(c), SLICE_LITERAL("(EARLIER)"))) {
		out->earlier = true;
		c->at += sizeof "(EARLIER)" - 1;
		skip_spaces(c);
	}
	out->text = slice_trim(rest_of(c));
}

/* `* 12 EXISTS`, `* 12 FETCH (…)`. */
static bool
take_numbered(struct cursor *c, struct imap_response *out, struct error *err)
{
	struct slice word, item;

	if (!take_u32(c, &out->number) || !take(c, ' ')) {
		return wrong(err, "a number that is none");
	}
	word = take_atom(c);
	if (is(word, "EXISTS")) {
		out->kind = IMAP_RESPONSE_EXISTS;
		return true;
	}
	bool fetch = is(word, "FETCH"), uidfetch = is(word, "UIDFETCH");

	if ((fetch || uidfetch || is(word, "EXPUNGE")) && out->number == 0) {
		return wrong(err, "message number 0");
	}
	if (fetch || uidfetch) {
		out->kind = IMAP_RESPONSE_FETCH;
		if (uidfetch) { /* RFC 9586 */
			out->fetched.uid = out->number;
			out->number = 0;
		}
		skip_spaces(c);
		return take_items(c, false, &item, &out->fetched, err);
	}
	if (is(word, "EXPUNGE")) {
		out->kind = IMAP_RESPONSE_EXPUNGE;
	}
	return true;
}

static bool
take_untagged(struct cursor *c, struct imap_response *out, struct error *err)
{
	static const struct {
		const char *word;
		enum imap_response_kind kind;
	} kinds[] = {
		{"LIST", IMAP_RESPONSE_LIST},
		{"XLIST", IMAP_RESPONSE_LIST},
		{"LSUB", IMAP_RESPONSE_LSUB},
		{"STATUS", IMAP_RESPONSE_MAILBOX},
		{"ESEARCH", IMAP_RESPONSE_ESEARCH},
		{"VANISHED", IMAP_RESPONSE_VANISHED},
		{"SEARCH", IMAP_RESPONSE_SEARCH},
		{"CAPABILITY", IMAP_RESPONSE_CAPABILITY},
		{"ENABLED", IMAP_RESPONSE_ENABLED},
		{"FLAGS", IMAP_RESPONSE_FLAGS},
		{"ID", IMAP_RESPONSE_ID},
		{"NAMESPACE", IMAP_RESPONSE_NAMESPACE},
	};
	struct slice word;

	skip_spaces(c);
	if (peek(c) >= '0' && peek(c) <= '9') {
		return take_numbered(c, out, err);
	}
	word = take_atom(c);
	if (status_of(word, &out->status)) {
		out->kind = IMAP_RESPONSE_STATUS;
		take_status_text(c, out);
		return true;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
		if (is(word, kinds[i].word)) {
			out->kind = kinds[i].kind;
		}
	}
	switch (out->kind) {
	case IMAP_RESPONSE_LIST:
	case IMAP_RESPONSE_LSUB:
		return take_listed(c, &out->listed, err);
	case IMAP_RESPONSE_MAILBOX:
		return take_mailbox(c, &out->mailbox, err);
	case IMAP_RESPONSE_ESEARCH:
		return take_esearch(c, &out->esearch, err);
	case IMAP_RESPONSE_VANISHED:
		take_vanished(c, out);
		return true;
	case IMAP_RESPONSE_ID:
		take_id(c, out);
		return true;
	case IMAP_RESPONSE_NAMESPACE:
		take_namespace(c, out);
		return true;
	case IMAP_RESPONSE_FLAGS:
		skip_spaces(c);
		return take_list(c, &out->text) || wrong(err, "FLAGS without a list");
	case IMAP_RESPONSE_CAPABILITY:
	case IMAP_RESPONSE_ENABLED:
	case IMAP_RESPONSE_SEARCH:
		out->text = slice_trim(rest_of(c));
		return true;
	case IMAP_RESPONSE_OTHER:
	case IMAP_RESPONSE_TAGGED:
	case IMAP_RESPONSE_STATUS:
	case IMAP_RESPONSE_CONTINUE:
	case IMAP_RESPONSE_EXISTS:
	case IMAP_RESPONSE_EXPUNGE:
	case IMAP_RESPONSE_FETCH:
		return true;
	}
	return true;
}

bool
imap_grammar_read(const struct imap_text *text, struct imap_response *out, struct error *err)
{
	struct cursor c = {.text = text};

	*out = (struct imap_response){.kind = IMAP_RESPONSE_OTHER};
	if (text->octets.length == 0) {
		return true; /* the rest of a literal that the server refused early */
	}
	if (take(&c, '+')) {
		out->kind = IMAP_RESPONSE_CONTINUE;
		(void)take(&c, ' ');
		out->text = rest_of(&c);
		return true;
	}
	if (take(&c, '*')) {
		return take(&c, ' ') ? take_untagged(&c, out, err) : wrong(err, "a line that begins with * alone");
	}
	if (peek(&c) == '[') { /* `* OK` was left out by some */
		out->kind = IMAP_RESPONSE_STATUS;
		out->status = IMAP_OK;
		take_status_text(&c, out);
		return true;
	}
	out->tag = take_atom(&c);
	skip_spaces(&c);
	if (out->tag.length == 0 || !status_of(take_atom(&c), &out->status) || out->status > IMAP_BAD) {
		return wrong(err, "a line that is no response");
	}
	out->kind = IMAP_RESPONSE_TAGGED;
	take_status_text(&c, out);
	return true;
}

bool
imap_grammar_awaits_body(const struct imap_text *text, struct imap_fetched *out)
{
	struct cursor c = {.text = text};
	struct error ignored;
	struct slice word, item;
	uint32_t number;

	*out = (struct imap_fetched){0};
	assert(text->literal_count > 0);
	if (!take(&c, '*') || !take(&c, ' ') || !take_u32(&c, &number) || !take(&c, ' ')) {
		return false;
	}
	word = take_atom(&c);
	if (!is(word, "FETCH") && !is(word, "UIDFETCH")) {
		return false;
	}
	if (is(word, "UIDFETCH")) {
		out->uid = number;
	}
	skip_spaces(&c);
	if (!take_items(&c, true, &item, out, &ignored) || literal_here(&c) == NULL) {
		return false;
	}
	return is_whole_body(item, out);
}
