/* New files in a Maildir: written in tmp, made durable, and renamed into cur or new, so that nobody ever sees half of one. */
#ifndef MAILDIR_APPEND_H
#define MAILDIR_APPEND_H

#include "engine/remote/maildir/maildir_work.h"

bool maildir_append_messages(struct maildir_session *session, const struct remote_target *target,
	struct remote_append *items, size_t count, struct error *err) MUST_CHECK;
/* Makes a copy of a message's file, with its date, under a name in `to`. ERROR_GONE, ERROR_EXISTS: somebody was faster. */
bool maildir_append_copy(struct maildir_work *from, const struct maildir_entry *entry, struct maildir_work *to,
	struct slice name, bool in_new, struct error *err) MUST_CHECK;
/* Appends a base that no other file has. */
void maildir_append_make_name(struct maildir_session *session, uint64_t file_size, uint64_t wire_size, struct buf *out);

#endif
