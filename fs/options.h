/* The command line, read once: which command, its arguments, and its options (design 3).
 *
 * Global options stand before or after the command. `mailfs ACCOUNT DIR [-o OPTIONS]`, the form of mount(8), is COMMAND_MOUNT. `-o` takes a
 * list separated by commas, `\,` being a comma and `\\` a backslash: `ACCOUNT.KEY=VALUE` sets a key of the configuration with any
 * command, all other words are options of a mount. Nothing here touches files.
 */
#ifndef FS_OPTIONS_H
#define FS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/base/arena.h"
#include "engine/base/error.h"

enum command {
	COMMAND_MOUNT,
	COMMAND_UNMOUNT,
	COMMAND_SYNC,
	COMMAND_DAEMON,
	COMMAND_STATUS,
	COMMAND_WAIT,
	COMMAND_HELD,
	COMMAND_CONFIRM,
	COMMAND_REVERT,
	COMMAND_FLAG,
	COMMAND_CHECK,
	COMMAND_INIT,
	COMMAND_DEMO,
	COMMAND_HELP,
	COMMAND_VERSION,
	COMMAND_COUNT,
};

/* Words of the command line, in order. */
struct options_words {
	const char **items;
	size_t count, capacity;
};

/* `-o` of mount. */
struct options_mount {
	bool read_only;
	bool nosync;  /* no engine of its own keeps the accounts in step */
	bool maildir; /* the Maildir view is the root */
	bool xattrs;  /* LISTXATTR lists the two writable attributes */
	bool allow_other;
	bool nofail;             /* an empty tree, and success, where nothing can be reached */
	const char *setuid_user; /* or NULL */
	bool has_uid, has_gid, has_umask;
	uid_t uid;
	gid_t gid;
	mode_t umask;
	struct options_words fuse; /* for libfuse: "noatime", "max_read=65536" */
};

struct options {
	enum command command;
	struct options_words arguments;
	const char *config_path;        /* or NULL */
	struct options_words overrides; /* "ACCOUNT.KEY=VALUE" */
	bool quiet;
	unsigned verbose;

	struct options_mount mount;
	const char *mount_word;  /* the first word of -o that only a mount takes, or NULL */
	bool implied;            /* mount: by `mailfs ACCOUNT DIR`, without its name */
	bool foreground;         /* mount */
	bool full, dry_run;      /* sync */
	int direction;           /* sync: -1 as configured, else enum config_direction */
	int64_t lock_timeout_ms; /* sync */
	bool json;
	bool uploaded, downloaded;                    /* wait */
	int64_t timeout_ms;                           /* wait: -1 for ever */
	struct options_words changes;                 /* flag: "+seen", "-flagged" */
	bool offline;                                 /* check */
	const char *server, *user, *password_command; /* init: or NULL */

	struct arena arena; /* holds what was taken apart */
};

/* Reads a command line into `out`; ERROR_INVALID with a sentence that names the word and, where there is one, the nearest that would do.
 * What is in argv must live as long as `out`. `options_finish` in any case. */
bool options_parse(int argc, char *const *argv, struct options *out, struct error *err) MUST_CHECK;
void options_finish(struct options *options);
/* Adds a word to one of the lists of `options`. */
void options_words_add(struct options *options, struct options_words *words, const char *word);

/* A command's name, and its arguments and options on one line. */
const char *options_command_name(enum command command);
const char *options_command_usage(enum command command);
/* Finds a command by its name; COMMAND_COUNT when there is none. */
enum command options_command_of(const char *name);
/* The command that a mistyped word was probably meant to be, or NULL. */
const char *options_nearest_command(const char *word);

#endif
