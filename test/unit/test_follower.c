/*
 * The follower on a store that does what the test says: this file stands in for storage/storage.c.
 *
 * The test thread sets what the next calls return and rings; the follower's thread meets it.
 */
#include "backend/counters.h"
#include "backend/follower.h"
#include "backend/mirror.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "storage/storage.h"
#include "suite.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_MS 10000

/* --- the store -------------------------------------------------------------------------------- */

struct storage {
	int unused;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t bell;
	int open_status;
	int load_status;   /* other than OK: fails after half of it */
	int follow_status; /* other than OK: returned once */
	bool interrupted;
	bool change;  /* hand over one change */
	bool empty;   /* nothing is in it */
	bool resumes; /* following goes on after it was opened again */
	bool lost;    /* it has been opened and not loaded since */
	unsigned int opens, loads, half_loads;
	const char *address;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .bell = PTHREAD_COND_INITIALIZER};

static struct storage the_store;

struct storage *storage_create(const char *url, const struct storage_options *options, char *error,
			       size_t error_size)
{
	(void)options;
	if (strcmp(url, "fake:") == 0)
		return &the_store;
	snprintf(error, error_size, "no such store");
	return NULL;
}

void storage_destroy(struct storage *storage)
{
	(void)storage;
}

const char *storage_error(const struct storage *storage)
{
	(void)storage;
	return "the fake store fails";
}

int storage_open(struct storage *storage)
{
	int status;

	(void)storage;
	pthread_mutex_lock(&fake.lock);
	fake.opens++;
	fake.lost = true;
	status = fake.interrupted ? STORAGE_INTERRUPTED : fake.open_status;
	pthread_mutex_unlock(&fake.lock);
	return status;
}

static void put(const struct storage_sink *sink, const char *owner, const char *type,
		const char *content)
{
	const struct storage_record record = {type, content, 300, "fake"};
	const struct storage_name name = {"example.com", owner, &record, 1};

	sink->name(sink->ctx, &name);
}

int storage_load(struct storage *storage, const struct storage_sink *sink)
{
	int status;

	(void)storage;
	pthread_mutex_lock(&fake.lock);
	status = fake.interrupted ? STORAGE_INTERRUPTED : fake.load_status;
	fake.lost = false;
	sink->begin(sink->ctx, STORAGE_BATCH_FULL);
	if (status == STORAGE_OK && fake.empty) {
		sink->commit(sink->ctx);
		fake.loads++;
		pthread_mutex_unlock(&fake.lock);
		return status;
	}
	sink->zone(sink->ctx, "example.com");
	put(sink, "example.com", "SOA", "ns hostmaster 1 2 3 4 5");
	if (status == STORAGE_OK) {
		put(sink, "www.example.com", "A", fake.address);
		put(sink, "www.example.net", "A", "192.0.2.1");
		put(sink, "bad..name.example.com", "A", "192.0.2.1");
		sink->commit(sink->ctx);
		fake.loads++;
	} else {
		sink->abort(sink->ctx);
		fake.half_loads++;
	}
	pthread_mutex_unlock(&fake.lock);
	return status;
}

int storage_follow(struct storage *storage, const struct storage_sink *sink, int wait_ms)
{
	struct timespec until;
	int status;

	(void)storage;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += wait_ms / 1000 + 1;
	pthread_mutex_lock(&fake.lock);
	if (fake.lost && !fake.resumes && !fake.interrupted) {
		pthread_mutex_unlock(&fake.lock);
		return STORAGE_RELOAD;
	}
	if (!fake.interrupted && fake.follow_status == STORAGE_OK && !fake.change && wait_ms > 0)
		pthread_cond_timedwait(&fake.bell, &fake.lock, &until);
	if (fake.change) {
		fake.change = false;
		sink->begin(sink->ctx, STORAGE_BATCH_CHANGES);
		put(sink, "www.example.com", "A", fake.address);
		sink->commit(sink->ctx);
	}
	status = fake.interrupted ? STORAGE_INTERRUPTED : fake.follow_status;
	fake.follow_status = STORAGE_OK;
	pthread_mutex_unlock(&fake.lock);
	return status;
}

void storage_interrupt(struct storage *storage)
{
	(void)storage;
	pthread_mutex_lock(&fake.lock);
	fake.interrupted = true;
	pthread_cond_broadcast(&fake.bell);
	pthread_mutex_unlock(&fake.lock);
}

/* Sets one of the fake's values and wakes the follower. */
#define SET(member, value)                                                                         \
	do {                                                                                       \
		pthread_mutex_lock(&fake.lock);                                                    \
		fake.member = (value);                                                             \
		pthread_cond_broadcast(&fake.bell);                                                \
		pthread_mutex_unlock(&fake.lock);                                                  \
	} while (0)

