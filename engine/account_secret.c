#include "engine/account_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/buf.h"
#include "engine/base/log.h"
#include "engine/config_value.h"

#define COMMAND_TIMEOUT_MS 120000 /* a person may have to unlock something */
#define WAIT_STEP_MS       200

void
account_secret_init(struct account_secret *secret)
{
	*secret = (struct account_secret){0};
	mutex_init(&secret->mutex, LOCK_RANK_LEAF);
	condition_init(&secret->answered);
}

static void
wipe_locked(struct account_secret *secret) REQUIRES(secret->mutex)
{
	if (secret->memory != NULL) {
		explicit_bzero(secret->memory, ACCOUNT_SECRET_MAX);
	}
	secret->length = 0;
}

void
account_secret_forget(struct account_secret *secret)
{
	mutex_lock(&secret->mutex);
	wipe_locked(secret);
	mutex_unlock(&secret->mutex);
}

void
account_secret_finish(struct account_secret *secret)
{
	account_secret_forget(secret);
	if (secret->memory != NULL) {
		(void)munmap(secret->memory, ACCOUNT_SECRET_MAX);
	}
	condition_finish(&secret->answered);
	mutex_finish(&secret->mutex);
}

/* Memory that is neither written to swap nor to a core dump. Where it cannot be locked (a small RLIMIT_MEMLOCK) it is used all the same. */
static char *
locked_memory(void)
{
	void *memory = mmap(NULL, ACCOUNT_SECRET_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		abort();
	}
	if (mlock(memory, ACCOUNT_SECRET_MAX) != 0) {
		log_debug("account", "event=secret-not-locked errno=%d", errno);
	}
	(void)madvise(memory, ACCOUNT_SECRET_MAX, MADV_DONTDUMP);
	return memory;
}

/* The first line of the file, checked once more on what was opened. */
static bool
read_file(const char *path, struct buf *out, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	ssize_t got;

	if (fd < 0) {
		error_errno(err, errno, "password-file %s", path);
		err->kind = ERROR_CREDENTIALS;
		return false;
	}
	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid() ||
		(status.st_mode & 077) != 0) {
		(void)close(fd);
		return error_set(err, ERROR_CREDENTIALS,
			"password-file %s is not a file that only we can read: chmod 600 it", path);
	}
	buf_reserve(out, ACCOUNT_SECRET_MAX);
	got = read(fd, out->data, ACCOUNT_SECRET_MAX);
	if (got < 0) {
		error_errno(err, errno, "password-file %s", path);
		err->kind = ERROR_CREDENTIALS;
		(void)close(fd);
		return false;
	}
	(void)close(fd);
	out->length = (size_t)got;
	out->length = slice_find(buf_slice(out), '\n');
	if (out->length > 0 && out->data[out->length - 1] == '\r') {
		out->length--;
	}
	return true;
}

static bool
ask(struct io *io, const struct config_account *config, struct cancel *cancel, struct buf *out, struct error *err)
{
	if (config->password_file != NULL) {
		return read_file(config->password_file, out, err);
	}
	if (config->token_command != NULL) {
		return io_run_line(
			       io, config->token_command, ACCOUNT_SECRET_MAX, COMMAND_TIMEOUT_MS, cancel, out, err) ||
		       error_wrap(err, "token-command");
	}
	if (config->password_command != NULL) {
		return io_run_line(io, config->password_command, ACCOUNT_SECRET_MAX, COMMAND_TIMEOUT_MS, cancel, out,
			       err) ||
		       error_wrap(err, "password-command");
	}
	return error_set(err, ERROR_CREDENTIALS,
		"the server wants a password, and the configuration has no password-command, password-file or "
		"token-command");
}

/* Asks without the lock, and keeps the answer. */
static bool
ask_and_keep(struct account_secret *secret, struct io *io, const struct config_account *config, struct cancel *cancel,
	struct error *err)
{
	struct buf answer = BUF_INIT;
	bool ok = ask(io, config, cancel, &answer, err);

	if (ok && (answer.length == 0 || answer.length > ACCOUNT_SECRET_MAX)) {
		ok = error_set(err, ERROR_CREDENTIALS, "the password is %s", answer.length == 0 ? "empty" : "too long");
	}
	mutex_lock(&secret->mutex);
	if (ok) {
		if (secret->memory == NULL) {
			secret->memory = locked_memory();
		}
		memcpy(secret->memory, answer.data, answer.length);
		secret->length = answer.length;
		secret->is_token = config->token_command != NULL;
	}
	secret->failure = ok ? ERROR_INIT : *err;
	secret->asking = false;
	condition_broadcast(&secret->answered);
	mutex_unlock(&secret->mutex);
	if (answer.data != NULL) {
		explicit_bzero(answer.data, answer.capacity);
	}
	buf_finish(&answer);
	return ok;
}

bool
account_secret_get(struct account_secret *secret, struct io *io, const struct config_account *config, bool again,
	struct cancel *cancel, struct buf *out, bool *out_is_token, struct error *err)
{
	bool waited = false;

	mutex_lock(&secret->mutex);
	while (secret->asking) {
		waited = true;
		(void)condition_wait_until(&secret->answered, &secret->mutex, io_now_ms(io) + WAIT_STEP_MS);
		if (cancel != NULL && cancel_raised(cancel)) {
			mutex_unlock(&secret->mutex);
			return error_set(err, ERROR_CANCELLED, "the login was given up");
		}
	}
	if (waited && secret->length == 0) { /* whoever asked has told why; asking a person twice would not help */
		*err = secret->failure;
		mutex_unlock(&secret->mutex);
		return err->kind != ERROR_NONE ? false : error_set(err, ERROR_CREDENTIALS, "there is no password");
	}
	if (again && !waited) { /* else what came meanwhile is new */
		wipe_locked(secret);
	}
	if (secret->length == 0) {
		secret->asking = true;
		mutex_unlock(&secret->mutex);
		if (!ask_and_keep(secret, io, config, cancel, err)) {
			return false;
		}
		mutex_lock(&secret->mutex);
	}
	if (secret->length == 0) {
		mutex_unlock(&secret->mutex);
		return error_set(err, ERROR_CREDENTIALS, "the password was forgotten while it was needed");
	}
	buf_reserve(out, secret->length); /* so that no copy is left behind by growing */
	buf_append(out, slice_make(secret->memory, secret->length));
	*out_is_token = secret->is_token;
	mutex_unlock(&secret->mutex);
	return true;
}
