/* The inside of a store: for the files store*.c alone.
 *
 *   store.c         open, close, meta
 *   store_marks.c   the files `marks` and `<store>.id` (S6)
 *   store_read.c    snapshots
 *   store_txn.c     the queue of writers, between threads and between processes; commits (S8)
 *   store_group.c   brief writes that share a commit
 *   store_counters.c  what a transaction knows by heart
 *   store_log.c     making commits durable, and checkpoints
 *   store_behind.c  writes beside their caller
 *   store_thread.c  the store's thread: rides lazy commits to the disk, hears `wake`, checkpoints
 *   store_sweep.c   bodies nobody needs, old tombstones;  store_sweep_packs.c  their packs;  store_audit.c  what must agree
 *
 * Locks: `lock` guards the queue of writers, what is durable, and the listener; `readers_lock` the idle connections. What is marked
 * "turn" belongs to the thread whose write is running, or that took the turn by store_turn_take.
 */
#ifndef STORE_STORE_PARTS_H
#define STORE_STORE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/base/mutex.h"
#include "engine/store/body_internal.h"
#include "engine/store/store_internal.h"

#define STORE_DATABASE "store.db"
#define STORE_LOG      "store.db-wal"
#define STORE_ID_BYTES 16

/* Blocks of numbers and modseqs that `marks` records before any of them is used. */
#define STORE_NUMBERS_BLOCK 4096u
#define STORE_MODSEQS_BLOCK (1u << 20)

struct store_marks {
	uint8_t id[STORE_ID_BYTES];
	uint64_t number_limit; /* numbers up to this one may be in use */
	uint64_t modseq_limit;
	uint64_t epoch; /* a random word that the database knows as its own or as its next; else it is an old copy */
};

struct store_txn {
	struct store *store;
	struct db *db;
	struct store_txn *next_idle; /* of a reader */
	bool write;
	bool brief; /* may be left in the group */
	bool lazy;  /* how it is committed */
	enum store_priority priority;
	int64_t began_ms;
	int64_t wall_ns;     /* 0: not asked for yet */
	struct error broken; /* of a write: what failed where nothing could be told; its commit tells */

	/* counters of the store: as of the snapshot, then as taken */
	bool counters_known;
	uint64_t modseq, number, given;
	uint64_t modseq_before, number_before, given_before;

	struct store_counters *mailboxes;
	size_t mailboxes_count, mailboxes_capacity;
};

/* What a brief write has to put back if it fails before it touched a row. */
struct store_undo {
	uint64_t changes; /* rows that the connection had changed */
	uint64_t modseq, number, given;
	struct store_counters *mailboxes;
	size_t count, capacity;
};

struct store {
	struct io *io;
	struct io_dir *dir;
	char *database_path;
	uint8_t id[STORE_ID_BYTES];

	struct io_lock_file *schema_lock;
	struct io_lock_file *writer_lock; /* turn */
	struct db *writer;                /* turn */
	struct store_txn write;           /* turn: the running write */
	struct store_marks marks;         /* turn: as last read or written */
	bool epoch_renewed;               /* turn: by this process (S6) */

	atomic_bool group_open;      /* set with the turn: `write` holds brief writes that are not committed */
	atomic_llong group_since_ms; /* set with the turn */
	unsigned group_writes;       /* turn */
	struct store_undo undo;      /* turn */
	struct store_txn look;       /* turn: somebody looks into the group */
	unsigned look_depth;         /* turn */
	atomic_ullong lost_modseq;   /* a group was lost: a reader of the feed below this lists anew */
	atomic_ullong lost_number;
	atomic_bool loss_untold; /* to the listener */
	struct error lost;       /* under lock: for the next sync to tell */

	int wake_fd;
	int log_fd;

	struct mutex lock;
	struct condition turns;         /* with lock: a turn ended */
	bool turn_taken;                /* under lock */
	uint64_t tickets[2], served[2]; /* under lock: by enum store_priority */
	atomic_uint mount_waits;        /* writers of the mount in the queue; read without the lock */
	pthread_t turn_thread;          /* under lock: who has it, to catch a thread that begins two */

	struct condition synced; /* with lock: a sync ended */
	uint64_t committed;      /* under lock: commits of this process */
	uint64_t durable;        /* under lock: of these, on the disk */
	uint64_t wake_at_sync;   /* under lock: what `wake` said when the last sync that worked began */
	int64_t lazy_since_ms;   /* under lock: when the first commit that is not durable was made; 0: none */
	bool syncing;            /* under lock */
	bool log_suspect; /* under lock: an fsync of the log failed, so it counts for nothing until it was copied and cut */
	atomic_ullong log_pages; /* in the log as of the last commit */
	uint64_t syncs;          /* under lock: how many there were */

	void (*changed)(void *context); /* under lock */
	void *changed_context;          /* under lock */
	uint64_t announced;             /* under lock: modseq of which the listener was told */
	unsigned announcing;            /* under lock: calls that are running */
	struct condition announced_all; /* with lock */

	struct mutex readers_lock;
	struct store_txn *idle; /* under readers_lock */
	unsigned idle_count;    /* under readers_lock */
	unsigned open_readers;  /* under readers_lock */

	pthread_t thread;
	bool thread_runs;
	struct cancel *nudge; /* wakes the thread */
	atomic_bool ending;
	struct io_watch *watch; /* of `wake`; NULL where the kernel gives none, then it is looked at now and then */
	struct body_verified *verified;
	struct body_packs *packs;
	struct db *upkeep; /* the thread's, and store_maintain's under upkeep_lock */
	struct mutex upkeep_lock;
};

