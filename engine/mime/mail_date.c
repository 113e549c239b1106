#include "engine/mime/mail_date.h"

#include "engine/base/scope.h"

#define SECONDS_OF_DAY 86400
#define YEAR_MAX       9999

static const char month_names[] = "janfebmaraprmayjunjulaugsepoctnovdec";

/* Zones with a name that RFC 5322 gives a meaning (4.3); all others are UTC. */
static const struct {
	struct slice name;
	int offset_h;
} zones[] = {
	{SLICE_LITERAL("EST"), -5},
	{SLICE_LITERAL("EDT"), -4},
	{SLICE_LITERAL("CST"), -6},
	{SLICE_LITERAL("CDT"), -5},
	{SLICE_LITERAL("MST"), -7},
	{SLICE_LITERAL("MDT"), -6},
	{SLICE_LITERAL("PST"), -8},
	{SLICE_LITERAL("PDT"), -7},
};

/* The calendar is counted in eras of 400 years that begin on the first of March, so that a leap day is the last of its year. */

static int64_t
days_of(int year, unsigned month, unsigned day)
{
	int64_t shifted = month <= 2 ? (int64_t)year - 1 : year;
	int64_t era = (shifted >= 0 ? shifted : shifted - 399) / 400;
	int64_t year_of_era = shifted - era * 400;
	int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return era * 146097 + day_of_era - 719468;
}

int64_t
mail_date_join(const struct mail_date *date)
{
	return days_of(date->year, date->month, date->day) * SECONDS_OF_DAY + (int64_t)date->hour * 3600 +
	       (int64_t)date->minute * 60 + (int64_t)date->second;
}

struct mail_date
mail_date_split(int64_t seconds)
{
	const int64_t first = days_of(0, 1, 1) * SECONDS_OF_DAY,
		      last = days_of(YEAR_MAX + 1, 1, 1) * SECONDS_OF_DAY - 1;
	int64_t within = seconds < first ? first : seconds > last ? last : seconds;
	int64_t days = (within - first) / SECONDS_OF_DAY + first / SECONDS_OF_DAY; /* rounds down */
	int64_t rest = within - days * SECONDS_OF_DAY;
	int64_t shifted = days + 719468, era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	int64_t day_of_era = shifted - era * 146097;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t month_from_march = (5 * day_of_year + 2) / 153;
	struct mail_date date = {
		.month = (unsigned)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9),
		.day = (unsigned)(day_of_year - (153 * month_from_march + 2) / 5 + 1),
		.hour = (unsigned)(rest / 3600),
		.minute = (unsigned)(rest / 60 % 60),
		.second = (unsigned)(rest % 60),
	};

	date.year = (int)(year_of_era + era * 400) + (date.month <= 2);
	return date;
}

/* Reading: words in any order that is met, each told by its look. */

enum word_kind { WORD_NUMBER, WORD_LETTERS, WORD_TIME, WORD_ZONE, WORD_OTHER };

