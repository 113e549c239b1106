/* mailfs init: writes the shortest section that works, and says what comes next. Nothing is asked of the network. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/config.h"
#include "fs/command/accounts.h"
#include "fs/command/command.h"
#include "fs/command/say.h"

/* RFC 5321, 4.5.3.1: a path of at most 256 octets, with its brackets. */
#define ADDRESS_MAX 254

static bool
check_address(const char *address, struct error *err)
{
	const char *at = strrchr(address, '@');
	size_t length = strlen(address);

	if (at == NULL || at == address || at[1] == '\0' || at[1] == '.' || address[length - 1] == '.' ||
		length > ADDRESS_MAX || strpbrk(address, " \t\r\n<>,;\"'\\/") != NULL) {
		return error_set(
			err, ERROR_INVALID, "init: '%s' is no mail address: write it as me@example.org", address);
	}
	for (const char *c = address; *c != '\0'; c++) {
		if ((unsigned char)*c < 33 || *c == 127) {
			return error_set(err, ERROR_INVALID, "init: the address holds a control character");
		}
	}
	return true;
}

/* Makes an account's name of part of an address: small letters, digits, - and _. */
static char *
name_of(struct slice part)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;

	for (size_t i = 0; i < part.length && out.length < 32; i++) {
		char c = part.data[i];

		if (c >= 'A' && c <= 'Z') {
			c = (char)(c + 32);
		}
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || ((c == '-' || c == '_') && out.length > 0)) {
			buf_append_octet(&out, c);
		} else if (out.length > 0 && out.data[out.length - 1] != '-') {
			buf_append_octet(&out, '-');
		}
	}
	while (out.length > 0 && out.data[out.length - 1] == '-') {
		buf_truncate(&out, out.length - 1);
	}
	return buf_take(&out);
}

/* What the account may be called, the first that is free: the domain's first label, what stands before the @, both. */
static void
make_names(const char *address, char *names[3])
{
	struct slice whole = slice_of(address);
	size_t at = (size_t)(strrchr(address, '@') - address);
	struct slice domain = slice_skip(whole, at + 1);
	SCOPED(buf_finish) struct buf both = BUF_INIT;

	buf_append(&both, slice_head(whole, at));
	buf_append_octet(&both, '-');
	buf_append(&both, slice_head(domain, slice_find(domain, '.')));
	names[0] = name_of(slice_head(domain, slice_find(domain, '.')));
	names[1] = name_of(slice_head(whole, at));
	names[2] = name_of(buf_slice(&both));
}

static bool
can_be_name(const char *name)
{
	return name[0] != '\0' && options_command_of(name) == COMMAND_COUNT;
}

/* A section that cannot be read would stop every account, so it is tried first, in memory. */
static bool
try_section(const struct options *options, const char *name, const char *address, const char *server, struct error *err)
{
	SCOPED(config_destroy) struct config *config = NULL;
	int fd = memfd_create("config", MFD_CLOEXEC);
	char path[64];
	char *written = NULL;
	bool ok;

	if (fd < 0) {
		return true; /* a kernel without it: it is tried after all when it is used */
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ok = config_add(path, name, address, server, options->user,
		     options->password_command != NULL ? options->password_command : "true", &written, err) &&
	     config_load(path, NULL, 0, &config, err);
	free(written);
	(void)close(fd);
	if (!ok) {
		const char *key = strchr(err->text, '`'); /* behind a place that means nothing to anybody */
		struct error shown = *err;

		return error_set(err, ERROR_CONFIG, "init: %s", key != NULL ? strchr(shown.text, '`') : shown.text);
	}
	return true;
}

/* A name is taken: by the same address, or by another that happens to have it. */
static bool
is_there(const struct options *options, const char *address, struct error *err)
{
	SCOPED(config_destroy) struct config *config = NULL;

	if (!config_load(options->config_path, NULL, 0, &config, err)) {
		return true; /* which is said */
	}
	for (size_t i = 0; i < config->count; i++) {
		const struct config_account *account = &config->accounts[i];

		if (account->address != NULL && strcmp(account->address, address) == 0) {
			error_set(err, ERROR_EXISTS, "init: %s is there already, as the account %s in %s", address,
				account->name, config->path);
			return true;
		}
	}
	return false;
}

/* Adds the section under the first name that is free. */
static bool
add_account(const struct options *options, const char *address, const char *server, char *const names[3],
	const char **out_name, char **out_path, struct error *err)
{
	for (size_t i = 0; i < 3; i++) {
		if (!can_be_name(names[i])) {
			continue;
		}
		if (!try_section(options, names[i], address, server, err)) {
			return false;
		}
		if (config_add(options->config_path, names[i], address, server, options->user,
			    options->password_command, out_path, err)) {
			*out_name = names[i];
			return true;
		}
		if (err->kind != ERROR_EXISTS || is_there(options, address, err)) {
			return false;
		}
	}
	return error_set(err, ERROR_INVALID,
		"init: no free name can be made of '%s': write a section by hand, see mailfs-config(5)", address);
}

#define MAILDIR_SCHEME "maildir:"

/* A tree on this machine: there is nobody to log in to. */
static bool
is_maildir(const char *server)
{
	return strncmp(server, MAILDIR_SCHEME, strlen(MAILDIR_SCHEME)) == 0;
}

static void
print_next(const struct options *options, const char *name, const char *path, const char *server)
{
	printf("Added the account \"%s\" to %s\n", name, path);
	printf("    server = %s%s\n", server,
		options->server == NULL ? "    (a guess: change the line if yours has another name)" : "");
	printf("\nNext:\n");
	if (is_maildir(server)) {
		printf("    mkdir -p %s    where the mail is not there yet\n", server + strlen(MAILDIR_SCHEME));
	} else if (options->password_command == NULL) {
		printf("    add to the section how to come by the password, one of\n");
		printf("        password-command = pass show mail/%s\n", name);
		printf("        password-file = ~/.config/mailfs/%s.password    (mode 0600)\n", name);
		printf("        token-command = COMMAND    (where the server wants OAuth)\n");
	}
	printf("    mailfs check %s            try %s; changes nothing\n", name,
		is_maildir(server) ? "it" : "the login");
	printf("    mkdir -p ~/Mail && mailfs mount %s ~/Mail\n", name);
}

enum exit_status
command_init(const struct options *options)
{
	SCOPED(buf_finish) struct buf guess = BUF_INIT;
	const char *address = options->arguments.items[0], *name = NULL;
	const char *server = options->server;
	char *names[3], *path = NULL;
	struct error err = ERROR_INIT;
	bool ok;

	if (!check_address(address, &err)) {
		return say_error(NULL, &err);
	}
	if (server == NULL) {
		buf_printf(&guess, "imaps://imap.%s", strrchr(address, '@') + 1);
		server = guess.data;
	}
	make_names(address, names);
	ok = add_account(options, address, server, names, &name, &path, &err);
	if (ok && !options->quiet) {
		print_next(options, name, path, server);
	}
	for (size_t i = 0; i < 3; i++) {
		free(names[i]);
	}
	free(path);
	return ok ? EXIT_DONE : say_error(NULL, &err);
}
