#include "engine/base/error.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_names[] = {
	[ERROR_NONE] = "none",
	[ERROR_RETRY] = "retry",
	[ERROR_UNREACHABLE] = "unreachable",
	[ERROR_THROTTLED] = "throttled",
	[ERROR_CREDENTIALS] = "credentials",
	[ERROR_TRUST] = "trust",
	[ERROR_CONFIG] = "config",
	[ERROR_ITEM] = "item",
	[ERROR_GONE] = "gone",
	[ERROR_EXISTS] = "exists",
	[ERROR_REFUSED] = "refused",
	[ERROR_INVALID] = "invalid",
	[ERROR_SPACE] = "space",
	[ERROR_DAMAGED] = "damaged",
	[ERROR_CANCELLED] = "cancelled",
	[ERROR_SYSTEM] = "system",
	[ERROR_FATAL] = "fatal",
};
_Static_assert(ARRAY_LENGTH(kind_names) == ERROR_KIND_COUNT, "every kind has a name");

/* A sentence goes to terminals and logs, and much of it comes from servers: no control characters (C0, DEL, C1), and where it was cut,
 * no half of a character. */
static void
make_safe(char *text)
{
	size_t length = strlen(text), start = length;

	for (size_t i = 0; i < length; i++) {
		unsigned char octet = (unsigned char)text[i];

		if (octet < 0x20 || octet == 0x7f) {
			text[i] = ' ';
		} else if (octet == 0xc2 && (unsigned char)text[i + 1] >= 0x80 && (unsigned char)text[i + 1] < 0xa0) {
			text[i] = ' ';
			text[i + 1] = ' ';
		}
	}
	while (start > 0 && length - start < 3 && ((unsigned char)text[start - 1] & 0xc0) == 0x80) {
		start--;
	}
	if (start > 0) {
		unsigned char lead = (unsigned char)text[start - 1];
		size_t needed = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;

		if (lead >= 0xc0 && length - (start - 1) < needed) {
			text[start - 1] = '\0';
		}
	}
}

bool
error_set(struct error *err, enum error_kind kind, const char *format, ...)
{
	va_list arguments;
	char text[ERROR_TEXT_MAX]; /* the arguments may be this very error's text */

	assert(kind > ERROR_NONE && kind < ERROR_KIND_COUNT);
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	*err = (struct error){.kind = kind};
	memcpy(err->text, text, sizeof(text));
	make_safe(err->text);
	return false;
}

static enum error_kind
kind_of_errno(int sys_errno)
{
	switch (sys_errno) {
	case ENOSPC:
	case EDQUOT:
		return ERROR_SPACE;
	case ENOENT:
		return ERROR_GONE;
	case EEXIST:
		return ERROR_EXISTS;
	case EACCES:
	case EPERM:
		return ERROR_REFUSED;
	default:
		return ERROR_SYSTEM;
	}
}

bool
error_errno(struct error *err, int sys_errno, const char *format, ...)
{
	va_list arguments;
	char text[ERROR_TEXT_MAX], reason_space[128];
	const char *reason = strerror_r(sys_errno, reason_space, sizeof(reason_space)); /* GNU's: gives the text */

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	(void)error_set(err, kind_of_errno(sys_errno), "%s: %s", text, reason);
	err->sys_errno = sys_errno;
	return false;
}

bool
error_wrap(struct error *err, const char *format, ...)
{
	va_list arguments;
	char context[ERROR_TEXT_MAX], whole[2 * ERROR_TEXT_MAX + 2];

	assert(err->kind != ERROR_NONE);
	va_start(arguments, format);
	(void)vsnprintf(context, sizeof(context), format, arguments);
	va_end(arguments);
	(void)snprintf(whole, sizeof(whole), "%s: %s", context, err->text);
	memcpy(err->text, whole, sizeof(err->text));
	err->text[sizeof(err->text) - 1] = '\0';
	make_safe(err->text);
	return false;
}

void
error_clear(struct error *err)
{
	*err = ERROR_INIT;
}

const char *
error_kind_name(enum error_kind kind)
{
	assert(kind >= ERROR_NONE && kind < ERROR_KIND_COUNT);
	return kind_names[kind];
}

bool
error_is_temporary(const struct error *err)
{
	return err->kind == ERROR_RETRY || err->kind == ERROR_UNREACHABLE || err->kind == ERROR_THROTTLED;
}
