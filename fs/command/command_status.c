/* mailfs status: accounts, mailboxes, queues, failures, holds and local names, from the store alone. */
#include "engine/view.h"
#include "fs/command/accounts.h"
#include "fs/command/command.h"
#include "fs/command/say.h"

enum exit_status
command_status(const struct options *options)
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

		if (!view_status(account, options->json, &one, &err)) {
			status = exit_status_worse(status, say_error(account_name(account), &err));
			continue;
		}
		if (account_failure(account) != NULL) {
			status = exit_status_worse(status, say_error(NULL, account_failure(account)));
		}
		accounts_append(&out, options->json, &one);
	}
	accounts_print(&out, options->json);
	return status;
}
