/* A store in a directory of its own under /tmp, gone when the test ends. */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/random.h"
#include "engine/store/body.h"
#include "engine/store/change.h"
#include "engine/store/local.h"
#include "engine/store/mailbox.h"
#include "engine/store/message.h"
#include "engine/store/store.h"

#define assert_ok(call)                                              \
	do {                                                         \
		if (!(call)) {                                       \
			fail_msg("%s: %s", #call, fixture.err.text); \
		}                                                    \
	} while (0)

#define assert_fails(call, wanted)                                                     \
	do {                                                                           \
		if (call) {                                                            \
			fail_msg("%s: did not fail", #call);                           \
		}                                                                      \
		if (fixture.err.kind != (wanted)) {                                    \
			fail_msg("%s: failed otherwise: %s", #call, fixture.err.text); \
		}                                                                      \
		error_clear(&fixture.err);                                             \
	} while (0)

static struct {
	char above[64]; /* the directory that is removed */
	char path[96];  /* the store's */
	struct io *io;
	struct store *store;
	struct store_txn *txn;
	struct error err;
} fixture;

static inline int
fixture_setup(void **state)
{
	(void)snprintf(fixture.above, sizeof(fixture.above), "/tmp/mailfs-store-XXXXXX");
	assert_non_null(mkdtemp(fixture.above));
	(void)snprintf(fixture.path, sizeof(fixture.path), "%s/store", fixture.above);
	fixture.io = io_posix_create();
	fixture.txn = NULL;
	error_clear(&fixture.err);
	assert_ok(store_open(fixture.io, fixture.path, NULL, NULL, &fixture.store, &fixture.err));
	return 0;
}

static inline int
fixture_teardown(void **state)
{
	char command[128];

	if (fixture.txn != NULL) {
		if (store_is_write(fixture.txn)) {
			store_write_rollback(&fixture.txn);
		} else {
			store_read_end(&fixture.txn);
		}
	}
	store_close(&fixture.store);
	io_destroy(&fixture.io);
	(void)snprintf(command, sizeof(command), "rm -rf %s", fixture.above);
	return system(command);
}

static inline void
fixture_write(void)
{
	assert_ok(store_write_begin(fixture.store, STORE_MOUNT, &fixture.txn, &fixture.err));
}

static inline void
fixture_commit(void)
{
	assert_ok(store_write_commit(&fixture.txn, STORE_LAZY, &fixture.err));
}

static inline void
fixture_read(void)
{
	assert_ok(store_read_begin(fixture.store, &fixture.txn, &fixture.err));
}

static inline void
fixture_end(void)
{
	store_read_end(&fixture.txn);
}

static inline void
fixture_reopen(void)
{
	store_close(&fixture.store);
	assert_ok(store_open(fixture.io, fixture.path, NULL, NULL, &fixture.store, &fixture.err));
}

static inline struct mailbox_id
fixture_mailbox(const char *name)
{
	struct mailbox_id id;

	assert_ok(mailbox_create(fixture.txn, slice_of(name), MAILBOX_REAL, NULL, &id, &fixture.err));
	return id;
}

static inline struct envelope
fixture_envelope(const char *subject)
{
	return (struct envelope){
		.from = (char *)"Ana Ruiz <ana@example.org>",
		.from_short = (char *)"Ana Ruiz",
		.to = (char *)"me@example.org",
		.subject = (char *)subject,
		.date = (char *)"Tue, 3 Nov 2026 09:12:00 +0000",
		.message_id = (char *)"<1@example.org>",
		.date_s = 1793697120,
	};
}

/* A message without a body, listed under a made name, or `name`. */
static inline struct number
fixture_message(struct mailbox_id mailbox, const char *subject, const char *name)
{
	struct envelope envelope = fixture_envelope(subject);
	struct message_new new = {.mailbox = mailbox,
		.internaldate_s = 1793697120,
		.size_bytes = 1000,
		.envelope = &envelope,
		.name = slice_of(name)};
	struct number number;

	assert_ok(message_create(fixture.txn, &new, &number, &fixture.err));
	return number;
}

static inline void
fixture_audit(void)
{
	SCOPED(buf_finish) struct buf findings = BUF_INIT;

	assert_ok(store_audit(fixture.store, &findings, &fixture.err));
	if (findings.length > 0) {
		fail_msg("%s", findings.data);
	}
}

/* Runs a command that is to succeed. */
static inline void fixture_shell(const char *format, ...) PRINTF_LIKE(1, 2);

static inline void
fixture_shell(const char *format, ...)
{
	char command[1024];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	assert_int_equal(system(command), 0);
}

/* Opens the store that fixture_reopen or a test has closed. */
static inline bool
fixture_open(bool *out_rolled_back)
{
	return store_open(fixture.io, fixture.path, NULL, out_rolled_back, &fixture.store, &fixture.err);
}

/* Each in a write of its own. */
static inline struct mailbox_id
fixture_inbox(void)
{
	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX");

	fixture_commit();
	return inbox;
}

static inline struct number
fixture_add(struct mailbox_id mailbox)
{
	fixture_write();
	struct number number = fixture_message(mailbox, "x", NULL);

	fixture_commit();
	return number;
}

/* The name a message is listed under; to be freed. */
static inline char *
fixture_name(struct number number)
{
	SCOPED(listing_finish) struct listing listing = {0};

	assert_ok(listing_load(fixture.txn, number, &listing, &fixture.err));
	return slice_dup(listing.name);
}

#endif
