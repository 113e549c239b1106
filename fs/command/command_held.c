/* mailfs held, confirm and revert: changes that wait for a person (design 8). */
#include <stdio.h>
#include <string.h>

#include "engine/admin.h"
#include "engine/base/json.h"
#include "engine/view.h"
#include "fs/command/accounts.h"
#include "fs/command/command.h"
#include "fs/command/say.h"

enum exit_status
command_held(const struct options *options)
{
	SCOPED(accounts_close) struct accounts accounts = {0};
	SCOPED(buf_finish) struct buf out = BUF_INIT;
	struct error err = ERROR_INIT;
	enum exit_status status = EXIT_DONE;

	if (!accounts_open_named(&accounts, options, &err)) {
		return say_error(NULL, &err);
	}
	for (size_t i = 0; i < engine_account_count(accounts.engine); i++) {
		struct account *account = engine_account(accounts.engine, i);
		SCOPED(buf_finish) struct buf one = BUF_INIT;

		if (options->json) {
			buf_append_text(&one, "{\"account\": ");
			json_quote(slice_of(account_name(account)), &one);
			buf_append_text(&one, ", \"holds\": ");
		}
		if (!view_held(account, options->json, &one, &err)) {
			status = exit_status_worse(status, say_error(account_name(account), &err));
			continue;
		}
		if (options->json) {
			buf_append_octet(&one, '}');
		}
		accounts_append(&out, options->json, &one);
	}
	if (out.length == 0 && status == EXIT_DONE && !options->json) {
		printf("nothing is held\n");
	}
	accounts_print(&out, options->json);
	return status;
}

/* Holds are numbered by account. Without an account it must be clear whose is meant: there is one account, or one that has such a hold. */
static enum exit_status
settle(const struct options *options,
	bool (*how)(struct account *account, uint64_t hold, struct buf *out_text, struct error *err))
{
	SCOPED(accounts_close) struct accounts accounts = {0};
	SCOPED(buf_finish) struct buf text = BUF_INIT;
	size_t count = options->arguments.count;
	const char *word = options->arguments.items[count - 1];
	struct error err = ERROR_INIT;
	struct account *account;
	uint64_t hold;

	if (!slice_to_u64(slice_of(word), &hold) || hold == 0) {
		error_set(&err, ERROR_INVALID, "'%s' is no number of a hold: `mailfs held` lists them", word);
		return say_error(NULL, &err);
	}
	if (!accounts_open(
		    &accounts, options, options->arguments.items, count - 1, &(struct engine_options){0}, &err)) {
		return say_error(NULL, &err);
	}
	if (engine_account_count(accounts.engine) > 1) {
		error_set(&err, ERROR_INVALID,
			"there are several accounts, and holds are numbered in each: mailfs %s ACCOUNT %s",
			options_command_name(options->command), word);
		return say_error(NULL, &err);
	}
	account = engine_account(accounts.engine, 0);
	if (!how(account, hold, &text, &err)) {
		return say_error(account_name(account), &err);
	}
	say_text(buf_slice(&text));
	return EXIT_DONE;
}

enum exit_status
command_confirm(const struct options *options)
{
	return settle(options, admin_confirm);
}

enum exit_status
command_revert(const struct options *options)
{
	return settle(options, admin_revert);
}
