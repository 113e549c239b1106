#include "fs/name.h"

#include "engine/mail/mailbox_name.h"

enum name_class
name_classify(struct slice name)
{
	if (name.length == 0 || name.data[0] == '.' || name.data[name.length - 1] == '~' ||
		slice_equal(name, SLICE_LITERAL("4913")) ||
		(name.length > 1 && name.data[0] == '#' && name.data[name.length - 1] == '#')) {
		return NAME_LOCAL;
	}
	return name.length > 4 && slice_has_suffix(name, SLICE_LITERAL(".eml")) ? NAME_MESSAGE : NAME_OTHER;
}

/* Cuts the next line off, without its line end. */
static struct slice
next_line(struct slice *rest)
{
	size_t length = slice_find(*rest, '\n');
	struct slice line = slice_head(*rest, length);

	*rest = slice_skip(*rest, length < rest->length ? length + 1 : length);
	if (line.length > 0 && line.data[line.length - 1] == '\r') {
		line.length--;
	}
	return line;
}

static bool
is_field_name(struct slice name)
{
	for (size_t i = 0; i < name.length; i++) {
		if (name.data[i] <= ' ' || name.data[i] == 0x7f) {
			return false;
		}
	}
	return name.length > 0;
}

unsigned
name_score(struct slice head)
{
	static const char *const fields[] = {"From", "To", "Date", "Subject", "Message-ID", "Received"};
	unsigned seen = 0, score = 0;
	bool first = true;

	while (head.length > 0) {
		struct slice line = next_line(&head);
		size_t colon = slice_find(line, ':');
		bool continued = line.length > 0 && (line.data[0] == ' ' || line.data[0] == '\t');

		if (first && slice_has_prefix(line, SLICE_LITERAL("From "))) {
			first = false;
			continue;
		}
		if (continued && !first) {
			continue;
		}
		if (colon == line.length || !is_field_name(slice_head(line, colon))) {
			break; /* the blank line, or what is no header */
		}
		first = false;
		for (unsigned i = 0; i < ARRAY_LENGTH(fields); i++) {
			if (slice_equal_nocase(slice_head(line, colon), slice_of(fields[i]))) {
				seen |= 1u << i;
			}
		}
	}
	for (; seen != 0; seen &= seen - 1) {
		score++;
	}
	return score;
}

bool
name_of_mailbox(struct slice parent, struct slice file, struct buf *out)
{
	size_t before = out->length;

	if (parent.length > 0) {
		buf_append(out, parent);
		buf_append_octet(out, '/');
	}
	if (file.length == 0 || file.length > NAME_BYTES_MAX || !mailbox_name_from_file(file, out) ||
		out->length > MAILBOX_NAME_MAX) {
		buf_truncate(out, before);
		return false;
	}
	return true;
}

bool
name_mailbox_path(struct slice mailbox, struct buf *out)
{
	size_t before = out->length;

	while (mailbox.length > 0) {
		size_t length = slice_find(mailbox, '/');

		if (!mailbox_name_to_file(slice_head(mailbox, length), out)) {
			buf_truncate(out, before);
			return false;
		}
		mailbox = slice_skip(mailbox, length);
		if (mailbox.length > 0) {
			buf_append_octet(out, '/');
			mailbox = slice_skip(mailbox, 1);
		}
	}
	return true;
}
