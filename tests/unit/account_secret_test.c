#include "engine/account_secret.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/buf.h"

static char top[64], file[128], command[400];
static struct account_secret secret;
static struct io *io;
static struct config_account config;

static int
set_up(void **state)
{
	(void)snprintf(top, sizeof(top), "/tmp/secret_test.XXXXXX");
	if (mkdtemp(top) == NULL) {
		return -1;
	}
	(void)snprintf(file, sizeof(file), "%s/file", top);
	/* each call is one octet more in the file, and a password of its own */
	(void)snprintf(
		command, sizeof(command), "printf x >> %s; printf 'pass%%s\\nrest\\n' $(wc -c < %s)", file, file);
	config = (struct config_account){.password_command = command};
	account_secret_init(&secret);
	io = io_posix_create();
	return 0;
}

static int
tear_down(void **state)
{
	account_secret_finish(&secret);
	io_destroy(&io);
	unlink(file);
	return rmdir(top);
}

static void
assert_secret(bool again, const char *expected)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;
	struct error err = ERROR_INIT;
	bool is_token = true;

	if (!account_secret_get(&secret, io, &config, again, NULL, &out, &is_token, &err)) {
		fail_msg("%s", err.text);
	}
	assert_string_equal(out.data, expected);
	assert_false(is_token);
}

static void
assert_no_secret(enum error_kind kind, const char *sentence)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;
	struct error err = ERROR_INIT;
	bool is_token;

	assert_false(account_secret_get(&secret, io, &config, false, NULL, &out, &is_token, &err));
	assert_int_equal(err.kind, kind);
	if (strstr(err.text, sentence) == NULL) {
		fail_msg("expected: %s; found: %s", sentence, err.text);
	}
	assert_int_equal(out.length, 0);
}

static void
a_command_is_run_once_and_again_after_a_refusal(void **state)
{
	assert_secret(false, "pass1");
	assert_secret(false, "pass1");
	assert_secret(true, "pass2");
	assert_secret(false, "pass2");
	account_secret_forget(&secret);
	assert_secret(false, "pass3");
}

static void *
get_one(void *context)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;
	struct error err = ERROR_INIT;
	bool is_token;

	return account_secret_get(&secret, io, &config, false, NULL, &out, &is_token, &err) &&
			       strcmp(out.data, "pass1") == 0
		       ? context
		       : NULL;
}

static void
many_threads_ask_once(void **state)
{
	pthread_t threads[8];

	for (size_t i = 0; i < ARRAY_LENGTH(threads); i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, get_one, threads), 0);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(threads); i++) {
		void *answer;

		assert_int_equal(pthread_join(threads[i], &answer), 0);
		assert_ptr_equal(answer, threads);
	}
}

static void
write_file(const char *text, mode_t mode)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void
a_file_gives_its_first_line(void **state)
{
	config = (struct config_account){.password_file = file};
	write_file(" s3cret with spaces \r\nnote\n", 0600);
	assert_secret(false, " s3cret with spaces ");
}

static void
a_file_that_others_can_read_is_refused(void **state)
{
	config = (struct config_account){.password_file = file};
	write_file("s3cret\n", 0644);
	assert_no_secret(ERROR_CREDENTIALS, "only we can read");
	unlink(file);
	assert_no_secret(ERROR_CREDENTIALS, "No such file");
}

static void
what_is_no_password_is_told(void **state)
{
	config = (struct config_account){.password_command = (char *)"exit 3"};
	assert_no_secret(ERROR_CREDENTIALS, "password-command");
	config = (struct config_account){.token_command = (char *)"echo"};
	assert_no_secret(ERROR_CREDENTIALS, "");
	config = (struct config_account){0};
	assert_no_secret(ERROR_CREDENTIALS, "has no password-command");
}

static void
waiting_for_a_command_can_be_given_up(void **state)
{
	SCOPED(cancel_destroy) struct cancel *cancel = cancel_create();
	SCOPED(buf_finish) struct buf out = BUF_INIT;
	struct error err = ERROR_INIT;
	int64_t began_ms = io_now_ms(io);
	bool is_token;

	config = (struct config_account){.password_command = (char *)"sleep 30"};
	cancel_raise(cancel);
	assert_false(account_secret_get(&secret, io, &config, false, cancel, &out, &is_token, &err));
	assert_int_equal(err.kind, ERROR_CANCELLED);
	assert_true(io_now_ms(io) - began_ms < 5000);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_command_is_run_once_and_again_after_a_refusal),
		TEST(many_threads_ask_once),
		TEST(a_file_gives_its_first_line),
		TEST(a_file_that_others_can_read_is_refused),
		TEST(what_is_no_password_is_told),
		TEST(waiting_for_a_command_can_be_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
