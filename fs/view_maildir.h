/* The Maildir view: the same mailboxes as Maildirs, for mail programs (design 5, Writing).
 *
 * `.maildir/MAILBOX/{cur,new,tmp}`, with child mailboxes beside them. In cur and new stand the messages, under names of a Maildir
 * (mail/maildir_name.h); in tmp local files, which a rename or a link into cur or new delivers. Other names beside the three, and names in cur and
 * new that begin with a dot or end with a tilde, are local files.
 */
#ifndef FS_VIEW_MAILDIR_H
#define FS_VIEW_MAILDIR_H

#include "engine/mail/maildir_name.h"
#include "fs/dir.h"

/* Finds a name in one of the view's directories but tmp, which is a place of local names. ERROR_GONE; *out_passing: this may not be kept. */
bool view_maildir_lookup(struct mount *mount, struct node dir, struct slice name, struct entry *out, bool *out_passing,
	struct error *err) MUST_CHECK;
bool view_maildir_list(struct mount *mount, struct node dir, enum dir_section section, uint32_t after,
	struct dir_sink *sink, struct error *err) MUST_CHECK;
/* Tells whether a directory's listing may be kept: that of a mailbox made just now, whose cur, new and tmp are being made, may not. */
bool view_maildir_is_made(struct mount *mount, struct node dir);

/* mkdir: a mailbox, or cur, new or tmp of one that was made just now. */
bool view_maildir_mkdir(struct mount *mount, struct node dir, struct slice name, struct entry *out, struct error *err)
	MUST_CHECK;
/* rmdir of a mailbox, or of cur, new or tmp of one that is about to be removed. */
bool view_maildir_rmdir(struct mount *mount, struct node node, struct error *err) MUST_CHECK;

/* Reads the name under which a message is to be in cur or new; EINVAL, ENAMETOOLONG. */
bool view_maildir_read_name(struct node dir, struct slice name, struct maildir_name *out, struct error *err) MUST_CHECK;
/* Appends the file name of a message in cur or new. */
void view_maildir_print_name(const struct view_message *message, struct buf *out);

struct renaming;
/* Tells whether a rename goes into this view, or renames one of its directories; and carries it out. */
bool view_maildir_renames(const struct renaming *renaming);
bool view_maildir_rename(struct mount *mount, const struct renaming *renaming, struct error *err) MUST_CHECK;
/* Removes a message for good, or ends its move. */
bool view_maildir_unlink(struct mount *mount, struct node message, struct error *err) MUST_CHECK;
/* Delivers by a link: `inode`, a local file in tmp, to be a message in cur or new as well. Gives the entry, which is that file's inode. EPERM for
 * all other links. */
bool view_maildir_link(struct mount *mount, uint64_t inode, struct node dir, struct slice name, struct entry *out,
	struct error *err) MUST_CHECK;

#endif
