#include "engine/remote/imap/imap_words.h"

#define SECONDS_PER_DAY 86400

bool
imap_words_next_word(struct slice *list, struct slice *out)
{
	size_t begin = 0, end;

	while (begin < list->length && list->data[begin] == ' ') {
		begin++;
	}
	end = begin + slice_find(slice_skip(*list, begin), ' ');
	if (end == begin) {
		*list = slice_skip(*list, begin);
		return false;
	}
	*out = slice_make(list->data + begin, end - begin);
	*list = slice_skip(*list, end);
	return true;
}

bool
imap_words_has_word(struct slice list, struct slice word)
{
	struct slice each;

	while (imap_words_next_word(&list, &each)) {
		if (slice_equal_nocase(each, word)) {
			return true;
		}
	}
	return false;
}

void
imap_words_flags(struct slice list, struct flags *out)
{
	struct slice word;

	while (imap_words_next_word(&list, &word)) {
		(void)flags_add_imap(out, word);
	}
}

static bool
range_number(struct slice *set, uint32_t *out)
{
	size_t length = 0;

	while (length < set->length && set->data[length] >= '0' && set->data[length] <= '9') {
		length++;
	}
	if (!slice_to_u32(slice_head(*set, length), out) || *out == 0) {
		return false;
	}
	*set = slice_skip(*set, length);
	return true;
}

bool
imap_words_next_range(struct slice *set, struct uid_range *out)
{
	struct slice rest = *set;
	uint32_t first, last;

	if (!range_number(&rest, &first)) {
		return false;
	}
	last = first;
	if (rest.length > 0 && rest.data[0] == ':') {
		rest = slice_skip(rest, 1);
		if (!range_number(&rest, &last)) {
			return false;
		}
	}
	if (rest.length > 0) {
		if (rest.data[0] != ',' || rest.length == 1) {
			return false;
		}
		rest = slice_skip(rest, 1);
	}
	*set = rest;
	*out = first <= last ? (struct uid_range){first, last} : (struct uid_range){last, first};
	return true;
}

static bool
two_digits(const char *at, int *out)
{
	if (at[0] < '0' || at[0] > '9' || at[1] < '0' || at[1] > '9') {
		return false;
	}
	*out = (at[0] - '0') * 10 + (at[1] - '0');
	return true;
}

/* Days since 1970 of a date in the Gregorian calendar. */
static int64_t
days_of(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = y / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static bool
month_of(const char *at, int *out)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12; i++) {
		if (slice_equal_nocase(slice_make(at, 3), slice_make(names + 3 * i, 3))) {
			*out = i + 1;
			return true;
		}
	}
	return false;
}

bool
imap_words_date(struct slice text, int64_t *out_s)
{
	int day, month, century, year, hour, minute, second, zone_hour, zone_minute;
	struct slice s = slice_trim(text);

	/* d-Jan-2020 is served for ` d-Jan-2020` by some */
	if (s.length == 25) {
		if (s.data[0] < '0' || s.data[0] > '9') {
			return false;
		}
		day = s.data[0] - '0';
	} else if (s.length != 26 || !two_digits(s.data, &day)) {
		return false;
	}
	const char *at = s.data + s.length - 24;

	if (at[0] != '-' || !month_of(at + 1, &month) || at[4] != '-' || !two_digits(at + 5, &century) ||
		!two_digits(at + 7, &year) || at[9] != ' ' || !two_digits(at + 10, &hour) || at[12] != ':' ||
		!two_digits(at + 13, &minute) || at[15] != ':' || !two_digits(at + 16, &second) || at[18] != ' ' ||
		(at[19] != '+' && at[19] != '-') || !two_digits(at + 20, &zone_hour) ||
		!two_digits(at + 22, &zone_minute)) {
		return false;
	}
	if (day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60 || zone_minute > 59) {
		return false;
	}
	int64_t zone_s = (int64_t)zone_hour * 3600 + zone_minute * 60;
	int64_t local_s =
		days_of(century * 100 + year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;

	*out_s = at[19] == '+' ? local_s - zone_s : local_s + zone_s;
	return true;
}

static bool
is_object_id(struct slice id)
{
	for (size_t i = 0; i < id.length; i++) {
		char o = id.data[i];

		if (!((o >= 'A' && o <= 'Z') || (o >= 'a' && o <= 'z') || (o >= '0' && o <= '9') || o == '_' ||
			    o == '-')) {
			return false;
		}
	}
	return true;
}

void
imap_words_guid(enum guid_kind kind, struct slice id, struct guid *out)
{
	bool object = kind == GUID_EMAILID || kind == GUID_MAILBOXID;

	out->kind = GUID_NONE;
	out->length = 0;
	if (kind == GUID_NONE || id.length == 0 || id.length > GUID_VALUE_MAX || (object && !is_object_id(id))) {
		return;
	}
	out->kind = (uint8_t)kind;
	out->length = (uint8_t)id.length;
	memcpy(out->value, id.data, id.length);
}
