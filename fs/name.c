#include "fs/name.h"

#include "engine/mail/local_name.h"
#include "engine/mail/mailbox_name.h"

enum name_class
name_classify(struct slice name)
{
	if (local_name_is(name)) {
		return NAME_LOCAL;
	}
	return name.length > 4 && slice_has_suffix(name, SLICE_LITERAL(".eml")) ? NAME_MESSAGE : NAME_OTHER;
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
