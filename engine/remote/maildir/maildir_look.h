/* Looking at the directories of a Maildir: what is new in them, what has another name, what is gone. */
#ifndef MAILDIR_LOOK_H
#define MAILDIR_LOOK_H

#include "engine/remote/maildir/maildir_box.h"

/* Under the lock, with the index loaded: brings it up to date with the directories, durably. */
bool maildir_look(struct maildir_session *session, struct maildir_box *box, struct error *err) MUST_CHECK;
/* How the directories stand. */
bool maildir_look_stamp(struct maildir_session *session, const char *path, struct maildir_stamp *out, struct error *err)
	MUST_CHECK;

#endif
