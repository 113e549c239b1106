/* The set of bodies that need not be hashed again: a bit each, in pieces that are made when first needed. */
#include <stdatomic.h>
#include <stdlib.h>

#include "engine/base/mutex.h"
#include "engine/store/body_internal.h"

#define PIECE_BITS  65536u
#define PIECE_WORDS (PIECE_BITS / 64)
#define PIECES      512u /* beyond 33 million, every opening hashes */

struct body_verified {
	struct mutex lock;
	_Atomic(atomic_ullong *) pieces[PIECES];
};

struct body_verified *
body_verified_create(void)
{
	struct body_verified *verified = calloc(1, sizeof(*verified));

	if (verified == NULL) {
		abort();
	}
	mutex_init(&verified->lock, LOCK_RANK_LEAF);
	return verified;
}

void
body_verified_destroy(struct body_verified **verified)
{
	if (verified == NULL || *verified == NULL) {
		return;
	}
	for (size_t i = 0; i < PIECES; i++) {
		free(atomic_load(&(*verified)->pieces[i]));
	}
	mutex_finish(&(*verified)->lock);
	free(*verified);
	*verified = NULL;
}

bool
body_verified_has(struct body_verified *verified, uint64_t id)
{
	atomic_ullong *piece = id / PIECE_BITS < PIECES ? atomic_load(&verified->pieces[id / PIECE_BITS]) : NULL;

	return piece != NULL && (atomic_load(&piece[id % PIECE_BITS / 64]) >> (id % 64) & 1) != 0;
}

static atomic_ullong *
make_piece(struct body_verified *verified, size_t index)
{
	mutex_lock(&verified->lock);
	atomic_ullong *piece = atomic_load(&verified->pieces[index]);

	if (piece == NULL) {
		piece = calloc(PIECE_WORDS, sizeof(*piece));
		if (piece == NULL) {
			abort();
		}
		atomic_store(&verified->pieces[index], piece);
	}
	mutex_unlock(&verified->lock);
	return piece;
}

void
body_verified_set(struct body_verified *verified, uint64_t id, bool whole)
{
	if (id / PIECE_BITS >= PIECES) {
		return;
	}
	atomic_ullong *piece = atomic_load(&verified->pieces[id / PIECE_BITS]);

	if (piece == NULL) {
		if (!whole) {
			return;
		}
		piece = make_piece(verified, id / PIECE_BITS);
	}
	if (whole) {
		atomic_fetch_or(&piece[id % PIECE_BITS / 64], 1ull << (id % 64));
	} else {
		atomic_fetch_and(&piece[id % PIECE_BITS / 64], ~(1ull << (id % 64)));
	}
}
