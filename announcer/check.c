#include "announcer/check.h"

#include <limits.h>

void check_init(struct check *check, unsigned int rise, unsigned int fall, int interval_ms,
		int fast_interval_ms)
{
	*check = (struct check){
		.rise = rise,
		.fall = fall,
		.interval_ms = interval_ms,
		.fast_interval_ms = fast_interval_ms,
	};
}

bool check_add(struct check *check, bool good)
{
	if (check->row == 0 || good != check->last_good)
		check->row = 1;
	else if (check->row < UINT_MAX)
		check->row++;
	check->last_good = good;
	if (good == check->up || check->row < (good ? check->rise : check->fall))
		return false;
	check->up = good;
	return true;
}

bool check_in_doubt(const struct check *check, bool waiting)
{
	return check->row == 0 || check->last_good != check->up || (check->up && waiting);
}

int check_next_ms(const struct check *check, bool waiting, uint32_t random)
{
	int interval =
		check_in_doubt(check, waiting) && check->fast_interval_ms < check->interval_ms
			? check->fast_interval_ms
			: check->interval_ms;
	int next = interval - (int)(random % ((uint32_t)interval / 10 + 1));
	return next > 0 ? next : 1;
}

bool check_is_silence(const struct check *check, int64_t age_ms)
{
	return age_ms >= check->fast_interval_ms;
}
