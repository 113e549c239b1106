/* A message's file: found, measured, and read as the wire form of what it holds (S4). */
#ifndef MAILDIR_MESSAGE_H
#define MAILDIR_MESSAGE_H

#include "engine/remote/maildir/maildir_box.h"

/* Opens the file of a message, looking for it again where it has another name by now; *out_fd -1 where it is gone, or may not be read (which is
 * logged). The box's index may be another one after it. */
bool maildir_message_open(struct maildir_session *session, struct maildir_box *box, uint32_t uid, int *out_fd,
	int64_t *out_mtime_s, uint64_t *out_size, struct error *err) MUST_CHECK;

/* Gives the file in wire form, piece by piece. */
bool maildir_message_read(struct maildir_session *session, int fd,
	bool (*piece)(void *context, struct slice wire, struct error *err), void *context, struct error *err)
	MUST_CHECK;
/* The size of its wire form: reads it. */
bool maildir_message_measure(struct maildir_session *session, int fd, uint64_t *out, struct error *err) MUST_CHECK;
/* Appends its header in wire form, of at most HEADER_BYTES_MAX octets. */
bool maildir_message_header(struct maildir_session *session, int fd, struct buf *out, struct error *err) MUST_CHECK;

#endif
