#include "storage/mysql_gaps.h"

#include <stdlib.h>
#include <string.h>

void mysql_gaps_start(struct mysql_gaps *gaps, uint64_t next)
{
	gaps->count = 0;
	gaps->next = next;
}

void mysql_gaps_clear(struct mysql_gaps *gaps)
{
	free(gaps->list);
	*gaps = (struct mysql_gaps){0};
}

bool mysql_gaps_copy(struct mysql_gaps *to, const struct mysql_gaps *from)
{
	if (to->capacity < from->count) {
		struct mysql_gap *list = realloc(to->list, from->count * sizeof(*list));
		if (!list)
			return false;
		to->list = list;
		to->capacity = from->count;
	}
	if (from->count > 0)
		memcpy(to->list, from->list, from->count * sizeof(*to->list));
	to->count = from->count;
	to->next = from->next;
	return true;
}

/* Makes room for one more range. */
static bool reserve(struct mysql_gaps *gaps)
{
	size_t capacity = gaps->capacity ? 2 * gaps->capacity : 16;

	if (gaps->count < gaps->capacity)
		return true;
	if (gaps->count >= MYSQL_GAPS_MAX)
		return false;
	struct mysql_gap *list = realloc(gaps->list, capacity * sizeof(*list));
	if (!list)
		return false;
	gaps->list = list;
	gaps->capacity = capacity;
	return true;
}

/* A number beyond all others: those it skips are a new range. */
static enum mysql_gaps_result see_ahead(struct mysql_gaps *gaps, uint64_t number, int64_t now_ms)
{
	if (number > gaps->next) {
		if (!reserve(gaps))
			return MYSQL_GAPS_FULL;
		gaps->list[gaps->count++] = (struct mysql_gap){
			.first = gaps->next, .last = number - 1, .since_ms = now_ms};
	}
	gaps->next = number + 1;
	return MYSQL_GAPS_NEW;
}

enum mysql_gaps_result mysql_gaps_see(struct mysql_gaps *gaps, uint64_t number, int64_t now_ms)
{
	if (number >= gaps->next)
		return see_ahead(gaps, number, now_ms);
	size_t place = mysql_gaps_find(gaps, number);
	if (place == gaps->count || gaps->list[place].first > number)
		return MYSQL_GAPS_KNOWN;
	struct mysql_gap *gap = &gaps->list[place];
	if (gap->first == gap->last) {
		mysql_gaps_close(gaps, place, place + 1);
	} else if (gap->first == number) {
		gap->first++;
	} else if (gap->last == number) {
		gap->last--;
	} else {
		if (!reserve(gaps))
			return MYSQL_GAPS_FULL;
		gap = &gaps->list[place];
		memmove(gap + 1, gap, (gaps->count - place) * sizeof(*gap));
		gaps->count++;
		gap[0].last = number - 1;
		gap[1].first = number + 1;
	}
	return MYSQL_GAPS_NEW;
}

size_t mysql_gaps_find(const struct mysql_gaps *gaps, uint64_t number)
{
	size_t low = 0, high = gaps->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (gaps->list[middle].last < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t mysql_gaps_count_older(const struct mysql_gaps *gaps, int64_t since_ms)
{
	size_t count = 0;

	while (count < gaps->count && gaps->list[count].since_ms <= since_ms)
		count++;
	return count;
}

void mysql_gaps_close(struct mysql_gaps *gaps, size_t first, size_t end)
{
	memmove(gaps->list + first, gaps->list + end, (gaps->count - end) * sizeof(*gaps->list));
	gaps->count -= end - first;
}
