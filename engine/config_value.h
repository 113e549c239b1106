/* The values of the configuration: numbers, durations, choices, addresses of servers, paths (design 4). Each refuses with ERROR_CONFIG and a text that
 * goes on from "FILE:LINE: `KEY`: ".
 */
#ifndef ENGINE_CONFIG_VALUE_H
#define ENGINE_CONFIG_VALUE_H

#include "engine/config.h"

/* A decimal number from `least` to `most`. */
bool config_value_number(const char *value, unsigned least, unsigned most, unsigned *out, struct error *err) MUST_CHECK;
/* A number and s, m, h or d (seconds without): in seconds, from `least_s` to `most_s`. */
bool config_value_duration(const char *value, unsigned least_s, unsigned most_s, unsigned *out_s, struct error *err)
	MUST_CHECK;
/* One of the words in `choices`, which are separated by `;`: its index. */
bool config_value_choice(const char *value, const char *choices, unsigned *out, struct error *err) MUST_CHECK;
/* `all`, `on-demand` or `recent 90d`. */
bool config_value_bodies(struct config_account *account, const char *value, struct error *err) MUST_CHECK;
/* `20%`, a number or `off`. */
bool config_value_hold(struct config_account *account, const char *value, struct error *err) MUST_CHECK;
/* `imaps://HOST[:PORT]` and its kin. Clear text goes to loopback alone (P24). */
bool config_value_server(struct config_account *account, const char *value, struct error *err) MUST_CHECK;
/* An absolute path; `~/` and a leading `$HOME`, `$XDG_…_HOME` or `$XDG_RUNTIME_DIR` are resolved. */
bool config_value_path(const char *value, char **out, struct error *err) MUST_CHECK;
/* A file with a password: a regular one, ours, and nobody else's to read (P25). */
bool config_value_secret_file(const char *path, struct error *err) MUST_CHECK;
/* The place of a store with its links resolved as far as it is there; refused in a cache directory, where things may vanish (design 4). */
bool config_value_store(const char *path, char **out, struct error *err) MUST_CHECK;

/* $`variable`/below, or ~/`otherwise`/below; NULL without a home directory. */
char *config_value_xdg(const char *variable, const char *otherwise, const char *below);
/* How many single changes make one word the other. */
unsigned config_value_distance(const char *a, const char *b);

#endif
