/* The accounts a command works on: configuration and engine, opened together. */
#ifndef COMMAND_ACCOUNTS_H
#define COMMAND_ACCOUNTS_H

#include "engine/base/buf.h"
#include "engine/engine.h"
#include "fs/options.h"

struct accounts {
	struct config *config;
	struct engine *engine;
};

/* Reads the configuration that the options name, and checks that the named accounts are in it (count 0: that there is one at all). */
bool accounts_configure(const struct options *options, const char *const *names, size_t count, struct config **out,
	struct error *err) MUST_CHECK;
/* The same, and opens the accounts: engine_create and engine_start. Starts threads, so fork comes before. */
bool accounts_open(struct accounts *out, const struct options *options, const char *const *names, size_t count,
	const struct engine_options *engine_options, struct error *err) MUST_CHECK;
/* For the commands whose first argument is an account, or none: opens that one or all, without standing connections. */
bool accounts_open_named(struct accounts *out, const struct options *options, struct error *err) MUST_CHECK;
void accounts_close(struct accounts *accounts);

/* Puts together what each account has to say: texts with an empty line between them, or JSON values in an array. */
void accounts_append(struct buf *all, bool json, const struct buf *one);
/* Prints it: the text, or {"accounts":[...]}. */
void accounts_print(const struct buf *all, bool json);

#endif
