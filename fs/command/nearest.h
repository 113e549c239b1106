/* The known name that a mistyped one was probably meant to be: for commands, options and accounts. */
#ifndef COMMAND_NEAREST_H
#define COMMAND_NEAREST_H

#include <stddef.h>

#define NEAREST_LENGTH_MAX 64 /* longer words are near to nothing */

/* Counts the letters to insert, delete, change or swap with their neighbour to make one word of the other, without regard to case. Words
 * longer than NEAREST_LENGTH_MAX are NEAREST_LENGTH_MAX apart. */
size_t nearest_distance(const char *a, const char *b);
/* Gives the nearest of `names`, the first of equals; NULL when none is nearer than a third of the word's length (one letter at least). */
const char *nearest_name(const char *word, const char *const *names, size_t count);

#endif
