#include "fs/command/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/slice.h"

bool
privileges_find(const char *name, struct privileges_user *out, struct error *err)
{
	const struct passwd *entry;

	errno = 0;
	entry = getpwnam(name);
	if (entry == NULL) {
		return error_set(err, ERROR_CONFIG, "setuid=%s: there is no user of that name", name);
	}
	if (geteuid() != 0 && entry->pw_uid != geteuid()) {
		return error_set(err, ERROR_REFUSED, "setuid=%s: only root can become another user", name);
	}
	*out = (struct privileges_user){
		.name = slice_dup(slice_of(entry->pw_name)),
		.home = slice_dup(slice_of(entry->pw_dir)),
		.uid = entry->pw_uid,
		.gid = entry->pw_gid,
	};
	return true;
}

/* What root's environment says of directories is root's. */
static void
reset_environment(const struct privileges_user *user)
{
	static const char *const roots[] = {"XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME",
		"XDG_RUNTIME_DIR", "MAILFS_CONFIG", "MAIL", "DBUS_SESSION_BUS_ADDRESS", "GNUPGHOME", "SSH_AUTH_SOCK",
		"PASSWORD_STORE_DIR"};
	char runtime[64];
	struct stat status;

	for (size_t i = 0; i < ARRAY_LENGTH(roots); i++) {
		(void)unsetenv(roots[i]);
	}
	(void)setenv("HOME", user->home, 1);
	(void)setenv("USER", user->name, 1);
	(void)setenv("LOGNAME", user->name, 1);
	/* Where the user's agents listen, for password-command. */
	(void)snprintf(runtime, sizeof(runtime), "/run/user/%lu", (unsigned long)user->uid);
	if (stat(runtime, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == user->uid) {
		(void)setenv("XDG_RUNTIME_DIR", runtime, 1);
	}
}

static bool
failed(const struct privileges_user *user, struct error *err)
{
	return error_errno(err, errno, "setuid=%s: changing to that user", user->name);
}

bool
privileges_become(const struct privileges_user *user, struct error *err)
{
	if (geteuid() != 0) {
		return true;
	}
	if (initgroups(user->name, user->gid) != 0 || setresgid(user->gid, user->gid, user->gid) != 0 ||
		setresuid(user->uid, user->uid, user->uid) != 0) {
		return failed(user, err);
	}
	if (user->uid != 0 && (setuid(0) == 0 || geteuid() != user->uid || getegid() != user->gid)) {
		return error_set(err, ERROR_FATAL, "setuid=%s: root's rights were not given up", user->name);
	}
	reset_environment(user);
	return true;
}

void
privileges_user_finish(struct privileges_user *user)
{
	free(user->name);
	free(user->home);
	*user = (struct privileges_user){0};
}
