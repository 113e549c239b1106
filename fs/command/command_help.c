/* mailfs help and --version. mailfs(1) says it all; here is what fits on a screen. */
#include <stdio.h>

#include "fs/command/command.h"
#include "fs/command/say.h"

static const struct {
	const char *summary; /* in the list */
	const char *text;    /* after the usage */
} pages[] = {
	[COMMAND_MOUNT] = {"mount an account, or all of them, at a directory",
		"Mounts ACCOUNT at the empty directory DIR; without ACCOUNT every account becomes a\n"
		"directory of DIR. Returns when the tree can be used. `mailfs ACCOUNT DIR` is the same.\n"
		"\n"
		"  -f, --foreground   stay in the foreground\n"
		"  -o OPTIONS         separated by commas:\n"
		"     ro              nothing can be changed through the mount\n"
		"     nosync          only look at the store; another process syncs, or nobody\n"
		"     view=maildir    every mailbox as a Maildir, for mail programs; else that is in .maildir\n"
		"     xattrs          list the extended attributes of flags and keywords\n"
		"     nofail          succeed with an empty tree where the server cannot be reached\n"
		"     setuid=USER     as root: become USER before anything is read or run\n"
		"     allow_other     let other users in, as the modes permit\n"
		"     uid=, gid=, umask=   the owner and modes that are shown\n"
		"     config=FILE     the configuration\n"
		"     ACCOUNT.KEY=VALUE    a key of the configuration; \\, is a comma\n"
		"     and what fuse takes (noatime, noexec, max_read=N, ...)\n"},
	[COMMAND_UNMOUNT] = {"take a mount away",
		"Unmounts DIR, and says what is not on the server yet. That is sent in the background\n"
		"for at most 30 seconds, and otherwise waits in the store for the next mount or sync.\n"},
	[COMMAND_SYNC] = {"bring store and server into step, once",
		"Makes one pass over ACCOUNT, or all accounts, and fetches the bodies that are wanted.\n"
		"Where a mount or daemon drives the account, that process is asked.\n"
		"\n"
		"  --full             look at everything, not only at what says that it changed\n"
		"  --dry-run          print what would be done, and do nothing\n"
		"  --direction D      both, pull or push, this once\n"
		"  --lock-timeout S   wait so long for mailboxes that another process works on (30)\n"
		"  --json             the result as JSON\n"
		"  -q, -v             say only what went wrong; say what it took\n"
		"\n"
		"Exits with 0 when both sides agree, 1 when something failed, 3 when changes are held,\n"
		"69 without the server, 75 when another process was in the way, 77 without a login.\n"},
	[COMMAND_DAEMON] = {"keep accounts in step without a mount",
		"Stays in the foreground, and tells systemd when it is ready. SIGHUP reads the\n"
		"configuration again; SIGTERM ends it within 5 seconds.\n"},
	[COMMAND_STATUS] = {"what is queued, what failed and why, what is held",
		"Asks the store, not the server.\n"
		"\n"
		"  --json             the same as JSON\n"},
	[COMMAND_WAIT] = {"return when all is on the server: \"may I shut the lid?\"",
		"Returns when it is true of the account, of all accounts, or of the message at PATH in\n"
		"a mount (a directory stands for its account). Without an option both are waited for.\n"
		"\n"
		"  --uploaded         what was changed here is on the server\n"
		"  --downloaded       what is new on the server is here\n"
		"  --timeout S        give up after S seconds, with status 75\n"},
	[COMMAND_HELD] = {"list the changes that wait for a yes",
		"An unusual number of deletions is not passed on to the other side until you say so.\n"
		"Lists what is held, with the numbers that confirm and revert take.\n"
		"\n"
		"  --json             the same as JSON\n"},
	[COMMAND_CONFIRM] = {"pass a held change on",
		"Passes on exactly the deletions that `mailfs held` lists under HOLD.\n"},
	[COMMAND_REVERT] = {"undo a held change", "Brings back the messages that `mailfs held` lists under HOLD.\n"},
	[COMMAND_FLAG] = {"show and set flags and keywords of messages",
		"Sets and takes away flags of messages in a mount:\n"
		"\n"
		"    mailfs flag +seen -flagged +Project ~/Mail/INBOX/*budget*\n"
		"\n"
		"The flags are seen, flagged, answered, draft and deleted; any other word is a keyword.\n"
		"Of a directory all its messages are meant, those of mailboxes below it not. Without a\n"
		"change it prints, to a line, a message's flags, a tab and its path; - stands for none.\n"},
	[COMMAND_CHECK] = {"try the configuration and the login; changes nothing",
		"Says what the configuration means, whether the login works, what the server can do,\n"
		"and where `rm` puts a message.\n"
		"\n"
		"  --offline          the configuration and the store only\n"
		"  --json             the same as JSON\n"},
	[COMMAND_INIT] = {"add an account to the configuration",
		"Writes a section for ADDRESS, and says what comes next. The account's name is made of\n"
		"the address, and printed.\n"
		"\n"
		"  --server URL       imaps://HOST[:PORT], imap+starttls://HOST[:PORT] or maildir:PATH\n"
		"                     (without it: imaps://imap. and the address's domain)\n"
		"  --user U           the login name, where it is not the address\n"
		"  --password-command C   run to get the password: the first line it prints\n"},
	[COMMAND_DEMO] = {"mount a sample account, to look at",
		"Makes a few Maildirs with messages in a temporary directory, and mounts an account of\n"
		"them at DIR, an empty directory. Prints where they are. `mailfs unmount DIR` ends it,\n"
		"and removes all that was made.\n"},
	[COMMAND_HELP] = {"this list, or a command's page", ""},
	[COMMAND_VERSION] = {"", ""},
};
_Static_assert(ARRAY_LENGTH(pages) == COMMAND_COUNT, "a command without its page");

