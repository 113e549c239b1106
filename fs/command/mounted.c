#include "fs/command/mounted.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/buf.h"

#define FIELDS_MAX 64

/* mountinfo writes blanks and the like as \040: turns them back in place. */
static void
unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; from++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' &&
			from[3] >= '0' && from[3] <= '7') {
			*to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
			from += 3;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
}

/* Cuts a line of mountinfo: mount point, type and source. */
static bool
cut_line(char *line, char **out_directory, char **out_type, char **out_source)
{
	char *fields[FIELDS_MAX];
	size_t count = 0, dash = 0;
	char *rest = line;

	for (char *field; count < FIELDS_MAX && (field = strsep(&rest, " \n")) != NULL; count++) {
		fields[count] = field;
		if (dash == 0 && count >= 6 && strcmp(field, "-") == 0) {
			dash = count;
		}
	}
	if (dash == 0 || dash + 2 >= count) {
		return false;
	}
	*out_directory = fields[4];
	*out_type = fields[dash + 1];
	*out_source = fields[dash + 2];
	unescape(*out_directory);
	unescape(*out_source);
	return true;
}

/* Tells whether an absolute path is a directory or lies below it. */
static bool
lies_in(const char *path, const char *directory)
{
	size_t length = strcmp(directory, "/") == 0 ? 0 : strlen(directory);

	return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static void
take(struct mounted *out, const char *path, const char *directory, const char *source)
{
	size_t length = strcmp(directory, "/") == 0 ? 0 : strlen(directory);
	const char *inside = path + length;

	mounted_finish(out);
	out->directory = slice_dup(slice_of(directory));
	out->source = slice_dup(slice_of(source));
	out->inside = slice_dup(slice_of(*inside == '/' ? inside + 1 : inside));
}

/* The mount that shows at an absolute path is the deepest in whose directory it lies; of several in one place, the last. */
static bool
search(const char *path, struct mounted *out, struct error *err)
{
	SCOPED(mounted_finish) struct mounted best = {0};
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, *directory, *type, *source;
	size_t size = 0, depth = 0;
	bool ours = false;

	if (file == NULL) {
		return error_errno(err, errno, "the kernel's list of mounts cannot be read (/proc/self/mountinfo)");
	}
	while (getline(&line, &size, file) > 0) {
		if (cut_line(line, &directory, &type, &source) && lies_in(path, directory) &&
			strlen(directory) >= depth) {
			depth = strlen(directory);
			ours = strcmp(type, MOUNTED_TYPE) == 0;
			take(&best, path, directory, source);
		}
	}
	free(line);
	(void)fclose(file);
	if (!ours) {
		return error_set(err, ERROR_INVALID,
			"%s lies in no mount of mailfs: `findmnt -t fuse.mailfs` lists those", path);
	}
	*out = best;
	best = (struct mounted){0};
	return true;
}

bool
mounted_find(const char *path, struct mounted *out, struct error *err)
{
	char *absolute = realpath(path, NULL);
	bool ok;

	if (absolute == NULL && errno == ENOTCONN) {
		return error_set(err, ERROR_GONE,
			"%s: the process behind this mount has ended: `mailfs unmount` it, and mount it again", path);
	}
	if (absolute == NULL) {
		return error_errno(err, errno, "%s", path);
	}
	ok = search(absolute, out, err);
	free(absolute);
	return ok;
}

char *
mounted_absolute(const char *directory)
{
	SCOPED(buf_finish) struct buf copy = BUF_INIT;
	SCOPED(buf_finish) struct buf out = BUF_INIT;
	char *slash, *parent;
	const char *name;

	buf_append_text(&copy, directory);
	while (copy.length > 1 && copy.data[copy.length - 1] == '/') {
		buf_truncate(&copy, copy.length - 1);
	}
	slash = strrchr(copy.data, '/');
	name = slash != NULL ? slash + 1 : copy.data;
	if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		return realpath(directory, NULL);
	}
	if (slash == copy.data) {
		return buf_take(&copy);
	}
	if (slash != NULL) {
		*slash = '\0';
	}
	parent = realpath(slash != NULL ? copy.data : ".", NULL);
	if (parent == NULL) {
		return NULL;
	}
	buf_printf(&out, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, name);
	free(parent);
	return buf_take(&out);
}

bool
mounted_at(const char *directory, struct mounted *out, struct error *err)
{
	SCOPED(mounted_finish) struct mounted found = {0};
	char *absolute = mounted_absolute(directory);
	bool ok;

	if (absolute == NULL) {
		return error_errno(err, errno, "%s", directory);
	}
	ok = search(absolute, &found, err);
	if (!ok || found.inside[0] != '\0') { /* perhaps a link to it */
		char *target = realpath(directory, NULL);

		mounted_finish(&found);
		ok = target != NULL && search(target, &found, err) && found.inside[0] == '\0';
		free(target);
	}
	free(absolute);
	if (!ok) {
		return error_set(err, ERROR_INVALID,
			"%s is no mount of mailfs: `findmnt -t " MOUNTED_TYPE "` lists those", directory);
	}
	*out = found;
	found = (struct mounted){0};
	return true;
}

void
mounted_finish(struct mounted *mounted)
{
	free(mounted->directory);
	free(mounted->source);
	free(mounted->inside);
	*mounted = (struct mounted){0};
}
