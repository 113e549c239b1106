#include "engine/io/resolve.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define HOST_BYTES_MAX 254 /* with the final NUL: RFC 1035, 2.3.4 */

/* One question, held by the asker and by the thread; the last of them frees it. */
struct job {
	atomic_int holders;
	int done_fd; /* readable once status and list are there */
	atomic_bool done;
	int status;
	struct addrinfo *list;
	char host[HOST_BYTES_MAX];
	char port[6];
};

static void
job_release(struct job *job)
{
	if (atomic_fetch_sub(&job->holders, 1) > 1) {
		return;
	}
	if (job->list != NULL) {
		freeaddrinfo(job->list);
	}
	(void)close(job->done_fd);
	free(job);
}

static void
look_up(struct job *job, int flags)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};

	job->status = getaddrinfo(job->host, job->port, &hints, &job->list);
	if (job->status == EAI_SYSTEM && errno == EINTR) {
		job->status = EAI_AGAIN;
	}
}

static void *
run(void *context)
{
	struct job *job = context;

	look_up(job, 0);
	atomic_store(&job->done, true);
	while (eventfd_write(job->done_fd, 1) != 0 && errno == EINTR) {
	}
	job_release(job);
	return NULL;
}

/* Starts the thread, deaf to signals: they are for threads that know what to do. */
static int
start(struct job *job)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all, before;
	int code = pthread_attr_init(&attributes);

	if (code != 0) {
		return -code;
	}
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	atomic_fetch_add(&job->holders, 1);
	code = pthread_create(&thread, &attributes, run, job);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attributes);
	if (code != 0) {
		atomic_fetch_sub(&job->holders, 1);
	}
	return -code;
}

static int64_t
now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int
await(const struct job *job, int64_t timeout_ms, int cancel_fd)
{
	struct pollfd fds[2] = {{.fd = job->done_fd, .events = POLLIN}, {.fd = cancel_fd, .events = POLLIN}};
	int64_t end_ms = now_ms() + timeout_ms;

	for (;;) {
		int64_t left_ms = timeout_ms < 0 ? -1 : end_ms - now_ms();

		if (timeout_ms >= 0 && left_ms < 0) {
			return -ETIMEDOUT;
		}
		int ready = poll(fds, ARRAY_LENGTH(fds), left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);

		if (ready > 0) {
			return atomic_load(&job->done) ? 0 : -ECANCELED;
		}
		if (ready == 0 || (ready < 0 && errno != EINTR)) {
			return ready == 0 ? -ETIMEDOUT : -errno;
		}
	}
}

/* What went wrong, in a sentence's words. */
static const char *
reason(int status)
{
	switch (status) {
	case EAI_NONAME:
#ifdef EAI_NODATA
	case EAI_NODATA:
#endif
		return "there is no host of that name: look at `server` in the configuration, and at the network";
	case EAI_AGAIN:
		return "the name cannot be looked up at the moment";
	default:
		return gai_strerror(status);
	}
}

static int
collect(const struct job *job, struct io_address *out, size_t max, const char **out_why)
{
	size_t count = 0;

	if (job->status != 0) {
		*out_why = reason(job->status);
		return -ENOENT;
	}
	for (const struct addrinfo *info = job->list; info != NULL && count < max; info = info->ai_next) {
		if (info->ai_addrlen <= sizeof(out[count].storage)) {
			memcpy(&out[count].storage, info->ai_addr, info->ai_addrlen);
			out[count++].length = info->ai_addrlen;
		}
	}
	return (int)count;
}

int
resolve_host(const char *host, uint16_t port, int64_t timeout_ms, int cancel_fd, struct io_address *out, size_t max,
	const char **out_why)
{
	if (strlen(host) >= HOST_BYTES_MAX || host[0] == '\0') {
		*out_why = "that is no name of a host";
		return -ENOENT;
	}
	struct job *job = io_alloc(sizeof(*job));
	int code = 0;

	atomic_init(&job->holders, 1);
	(void)snprintf(job->host, sizeof(job->host), "%s", host);
	(void)snprintf(job->port, sizeof(job->port), "%u", (unsigned)port);
	job->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (job->done_fd < 0) {
		code = -errno;
		free(job);
		return code;
	}
	look_up(job, AI_NUMERICHOST); /* a written address needs no thread */
	if (job->status == EAI_NONAME) {
		code = start(job);
		code = code != 0 ? code : await(job, timeout_ms, cancel_fd);
	}
	if (code == 0) {
		code = collect(job, out, max, out_why);
	}
	job_release(job);
	return code;
}
