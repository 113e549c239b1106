/* Preloaded into a program: ends it by SIGKILL instead of its n-th effect on the disk or the server.
 *
 * MAILFS_STOP_AT is n. An answer that was read counts as an effect, so that the program also ends when the server has done what it does not know of
 * yet. What the effect was is written to MAILFS_STOP_FILE: a test that finds nothing there met no effect. What the program starts is
 * left alone.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static _Atomic long count;
static long stop_at;
static pid_t whom;

__attribute__((constructor)) static void
begin(void)
{
	const char *at = getenv("MAILFS_STOP_AT");

	stop_at = at != NULL ? strtol(at, NULL, 10) : 0;
	whom = getpid();
	(void)unsetenv("LD_PRELOAD");
}

static void
effect(const char *name)
{
	const char *path = getenv("MAILFS_STOP_FILE");
	int fd;

	if (stop_at == 0 || getpid() != whom || ++count != stop_at) {
		return;
	}
	fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	if (fd >= 0) {
		(void)!write(fd, name, strlen(name));
		(void)close(fd);
	}
	(void)kill(whom, SIGKILL);
	for (;;) {
		(void)pause();
	}
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int
fsync(int fd)
{
	effect("fsync");
	return NEXT(fsync)(fd);
}

int
fdatasync(int fd)
{
	effect("fsync");
	return NEXT(fdatasync)(fd);
}

int
renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	effect("rename");
	return NEXT(renameat2)(from_dir, from, to_dir, to, flags);
}

int
unlinkat(int dir, const char *path, int flags)
{
	effect("unlink");
	return NEXT(unlinkat)(dir, path, flags);
}

int
mkdirat(int dir, const char *path, mode_t mode)
{
	effect("mkdir");
	return NEXT(mkdirat)(dir, path, mode);
}

int
ftruncate64(int fd, off64_t length)
{
	effect("truncate");
	return NEXT(ftruncate64)(fd, length);
}

ssize_t
pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
	effect("write");
	return NEXT(pwrite64)(fd, data, size, offset);
}

ssize_t
send(int fd, const void *data, size_t size, int flags)
{
	effect("send");
	return NEXT(send)(fd, data, size, flags);
}

ssize_t
recv(int fd, void *data, size_t size, int flags)
{
	ssize_t got = NEXT(recv)(fd, data, size, flags);

	if (got > 0) {
		effect("answer");
	}
	return got;
}
