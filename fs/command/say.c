#include "fs/command/say.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void
begin_line(const char *account)
{
	(void)fflush(stdout);
	(void)fputs("mailfs: ", stderr);
	if (account != NULL) {
		(void)fprintf(stderr, "%s: ", account);
	}
}

/* A sentence from below may begin with the account's name already. */
static bool
names_account(const char *account, const char *text)
{
	size_t length = account != NULL ? strlen(account) : 0;

	return length > 0 && strncmp(text, account, length) == 0 && text[length] == ':';
}

enum exit_status
say_error(const char *account, const struct error *err)
{
	begin_line(names_account(account, err->text) ? NULL : account);
	(void)fprintf(stderr, "%s\n", err->text);
	return exit_status_of(err->kind);
}

void
say_note(const char *account, const char *format, ...)
{
	va_list arguments;

	begin_line(account);
	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fputc('\n', stderr);
}

void
say_lines(const char *account, struct slice text)
{
	while (text.length > 0) {
		struct slice line = slice_head(text, slice_find(text, '\n'));

		if (line.length > 0) {
			begin_line(account);
			(void)fwrite(line.data, 1, line.length, stderr);
			(void)fputc('\n', stderr);
		}
		text = slice_skip(text, line.length < text.length ? line.length + 1 : line.length);
	}
}

void
say_text(struct slice text)
{
	if (text.length == 0) {
		return;
	}
	(void)fwrite(text.data, 1, text.length, stdout);
	if (text.data[text.length - 1] != '\n') {
		(void)putchar('\n');
	}
}

bool
say_finish(void)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout)) {
		return true;
	}
	if (errno != EPIPE) { /* whoever stopped reading knows */
		struct error err;

		error_errno(&err, errno != 0 ? errno : EIO, "the output could not be written");
		(void)say_error(NULL, &err);
	}
	return false;
}
