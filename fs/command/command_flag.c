/* mailfs flag: shows and sets flags and keywords, through the extended attributes of a mount (design 5). */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "engine/base/buf.h"
#include "engine/mail/flags.h"
#include "fs/command/command.h"
#include "fs/command/mounted.h"
#include "fs/command/say.h"

#define FLAGS_ATTRIBUTE    "user.mail.flags"
#define KEYWORDS_ATTRIBUTE "user.mail.keywords"
#define STATE_ATTRIBUTE    "user.mailfs.state"
/* Longer than the kernel lets a value be. */
#define VALUE_MAX (64 * 1024)

/* What the command line asks for, as the values of the two attributes: "+seen -flagged", "+Junk". */
struct changes {
	struct buf flags, keywords;
};

static void
changes_finish(struct changes *changes)
{
	buf_finish(&changes->flags);
	buf_finish(&changes->keywords);
}

/* A system flag may be written as IMAP does, \Seen. What is none is a keyword; one that looks like a slip of the fingers is told. */
static bool
read_changes(const struct options *options, struct changes *out, struct error *err)
{
	for (size_t i = 0; i < options->changes.count; i++) {
		const char *word = options->changes.items[i];
		char sign = word[0];
		char name[FLAGS_KEYWORD_MAX + 1];
		struct buf *to;

		if (word[1] == '\0' || strlen(word + 1) > FLAGS_KEYWORD_MAX || strpbrk(word, " \t\n") != NULL) {
			return error_set(
				err, ERROR_INVALID, "flag: '%s' names no flag: write +seen, -flagged, +KEYWORD", word);
		}
		(void)snprintf(name, sizeof(name), "%s", word + 1 + (word[1] == '\\' ? 1 : 0));
		for (char *c = name; *c != '\0'; c++) {
			*c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
		}
		if (flags_bit_of(slice_of(name)) != 0) {
			to = &out->flags;
		} else if (word[1] == '\\') {
			return error_set(err, ERROR_INVALID,
				"flag: '%s' is no flag of a message: seen flagged answered draft deleted", word);
		} else {
			to = &out->keywords;
			(void)snprintf(name, sizeof(name), "%s", word + 1);
		}
		buf_printf(to, "%s%c%s", to->length > 0 ? " " : "", sign, name);
	}
	return true;
}

/* Reads an attribute that a message of ours has; an empty one is none. */
static bool
read_attribute(const char *path, const char *name, struct buf *out, struct error *err)
{
	ssize_t got;

	buf_clear(out);
	buf_reserve(out, VALUE_MAX);
	got = getxattr(path, name, out->data, VALUE_MAX);
	if (got < 0 && errno != ENODATA) {
		return error_errno(err, errno, "%s: reading its flags", path);
	}
	out->length = got > 0 ? (size_t)got : 0;
	out->data[out->length] = '\0';
	return true;
}

static bool
write_attribute(const char *path, const char *name, const struct buf *value, struct error *err)
{
	if (value->length == 0 || setxattr(path, name, value->data, value->length, 0) == 0) {
		return true;
	}
	if (errno == EROFS) {
		return error_set(err, ERROR_REFUSED, "%s: its flags cannot be changed: the mount is read-only", path);
	}
	if (errno == EINVAL) {
		return error_set(err, ERROR_INVALID,
			"%s: '%s' cannot be set: a keyword is one word without ( ) { %% * \" \\ ]", path, value->data);
	}
	return error_errno(err, errno, "%s: changing its flags", path);
}

/* Tells whether a path is a message, local files being none. */
static bool
is_message(const char *path, struct error *err)
{
	SCOPED(buf_finish) struct buf state = BUF_INIT;

	if (!read_attribute(path, STATE_ATTRIBUTE, &state, err)) {
		return false;
	}
	if (state.length == 0 || strcmp(state.data, "local") == 0) {
		return error_set(err, ERROR_INVALID, "%s is no message: it is a local file, which has no flags", path);
	}
	return true;
}

/* "seen flagged Junk<TAB>PATH", "-" for a message without any. */
static bool
show(const char *path, struct error *err)
{
	SCOPED(buf_finish) struct buf flags = BUF_INIT, keywords = BUF_INIT;

	if (!read_attribute(path, FLAGS_ATTRIBUTE, &flags, err) ||
		!read_attribute(path, KEYWORDS_ATTRIBUTE, &keywords, err)) {
		return false;
	}
	if (flags.length == 0 && keywords.length == 0) {
		buf_append_octet(&flags, '-');
	}
	printf("%s%s%s\t%s\n", flags.data != NULL ? flags.data : "", flags.length > 0 && keywords.length > 0 ? " " : "",
		keywords.data != NULL ? keywords.data : "", path);
	return true;
}

static bool
flag_message(const char *path, const struct changes *changes, struct error *err)
{
	if (!is_message(path, err)) {
		return false;
	}
	if (changes->flags.length == 0 && changes->keywords.length == 0) {
		return show(path, err);
	}
	return write_attribute(path, FLAGS_ATTRIBUTE, &changes->flags, err) &&
	       write_attribute(path, KEYWORDS_ATTRIBUTE, &changes->keywords, err);
}

/* Each message of a mailbox, but not of the mailboxes below it; local files are passed over. */
static enum exit_status
flag_mailbox(const char *path, const struct changes *changes)
{
	DIR *directory = opendir(path);
	enum exit_status status = EXIT_DONE;
	struct error err = ERROR_INIT;
	size_t length = strlen(path);

	if (directory == NULL) {
		error_errno(&err, errno, "%s", path);
		return say_error(NULL, &err);
	}
	for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		SCOPED(buf_finish) struct buf child = BUF_INIT;

		if (entry->d_type != DT_REG || entry->d_name[0] == '.') {
			continue;
		}
		buf_printf(&child, "%s%s%s", path, length > 0 && path[length - 1] == '/' ? "" : "/", entry->d_name);
		if (is_message(child.data, &err) && !flag_message(child.data, changes, &err)) {
			status = exit_status_worse(status, say_error(NULL, &err));
		}
	}
	(void)closedir(directory);
	return status;
}

static enum exit_status
flag_path(const char *path, const struct changes *changes)
{
	SCOPED(mounted_finish) struct mounted mounted = {0};
	struct error err = ERROR_INIT;
	struct stat stat_of;

	/* Elsewhere setxattr would leave an attribute on whatever file it is. */
	if (!mounted_find(path, &mounted, &err)) {
		return say_error(NULL, &err);
	}
	if (stat(path, &stat_of) != 0) {
		error_errno(&err, errno, "%s", path);
		return say_error(NULL, &err);
	}
	if (S_ISDIR(stat_of.st_mode)) {
		return flag_mailbox(path, changes);
	}
	return flag_message(path, changes, &err) ? EXIT_DONE : say_error(NULL, &err);
}

enum exit_status
command_flag(const struct options *options)
{
	SCOPED(changes_finish) struct changes changes = {0};
	struct error err = ERROR_INIT;
	enum exit_status status = EXIT_DONE;

	if (!read_changes(options, &changes, &err)) {
		return say_error(NULL, &err);
	}
	for (size_t i = 0; i < options->arguments.count; i++) {
		status = exit_status_worse(status, flag_path(options->arguments.items[i], &changes));
	}
	return status;
}
