#include "engine/config.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/buf.h"
#include "engine/config_value.h"

static char top[64], path[128], secret[128];

static void
write_file(const char *name, const char *text, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, mode);

	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static int
set_up(void **state)
{
	snprintf(top, sizeof(top), "/tmp/config_test.XXXXXX");
	if (mkdtemp(top) == NULL) {
		return -1;
	}
	snprintf(path, sizeof(path), "%s/config", top);
	snprintf(secret, sizeof(secret), "%s/secret", top);
	setenv("HOME", top, 1);
	unsetenv("XDG_CONFIG_HOME");
	unsetenv("XDG_STATE_HOME");
	unsetenv("XDG_CACHE_HOME");
	unsetenv("MAILFS_CONFIG");
	return 0;
}

static int
tear_down(void **state)
{
	char directory[160];

	unlink(path);
	unlink(secret);
	snprintf(directory, sizeof(directory), "%s/mailfs", top);
	rmdir(directory);
	return rmdir(top);
}

/* Loads a text; NULL and *err where it is refused. */
static struct config *
load(const char *text, struct error *err)
{
	struct config *config = NULL;

	write_file(path, text, 0600);
	*err = ERROR_INIT;
	if (!config_load(path, NULL, 0, &config, err)) {
		assert_int_equal(err->kind, ERROR_CONFIG);
		return NULL;
	}
	return config;
}

/* An account with what is needed and these lines. */
static struct config *
load_with(const char *lines, struct error *err)
{
	char text[2000];

	snprintf(text, sizeof(text),
		"[account home]\naddress = me@example.org\npassword-command = pass show mail\n%s\n", lines);
	return load(text, err);
}

static void
assert_refused(const char *lines, const char *sentence)
{
	struct error err;
	struct config *config = load_with(lines, &err);

	if (config != NULL) {
		print_error("accepted: %s\n", lines);
		fail();
	}
	if (strstr(err.text, sentence) == NULL) {
		print_error("expected: %s\nfound:    %s\n", sentence, err.text);
		fail();
	}
}

static void
the_shortest_section_is_enough(void **state)
{
	struct error err;
	SCOPED(config_destroy) struct config *config = load_with("server = imaps://imap.example.org", &err);
	const struct config_account *account;
	char store[128];

	assert_non_null(config);
	assert_int_equal(config->count, 1);
	account = config_find(config, "home");
	assert_non_null(account);
	assert_null(config_find(config, "work"));
	assert_string_equal(account->user, "me@example.org");
	assert_string_equal(account->host, "imap.example.org");
	assert_int_equal(account->port, 993);
	assert_int_equal(account->server_kind, CONFIG_IMAPS);
	assert_string_equal(account->password_command, "pass show mail");
	assert_string_equal(account->mailboxes, "*");
	assert_string_equal(account->trash, "server");
	assert_string_equal(account->auth, "auto");
	assert_int_equal(account->hold_percent, 20);
	assert_false(account->hold_off);
	assert_int_equal(account->connections, 4);
	assert_int_equal(account->poll_s, 60);
	assert_int_equal(account->undelete_days, 30);
	assert_int_equal(account->bodies, CONFIG_BODIES_ALL);
	snprintf(store, sizeof(store), "%s/.local/state/mailfs/home", top);
	assert_string_equal(account->store, store);
}

static void
every_key_is_read(void **state)
{
	struct error err;
	SCOPED(config_destroy)
	struct config *config = load("# a comment\n"
				     "[account work]\n"
				     "server=imap+starttls://[2001:db8::1]:1143\n"
				     "user = me\n"
				     "token-command = token \\\\d\n"
				     "auth = OAUTHBEARER\n"
				     "tls-ca-file = ~/ca.pem\n"
				     "tls-pin = AAAA\n"
				     "tls-client-certificate = $HOME/me.pem\n"
				     "compress = on\n"
				     "mailboxes = *;!Spam\n"
				     "bodies = recent 90d\n"
				     "direction = pull\n"
				     "deletes = keep\n"
				     "trash = Deleted Items\n"
				     "hold-deletes-over = 5\n"
				     "undelete-days = 7\n"
				     "connections = 1\n"
				     "poll = 5m\n"
				     "store = $XDG_STATE_HOME/elsewhere/\n",
		&err);
	const struct config_account *account;
	char text[128];

	assert_non_null(config);
	account = &config->accounts[0];
	assert_int_equal(account->server_kind, CONFIG_STARTTLS);
	assert_string_equal(account->host, "2001:db8::1");
	assert_int_equal(account->port, 1143);
	assert_string_equal(account->token_command, "token \\d");
	snprintf(text, sizeof(text), "%s/ca.pem", top);
	assert_string_equal(account->tls_ca_file, text);
	snprintf(text, sizeof(text), "%s/me.pem", top);
	assert_string_equal(account->tls_client_certificate, text);
	assert_true(account->compress);
	assert_string_equal(account->mailboxes, "*;!Spam");
	assert_int_equal(account->bodies, CONFIG_BODIES_RECENT);
	assert_int_equal(account->bodies_days, 90);
	assert_int_equal(account->direction, CONFIG_PULL);
	assert_true(account->deletes_keep);
	assert_string_equal(account->trash, "Deleted Items");
	assert_int_equal(account->hold_number, 5);
	assert_int_equal(account->hold_percent, 0);
	assert_int_equal(account->poll_s, 300);
	snprintf(text, sizeof(text), "%s/.local/state/elsewhere", top);
	assert_string_equal(account->store, text);
}

