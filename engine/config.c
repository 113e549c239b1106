#include "engine/config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "engine/base/buf.h"
#include "engine/config_value.h"

#define CONFIG_BYTES_MAX (1u << 20)
#define ACCOUNTS_MAX     64

static const char section_prefix[] = "account ";

/* What a value is read with: the account it goes into, and the place in it. */
struct key {
	const char *name;
	bool (*read)(struct config_account *account, char **field, const char *value, struct error *err);
	size_t field; /* of a text */
};

#define TEXT(member) offsetof(struct config_account, member)

static bool
read_text(struct config_account *account, char **field, const char *value, struct error *err)
{
	if (value[0] == '\0') {
		return error_set(err, ERROR_CONFIG, "is empty");
	}
	free(*field);
	*field = slice_dup(slice_of(value));
	return true;
}

static bool
read_path(struct config_account *account, char **field, const char *value, struct error *err)
{
	char *path = NULL;

	if (!config_value_path(value, &path, err)) {
		return false;
	}
	free(*field);
	*field = path;
	return true;
}

static bool
read_server(struct config_account *account, char **field, const char *value, struct error *err)
{
	return config_value_server(account, value, err);
}

static bool
read_compress(struct config_account *account, char **field, const char *value, struct error *err)
{
	unsigned choice;

	if (!config_value_choice(value, "off;on", &choice, err)) {
		return false;
	}
	account->compress = choice == 1;
	return true;
}

static bool
read_bodies(struct config_account *account, char **field, const char *value, struct error *err)
{
	return config_value_bodies(account, value, err);
}

static bool
read_direction(struct config_account *account, char **field, const char *value, struct error *err)
{
	unsigned choice;

	if (!config_value_choice(value, "both;pull;push", &choice, err)) {
		return false;
	}
	account->direction = (enum config_direction)choice;
	return true;
}

static bool
read_deletes(struct config_account *account, char **field, const char *value, struct error *err)
{
	unsigned choice;

	if (!config_value_choice(value, "sync;keep", &choice, err)) {
		return false;
	}
	account->deletes_keep = choice == 1;
	return true;
}

static bool
read_hold(struct config_account *account, char **field, const char *value, struct error *err)
{
	return config_value_hold(account, value, err);
}

static bool
read_undelete(struct config_account *account, char **field, const char *value, struct error *err)
{
	return config_value_number(value, 1, 3650, &account->undelete_days, err);
}

static bool
read_connections(struct config_account *account, char **field, const char *value, struct error *err)
{
	return config_value_number(value, 1, 32, &account->connections, err);
}

static bool
read_poll(struct config_account *account, char **field, const char *value, struct error *err)
{
	return config_value_duration(value, 5, 86400, &account->poll_s, err);
}

static const struct key keys[] = {
	{"address", read_text, TEXT(address)},
	{"server", read_server, TEXT(server)},
	{"user", read_text, TEXT(user)},
	{"password-command", read_text, TEXT(password_command)},
	{"password-file", read_path, TEXT(password_file)},
	{"token-command", read_text, TEXT(token_command)},
	{"auth", read_text, TEXT(auth)},
	{"tls-ca-file", read_path, TEXT(tls_ca_file)},
	{"tls-pin", read_text, TEXT(tls_pin)},
	{"tls-client-certificate", read_path, TEXT(tls_client_certificate)},
	{"compress", read_compress, TEXT(name)},
	{"mailboxes", read_text, TEXT(mailboxes)},
	{"bodies", read_bodies, TEXT(name)},
	{"direction", read_direction, TEXT(name)},
	{"deletes", read_deletes, TEXT(name)},
	{"trash", read_text, TEXT(trash)},
	{"hold-deletes-over", read_hold, TEXT(name)},
	{"undelete-days", read_undelete, TEXT(name)},
	{"connections", read_connections, TEXT(name)},
	{"poll", read_poll, TEXT(name)},
	{"store", read_path, TEXT(store)},
};

/* A command's name is not an account's (design 3). */
static const char command_names[] = "check;confirm;daemon;demo;export;flag;held;help;import;init;log;mount;repair;"
				    "revert;search;serve;status;sync;undelete;"
				    "umount;unmount;verify;version;wait";

