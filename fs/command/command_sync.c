/* mailfs sync: one pass over each account, and what came of it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/admin.h"
#include "engine/base/json.h"
#include "engine/view.h"
#include "fs/command/accounts.h"
#include "fs/command/command.h"
#include "fs/command/progress.h"
#include "fs/command/say.h"

struct figure {
	const char *key;  /* in JSON */
	const char *text; /* in the summary, after the number */
	size_t member;
};

#define FIGURE(member, text)                                              \
	{                                                                 \
#member, text, offsetof(struct admin_sync_result, member) \
	}

/* What a pass did. */
static const struct figure done[] = {
	FIGURE(downloaded, "new here"),
	FIGURE(uploaded, "sent"),
	FIGURE(moved_here, "moved here"),
	FIGURE(moved_there, "moved there"),
	FIGURE(flags_here, "flags changed here"),
	FIGURE(flags_there, "flags changed there"),
	FIGURE(expunged_here, "expunged here"),
	FIGURE(expunged_there, "expunged there"),
	FIGURE(bodies, "bodies fetched"),
};

/* What it could not do, and what it took. */
static const struct figure left[] = {
	FIGURE(failed, "failed"),
	FIGURE(held, "held"),
	FIGURE(deferred, "put off"),
};

static const struct figure cost[] = {
	FIGURE(turns, "turns"),
	FIGURE(commands, "commands"),
	FIGURE(octets_in, "octets received"),
	FIGURE(octets_out, "octets sent"),
};

static uint64_t
value_of(const struct admin_sync_result *result, const struct figure *figure)
{
	uint64_t value;

	memcpy(&value, (const char *)result + figure->member, sizeof(value));
	return value;
}

/* Appends "3 sent, 1 failed", leaving out what is 0. */
static void
append_figures(struct buf *out, const struct admin_sync_result *result, const struct figure *figures, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t value = value_of(result, &figures[i]);

		if (value > 0) {
			buf_printf(out, "%s%" PRIu64 " %s", out->length > 0 ? ", " : "", value, figures[i].text);
		}
	}
}

static void
print_summary(const struct options *options, const char *account, const struct admin_sync_result *result)
{
	SCOPED(buf_finish) struct buf line = BUF_INIT;

	append_figures(&line, result, done, ARRAY_LENGTH(done));
	append_figures(&line, result, left, ARRAY_LENGTH(left));
	if (line.length == 0) {
		buf_append_text(&line, "nothing to do");
	}
	printf("%s: %s\n", account, line.data);
	if (options->verbose > 0) {
		buf_clear(&line);
		append_figures(&line, result, cost, ARRAY_LENGTH(cost));
		printf("%s: %s\n", account, line.length > 0 ? line.data : "nothing was asked of the server");
	}
}

static enum exit_status
status_of(const struct options *options, const struct admin_sync_result *result)
{
	enum exit_status status = EXIT_DONE;

	if (result->deferred > 0 && !options->dry_run) {
		status = exit_status_worse(status, EXIT_TRY_AGAIN);
	}
	if (result->failed > 0) {
		status = exit_status_worse(status, EXIT_SOME_FAILED);
	}
	if (result->held > 0) {
		status = exit_status_worse(status, EXIT_HELD);
	}
	return status;
}

static void
print_text(const struct options *options, const char *account, const struct admin_sync_result *result,
	enum exit_status status)
{
	if (options->dry_run) {
		if (result->text.length > 0) {
			say_text(buf_slice(&result->text));
		} else {
			printf("%s: nothing to do\n", account);
		}
		return;
	}
	if (!options->quiet) {
		print_summary(options, account, result);
	}
	say_lines(account, buf_slice(&result->text));
	if (status == EXIT_HELD) {
		say_note(account,
			"changes are held: `mailfs held %s` shows them, then `mailfs confirm HOLD` or `mailfs revert "
			"HOLD`",
			account);
	}
}

static void
append_json_figures(
	struct json *json, const struct admin_sync_result *result, const struct figure *figures, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		json_key_u64(json, figures[i].key, value_of(result, &figures[i]));
	}
}