static void
other_kinds_of_servers_need_no_password(void **state)
{
	struct error err;
	SCOPED(config_destroy)
	struct config *config = load("[account a]\nserver = maildir:~/Maildir\n[account b]\nserver = tunnel: ssh host "
				     "dovecot --exec-mail imap\n",
		&err);
	char text[128];

	assert_non_null(config);
	snprintf(text, sizeof(text), "%s/Maildir", top);
	assert_string_equal(config->accounts[0].path, text);
	assert_string_equal(config->accounts[1].command, "ssh host dovecot --exec-mail imap");
}

static void
an_unknown_key_is_told_with_its_line_and_the_nearest_name(void **state)
{
	assert_refused("server = imaps://x\npol = 60s", "config:5: `pol`: there is no such key; the nearest is `poll`");
	assert_refused("server = imaps://x\n\n# c\npasword-file = x",
		"config:7: `pasword-file`: there is no such key; the nearest is `password-file`");
}

static void
an_unknown_section_is_told_with_its_line(void **state)
{
	assert_refused("server = imaps://x\n[acount work]", "config:5: [acount work]: there is no such section");
	assert_refused("server = imaps://x\n[account:work]",
		"config:5: [account:work]: there is no such section; the nearest is `[account work]`");
}

static void
what_is_there_twice_is_refused(void **state)
{
	assert_refused("server = imaps://x\nserver = imaps://y", "config:5: `server` is given twice");
	assert_refused("server = imaps://x\n[account home]", "config:5: `account home` is given twice");
}

static void
lines_that_are_nothing_are_refused(void **state)
{
	struct error err;

	assert_refused("server = imaps://x\nhello", "config:5: this is neither");
	assert_null(load("server = imaps://x\n", &err));
	assert_non_null(strstr(err.text, "config:1: `server` stands before"));
}

