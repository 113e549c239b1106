#include "engine/watcher.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine/account.h"
#include "engine/base/log.h"
#include "engine/busiest.h"
#include "engine/listener.h"
#include "engine/store/base.h"
#include "engine/store/mailbox.h"

#define LISTENERS_MAX 8
#define LOOK_MS       60000 /* at least so often: the server may take more connections again */
#define COUNT_MS      2000  /* between two looks at what changed in the mailboxes */
#define HOUR_MS       3600000

struct mailbox_seen { /* a mailbox there, as the passes left it when it was looked at last */
	struct busiest_mailbox rank;
	char *raw_name;
	uint32_t uidnext, messages;
	uint64_t highestmodseq;
};

struct mailboxes_seen {
	struct mailbox_seen *items; /* by rising id */
	size_t count;
};

struct watcher {
	struct account *account;
	struct cancel *bell;
	pthread_t thread;
	bool started;
	struct listener *listeners[LISTENERS_MAX]; /* the first listens always, the others are spare */

	/* The thread's own. */
	struct mailboxes_seen seen;
	int64_t counted_ms, aged_ms;
	int look_ms; /* until it looks again of itself */
};

struct watcher *
watcher_create(struct account *account)
{
	struct watcher *watcher = calloc(1, sizeof(*watcher));

	if (watcher == NULL) {
		abort();
	}
	watcher->account = account;
	watcher->bell = cancel_create();
	for (size_t i = 0; i < LISTENERS_MAX; i++) {
		watcher->listeners[i] = listener_create(account, i > 0);
	}
	return watcher;
}

static void
forget_seen(struct mailboxes_seen *seen)
{
	for (size_t i = 0; i < seen->count; i++) {
		free(seen->items[i].raw_name);
	}
	free(seen->items);
	*seen = (struct mailboxes_seen){0};
}

void
watcher_destroy(struct watcher **watcher)
{
	if (*watcher == NULL) {
		return;
	}
	assert(!(*watcher)->started);
	for (size_t i = 0; i < LISTENERS_MAX; i++) {
		listener_destroy(&(*watcher)->listeners[i]);
	}
	forget_seen(&(*watcher)->seen);
	cancel_destroy(&(*watcher)->bell);
	free(*watcher);
	*watcher = NULL;
}

void
watcher_wake(struct watcher *watcher)
{
	cancel_raise(watcher->bell);
}

bool
watcher_give_back(struct watcher *watcher)
{
	for (size_t i = LISTENERS_MAX; i-- > 0;) {
		if (listener_give_back(watcher->listeners[i])) {
			return true;
		}
	}
	return false;
}

bool
watcher_hears_all(struct watcher *watcher)
{
	return listener_state(watcher->listeners[0]) == LISTENER_HEARS_ALL;
}

/* --- what changed in which mailbox --- */

static struct mailbox_seen *
find_seen(const struct mailboxes_seen *seen, struct mailbox_id id)
{
	size_t low = 0, high = seen->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (seen->items[middle].rank.id.value < id.value) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low < seen->count && seen->items[low].rank.id.value == id.value ? &seen->items[low] : NULL;
}

struct counting {
	const struct mailboxes_seen *before;
	struct mailboxes_seen now;
	size_t room;
};

/* Rows come by rising ids. */
static bool
count_mailbox(void *context, const struct base_mailbox *base, struct error *err)
{
	struct counting *counting = context;
	const struct mailbox_seen *before = find_seen(counting->before, base->mailbox);
	struct mailbox_seen *now;

	(void)err;
	if (base->gone_s != 0 || base->uidvalidity == 0 || (base->attributes & REMOTE_NOSELECT) != 0) {
		return true;
	}
	if (counting->now.count == counting->room) {
		counting->room = counting->room == 0 ? 64 : counting->room * 2;
		counting->now.items = reallocarray(counting->now.items, counting->room, sizeof(*now));
		if (counting->now.items == NULL) {
			abort();
		}
	}
	now = &counting->now.items[counting->now.count++];
	*now = (struct mailbox_seen){
		.rank = {.id = base->mailbox,
			.inbox = slice_equal_nocase(slice_of(base->raw_name), SLICE_LITERAL("INBOX"))},
		.raw_name = slice_dup(slice_of(base->raw_name)),
		.uidnext = base->uidnext,
		.messages = base->messages,
		.highestmodseq = base->highestmodseq,
	};
	if (before != NULL) {
		now->rank.changes = before->rank.changes;
		now->rank.changes += before->uidnext != now->uidnext || before->messages != now->messages ||
				     before->highestmodseq != now->highestmodseq;
	}
	return true;
}

