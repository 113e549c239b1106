/* Changing an account from the mount or a command: local transactions that the engine then carries to the remote. Nothing here waits for the network.
 *
 * Durability as in design 5: a writer's flush, and the rename or link that delivers, are durable when they return (durable = true in the functions below); the
 * others keep their order and are durable within 100 ms or at edit_sync.
 */
#ifndef ENGINE_EDIT_H
#define ENGINE_EDIT_H

#include "engine/mail/maildir_name.h"
#include "engine/view.h"

/* --- writers: bytes on their way to be a message. One writer per open handle's inode; used by one thread at a time. --- */
struct edit_writer;

/* A new message named `name` in `mailbox` (REFUSED: read-only or \Noselect). The name is taken from now on in the writer only; the caller keeps it visible. */
bool edit_writer_create(struct account *account, struct mailbox_id mailbox, struct slice name, struct edit_writer **out,
	struct error *err) MUST_CHECK;
/* The replacement of a message opened for writing: begins with its bytes (`truncate`: empty). */
bool edit_writer_replace(struct account *account, struct number number, bool truncate, struct edit_writer **out,
	struct error *err) MUST_CHECK;
/* Out of a spooled local file: its bytes become the writer's (delivery by rename). */
bool edit_writer_from_local(struct account *account, struct number local_id, struct mailbox_id mailbox,
	struct slice name, struct number replaces, struct edit_writer **out, struct error *err) MUST_CHECK;
/* The local file goes now, while its bytes are still being written as a message: they are kept as the writer's own, durably. */
bool edit_writer_leave_local(struct edit_writer *writer, struct error *err) MUST_CHECK;
bool edit_writer_pwrite(struct edit_writer *writer, struct slice data, uint64_t offset, struct error *err) MUST_CHECK;
bool edit_writer_pread(struct edit_writer *writer, void *out, size_t size, uint64_t offset, size_t *out_got,
	struct error *err) MUST_CHECK;
bool edit_writer_truncate(struct edit_writer *writer, uint64_t size, struct error *err) MUST_CHECK;
uint64_t edit_writer_size(const struct edit_writer *writer);
/* It was renamed, or given another mailbox, while open. */
bool edit_writer_rename(struct edit_writer *writer, struct mailbox_id mailbox, struct slice name,
	struct number replaces, struct error *err) MUST_CHECK;
/* A time was set on it: it will be the internal date (and means APPEND, not COPY). */
void edit_writer_set_mtime(struct edit_writer *writer, int64_t mtime_s);
/* When it was last written, and changed, as was told of it: its internal date if nothing else says so, and its ctime. */
void edit_writer_note_written(struct edit_writer *writer, int64_t written_s, int64_t changed_ns);
/* The number that its message will have, unless it turns out to be one that is there. */
struct number edit_writer_number(const struct edit_writer *writer);
/* It is made in the Maildir view, under that name: with these flags and no others. The name it was created with is then empty. NULL: it is not. */
void edit_writer_set_maildir(struct edit_writer *writer, const struct maildir_name *name);
/* Its bytes are a copy of the local file's they came from, which stays (delivery by link). */
void edit_writer_keep_local(struct edit_writer *writer);
/* INVALID where it cannot be a message. */
bool edit_writer_check(struct edit_writer *writer, struct error *err) MUST_CHECK;
/* FLUSH: what is there is durable when it returns; SPACE and system errors are told; INVALID when it cannot be a message (it is kept as a failed local file at release). `killed`: a signal
 * is ending the writing process: at release the bytes go to .mailfs/rejected/. */
bool edit_writer_flush(struct edit_writer *writer, bool killed, struct error *err) MUST_CHECK;
/* RELEASE: makes it a message; gives its number, or a local id with *out_local (kept as failed, or an odd name that does not look like a message), or neither (rejected). Both: what it
 * replaced stood aside under a temporary's name, and is that local file now. Ends the writer in any case. */
bool edit_writer_release(struct edit_writer **writer, struct number *out_message, struct number *out_local,
	struct error *err) MUST_CHECK;
/* Forgets it: nothing was written under a name that was unlinked. */
void edit_writer_discard(struct edit_writer **writer);

/* --- messages --- */
/* `to_name` empty keeps or makes a name. replaces: the message under the target name, 0 none (its flags are kept; R14). */
bool edit_message_move(struct account *account, struct number number, struct mailbox_id to, struct slice to_name,
	struct number replaces, struct error *err) MUST_CHECK;
