/* News of the tree: inotify on cur and new of every Maildir, and on the directories in which Maildirs come and go; where the system's limits do not
 * allow that, a look at the times of all of them every few seconds (remote.h: watch). Programs on other machines raise no news: `poll` finds those. */
#ifndef MAILDIR_WATCH_H
#define MAILDIR_WATCH_H

#include "engine/remote/maildir/maildir_session.h"

bool maildir_watch_wait(struct maildir_session *session, int other_fd, int64_t timeout_ms,
	void (*hint)(void *context, const struct remote_watch_event *event), void *context, struct error *err)
	MUST_CHECK;
void maildir_watch_end(struct maildir_session *session);

#endif
