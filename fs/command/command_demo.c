/* mailfs demo: a sample account over a sample tree of Maildirs in a temporary directory, mounted. All of it is removed when the mount ends. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs/command/command.h"
#include "fs/command/say.h"

#define ACCOUNT    "sample"
#define DAY_S      86400
#define OPEN_FILES 16 /* of nftw */

static const struct {
	const char *mailbox, *letters; /* letters NULL: not seen by any program yet */
	int days_ago;
	const char *from, *subject, *body;
} messages[] = {
	{"INBOX", "S", 9, "Ana Ruiz <ana@example.org>", "Welcome",
		"This is a sample account: a few Maildirs in a temporary directory, mounted by mailfs.\n\n"
		"A directory is a mailbox, a file is a message. Whatever you do here is done there, and the other way "
		"round.\n"},
	{"INBOX", "RS", 8, "Ana Ruiz <ana@example.org>", "Q4 budget",
		"Can you look at the numbers before Thursday?\n\nAna\n"},
	{"INBOX", "FS", 6, "=?UTF-8?Q?J=C3=B6rg_M=C3=BCller?= <joerg@example.net>",
		"=?UTF-8?Q?Gr=C3=B6=C3=9Fe_und_Gewicht?=",
		"Names and subjects are decoded, for file names and for `ls`.\n\nSo grep finds the needle.\n"},
	{"INBOX", NULL, 2, "build@ci.example.org", "main is red",
		"Test 17 of 230 failed: expunge_beats_a_flag_change\n"},
	{"INBOX", NULL, 1, "Ana Ruiz <ana@example.org>", "Re: Q4 budget",
		"Thursday is fine. Thank you!\n\n> budget.pdf\n"},
	{"Archive", "S", 400, "Bea Okafor <bea@example.org>", "Minutes of the last meeting",
		"1. The move is done.\n2. Nobody misses the old system.\n"},
	{"Archive", "S", 380, "list@example.net", "[news] Number 12",
		"A newsletter that somebody kept, with a needle in it.\n"},
	{"Archive/Travel", "S", 200, "tickets@example.com", "Your ticket", "Platform 4, 09:12.\n"},
	{"Work/Drafts", "DS", 3, "Me <me@example.org>", "Not finished yet", "Dear all,\n\n"},
};

struct demo {
	char top[256]; /* the temporary directory */
	const char *directory;
};

static bool
fail(const char *path, struct error *err)
{
	return error_errno(err, errno, "demo: %s", path);
}

/* Makes a path below the temporary directory with all its levels. */
static bool
make_directories(const struct demo *demo, const char *path, struct error *err)
{
	char level[512];

	(void)snprintf(level, sizeof(level), "%s/%s", demo->top, path);
	for (char *slash = strchr(level + strlen(demo->top) + 1, '/');; slash = strchr(slash + 1, '/')) {
		if (slash != NULL) {
			*slash = '\0';
		}
		if (mkdir(level, 0700) != 0 && errno != EEXIST) {
			return fail(level, err);
		}
		if (slash == NULL) {
			return true;
		}
		*slash = '/';
	}
}

static bool
write_file(const struct demo *demo, const char *path, const char *text, time_t mtime, struct error *err)
{
	const struct timespec times[2] = {{.tv_sec = mtime}, {.tv_sec = mtime}};
	char whole[512];
	size_t length = strlen(text);
	int fd;

	(void)snprintf(whole, sizeof(whole), "%s/%s", demo->top, path);
	fd = open(whole, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		return fail(whole, err);
	}
	bool ok = write(fd, text, length) == (ssize_t)length && (mtime == 0 || futimens(fd, times) == 0);
	bool closed = close(fd) == 0;

	return (ok && closed) || fail(whole, err);
}

