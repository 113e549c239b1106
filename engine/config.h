/* The configuration: GLib's key file grammar, one `[account NAME]` section each (design 4). Unknown keys and sections are errors with file, line and
 * the nearest known name. Paths' `~` and `$XDG_…` are resolved here.
 */
#ifndef ENGINE_CONFIG_H
#define ENGINE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/error.h"
#include "engine/base/scope.h"

enum config_server { CONFIG_IMAPS, CONFIG_STARTTLS, CONFIG_IMAP_CLEAR, CONFIG_TUNNEL, CONFIG_MAILDIR };
enum config_bodies { CONFIG_BODIES_ALL, CONFIG_BODIES_RECENT, CONFIG_BODIES_ON_DEMAND };
enum config_direction { CONFIG_BOTH, CONFIG_PULL, CONFIG_PUSH };

struct config_account {
	char *name;
	char *address;
	enum config_server server_kind;
	char *server; /* as written; also the store's identity */
	char *host;   /* or NULL */
	uint16_t port;
	char *command; /* of a tunnel */
	char *path;    /* of a maildir */
	char *user;
	char *password_command, *password_file, *token_command;
	char *auth; /* "auto" */
	char *tls_ca_file, *tls_pin, *tls_client_certificate;
	bool compress;
	char *mailboxes; /* "*" */
	enum config_bodies bodies;
	unsigned bodies_days;
	enum config_direction direction;
	bool deletes_keep;
	char *trash;           /* "server", "none" or a mailbox's name */
	unsigned hold_percent; /* 20; 0 when hold_number or off is used */
	unsigned hold_number;
	bool hold_off;
	unsigned undelete_days;
	unsigned connections;
	unsigned poll_s;
	char *store;
};

struct config {
	char *path;
	struct config_account *accounts;
	size_t count;
	char **overrides; /* as given, for reading it again */
	size_t override_count;
};

/* Reads `path` (NULL: $MAILFS_CONFIG, else $XDG_CONFIG_HOME/mailfs/config) and applies overrides, each "ACCOUNT.KEY=VALUE". ERROR_CONFIG. */
bool config_load(const char *path, const char *const *overrides, size_t override_count, struct config **out,
	struct error *err) MUST_CHECK;
void config_destroy(struct config **config);
/* NULL if there is no such account. */
const struct config_account *config_find(const struct config *config, const char *name);
/* Writes the shortest section that works for `init`, making the file (0600) when needed; ERROR_EXISTS if the account is there. Gives the path. */
bool config_add(const char *path, const char *account, const char *address, const char *server, const char *user,
	const char *password_command, char **out_path, struct error *err) MUST_CHECK;

#endif
