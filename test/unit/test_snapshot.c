/* Snapshots: what is saved comes back, and what is damaged does not. */
#include "backend/mirror.h"
#include "backend/snapshot.h"
#include "suite.h"
#include "zone_text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char directory[] = "/tmp/godwit-test-XXXXXX";
static char path[64];
static char error[512];

static struct mirror *make_mirror(void)
{
	struct mirror *mirror = mirror_create();

	mirror_write_begin(mirror, true);
	zone_text_put_zone(mirror, "example.com");
	zone_text_put_zone(mirror, ".");
	zone_text_put(mirror, "example.com", "example.com",
		      ZONE_TEXT_SOA "NS 60 ns.example.com.\n");
	zone_text_put(mirror, ".", ".", ZONE_TEXT_SOA);
	zone_text_put(mirror, ".", "test", "TXT 5 \"root\"\n");
	zone_text_put(mirror, "example.com", "a.b.example.com",
		      "A 60 192.0.2.1\nA 60 192.0.2.2\nTYPE65280 7 \\# 0\nTXT 9 \"x\" \"y\"\n");
	for (int i = 0; i < 5000; i++) {
		char name[64];
		snprintf(name, sizeof(name), "h%d.example.com", i);
		zone_text_put(mirror, "example.com", name, "AAAA 60 2001:db8::1\n");
	}
	mirror_write_commit(mirror);
	return mirror;
}

/* --- two mirrors compared --------------------------------------------------------------------- */

static int count_zone(void *ctx, const uint8_t *apex)
{
	(void)apex;
	++*(int *)ctx;
	return 0;
}

/* Counts an RRset that the other mirror has just so. */
static int find_in_other(void *ctx, const uint8_t *apex, const uint8_t *owner,
			 const struct mirror_rrset *rrset)
{
	struct mirror *other = *(struct mirror **)ctx;
	uint8_t labels[DNS_LABELS_MAX];
	unsigned int label;
	unsigned int count = dns_name_find_labels(owner, labels);
	const struct mirror_zone *zone =
		mirror_find_zone(other, owner, labels, count, false, &label);

	CU_ASSERT_PTR_NOT_NULL_FATAL(zone);
	CU_ASSERT_EQUAL(count - label, dns_name_count_labels(apex));
	const struct mirror_node *node = mirror_zone_apex(zone);
	while (node && label > 0)
		node = mirror_find_child(other, node, owner + labels[--label]);
	CU_ASSERT_PTR_NOT_NULL_FATAL(node);
	const struct mirror_rrset *twin = mirror_find_rrset(node, rrset->type);
	CU_ASSERT_PTR_NOT_NULL_FATAL(twin);
	CU_ASSERT_EQUAL(memcmp(twin, rrset, sizeof(*rrset) + rrset->size), 0);
	return 0;
}

static int ignore_zone(void *ctx, const uint8_t *apex)
{
	(void)ctx;
	(void)apex;
	return 0;
}

static int ignore_rrset(void *ctx, const uint8_t *apex, const uint8_t *owner,
			const struct mirror_rrset *rrset)
{
	(void)ctx;
	(void)apex;
	(void)owner;
	(void)rrset;
	return 0;
}

static void test_what_is_saved_comes_back(void)
{
	struct mirror *saved = make_mirror();
	struct mirror *loaded = mirror_create();
	struct mirror_stats a;
	struct mirror_stats b;
	int64_t saved_s = 0;
	int zones = 0;

	CU_ASSERT_EQUAL_FATAL(snapshot_save(saved, path, error, sizeof(error)), SNAPSHOT_OK);
	CU_ASSERT_EQUAL_FATAL(snapshot_load(loaded, path, &saved_s, error, sizeof(error)),
			      SNAPSHOT_OK);
	CU_ASSERT_TRUE(mirror_is_loaded(loaded));
	CU_ASSERT_TRUE(time(NULL) - saved_s < 60);
	mirror_read_stats(saved, &a);
	mirror_read_stats(loaded, &b);
	CU_ASSERT_EQUAL(a.zones, b.zones);
	CU_ASSERT_EQUAL(a.names, b.names);
	CU_ASSERT_EQUAL(a.records, b.records);
	mirror_export(loaded, &(struct mirror_export){&zones, count_zone, ignore_rrset});
	CU_ASSERT_EQUAL(zones, 2);
	mirror_export(saved, &(struct mirror_export){&loaded, ignore_zone, find_in_other});
	mirror_destroy(saved);
	mirror_destroy(loaded);
}

