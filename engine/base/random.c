#include "engine/base/random.h"

#include <assert.h>

static uint64_t
rotate_left(uint64_t value, unsigned bits)
{
	return (value << bits) | (value >> (64 - bits));
}

/* Spreads the seed over the state with splitmix64, so that near seeds give far runs and the state is never all zero. */
void
random_seed(struct random *random, uint64_t seed)
{
	for (unsigned i = 0; i < 4; i++) {
		uint64_t mixed = seed += UINT64_C(0x9e3779b97f4a7c15);

		mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
		random->state[i] = mixed ^ (mixed >> 31);
	}
}

uint64_t
random_u64(struct random *random)
{
	uint64_t *state = random->state;
	uint64_t answer = rotate_left(state[1] * 5, 7) * 9;
	uint64_t shifted = state[1] << 17;

	state[2] ^= state[0];
	state[3] ^= state[1];
	state[1] ^= state[2];
	state[0] ^= state[3];
	state[2] ^= shifted;
	state[3] = rotate_left(state[3], 45);
	return answer;
}

/* Numbers from the last, incomplete round of `bound` are thrown away: they would come too often. */
uint64_t
random_below(struct random *random, uint64_t bound)
{
	uint64_t value, unfair;

	assert(bound != 0);
	unfair = (0 - bound) % bound; /* 2^64 mod bound */
	do {
		value = random_u64(random);
	} while (value < unfair);
	return value % bound;
}
