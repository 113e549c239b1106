/* Directories, and the files below them. A name never leads out of its directory: it is opened by open_beneath, and what has no such
 * form in the kernel (mkdir, rename, unlink) is done in the parent that open_beneath found. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/io/io_ops.h"

#define PATH_BYTES_MAX   4096
#define LIST_BYTES       (32u << 10) /* of directory entries, asked for at a time */
#define READ_PIECE_BYTES (64u << 10)

struct io_dir {
	struct io *io;
	char *path;
	int fd;
};

/* Where a name's last component stands. */
struct place {
	struct io *io;
	int fd;
	bool owned;       /* fd is not the directory's own */
	const char *leaf; /* within the name */
};

static void
place_finish(struct place *place)
{
	if (place->owned) {
		io_close(place->io, &place->fd);
	}
}

static bool
fail(const struct io_dir *dir, int code, const char *doing, const char *name, struct error *err)
{
	if (code == -EXDEV || code == -ELOOP) {
		(void)error_set(err, ERROR_REFUSED, "%s %s/%s: the name leaves its directory or passes a symbolic link",
			doing, dir->path, name);
		err->sys_errno = -code;
		return false;
	}
	return error_errno(err, -code, "%s %s/%s", doing, dir->path, name);
}

static int
open_beneath(const struct io_dir *dir, const char *name, int flags)
{
	int fd;

	do {
		fd = dir->io->ops->open_beneath(dir->io, dir->fd, name[0] != '\0' ? name : ".", flags, 0600);
	} while (fd == -EINTR);
	return fd;
}

/* Finds the parent of a name's last component, which may be neither missing nor `.` nor `..`. */
static bool
find_place(const struct io_dir *dir, const char *name, const char *doing, struct place *out, struct error *err)
{
	const char *slash = strrchr(name, '/');
	struct place place = {.io = dir->io, .fd = dir->fd, .leaf = slash != NULL ? slash + 1 : name};

	if (place.leaf[0] == '\0' || strcmp(place.leaf, ".") == 0 || strcmp(place.leaf, "..") == 0 || name[0] == '/') {
		return fail(dir, -EXDEV, doing, name, err);
	}
	if (slash != NULL) {
		char parent[PATH_BYTES_MAX];
		size_t length = (size_t)(slash - name);

		if (length >= sizeof(parent)) {
			return fail(dir, -ENAMETOOLONG, doing, name, err);
		}
		memcpy(parent, name, length);
		parent[length] = '\0';
		place.fd = open_beneath(dir, parent, O_PATH | O_DIRECTORY);
		place.owned = true;
		if (place.fd < 0) {
			return fail(dir, place.fd, doing, name, err);
		}
	}
	*out = place;
	return true;
}

/* Makes the missing levels of a path, each durable in the one above. */
static bool
make_levels(struct io *io, const char *path, struct error *err)
{
	char level[PATH_BYTES_MAX];
	size_t length = strlen(path);

	if (length >= sizeof(level)) {
		return error_errno(err, ENAMETOOLONG, "making %.64s…", path);
	}
	for (size_t end = 1; end <= length; end++) {
		if ((path[end] != '/' && path[end] != '\0') || path[end - 1] == '/') {
			continue;
		}
		memcpy(level, path, end);
		level[end] = '\0';
		int code = io->ops->make_path(io, level, 0700);

		if (code == -EEXIST) {
			continue;
		}
		if (code != 0) {
			return error_errno(err, -code, "making %s", level);
		}
		char *slash = strrchr(level, '/');
		const char *above = slash == NULL ? "." : slash == level ? "/" : level;

		if (slash != NULL) {
			*slash = '\0';
		}
		int fd = io->ops->open_path(io, above[0] != '\0' ? above : "/", O_RDONLY | O_DIRECTORY);

		code = fd < 0 ? fd : io->ops->fsync(io, fd);
		io_close(io, &fd);
		/* Not every directory above may be opened by us; then its own file system decides when it is durable. */
		if (code != 0 && code != -EACCES && code != -EINVAL) {
			return error_errno(err, -code, "making %.*s durable", (int)end, path);
		}
	}
	return true;
}

static bool
check_trusted(struct io *io, int fd, const char *path, struct error *err)
{
	struct stat st;
	const char *kind;
	int code = io->ops->stat(io, fd, &st);

	if (code != 0) {
		return error_errno(err, -code, "looking at %s", path);
	}
	if (st.st_uid != geteuid()) {
		return error_set(err, ERROR_CONFIG,
			"%s belongs to uid %lu, not to us (uid %lu): use a directory of your own", path,
			(unsigned long)st.st_uid, (unsigned long)geteuid());
	}
	code = io->ops->is_remote(io, fd, &kind);
	if (code < 0) {
		return error_errno(err, -code, "asking for the file system of %s", path);
	}
	return code == 0 ||
	       error_set(err, ERROR_CONFIG,
		       "%s is on %s, where locks cannot be trusted: use a directory on a local disk", path, kind);
}

