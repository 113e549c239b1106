#include "engine/remote/maildir/maildir_names.h"

#include "engine/mail/mailbox_name.h"

#define LEVEL_MAX 255
#define INBOX     SLICE_LITERAL("INBOX")

char
maildir_names_separator(const struct maildir_layout *layout)
{
	return layout->style == MAILDIR_PLUS ? '.' : '/';
}

static bool
fail_name(struct slice raw, struct error *err)
{
	return error_set(err, ERROR_INVALID, "no directory of a Maildir can have the name `%.*s`",
		(int)(raw.length < 200 ? raw.length : 200), raw.data);
}

/* --- Maildir++ --- */

/* Tells whether it is levels with one `.` between, none of them empty. */
static bool
are_levels(struct slice raw)
{
	bool begins = true;

	for (size_t i = 0; i < raw.length; i++) {
		char c = raw.data[i];

		if ((c == '.' && begins) || c == '/' || c == '\0' || (unsigned char)c < 0x20) {
			return false;
		}
		begins = c == '.';
	}
	return !begins && raw.length < LEVEL_MAX;
}

static bool
path_plus(struct slice raw, struct buf *out, struct error *err)
{
	if (!are_levels(raw)) {
		return fail_name(raw, err);
	}
	buf_append_octet(out, '.');
	buf_append(out, raw);
	return true;
}

static bool
raw_plus(struct slice path, struct buf *out)
{
	struct slice raw = path.length > 0 ? slice_skip(path, 1) : path;

	if (path.length == 0 || path.data[0] != '.' || !are_levels(raw) || slice_equal_nocase(raw, INBOX)) {
		return false;
	}
	buf_append(out, raw);
	return true;
}

/* --- nested --- */

static bool
path_nested(const struct maildir_layout *layout, struct slice raw, struct buf *out, struct error *err)
{
	SCOPED(buf_finish) struct buf name = BUF_INIT;
	size_t start = out->length;

	if (!mailbox_name_from_imap(raw, '/', &name)) {
		return fail_name(raw, err);
	}
	for (struct slice rest = buf_slice(&name); rest.length > 0;) {
		struct slice level = slice_head(rest, slice_find(rest, '/'));
		bool first = out->length == start;

		if (!first) {
			buf_append_octet(out, '/');
		}
		if (first && slice_equal_nocase(level, INBOX)) {
			buf_append_text(out, layout->inbox[0] != '\0' ? layout->inbox : "INBOX");
		} else if (!mailbox_name_to_file(level, out)) {
			buf_truncate(out, start);
			return fail_name(raw, err);
		}
		rest = slice_skip(rest, level.length < rest.length ? level.length + 1 : level.length);
	}
	return true;
}

static bool
raw_nested(struct slice path, struct buf *out)
{
	SCOPED(buf_finish) struct buf name = BUF_INIT;
	struct error ignored;

	for (struct slice rest = path; rest.length > 0;) {
		struct slice level = slice_head(rest, slice_find(rest, '/'));

		if (name.length > 0) {
			buf_append_octet(&name, '/');
		}
		if (name.length == 0 && slice_equal_nocase(level, INBOX)) {
			buf_append(&name, INBOX);
		} else if (!mailbox_name_from_file(level, &name)) {
			return false;
		}
		rest = slice_skip(rest, level.length < rest.length ? level.length + 1 : level.length);
	}
	return name.length > 0 && mailbox_name_to_imap(buf_slice(&name), '/', out, &ignored);
}

/* --- both --- */

bool
maildir_names_path(const struct maildir_layout *layout, struct slice raw, struct buf *out, struct error *err)
{
	if (layout->top_is_inbox && slice_equal_nocase(raw, INBOX)) {
		return true;
	}
	return layout->style == MAILDIR_PLUS ? path_plus(raw, out, err) : path_nested(layout, raw, out, err);
}

bool
maildir_names_raw(const struct maildir_layout *layout, struct slice path, struct buf *out)
{
	if (path.length == 0) {
		if (layout->top_is_inbox) {
			buf_append(out, INBOX);
		}
		return layout->top_is_inbox;
	}
	if (layout->style == MAILDIR_PLUS) {
		return raw_plus(path, out);
	}
	/* Beside a top that is INBOX a directory of that name only holds others. */
	return (!layout->top_is_inbox || !slice_equal_nocase(path, INBOX)) && raw_nested(path, out);
}