static bool
write_message(const struct demo *demo, size_t which, time_t now, struct error *err)
{
	char path[200], text[2000], date[64];
	time_t then = now - (time_t)messages[which].days_ago * DAY_S;
	const char *mailbox = messages[which].mailbox, *letters = messages[which].letters;
	struct tm when;

	for (size_t i = 0; i < 3; i++) {
		static const char *const parts[] = {"cur", "new", "tmp"};

		(void)snprintf(path, sizeof(path), "Mail/%s/%s", mailbox, parts[i]);
		if (!make_directories(demo, path, err)) {
			return false;
		}
	}
	(void)gmtime_r(&then, &when);
	(void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &when);
	(void)snprintf(text, sizeof(text),
		"From: %s\nTo: Me <me@example.org>\nSubject: %s\nDate: %s\nMessage-ID: <demo-%zu@example.org>\n"
		"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n%s",
		messages[which].from, messages[which].subject, date, which, messages[which].body);
	(void)snprintf(path, sizeof(path), "Mail/%s/%s/%lld.Q%zu.demo%s%s", mailbox, letters != NULL ? "cur" : "new",
		(long long)then, which, letters != NULL ? ":2," : "", letters != NULL ? letters : "");
	return write_file(demo, path, text, then, err);
}

static bool
write_all(const struct demo *demo, struct error *err)
{
	char text[1024];
	time_t now = time(NULL);

	(void)snprintf(text, sizeof(text),
		"[account " ACCOUNT "]\naddress = me@example.org\nserver = maildir:%s/Mail\nstore = %s/store\n",
		demo->top, demo->top);
	if (!write_file(demo, "config", text, 0, err)) {
		return false;
	}
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		if (!write_message(demo, i, now, err)) {
			return false;
		}
	}
	return true;
}

static bool
make_top(struct demo *demo, struct error *err)
{
	const char *tmp = getenv("TMPDIR");
	int length = snprintf(
		demo->top, sizeof(demo->top), "%s/mailfs-demo.XXXXXX", tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");

	if (length < 0 || (size_t)length >= sizeof(demo->top)) {
		demo->top[0] = '\0';
		return error_set(err, ERROR_INVALID, "demo: TMPDIR is too long");
	}
	if (mkdtemp(demo->top) == NULL) {
		bool ok = fail(demo->top, err);

		demo->top[0] = '\0';
		return ok;
	}
	return true;
}

static int
remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	return remove(path) != 0 && errno != ENOENT;
}

/* Removes what was made, in the process that made it or served it; the other finds nothing any more. */
static void
remove_all(const struct demo *demo)
{
	if (demo->top[0] != '\0') {
		(void)nftw(demo->top, remove_one, OPEN_FILES, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	}
}

static void
tell(const struct demo *demo, const struct options *options)
{
	if (!options->quiet) {
		printf("%s shows the Maildirs in %s/Mail\n", demo->directory, demo->top);
		printf("    mailfs --config %s/config status\n", demo->top);
		printf("    mailfs unmount %s    ends it, and removes them\n", demo->directory);
		(void)fflush(stdout);
	}
}

enum exit_status
command_demo(const struct options *options)
{
	struct demo demo = {.directory = options->arguments.items[0]};
	const char *words[] = {ACCOUNT, demo.directory};
	struct options mount = *options;
	struct error err = ERROR_INIT;
	char config[300];
	pid_t first = getpid();

	if (!make_top(&demo, &err) || !write_all(&demo, &err)) {
		remove_all(&demo);
		return say_error(NULL, &err);
	}
	(void)snprintf(config, sizeof(config), "%s/config", demo.top);
	mount.command = COMMAND_MOUNT;
	mount.config_path = config;
	mount.arguments = (struct options_words){.items = words, .count = 2, .capacity = 2};

	enum exit_status status = command_mount(&mount);

	/* Two come here: this one once the mount can be used, and the one that served it when it has ended. */
	if (getpid() == first && status == EXIT_DONE) {
		tell(&demo, options);
	} else {
		remove_all(&demo);
	}
	return status;
}
