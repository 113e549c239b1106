#include "fs/options_mount.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/command/nearest.h"

enum meaning {
	IGNORED, /* for mount(8), systemd and fstab, or without sense for mail */
	FUSE,    /* passed to libfuse as it is */
	READ_ONLY,
	READ_WRITE,
	NOSYNC,
	XATTRS,
	ALLOW_OTHER,
	NOFAIL,
	VIEW,
	SETUID,
	UID,
	GID,
	UMASK,
	CONFIG,
};

static const struct word {
	const char *name;
	enum meaning meaning;
	enum { NO_VALUE, A_VALUE, MAYBE_VALUE } value;
} known[] = {
	{"ro", READ_ONLY, NO_VALUE},
	{"rw", READ_WRITE, NO_VALUE},
	{"view", VIEW, A_VALUE},
	{"nosync", NOSYNC, NO_VALUE},
	{"xattrs", XATTRS, NO_VALUE},
	{"setuid", SETUID, A_VALUE},
	{"allow_other", ALLOW_OTHER, NO_VALUE},
	{"uid", UID, A_VALUE},
	{"gid", GID, A_VALUE},
	{"umask", UMASK, A_VALUE},
	{"config", CONFIG, A_VALUE},
	{"nofail", NOFAIL, NO_VALUE},

	{"default_permissions", FUSE, NO_VALUE},
	{"max_read", FUSE, A_VALUE},
	{"context", FUSE, A_VALUE},
	{"fscontext", FUSE, A_VALUE},
	{"defcontext", FUSE, A_VALUE},
	{"rootcontext", FUSE, A_VALUE},
	{"noexec", FUSE, NO_VALUE},
	{"nosuid", FUSE, NO_VALUE},
	{"nodev", FUSE, NO_VALUE},
	{"noatime", FUSE, NO_VALUE},
	{"atime", FUSE, NO_VALUE},
	{"sync", FUSE, NO_VALUE},
	{"async", FUSE, NO_VALUE},
	{"dirsync", FUSE, NO_VALUE},

	{"exec", IGNORED, NO_VALUE},
	{"suid", IGNORED,
		NO_VALUE}, /* mount.fuse3 adds these two, which nobody but root may have; mail needs neither */
	{"dev", IGNORED, NO_VALUE},
	{"defaults", IGNORED, NO_VALUE},
	{"auto", IGNORED, NO_VALUE},
	{"noauto", IGNORED, NO_VALUE},
	{"user", IGNORED, MAYBE_VALUE},
	{"nouser", IGNORED, NO_VALUE},
	{"users", IGNORED, NO_VALUE},
	{"owner", IGNORED, NO_VALUE},
	{"group", IGNORED, NO_VALUE},
	{"_netdev", IGNORED, NO_VALUE},
	{"comment", IGNORED, A_VALUE},
	{"subtype", IGNORED, A_VALUE},
	{"fsname", IGNORED, A_VALUE},        /* the source names the account: mailfs wait and unmount read it */
	{"auto_unmount", IGNORED, NO_VALUE}, /* a dead mount is taken away by the next one */
	{"relatime", IGNORED, NO_VALUE},
	{"norelatime", IGNORED, NO_VALUE},
	{"strictatime", IGNORED, NO_VALUE},
	{"nostrictatime", IGNORED, NO_VALUE},
	{"lazytime", IGNORED, NO_VALUE},
	{"nolazytime", IGNORED, NO_VALUE},
	{"nodiratime", IGNORED, NO_VALUE},
	{"diratime", IGNORED, NO_VALUE},
	{"silent", IGNORED, NO_VALUE},
	{"loud", IGNORED, NO_VALUE},
};

static bool
unknown(const char *word, struct error *err)
{
	const char *names[ARRAY_LENGTH(known)];
	char name[NEAREST_LENGTH_MAX];

	for (size_t i = 0; i < ARRAY_LENGTH(known); i++) {
		names[i] = known[i].name;
	}
	snprintf(name, sizeof(name), "%s", word);
	name[strcspn(name, "=")] = '\0';

	const char *nearest = nearest_name(name, names, ARRAY_LENGTH(names));

	if (nearest != NULL) {
		return error_set(err, ERROR_INVALID, "there is no option '-o %s', did you mean '%s'?", name, nearest);
	}
	return error_set(err, ERROR_INVALID,
		"there is no option '-o %s': it wants an option of mount (`mailfs help mount`), or ACCOUNT.KEY=VALUE",
		name);
}

