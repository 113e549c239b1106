#include "tests/unit/engine_fixture.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

void
engine_fixture_create(struct engine_fixture *fixture, const char *lines)
{
	char path[128];
	FILE *file;

	*fixture = (struct engine_fixture){0};
	(void)snprintf(fixture->top, sizeof(fixture->top), "/tmp/engine_test.XXXXXX");
	assert_non_null(mkdtemp(fixture->top));
	(void)snprintf(path, sizeof(path), "%s/config", fixture->top);
	file = fopen(path, "we");
	assert_non_null(file);
	(void)fprintf(file, "[account home]\nstore = %s/store\n%s\n", fixture->top, lines);
	(void)fclose(file);
	struct error err;

	if (!config_load(path, NULL, 0, &fixture->config, &err)) {
		fail_msg("%s", err.text);
	}
}

void
engine_fixture_open(struct engine_fixture *fixture, const struct engine_options *options)
{
	struct error err;

	if (!engine_create(fixture->config, NULL, 0, options, &fixture->engine, &err) ||
		!engine_start(fixture->engine, &err)) {
		fail_msg("%s", err.text);
	}
	fixture->account = engine_account_by_name(fixture->engine, "home");
	assert_non_null(fixture->account);
}

void
engine_fixture_close(struct engine_fixture *fixture)
{
	if (fixture->engine != NULL) {
		engine_stop(fixture->engine, 0);
	}
	engine_destroy(&fixture->engine);
	fixture->account = NULL;
}

static int
remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	return remove(path);
}

void
engine_fixture_destroy(struct engine_fixture *fixture)
{
	engine_fixture_close(fixture);
	config_destroy(&fixture->config);
	assert_memory_equal(fixture->top, "/tmp/engine_test.", 17);
	(void)nftw(fixture->top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
