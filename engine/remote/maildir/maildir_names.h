/* Names of mailboxes in a tree of Maildirs, as directories and as raw names (remote.h).
 *
 * nested     `Work/2026/{cur,new,tmp}`. A directory's name is the level as the mount shows it: UTF-8, with %XX for what no file name can hold.
 *            The raw name is that in modified UTF-7, with `/` between levels
 * Maildir++  `.Work.2026/{cur,new,tmp}` in the top, all in one directory; the top is INBOX. A directory's name, without its dot, is the raw name:
 *            modified UTF-7, with `.` between levels
 *
 * INBOX is the top where that is a Maildir itself, else the directory of that name, in whatever case. Pure.
 */
#ifndef MAILDIR_NAMES_H
#define MAILDIR_NAMES_H

#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/base/slice.h"

enum maildir_style { MAILDIR_NESTED, MAILDIR_PLUS };

struct maildir_layout {
	enum maildir_style style;
	bool top_is_inbox;
	char inbox[16]; /* nested: the directory of INBOX as it is spelled */
};

/* '/' or '.'. */
char maildir_names_separator(const struct maildir_layout *layout);
/* Appends the path of a mailbox's directory beneath the top, empty for the top itself. ERROR_INVALID where no directory can have that name. */
bool maildir_names_path(const struct maildir_layout *layout, struct slice raw, struct buf *out, struct error *err)
	MUST_CHECK;
/* Appends the raw name of the directory at a path beneath the top; false where no mailbox can have it. */
bool maildir_names_raw(const struct maildir_layout *layout, struct slice path, struct buf *out) MUST_CHECK;

#endif
