/* What the files of the histories at random share: the history that is being told, and its dice. sim_deeds.c is what people do; sim_test.c what
 * befalls us, and what must be true in the end.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "engine/base/random.h"
#include "tests/sim/world.h"

#define SIM_TOKENS     400
#define SIM_DEED_KINDS 32

struct sim_token { /* what was done to the messages of one token */
	bool from_here;
	unsigned copies_here, copies_there, moves_here, moves_there, expunges;
	unsigned undone; /* of what was done here, with the store */
};

extern struct sim {
	uint64_t seed;
	struct random random;
	struct buf log, calls;
	bool done;
	struct sim_token tokens[SIM_TOKENS];
	unsigned token_count, name_count;
	/* What this history is made of, in percent. */
	unsigned weights[SIM_DEED_KINDS];
	unsigned trouble, meanwhile, passes, seconds;
	bool any_trouble, reverted, verbose;
} sim;

unsigned sim_below(unsigned bound);
bool sim_chance(unsigned percent);
void sim_note(const char *format, ...) PRINTF_LIKE(1, 2);
/* Counts something that came to pass, over all histories. */
void sim_tally(const char *what);

/* --- sim_deeds.c --- */
struct sim_token *sim_token_named(struct slice token);
/* Chooses what people do in this history, and how often. */
void sim_choose_weights(void);
/* One of them does something, on either side. */
void sim_do_something(void);
/* How many kinds of deeds there are; the name of one. */
size_t sim_deed_count(void);
const char *sim_deed_name(size_t kind);
/* All messages may be gone from now on, as far as the ledger goes. */
void sim_note_all_expunged(char *list);

#endif