static bool
rank_mailbox(void *context, const struct mailbox *mailbox, struct error *err)
{
	struct counting *counting = context;
	struct mailbox_seen *now = find_seen(&counting->now, mailbox->id);
	int64_t changed_s = mailbox->changed_ns / 1000000000;

	(void)err;
	if (now != NULL) {
		now->rank.dull = mailbox->role != NULL &&
				 (strcmp(mailbox->role, "trash") == 0 || strcmp(mailbox->role, "junk") == 0);
		now->rank.touched_s = changed_s > mailbox->opened_s ? changed_s : mailbox->opened_s;
	}
	return true;
}

/* Looks what changed in which mailbox since the last time. */
static void
count_changes(struct watcher *watcher)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct account *account = watcher->account;
	struct counting counting = {.before = &watcher->seen};
	int64_t now_ms = io_now_ms(account->io), hours = (now_ms - watcher->aged_ms) / HOUR_MS;
	struct error err = ERROR_INIT;

	watcher->counted_ms = now_ms;
	if (!store_read_begin(account->store, &txn, &err) ||
		!base_mailbox_each(txn, BASE_REMOTE, count_mailbox, &counting, &err) ||
		!mailbox_each(txn, false, rank_mailbox, &counting, &err)) {
		log_warn("watcher", "account=%s event=mailboxes-not-read reason=%s", account_name(account), err.text);
		forget_seen(&counting.now);
		return;
	}
	forget_seen(&watcher->seen);
	watcher->seen = counting.now;
	if (hours > 0) {
		watcher->aged_ms += hours * HOUR_MS;
		for (size_t i = 0; i < watcher->seen.count; i++) {
			watcher->seen.items[i].rank.changes = busiest_age(watcher->seen.items[i].rank.changes, hours);
		}
	}
}

/* --- who listens to what --- */

static struct listener *
listener_of(struct watcher *watcher, const char *raw_name)
{
	for (size_t i = 0; i < LISTENERS_MAX; i++) {
		const char *mailbox = listener_mailbox(watcher->listeners[i]);

		if (mailbox != NULL && strcmp(mailbox, raw_name) == 0) {
			return watcher->listeners[i];
		}
	}
	return NULL;
}

/* Gives out the mailboxes that were chosen: who listens to one of them goes on, the others take what is left. */
static void
give_out(struct watcher *watcher, const char *const *names, size_t count, size_t most)
{
	bool taken[LISTENERS_MAX] = {false};
	size_t next = 0;

	for (size_t i = 0; i < most; i++) {
		const char *mailbox = listener_mailbox(watcher->listeners[i]);

		for (size_t j = 0; mailbox != NULL && j < count; j++) {
			taken[j] = taken[j] || strcmp(names[j], mailbox) == 0;
		}
	}
	for (size_t i = 0; i < LISTENERS_MAX; i++) {
		struct listener *listener = watcher->listeners[i];
		const char *mailbox = listener_mailbox(listener);
		struct error err = ERROR_INIT;
		bool goes_on = false;

		for (size_t j = 0; i < most && mailbox != NULL && j < count; j++) {
			goes_on = goes_on || strcmp(names[j], mailbox) == 0;
		}
		if (goes_on) {
			continue;
		}
		while (next < count && taken[next]) {
			next++;
		}
		if (i >= most || next == count) {
			listener_set(listener, NULL);
			continue;
		}
		taken[next] = true;
		listener_set(listener, names[next]);
		if (!listener_start(listener, &err)) {
			log_warn("watcher", "account=%s event=no-listener reason=%s", account_name(watcher->account),
				err.text);
		}
	}
}

