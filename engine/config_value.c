#include "engine/config_value.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/buf.h"

#define DISTANCE_WORD_MAX 63

unsigned
config_value_distance(const char *a, const char *b)
{
	unsigned row[DISTANCE_WORD_MAX + 1];
	size_t a_length = strnlen(a, DISTANCE_WORD_MAX), b_length = strnlen(b, DISTANCE_WORD_MAX);

	for (size_t j = 0; j <= b_length; j++) {
		row[j] = (unsigned)j;
	}
	for (size_t i = 1; i <= a_length; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_length; j++) {
			unsigned above = row[j], least = diagonal + (a[i - 1] != b[j - 1]);

			least = above + 1 < least ? above + 1 : least;
			row[j] = row[j - 1] + 1 < least ? row[j - 1] + 1 : least;
			diagonal = above;
		}
	}
	return row[b_length];
}

bool
config_value_number(const char *value, unsigned least, unsigned most, unsigned *out, struct error *err)
{
	uint32_t number;

	if (!slice_to_u32(slice_of(value), &number) || number < least || number > most) {
		return error_set(err, ERROR_CONFIG, "`%.60s` is no number from %u to %u", value, least, most);
	}
	*out = number;
	return true;
}

bool
config_value_duration(const char *value, unsigned least_s, unsigned most_s, unsigned *out_s, struct error *err)
{
	struct slice number = slice_of(value);
	uint64_t count, unit_s = 1;

	if (number.length > 0) {
		switch (number.data[number.length - 1]) {
		case 's':
			number.length--;
			break;
		case 'm':
			unit_s = 60;
			number.length--;
			break;
		case 'h':
			unit_s = 3600;
			number.length--;
			break;
		case 'd':
			unit_s = 86400;
			number.length--;
			break;
		default:
			break;
		}
	}
	if (!slice_to_u64(slice_trim(number), &count) || count > UINT_MAX || count * unit_s < least_s ||
		count * unit_s > most_s) {
		return error_set(err, ERROR_CONFIG, "`%.60s` is no time such as 90s, 5m, 2h or 30d, from %us to %us",
			value, least_s, most_s);
	}
	*out_s = (unsigned)(count * unit_s);
	return true;
}

bool
config_value_choice(const char *value, const char *choices, unsigned *out, struct error *err)
{
	struct slice rest = slice_of(choices);
	SCOPED(buf_finish) struct buf words = BUF_INIT;

	for (unsigned i = 0; rest.length > 0; i++) {
		struct slice word = slice_head(rest, slice_find(rest, ';'));

		if (slice_equal(word, slice_of(value))) {
			*out = i;
			return true;
		}
		rest = slice_skip(rest, word.length < rest.length ? word.length + 1 : word.length);
		buf_append_text(&words, i == 0 ? "" : rest.length > 0 ? ", " : " or ");
		buf_append(&words, word);
	}
	return error_set(err, ERROR_CONFIG, "`%.60s` is not %s", value, words.data);
}

bool
config_value_bodies(struct config_account *account, const char *value, struct error *err)
{
	struct slice word = slice_of(value);
	unsigned period_s;

	if (slice_equal(word, SLICE_LITERAL("all"))) {
		account->bodies = CONFIG_BODIES_ALL;
		return true;
	}
	if (slice_equal(word, SLICE_LITERAL("on-demand"))) {
		account->bodies = CONFIG_BODIES_ON_DEMAND;
		return true;
	}
	if (!slice_has_prefix(word, SLICE_LITERAL("recent "))) {
		return error_set(err, ERROR_CONFIG, "`%.60s` is not all, on-demand or `recent 90d`", value);
	}
	if (!config_value_duration(value + strspn(value + 7, " ") + 7, 86400, 36500u * 86400u, &period_s, err)) {
		return false;
	}
	account->bodies = CONFIG_BODIES_RECENT;
	account->bodies_days = (period_s + 86399) / 86400;
	return true;
}

bool
config_value_hold(struct config_account *account, const char *value, struct error *err)
{
	struct slice word = slice_of(value);
	unsigned number = 0;
	bool percent = slice_has_suffix(word, SLICE_LITERAL("%"));
	uint32_t parsed;

	account->hold_off = slice_equal(word, SLICE_LITERAL("off"));
	if (!account->hold_off) {
		if (!slice_to_u32(slice_trim(slice_head(word, word.length - (percent ? 1 : 0))), &parsed) ||
			parsed == 0 || (percent && parsed > 100)) {
			return error_set(err, ERROR_CONFIG,
				"`%.60s` is no share such as 20%%, no number above 0, and not off", value);
		}
		number = parsed;
	}
	account->hold_percent = percent ? number : 0;
	account->hold_number = percent ? 0 : number;
	return true;
}

/* --- servers --- */

/* Loopback by its literal address, or by the one name that is it everywhere (RFC 6761, 6.3). */
static bool
is_loopback(const char *host)
{
	struct slice rest = slice_of(host);
	unsigned parts = 0;

	if (strcmp(host, "::1") == 0 || strcmp(host, "localhost") == 0) {
		return true;
	}
	for (bool more = true; more; parts++) {
		struct slice part = slice_head(rest, slice_find(rest, '.'));
		uint32_t octet;

		if (!slice_to_u32(part, &octet) || octet > 255 || (parts == 0 && octet != 127)) {
			return false;
		}
		more = part.length < rest.length;
		rest = slice_skip(rest, more ? part.length + 1 : part.length);
	}
	return parts == 4;
}

