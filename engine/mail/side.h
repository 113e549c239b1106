/* The two sides of a sync. */
#ifndef MAIL_SIDE_H
#define MAIL_SIDE_H

enum side { SIDE_LOCAL, SIDE_REMOTE, SIDE_COUNT };

static inline enum side
side_other(enum side side)
{
	return side == SIDE_LOCAL ? SIDE_REMOTE : SIDE_LOCAL;
}

#endif