static const struct key *
find_key(const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
		if (strcmp(keys[i].name, name) == 0) {
			return &keys[i];
		}
	}
	return NULL;
}

/* --- the text, line by line: GKeyFile tells no line numbers, and takes what is given twice for one --- */

enum line_kind { LINE_NOTHING, LINE_SECTION, LINE_KEY, LINE_WRONG };

/* Cuts the next line off *text and says what it is; *out_name is the section's or the key's. */
static enum line_kind
next_line(struct slice *text, struct slice *out_name)
{
	struct slice line = slice_head(*text, slice_find(*text, '\n'));
	size_t equals;

	*text = slice_skip(*text, line.length < text->length ? line.length + 1 : line.length);
	line = slice_trim(line);
	if (line.length == 0 || line.data[0] == '#') {
		return LINE_NOTHING;
	}
	if (line.data[0] == '[') {
		*out_name = slice_make(line.data + 1, line.length - (line.length > 1 ? 2 : 1));
		return line.length > 2 && line.data[line.length - 1] == ']' ? LINE_SECTION : LINE_WRONG;
	}
	equals = slice_find(line, '=');
	*out_name = slice_trim(slice_head(line, equals));
	return equals > 0 && equals < line.length ? LINE_KEY : LINE_WRONG;
}

/* The number of the line of a section (key empty) or of a key in it, the first or, with `second`, the second of that name; 0: none. */
static unsigned
find_line(struct slice text, struct slice section, struct slice key, bool second)
{
	bool inside = false;

	for (unsigned number = 1; text.length > 0; number++) {
		struct slice name = {0};
		enum line_kind kind = next_line(&text, &name);
		bool hit = false;

		if (kind == LINE_SECTION) {
			inside = slice_equal(name, section);
			hit = inside && key.length == 0;
		} else if (kind == LINE_KEY) {
			hit = inside && key.length > 0 && slice_equal(name, key);
		}
		if (hit && !second) {
			return number;
		}
		second = second && !hit;
	}
	return 0;
}

/* Refuses what GKeyFile would refuse without a line number, or take silently: lines that are nothing, keys outside of a section, and what
 * is there twice. */
static bool
check_lines(const char *path, struct slice text, struct error *err)
{
	struct slice rest = text, section = {0};

	for (unsigned number = 1; rest.length > 0; number++) {
		struct slice name = {0};
		enum line_kind kind = next_line(&rest, &name);
		unsigned other = 0;

		if (kind == LINE_WRONG) {
			return error_set(err, ERROR_CONFIG, "%s:%u: this is neither `[account NAME]` nor `KEY = VALUE`",
				path, number);
		}
		if (kind == LINE_KEY && section.data == NULL) {
			return error_set(err, ERROR_CONFIG, "%s:%u: `%.*s` stands before the first `[account NAME]`",
				path, number, (int)slice_head(name, 60).length, name.data);
		}
		if (kind == LINE_SECTION) {
			section = name;
			other = find_line(text, section, (struct slice){0}, true);
		} else if (kind == LINE_KEY) {
			other = find_line(text, section, name, true);
		}
		if (other == number) {
			return error_set(err, ERROR_CONFIG, "%s:%u: `%.*s` is given twice", path, number,
				(int)slice_head(name, 60).length, name.data);
		}
	}
	return true;
}

/* --- the file --- */

static char *
default_path(void)
{
	const char *given = getenv("MAILFS_CONFIG");

	if (given != NULL && given[0] != '\0') {
		return slice_dup(slice_of(given));
	}
	return config_value_xdg("XDG_CONFIG_HOME", ".config", "mailfs/config");
}

