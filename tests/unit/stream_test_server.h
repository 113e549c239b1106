/* A server for one test: listens on the loopback, and serves a number of connections one after another in a thread of its own. */
#ifndef UNIT_STREAM_TEST_SERVER_H
#define UNIT_STREAM_TEST_SERVER_H

#include <pthread.h>
#include <stdint.h>

struct test_server {
	uint16_t port;
	int listen_fd;
	pthread_t thread;
	unsigned connections;                 /* left to serve */
	void (*serve)(int fd, void *context); /* the descriptor is closed behind it */
	void *context;
};

/* Ends the test process where the system gives no socket: nothing can be tested then. */
void test_server_start(
	struct test_server *server, unsigned connections, void (*serve)(int fd, void *context), void *context);
/* Waits until all are served. */
void test_server_join(struct test_server *server);

/* A port of the loopback that answers: refused. */
uint16_t test_server_closed_port(void);

/* Writes and reads all of it, or gives 0 when the other side is gone. */
int test_server_write(int fd, const void *data, size_t size);
int test_server_read(int fd, void *out, size_t size);

#endif