/* The busiest mailboxes, one to a connection. */
static void
spread(struct watcher *watcher, size_t most)
{
	struct busiest_mailbox *ranks;
	const char *names[LISTENERS_MAX];
	size_t chosen[LISTENERS_MAX], count;

	if (watcher->seen.count == 0 || io_now_ms(watcher->account->io) - watcher->counted_ms >= COUNT_MS) {
		count_changes(watcher);
	} else {
		watcher->look_ms = COUNT_MS;
	}
	if (watcher->seen.count == 0) {
		return;
	}
	ranks = calloc(watcher->seen.count, sizeof(*ranks));
	if (ranks == NULL) {
		abort();
	}
	for (size_t i = 0; i < watcher->seen.count; i++) {
		ranks[i] = watcher->seen.items[i].rank;
		ranks[i].heard = listener_of(watcher, watcher->seen.items[i].raw_name) != NULL;
	}
	count = busiest_choose(ranks, watcher->seen.count, most, chosen);
	for (size_t i = 0; i < count; i++) {
		names[i] = watcher->seen.items[chosen[i]].raw_name;
	}
	free(ranks);
	give_out(watcher, names, count, most);
}

static void
plan(struct watcher *watcher)
{
	size_t most = account_listeners_max(watcher->account);

	most = most < LISTENERS_MAX ? most : LISTENERS_MAX;
	if (most == 0) {
		give_out(watcher, NULL, 0, 0);
		return;
	}
	switch (listener_state(watcher->listeners[0])) {
	case LISTENER_HEARS_ONE:
		spread(watcher, most);
		break;
	case LISTENER_HEARS_ALL:
	case LISTENER_CANNOT:
		give_out(watcher, &(const char *){"INBOX"}, 1, 1);
		break;
	case LISTENER_RESTS: /* it finds out what the server can; the others go on meanwhile */
		if (listener_mailbox(watcher->listeners[0]) == NULL) {
			give_out(watcher, &(const char *){"INBOX"}, 1, 1);
		}
		for (size_t i = most; i < LISTENERS_MAX; i++) {
			listener_set(watcher->listeners[i], NULL);
		}
		break;
	}
}

/* Rests until the bell, the stop or the time. */
static void
rest(struct watcher *watcher, int timeout_ms)
{
	struct pollfd fds[] = {
		{.fd = cancel_fd(watcher->bell), .events = POLLIN},
		{.fd = cancel_fd(watcher->account->stop), .events = POLLIN},
	};

	if (poll(fds, ARRAY_LENGTH(fds), timeout_ms) < 0 && errno != EINTR) {
		io_sleep_ms(watcher->account->io, 100);
	}
	cancel_clear(watcher->bell);
}

static void *
run(void *context)
{
	struct watcher *watcher = context;
	struct account *account = watcher->account;

	account_mark_thread();
	watcher->aged_ms = io_now_ms(account->io);
	while (!cancel_raised(account->stop)) {
		watcher->look_ms = LOOK_MS;
		plan(watcher);
		for (size_t i = 0; i < LISTENERS_MAX; i++) {
			listener_wake(watcher->listeners[i]);
		}
		rest(watcher, watcher->look_ms);
	}
	return NULL;
}

bool
watcher_start(struct watcher *watcher, struct error *err)
{
	int answer = pthread_create(&watcher->thread, NULL, run, watcher);

	if (answer != 0) {
		return error_errno(err, answer, "cannot start the watcher's thread");
	}
	watcher->started = true;
	return true;
}

void
watcher_stop(struct watcher *watcher)
{
	int answer;

	if (!watcher->started) {
		return;
	}
	answer = pthread_join(watcher->thread, NULL);
	assert(answer == 0);
	watcher->started = false;
	for (size_t i = 0; i < LISTENERS_MAX; i++) {
		listener_stop(watcher->listeners[i]);
	}
}