static bool
read_file(const char *path, struct buf *out, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t got = 1;

	if (fd < 0 && errno == ENOENT) {
		return error_set(err, ERROR_CONFIG,
			"there is no configuration at %s: make one with `mailfs init ADDRESS`", path);
	}
	if (fd < 0) {
		error_errno(err, errno, "cannot open the configuration %s", path);
		err->kind = ERROR_CONFIG;
		return false;
	}
	while (got > 0 && out->length <= CONFIG_BYTES_MAX) {
		buf_reserve(out, 16384);
		got = read(fd, out->data + out->length, 16384);
		out->length += got > 0 ? (size_t)got : 0;
	}
	buf_append_octet(out, '\n'); /* and a NUL behind it */
	if (got < 0) {
		int sys_errno = errno;

		(void)close(fd);
		error_errno(err, sys_errno, "cannot read the configuration %s", path);
		err->kind = ERROR_CONFIG;
		return false;
	}
	(void)close(fd);
	if (out->length > CONFIG_BYTES_MAX) {
		return error_set(err, ERROR_CONFIG, "%s: a configuration of more than %u KiB is none", path,
			CONFIG_BYTES_MAX >> 10);
	}
	if (memchr(out->data, '\0', out->length) != NULL) {
		return error_set(err, ERROR_CONFIG, "%s: there is a NUL in it", path);
	}
	return true;
}

/* --- accounts --- */

static void
account_finish(struct config_account *account)
{
	free(account->name);
	free(account->address);
	free(account->server);
	free(account->host);
	free(account->command);
	free(account->path);
	free(account->user);
	free(account->password_command);
	free(account->password_file);
	free(account->token_command);
	free(account->auth);
	free(account->tls_ca_file);
	free(account->tls_pin);
	free(account->tls_client_certificate);
	free(account->mailboxes);
	free(account->trash);
	free(account->store);
	*account = (struct config_account){0};
}

void
config_destroy(struct config **config)
{
	if (*config == NULL) {
		return;
	}
	for (size_t i = 0; i < (*config)->count; i++) {
		account_finish(&(*config)->accounts[i]);
	}
	for (size_t i = 0; i < (*config)->override_count; i++) {
		free((*config)->overrides[i]);
	}
	free((*config)->overrides);
	free((*config)->accounts);
	free((*config)->path);
	free(*config);
	*config = NULL;
}

const struct config_account *
config_find(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->count; i++) {
		if (strcmp(config->accounts[i].name, name) == 0) {
			return &config->accounts[i];
		}
	}
	return NULL;
}

static bool
check_name(const char *name, struct error *err)
{
	size_t length = strlen(name);
	unsigned ignored;
	struct error none;

	if (length == 0 || length > 64 ||
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@+") != length) {
		return error_set(err, ERROR_CONFIG,
			"`%.64s` can be no account's name: use 1 to 64 letters, digits and - _ . @ +", name);
	}
	if (name[0] == '.' || name[0] == '-') {
		return error_set(
			err, ERROR_CONFIG, "`%s` can be no account's name: it begins with `%c`", name, name[0]);
	}
	if (config_value_choice(name, command_names, &ignored, &none)) {
		return error_set(err, ERROR_CONFIG, "`%s` can be no account's name: it is a command's", name);
	}
	return true;
}

static void
set_defaults(struct config_account *account, const char *name)
{
	account->name = slice_dup(slice_of(name));
	account->auth = slice_dup(SLICE_LITERAL("auto"));
	account->mailboxes = slice_dup(SLICE_LITERAL("*"));
	account->trash = slice_dup(SLICE_LITERAL("server"));
	account->hold_percent = 20;
	account->undelete_days = 30;
	account->connections = 4;
	account->poll_s = 60;
}

static bool
check_secret(struct config_account *account, struct error *err)
{
	unsigned ways = (account->password_command != NULL ? 1u : 0u) + (account->password_file != NULL ? 1u : 0u) +
			(account->token_command != NULL ? 1u : 0u);
	bool needed = account->server_kind == CONFIG_IMAPS || account->server_kind == CONFIG_STARTTLS ||
		      account->server_kind == CONFIG_IMAP_CLEAR;

	if (ways > 1) {
		return error_set(err, ERROR_CONFIG,
			"give one of password-command, password-file and token-command, not %u", ways);
	}
	if (ways == 0 && needed && strcmp(account->auth, "EXTERNAL") != 0 && strcmp(account->auth, "ANONYMOUS") != 0) {
		return error_set(err, ERROR_CONFIG,
			"there is no way to a password: add password-command, password-file or token-command");
	}
	return account->password_file == NULL || config_value_secret_file(account->password_file, err);
}

