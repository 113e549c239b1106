/* workload OP DIR COUNT [DIR2]: one system call loop over the names of a directory, in a random order that is the same each time; prints the nanoseconds
 * a name took and how many calls failed.
 *
 * stat, read (open, read, close): over the first COUNT names of DIR. create (open, write 4 KB, close) and durable (the same with fsync): COUNT new
 * messages. rename: each name within DIR, to its name with a letter before it, or back. move: into DIR2. unlink.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/random.h"

#define BODY_OCTETS 4096
#define SEED        7

struct work {
	int dir, target;
	char **names;
	size_t count;
	uint64_t nonce; /* makes the messages of this run new ones */
	char octets[65536];
};

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t
now_ns(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int
open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		fail(path);
	}
	return fd;
}

static void
add_name(struct work *work, const char *name)
{
	work->names[work->count] = strdup(name);
	if (work->names[work->count++] == NULL) {
		fail("memory");
	}
}

static void
find_names(struct work *work, const char *path, size_t most)
{
	DIR *dir = opendir(path);

	if (dir == NULL) {
		fail(path);
	}
	for (struct dirent *entry; work->count < most && (entry = readdir(dir)) != NULL;) {
		if (entry->d_name[0] != '.' && entry->d_type == DT_REG) {
			add_name(work, entry->d_name);
		}
	}
	(void)closedir(dir);
}

static void
make_names(struct work *work, size_t count)
{
	char name[100];

	for (size_t i = 0; i < count; i++) {
		(void)snprintf(name, sizeof(name), "2026-11-03 0912 Ana Ruiz - note %zu of %llx.eml", i,
			(unsigned long long)work->nonce);
		add_name(work, name);
	}
}

static void
shuffle(struct work *work)
{
	struct random random;

	random_seed(&random, SEED);
	for (size_t i = work->count; i > 1; i--) {
		size_t other = (size_t)random_below(&random, i);
		char *name = work->names[i - 1];

		work->names[i - 1] = work->names[other];
		work->names[other] = name;
	}
}

static bool
do_stat(struct work *work, const char *name)
{
	struct stat st;

	return fstatat(work->dir, name, &st, 0) == 0;
}

static bool
do_read(struct work *work, const char *name)
{
	int fd = openat(work->dir, name, O_RDONLY | O_CLOEXEC);
	bool done = fd >= 0 && read(fd, work->octets, sizeof(work->octets)) > 0;

	return fd >= 0 && close(fd) == 0 && done;
}

static bool
write_message(struct work *work, const char *name, bool durable)
{
	int fd = openat(work->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool done;

	memset(work->octets, 'x', BODY_OCTETS);
	work->octets[snprintf(work->octets, BODY_OCTETS,
		"From: Ana Ruiz <ana@example.org>\nSubject: %s\nMessage-ID: <%s>\n\n", name, name)] = 'x';
	for (size_t i = 500; i < BODY_OCTETS; i += 80) {
		work->octets[i] = '\n';
	}
	done = fd >= 0 && write(fd, work->octets, BODY_OCTETS) == BODY_OCTETS && (!durable || fsync(fd) == 0);
	return fd >= 0 && close(fd) == 0 && done;
}

static bool
do_create(struct work *work, const char *name)
{
	return write_message(work, name, false);
}

static bool
do_durable(struct work *work, const char *name)
{
	return write_message(work, name, true);
}

static bool
do_rename(struct work *work, const char *name)
{
	char to[NAME_MAX + 2];

	(void)snprintf(to, sizeof(to), "%s%s", name[0] == 'R' ? "" : "R", name[0] == 'R' ? name + 1 : name);
	return renameat(work->dir, name, work->dir, to) == 0;
}

static bool
do_move(struct work *work, const char *name)
{
	return renameat(work->dir, name, work->target, name) == 0;
}

static bool
do_unlink(struct work *work, const char *name)
{
	return unlinkat(work->dir, name, 0) == 0;
}

static const struct operation {
	const char *name;
	bool (*step)(struct work *work, const char *name);
	bool makes; /* its names are new ones */
} operations[] = {
	{"stat", do_stat, false},
	{"read", do_read, false},
	{"create", do_create, true},
	{"durable", do_durable, true},
	{"rename", do_rename, false},
	{"move", do_move, false},
	{"unlink", do_unlink, false},
};

static const struct operation *
find_operation(const char *name)
{
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		if (strcmp(operations[i].name, name) == 0) {
			return &operations[i];
		}
	}
	(void)fprintf(stderr, "workload: there is no operation %s\n", name);
	exit(64);
}

int
main(int argc, char **argv)
{
	static struct work work;
	size_t most = argc > 3 ? (size_t)strtoul(argv[3], NULL, 10) : 0, failed = 0;
	uint64_t begun_ns;

	if (argc < 4 || argc > 5 || most == 0) {
		(void)fprintf(stderr, "usage: workload OP DIR COUNT [DIR2]\n");
		return 64;
	}
	const struct operation *operation = find_operation(argv[1]);

	work.nonce = now_ns(CLOCK_REALTIME);
	work.names = calloc(most, sizeof(*work.names));
	work.dir = open_dir(argv[2]);
	work.target = argc > 4 ? open_dir(argv[4]) : -1;
	if (work.names == NULL) {
		fail("memory");
	}
	if (operation->makes) {
		make_names(&work, most);
	} else {
		find_names(&work, argv[2], most);
		shuffle(&work);
	}
	if (work.count == 0) {
		(void)fprintf(stderr, "workload: %s has no files\n", argv[2]);
		return 1;
	}
	begun_ns = now_ns(CLOCK_MONOTONIC);
	for (size_t i = 0; i < work.count; i++) {
		failed += operation->step(&work, work.names[i]) ? 0 : 1;
	}
	(void)printf("%.1f %zu\n", (double)(now_ns(CLOCK_MONOTONIC) - begun_ns) / (double)work.count, failed);
	return 0;
}