static bool
is_host(struct slice host)
{
	for (size_t i = 0; i < host.length; i++) {
		unsigned char c = (unsigned char)host.data[i];

		if (c <= ' ' || c == 0x7f || strchr("/@?#\"'\\<>[]%", c) != NULL) {
			return false;
		}
	}
	return host.length > 0 && host.length <= 255 && host.data[0] != '-' && host.data[0] != '.';
}

/* HOST, HOST:PORT, [ADDRESS] or [ADDRESS]:PORT, with one `/` behind it or none. */
static bool
read_host(struct config_account *account, struct slice rest, uint16_t port, const char *value, struct error *err)
{
	struct slice host;
	uint32_t number = port;

	if (slice_find(rest, '@') < rest.length) {
		return error_set(err, ERROR_CONFIG,
			"`%.200s`: a login name goes into `user`, a password into password-command", value);
	}
	rest = slice_has_suffix(rest, SLICE_LITERAL("/")) ? slice_head(rest, rest.length - 1) : rest;
	if (rest.length > 0 && rest.data[0] == '[') {
		host = slice_head(slice_skip(rest, 1), slice_find(slice_skip(rest, 1), ']'));
		rest = slice_skip(rest, host.length + 2 <= rest.length ? host.length + 2 : rest.length);
	} else {
		host = slice_head(rest, slice_find(rest, ':'));
		rest = slice_skip(rest, host.length);
	}
	if (!is_host(host)) {
		return error_set(err, ERROR_CONFIG, "`%.200s`: there is no host in it", value);
	}
	if (rest.length > 0 &&
		(rest.data[0] != ':' || !slice_to_u32(slice_skip(rest, 1), &number) || number == 0 || number > 65535)) {
		return error_set(
			err, ERROR_CONFIG, "`%.200s`: behind the host only :PORT may stand, from 1 to 65535", value);
	}
	free(account->host);
	account->host = slice_dup(host);
	account->port = (uint16_t)number;
	return true;
}

static bool
read_kind(struct config_account *account, const char *value, struct error *err)
{
	static const struct {
		const char *scheme;
		enum config_server kind;
		uint16_t port;
	} schemes[] = {
		{"imaps://", CONFIG_IMAPS, 993},
		{"imap+starttls://", CONFIG_STARTTLS, 143},
		{"imap://", CONFIG_IMAP_CLEAR, 143},
		{"maildir:", CONFIG_MAILDIR, 0},
		{"tunnel:", CONFIG_TUNNEL, 0},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(schemes); i++) {
		size_t length = strlen(schemes[i].scheme);

		if (strncmp(value, schemes[i].scheme, length) != 0) {
			continue;
		}
		account->server_kind = schemes[i].kind;
		if (schemes[i].port != 0) {
			return read_host(account, slice_of(value + length), schemes[i].port, value, err);
		}
		if (schemes[i].kind == CONFIG_MAILDIR) {
			free(account->path);
			account->path = NULL;
			return config_value_path(value + length, &account->path, err);
		}
		if (slice_trim(slice_of(value + length)).length == 0) {
			return error_set(err, ERROR_CONFIG, "the command behind `tunnel:` is missing");
		}
		free(account->command);
		account->command = slice_dup(slice_trim(slice_of(value + length)));
		return true;
	}
	return error_set(err, ERROR_CONFIG,
		"`%.100s` is no server: write imaps://HOST, imap+starttls://HOST, imap://127.0.0.1:PORT, maildir:PATH "
		"or tunnel:COMMAND",
		value);
}

bool
config_value_server(struct config_account *account, const char *value, struct error *err)
{
	if (!read_kind(account, value, err)) {
		return false;
	}
	if (account->server_kind == CONFIG_IMAP_CLEAR && !is_loopback(account->host)) {
		return error_set(err, ERROR_CONFIG,
			"`%.100s` would send the password in clear text: write imaps:// or imap+starttls:// (clear "
			"text goes to 127.0.0.1 only)",
			value);
	}
	free(account->server);
	account->server = slice_dup(slice_of(value));
	return true;
}

/* --- paths --- */

static char *
home_directory(void)
{
	const char *home = getenv("HOME");
	struct passwd entry, *found = NULL;
	char memory[4096];

	if (home != NULL && home[0] == '/') {
		return slice_dup(slice_of(home));
	}
	if (getpwuid_r(geteuid(), &entry, memory, sizeof(memory), &found) == 0 && found != NULL &&
		found->pw_dir[0] == '/') {
		return slice_dup(slice_of(found->pw_dir));
	}
	return NULL;
}

