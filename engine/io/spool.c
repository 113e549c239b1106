#include "engine/io/spool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/io/io_ops.h"

#define DIRECTORY    "spool"
#define NAME_BYTES   sizeof(DIRECTORY "/0123456789abcdef0123456789abcdef")
#define CREATE_TRIES 4

struct spool {
	struct io_dir *dir;
	struct buf memory;     /* the content, while fd is -1 */
	int fd;                /* of the file, or -1 */
	uint64_t size;         /* of the content, either way */
	char name[NAME_BYTES]; /* of the file, or empty */
	bool forgotten;        /* the file is somebody else's now */
	const void *mapped;    /* the whole file as of the last view, or NULL */
	size_t mapped_size;
};

static struct io *
io_of(const struct spool *spool)
{
	return io_dir_io(spool->dir);
}

struct spool *
spool_create(struct io_dir *dir)
{
	struct spool *spool = io_alloc(sizeof(*spool));

	spool->dir = dir;
	spool->fd = -1;
	return spool;
}

static void
unmap(struct spool *spool)
{
	if (spool->mapped != NULL) {
		io_of(spool)->ops->unmap(io_of(spool), spool->mapped, spool->mapped_size);
	}
	spool->mapped = NULL;
}

void
spool_close(struct spool **spool)
{
	if (spool == NULL || *spool == NULL) {
		return;
	}
	unmap(*spool);
	if ((*spool)->fd >= 0) {
		struct error ignored = ERROR_INIT;

		io_close(io_of(*spool), &(*spool)->fd);
		if (!(*spool)->forgotten) {
			(void)!io_unlink(
				(*spool)->dir, (*spool)->name, &ignored); /* what stays is swept with the directory */
		}
	}
	buf_finish(&(*spool)->memory);
	free(*spool);
	*spool = NULL;
}

/* Makes an empty file of a name that nobody can guess. */
static bool
create_file(struct spool *spool, int *out_fd, struct error *err)
{
	if (!io_mkdir(spool->dir, DIRECTORY, err)) {
		return false;
	}
	for (int tries = 0;; tries++) {
		uint64_t unique[2];

		io_random(io_of(spool), unique, sizeof(unique));
		(void)snprintf(spool->name, sizeof(spool->name), DIRECTORY "/%016llx%016llx",
			(unsigned long long)unique[0], (unsigned long long)unique[1]);
		if (io_open(spool->dir, spool->name, O_RDWR | O_CREAT | O_EXCL, out_fd, err)) {
			return true;
		}
		if (err->kind != ERROR_EXISTS || tries == CREATE_TRIES) {
			return false;
		}
	}
}

static bool
move_to_file(struct spool *spool, struct error *err)
{
	int fd;

	assert(spool->fd < 0);
	if (!create_file(spool, &fd, err)) {
		return false;
	}
	if (!io_pwrite(io_of(spool), fd, buf_slice(&spool->memory), 0, err)) {
		struct error ignored = ERROR_INIT;

		io_close(io_of(spool), &fd);
		(void)!io_unlink(spool->dir, spool->name, &ignored);
		return error_wrap(err, "a spool");
	}
	buf_finish(&spool->memory);
	spool->fd = fd;
	return true;
}

/* Sets the length of what is in memory, new octets being NUL. */
static void
resize_memory(struct spool *spool, size_t size)
{
	size_t before = spool->memory.length;

	if (size < before) {
		buf_truncate(&spool->memory, size);
	} else if (size > before) {
		buf_reserve(&spool->memory, size - before);
		memset(spool->memory.data + before, 0, size - before + 1);
		spool->memory.length = size;
	}
}

void
spool_expect(struct spool *spool, uint64_t size)
{
	if (spool->fd < 0 && size <= SPOOL_MEMORY_MAX && size > spool->memory.length) {
		buf_reserve(&spool->memory, (size_t)size - spool->memory.length);
	}
}

bool
spool_append(struct spool *spool, struct slice data, struct error *err)
{
	return spool_pwrite(spool, data, spool->size, err);
}

