/*
 * What the mirror costs: memory per name with one A record, the time to fill it, and the CPU time
 * of one answer, for a name that exists, one that does not, and a wildcard.
 *
 *     bench_mirror [NAMES]        (default 1000000)
 *
 * Memory is measured from outside, as the growth of the resident set, beside the mirror's own
 * account of it.
 */
#include "backend/answer.h"
#include "backend/mirror.h"
#include "common/clock.h"
#include "dns/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUERIES 1000000

static uint64_t resident_bytes(void)
{
	unsigned long size = 0;
	unsigned long resident = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file || fscanf(file, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	if (file)
		fclose(file);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void make_name(uint8_t *out, const char *prefix, unsigned long number, const char *suffix)
{
	char text[64];
	int length = snprintf(text, sizeof(text), "%s%lu.%s", prefix, number, suffix);

	if (dns_name_from_text(text, (size_t)length, NULL, out) < 0)
		abort();
}

static void put(struct mirror *mirror, const uint8_t *apex, const uint8_t *owner, uint16_t type,
		const uint8_t *rdata, uint16_t size)
{
	uint8_t data[512];
	struct mirror_rrset_input rrset = {
		.ttl = 300, .size = 2u + size, .type = type, .count = 1, .data = data};

	memcpy(data, &size, sizeof(size));
	memcpy(data + sizeof(size), rdata, size);
	if (mirror_put_name(mirror, apex, owner, &rrset, 1) < 0)
		abort();
}

static void fill(struct mirror *mirror, unsigned long names)
{
	/* The SOA's names are the root's: its 22 octets of rdata are all zeros but for numbers. */
	static const uint8_t soa[22] = {0, 0, 0,   0, 0, 1,  0,   0, 14, 16, 0,
					0, 3, 132, 0, 9, 58, 128, 0, 0,  1,  44};
	static const uint8_t address[4] = {192, 0, 2, 1};
	uint8_t apex[DNS_NAME_MAX];
	uint8_t owner[DNS_NAME_MAX];

	if (dns_name_from_text("example.com", 11, NULL, apex) < 0 ||
	    dns_name_from_text("*.wild.example.com", 18, NULL, owner) < 0)
		abort();
	mirror_write_begin(mirror, true);
	mirror_put_zone(mirror, apex);
	put(mirror, apex, apex, DNS_TYPE_SOA, soa, sizeof(soa));
	put(mirror, apex, owner, DNS_TYPE_A, address, sizeof(address));
	for (unsigned long i = 0; i < names; i++) {
		make_name(owner, "host", i, "example.com");
		put(mirror, apex, owner, DNS_TYPE_A, address, sizeof(address));
	}
	mirror_write_commit(mirror);
}

static size_t make_query(uint8_t *out, const char *prefix, unsigned long number, const char *suffix)
{
	static const uint8_t header[DNS_HEADER_SIZE] = {0, 1, 1, 0, 0, 1};

	memcpy(out, header, sizeof(header));
	make_name(out + DNS_HEADER_SIZE, prefix, number, suffix);
	size_t size = DNS_HEADER_SIZE + dns_name_size(out + DNS_HEADER_SIZE);
	dns_put16(out + size, DNS_TYPE_A);
	dns_put16(out + size + 2, DNS_CLASS_IN);
	return size + 4;
}

/* Nanoseconds of one answer, its query made before, over many different names. */
static void ask(const struct mirror *mirror, const char *what, const char *prefix,
		const char *suffix, unsigned long names, int want)
{
	static uint8_t queries[4096][128];
	static size_t sizes[4096];
	static uint8_t reply[ANSWER_SIZE_MAX];
	struct answer_info info = {.wants_facts = true};

	for (unsigned int i = 0; i < 4096; i++)
		sizes[i] = make_query(queries[i], prefix, (unsigned long)rand() % names, suffix);
	int64_t start = clock_now_ns();
	mirror_read_begin();
	for (unsigned int i = 0; i < QUERIES; i++) {
		answer_query(mirror, queries[i % 4096], sizes[i % 4096], 1232, reply, &info);
		if (info.rcode != want)
			abort();
	}
	mirror_read_end();
	printf("%-28s %8.0f ns an answer\n", what, (double)(clock_now_ns() - start) / QUERIES);
}

int main(int argc, char **argv)
{
	unsigned long names = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
	struct mirror_stats stats;

	if (names == 0) {
		fprintf(stderr, "usage: bench_mirror [NAMES]\n");
		return 1;
	}
	mirror_reader_register();
	struct mirror *mirror = mirror_create();
	uint64_t before = resident_bytes();
	int64_t start = clock_now_ns();
	fill(mirror, names);
	double seconds = (double)(clock_now_ns() - start) / 1e9;
	uint64_t grown = resident_bytes() - before;
	mirror_read_stats(mirror, &stats);
	printf("names                        %8lu\n", names);
	printf("load time                    %8.2f s\n", seconds);
	printf("resident memory              %8.1f bytes a name\n", (double)grown / (double)names);
	printf("by the mirror's own account  %8.1f bytes a name\n",
	       (double)stats.bytes / (double)names);
	ask(mirror, "a name that exists", "host", "example.com", names, DNS_RCODE_NOERROR);
	ask(mirror, "a name that does not", "other", "example.com", names, DNS_RCODE_NXDOMAIN);
	ask(mirror, "a wildcard", "x", "wild.example.com", names, DNS_RCODE_NOERROR);
	mirror_destroy(mirror);
	mirror_reader_unregister();
	return 0;
}
