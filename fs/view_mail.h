/* The mail view: mailboxes as directories, messages as files, and the local names beside them (design 5). */
#ifndef FS_VIEW_MAIL_H
#define FS_VIEW_MAIL_H

#include "fs/dir.h"

/* Finds a name in a mailbox's directory, `dir` being NODE_MAILBOX. ERROR_GONE. */
bool view_mail_lookup(struct mount *mount, struct node dir, struct slice name, struct entry *out, struct error *err)
	MUST_CHECK;
/* Lists it: fixed names, new ones, local ones, mailboxes, messages. */
bool view_mail_list(struct mount *mount, struct node dir, enum dir_section section, uint32_t after,
	struct dir_sink *sink, struct error *err) MUST_CHECK;
/* Parts of it that the Maildir view has, too: mailboxes below a directory of either view, and files that are being written in one. */
bool view_mail_lookup_mailbox(
	struct mount *mount, struct node dir, struct slice name, struct entry *out, struct error *err) MUST_CHECK;
bool view_mail_list_mailboxes(
	struct mount *mount, struct node dir, uint32_t after, struct dir_sink *sink, struct error *err) MUST_CHECK;
bool view_mail_list_new(struct mount *mount, struct node dir, uint32_t after, struct dir_sink *sink, struct error *err)
	MUST_CHECK;
/* The same for the root above several accounts. */
bool view_mail_lookup_account(struct mount *mount, struct slice name, struct entry *out, struct error *err) MUST_CHECK;
bool view_mail_list_accounts(struct mount *mount, enum dir_section section, uint32_t after, struct dir_sink *sink,
	struct error *err) MUST_CHECK;

/* mkdir, rmdir of mailboxes, in either view. */
bool view_mail_mkdir(struct mount *mount, struct node dir, struct slice name, struct entry *out, struct error *err)
	MUST_CHECK;
bool view_mail_rmdir(struct mount *mount, struct node mailbox, struct error *err) MUST_CHECK;
/* Gives a mailbox another place: EBUSY, EEXIST, ENOTEMPTY, EXDEV as design 5 has them. `replaced`: the mailbox now under that name, or number 0. */
bool view_mail_rename(struct mount *mount, struct node mailbox, struct node to, struct slice name, struct node replaced,
	struct error *err) MUST_CHECK;

#endif