static unsigned int get(const unsigned int *member)
{
	unsigned int value;

	pthread_mutex_lock(&fake.lock);
	value = *member;
	pthread_mutex_unlock(&fake.lock);
	return value;
}

/* --- what the tests run on -------------------------------------------------------------------- */

static struct mirror *mirror;
static struct metrics *metrics;
static struct follower *follower;
static atomic_uint loaded_calls;
static const char *snapshot; /* path, or NULL */

static void on_loaded(void *ctx)
{
	(void)ctx;
	atomic_fetch_add(&loaded_calls, 1);
}

static void begin(int open_status)
{
	const struct follower_options options = {.store = "fake:",
						 .loaded = on_loaded,
						 .snapshot = snapshot,
						 .max_loss_percent = 50};
	char error[100];

	pthread_mutex_lock(&fake.lock);
	fake.open_status = open_status;
	fake.load_status = fake.follow_status = STORAGE_OK;
	fake.interrupted = fake.change = fake.empty = fake.resumes = false;
	fake.opens = fake.loads = fake.half_loads = 0;
	fake.address = "192.0.2.1";
	pthread_mutex_unlock(&fake.lock);
	atomic_store(&loaded_calls, 0);
	metrics = metrics_create(backend_counter_defs, BACKEND_COUNTER_COUNT);
	mirror = mirror_create();
	follower = follower_create(&options, mirror, metrics, error, sizeof(error));
	CU_ASSERT_PTR_NOT_NULL_FATAL(follower);
	CU_ASSERT_EQUAL_FATAL(follower_start(follower), 0);
}

static void end(void)
{
	follower_destroy(follower);
	mirror_destroy(mirror);
	metrics_destroy(metrics);
}

/* Waits for a condition that another thread brings about. */
#define WAIT_FOR(condition)                                                                        \
	do {                                                                                       \
		const struct timespec pause_ = {.tv_nsec = 1000000};                               \
		int64_t until_ = clock_now_ms() + DEADLINE_MS;                                     \
		while (!(condition) && clock_now_ms() < until_)                                    \
			nanosleep(&pause_, NULL);                                                  \
		CU_ASSERT(condition);                                                              \
	} while (0)

/* The last octet of www.example.com's address in the mirror; 0: it has none. */
static unsigned int served(void)
{
	static const uint8_t name[] = "\3www\7example\3com";
	uint8_t labels[DNS_LABELS_MAX];
	unsigned int count = dns_name_find_labels(name, labels);
	unsigned int apex, octet = 0;
	const struct mirror_zone *zone;

	mirror_read_begin();
	zone = mirror_find_zone(mirror, name, labels, count, false, &apex);
	if (zone != NULL) {
		const struct mirror_node *node =
			mirror_find_child(mirror, mirror_zone_apex(zone), name);
		const struct mirror_rrset *set = node != NULL ? mirror_find_rrset(node, 1) : NULL;

		octet = set != NULL ? set->data[5] : 0;
	}
	mirror_read_end();
	return octet;
}

