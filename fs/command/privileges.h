/* Becoming another user for good: setuid=USER of a mount that root makes (design 3). */
#ifndef COMMAND_PRIVILEGES_H
#define COMMAND_PRIVILEGES_H

#include <sys/types.h>

#include "engine/base/error.h"

struct privileges_user {
	char *name, *home;
	uid_t uid;
	gid_t gid;
};

/* Finds a user by name. ERROR_CONFIG where there is none; ERROR_REFUSED for another user than we are, unless we are root. */
bool privileges_find(const char *name, struct privileges_user *out, struct error *err) MUST_CHECK;
/* Gives up root for ever. The environment is the user's from now on: home, and no directories of root's. Nothing happens where we are not root. */
bool privileges_become(const struct privileges_user *user, struct error *err) MUST_CHECK;
void privileges_user_finish(struct privileges_user *user);

#endif
