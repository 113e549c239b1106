/* Files written through this mount, from their first byte to what becomes of them.
 *
 * A *file* is open: bytes on their way to be a message, or a local file. It has its inode before anybody knows the number it will have; what it
 * becomes is recorded as an *alias* from that inode.
 */
#ifndef FS_FILE_H
#define FS_FILE_H

#include "engine/base/mutex.h"
#include "engine/edit.h"
#include "fs/attr.h"

enum file_state {
	FILE_WRITER,  /* bytes on their way to be a message: `writer` is there */
	FILE_LOCAL,   /* a local file: `fd` is open, `number` is its id */
	FILE_MESSAGE, /* the message `number`: one opened for writing before its first write, or what a writer became */
	FILE_NOTHING, /* it came to nothing: rejected, or unlinked before its last close */
};

struct file {
	/* fixed */
	struct mutex lock; /* rank HANDLE: for each use of the state, writer and fd */
	struct account *account;
	uint8_t octet;
	uint64_t inode;

	/* under mount->lock */
	unsigned references; /* handles, and whoever works on it */
	unsigned writers;    /* handles that may write */
	bool fresh;          /* a message-to-be: its inode is that of NODE_NEW */
	bool named;          /* in mount->named_files: its name is nowhere else */
	uint64_t also;       /* the inode of the local file it became, under which it is found as well; 0: none */
	struct node dir;     /* where it is */
	char *name;
	struct file *next_named, **at_named;

	/* under lock */
	enum file_state state;
	struct edit_writer *writer;
	struct view_body *body; /* FILE_MESSAGE, once read */
	int fd;
	struct number number;
	bool replaces;       /* the writer replaces the message whose inode this is */
	struct number over;  /* the message whose name it took by a rename: it goes when this leaves that name */
	struct number aside; /* the writer replaces this one, which stands aside (displaced.h) */
	bool unlinked;       /* its name is gone: nothing becomes of it */
	bool mixed;          /* the kernel may have it under two inodes: it keeps nothing of it */
	bool written, dirty; /* ever; since the last FLUSH */
	bool again;          /* a local file that was refused and flushed anew: at its last close it is handed over */
	bool odd; /* it has a CR, or begins with an mbox line: the message may read otherwise than it was written */
	int64_t mtime_ns, ctime_ns;
	uint32_t mode;
};

/* Makes a file that nobody else knows yet: a message-to-be named `name` in a mailbox. The caller holds it once, as a writer. */
bool file_create(struct mount *mount, struct node dir, struct slice name, struct file **out, struct error *err)
	MUST_CHECK;
/* Opens the message or local file of a node for writing, or joins those who have; `writes` false: a local file, for reading. */
bool file_open(struct mount *mount, struct node node, bool writes, struct file **out, struct error *err) MUST_CHECK;
bool file_read(struct file *file, void *out, size_t size, uint64_t offset, size_t *out_got, struct error *err)
	MUST_CHECK;
bool file_write(struct mount *mount, struct file *file, struct slice data, uint64_t offset, struct error *err)
	MUST_CHECK;
/* What is there is durable when it returns. `killed`: see edit_writer_flush. */
bool file_flush(struct file *file, bool killed, struct error *err) MUST_CHECK;
/* The same, and of a local file too. */
bool file_sync(struct mount *mount, struct file *file, struct error *err) MUST_CHECK;
bool file_truncate_open(struct mount *mount, struct file *file, uint64_t size, struct error *err) MUST_CHECK;
/* fallocate(2) of a local file; ENOTSUP of what will be a message. */
bool file_allocate(struct mount *mount, struct file *file, int mode, off_t offset, off_t length, struct error *err)
	MUST_CHECK;
