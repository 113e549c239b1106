/* A flag with a descriptor: the flag is for those who are about to wait, the descriptor for those who do. */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/io/io_ops.h"

struct cancel {
	atomic_bool raised;
	int fd;
};

struct cancel *
cancel_create(void)
{
	struct cancel *cancel = io_alloc(sizeof(*cancel));

	cancel->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (cancel->fd < 0) {
		abort(); /* no descriptors or no memory left */
	}
	atomic_init(&cancel->raised, false);
	return cancel;
}

void
cancel_destroy(struct cancel **cancel)
{
	if (cancel == NULL || *cancel == NULL) {
		return;
	}
	(void)close((*cancel)->fd);
	free(*cancel);
	*cancel = NULL;
}

void
cancel_raise(struct cancel *cancel)
{
	atomic_store(&cancel->raised, true);
	while (eventfd_write(cancel->fd, 1) != 0 && errno == EINTR) {
	}
}

void
cancel_clear(struct cancel *cancel)
{
	eventfd_t count;

	while (eventfd_read(cancel->fd, &count) != 0 && errno == EINTR) {
	}
	atomic_store(&cancel->raised, false);
}

bool
cancel_raised(const struct cancel *cancel)
{
	return atomic_load(&cancel->raised);
}

int
cancel_fd(const struct cancel *cancel)
{
	return cancel->fd;
}
