/* Every answer to the kernel, and the one table from error kind to errno. */
#ifndef FS_REPLY_H
#define FS_REPLY_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "engine/base/error.h"
#include "engine/base/slice.h"
#include "fs/attr.h"

#define REPLY_FOREVER_S 1e9 /* what is cached is taken back by notify, exactly */

/* The errno of an error: its own where it has one, else its kind's. */
int reply_errno_of(const struct error *error);

void reply_done(fuse_req_t req);
void reply_error(fuse_req_t req, const struct error *error);
void reply_errno(fuse_req_t req, int sys_errno);
/* done or error */
void reply_result(fuse_req_t req, bool done, const struct error *error);
void reply_none(fuse_req_t req);
void reply_entry(fuse_req_t req, const struct entry *entry);
/* There is no such name, and there will be none until notify says so. */
void reply_no_entry(fuse_req_t req, bool passing);
void reply_attr(fuse_req_t req, const struct entry *entry);
void reply_data(fuse_req_t req, struct slice data);
void reply_link(fuse_req_t req, const char *target);
void reply_written(fuse_req_t req, size_t count);
/* An attribute's value: its size when `size` is 0, ERANGE when it does not fit. */
void reply_extended(fuse_req_t req, struct slice value, size_t size);
void reply_statfs(fuse_req_t req, const struct statvfs *stat);
void reply_poll(fuse_req_t req, unsigned events);
/* These two say whether the kernel took it; if not (it was interrupted), no RELEASE will come. */
bool reply_open(fuse_req_t req, const struct fuse_file_info *file) MUST_CHECK;
bool reply_create(fuse_req_t req, const struct entry *entry, const struct fuse_file_info *file) MUST_CHECK;
/* Puts an entry into a directory buffer and advances *at; false when it does not fit. `plus`: with attributes. */
bool reply_add_entry(fuse_req_t req, char *buffer, size_t size, size_t *at, const char *name, const struct entry *entry,
	uint64_t cookie, bool plus) MUST_CHECK;

#endif