static void
wrong_values_are_told_with_their_line(void **state)
{
	static const struct {
		const char *lines, *sentence;
	} cases[] = {
		{"", "`server` is missing"},
		{"server = pop3://x", "config:4: `server`: `pop3://x` is no server"},
		{"server = imaps://", "there is no host"},
		{"server = imaps://me@host", "a login name goes into `user`"},
		{"server = imaps://host:0", "only :PORT may stand"},
		{"server = imaps://host:65536", "only :PORT may stand"},
		{"server = imaps://host/INBOX", "there is no host"},
		{"server = imaps://x\npoll = 4s", "`4s` is no time"},
		{"server = imaps://x\npoll = 5 weeks", "is no time"},
		{"server = imaps://x\npoll = 99999999999999999999d", "is no time"},
		{"server = imaps://x\nconnections = 0", "is no number from 1 to 32"},
		{"server = imaps://x\nhold-deletes-over = 101%", "is no share"},
		{"server = imaps://x\nhold-deletes-over = 0", "is no share"},
		{"server = imaps://x\nhold-deletes-over = %", "is no share"},
		{"server = imaps://x\nbodies = recent", "is not all, on-demand or"},
		{"server = imaps://x\nbodies = recent 3x", "is no time"},
		{"server = imaps://x\ndirection = up", "`up` is not both, pull or push"},
		{"server = imaps://x\ncompress = yes", "`yes` is not off or on"},
		{"server = imaps://x\nstore = here", "is no absolute path"},
		{"server = imaps://x\nuser =", "is empty"},
		{"server = imaps://x\ntoken-command = t", "give one of password-command"},
		{"server = imaps://x\ntrash = a\\qb", "cannot be read"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		assert_refused(cases[i].lines, cases[i].sentence);
	}
}

static void
clear_text_goes_to_loopback_alone(void **state)
{
	static const char *const fine[] = {
		"imap://127.0.0.1:1143", "imap://[::1]", "imap://localhost/", "imap://127.8.9.1"};
	static const char *const refused[] = {"imap://example.org", "imap://127.0.0.1.example.org", "imap://126.0.0.1",
		"imap://127.0.0.256", "imap://[2001:db8::1]", "imap://localhost.example.org"};
	char line[200];

	for (size_t i = 0; i < ARRAY_LENGTH(fine); i++) {
		struct error err;
		SCOPED(config_destroy) struct config *config = NULL;

		snprintf(line, sizeof(line), "server = %s", fine[i]);
		config = load_with(line, &err);
		assert_non_null(config);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
		snprintf(line, sizeof(line), "server = %s", refused[i]);
		assert_refused(line, "would send the password in clear text");
	}
}

static void
a_password_file_is_for_our_eyes_only(void **state)
{
	char text[400];
	struct error err;
	struct config *config;

	snprintf(text, sizeof(text), "[account a]\naddress = a@b\nserver = imaps://x\npassword-file = %s\n", secret);
	assert_null(load(text, &err));
	assert_non_null(strstr(err.text, "password-file"));
	write_file(secret, "s3cret\n", 0640);
	assert_null(load(text, &err));
	assert_non_null(strstr(err.text, "can be read by others (mode 0640)"));
	write_file(secret, "s3cret\n", 0600);
	config = load(text, &err);
	assert_non_null(config);
	config_destroy(&config);
	if (geteuid() == 0) {
		assert_int_equal(chown(secret, 65534, (gid_t)-1), 0);
		assert_null(load(text, &err));
		assert_non_null(strstr(err.text, "belongs to another user"));
	}
}

static void
a_store_is_not_kept_in_a_cache(void **state)
{
	char line[200], link[128];

	assert_refused("server = imaps://x\nstore = ~/.cache/mail", "is in a cache directory");
	assert_refused("server = imaps://x\nstore = $XDG_CACHE_HOME/mail", "is in a cache directory");
	assert_refused("server = imaps://x\nstore = /var/cache/mail", "is in a cache directory");
	snprintf(link, sizeof(link), "%s/.cache", top);
	mkdir(link, 0700);
	snprintf(line, sizeof(line), "%s/link", top);
	assert_int_equal(symlink(link, line), 0);
	assert_refused("server = imaps://x\nstore = ~/link/mail", "is in a cache directory");
	unlink(line);
	rmdir(link);
}

static void
two_accounts_never_share_a_store(void **state)
{
	struct error err;

	assert_null(load(
		"[account a]\nserver=maildir:/a\nstore=/s/x\n[account b]\nserver=maildir:/b\nstore=/s/x/\n", &err));
	assert_non_null(strstr(err.text, "accounts a and b have one store"));
}

static void
names_of_commands_and_odd_names_are_no_accounts(void **state)
{
	struct error err;

	static const char *const commands[] = {
		"sync", "mount", "umount", "unmount", "help", "version", "check", "demo"};

	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
		char text[80];

		(void)snprintf(text, sizeof(text), "[account %s]\nserver=maildir:/a\n", commands[i]);
		assert_null(load(text, &err));
		assert_non_null(strstr(err.text, "it is a command's"));
	}
	assert_null(load("[account a/b]\nserver=maildir:/a\n", &err));
	assert_non_null(strstr(err.text, "can be no account's name"));
	assert_null(load("[account .hidden]\nserver=maildir:/a\n", &err));
	assert_non_null(strstr(err.text, "begins with `.`"));
}

static void
overrides_win_over_the_file(void **state)
{
	static const char *const overrides[] = {
		"home.poll=2m", "me@b.org.trash=none", "home.password-command=echo a=b"};
	SCOPED(config_destroy) struct config *config = NULL;
	struct error err;

	write_file(path,
		"[account home]\naddress=a@b\nserver=imaps://x\npassword-command=x\npoll=1h\n"
		"[account me@b.org]\naddress=a@b\nserver=imaps://x\npassword-command=x\n",
		0600);
	assert_true(config_load(path, overrides, ARRAY_LENGTH(overrides), &config, &err));
	assert_int_equal(config->accounts[0].poll_s, 120);
	assert_string_equal(config->accounts[0].password_command, "echo a=b");
	assert_string_equal(config->accounts[1].trash, "none");
}