bool
spool_pwrite(struct spool *spool, struct slice data, uint64_t offset, struct error *err)
{
	uint64_t end;

	if (__builtin_add_overflow(offset, (uint64_t)data.length, &end) || end > INT64_MAX) {
		return error_errno(err, EFBIG, "writing a spool");
	}
	unmap(spool);
	if (data.length == 0) {
		return true;
	}
	if (spool->fd < 0 && end > SPOOL_MEMORY_MAX && !move_to_file(spool, err)) {
		return false;
	}
	if (spool->fd < 0 && offset == spool->size) {
		buf_append(&spool->memory, data);
	} else if (spool->fd < 0) {
		if (end > spool->size) {
			resize_memory(spool, (size_t)end);
		}
		memcpy(spool->memory.data + offset, data.data, data.length);
	} else if (!io_pwrite(io_of(spool), spool->fd, data, offset, err)) {
		struct error ignored = ERROR_INIT;

		/* what was written of it must not show in a gap later */
		(void)!io_ftruncate(io_of(spool), spool->fd, spool->size, &ignored);
		return error_wrap(err, "a spool");
	}
	if (end > spool->size) {
		spool->size = end;
	}
	return true;
}

bool
spool_truncate(struct spool *spool, uint64_t size, struct error *err)
{
	if (size > INT64_MAX) {
		return error_errno(err, EFBIG, "sizing a spool");
	}
	unmap(spool);
	if (spool->fd < 0 && size > SPOOL_MEMORY_MAX && !move_to_file(spool, err)) {
		return false;
	}
	if (spool->fd < 0) {
		resize_memory(spool, (size_t)size);
	} else if (!io_ftruncate(io_of(spool), spool->fd, size, err)) {
		return error_wrap(err, "a spool");
	}
	spool->size = size;
	return true;
}

uint64_t
spool_size(const struct spool *spool)
{
	return spool->size;
}

bool
spool_pread(const struct spool *spool, void *out, size_t size, uint64_t offset, size_t *out_got, struct error *err)
{
	size_t got = 0;

	if (offset < spool->size) {
		got = spool->size - offset < size ? (size_t)(spool->size - offset) : size;
	}
	if (got > 0 && spool->fd < 0) {
		memcpy(out, spool->memory.data + offset, got);
	} else if (got > 0) {
		size_t read = 0;

		if (!io_pread(io_of(spool), spool->fd, out, got, offset, &read, err)) {
			return error_wrap(err, "a spool");
		}
		if (read != got) {
			return error_set(err, ERROR_DAMAGED, "a spool has become shorter than what was written to it");
		}
	}
	*out_got = got;
	return true;
}

bool
spool_view(struct spool *spool, struct slice *out, struct error *err)
{
	if (spool->fd < 0) {
		*out = slice_make(spool->memory.data, (size_t)spool->size);
		return true;
	}
	if (spool->size == 0) {
		*out = slice_make(NULL, 0);
		return true;
	}
	if (spool->mapped == NULL) {
		uint64_t there;

		/* Octets behind the end of a file cannot be looked at without ending the process. */
		if (!io_file_size(io_of(spool), spool->fd, &there, err)) {
			return error_wrap(err, "a spool");
		}
		if (there < spool->size) {
			return error_set(err, ERROR_DAMAGED, "a spool has become shorter than what was written to it");
		}
		if (spool->size > SIZE_MAX) {
			return error_errno(err, EFBIG, "mapping a spool");
		}
		int code = io_of(spool)->ops->map(io_of(spool), spool->fd, (size_t)spool->size, &spool->mapped);

		if (code != 0) {
			return error_errno(err, -code, "mapping a spool");
		}
		spool->mapped_size = (size_t)spool->size;
	}
	*out = slice_make(spool->mapped, spool->mapped_size);
	return true;
}

bool
spool_in_memory(const struct spool *spool)
{
	return spool->fd < 0;
}

bool
spool_to_file(struct spool *spool, int *out_fd, const char **out_name, struct error *err)
{
	if (spool->fd < 0 && !move_to_file(spool, err)) {
		return false;
	}
	*out_fd = spool->fd;
	*out_name = spool->name;
	return true;
}

void
spool_forget_file(struct spool *spool)
{
	assert(spool->fd >= 0);
	spool->forgotten = true;
}
