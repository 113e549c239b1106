/* The socket by which processes of one account speak (S9): frames of fields, each a key and a value.
 *
 * A frame is its length in four octets, most significant first, then its fields: length of the key (1), key, length of the value (4), value. Both
 * sides check each other's uid by the kernel, and refuse frames of more than CONTROL_FRAME_MAX octets.
 */
#ifndef ENGINE_CONTROL_H
#define ENGINE_CONTROL_H

#include "engine/base/buf.h"
#include "engine/io/io.h"

#define CONTROL_FRAME_MAX  (4u << 20)
#define CONTROL_FIELDS_MAX 100000

/* --- frames --- */
void control_put(struct buf *frame, const char *key, struct slice value);
void control_put_text(struct buf *frame, const char *key, const char *text);
void control_put_u64(struct buf *frame, const char *key, uint64_t value);
/* Puts an error, and gets it back; none: ERROR_NONE. */
void control_put_error(struct buf *frame, const struct error *error);
struct error control_get_error(struct slice frame);
/* Tells whether the frame is well-formed. */
bool control_check(struct slice frame);
/* Gives the next field; *rest begins as the frame. False at the end. */
bool control_next(struct slice *rest, struct slice *out_key, struct slice *out_value);
/* The first value of that key; an empty slice where there is none. */
struct slice control_get(struct slice frame, const char *key);
uint64_t control_get_u64(struct slice frame, const char *key);

/* --- sockets, closed by control_close --- */
/* Listens; takes away a socket that is there: only for the holder of locks/driver. */
bool control_listen(struct io_dir *dir, int *out_fd, struct error *err) MUST_CHECK;
/* Takes a connection; RETRY when none waits, REFUSED when it was another user's. */
bool control_accept(int listener, int *out_fd, struct error *err) MUST_CHECK;
/* Connects to the driving process; ERROR_GONE where there is none. */
bool control_connect(struct io_dir *dir, int *out_fd, struct error *err) MUST_CHECK;
void control_close(int *fd);

/* Sends and takes whole frames; RETRY when the time is over or the other side has gone. `cancel` may be NULL. */
bool control_send(struct io *io, int fd, struct slice frame, int64_t timeout_ms, struct cancel *cancel,
	struct error *err) MUST_CHECK;
bool control_receive(struct io *io, int fd, struct buf *out, int64_t timeout_ms, struct cancel *cancel,
	struct error *err) MUST_CHECK;
/* The other side has hung up, or sent what it should not. */
bool control_hung_up(int fd);

#endif