bool
io_dir_open(struct io *io, const char *path, bool create, struct io_dir **out, struct error *err)
{
	int fd = io->ops->open_path(io, path, O_RDONLY | O_DIRECTORY);

	if (fd == -ENOENT && create) {
		if (!make_levels(io, path, err)) {
			return false;
		}
		fd = io->ops->open_path(io, path, O_RDONLY | O_DIRECTORY);
	}
	if (fd == -ENOTDIR) {
		return error_set(err, ERROR_CONFIG, "%s is not a directory", path);
	}
	if (fd < 0) {
		return error_errno(err, -fd, "opening %s", path);
	}
	if (!check_trusted(io, fd, path, err)) {
		io_close(io, &fd);
		return false;
	}
	struct io_dir *dir = io_alloc(sizeof(*dir));

	*dir = (struct io_dir){.io = io, .fd = fd, .path = slice_dup(slice_of(path))};
	*out = dir;
	return true;
}

void
io_dir_close(struct io_dir **dir)
{
	if (dir == NULL || *dir == NULL) {
		return;
	}
	io_close((*dir)->io, &(*dir)->fd);
	free((*dir)->path);
	free(*dir);
	*dir = NULL;
}

const char *
io_dir_path(const struct io_dir *dir)
{
	return dir->path;
}

struct io *
io_dir_io(const struct io_dir *dir)
{
	return dir->io;
}

bool
io_mkdir(struct io_dir *dir, const char *name, struct error *err)
{
	SCOPED(place_finish) struct place place = {.fd = -1};

	if (!find_place(dir, name, "making", &place, err)) {
		return false;
	}
	int code = dir->io->ops->mkdir(dir->io, place.fd, place.leaf, 0700);

	return code == 0 || code == -EEXIST || fail(dir, code, "making", name, err);
}

bool
io_rmdir(struct io_dir *dir, const char *name, struct error *err)
{
	SCOPED(place_finish) struct place place = {.fd = -1};

	if (!find_place(dir, name, "removing", &place, err)) {
		return false;
	}
	int code = dir->io->ops->unlink(dir->io, place.fd, place.leaf, AT_REMOVEDIR);

	return code == 0 || code == -ENOENT || fail(dir, code, "removing", name, err);
}

bool
io_open(struct io_dir *dir, const char *name, int flags, int *out_fd, struct error *err)
{
	int fd = open_beneath(dir, name, flags);

	if (fd < 0) {
		return fail(dir, fd, "opening", name, err);
	}
	*out_fd = fd;
	return true;
}

