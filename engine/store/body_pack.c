/* Packs: bodies that came from the remote, one behind the other in files (S4, docs/adr/0006).
 *
 * A row of the database goes to its log first and into the file later: twice to the disk, and twice through the processor. What a remote can serve again
 * need not be kept so carefully, so its octets are appended to a pack, once, before the transaction that writes its row. Before the log is made durable the
 * packs are (body_packs_sync), so a row that is durable has its octets, save after a loss of power at the wrong moment: then the body does not have its
 * digest, and is fetched again (S5).
 *
 * Who appends holds a slot: an octet of `locks/packs`. A pack's number modulo BODY_PACK_SLOTS is its slot; of each slot only the pack of the
 * highest number is appended to, so the others can be removed, and a process goes on where an earlier one ended.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/store/store_parts.h"

#define DIRECTORY    "bodies/packs"
#define LOCK_FILE    "locks/packs"
#define PACK_BYTES   (64u << 20)  /* then another is begun */
#define PIECE_BYTES  (256u << 10) /* written at a time */
#define DIRECT_BYTES (16u << 10)  /* larger ones are not gathered first */
#define READERS      8u

struct pack_reader { /* an open pack: the kernel reads ahead for who reads on */
	uint64_t pack;
	int fd; /* -1: none */
	unsigned users;
	uint64_t used;
};

struct body_packs {
	struct store *store;
	struct mutex lock;          /* of what is appended to, and of the readers */
	struct mutex sync_lock;     /* fd changes with both */
	int fd;                     /* of the pack that is appended to, or -1 */
	uint64_t pack, end;         /* under lock */
	struct io_lock_file *slots; /* under lock: holds the slot */
	uint64_t slot;              /* under lock */
	bool spoiled;               /* under lock: nothing more is appended to it */
	atomic_bool dirty;
	struct pack_reader readers[READERS]; /* under lock */
	uint64_t clock;                      /* under lock */
	struct buf piece;                    /* under lock */
};

void
body_pack_name(uint64_t pack, char out[BODY_PACK_NAME_BYTES])
{
	(void)snprintf(out, BODY_PACK_NAME_BYTES, DIRECTORY "/%016llx", (unsigned long long)pack);
}

uint64_t
body_pack_number(const char *name)
{
	uint64_t number = 0;

	if (strlen(name) != 16 || strspn(name, "0123456789abcdef") != 16 || name[0] > '7') {
		return 0;
	}
	for (; *name != '\0'; name++) {
		number = number << 4 | (uint64_t)(*name <= '9' ? *name - '0' : *name - 'a' + 10);
	}
	return number;
}

struct body_packs *
body_packs_create(struct store *store)
{
	struct body_packs *packs = calloc(1, sizeof(*packs));

	if (packs == NULL) {
		abort();
	}
	packs->store = store;
	packs->fd = -1;
	mutex_init(&packs->lock, LOCK_RANK_READERS);
	mutex_init(&packs->sync_lock, LOCK_RANK_IO);
	for (size_t i = 0; i < READERS; i++) {
		packs->readers[i].fd = -1;
	}
	return packs;
}

void
body_packs_destroy(struct body_packs **pointer)
{
	struct body_packs *packs = *pointer;

	if (packs == NULL) {
		return;
	}
	io_close(packs->store->io, &packs->fd);
	io_lock_file_close(&packs->slots);
	for (size_t i = 0; i < READERS; i++) {
		assert(packs->readers[i].users == 0);
		io_close(packs->store->io, &packs->readers[i].fd);
	}
	buf_finish(&packs->piece);
	mutex_finish(&packs->lock);
	mutex_finish(&packs->sync_lock);
	free(packs);
	*pointer = NULL;
}

/* --- appending --- */

bool
body_packs_sync(struct body_packs *packs, struct error *err)
{
	mutex_lock(&packs->sync_lock);
	bool done =
		packs->fd < 0 || !atomic_exchange(&packs->dirty, false) || io_fsync(packs->store->io, packs->fd, err);

	mutex_unlock(&packs->sync_lock);
	if (!done) {
		log_error("store", "event=fsync-failed file=%s/%s reason=\"%s\"", io_dir_path(packs->store->dir),
			DIRECTORY, err->text);
		mutex_lock(&packs->lock);
		packs->spoiled = true;
		mutex_unlock(&packs->lock);
		atomic_store(&packs->dirty, true); /* tried again; what is lost is found when it is read */
	}
	return done;
}

