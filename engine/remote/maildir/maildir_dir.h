/* A directory's names, all at once, and paths made of parts. */
#ifndef MAILDIR_DIR_H
#define MAILDIR_DIR_H

#include "engine/io/io.h"

#define MAILDIR_DIR_NAMES_MAX 4000000

struct maildir_dir {
	struct buf octets; /* names, each with a NUL behind */
	size_t count;
	bool full; /* there were more */
};

#define MAILDIR_DIR_INIT ((struct maildir_dir){0})

void maildir_dir_finish(struct maildir_dir *list);
/* Lists a directory beneath `dir` in place of what was there; one that is missing has no names. ERROR_ITEM where there are too many. */
bool maildir_dir_read(struct maildir_dir *list, struct io_dir *dir, const char *path, struct error *err) MUST_CHECK;
/* Walks: *at begins as 0; NULL at the end. */
const char *maildir_dir_next(const struct maildir_dir *list, size_t *at);
/* Sets `out` to "path/name" (the name alone where path is empty), and gives it. */
const char *maildir_dir_join(struct buf *out, const char *path, const char *name);

#endif
