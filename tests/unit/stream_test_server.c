#include "tests/unit/stream_test_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int
listen_on_loopback(uint16_t *out_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 16) != 0 ||
		getsockname(fd, (struct sockaddr *)&address, &length) != 0) {
		perror("a listening socket on the loopback");
		abort();
	}
	*out_port = ntohs(address.sin_port);
	return fd;
}

static void *
run(void *context)
{
	struct test_server *server = context;

	for (; server->connections > 0; server->connections--) {
		int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0) {
			perror("accept");
			abort();
		}
		server->serve(fd, server->context);
		(void)close(fd);
	}
	return NULL;
}

void
test_server_start(struct test_server *server, unsigned connections, void (*serve)(int fd, void *context), void *context)
{
	*server = (struct test_server){.connections = connections, .serve = serve, .context = context};
	server->listen_fd = listen_on_loopback(&server->port);
	if (pthread_create(&server->thread, NULL, run, server) != 0) {
		abort();
	}
}

void
test_server_join(struct test_server *server)
{
	(void)pthread_join(server->thread, NULL);
	(void)close(server->listen_fd);
}

uint16_t
test_server_closed_port(void)
{
	uint16_t port;

	(void)close(listen_on_loopback(&port));
	return port;
}

int
test_server_write(int fd, const void *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t count = send(fd, (const char *)data + done, size - done, MSG_NOSIGNAL);

		if (count <= 0) {
			return 0;
		}
		done += (size_t)count;
	}
	return 1;
}

int
test_server_read(int fd, void *out, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t count = recv(fd, (char *)out + done, size - done, 0);

		if (count <= 0) {
			return 0;
		}
		done += (size_t)count;
	}
	return 1;
}