static void
print_list(void)
{
	printf("mailfs: mail as a tree of files. A directory is a mailbox, a file is a message.\n\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (i != COMMAND_VERSION) {
			printf("  mailfs %-10s %s\n", options_command_name((enum command)i), pages[i].summary);
		}
	}
	printf("\nWith every command:\n"
	       "  --config FILE           instead of $MAILFS_CONFIG or ~/.config/mailfs/config\n"
	       "  -o ACCOUNT.KEY=VALUE    a key of the configuration, this once\n"
	       "  -v, -vv                 tell what goes on, on stderr\n"
	       "  --version, --help\n"
	       "\nBegin with `mailfs init ADDRESS`. `mailfs help COMMAND` says more, mailfs(1) and\n"
	       "mailfs-config(5) all.\n");
}

enum exit_status
command_help(const struct options *options)
{
	enum command command = COMMAND_HELP;
	struct error err = ERROR_INIT;

	if (options->arguments.count > 0) {
		const char *word = options->arguments.items[0];
		const char *nearest;

		command = options_command_of(word);
		if (command == COMMAND_COUNT) {
			nearest = options_nearest_command(word);
			error_set(&err, ERROR_INVALID, "help: there is no command '%s'%s%s%s", word,
				nearest != NULL ? ", did you mean '" : "", nearest != NULL ? nearest : "",
				nearest != NULL ? "'?" : ": see `mailfs help`");
			return say_error(NULL, &err);
		}
	}
	if (command == COMMAND_HELP || command == COMMAND_VERSION) {
		print_list();
		return EXIT_DONE;
	}
	printf("mailfs %s %s\n\n%s", options_command_name(command), options_command_usage(command),
		pages[command].text);
	return EXIT_DONE;
}

enum exit_status
command_version(const struct options *options)
{
	printf("mailfs " MAILFS_VERSION "\n");
	return EXIT_DONE;
}
