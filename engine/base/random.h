/* A seeded generator (xoshiro256**), passed in and never global, so that a seed fixes a run. Not for secrets or ids: io has those. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

struct random {
	uint64_t state[4];
};

void random_seed(struct random *random, uint64_t seed);
uint64_t random_u64(struct random *random);
/* A number below `bound`, which is not 0, without bias. */
uint64_t random_below(struct random *random, uint64_t bound);

#endif
