#include "fs/command/accounts.h"

#include "fs/command/nearest.h"
#include "fs/command/say.h"

/* Nobody has so many; engine/config.c takes no more either. */
#define NAMES_MAX 64

static bool
unknown_account(const struct config *config, const char *name, struct error *err)
{
	const char *names[NAMES_MAX] = {NULL};
	size_t count = config->count < NAMES_MAX ? config->count : NAMES_MAX;

	for (size_t i = 0; i < count; i++) {
		names[i] = config->accounts[i].name;
	}

	const char *nearest = nearest_name(name, names, count);

	if (nearest != NULL) {
		return error_set(err, ERROR_CONFIG, "there is no account '%s' in %s, did you mean '%s'?", name,
			config->path, nearest);
	}
	return error_set(err, ERROR_CONFIG, "there is no account '%s' in %s; there %s%s%s", name, config->path,
		count == 1 ? "is '" : "are '", names[0], count == 1 ? "'" : "' and others");
}

bool
accounts_configure(
	const struct options *options, const char *const *names, size_t count, struct config **out, struct error *err)
{
	SCOPED(config_destroy) struct config *config = NULL;

	if (!config_load(options->config_path, options->overrides.items, options->overrides.count, &config, err)) {
		return false;
	}
	if (config->count == 0) {
		return error_set(err, ERROR_CONFIG, "there is no account in %s: make one with `mailfs init ADDRESS`",
			config->path);
	}
	for (size_t i = 0; i < count; i++) {
		if (config_find(config, names[i]) == NULL) {
			return unknown_account(config, names[i], err);
		}
	}
	*out = config;
	config = NULL;
	return true;
}

bool
accounts_open(struct accounts *out, const struct options *options, const char *const *names, size_t count,
	const struct engine_options *engine_options, struct error *err)
{
	*out = (struct accounts){0};
	if (!accounts_configure(options, names, count, &out->config, err)) {
		return false;
	}
	if (!engine_create(out->config, names, count, engine_options, &out->engine, err)) {
		config_destroy(&out->config);
		return false;
	}
	if (!engine_start(out->engine, err)) {
		engine_destroy(&out->engine);
		config_destroy(&out->config);
		return false;
	}
	return true;
}

bool
accounts_open_named(struct accounts *out, const struct options *options, struct error *err)
{
	return accounts_open(out, options, options->arguments.items, options->arguments.count > 0 ? 1 : 0,
		&(struct engine_options){0}, err);
}

void
accounts_close(struct accounts *accounts)
{
	if (accounts->engine != NULL) {
		engine_stop(accounts->engine, 0);
		engine_destroy(&accounts->engine);
	}
	config_destroy(&accounts->config);
}

void
accounts_append(struct buf *all, bool json, const struct buf *one)
{
	struct slice text = slice_trim(buf_slice(one));

	if (text.length == 0) {
		return;
	}
	if (all->length > 0) {
		buf_append_text(all, json ? ",\n" : "\n\n");
	}
	buf_append(all, text);
}

void
accounts_print(const struct buf *all, bool json)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;

	if (!json) {
		say_text(buf_slice(all));
		return;
	}
	buf_append_text(&out, "{\"accounts\":[");
	buf_append(&out, buf_slice(all));
	buf_append_text(&out, "]}\n");
	say_text(buf_slice(&out));
}