/* A handle on it ends; with the last one that writes it becomes what it becomes. */
void file_close(struct mount *mount, struct file **file, bool writes);
/* A local file is a message-to-be now, under the inode of that; its former inodes stand for it. The caller has its lock. */
void file_become_new(struct mount *mount, struct file *file, uint32_t number);
/* Finds what is open for writing under an inode and holds it; NULL if nothing is. */
struct file *file_hold(struct mount *mount, uint64_t inode);
/* Finds one by its name; gives its inode, 0 if there is none. */
uint64_t file_by_name(struct mount *mount, struct node dir, struct slice name);
/* Lets go; the last one ends it. */
void file_drop(struct mount *mount, struct file **file);
/* Files in `dir` that only this mount knows, by rising serial above `after`: their inodes, to be freed, and how many. */
size_t file_list_new(struct mount *mount, struct node dir, uint32_t after, uint64_t **out_inodes);
/* Makes `name` in `dir` its own, which nobody else tells. The caller has its lock. */
void file_take_name(struct mount *mount, struct file *file, struct node dir, struct slice name);
/* Tells whether something is open for writing under an inode. */
bool file_is_open(struct mount *mount, uint64_t inode);
/* Tells whether a message is being written in place. */
bool file_is_written_in_place(struct mount *mount, uint64_t inode);
/* Tells whether a handle may write to it. */
bool file_has_writers(struct mount *mount, const struct file *file);
/* The name of a file, to be freed; NULL if it has none any more. */
char *file_name(struct mount *mount, struct file *file);

/* Follows aliases from an inode that the kernel knows to what it stands for now. False: unknown number. */
bool file_resolve(struct mount *mount, uint64_t inode, struct node *out);
/* Resolves an inode whose message was not there: where it is being replaced through this mount just now, waits for that. False if it still stands for
 * `was`. */
bool file_resolve_again(struct mount *mount, uint64_t inode, struct node was, struct node *out);
/* From now on `inode` stands for `became`; `odd`: with other bytes than the kernel may have. */
void file_set_alias(struct mount *mount, uint64_t inode, struct node became, bool odd);
/* A message that stood aside was replaced, and is a local file now: its inode stands for that. */
void file_alias_displaced(struct mount *mount, uint8_t octet, struct number message, struct number local);
/* A message that was written in place is another one, and goes on showing the same inode number while it is mounted: programs compare it. */
void file_show_as(struct mount *mount, struct node now, struct node was);
/* The inode number that is shown of an inode. */
uint64_t file_shown_inode(struct mount *mount, uint64_t inode);
/* Tells whether the kernel's pages of an inode are those of what it stands for. */
bool file_pages_hold(struct mount *mount, uint64_t inode);
/* Tells whether a writer was flushed and not written since: a close, perhaps its last, is under way or was just now. */
bool file_is_closing(struct file *file);
/* What stat shows of a file; false when it is not for the file to say (FILE_MESSAGE, FILE_NOTHING). */
bool file_attr(struct mount *mount, struct file *file, struct entry *out);
/* Puts what an open file knows into an entry that a name gave; false if nothing is open under its inode that knows more. */
bool file_attr_if_open(struct mount *mount, struct entry *entry);
/* Sets the size of a file by its inode, open or not. */
bool file_truncate(struct mount *mount, uint64_t inode, uint64_t size, struct error *err) MUST_CHECK;
/* Sets its time; false with ERROR_GONE when nothing is open under that inode. */
bool file_set_mtime(struct mount *mount, uint64_t inode, int64_t mtime_ns, struct error *err) MUST_CHECK;
/* Takes a file's name away: nothing is made of it at its last close. */
void file_unlink(struct mount *mount, struct file *file);
/* The same for what is open for writing under an inode, if anything is. */
void file_unlink_inode(struct mount *mount, uint64_t inode);
/* The same for one whose name only this mount knows; ERROR_RETRY when it has become something else by now, and is to be looked up again. */
bool file_unlink_new(struct mount *mount, struct file *file, struct error *err) MUST_CHECK;
/* Makes a local file of a message-to-be that is open: it was renamed to a local name. */
bool file_make_local(struct mount *mount, struct file *file, struct node dir, struct slice name, struct error *err)
	MUST_CHECK;
/* Of what a new file under that name replaces: the message that it covers; 0 for one that stands aside. */
struct number file_over(struct mount *mount, struct node dir, struct slice name, struct number replaces);
/* Gives an open file another name, or mailbox. */
bool file_rename(struct mount *mount, struct file *file, struct node dir, struct slice name, struct number replaces,
	struct error *err) MUST_CHECK;

/* The kernel forgot an inode: its alias may end. */
void file_forget(struct mount *mount, uint64_t inode);
/* At the end of the mount, before its handle is closed: what was written since the last FLUSH may be half of a message, and is rejected. */
void file_reject_half(struct file *file);

#endif
