/* A body on its way: in memory while small, in an unlinked-on-close file of the store's spool directory when large.
 * One thread at a time. */
#ifndef IO_SPOOL_H
#define IO_SPOOL_H

#include "engine/io/io.h"

#define SPOOL_MEMORY_MAX (256u << 10) /* beyond, a file */

struct spool;

struct spool *spool_create(struct io_dir *dir /* where files go, e.g. the store's */);
/* Frees it and removes its file. */
void spool_close(struct spool **spool);
/* So much is about to be written: a hint, that memory need not grow by steps. */
void spool_expect(struct spool *spool, uint64_t size);
bool spool_append(struct spool *spool, struct slice data, struct error *err) MUST_CHECK;
bool spool_pwrite(struct spool *spool, struct slice data, uint64_t offset, struct error *err)
	MUST_CHECK; /* a gap reads as NULs */
bool spool_truncate(struct spool *spool, uint64_t size, struct error *err) MUST_CHECK;
uint64_t spool_size(const struct spool *spool);
/* Reads up to `size` octets; fewer only at the end. */
bool spool_pread(const struct spool *spool, void *out, size_t size, uint64_t offset, size_t *out_got, struct error *err)
	MUST_CHECK;
/* The whole content if it is in memory, or mapped read-only; valid until the next change. */
bool spool_view(struct spool *spool, struct slice *out, struct error *err) MUST_CHECK;
bool spool_in_memory(const struct spool *spool);
/* Its file for writing through or renaming into place; makes it a file if it is in memory. Name is relative to the directory, and
 * stays with the spool. What is written past the spool through the descriptor is not in spool_size. */
bool spool_to_file(struct spool *spool, int *out_fd, const char **out_name, struct error *err) MUST_CHECK;
/* The file has been renamed away by the caller: close will not remove it. */
void spool_forget_file(struct spool *spool);

#endif
