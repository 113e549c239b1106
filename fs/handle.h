/* Handles: one open of a message's body, of a file written through this mount, or of a text of the mount's own. */
#ifndef FS_HANDLE_H
#define FS_HANDLE_H

#include "fs/file.h"
#include "fs/reply.h"

struct control_reader;

enum handle_kind {
	HANDLE_BODY,       /* a message, for reading */
	HANDLE_FILE,       /* file.h */
	HANDLE_TEXT,       /* a text made at OPEN: .mailfs/status and the like */
	HANDLE_DESCRIPTOR, /* a file of .mailfs/rejected */
	HANDLE_EVENTS,     /* .mailfs/events */
};

struct handle { /* fuse_file_info.fh */
	enum handle_kind kind;
	_Atomic unsigned
		references; /* the kernel's, and a read's that is being answered: its RELEASE may come before that returns */
	struct handle *next_open, **at_open; /* in mount->open_handles, under mount->lock */
	uint64_t inode;
	struct node node;               /* BODY: the message */
	struct view_body *_Atomic body; /* BODY: once it was read */
	int64_t mtime_s;                /* BODY */
	struct handle *next;            /* BODY: others on that inode, under mount->lock */
	struct file *file;              /* FILE */
	bool writes;                    /* FILE */
	struct buf text;                /* TEXT */
	int fd;                         /* DESCRIPTOR, else -1 */
	struct control_reader *reader;  /* EVENTS */
};

struct handle *handle_create(struct mount *mount, enum handle_kind kind, uint64_t inode);
/* Ends those that are open when the mount ends: no RELEASE will come. */
void handle_close_all(struct mount *mount);
/* Tells whether closing a handle (fuse_file_info.fh) takes no time: nothing was written through it. */
bool handle_is_brief(uint64_t fh);
/* What stat shows of a message that is gone and still open. */
bool handle_attr(struct mount *mount, uint64_t inode, struct entry *out);
/* A message's body is not to be counted on any more: it is looked for at the next OPEN. */
void handle_forget_body(struct mount *mount, uint64_t inode);

/* Answer OPEN, CREATE, READ, WRITE, FLUSH, RELEASE, FSYNC, POLL. */
void handle_answer_open(struct mount *mount, fuse_req_t req, uint64_t inode, struct fuse_file_info *info);
void handle_answer_create(struct mount *mount, fuse_req_t req, uint64_t dir_inode, const char *name, mode_t mode,
	struct fuse_file_info *info);
void handle_answer_read(
	struct mount *mount, fuse_req_t req, uint64_t inode, size_t size, off_t offset, struct fuse_file_info *info);
void handle_answer_write(
	struct mount *mount, fuse_req_t req, struct slice data, off_t offset, struct fuse_file_info *info);
void handle_answer_flush(struct mount *mount, fuse_req_t req, struct fuse_file_info *info);
void handle_answer_release(struct mount *mount, fuse_req_t req, struct fuse_file_info *info);
void handle_answer_sync(struct mount *mount, fuse_req_t req, uint64_t inode, struct fuse_file_info *info);
/* Room for a local file; a message gets what it needs as it is written. */
void handle_answer_allocate(
	struct mount *mount, fuse_req_t req, int mode, off_t offset, off_t length, struct fuse_file_info *info);
void handle_answer_poll(struct mount *mount, fuse_req_t req, struct fuse_file_info *info, struct fuse_pollhandle *poll);

#endif