static bool described(const char *words)
{
	char text[1200];

	follower_describe(follower, text, sizeof(text));
	return strstr(text, words) != NULL;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void test_everything_is_loaded_once(void)
{
	begin(STORAGE_OK);
	WAIT_FOR(atomic_load(&loaded_calls) == 1);
	CU_ASSERT_EQUAL(served(), 1);
	CU_ASSERT(described("1 zone, 2 names, data 0."));
	CU_ASSERT_EQUAL(metrics_read(metrics, BACKEND_STORE_LOADS), 1);
	CU_ASSERT_EQUAL(metrics_read(metrics, BACKEND_STORE_OUTAGES), 0);
	end();
}

static void test_owners_that_cannot_be_are_left_out(void)
{
	begin(STORAGE_OK);
	WAIT_FOR(atomic_load(&loaded_calls) == 1);
	CU_ASSERT_EQUAL(metrics_read(metrics, BACKEND_RECORDS_REJECTED), 2);
	end();
}

static void test_changes_are_taken_over(void)
{
	begin(STORAGE_OK);
	WAIT_FOR(served() == 1);
	SET(address, "192.0.2.9");
	SET(change, true);
	WAIT_FOR(served() == 9);
	WAIT_FOR(metrics_read(metrics, BACKEND_STORE_CHANGES) == 1);
	end();
}

static void test_a_reload_loads_again(void)
{
	begin(STORAGE_OK);
	WAIT_FOR(served() == 1);
	SET(address, "192.0.2.5");
	SET(follow_status, STORAGE_RELOAD);
	WAIT_FOR(served() == 5);
	WAIT_FOR(atomic_load(&loaded_calls) == 2);
	CU_ASSERT_EQUAL(metrics_read(metrics, BACKEND_STORE_OUTAGES), 0);
	end();
}

static void test_an_outage_keeps_what_is_in_memory(void)
{
	begin(STORAGE_OK);
	WAIT_FOR(served() == 1);
	SET(open_status, STORAGE_UNAVAILABLE);
	SET(follow_status, STORAGE_UNAVAILABLE);
	WAIT_FOR(get(&fake.opens) >= 3);
	CU_ASSERT_EQUAL(served(), 1);
	CU_ASSERT(described("from memory"));
	CU_ASSERT(described("the fake store fails"));
	CU_ASSERT_EQUAL(metrics_read(metrics, BACKEND_STORE_OUTAGES), 1);
	SET(address, "192.0.2.6");
	SET(open_status, STORAGE_OK);
	WAIT_FOR(served() == 6);
	WAIT_FOR(!described("from memory"));
	CU_ASSERT_EQUAL(metrics_read(metrics, BACKEND_STORE_OUTAGES), 1);
	end();
}

static void test_an_outage_without_loss_needs_no_load(void)
{
	begin(STORAGE_OK);
	WAIT_FOR(served() == 1);
	SET(resumes, true);
	SET(open_status, STORAGE_UNAVAILABLE);
	SET(follow_status, STORAGE_UNAVAILABLE);
	WAIT_FOR(get(&fake.opens) >= 3);
	SET(address, "192.0.2.3");
	SET(change, true);
	SET(open_status, STORAGE_OK);
	WAIT_FOR(served() == 3);
	WAIT_FOR(!described("from memory"));
	CU_ASSERT_EQUAL(metrics_read(metrics, BACKEND_STORE_RESUMES), 1);
	CU_ASSERT_EQUAL(metrics_read(metrics, BACKEND_STORE_CHANGES), 1);
	CU_ASSERT_EQUAL(metrics_read(metrics, BACKEND_STORE_LOADS), 1);
	CU_ASSERT_EQUAL(atomic_load(&loaded_calls), 1);
	end();
}

static void test_half_a_load_is_not_followed_on(void)
{
	begin(STORAGE_OK);
	WAIT_FOR(served() == 1);
	SET(resumes, true);
	SET(load_status, STORAGE_UNAVAILABLE);
	SET(follow_status, STORAGE_RELOAD);
	WAIT_FOR(get(&fake.half_loads) >= 3);
	SET(load_status, STORAGE_OK);
	WAIT_FOR(atomic_load(&loaded_calls) == 2);
	CU_ASSERT_EQUAL(metrics_read(metrics, BACKEND_STORE_RESUMES), 0);
	end();
}

static void test_a_load_that_breaks_off_takes_nothing_away(void)
{
	begin(STORAGE_OK);
	WAIT_FOR(served() == 1);
	SET(load_status, STORAGE_DAMAGED);
	SET(follow_status, STORAGE_UNAVAILABLE);
	WAIT_FOR(get(&fake.half_loads) >= 2);
	CU_ASSERT_EQUAL(served(), 1);
	SET(load_status, STORAGE_OK);
	WAIT_FOR(atomic_load(&loaded_calls) == 2);
	end();
}

static void test_a_store_that_is_back_empty_is_not_believed(void)
{
	char reply[1024] = "";

	begin(STORAGE_OK);
	WAIT_FOR(served() == 1);
	SET(empty, true);
	SET(follow_status, STORAGE_UNAVAILABLE);
	WAIT_FOR(described("the store is back without 2 of 2 records"));
	CU_ASSERT_EQUAL(served(), 1);
	CU_ASSERT_EQUAL(metrics_read(metrics, BACKEND_STORE_GUARDED), 1);
	CU_ASSERT_FALSE(follower_reload(follower, false, reply, sizeof(reply)));
	CU_ASSERT_PTR_NOT_NULL(strstr(reply, "without 2 of 2 records"));
	CU_ASSERT_EQUAL(served(), 1);
	CU_ASSERT_TRUE(follower_reload(follower, true, reply, sizeof(reply)));
	WAIT_FOR(served() == 0);
	WAIT_FOR(!described("from memory"));
	end();
}

static void test_an_empty_store_in_place_of_the_old_is_not_believed(void)
{
	begin(STORAGE_OK);
	WAIT_FOR(served() == 1);
	SET(empty, true);
	SET(follow_status, STORAGE_REPLACED);
	WAIT_FOR(described("the store is back without 2 of 2 records"));
	CU_ASSERT_EQUAL(served(), 1);
	SET(empty, false);
	SET(address, "192.0.2.4");
	char reply[1024];
	follower_reload(follower, true, reply, sizeof(reply));
	WAIT_FOR(served() == 4);
	end();
}

static void test_what_is_deleted_before_our_eyes_is_deleted(void)
{
	begin(STORAGE_OK);
	WAIT_FOR(served() == 1);
	SET(empty, true);
	SET(follow_status, STORAGE_RELOAD); /* a flush, not an outage */
	WAIT_FOR(served() == 0);
	CU_ASSERT_EQUAL(metrics_read(metrics, BACKEND_STORE_GUARDED), 0);
	end();
}

static void test_a_reload_can_be_asked_for(void)
{
	char reply[1024] = "";

	begin(STORAGE_OK);
	WAIT_FOR(served() == 1);
	SET(address, "192.0.2.7");
	CU_ASSERT_TRUE(follower_reload(follower, false, reply, sizeof(reply)));
	pthread_cond_broadcast(&fake.bell);
	WAIT_FOR(served() == 7);
	end();
}

static void test_a_start_without_the_store_takes_the_snapshot(void)
{
	char directory[] = "/tmp/godwit-test-XXXXXX";
	char path[100];

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/snapshot", directory);
	snapshot = path;
	begin(STORAGE_UNAVAILABLE);
	WAIT_FOR(get(&fake.opens) >= 2);
	CU_ASSERT_FALSE(mirror_is_loaded(mirror)); /* there is none yet */
	SET(open_status, STORAGE_OK);
	WAIT_FOR(served() == 1);
	end(); /* saves it */
	begin(STORAGE_UNAVAILABLE);
	WAIT_FOR(served() == 1);
	WAIT_FOR(atomic_load(&loaded_calls) == 1);
	CU_ASSERT(described("2 names from memory"));
	SET(address, "192.0.2.8");
	SET(open_status, STORAGE_OK);
	WAIT_FOR(served() == 8);
	CU_ASSERT(metrics_read(metrics, BACKEND_SNAPSHOTS_FAILED) == 0);
	end();
	snapshot = NULL;
	unlink(path);
	rmdir(directory);
}

static void test_nothing_is_served_before_the_first_load(void)
{
	begin(STORAGE_NOT_READY);
	WAIT_FOR(get(&fake.opens) >= 2);
	CU_ASSERT_FALSE(mirror_is_loaded(mirror));
	CU_ASSERT(described("not loaded yet: the fake store fails"));
	SET(open_status, STORAGE_OK);
	WAIT_FOR(mirror_is_loaded(mirror));
	end();
}

static void test_stopping_does_not_wait_for_a_retry(void)
{
	int64_t began;

	begin(STORAGE_UNAVAILABLE);
	WAIT_FOR(get(&fake.opens) >= 5); /* pauses of 1200 ms and more from here */
	began = clock_now_ms();
	follower_stop(follower);
	CU_ASSERT(clock_now_ms() - began < 1000);
	end();
}

static void test_a_wrong_url_is_refused(void)
{
	const struct follower_options options = {.store = "wrong:"};
	struct mirror *unused = mirror_create();
	struct metrics *counters = metrics_create(backend_counter_defs, BACKEND_COUNTER_COUNT);
	char error[100] = "";

	CU_ASSERT_PTR_NULL(follower_create(&options, unused, counters, error, sizeof(error)));
	CU_ASSERT_STRING_EQUAL(error, "no such store");
	mirror_destroy(unused);
	metrics_destroy(counters);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"everything is loaded once", test_everything_is_loaded_once},
		{"owners that cannot be are left out", test_owners_that_cannot_be_are_left_out},
		{"changes are taken over", test_changes_are_taken_over},
		{"a reload loads again", test_a_reload_loads_again},
		{"an outage keeps what is in memory", test_an_outage_keeps_what_is_in_memory},
		{"an outage without loss needs no load", test_an_outage_without_loss_needs_no_load},
		{"half a load is not followed on", test_half_a_load_is_not_followed_on},
		{"a broken load takes nothing away",
		 test_a_load_that_breaks_off_takes_nothing_away},
		{"a store that is back empty is not believed",
		 test_a_store_that_is_back_empty_is_not_believed},
		{"an empty store in place of the old is not believed",
		 test_an_empty_store_in_place_of_the_old_is_not_believed},
		{"what is deleted before our eyes is deleted",
		 test_what_is_deleted_before_our_eyes_is_deleted},
		{"a reload can be asked for", test_a_reload_can_be_asked_for},
		{"a start without the store takes the snapshot",
		 test_a_start_without_the_store_takes_the_snapshot},
		{"nothing is served before a load", test_nothing_is_served_before_the_first_load},
		{"stopping does not wait", test_stopping_does_not_wait_for_a_retry},
		{"a wrong URL is refused", test_a_wrong_url_is_refused},
	};
	int status;

	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
	mirror_reader_register();
	status = SUITE_RUN("follower", tests);
	mirror_reader_unregister();
	return status;
}