/* Fills in what follows from other keys, and refuses what does not go together. */
static bool
complete_account(struct config_account *account, struct error *err)
{
	char *store;

	if (account->server == NULL) {
		return error_set(err, ERROR_CONFIG, "`server` is missing: imaps://HOST, for example");
	}
	if (account->user == NULL && account->address != NULL) {
		account->user = slice_dup(slice_of(account->address));
	}
	if (account->user == NULL) {
		if (account->server_kind != CONFIG_MAILDIR && account->server_kind != CONFIG_TUNNEL) {
			return error_set(err, ERROR_CONFIG, "`address` or `user` is missing: there is no login name");
		}
		account->user = slice_dup((struct slice){0});
	}
	if (!check_secret(account, err)) {
		return false;
	}
	if (account->store == NULL) {
		SCOPED(buf_finish) struct buf below = BUF_INIT;

		buf_printf(&below, "mailfs/%s", account->name);
		account->store = config_value_xdg("XDG_STATE_HOME", ".local/state", below.data);
	}
	if (account->store == NULL) {
		return error_set(
			err, ERROR_CONFIG, "there is no home directory to keep the store in: set `store` or HOME");
	}
	if (!config_value_store(account->store, &store, err)) {
		return false;
	}
	free(account->store);
	account->store = store;
	return true;
}

/* --- loading --- */

struct load {
	const char *path;
	struct slice text;
	GKeyFile *file;
	struct config *config;
};

/* "FILE:LINE: section `…`, key `…`", or what an override is called. */
static bool
wrap_place(const struct load *load, const char *section, const char *key, struct error *err)
{
	unsigned line = find_line(load->text, slice_of(section), slice_of(key), false);

	if (line == 0 && key != NULL) {
		return error_wrap(err, "-o %s.%s", section + sizeof(section_prefix) - 1, key);
	}
	if (key != NULL) {
		return error_wrap(err, "%s:%u: `%s`", load->path, line, key);
	}
	return error_wrap(err, "%s:%u: [%.80s]", load->path, line, section);
}

static bool
unknown_key(const char *key, struct error *err)
{
	const char *nearest = NULL;
	unsigned least = UINT_MAX;

	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
		unsigned distance = config_value_distance(key, keys[i].name);

		if (distance < least) {
			least = distance;
			nearest = keys[i].name;
		}
	}
	return error_set(err, ERROR_CONFIG, "there is no such key; the nearest is `%s`", nearest);
}

static bool
read_key(struct load *load, const char *section, const char *name, struct config_account *account, struct error *err)
{
	const struct key *key = find_key(name);
	GError *trouble = NULL;
	char *value;
	bool ok;

	if (key == NULL) {
		return unknown_key(name, err);
	}
	value = g_key_file_get_string(load->file, section, name, &trouble);
	if (trouble != NULL) { /* there may be a value all the same: what could be made of a wrong escape */
		error_set(err, ERROR_CONFIG, "cannot be read (a backslash is written \\\\): %s", trouble->message);
		g_error_free(trouble);
		g_free(value);
		return false;
	}
	ok = strchr(value, '\n') == NULL
		     ? key->read(account, (char **)(void *)((char *)account + key->field), value, err)
		     : error_set(err, ERROR_CONFIG, "holds a line end");
	g_free(value);
	return ok;
}

static bool
read_account(struct load *load, const char *section, struct config_account *account, struct error *err)
{
	GError *trouble = NULL;
	char **names = g_key_file_get_keys(load->file, section, NULL, &trouble);
	bool ok = true;

	set_defaults(account, section + sizeof(section_prefix) - 1);
	if (!check_name(account->name, err)) {
		g_strfreev(names);
		g_clear_error(&trouble);
		return wrap_place(load, section, NULL, err);
	}
	for (char **name = names; ok && name != NULL && *name != NULL; name++) {
		ok = read_key(load, section, *name, account, err) || wrap_place(load, section, *name, err);
	}
	g_strfreev(names);
	g_clear_error(&trouble);
	return ok && (complete_account(account, err) || wrap_place(load, section, NULL, err));
}

/* The section of an unknown name, with what was probably meant. */
static bool
unknown_section(const struct load *load, const char *section, struct error *err)
{
	if (strcmp(section, "account") == 0 || strncmp(section, "account", 7) != 0) {
		error_set(err, ERROR_CONFIG, "there is no such section; a section is `[account NAME]`");
	} else {
		error_set(err, ERROR_CONFIG, "there is no such section; the nearest is `[account %.60s]`",
			section + 7 + strspn(section + 7, " \t:."));
	}
	return wrap_place(load, section, NULL, err);
}

