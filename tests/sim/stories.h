/* Small stories: before, what changes on each side, passes, after. Each is told to several kinds of servers. */
#ifndef SIM_STORIES_H
#define SIM_STORIES_H

#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/world.h"

enum server_kind { DOVECOT, CYRUS, PLAIN, BARE, SERVER_KINDS };

#define ON(kind)       (1u << (kind))
#define ON_ALL         (ON(SERVER_KINDS) - 1)
#define ON_GUIDS       (ON(DOVECOT) | ON(CYRUS))
#define ON_MAILBOX_IDS (ON(DOVECOT) | ON(CYRUS))
#define ON_UIDPLUS     (ON(DOVECOT) | ON(CYRUS) | ON(PLAIN))

static const struct server_model {
	const char *name;
	struct model_options options;
} server_models[SERVER_KINDS] = {
	[DOVECOT] = {"Dovecot", {.guids = MODEL_GUIDS_INSTANCE, .mailbox_ids = GUID_X_GUID}},
	[CYRUS] = {"Cyrus", {.guids = MODEL_GUIDS_CONTENT, .mailbox_ids = GUID_MAILBOXID, .tells_flags = true}},
	[PLAIN] = {"plain", {.guids = MODEL_GUIDS_NONE, .without_move = true}},
	[BARE] = {"bare", {.guids = MODEL_GUIDS_NONE,
				  .without_move = true,
				  .without_uidplus = true,
				  .without_modseq = true,
				  .without_status = true}},
};

struct story {
	const char *name;
	void (*tell)(void **state);
	unsigned on;
};

#define STORY(function, servers)                                                 \
	{                                                                        \
		.name = #function, .tell = (function), .on = (unsigned)(servers) \
	}

static inline int
story_begin(void **state)
{
	const struct server_model *model = *state;

	world_begin(&(struct world_options){.server = model->options});
	return 0;
}

static inline int
story_end(void **state)
{
	(void)state;
	world_end();
	return 0;
}

static inline bool
world_is(enum server_kind kind)
{
	return memcmp(&world.options.server, &server_models[kind].options, sizeof(struct model_options)) == 0;
}

/* Tells every story to each server it is for. MAILFS_STORY names one. */
static inline int
stories_tell(const char *title, const struct story *stories, size_t count)
{
	struct CMUnitTest *tests = calloc(count * SERVER_KINDS, sizeof *tests);
	const char *only = getenv("MAILFS_STORY");
	size_t total = 0;

	assert_non_null(tests);
	for (size_t i = 0; i < count; i++) {
		for (size_t kind = 0; kind < SERVER_KINDS; kind++) {
			struct buf name = BUF_INIT;

			if ((stories[i].on & ON(kind)) == 0) {
				continue;
			}
			buf_printf(&name, "%s [%s]", stories[i].name, server_models[kind].name);
			if (only != NULL && strstr(name.data, only) == NULL) {
				buf_finish(&name);
				continue;
			}
			tests[total++] = (struct CMUnitTest){
				.name = buf_take(&name),
				.test_func = stories[i].tell,
				.setup_func = story_begin,
				.teardown_func = story_end,
				.initial_state = (void *)(uintptr_t)&server_models[kind],
			};
		}
	}
	int failed = _cmocka_run_group_tests(title, tests, total, NULL, NULL);

	for (size_t i = 0; i < total; i++) {
		free((char *)(uintptr_t)tests[i].name);
	}
	free(tests);
	return failed;
}

/* INBOX and Archive on both sides, with m1, m2 and m3 in INBOX. */
static inline void
three_messages(void)
{
	there_create("Archive");
	there_add("INBOX", "m1");
	there_add("INBOX", "m2");
	there_add("INBOX", "m3");
	world_settle();
	expect_both("INBOX", "m1 m2 m3");
	world_expect_equal();
}

#endif
