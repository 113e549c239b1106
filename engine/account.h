/* One opened account: its configuration, store, remote and threads, what state it is in, and who wants to hear of it. For the files of
 * engine alone; fs sees `struct account` as a name.
 *
 * The configuration may be replaced while threads run (engine_reload): account_config gives the newest; older ones live as long as the
 * engine, so that nobody's strings go away. `config_generation` tells a thread that what it opened is of yesterday.
 *
 * Threads of the account mark themselves by account_mark_thread: a commit of theirs is no news to the worker.
 */
#ifndef ENGINE_ACCOUNT_H
#define ENGINE_ACCOUNT_H

#include <stdatomic.h>

#include "engine/account_secret.h"
#include "engine/base/mutex.h"
#include "engine/engine.h"
#include "engine/io/io.h"
#include "engine/remote/remote.h"
#include "engine/store/store.h"
#include "engine/sync/sync.h"

/* What a person meets (design 7, States). */
enum account_state {
	ACCOUNT_STOPPED,     /* no thread of ours syncs, and no other process is known to */
	ACCOUNT_STANDBY,     /* another process drives the account; we take over when it ends */
	ACCOUNT_STARTING,    /* we drive it, and have not connected yet */
	ACCOUNT_SYNCING,     /* a pass runs */
	ACCOUNT_IDLE,        /* both sides agreed when last seen */
	ACCOUNT_OFFLINE,     /* the remote can't be reached; everything local goes on */
	ACCOUNT_CREDENTIALS, /* the remote refused the login, or its certificate was refused: a person is needed */
	ACCOUNT_THROTTLED,   /* the remote asked us to wait */
	ACCOUNT_HELD,        /* the last pass left changes that a person must confirm */
	ACCOUNT_FAILING,     /* the last pass, or some of its items, failed for another reason */
	ACCOUNT_STATE_COUNT,
};

struct account_condition {
	enum account_state state;
	int64_t since_s;      /* by the wall clock */
	int64_t next_try_s;   /* 0: none is planned */
	enum error_kind kind; /* of the reason; ERROR_NONE: there is none */
	char reason[ERROR_TEXT_MAX];
};

struct account_progress { /* of the pass that runs */
	char phase[64];   /* empty: none runs */
	uint64_t done, total;
};

#define ACCOUNT_LISTENERS_MAX  8
#define ACCOUNT_DELIVERIES_MAX 64

struct worker;
struct hydrator;
struct watcher;
struct driver;

struct account {
	struct engine *engine;
	struct io *io;
	bool sync, mounted;
	_Atomic(const struct config_account *) config;
	atomic_uint config_generation;
	uint8_t octet;
	struct store *store;  /* NULL before the start, and where there is a failure */
	struct error failure; /* of the start; of no kind where there is none */
	atomic_bool
		rolled_back; /* the store was an old copy when it was opened, and no full pass has been over it (S6) */
	struct cancel *stop; /* raised: everything that waits ends */

	struct mutex remote_mutex;  /* rank ACCOUNT: one thread makes the remote */
	struct remote *remote;      /* under remote_mutex; of remote_generation */
	struct remote *retired[16]; /* under remote_mutex: sessions of theirs may be open still */
	size_t retired_count;
	unsigned remote_generation;
	struct account_secret secret;

	struct mutex mutex;                              /* rank LEAF: nothing is called under it */
	struct condition session_freed;                  /* with mutex */
	unsigned sessions_open;                          /* under mutex */
	unsigned sessions_max;                           /* under mutex; at most config->connections */
	unsigned sessions_wanted;                        /* under mutex: threads that wait for one */
	int64_t sessions_shrunk_ms;                      /* under mutex: when the server took fewer; 0: never */
	struct account_condition condition;              /* under mutex */
	struct account_progress progress;                /* under mutex */
	uint64_t octets_in, octets_out, turns, commands; /* under mutex: of sessions that are closed */
	struct {
		uint64_t number;
		int64_t at_ms;
	} deliveries[ACCOUNT_DELIVERIES_MAX]; /* under mutex: messages made lately (design 5, Times) */
	unsigned deliveries_next;
	uint64_t reserved_next, reserved_end; /* under mutex: numbers taken for messages that are being written */
	struct mailbox_id trash;              /* under mutex: where rm goes, as last found */
	int64_t trash_found_ms;

	struct mutex listener_mutex; /* rank IO: held while they are called */
	struct {
		void (*changed)(void *context);
		void *context;
	} listeners[ACCOUNT_LISTENERS_MAX]; /* under listener_mutex */
	unsigned listener_count;            /* under listener_mutex */

	struct io_lock_file *writers; /* locks/writers: an octet to a pending row of a living writer */

	struct worker *worker;
	struct hydrator *hydrator;
	struct watcher *watcher;
	struct driver *driver;
};

struct account *account_create(
	struct engine *engine, struct io *io, const struct config_account *config, bool sync, bool mounted);
void account_destroy(struct account **account);
/* Opens the store. No thread is started. Where it fails the account is left unusable. */
bool account_open(struct account *account, struct error *err) MUST_CHECK;
/* Starts the driving thread, where the account is to be kept in step. */
bool account_start(struct account *account, struct error *err) MUST_CHECK;
/* Ends all threads. The store stays open until account_destroy. */
void account_stop(struct account *account);
/* A newer configuration of the same account. ERROR_CONFIG where it is another's store or login. */
bool account_reconfigure(struct account *account, const struct config_account *config, struct error *err) MUST_CHECK;

/* A full pass has been over an old copy of the store. */
void account_settle_rollback(struct account *account);

/* Marks the calling thread as the engine's. */
void account_mark_thread(void);
/* False, with the failure, where the account is unusable. */
bool account_check(const struct account *account, struct error *err) MUST_CHECK;
/* A change was committed for a user: the worker is told, whatever thread this is. */
void account_edited(struct account *account);
/* ERROR_REFUSED with EROFS where the direction is `pull`: nothing may be changed here. */
bool account_check_writable(const struct account *account, struct error *err) MUST_CHECK;
/* Tells the listeners. */
void account_announce(struct account *account);

/* The one way into a state. `error` (may be NULL) gives the reason; next_try_ms is monotonic, 0: none. */
void account_enter_state(
	struct account *account, enum account_state state, const struct error *error, int64_t next_try_ms);
struct account_condition account_condition_get(struct account *account);
const char *account_state_name(enum account_state state);
void account_set_progress(struct account *account, const char *phase_or_null, uint64_t done, uint64_t total);
struct account_progress account_progress_get(struct account *account);

/* --- sessions: at most config->connections at once, fewer where the server says so --- */
/* Connects and logs in; waits its turn for at most 30 s (ERROR_RETRY). `cancel` ends the session's waiting for its whole life. */
bool account_session_open(
	struct account *account, struct cancel *cancel, struct remote_session **out, struct error *err) MUST_CHECK;
/* The same only where that leaves another turn free; else ERROR_RETRY at once. */
bool account_session_open_spare(
	struct account *account, struct cancel *cancel, struct remote_session **out, struct error *err) MUST_CHECK;
/* How many sessions may listen now. */
unsigned account_listeners_max(struct account *account);
/* Accepts NULL inside. */
void account_session_close(struct account *account, struct remote_session **session);
/* Somebody waits for a session: those that rest should be closed. */
bool account_session_wanted(struct account *account);
/* The remote, made when it is first asked for. */
bool account_remote(struct account *account, struct remote **out, struct error *err) MUST_CHECK;

/* The settings of sync as configured; strings are the configuration's. */
struct sync_settings account_sync_settings(struct account *account);

#endif
