/* Host names to addresses, bounded in time: getaddrinfo can neither be cancelled nor given a deadline, so it runs in a thread of its own, which is
 * left behind when nobody waits for it any more and frees what it made. */
#ifndef IO_RESOLVE_H
#define IO_RESOLVE_H

#include "engine/io/io_ops.h"

/* Gives at most `max` addresses of a host name or a written address, in the system's order of preference, and how many they are; or -ECANCELED
 * (cancel_fd became readable), -ETIMEDOUT, -ENOENT with the reason in *out_why, or another errno. */
int resolve_host(const char *host, uint16_t port, int64_t timeout_ms, int cancel_fd, struct io_address *out, size_t max,
	const char **out_why);

#endif
