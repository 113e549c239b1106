/* A store in a temporary directory with an engine around it, for the tests of engine/. */
#ifndef TESTS_ENGINE_FIXTURE_H
#define TESTS_ENGINE_FIXTURE_H

#include "engine/engine.h"

struct engine_fixture {
	char top[64];
	struct config *config;
	struct engine *engine;
	struct account *account; /* "home" */
};

/* Makes the directory and a configuration with the account "home", `lines` in its section. */
void engine_fixture_create(struct engine_fixture *fixture, const char *lines);
/* Opens the engine on it. */
void engine_fixture_open(struct engine_fixture *fixture, const struct engine_options *options);
void engine_fixture_close(struct engine_fixture *fixture);
/* Closes it and removes the directory. */
void engine_fixture_destroy(struct engine_fixture *fixture);

#endif
