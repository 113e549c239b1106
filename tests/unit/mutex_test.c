#include "engine/base/mutex.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/assert_slice.h"

/* Runs f in a child process, quietly; tells whether it was ended by an assertion. */
static bool
aborts(void (*f)(void))
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		const struct rlimit no_core = {0, 0};

		(void)setrlimit(RLIMIT_CORE, &no_core);
		(void)signal(SIGABRT, SIG_DFL);
		(void)close(STDERR_FILENO);
		f();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static struct mutex account, store, leaf;

static void
init_all(void)
{
	mutex_init(&account, LOCK_RANK_ACCOUNT);
	mutex_init(&store, LOCK_RANK_WRITER);
	mutex_init(&leaf, LOCK_RANK_LEAF);
}

UNCHECKED_LOCKS static void
take_falling(void)
{
	mutex_lock(&store);
	mutex_lock(&account);
}

UNCHECKED_LOCKS static void
take_equal(void)
{
	struct mutex other;

	mutex_init(&other, LOCK_RANK_WRITER);
	mutex_lock(&store);
	mutex_lock(&other);
}

UNCHECKED_LOCKS static void
give_unheld(void)
{
	mutex_lock(&account);
	mutex_unlock(&store);
}

UNCHECKED_LOCKS static void
take_rising_and_give_in_any_order(void)
{
	mutex_lock(&account);
	mutex_lock(&store);
	mutex_lock(&leaf);
	mutex_unlock(&account);
	mutex_unlock(&leaf);
	mutex_lock(&leaf); /* store is still held, and below it */
	mutex_unlock(&leaf);
	mutex_unlock(&store);
	mutex_lock(&account);
	mutex_unlock(&account);
}

static void
ranks_must_rise(void **state)
{
	assert_true(aborts(take_falling));
	assert_true(aborts(take_equal));
	assert_true(aborts(give_unheld));
	assert_false(aborts(take_rising_and_give_in_any_order));
}

static int64_t
now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct condition changed;
static bool done;

static void *
finish_work(void *unused)
{
	mutex_lock(&store);
	done = true;
	condition_broadcast(&changed);
	mutex_unlock(&store);
	return unused;
}

static void
a_waiter_hears_of_a_change_or_of_its_deadline(void **state)
{
	pthread_t thread;
	int64_t start = now_ms();

	condition_init(&changed);
	mutex_lock(&store);
	assert_false(condition_wait_until(&changed, &store, start + 20));
	assert_true(now_ms() >= start + 20);
	assert_int_equal(pthread_create(&thread, NULL, finish_work, NULL), 0);
	while (!done) {
		assert_true(condition_wait_until(&changed, &store, start + 30000) || done);
	}
	mutex_unlock(&store);
	assert_int_equal(pthread_join(thread, NULL), 0);
	condition_finish(&changed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranks_must_rise),
		cmocka_unit_test(a_waiter_hears_of_a_change_or_of_its_deadline),
	};

	init_all();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