bool
io_stat(struct io_dir *dir, const char *name, struct io_stat *out, struct error *err)
{
	struct stat st;
	int fd = open_beneath(dir, name, O_PATH | O_NOFOLLOW);

	if (fd < 0) {
		return fail(dir, fd, "looking at", name, err);
	}
	int code = dir->io->ops->stat(dir->io, fd, &st);

	io_close(dir->io, &fd);
	if (code != 0) {
		return fail(dir, code, "looking at", name, err);
	}
	*out = (struct io_stat){
		.is_file = S_ISREG(st.st_mode),
		.is_directory = S_ISDIR(st.st_mode),
		.inode = (uint64_t)st.st_ino,
		.size_bytes = st.st_size > 0 ? (uint64_t)st.st_size : 0,
		.mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
		.ctime_ns = (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec,
	};
	return true;
}

bool
io_dir_fsync(struct io_dir *dir, const char *name_of_subdirectory_or_null, struct error *err)
{
	const char *name = name_of_subdirectory_or_null != NULL ? name_of_subdirectory_or_null : "";
	int fd = name[0] != '\0' ? open_beneath(dir, name, O_RDONLY | O_DIRECTORY) : dir->fd;

	if (fd < 0) {
		return fail(dir, fd, "making durable", name, err);
	}
	bool done = io_fsync(dir->io, fd, err);

	if (fd != dir->fd) {
		io_close(dir->io, &fd);
	}
	return done || error_wrap(err, "directory %s/%s", dir->path, name);
}

static bool
rename_in(struct io_dir *dir, const char *from, const char *to, unsigned flags, struct error *err)
{
	SCOPED(place_finish) struct place source = {.fd = -1}, target = {.fd = -1};

	if (!find_place(dir, from, "renaming", &source, err) || !find_place(dir, to, "renaming to", &target, err)) {
		return false;
	}
	int code = dir->io->ops->rename(dir->io, source.fd, source.leaf, target.fd, target.leaf, flags);

	return code == 0 || error_errno(err, -code, "renaming %s/%s to %s", dir->path, from, to);
}

bool
io_rename(struct io_dir *dir, const char *from, const char *to, struct error *err)
{
	return rename_in(dir, from, to, 0, err);
}

bool
io_rename_new(struct io_dir *dir, const char *from, const char *to, struct error *err)
{
	return rename_in(dir, from, to, RENAME_NOREPLACE, err);
}

bool
io_unlink(struct io_dir *dir, const char *name, struct error *err)
{
	SCOPED(place_finish) struct place place = {.fd = -1};

	if (!find_place(dir, name, "removing", &place, err)) {
		if (err->kind == ERROR_GONE) {
			error_clear(err);
			return true;
		}
		return false;
	}
	int code = dir->io->ops->unlink(dir->io, place.fd, place.leaf, 0);

	return code == 0 || code == -ENOENT || fail(dir, code, "removing", name, err);
}

/* Writes the content under a new name, and that name over the old one. */
static bool
replace_by(struct io_dir *dir, const char *temporary, const char *name, struct slice content, struct error *err)
{
	int fd = -1;

	if (!io_open(dir, temporary, O_WRONLY | O_CREAT | O_EXCL, &fd, err)) {
		return false;
	}
	bool written = io_pwrite(dir->io, fd, content, 0, err) && io_fsync(dir->io, fd, err);

	io_close(dir->io, &fd);
	if (!written || !io_rename(dir, temporary, name, err)) {
		struct error ignored = ERROR_INIT;

		(void)!io_unlink(dir, temporary, &ignored);
		return false;
	}
	return true;
}

bool
io_replace_file(struct io_dir *dir, const char *name, struct slice content, struct error *err)
{
	char temporary[PATH_BYTES_MAX], parent[PATH_BYTES_MAX];
	const char *slash = strrchr(name, '/');
	uint64_t unique;

	io_random(dir->io, &unique, sizeof(unique));
	int length = snprintf(temporary, sizeof(temporary), "%s.%016llx.new", name, (unsigned long long)unique);

	if (length < 0 || (size_t)length >= sizeof(temporary)) {
		return fail(dir, -ENAMETOOLONG, "replacing", name, err);
	}
	if (!replace_by(dir, temporary, name, content, err)) {
		return error_wrap(err, "replacing %s/%s", dir->path, name);
	}
	(void)snprintf(parent, sizeof(parent), "%.*s", slash != NULL ? (int)(slash - name) : 0, name);
	return io_dir_fsync(dir, parent, err);
}

bool
io_read_file(struct io_dir *dir, const char *name, size_t max, struct buf *out, struct error *err)
{
	size_t before = out->length, got = 0;
	int fd = -1;

	assert(max < SIZE_MAX);
	if (!io_open(dir, name, O_RDONLY, &fd, err)) {
		return false;
	}
	bool done;

	for (;;) {
		/* one octet more than is allowed, to see that there is more */
		size_t room = max - (out->length - before) + 1;

		if (room > READ_PIECE_BYTES) {
			room = READ_PIECE_BYTES;
		}
		buf_reserve(out, room);
		done = io_pread(dir->io, fd, out->data + out->length, room, out->length - before, &got, err);
		if (!done || got == 0) {
			break;
		}
		out->length += got;
		out->data[out->length] = '\0';
		if (out->length - before > max) {
			done = error_set(err, ERROR_INVALID, "it is larger than %zu octets", max);
			break;
		}
	}
	io_close(dir->io, &fd);
	if (!done) {
		buf_truncate(out, before);
		return error_wrap(err, "reading %s/%s", dir->path, name);
	}
	return true;
}

/* Calls back for the entries in `space`; false once the callback wants no more. */
static bool
each_entry(const char *space, size_t length, bool (*each)(void *context, const char *name), void *context)
{
	for (size_t at = 0; at < length;) {
		const struct dirent64 *entry = (const struct dirent64 *)(const void *)(space + at);

		assert(entry->d_reclen > 0);
		at += entry->d_reclen;
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
			!each(context, entry->d_name)) {
			return false;
		}
	}
	return true;
}

bool
io_list(struct io_dir *dir, const char *name, bool (*each)(void *context, const char *name), void *context,
	struct error *err)
{
	int fd = open_beneath(dir, name, O_RDONLY | O_DIRECTORY);
	ssize_t length;

	if (fd < 0) {
		return fail(dir, fd, "listing", name, err);
	}
	char *space = io_alloc(LIST_BYTES); /* malloc's alignment is enough for entries */

	do {
		length = dir->io->ops->list(dir->io, fd, space, LIST_BYTES);
	} while (length == -EINTR || (length > 0 && each_entry(space, (size_t)length, each, context)));
	free(space);
	io_close(dir->io, &fd);
	return length >= 0 || fail(dir, (int)length, "listing", name, err);
}
