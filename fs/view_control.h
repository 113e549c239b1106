/* .mailfs: status, status.json, held, events, rejected/ and scratch/ (design 5). */
#ifndef FS_VIEW_CONTROL_H
#define FS_VIEW_CONTROL_H

#include "fs/dir.h"

enum control_item { /* the number of NODE_CONTROL */
	CONTROL_DIRECTORY = 1,
	CONTROL_STATUS,
	CONTROL_STATUS_JSON,
	CONTROL_HELD,
	CONTROL_EVENTS,
	CONTROL_REJECTED,
	CONTROL_SCRATCH,
	CONTROL_ITEM_COUNT,
};

bool view_control_lookup(struct mount *mount, struct node dir, struct slice name, struct entry *out, struct error *err)
	MUST_CHECK;
bool view_control_list(struct mount *mount, struct node dir, enum dir_section section, uint32_t after,
	struct dir_sink *sink, struct error *err) MUST_CHECK;
bool view_control_attr(struct mount *mount, struct node node, struct entry *out, struct error *err) MUST_CHECK;
/* Removes a file of rejected/. */
bool view_control_unlink(struct mount *mount, struct node node, struct slice name, struct error *err) MUST_CHECK;

struct handle;
/* Makes a handle for reading one of the files; EACCES for writing. */
bool view_control_open(struct mount *mount, struct node node, struct fuse_file_info *info, struct handle **out,
	struct error *err) MUST_CHECK;

/* .mailfs/events: one reader to a handle. */
struct control_reader;
void view_control_read_events(
	struct mount *mount, struct control_reader *reader, fuse_req_t req, size_t size, bool wait);
void view_control_poll_events(
	struct mount *mount, struct control_reader *reader, fuse_req_t req, struct fuse_pollhandle *poll);
void view_control_close_events(struct mount *mount, struct control_reader **reader);
/* Tells all readers of an account one thing that happened; paths are below the account's directory, old_path NULL if there is none. */
/* (called by notify alone, for it goes into the kernel) */
void view_control_tell(struct mount *mount, uint8_t octet, uint64_t seq, const char *op, struct slice path,
	const struct slice *old_path);
/* Tells whether anybody listens. */
bool view_control_is_heard(struct mount *mount, uint8_t octet);

#endif