/* --- store_marks.c --- */
/* ERROR_GONE: there is no such file; ERROR_DAMAGED: it can't be read. */
bool store_marks_load(struct store *store, struct store_marks *out, struct error *err) MUST_CHECK;
bool store_marks_save(struct store *store, const struct store_marks *marks, struct error *err) MUST_CHECK;
/* Raises the limits so that `number` and `modseq` may be used. With the turn. */
bool store_marks_reach(struct store *store, uint64_t number, uint64_t modseq, struct error *err) MUST_CHECK;
/* Compares the database with its marks, in the write `txn`: *out_rolled_back when it is an old copy, whose counters are then moved above. */
bool store_marks_check(struct store_txn *txn, bool *out_rolled_back, struct error *err) MUST_CHECK;
/* In two steps around a durable commit: gives the database its next epoch, then the marks. */
bool store_marks_renew_begin(struct store_txn *txn, uint64_t *out_epoch, struct error *err) MUST_CHECK;
bool store_marks_renew_end(struct store *store, uint64_t epoch, struct error *err) MUST_CHECK;
/* Removes what a process that was ended left beside the file with the store's id, while nobody else can be writing it. */
void store_marks_sweep_known(struct io *io, const char *path);
/* The id in the file beside the store: *out_known false where there is none, or where it can't be kept. */
bool store_marks_known_id(
	struct io *io, const char *path, uint8_t out[STORE_ID_BYTES], bool *out_known, struct error *err) MUST_CHECK;
bool store_marks_make_known(struct io *io, const char *path, const uint8_t id[STORE_ID_BYTES], struct error *err)
	MUST_CHECK;

/* --- store_group.c --- */
#define STORE_GROUP_MS 10
/* Ends a brief write by leaving it in the group; gives the turn. */
bool store_group_keep(struct store_txn *txn, struct error *err) MUST_CHECK;
/* Ends a brief write that failed, in an open group; gives the turn. */
void store_group_undo(struct store_txn *txn);
/* Commits the group, if one is open. Whoever has the turn keeps it, and nothing happens. */
void store_group_settle(struct store *store);
/* The same with the turn, which stays with the caller; the lock between processes is given. On failure the group is lost. */
bool store_group_close_in_turn(struct store *store, uint64_t *out_commit, struct error *err) MUST_CHECK;
/* When the thread is to settle it; INT64_MAX: there is none. */
int64_t store_group_due_ms(struct store *store);
/* False, once, after a group was lost. */
bool store_group_tell_loss(struct store *store, struct error *err) MUST_CHECK;

/* --- store_txn.c --- */
bool store_turn_is_mine(struct store *store);
void store_turn_take(struct store *store, enum store_priority priority);
void store_turn_give(struct store *store);
/* The lock between processes, with the turn. */
bool store_writer_lock(struct store *store, struct error *err) MUST_CHECK;
void store_writer_unlock(struct store *store);
bool store_write_begin_in_turn(
	struct store *store, enum store_priority priority, struct store_txn **out, struct error *err) MUST_CHECK;
/* Writes the counters and commits; the turn and the lock between processes stay with the caller. On failure it is rolled back. */
bool store_commit_in_turn(struct store_txn *txn, uint64_t *out_commit, struct error *err) MUST_CHECK;
/* --- store_counters.c --- */
/* Writes what has changed into the rows. */
bool store_write_counters(struct store_txn *txn, struct error *err) MUST_CHECK;
/* Reads the store's counters, once per transaction. */
bool store_load_counters(struct store_txn *txn, struct error *err) MUST_CHECK;

/* --- store_read.c --- */
void store_readers_close(struct store *store);

/* --- store.c --- */
/* Tells the listener, unless it knows of `modseq`. No lock may be held. */
void store_announce(struct store *store, uint64_t modseq);
bool store_wake_read(struct store *store, uint64_t *out_modseq);

/* --- store_log.c --- */
/* Numbers a commit that has just been made, with the turn, and wakes the thread where it is to see to it. */
uint64_t store_log_note_commit(struct store *store, bool lazy, uint64_t pages);
bool store_log_open(struct store *store, struct error *err) MUST_CHECK;
/* Returns when the commit with that number is on the disk. */
bool store_log_sync(struct store *store, uint64_t commit, struct error *err) MUST_CHECK;
/* Copies the log into the database, and lets the next writer begin it anew when it is long; `idle`: cuts a file that has grown too large. Does nothing
 * where somebody is in the way. */
bool store_log_checkpoint(struct store *store, bool idle, struct error *err) MUST_CHECK;
#define STORE_LOG_DUE_BYTES  (16u << 20)
#define STORE_LOG_LONG_BYTES (32u << 20)
#define STORE_LOG_KEPT_BYTES (64u << 20) /* on the disk: room that is there need not be found again at each commit */

static inline bool
store_log_is_due(uint64_t pages)
{
	return pages * DB_PAGE_BYTES >= STORE_LOG_DUE_BYTES;
}

/* --- store_sweep.c --- */
/* Removes spools, contents of local files that nothing refers to, and marks that were not finished. Nobody else may have the store open. */
bool store_sweep_leftovers(struct store *store, struct error *err) MUST_CHECK;

/* --- store_sweep_packs.c --- */
bool store_sweep_packs(struct store *store, struct error *err) MUST_CHECK;

/* --- store_thread.c --- */
bool store_thread_start(struct store *store, struct error *err) MUST_CHECK;
void store_thread_end(struct store *store);
void store_thread_nudge(struct store *store);

#endif
