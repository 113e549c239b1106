#include "fs/reply.h"

#include <errno.h>
#include <string.h>

#include "engine/base/log.h"

static const int errnos[] = {
	[ERROR_NONE] = 0,
	[ERROR_RETRY] = EAGAIN,
	[ERROR_UNREACHABLE] = ENETUNREACH,
	[ERROR_THROTTLED] = EAGAIN,
	[ERROR_CREDENTIALS] = EACCES,
	[ERROR_TRUST] = EACCES,
	[ERROR_CONFIG] = EINVAL,
	[ERROR_ITEM] = EIO,
	[ERROR_GONE] = ENOENT,
	[ERROR_EXISTS] = EEXIST,
	[ERROR_REFUSED] = EACCES,
	[ERROR_INVALID] = EINVAL,
	[ERROR_SPACE] = ENOSPC,
	[ERROR_DAMAGED] = EIO,
	[ERROR_CANCELLED] = EINTR,
	[ERROR_SYSTEM] = EIO,
	[ERROR_FATAL] = EIO,
};
_Static_assert(ARRAY_LENGTH(errnos) == ERROR_KIND_COUNT, "every kind has an errno");

#define ERRNO_MAX 511 /* beyond it the kernel takes an answer for a broken one */

/* The kinds whose errno says more to a program than the kind does. What went wrong on the way to a server is the kind's alone. */
static bool
errno_counts(enum error_kind kind)
{
	switch (kind) {
	case ERROR_RETRY:
	case ERROR_GONE:
	case ERROR_EXISTS:
	case ERROR_REFUSED:
	case ERROR_INVALID:
	case ERROR_SPACE:
	case ERROR_SYSTEM:
		return true;
	case ERROR_NONE:
	case ERROR_UNREACHABLE:
	case ERROR_THROTTLED:
	case ERROR_CREDENTIALS:
	case ERROR_TRUST:
	case ERROR_CONFIG:
	case ERROR_ITEM:
	case ERROR_DAMAGED:
	case ERROR_CANCELLED:
	case ERROR_FATAL:
	case ERROR_KIND_COUNT:
		break;
	}
	return false;
}

int
reply_errno_of(const struct error *error)
{
	if (errno_counts(error->kind) && error->sys_errno > 0 && error->sys_errno <= ERRNO_MAX) {
		return error->sys_errno;
	}
	return errnos[error->kind];
}

/* An answer that the kernel does not take belongs to a request that was given up, or to a mount that is gone. */
static bool
taken(int answer)
{
	if (answer != 0) {
		log_debug("mount", "event=reply-not-taken error=%d", -answer);
	}
	return answer == 0;
}

void
reply_errno(fuse_req_t req, int sys_errno)
{
	(void)taken(fuse_reply_err(req, sys_errno));
}

void
reply_done(fuse_req_t req)
{
	reply_errno(req, 0);
}

void
reply_error(fuse_req_t req, const struct error *error)
{
	int sys_errno = reply_errno_of(error);

	if (sys_errno == EIO || sys_errno == ENOSPC) {
		log_warn("mount", "event=failed errno=%d error=\"%s\"", sys_errno, error->text);
	} else {
		log_debug("mount", "event=refused errno=%d error=\"%s\"", sys_errno, error->text);
	}
	reply_errno(req, sys_errno);
}

void
reply_result(fuse_req_t req, bool done, const struct error *error)
{
	if (done) {
		reply_done(req);
	} else {
		reply_error(req, error);
	}
}

void
reply_none(fuse_req_t req)
{
	fuse_reply_none(req);
}

static struct fuse_entry_param
param_of(const struct entry *entry)
{
	return (struct fuse_entry_param){
		.ino = entry->inode,
		.attr = entry->attr,
		.attr_timeout = entry->attr_passing ? 0 : REPLY_FOREVER_S,
		.entry_timeout = entry->name_passing ? 0 : REPLY_FOREVER_S,
	};
}

void
reply_entry(fuse_req_t req, const struct entry *entry)
{
	struct fuse_entry_param param = param_of(entry);

	(void)taken(fuse_reply_entry(req, &param));
}

void
reply_no_entry(fuse_req_t req, bool passing)
{
	struct fuse_entry_param param = {.entry_timeout = REPLY_FOREVER_S};

	if (passing) {
		reply_errno(req, ENOENT);
	} else {
		(void)taken(fuse_reply_entry(req, &param));
	}
}

void
reply_attr(fuse_req_t req, const struct entry *entry)
{
	(void)taken(fuse_reply_attr(req, &entry->attr, entry->attr_passing ? 0 : REPLY_FOREVER_S));
}

void
reply_data(fuse_req_t req, struct slice data)
{
	(void)taken(fuse_reply_buf(req, data.data, data.length));
}

void
reply_link(fuse_req_t req, const char *target)
{
	(void)taken(fuse_reply_readlink(req, target));
}

void
reply_written(fuse_req_t req, size_t count)
{
	(void)taken(fuse_reply_write(req, count));
}

void
reply_extended(fuse_req_t req, struct slice value, size_t size)
{
	if (size == 0) {
		(void)taken(fuse_reply_xattr(req, value.length));
	} else if (size < value.length) {
		reply_errno(req, ERANGE);
	} else {
		reply_data(req, value);
	}
}

void
reply_statfs(fuse_req_t req, const struct statvfs *stat)
{
	(void)taken(fuse_reply_statfs(req, stat));
}

void
reply_poll(fuse_req_t req, unsigned events)
{
	(void)taken(fuse_reply_poll(req, events));
}

bool
reply_open(fuse_req_t req, const struct fuse_file_info *file)
{
	return taken(fuse_reply_open(req, file));
}

bool
reply_create(fuse_req_t req, const struct entry *entry, const struct fuse_file_info *file)
{
	struct fuse_entry_param param = param_of(entry);

	return taken(fuse_reply_create(req, &param, file));
}

bool
reply_add_entry(fuse_req_t req, char *buffer, size_t size, size_t *at, const char *name, const struct entry *entry,
	uint64_t cookie, bool plus)
{
	struct fuse_entry_param param = param_of(entry);
	size_t room = size - *at, needed;

	needed = plus ? fuse_add_direntry_plus(req, buffer + *at, room, name, &param, (off_t)cookie)
		      : fuse_add_direntry(req, buffer + *at, room, name, &param.attr, (off_t)cookie);
	if (needed > room) {
		return false;
	}
	*at += needed;
	return true;
}
