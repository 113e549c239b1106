#include "engine/sync/match.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* One rung of the ladder: a key of bytes per item; items without that key take no part. */
struct match_key {
	const void *bytes;
	size_t length;
	size_t index; /* into ours or theirs */
};

enum match_rung { MATCH_BY_GUID, MATCH_BY_DIGEST, MATCH_BY_IDENTITY, MATCH_BY_IDENTITY_ALONE, MATCH_RUNGS };

static bool
match_identity_known(const uint8_t *identity)
{
	static const uint8_t none[17];

	return identity != NULL && memcmp(identity, none, sizeof(none)) != 0;
}

static bool
match_key_of(const struct match_item *item, enum match_rung rung, size_t index, struct match_key *out)
{
	out->index = index;
	switch (rung) {
	case MATCH_BY_GUID:
		if (item->guid == NULL || item->guid->kind == GUID_NONE) {
			return false;
		}
		out->bytes = item->guid;
		out->length = offsetof(struct guid, value) + item->guid->length;
		return true;
	case MATCH_BY_DIGEST:
		if (item->digest == NULL) {
			return false;
		}
		out->bytes = item->digest->bytes;
		out->length = SHA256_BYTES;
		return true;
	case MATCH_BY_IDENTITY:
	case MATCH_BY_IDENTITY_ALONE:
		if (!match_identity_known(item->identity)) {
			return false;
		}
		out->bytes = item->identity;
		out->length = 17;
		return true;
	case MATCH_RUNGS:
		break;
	}
	assert(false);
	return false;
}

static int
match_compare_bytes(const struct match_key *a, const struct match_key *b)
{
	size_t common = a->length < b->length ? a->length : b->length;
	int order = memcmp(a->bytes, b->bytes, common);

	if (order != 0) {
		return order;
	}
	return a->length < b->length ? -1 : a->length > b->length;
}

static int
match_compare(const void *left, const void *right)
{
	const struct match_key *a = left, *b = right;
	int order = match_compare_bytes(a, b);

	if (order != 0) {
		return order;
	}
	return a->index < b->index ? -1 : a->index > b->index;
}

/* Tells whether two of the same header identity may be one message. Alone it counts only for an upload of ours, which the remote may have
 * rewritten: what has the same size is taken before that. */
static bool
match_identity_allows(const struct match_item *ours, const struct match_item *theirs, enum match_rung rung)
{
	bool same_date = ours->internaldate_s == theirs->internaldate_s || (ours->outcome_unknown && !ours->date_asked);

	if (rung == MATCH_BY_IDENTITY_ALONE) {
		return ours->outcome_unknown && same_date;
	}
	if (ours->digest != NULL && theirs->digest != NULL && !digest_equal(ours->digest, theirs->digest)) {
		return false;
	}
	if (ours->size_bytes != 0 && theirs->size_bytes != 0 && ours->size_bytes != theirs->size_bytes) {
		return false;
	}
	return same_date;
}

static size_t
match_collect(
	const struct match_item *items, size_t count, const bool *taken, enum match_rung rung, struct match_key *keys)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		if (!taken[i] && match_key_of(&items[i], rung, i, &keys[found])) {
			found++;
		}
	}
	qsort(keys, found, sizeof(*keys), match_compare);
	return found;
}

/* Pairs within one run of equal keys, in order; on the identity rung each of ours takes the first of theirs that it may be. */
static void
match_run(const struct match_item *ours, const struct match_key *our_keys, size_t our_count,
	const struct match_item *theirs, const struct match_key *their_keys, size_t their_count, enum match_rung rung,
	bool *our_taken, bool *their_taken, size_t *out)
{
	for (size_t i = 0; i < our_count; i++) {
		size_t mine = our_keys[i].index;

		for (size_t j = 0; j < their_count; j++) {
			size_t other = their_keys[j].index;

			if (their_taken[other] || (rung >= MATCH_BY_IDENTITY &&
							  !match_identity_allows(&ours[mine], &theirs[other], rung))) {
				continue;
			}
			our_taken[mine] = their_taken[other] = true;
			out[mine] = other;
			break;
		}
	}
}

static size_t
match_run_length(const struct match_key *keys, size_t count)
{
	size_t length = 1;

	while (length < count && match_compare_bytes(&keys[0], &keys[length]) == 0) {
		length++;
	}
	return length;
}

void
match_pairs(const struct match_item *ours, size_t our_count, const struct match_item *theirs, size_t their_count,
	size_t *out)
{
	for (size_t i = 0; i < our_count; i++) {
		out[i] = MATCH_NONE;
	}
	if (our_count == 0 || their_count == 0) {
		return;
	}
	struct match_key *our_keys = calloc(our_count, sizeof(*our_keys)),
			 *their_keys = calloc(their_count, sizeof(*their_keys));
	bool *our_taken = calloc(our_count, sizeof(*our_taken)),
	     *their_taken = calloc(their_count, sizeof(*their_taken));

	if (our_keys == NULL || their_keys == NULL || our_taken == NULL || their_taken == NULL) {
		abort();
	}
	for (enum match_rung rung = MATCH_BY_GUID; rung < MATCH_RUNGS; rung++) {
		size_t ours_left = match_collect(ours, our_count, our_taken, rung, our_keys);
		size_t theirs_left = match_collect(theirs, their_count, their_taken, rung, their_keys);

		for (size_t i = 0, j = 0; i < ours_left && j < theirs_left;) {
			int order = match_compare_bytes(&our_keys[i], &their_keys[j]);

			if (order < 0) {
				i++;
			} else if (order > 0) {
				j++;
			} else {
				size_t our_run = match_run_length(&our_keys[i], ours_left - i);
				size_t their_run = match_run_length(&their_keys[j], theirs_left - j);

				match_run(ours, &our_keys[i], our_run, theirs, &their_keys[j], their_run, rung,
					our_taken, their_taken, out);
				i += our_run;
				j += their_run;
			}
		}
	}
	free(our_keys);
	free(their_keys);
	free(our_taken);
	free(their_taken);
}