/* One account's object; `err` NULL when the pass was made. */
static void
append_json(struct json *json, const struct options *options, const char *account,
	const struct admin_sync_result *result, const struct error *err, enum exit_status status)
{
	struct slice text = buf_slice(&result->text);

	json_object(json);
	json_key_text(json, "account", account);
	json_key_u64(json, "status", (uint64_t)status);
	json_key_text(json, "error", err != NULL ? error_kind_name(err->kind) : NULL);
	json_key_text(json, "message", err != NULL ? err->text : NULL);
	append_json_figures(json, result, done, ARRAY_LENGTH(done));
	append_json_figures(json, result, left, ARRAY_LENGTH(left));
	append_json_figures(json, result, cost, ARRAY_LENGTH(cost));
	json_key(json, options->dry_run ? "plan" : "lines");
	json_array(json);
	while (text.length > 0) {
		struct slice line = slice_head(text, slice_find(text, '\n'));

		if (line.length > 0) {
			json_text(json, line);
		}
		text = slice_skip(text, line.length < text.length ? line.length + 1 : line.length);
	}
	json_end(json);
	json_end(json);
}

static enum exit_status
sync_account(struct account *account, const struct options *options, struct json *json)
{
	const struct admin_sync_options how = {
		.mailboxes = options->arguments.count > 1 ? options->arguments.items + 1 : NULL,
		.mailbox_count = options->arguments.count > 1 ? options->arguments.count - 1 : 0,
		.full = options->full,
		.dry_run = options->dry_run,
		.direction = options->direction,
		.lock_timeout_ms = options->lock_timeout_ms,
	};
	SCOPED(admin_sync_result_finish) struct admin_sync_result result = {0};
	const char *name = account_name(account);
	struct error err = ERROR_INIT;
	struct progress progress;
	enum exit_status status;
	bool ok;

	progress_begin(&progress, !options->quiet);
	ok = admin_sync(account, &how, &progress.admin, &result, &err);
	progress_end(&progress);
	status = ok ? status_of(options, &result) : exit_status_of(err.kind);
	if (options->json) {
		append_json(json, options, name, &result, ok ? NULL : &err, status);
	} else if (ok) {
		print_text(options, name, &result, status);
	}
	if (!ok) {
		(void)say_error(name, &err);
	}
	return status;
}

/* After a pass, a mailbox that was asked for and is on neither side was misspelled. */
static enum exit_status
check_mailboxes(struct account *account, const struct options *options)
{
	enum exit_status status = EXIT_DONE;
	struct error err = ERROR_INIT;

	for (size_t i = 1; i < options->arguments.count; i++) {
		SCOPED(view_mailbox_finish) struct view_mailbox mailbox = {0};

		if (!view_mailbox_by_name(account, slice_of(options->arguments.items[i]), &mailbox, &err)) {
			if (err.kind == ERROR_GONE) {
				error_set(&err, ERROR_GONE, "there is no mailbox '%s': `mailfs status %s` lists them",
					options->arguments.items[i], account_name(account));
			}
			status = exit_status_worse(status, say_error(account_name(account), &err));
		}
	}
	return status;
}

enum exit_status
command_sync(const struct options *options)
{
	SCOPED(accounts_close) struct accounts accounts = {0};
	SCOPED(buf_finish) struct buf out = BUF_INIT;
	struct error err = ERROR_INIT;
	struct json json;
	enum exit_status status = EXIT_DONE;

	if (!accounts_open_named(&accounts, options, &err)) {
		return say_error(NULL, &err);
	}
	json_begin(&json, &out, true);
	json_object(&json);
	json_key(&json, "accounts");
	json_array(&json);
	for (size_t i = 0; i < engine_account_count(accounts.engine); i++) {
		struct account *account = engine_account(accounts.engine, i);

		status = exit_status_worse(status, sync_account(account, options, &json));
		status = exit_status_worse(status, check_mailboxes(account, options));
	}
	json_end(&json);
	json_end(&json);
	if (options->json) {
		say_text(buf_slice(&out));
	}
	return status;
}