/* `rm` in the mail view: into the trash as configured, or expunges. */
bool edit_message_remove(struct account *account, struct number number, struct error *err) MUST_CHECK;
bool edit_message_expunge(struct account *account, struct number number, struct error *err) MUST_CHECK;
/* unlink in the Maildir view: expunges it; where within a minute the same body was put into another mailbox, and not sent yet, this is the second
 * half of a move: it takes the place of that message, which is *out_took (else 0). */
bool edit_message_unlink(struct account *account, struct number number, struct number *out_took, struct error *err)
	MUST_CHECK;
/* Writes user.mail.flags or user.mail.keywords (value as in flags.h); INVALID. */
bool edit_message_attribute(struct account *account, struct number number, const char *name, struct slice value,
	struct error *err) MUST_CHECK;
/* A rename in the Maildir view: letters that differ between the two names are flags that change, and another mailbox is a move. The base name
 * and whether it lies in new stay until it leaves its mailbox. ERROR_EXISTS. replaces: as for edit_message_move. */
bool edit_message_rename_maildir(struct account *account, struct number number, const struct maildir_name *was,
	struct mailbox_id to, const struct maildir_name *wanted, struct number replaces, struct error *err) MUST_CHECK;
/* Within 50 ms of delivery it is the internal date, later mtime here only. */
bool edit_message_set_mtime(struct account *account, struct number number, int64_t mtime_s, struct error *err)
	MUST_CHECK;

/* --- mailboxes --- */
bool edit_mailbox_create(struct account *account, struct slice name, struct mailbox_id *out, struct error *err)
	MUST_CHECK;
bool edit_mailbox_rename(struct account *account, struct mailbox_id id, struct slice new_name, struct error *err)
	MUST_CHECK;
/* rmdir: REFUSED with ENOTEMPTY when it holds or may yet hold messages, EBUSY for INBOX and roles. */
bool edit_mailbox_remove(struct account *account, struct mailbox_id id, struct error *err) MUST_CHECK;

/* --- local names (files, directories, symlinks that are no mail) --- */
struct edit_local { /* as store/local.h tells it, for fs */
	struct number id;
	int parent_kind; /* 0 a mailbox, 1 a local directory, 2 scratch, 3 the account's root; Maildir view: 4 a mailbox (0: its root), 5 cur, 6 new, 7 tmp */
	uint64_t parent;
	char *name;
	int kind; /* 0 file, 1 directory, 2 symlink */
	uint64_t size_bytes;
	uint32_t mode;
	int64_t mtime_ns, ctime_ns;
	char *target, *error;
	int64_t closed_ns;
};
void edit_local_finish(struct edit_local *local);
bool edit_local_load(struct account *account, struct number id, struct edit_local *out, struct error *err) MUST_CHECK;
bool edit_local_by_name(struct account *account, int parent_kind, uint64_t parent, struct slice name,
	struct edit_local *out, struct error *err) MUST_CHECK;
bool edit_local_each(struct account *account, int parent_kind, uint64_t parent, uint64_t after,
	bool (*each)(void *context, const struct edit_local *local), void *context, struct error *err) MUST_CHECK;
/* kind, parent, name, mode and target of `local` say what to make; fills the rest. */
bool edit_local_create(struct account *account, struct edit_local *local, struct error *err) MUST_CHECK;
/* Opens its file, to be closed by close(2): reads and writes go straight to it. */
bool edit_local_open(struct account *account, struct number id, int flags, int *out_fd, struct error *err) MUST_CHECK;
bool edit_local_update(struct account *account, const struct edit_local *local, struct error *err)
	MUST_CHECK; /* size, mode, times, error, closed */
bool edit_local_move(struct account *account, struct number id, int parent_kind, uint64_t parent, struct slice name,
	struct error *err) MUST_CHECK;
bool edit_local_remove(struct account *account, struct number id, struct error *err) MUST_CHECK;
/* A message renamed to a local name stays that message (design 5, Replacement): hidden marks are fs's. */

/* Makes all that was done so far durable (fsync of a directory or message). */
bool edit_sync(struct account *account, struct error *err) MUST_CHECK;
/* Settles what a crash left: pending writes that count as released. Called once at a mount's start. */
bool edit_recover(struct account *account, struct error *err) MUST_CHECK;
/* Calls back for every file in .mailfs/rejected, and opens one for reading. */
bool edit_rejected_each(struct account *account,
	bool (*each)(void *context, const char *name, uint64_t size_bytes, int64_t mtime_s), void *context,
	struct error *err) MUST_CHECK;
bool edit_rejected_open(struct account *account, const char *name, int *out_fd, struct error *err) MUST_CHECK;
bool edit_rejected_remove(struct account *account, const char *name, struct error *err) MUST_CHECK;

#endif
