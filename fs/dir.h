/* Directories: what a name in one means, readdir by a cursor that never moves, and their times.
 *
 * A readdir cookie means "what comes after this": 1 to 15 are fixed entries, 16 + UID a message, and for the others the section stands
 * above bit 40 and the number of the thing below. Names that may become messages are listed before messages, so that one which becomes
 * one in between is met, at worst twice. Any cookie ever given can be sought, whatever has gone since.
 */
#ifndef FS_DIR_H
#define FS_DIR_H

#include "fs/attr.h"
#include "fs/reply.h"

enum dir_section {
	DIR_FIXED,   /* ., .. and a view's fixed names: 1..15 */
	DIR_NEW,     /* by serial: written, not yet a message */
	DIR_LOCAL,   /* by id */
	DIR_MAILBOX, /* by id; accounts by octet */
	DIR_MESSAGE, /* by local UID */
};

#define DIR_COOKIE_SELF   1u
#define DIR_COOKIE_PARENT 2u
#define DIR_FIXED_MAX     15u

uint64_t dir_cookie(enum dir_section section, uint32_t number);
/* Back; false for a cookie that dir_cookie never gives. 0, the beginning, is DIR_FIXED 0. */
bool dir_cookie_read(uint64_t cookie, enum dir_section *out_section, uint32_t *out_number);

/* Where entries of a listing go, one after another; `put` gives false when there is no more room. */
struct dir_sink {
	bool (*put)(void *context, const char *name, const struct entry *entry, uint64_t cookie);
	void *context;
	bool full;        /* set once put gave false: the listing ends */
	char **new_names; /* those of DIR_NEW in this reply: what they became meanwhile is not listed again */
	size_t new_count;
};
/* Frees what a sink kept. */
void dir_sink_finish(struct dir_sink *sink);
/* Puts one entry; false once it is full. */
bool dir_put(struct dir_sink *sink, const char *name, const struct entry *entry, uint64_t cookie);

/* Finds a name in a directory. ERROR_GONE: there is none (sys_errno 0); *out_passing tells that the answer may not be kept.
 * ENOTDIR, ENAMETOOLONG. */
bool dir_lookup(struct mount *mount, struct node dir, const char *name, struct entry *out, bool *out_passing,
	struct error *err) MUST_CHECK;
/* Lists a directory from a cookie on. */
bool dir_list(struct mount *mount, struct node dir, uint64_t cookie, struct dir_sink *sink, struct error *err)
	MUST_CHECK;
/* Tells whether a node is a directory whose entries are local names, and whose: parent_kind and parent of edit_local. */
bool dir_local_place(struct mount *mount, struct node dir, int *out_kind, uint64_t *out_parent);

/* Notes that this mount changed a directory in a way that the engine's own time of it does not tell. */
void dir_touch(struct mount *mount, struct node dir);
/* The same for one whose time the engine does not tell: the account's own directory, and scratch. */
void dir_touch_own(struct mount *mount, struct node dir);
/* The later of a directory's own time and the last touch. */
int64_t dir_time(struct mount *mount, struct node dir, int64_t own_ns);

/* Answer LOOKUP, READDIR and READDIRPLUS. */
void dir_answer_lookup(struct mount *mount, fuse_req_t req, uint64_t inode, const char *name);
void dir_answer_list(struct mount *mount, fuse_req_t req, uint64_t inode, size_t size, uint64_t cookie, bool plus);
/* Answers OPENDIR: the kernel keeps the listing. */
void dir_answer_open(struct mount *mount, fuse_req_t req, uint64_t inode, struct fuse_file_info *info);

#endif
