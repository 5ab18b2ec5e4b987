/* Waits that double, shortened a little at random: see the header. */
#include "common/backoff.h"

#include <stdlib.h>

int32_t backoff_next(struct backoff *backoff)
{
	int32_t wait = backoff->next_ms > 0 ? backoff->next_ms : backoff->min_ms;
	if (wait > backoff->max_ms)
		wait = backoff->max_ms;
	backoff->next_ms = wait > backoff->max_ms / 2 ? backoff->max_ms : wait * 2;
	return wait - (int32_t)arc4random_uniform((uint32_t)wait / 4 + 1);
}
