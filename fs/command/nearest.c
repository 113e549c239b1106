#include "fs/command/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

static size_t
smallest(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

static bool
same_letter(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* The usual table of distances of prefixes, of which three rows are enough: two neighbours may have been swapped. */
size_t
nearest_distance(const char *a, const char *b)
{
	size_t a_length = strlen(a), b_length = strlen(b);
	size_t rows[3][NEAREST_LENGTH_MAX + 1];

	if (a_length > NEAREST_LENGTH_MAX || b_length > NEAREST_LENGTH_MAX) {
		return NEAREST_LENGTH_MAX;
	}
	for (size_t j = 0; j <= b_length; j++) {
		rows[0][j] = j;
	}
	for (size_t i = 1; i <= a_length; i++) {
		size_t *row = rows[i % 3];
		const size_t *above = rows[(i + 2) % 3], *over = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			size_t change = above[j - 1] + (same_letter(a[i - 1], b[j - 1]) ? 0 : 1);

			row[j] = smallest(above[j] + 1, row[j - 1] + 1, change);
			if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) && same_letter(a[i - 2], b[j - 1])) {
				row[j] = smallest(row[j], over[j - 2] + 1, row[j]);
			}
		}
	}
	return rows[a_length % 3][b_length];
}

const char *
nearest_name(const char *word, const char *const *names, size_t count)
{
	size_t length = strlen(word);
	size_t best = length / 3 > 1 ? length / 3 : 1;
	const char *found = NULL;

	for (size_t i = 0; i < count; i++) {
		size_t distance = nearest_distance(word, names[i]);

		if (distance < length && (found == NULL ? distance <= best : distance < best)) {
			best = distance;
			found = names[i];
		}
	}
	return found;
}