static void test_only_the_owner_may_read_it(void)
{
	struct stat stat_buffer;

	CU_ASSERT_EQUAL_FATAL(stat(path, &stat_buffer), 0);
	CU_ASSERT_EQUAL(stat_buffer.st_mode & 0777, 0600);
}

static void test_a_missing_file_is_told_apart(void)
{
	struct mirror *mirror = mirror_create();
	int64_t saved_s;

	CU_ASSERT_EQUAL(snapshot_load(mirror, "/nowhere/snapshot", &saved_s, error, sizeof(error)),
			SNAPSHOT_MISSING);
	CU_ASSERT_FALSE(mirror_is_loaded(mirror));
	mirror_destroy(mirror);
}

static size_t read_file(uint8_t *out, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t got = read(fd, out, size);

	close(fd);
	CU_ASSERT_TRUE_FATAL(got > 0 && (size_t)got < size);
	return (size_t)got;
}

static void write_file(const uint8_t *bytes, size_t size)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	CU_ASSERT_EQUAL(write(fd, bytes, size), (ssize_t)size);
	close(fd);
}

static void assert_damaged(struct mirror *mirror)
{
	struct mirror_stats stats;
	int64_t saved_s;

	CU_ASSERT_EQUAL(snapshot_load(mirror, path, &saved_s, error, sizeof(error)),
			SNAPSHOT_DAMAGED);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, path));
	CU_ASSERT_FALSE(mirror_is_loaded(mirror));
	mirror_read_stats(mirror, &stats);
	CU_ASSERT_EQUAL(stats.names, 0);
}

static void test_damage_is_noticed(void)
{
	static uint8_t bytes[1 << 20];
	struct mirror *mirror = mirror_create();
	size_t size = read_file(bytes, sizeof(bytes));

	for (size_t at = 0; at < size; at += 1 + size / 97) {
		bytes[at] ^= 0x10;
		write_file(bytes, size);
		assert_damaged(mirror);
		bytes[at] ^= 0x10;
	}
	for (size_t cut = 0; cut < size; cut += 1 + size / 31) {
		write_file(bytes, cut);
		assert_damaged(mirror);
	}
	write_file(bytes, size);
	int64_t saved_s;
	CU_ASSERT_EQUAL(snapshot_load(mirror, path, &saved_s, error, sizeof(error)), SNAPSHOT_OK);
	mirror_destroy(mirror);
}

static void test_a_failure_leaves_the_old_one(void)
{
	struct mirror *mirror = make_mirror();
	char blocked[128];
	struct stat before;
	struct stat after;

	/* A directory stands where the new file would be written. */
	snprintf(blocked, sizeof(blocked), "%s.new", path);
	CU_ASSERT_EQUAL_FATAL(mkdir(blocked, 0700), 0);
	CU_ASSERT_EQUAL(stat(path, &before), 0);
	CU_ASSERT_EQUAL(snapshot_save(mirror, path, error, sizeof(error)), SNAPSHOT_FAILED);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "cannot be written: Is a directory"));
	CU_ASSERT_EQUAL(stat(path, &after), 0);
	CU_ASSERT_EQUAL(before.st_ino, after.st_ino);
	rmdir(blocked);
	/* A place where no file can be. */
	CU_ASSERT_EQUAL(snapshot_save(mirror, "/dev/null/snapshot", error, sizeof(error)),
			SNAPSHOT_FAILED);
	mirror_destroy(mirror);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"what is saved comes back", test_what_is_saved_comes_back},
		{"only the owner may read it", test_only_the_owner_may_read_it},
		{"a missing file is told apart", test_a_missing_file_is_told_apart},
		{"damage is noticed", test_damage_is_noticed},
		{"a failure leaves the old one", test_a_failure_leaves_the_old_one},
	};
	mirror_reader_register();
	if (!mkdtemp(directory))
		return 1;
	snprintf(path, sizeof(path), "%s/snapshot", directory);
	int status = SUITE_RUN("snapshot", tests);
	unlink(path);
	rmdir(directory);
	mirror_reader_unregister();
	return status;
}