static bool
read_id(const char *option, const char *value, uint32_t *out, struct error *err)
{
	/* -1 means "no change" to chown and setuid, so it is no id. */
	if (!slice_to_u32(slice_of(value), out) || *out == UINT32_MAX) {
		return error_set(err, ERROR_INVALID, "'-o %s=%s': it wants a number", option, value);
	}
	return true;
}

/* A name or a number. */
static bool
read_uid(const char *value, uid_t *out, struct error *err)
{
	const struct passwd *entry = getpwnam(value);

	if (entry != NULL) {
		*out = entry->pw_uid;
		return true;
	}
	return read_id("uid", value, out, err);
}

static bool
read_gid(const char *value, gid_t *out, struct error *err)
{
	const struct group *entry = getgrnam(value);

	if (entry != NULL) {
		*out = entry->gr_gid;
		return true;
	}
	return read_id("gid", value, out, err);
}

static bool
read_umask(const char *value, mode_t *out, struct error *err)
{
	char *end;
	unsigned long mask = strtoul(value, &end, 8);

	if (value[0] < '0' || value[0] > '7' || *end != '\0' || mask > 0777) {
		return error_set(err, ERROR_INVALID, "'-o umask=%s': it wants three octal digits, such as 077", value);
	}
	*out = (mode_t)mask;
	return true;
}

static bool
read_view(const char *value, bool *out_maildir, struct error *err)
{
	*out_maildir = strcmp(value, "maildir") == 0;
	return *out_maildir || strcmp(value, "mail") == 0 ||
	       error_set(err, ERROR_INVALID, "'-o view=%s': the views are mail and maildir", value);
}

static bool
take_meaning(struct options *options, enum meaning meaning, const char *word, const char *value, struct error *err)
{
	struct options_mount *mount = &options->mount;

	switch (meaning) {
	case IGNORED:
		return true;
	case FUSE:
		options_words_add(options, &mount->fuse, word);
		return true;
	case READ_ONLY:
	case READ_WRITE:
		mount->read_only = meaning == READ_ONLY;
		return true;
	case NOSYNC:
		mount->nosync = true;
		return true;
	case XATTRS:
		mount->xattrs = true;
		return true;
	case ALLOW_OTHER:
		mount->allow_other = true;
		return true;
	case NOFAIL:
		mount->nofail = true;
		return true;
	case VIEW:
		return read_view(value, &mount->maildir, err);
	case SETUID:
		mount->setuid_user = value;
		return true;
	case UID:
		mount->has_uid = true;
		return read_uid(value, &mount->uid, err);
	case GID:
		mount->has_gid = true;
		return read_gid(value, &mount->gid, err);
	case UMASK:
		mount->has_umask = true;
		return read_umask(value, &mount->umask, err);
	case CONFIG:
		options->config_path = value;
		return true;
	}
	return false;
}

/* One word of the list. Words that are for systemd alone (x-systemd.device-timeout=5) have a dot, too, so they are told first. */
static bool
take_word(struct options *options, const char *word, struct error *err)
{
	size_t name_length = strcspn(word, "=");
	const char *value = word[name_length] == '=' ? &word[name_length + 1] : NULL;

	if (word[0] == '\0' || strncmp(word, "x-", 2) == 0 || strncmp(word, "X-", 2) == 0) {
		return true;
	}
	if (value != NULL && memchr(word, '.', name_length) != NULL) {
		options_words_add(options, &options->overrides, word);
		return true;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(known); i++) {
		if (strlen(known[i].name) != name_length || memcmp(known[i].name, word, name_length) != 0) {
			continue;
		}
		if (known[i].value == A_VALUE && (value == NULL || *value == '\0')) {
			return error_set(err, ERROR_INVALID, "'-o %s': it wants a value: -o %s=...", known[i].name,
				known[i].name);
		}
		if (known[i].value == NO_VALUE && value != NULL) {
			return error_set(err, ERROR_INVALID, "'-o %s': it takes no value", word);
		}
		if (known[i].meaning != CONFIG && options->mount_word == NULL) {
			options->mount_word = word;
		}
		return take_meaning(options, known[i].meaning, word, value, err);
	}
	return unknown(word, err);
}

bool
options_mount_take(struct options *options, const char *list, struct error *err)
{
	const char *at = list;

	do {
		char *word = arena_alloc(&options->arena, strlen(at) + 1);
		size_t length = 0;

		for (; *at != '\0' && *at != ','; at++) {
			if (at[0] == '\\' && (at[1] == ',' || at[1] == '\\')) {
				at++;
			}
			word[length++] = *at;
		}
		if (!take_word(options, word, err)) {
			return false;
		}
	} while (*at++ == ',');
	return true;
}