static void
wrong_overrides_are_told(void **state)
{
	static const struct {
		const char *override, *sentence;
	} cases[] = {
		{"poll=1m", "write ACCOUNT.KEY=VALUE"},
		{".poll=1m", "write ACCOUNT.KEY=VALUE"},
		{"home.poll", "write ACCOUNT.KEY=VALUE"},
		{"work.poll=1m", "there is no account work"},
		{"home.pool=1m", "the nearest is `poll`"},
		{"home.poll=1y", "-o home.poll: `1y` is no time"},
		{"home.trash=\xff", "this is no UTF-8"},
	};

	write_file(path, "[account home]\naddress=a@b\nserver=imaps://x\npassword-command=x\n", 0600);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct config *config = NULL;
		struct error err;

		assert_false(config_load(path, &cases[i].override, 1, &config, &err));
		if (strstr(err.text, cases[i].sentence) == NULL) {
			print_error("expected: %s\nfound:    %s\n", cases[i].sentence, err.text);
			fail();
		}
	}
}

static void
a_missing_file_says_how_to_make_one(void **state)
{
	struct config *config = NULL;
	struct error err;

	unlink(path);
	assert_false(config_load(path, NULL, 0, &config, &err));
	assert_int_equal(err.kind, ERROR_CONFIG);
	assert_non_null(strstr(err.text, "mailfs init"));
}

static void
init_writes_what_load_reads(void **state)
{
	SCOPED(config_destroy) struct config *config = NULL;
	struct error err;
	char *where = NULL;
	char expected[128];
	struct stat status;

	setenv("XDG_CONFIG_HOME", top, 1);
	assert_true(config_add(
		NULL, "home", "me@example.org", "imaps://imap.example.org", NULL, " pass \\ show\tx", &where, &err));
	snprintf(expected, sizeof(expected), "%s/mailfs/config", top);
	assert_string_equal(where, expected);
	free(where);
	assert_int_equal(stat(expected, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_true(config_add(NULL, "work", "me@work.org", "imaps://imap.work.org", "me", "cat x", &where, &err));
	free(where);
	assert_false(config_add(NULL, "home", "me@example.org", "imaps://x", NULL, NULL, &where, &err));
	assert_int_equal(err.kind, ERROR_EXISTS);
	assert_false(config_add(NULL, "new", "a@b\nserver = x", "imaps://x", NULL, NULL, &where, &err));
	assert_true(config_load(NULL, NULL, 0, &config, &err));
	assert_int_equal(config->count, 2);
	assert_string_equal(config->accounts[0].password_command, " pass \\ show\tx");
	assert_string_equal(config->accounts[1].user, "me");
	unlink(expected);
	unsetenv("XDG_CONFIG_HOME");
}

static void
distances_count_single_changes(void **state)
{
	assert_int_equal(config_value_distance("poll", "poll"), 0);
	assert_int_equal(config_value_distance("pol", "poll"), 1);
	assert_int_equal(config_value_distance("", "poll"), 4);
	assert_int_equal(config_value_distance("sitting", "kitten"), 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_shortest_section_is_enough),
		cmocka_unit_test(every_key_is_read),
		cmocka_unit_test(other_kinds_of_servers_need_no_password),
		cmocka_unit_test(an_unknown_key_is_told_with_its_line_and_the_nearest_name),
		cmocka_unit_test(an_unknown_section_is_told_with_its_line),
		cmocka_unit_test(what_is_there_twice_is_refused),
		cmocka_unit_test(lines_that_are_nothing_are_refused),
		cmocka_unit_test(wrong_values_are_told_with_their_line),
		cmocka_unit_test(clear_text_goes_to_loopback_alone),
		cmocka_unit_test(a_password_file_is_for_our_eyes_only),
		cmocka_unit_test(a_store_is_not_kept_in_a_cache),
		cmocka_unit_test(two_accounts_never_share_a_store),
		cmocka_unit_test(names_of_commands_and_odd_names_are_no_accounts),
		cmocka_unit_test(overrides_win_over_the_file),
		cmocka_unit_test(wrong_overrides_are_told),
		cmocka_unit_test(a_missing_file_says_how_to_make_one),
		cmocka_unit_test(init_writes_what_load_reads),
		cmocka_unit_test(distances_count_single_changes),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
