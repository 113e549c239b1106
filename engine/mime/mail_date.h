/* Dates as mail writes them, and the calendar, in UTC and without the C library's time zones and locks.
 *
 * What is read is RFC 5322's date-time with all that is obsolete in it, and what is met beside it: no day of the week or no comma, two or
 * three digits of a year, names of zones, no zone (UTC), asctime's order, and dashes (`21-Nov-97`).
 */
#ifndef MIME_MAIL_DATE_H
#define MIME_MAIL_DATE_H

#include "engine/base/slice.h"

struct mail_date {
	int year;            /* 0 to 9999 */
	unsigned month, day; /* from 1 */
	unsigned hour, minute, second;
};

/* Reads a date: seconds since 1970. False leaves *out untouched. Total; looks at MAIL_DATE_MAX octets at most. */
bool mail_date_read(struct slice text, int64_t *out_s);
/* Splits seconds since 1970 into a calendar date; before year 0 and after 9999 the nearest second within. */
struct mail_date mail_date_split(int64_t seconds);
/* The seconds since 1970 of a date in the Gregorian calendar. */
int64_t mail_date_join(const struct mail_date *date);

#define MAIL_DATE_MAX 200

#endif
