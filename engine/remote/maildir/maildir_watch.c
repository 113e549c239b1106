#include "engine/remote/maildir/maildir_watch.h"

#include "engine/base/log.h"
#include "engine/remote/maildir/maildir_dir.h"
#include "engine/remote/maildir/maildir_look.h"
#include "engine/remote/maildir/maildir_tree.h"

#define POLL_MS 5000 /* without inotify */

/* --- inotify --- */

/* A directory that went meanwhile is none to watch. */
static bool
add(struct maildir_session *session, const char *path, const char *name, struct error *err)
{
	SCOPED(buf_finish) struct buf joined = BUF_INIT;

	if (io_watch_add(session->watch, session->dir, maildir_dir_join(&joined, path, name), err)) {
		return true;
	}
	if (err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	return true;
}

static bool
add_directory(void *context, const char *path, struct slice raw, bool is_mailbox, struct error *err)
{
	struct maildir_session *session = context;

	return (path[0] == '\0' || session->layout.style == MAILDIR_PLUS || add(session, path, "", err)) &&
	       (!is_mailbox || (add(session, path, "cur", err) && add(session, path, "new", err)));
}

/* Watches all that is there; what is watched already stays. *out_new: nothing was before. */
static bool
watch_all(struct maildir_session *session, bool *out_new, struct error *err)
{
	*out_new = session->watch == NULL;
	if (*out_new && !io_watch_open(session->dir, "", &session->watch, err)) {
		return false;
	}
	return maildir_tree_look(session, err) && maildir_tree_walk(session, add_directory, session, err);
}

static void
tell(void (*hint)(void *context, const struct remote_watch_event *event), void *context)
{
	const struct remote_watch_event event = {.what = REMOTE_WATCH_ANY};

	hint(context, &event);
}

static bool
listen(struct maildir_session *session, int other_fd, int64_t timeout_ms,
	void (*hint)(void *context, const struct remote_watch_event *event), void *context, struct error *err)
{
	enum io_watch_wake wake;
	bool new;

	if (!watch_all(session, &new, err)) {
		return false;
	}
	if (new) {
		/* What changed before anybody listened. */
		tell(hint, context);
	}
	if (!io_watch_wait(session->io, session->watch, other_fd, timeout_ms, session->cancel, &wake, err)) {
		return false;
	}
	if (wake == IO_WATCH_NEWS) {
		io_watch_drain(session->watch);
		tell(hint, context);
	}
	return true;
}

/* --- without --- */

struct times {
	struct maildir_session *session;
	uint64_t sum;
};

static void
mix(struct times *times, const void *octets, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		times->sum = (times->sum ^ ((const unsigned char *)octets)[i]) * UINT64_C(0x100000001b3);
	}
}

static bool
add_times(void *context, const char *path, struct slice raw, bool is_mailbox, struct error *err)
{
	struct times *times = context;
	struct maildir_stamp stamp;

	mix(times, raw.data, raw.length);
	if (is_mailbox) {
		if (!maildir_look_stamp(times->session, path, &stamp, err)) {
			return false;
		}
		mix(times, &stamp, sizeof(stamp));
	}
	return true;
}

static bool
poll_times(struct maildir_session *session, int other_fd, int64_t timeout_ms,
	void (*hint)(void *context, const struct remote_watch_event *event), void *context, struct error *err)
{
	int64_t end_ms = timeout_ms < 0 ? INT64_MAX : io_now_ms(session->io) + timeout_ms;

	for (;;) {
		struct times times = {.session = session};
		int64_t left_ms = end_ms - io_now_ms(session->io);
		enum io_watch_wake wake;

		if (!maildir_tree_look(session, err) || !maildir_tree_walk(session, add_times, &times, err)) {
			return false;
		}
		if (times.sum != session->times) {
			session->times = times.sum;
			tell(hint, context);
		}
		if (left_ms <= 0) {
			return true;
		}
		if (!io_watch_wait(session->io, NULL, other_fd, left_ms < POLL_MS ? left_ms : POLL_MS, session->cancel,
			    &wake, err)) {
			return false;
		}
		if (wake == IO_WATCH_OTHER) {
			return true;
		}
	}
}

/* --- either --- */

bool
maildir_watch_wait(struct maildir_session *session, int other_fd, int64_t timeout_ms,
	void (*hint)(void *context, const struct remote_watch_event *event), void *context, struct error *err)
{
	if (!maildir_tree_check(session, err)) {
		return false;
	}
	if (!session->polls) {
		if (listen(session, other_fd, timeout_ms, hint, context, err)) {
			return true;
		}
		if (err->kind != ERROR_REFUSED) {
			return false;
		}
		log_info("maildir", "path=%s event=polled reason=%s", session->remote->path, err->text);
		error_clear(err);
		maildir_watch_end(session);
		session->polls = true;
	}
	return poll_times(session, other_fd, timeout_ms, hint, context, err);
}

void
maildir_watch_end(struct maildir_session *session)
{
	io_watch_close(&session->watch);
}