/* Leaves the pack behind, durable. Where that fails a second time it is left all the same. */
static bool
end_pack_locked(struct body_packs *packs, struct error *err) REQUIRES(packs->lock)
{
	mutex_lock(&packs->sync_lock);
	bool done = !atomic_load(&packs->dirty) || io_fsync(packs->store->io, packs->fd, err) || packs->spoiled;

	if (done) {
		atomic_store(&packs->dirty, false);
		io_close(packs->store->io, &packs->fd);
	} else {
		packs->spoiled = true;
	}
	mutex_unlock(&packs->sync_lock);
	return done;
}

/* Takes a slot for the life of the store; false in *out_taken where others have them all. */
static bool
take_slot_locked(struct body_packs *packs, bool *out_taken, struct error *err) REQUIRES(packs->lock)
{
	SCOPED(io_lock_file_close) struct io_lock_file *slots = NULL;

	*out_taken = packs->slots != NULL;
	if (*out_taken) {
		return true;
	}
	if (!io_lock_file_open(packs->store->dir, LOCK_FILE, &slots, err)) {
		return false;
	}
	for (uint64_t slot = 0; slot < BODY_PACK_SLOTS; slot++) {
		if (io_lock(slots, slot, IO_LOCK_EXCLUSIVE, 0, NULL, err)) {
			packs->slots = slots;
			packs->slot = slot;
			packs->pack = 0;
			slots = NULL;
			*out_taken = true;
			return true;
		}
		if (err->kind != ERROR_RETRY) {
			return false;
		}
		error_clear(err);
	}
	return true;
}

static bool
note_highest(void *context, const char *name)
{
	struct body_packs *packs = context;
	uint64_t pack = body_pack_number(name);

	if (pack > packs->pack && pack % BODY_PACK_SLOTS == packs->slot) {
		packs->pack = pack;
	}
	return true;
}

/* Finds the pack to append to: the highest of the slot, or the one behind it where that is full or spoiled. */
static bool
find_pack_locked(struct body_packs *packs, uint64_t *out_size, struct error *err) REQUIRES(packs->lock)
{
	char name[BODY_PACK_NAME_BYTES];
	struct io_stat st = {0};

	if (!io_list(packs->store->dir, DIRECTORY, note_highest, packs, err)) {
		return false;
	}
	if (packs->pack != 0) {
		body_pack_name(packs->pack, name);
		if (!io_stat(packs->store->dir, name, &st, err)) {
			return false;
		}
	}
	if (packs->pack == 0 || packs->spoiled || st.size_bytes >= PACK_BYTES) {
		packs->pack = packs->pack == 0 ? BODY_PACK_SLOTS + packs->slot : packs->pack + BODY_PACK_SLOTS;
		st.size_bytes = 0;
	}
	*out_size = st.size_bytes;
	return true;
}

static bool
begin_pack_locked(struct body_packs *packs, struct error *err) REQUIRES(packs->lock)
{
	char name[BODY_PACK_NAME_BYTES];
	uint64_t size_bytes;
	int fd;

	if (!io_mkdir(packs->store->dir, DIRECTORY, err) || !io_dir_fsync(packs->store->dir, "bodies", err) ||
		!find_pack_locked(packs, &size_bytes, err)) {
		return false;
	}
	body_pack_name(packs->pack, name);
	if (!io_open(packs->store->dir, name, O_RDWR | O_CREAT, &fd, err)) {
		return false;
	}
	if (!io_dir_fsync(packs->store->dir, DIRECTORY, err)) {
		io_close(packs->store->io, &fd);
		return false;
	}
	mutex_lock(&packs->sync_lock);
	packs->fd = fd;
	mutex_unlock(&packs->sync_lock);
	packs->end = size_bytes;
	packs->spoiled = false;
	return true;
}

/* False in *out_ready where nothing can be appended now. */
static bool
ready_locked(struct body_packs *packs, bool *out_ready, struct error *err) REQUIRES(packs->lock)
{
	if (!take_slot_locked(packs, out_ready, err)) {
		return false;
	}
	if (!*out_ready) {
		return true;
	}
	if (packs->fd >= 0 && (packs->spoiled || packs->end >= PACK_BYTES) && !end_pack_locked(packs, err)) {
		return false;
	}
	return packs->fd >= 0 || begin_pack_locked(packs, err);
}