static bool
read_accounts(struct load *load, struct error *err)
{
	gsize count = 0;
	char **sections = g_key_file_get_groups(load->file, &count);
	struct config *config = load->config;
	bool ok = count <= ACCOUNTS_MAX ||
		  error_set(err, ERROR_CONFIG, "%s: more than %d accounts", load->path, ACCOUNTS_MAX);

	config->accounts = calloc(count > 0 ? count : 1, sizeof(*config->accounts));
	if (config->accounts == NULL) {
		abort();
	}
	for (gsize i = 0; ok && i < count; i++) {
		if (strncmp(sections[i], section_prefix, sizeof(section_prefix) - 1) != 0) {
			ok = unknown_section(load, sections[i], err);
			break;
		}
		ok = read_account(load, sections[i], &config->accounts[config->count++], err);
	}
	g_strfreev(sections);
	for (size_t i = 0; ok && i < config->count; i++) {
		for (size_t j = 0; ok && j < i; j++) {
			if (strcmp(config->accounts[i].store, config->accounts[j].store) == 0) {
				ok = error_set(err, ERROR_CONFIG,
					"%s: accounts %s and %s have one store, %s: each needs its own", load->path,
					config->accounts[j].name, config->accounts[i].name, config->accounts[i].store);
			}
		}
	}
	return ok;
}

/* Puts "ACCOUNT.KEY=VALUE" into the key file, over what stands there. An account's name may hold dots, a key does not. */
static bool
apply_override(struct load *load, const char *override, struct error *err)
{
	struct slice whole = slice_of(override);
	size_t equals = slice_find(whole, '='), dot = equals;
	SCOPED(buf_finish) struct buf section = BUF_INIT, key = BUF_INIT;

	while (dot > 0 && whole.data[dot - 1] != '.') {
		dot--;
	}
	if (equals == whole.length || dot < 2 || dot == equals) {
		return error_set(err, ERROR_CONFIG, "-o %.200s: write ACCOUNT.KEY=VALUE", override);
	}
	buf_append_text(&section, section_prefix);
	buf_append(&section, slice_head(whole, dot - 1));
	buf_append(&key, slice_make(whole.data + dot, equals - dot));
	if (!g_key_file_has_group(load->file, section.data)) {
		return error_set(err, ERROR_CONFIG, "-o %.200s: there is no account %.64s in %s", override,
			section.data + sizeof(section_prefix) - 1, load->path);
	}
	if (find_key(key.data) == NULL) {
		unknown_key(key.data, err);
		return error_wrap(err, "-o %.200s", override);
	}
	if (!g_utf8_validate(override, -1, NULL)) {
		return error_set(err, ERROR_CONFIG, "-o %.200s: this is no UTF-8", override);
	}
	g_key_file_set_string(load->file, section.data, key.data, override + equals + 1);
	return true;
}

static bool
load_text(struct load *load, const char *const *overrides, size_t override_count, struct error *err)
{
	GError *trouble = NULL;

	if (!check_lines(load->path, load->text, err)) {
		return false;
	}
	if (!g_key_file_load_from_data(load->file, load->text.data, load->text.length, G_KEY_FILE_NONE, &trouble)) {
		if (load->text.length > 0 && trouble->code != G_KEY_FILE_ERROR_NOT_FOUND) {
			error_set(err, ERROR_CONFIG, "%s: %s", load->path, trouble->message);
			g_error_free(trouble);
			return false;
		}
		g_error_free(trouble);
	}
	for (size_t i = 0; i < override_count; i++) {
		if (!apply_override(load, overrides[i], err)) {
			return false;
		}
	}
	return read_accounts(load, err);
}

