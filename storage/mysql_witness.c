#include "storage/mysql_witness.h"

/* splitmix64's last steps: every bit of the input reaches every bit of the sum. */
static uint64_t mix(uint64_t value)
{
	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
	value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
	return value ^ (value >> 31);
}

void mysql_witness_add(struct mysql_witness *witness, uint64_t seq, const char *at)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (; *at != '\0'; at++)
		hash = (hash ^ (unsigned char)*at) * 0x100000001b3;
	witness->sum += mix(hash + mix(seq + 0x9e3779b97f4a7c15));
	witness->count++;
}

bool mysql_witness_equal(const struct mysql_witness *a, const struct mysql_witness *b)
{
	return a->count > 0 && a->count == b->count && a->sum == b->sum && a->first == b->first;
}