/* Writes octets behind what is there. */
static bool
write_locked(struct body_packs *packs, struct slice octets, struct error *err) REQUIRES(packs->lock)
{
	if (octets.length == 0) {
		return true;
	}
	if (!io_pwrite(packs->store->io, packs->fd, octets, packs->end, err)) {
		packs->spoiled = true;
		return error_wrap(err, "keeping bodies");
	}
	packs->end += octets.length;
	atomic_store(&packs->dirty, true); /* now, not before: a sync in between would have taken it away */
	return true;
}

static bool
flush_locked(struct body_packs *packs, struct error *err) REQUIRES(packs->lock)
{
	bool done = write_locked(packs, buf_slice(&packs->piece), err);

	buf_clear(&packs->piece);
	return done;
}

static bool
append_locked(struct body_packs *packs, struct body_prepared *const *bodies, size_t count, struct error *err)
	REQUIRES(packs->lock)
{
	bool ready;

	buf_clear(&packs->piece);
	if (!ready_locked(packs, &ready, err)) {
		return false;
	}
	if (!ready) {
		return true; /* they become rows */
	}
	for (size_t i = 0; i < count; i++) {
		struct body_prepared *prepared = bodies[i];

		if (!prepared->served || prepared->body.is_file || prepared->body.pack != 0 ||
			prepared->kept.length == 0) {
			continue;
		}
		bool large = prepared->kept.length >= DIRECT_BYTES;

		if ((large || packs->piece.length + prepared->kept.length > PIECE_BYTES) && !flush_locked(packs, err)) {
			return false;
		}
		prepared->body.pack = packs->pack;
		prepared->body.place = packs->end + packs->piece.length;
		if (!large) {
			buf_append(&packs->piece, buf_slice(&prepared->kept));
		} else if (!write_locked(packs, buf_slice(&prepared->kept), err)) {
			return false;
		}
	}
	return flush_locked(packs, err);
}

bool
body_pack(struct store *store, struct body_prepared *const *bodies, size_t count, struct error *err)
{
	struct body_packs *packs = store->packs;

	if (count == 0) {
		return true;
	}
	mutex_lock(&packs->lock);
	bool done = append_locked(packs, bodies, count, err);

	mutex_unlock(&packs->lock);
	return done;
}

/* --- reading --- */

/* An open pack, which nobody closes until it is given back. */
static bool
take_reader_locked(struct body_packs *packs, uint64_t pack, struct pack_reader **out, struct error *err)
	REQUIRES(packs->lock)
{
	char name[BODY_PACK_NAME_BYTES];
	struct pack_reader *oldest = NULL;
	int fd;

	for (size_t i = 0; i < READERS; i++) {
		struct pack_reader *reader = &packs->readers[i];

		if (reader->fd >= 0 && reader->pack == pack) {
			*out = reader;
			return true;
		}
		if (reader->users == 0 && (oldest == NULL || reader->used < oldest->used)) {
			oldest = reader;
		}
	}
	if (oldest == NULL) {
		return error_set(err, ERROR_RETRY, "too many packs of bodies are being read");
	}
	body_pack_name(pack, name);
	if (!io_open(packs->store->dir, name, O_RDONLY, &fd, err)) {
		return false;
	}
	io_close(packs->store->io, &oldest->fd);
	*oldest = (struct pack_reader){.pack = pack, .fd = fd};
	*out = oldest;
	return true;
}

bool
body_pack_read(struct body_packs *packs, const struct body *body, char *out, size_t *out_got, struct error *err)
{
	struct pack_reader *reader = NULL;

	mutex_lock(&packs->lock);
	bool done = take_reader_locked(packs, body->pack, &reader, err);

	if (done) {
		reader->users++;
		reader->used = ++packs->clock;
	}
	mutex_unlock(&packs->lock);
	if (!done) {
		return false;
	}
	done = io_pread(packs->store->io, reader->fd, out, (size_t)body->size_bytes, body->place, out_got, err);
	mutex_lock(&packs->lock);
	reader->users--;
	mutex_unlock(&packs->lock);
	return done;
}

bool
body_pack_remove(struct body_packs *packs, uint64_t pack, struct error *err)
{
	char name[BODY_PACK_NAME_BYTES];

	mutex_lock(&packs->lock);
	for (size_t i = 0; i < READERS; i++) {
		if (packs->readers[i].fd >= 0 && packs->readers[i].pack == pack && packs->readers[i].users == 0) {
			io_close(packs->store->io, &packs->readers[i].fd);
		}
	}
	mutex_unlock(&packs->lock);
	body_pack_name(pack, name);
	return io_unlink(packs->store->dir, name, err);
}