struct reading {
	struct mail_date date;
	int64_t offset_s;
	bool has_day, has_month, has_year, has_time, has_zone;
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Gives the next word and what it looks like; comments are passed over. False at the end. */
static bool
next_word(struct slice *rest, struct slice *out, enum word_kind *out_kind)
{
	size_t length = 0, digits = 0, colons = 0;

	for (unsigned depth = 0; rest->length > 0; *rest = slice_skip(*rest, 1)) {
		char c = rest->data[0];

		depth += c == '(';
		if (depth > 0) {
			depth -= c == ')';
		} else if (c == '-' && rest->length > 1 && is_letter(rest->data[1])) {
			continue; /* 21-Nov-97 */
		} else if (c != ' ' && c != '\t' && c != '\r' && c != '\n' && c != ',') {
			break;
		}
	}
	while (length < rest->length && strchr(" \t\r\n,(", rest->data[length]) == NULL) {
		char c = rest->data[length];

		if (length > 0 && (c == '+' || c == '-')) {
			break; /* 21-Nov-97, 10:00:00+0200, GMT+1 */
		}
		digits += is_digit(c);
		colons += c == ':';
		length++;
	}
	if (length == 0) {
		return false;
	}
	*out = slice_head(*rest, length);
	*rest = slice_skip(*rest, length);
	if (digits == length) {
		*out_kind = WORD_NUMBER;
	} else if (colons > 0 && digits + colons == length) {
		*out_kind = WORD_TIME;
	} else if (digits + 1 == length && digits > 0 && (out->data[0] == '+' || out->data[0] == '-')) {
		*out_kind = WORD_ZONE;
	} else {
		*out_kind = digits == 0 && is_letter(out->data[0]) ? WORD_LETTERS : WORD_OTHER;
	}
	return true;
}

static bool
read_month(struct slice word, unsigned *out)
{
	for (unsigned month = 0; month < 12; month++) {
		if (slice_has_prefix_nocase(word, slice_make(month_names + (size_t)month * 3, 3))) {
			*out = month + 1;
			return true;
		}
	}
	return false;
}

/* Reads `10:05` or `10:05:59`; a leap second counts as the second before it. */
static bool
read_time(struct slice word, struct mail_date *date)
{
	uint32_t parts[3] = {0};
	unsigned count = 0;

	while (count < 3 && word.length > 0) {
		size_t length = slice_find(word, ':');

		if (length > 2 || !slice_to_u32(slice_head(word, length), &parts[count++])) {
			return false;
		}
		word = slice_skip(word, length < word.length ? length + 1 : length);
	}
	if (count < 2 || word.length > 0 || parts[0] > 23 || parts[1] > 59 || parts[2] > 60) {
		return false;
	}
	date->hour = parts[0];
	date->minute = parts[1];
	date->second = parts[2] == 60 ? 59 : parts[2];
	return true;
}

/* Reads `+0100`; what is not four digits is no zone to count with, and is UTC. */
static int64_t
read_offset(struct slice word)
{
	uint32_t value;

	if (word.length != 5 || !slice_to_u32(slice_skip(word, 1), &value)) {
		return 0;
	}
	return ((int64_t)(value / 100) * 3600 + (int64_t)(value % 100) * 60) * (word.data[0] == '-' ? -1 : 1);
}

static void
take_number(struct reading *reading, struct slice word)
{
	uint32_t value;

	if (!slice_to_u32(word, &value)) {
		return;
	}
	if (!reading->has_day && word.length <= 2) {
		reading->date.day = value;
		reading->has_day = true;
	} else if (!reading->has_year && word.length >= 2 && value <= YEAR_MAX) {
		/* RFC 5322, 4.3; and `0102`, as programs wrote the year 2002 that counted from 1900. */
		reading->date.year = (int)value + (word.length == 2 && value < 50 ? 2000 : value < 1000 ? 1900 : 0);
		reading->has_year = true;
	}
}

static void
take_letters(struct reading *reading, struct slice word)
{
	if (!reading->has_month && read_month(word, &reading->date.month)) {
		reading->has_month = true;
		return;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(zones) && !reading->has_zone; i++) {
		if (slice_equal_nocase(word, zones[i].name)) {
			reading->offset_s = (int64_t)zones[i].offset_h * 3600;
			reading->has_zone = true;
		}
	}
}

static bool
is_date(const struct mail_date *date)
{
	static const unsigned lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (date->year % 4 == 0 && date->year % 100 != 0) || date->year % 400 == 0;

	return date->day >= 1 && date->day <= lengths[date->month - 1] + (date->month == 2 && leap);
}

bool
mail_date_read(struct slice text, int64_t *out_s)
{
	struct reading reading = {.offset_s = 0};
	enum word_kind kind;
	struct slice word;

	text = slice_head(text, MAIL_DATE_MAX);
	while (next_word(&text, &word, &kind)) {
		switch (kind) {
		case WORD_NUMBER:
			take_number(&reading, word);
			break;
		case WORD_LETTERS:
			take_letters(&reading, word);
			break;
		case WORD_TIME:
			if (!reading.has_time) {
				reading.has_time = read_time(word, &reading.date);
			}
			break;
		case WORD_ZONE:
			if (!reading.has_time) {
				take_number(&reading, slice_skip(word, 1)); /* 21-Nov-97 */
			} else if (!reading.has_zone) {
				reading.offset_s = read_offset(word);
				reading.has_zone = true;
			}
			break;
		case WORD_OTHER:
			break;
		}
	}
	if (!reading.has_day || !reading.has_month || !reading.has_year || !reading.has_time ||
		!is_date(&reading.date)) {
		return false;
	}
	*out_s = mail_date_join(&reading.date) - reading.offset_s;
	return true;
}