bool
config_load(
	const char *path, const char *const *overrides, size_t override_count, struct config **out, struct error *err)
{
	SCOPED(config_destroy) struct config *config = calloc(1, sizeof(*config));
	SCOPED(buf_finish) struct buf text = BUF_INIT;
	struct load load = {.config = config};
	bool ok;

	if (config == NULL) {
		abort();
	}
	config->path = path != NULL ? slice_dup(slice_of(path)) : default_path();
	if (config->path == NULL) {
		return error_set(err, ERROR_CONFIG,
			"there is no home directory to find the configuration in: set HOME or use --config");
	}
	if (!read_file(config->path, &text, err)) {
		return false;
	}
	config->overrides = calloc(override_count + 1, sizeof(char *));
	if (config->overrides == NULL) {
		abort();
	}
	for (; config->override_count < override_count; config->override_count++) {
		config->overrides[config->override_count] = slice_dup(slice_of(overrides[config->override_count]));
	}
	load.path = config->path;
	load.text = buf_slice(&text);
	load.file = g_key_file_new();
	ok = load_text(&load, overrides, override_count, err);
	g_key_file_free(load.file);
	if (!ok) {
		return false;
	}
	*out = config;
	config = NULL;
	return true;
}

/* --- init --- */

/* Appends KEY = VALUE in the key file grammar. */
static bool
append_key(struct buf *out, const char *key, const char *value, struct error *err)
{
	if (value == NULL) {
		return true;
	}
	if (value[0] == '\0' || strpbrk(value, "\r\n") != NULL || !g_utf8_validate(value, -1, NULL)) {
		return error_set(err, ERROR_CONFIG,
			"`%s` cannot be written: it is empty, of more than one line, or no UTF-8", key);
	}
	buf_printf(out, "%s = ", key);
	for (const char *c = value; *c != '\0'; c++) {
		if (*c == '\\') {
			buf_append_text(out, "\\\\");
		} else if (*c == ' ' && c == value) {
			buf_append_text(out, "\\s");
		} else if (*c == '\t') {
			buf_append_text(out, "\\t");
		} else {
			buf_append_octet(out, *c);
		}
	}
	buf_append_octet(out, '\n');
	return true;
}

static bool
make_directories(const char *path, struct error *err)
{
	SCOPED(buf_finish) struct buf at = BUF_INIT;

	for (const char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		buf_clear(&at);
		buf_append(&at, slice_make(path, (size_t)(slash - path)));
		if (mkdir(at.data, 0700) != 0 && errno != EEXIST) {
			return error_errno(err, errno, "cannot make the directory %s", at.data);
		}
	}
	return true;
}

/* Appends, so that a configuration that is a link stays one. */
static bool
append_file(const char *path, struct slice text, struct error *err)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	bool ok;

	if (fd < 0) {
		return error_errno(err, errno, "cannot write the configuration %s", path);
	}
	ok = write(fd, text.data, text.length) == (ssize_t)text.length && fsync(fd) == 0;
	if (!ok) {
		error_errno(err, errno != 0 ? errno : EIO, "cannot write the configuration %s", path);
	}
	(void)close(fd);
	return ok;
}

bool
config_add(const char *path, const char *account, const char *address, const char *server, const char *user,
	const char *password_command, char **out_path, struct error *err)
{
	SCOPED(buf_finish) struct buf old = BUF_INIT, text = BUF_INIT, section = BUF_INIT;
	char *where = path != NULL ? slice_dup(slice_of(path)) : default_path();
	bool ok = where != NULL ||
		  error_set(err, ERROR_CONFIG, "there is no home directory to keep the configuration in: set HOME");

	ok = ok && check_name(account, err) && make_directories(where, err);
	if (ok && access(where, F_OK) == 0) {
		ok = read_file(where, &old, err) && check_lines(where, buf_slice(&old), err);
	}
	buf_printf(&section, "%s%s", section_prefix, account);
	if (ok && find_line(buf_slice(&old), buf_slice(&section), (struct slice){0}, false) != 0) {
		ok = error_set(err, ERROR_EXISTS, "there is an account %s in %s already", account, where);
	}
	buf_printf(&text, "%s[%s]\n", old.length > 0 ? "\n" : "", section.data);
	ok = ok && append_key(&text, "address", address, err) && append_key(&text, "server", server, err) &&
	     append_key(&text, "user", user, err) && append_key(&text, "password-command", password_command, err) &&
	     append_file(where, buf_slice(&text), err);
	if (!ok) {
		free(where);
		return false;
	}
	*out_path = where;
	return true;
}