/* "base/below", without a `/` twice. Frees base; NULL stays NULL. */
static char *
joined(char *base, const char *below)
{
	struct buf path = BUF_INIT;

	if (base == NULL) {
		return NULL;
	}
	buf_append_text(&path, base);
	free(base);
	while (path.length > 1 && path.data[path.length - 1] == '/') {
		buf_truncate(&path, path.length - 1);
	}
	if (below[0] != '\0') {
		buf_append_text(&path, path.length == 1 ? "" : "/");
		buf_append_text(&path, below);
		while (path.data[path.length - 1] == '/') {
			buf_truncate(&path, path.length - 1);
		}
	}
	return buf_take(&path);
}

char *
config_value_xdg(const char *variable, const char *otherwise, const char *below)
{
	const char *given = getenv(variable);

	if (given != NULL && given[0] == '/') {
		return joined(slice_dup(slice_of(given)), below);
	}
	return joined(joined(home_directory(), otherwise), below);
}

/* What a path may begin with, and where that is. */
static const struct {
	const char *word;
	const char *variable;  /* NULL: the home directory */
	const char *otherwise; /* below the home directory; NULL: the variable must be set */
} beginnings[] = {
	{"~", NULL, ""},
	{"$HOME", NULL, ""},
	{"$XDG_CONFIG_HOME", "XDG_CONFIG_HOME", ".config"},
	{"$XDG_STATE_HOME", "XDG_STATE_HOME", ".local/state"},
	{"$XDG_DATA_HOME", "XDG_DATA_HOME", ".local/share"},
	{"$XDG_CACHE_HOME", "XDG_CACHE_HOME", ".cache"},
	{"$XDG_RUNTIME_DIR", "XDG_RUNTIME_DIR", NULL},
};

bool
config_value_path(const char *value, char **out, struct error *err)
{
	size_t first = strcspn(value, "/");

	if (strlen(value) >= PATH_MAX) {
		return error_set(err, ERROR_CONFIG, "the path is too long");
	}
	for (size_t i = 0; i < ARRAY_LENGTH(beginnings); i++) {
		const char *below = value + first + strspn(value + first, "/");
		char *path;

		if (!slice_equal(slice_of(beginnings[i].word), slice_make(value, first))) {
			continue;
		}
		if (beginnings[i].variable == NULL) {
			path = joined(home_directory(), below);
		} else if (beginnings[i].otherwise == NULL && getenv(beginnings[i].variable) == NULL) {
			path = NULL;
		} else {
			path = config_value_xdg(beginnings[i].variable,
				beginnings[i].otherwise != NULL ? beginnings[i].otherwise : "", below);
		}
		if (path == NULL) {
			return error_set(
				err, ERROR_CONFIG, "`%.200s`: %s is not known here", value, beginnings[i].word);
		}
		*out = path;
		return true;
	}
	if (value[0] != '/') {
		return error_set(err, ERROR_CONFIG, "`%.200s` is no absolute path: begin it with / or ~/", value);
	}
	*out = joined(slice_dup(slice_of(value)), "");
	return true;
}

bool
config_value_secret_file(const char *path, struct error *err)
{
	struct stat status;

	if (stat(path, &status) != 0) {
		error_errno(err, errno, "password-file %s", path);
		err->kind = ERROR_CONFIG;
		return false;
	}
	if (!S_ISREG(status.st_mode)) {
		return error_set(err, ERROR_CONFIG, "password-file %s is no file", path);
	}
	if (status.st_uid != geteuid()) {
		return error_set(err, ERROR_CONFIG, "password-file %s belongs to another user", path);
	}
	if ((status.st_mode & 077) != 0) {
		return error_set(err, ERROR_CONFIG, "password-file %s can be read by others (mode %04o): chmod 600 it",
			path, (unsigned)(status.st_mode & 07777));
	}
	return true;
}

/* The path with links resolved as far as it is there: what will be made there has none. */
static char *
resolved(const char *path)
{
	SCOPED(buf_finish) struct buf at = BUF_INIT;
	char *real = NULL;

	buf_append_text(&at, path);
	while (at.length > 1 && (real = realpath(at.data, NULL)) == NULL) {
		size_t cut = at.length;

		while (cut > 0 && at.data[cut - 1] != '/') {
			cut--;
		}
		buf_truncate(&at, cut > 1 ? cut - 1 : 1);
	}
	if (real == NULL) {
		return slice_dup(slice_of(path));
	}
	return joined(real, path + at.length + strspn(path + at.length, "/"));
}

static bool
is_within(const char *path, char *directory)
{
	bool within = false;

	if (directory != NULL) {
		char *real = resolved(directory);
		size_t length = strlen(real);

		within = strncmp(path, real, length) == 0 && (path[length] == '/' || path[length] == '\0');
		free(real);
		free(directory);
	}
	return within;
}

bool
config_value_store(const char *path, char **out, struct error *err)
{
	char *real = resolved(path);

	if (is_within(real, config_value_xdg("XDG_CACHE_HOME", ".cache", "")) ||
		is_within(real, joined(home_directory(), ".cache")) ||
		is_within(real, slice_dup(SLICE_LITERAL("/var/cache")))) {
		error_set(err, ERROR_CONFIG,
			"the store %s is in a cache directory, where things may be deleted at any time", real);
		free(real);
		return false;
	}
	*out = real;
	return true;
}
