/*
 * A generator of DNS load, light enough to find out what the fastest servers can do: one thread
 * that never sleeps, on sockets that take and give many messages per system call. It takes a whole
 * CPU; keep the server on another.
 *
 *     load --server 127.0.0.1:5300 --pattern 'h#######.example.com' --names 10000
 *
 * Two ways to drive a server:
 *
 *  - closed loop (--window N): N queries are always under way; a reply brings the next query. It
 *    finds how many queries per second a server can answer, without overrunning it.
 *  - open loop (--rate N): N queries per second at even distances, whatever comes back. It finds
 *    the latency at that rate. A query's time counts from when it should have been sent, so that
 *    waiting in here is not hidden; queries that could not be sent within 100 ms are skipped and
 *    counted.
 *
 * "idle" in the result is the share of time that went into looking at sockets with nothing to
 * bring: near 0 in a closed loop, the generator is what limits the rate. --single sends every query
 * on its own, for kernels or servers that mind trains of them (lane.h).
 *
 * A server that falls silent must not be taken for a slow one: "silence_ms" is the longest time in
 * which a lane with queries under way got no reply, "lost_at_end" how many queries were unanswered
 * when the load was over, and "pause_ms" the longest that this program itself was kept from its
 * CPU. A lane that stays silent for --timeout is told of on standard error at once, with what waits
 * where (stall.h).
 *
 * It warms up, writes the line "measuring", counts for --seconds, writes "measured", waits for the
 * last replies, and ends with one line of JSON. Whoever wants to know what the server cost reads
 * its CPU time at the two lines.
 */
#include "bench/lane.h"
#include "bench/lane_quic.h"
#include "bench/lane_tls.h"
#include "bench/stall.h"

#include "common/clock.h"
#include "dns/protocol.h"
#include "dns/rdata.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LANES_MAX 1024
#define NS_PER_SECOND INT64_C(1000000000)
#define EXPIRE_EACH_NS (NS_PER_SECOND / 10)
#define SKIP_AFTER_NS (NS_PER_SECOND / 10)
#define RECONNECTS_MAX 10000 /* a server that closes every connection ends the run */
#define OPEN_LOOP_BATCH 16u  /* at once on one lane, when the loop is late */
#define STALLS_TOLD_MAX 4

struct options {
	struct lane_options lane;
	struct questions_options questions;
	bool single;
	unsigned int lanes;
	unsigned int window; /* queries under way, all lanes together */
	double rate;         /* per second; 0: closed loop */
	double seconds;
	double warm_seconds;
	double timeout_seconds;
};

struct load {
	struct options options;
	struct questions *questions;
	struct lane lanes[LANES_MAX];
	struct lane_counts counts;
	uint64_t skipped;
	/* open loop */
	int64_t started_ns;
	uint64_t due; /* queries sent or skipped since then */
	unsigned int next_lane;
	int64_t expired_ns; /* when slots were last looked through */
	/* stalls */
	int64_t round_ns; /* when this round of the loop began */
	int64_t pause_ns; /* the longest round */
	unsigned int stalls_told;
	uint64_t lost_at_end;
};

/* --- options --------------------------------------------------------------------------------- */

static void usage(void)
{
	fputs("usage: load --server ADDRESS:PORT (--pattern NAME [--names N] [--types A,AAAA] | "
	      "--file FILE)\n"
	      "            [--tcp | --tls | --quic] [--sockets N] [--window N | --rate N] "
	      "[--seconds N] "
	      "[--warm N]\n"
	      "            [--timeout N] [--edns SIZE] [--seed N] [--single]\n",
	      stderr);
	exit(2);
}

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "load: %s: %s\n", what, why);
	exit(1);
}

static double parse_number(const char *option, const char *text, double least, double most)
{
	char *end = NULL;
	double number = strtod(text, &end);

	if (end == text || *end != '\0' || !(number >= least && number <= most))
		fail(option, "not a number in its range");
	return number;
}

static void parse_server(struct options *options, char *text)
{
	char *colon = strrchr(text, ':');

	if (!colon)
		fail("--server", "not ADDRESS:PORT");
	*colon = '\0';
	options->lane.server.sin_family = AF_INET;
	options->lane.server.sin_port =
		htons((uint16_t)parse_number("--server", colon + 1, 1, 65535));
	if (inet_pton(AF_INET, text, &options->lane.server.sin_addr) != 1)
		fail("--server", "not an IPv4 address");
}

static void parse_types(struct questions_options *questions, char *text)
{
	char *rest = NULL;

	questions->type_count = 0;
	for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
		int type = dns_type_from_text(word);
		if (type < 0 || questions->type_count == QUESTIONS_TYPES_MAX)
			fail("--types", "unknown or too many types");
		questions->types[questions->type_count++] = (uint16_t)type;
	}
	if (questions->type_count == 0)
		fail("--types", "no types");
}

static void parse_option(struct options *options, int option, const char *name)
{
	switch (option) {
	case 's':
		parse_server(options, optarg);
		break;
	case 'p':
		options->questions.pattern = optarg;
		break;
	case 'f':
		options->questions.file = optarg;
		break;
	case 't':
		parse_types(&options->questions, optarg);
		break;
	case 'T':
		options->lane.transport = LANE_TCP;
		break;
	case 'E':
		options->lane.transport = LANE_TLS;
		break;
	case 'Q':
		options->lane.transport = LANE_QUIC;
		break;
	case '1':
		options->single = true;
		break;
	case 'n':
		options->questions.names = (uint64_t)parse_number(name, optarg, 1, 1e15);
		break;
	case 'l':
		options->lanes = (unsigned int)parse_number(name, optarg, 1, LANES_MAX);
		break;
	case 'w':
		options->window = (unsigned int)parse_number(name, optarg, 1, 1e6);
		break;
	case 'r':
		options->rate = parse_number(name, optarg, 1, 1e7);
		break;
	case 'S':
		options->seconds = parse_number(name, optarg, 0.01, 3600);
		break;
	case 'W':
		options->warm_seconds = parse_number(name, optarg, 0, 3600);
		break;
	case 'o':
		options->timeout_seconds = parse_number(name, optarg, 0.01, 60);
		break;
	case 'e':
		options->questions.edns_size = (uint16_t)parse_number(name, optarg, 0, 65535);
		break;
	case 'x':
		options->questions.seed = (uint64_t)parse_number(name, optarg, 1, 1e15);
		break;
	default:
		usage();
	}
}

static void parse_options(struct options *options, int argc, char **argv)
{
	static const struct option known[] = {
		{"server", 1, NULL, 's'},  {"pattern", 1, NULL, 'p'}, {"file", 1, NULL, 'f'},
		{"types", 1, NULL, 't'},   {"tcp", 0, NULL, 'T'},     {"tls", 0, NULL, 'E'},
		{"names", 1, NULL, 'n'},   {"sockets", 1, NULL, 'l'}, {"window", 1, NULL, 'w'},
		{"rate", 1, NULL, 'r'},    {"seconds", 1, NULL, 'S'}, {"warm", 1, NULL, 'W'},
		{"timeout", 1, NULL, 'o'}, {"edns", 1, NULL, 'e'},    {"single", 0, NULL, '1'},
		{"seed", 1, NULL, 'x'},    {"quic", 0, NULL, 'Q'},    {NULL, 0, NULL, 0},
	};
	int option;
	int index = 0;

	*options = (struct options){
		.lanes = 8, .window = 128, .seconds = 3, .warm_seconds = 0.5, .timeout_seconds = 1};
	options->questions.names = 10000;
	options->questions.types[0] = DNS_TYPE_A;
	options->questions.type_count = 1;
	options->questions.seed = (uint64_t)clock_now_ns();
	while ((option = getopt_long(argc, argv, "", known, &index)) >= 0)
		parse_option(options, option, option == '?' ? "" : known[index].name);
	if (optind != argc || options->lane.server.sin_port == 0 ||
	    !options->questions.pattern == !options->questions.file)
		usage();
	if (options->window < options->lanes)
		options->lanes = options->window;
}

/* --- the loops ------------------------------------------------------------------------------- */

static unsigned int lane_window(const struct load *load)
{
	return load->options.window / load->options.lanes;
}

/* The largest number of queries that may be under way on one lane, as a power of two. */
static unsigned int choose_slots(const struct options *options)
{
	double wanted = options->rate > 0 ? options->rate * options->timeout_seconds * 1.25
					  : options->window;
	unsigned int slots = 64;

	while (slots < LANE_SLOTS_MAX && slots < wanted / options->lanes)
		slots *= 2;
	return slots;
}

/* Every lane takes what came, and makes its window full again. */
static void run_closed(struct load *load)
{
	unsigned int window = lane_window(load);

	for (unsigned int i = 0; i < load->options.lanes; i++) {
		struct lane *lane = &load->lanes[i];
		lane_receive(lane, &load->counts);
		unsigned int outstanding = lane_outstanding(lane);
		if (outstanding < window)
			lane_send(lane, load->questions, window - outstanding, clock_now_ns(), 0,
				  &load->counts);
	}
}

/* Sends what is due by now, a few queries on each lane in turn, and takes what came. */
static void run_open(struct load *load)
{
	double gap_ns = (double)NS_PER_SECOND / load->options.rate;
	int64_t now_ns = clock_now_ns();
	uint64_t due = (uint64_t)((double)(now_ns - load->started_ns) / gap_ns);
	uint64_t most_late = (uint64_t)(SKIP_AFTER_NS / gap_ns) + 1;

	if (due > load->due + most_late) {
		load->skipped += due - load->due - most_late;
		load->due = due - most_late;
	}
	for (unsigned int i = 0; i < load->options.lanes && load->due < due; i++) {
		uint64_t count = due - load->due;
		int64_t first_ns = load->started_ns + (int64_t)((double)load->due * gap_ns);
		struct lane *lane = &load->lanes[load->next_lane++ % load->options.lanes];
		load->due +=
			lane_send(lane, load->questions,
				  count < OPEN_LOOP_BATCH ? (unsigned int)count : OPEN_LOOP_BATCH,
				  first_ns, (int64_t)gap_ns, &load->counts);
	}
	for (unsigned int i = 0; i < load->options.lanes; i++)
		lane_receive(&load->lanes[i], &load->counts);
}

static int64_t timeout_of(const struct load *load)
{
	return (int64_t)(load->options.timeout_seconds * (double)NS_PER_SECOND);
}

/* Looks for lanes that have been silent for `limit_ns`, and tells of the first few. */
static void look_for_stalls(struct load *load, int64_t now_ns, int64_t limit_ns)
{
	for (unsigned int i = 0; i < load->options.lanes; i++) {
		struct lane *lane = &load->lanes[i];
		int64_t silence_ns = lane_note_silence(lane, now_ns, &load->counts);
		if (silence_ns < limit_ns || lane->told || load->stalls_told == STALLS_TOLD_MAX)
			continue;
		lane->told = true;
		load->stalls_told++;
		stall_tell(lane, i, silence_ns);
	}
}

/* A round of the loop begins. Returns how long the one before took. */
static int64_t note_round(struct load *load, int64_t now_ns)
{
	int64_t pause_ns = now_ns - load->round_ns;

	if (pause_ns > load->pause_ns)
		load->pause_ns = pause_ns;
	load->round_ns = now_ns;
	return pause_ns;
}

/*
 * Gives up what was not answered in time. `now_ns` is of before the sockets were looked at, and
 * after a pause they are looked at for a while first: a reply that has come and not been read, as
 * this program did not run, is not lost.
 */
static void expire(struct load *load, int64_t now_ns, int64_t pause_ns)
{
	int64_t timeout_ns = timeout_of(load);

	if (pause_ns >= EXPIRE_EACH_NS)
		load->expired_ns = now_ns;
	if (now_ns - load->expired_ns < EXPIRE_EACH_NS)
		return;
	load->expired_ns = now_ns;
	look_for_stalls(load, now_ns, timeout_ns);
	for (unsigned int i = 0; i < load->options.lanes; i++)
		lane_expire(&load->lanes[i], now_ns - timeout_ns, &load->counts);
}

/* Drives the server for some seconds; how long it really was. */
static double run(struct load *load, double seconds)
{
	int64_t start_ns = clock_now_ns();
	int64_t end_ns = start_ns + (int64_t)(seconds * (double)NS_PER_SECOND);
	int64_t now_ns;

	while ((now_ns = clock_now_ns()) < end_ns && load->counts.reconnects < RECONNECTS_MAX) {
		int64_t pause_ns = note_round(load, now_ns);
		if (load->options.rate > 0)
			run_open(load);
		else
			run_closed(load);
		expire(load, now_ns, pause_ns);
	}
	return (double)(clock_now_ns() - start_ns) / (double)NS_PER_SECOND;
}

static unsigned int outstanding(const struct load *load)
{
	unsigned int sum = 0;

	for (unsigned int i = 0; i < load->options.lanes; i++)
		sum += lane_outstanding(&load->lanes[i]);
	return sum;
}

/* Waits for the last replies; what does not come in time is lost, but what has come is taken. */
static void drain(struct load *load)
{
	int64_t end_ns = clock_now_ns() + timeout_of(load);
	int64_t now_ns;
	uint64_t before;

	do {
		now_ns = clock_now_ns();
		before = load->counts.answered;
		note_round(load, now_ns);
		for (unsigned int i = 0; i < load->options.lanes; i++)
			lane_receive(&load->lanes[i], &load->counts);
	} while (outstanding(load) > 0 && (now_ns < end_ns || load->counts.answered > before));
	load->lost_at_end = outstanding(load);
	look_for_stalls(load, now_ns, timeout_of(load) / 2);
	for (unsigned int i = 0; i < load->options.lanes; i++)
		lane_expire(&load->lanes[i], INT64_MAX, &load->counts);
}

/* --- the report ------------------------------------------------------------------------------ */

static double us(int64_t ns)
{
	return (double)ns / 1000;
}

/*
 * `at_end` was counted within the `seconds` measured; the load's own counts hold what came later.
 */
static void report(const struct load *load, double seconds, const struct lane_counts *at_end)
{
	const struct lane_counts *counts = &load->counts;
	const struct histogram *latency = &counts->latency;
	const char *separator = "";

	printf("{\"seconds\": %.3f, \"answered\": %" PRIu64 ", \"rate\": %.1f, \"sent\": %" PRIu64
	       ", \"lost\": %" PRIu64 ", \"skipped\": %" PRIu64 ", \"unexpected\": %" PRIu64
	       ", \"truncated\": %" PRIu64 ", \"empty\": %" PRIu64 ", \"reconnects\": %" PRIu64,
	       seconds, at_end->answered, (double)at_end->answered / seconds, counts->sent,
	       counts->lost, load->skipped, counts->unexpected, counts->truncated, counts->empty,
	       counts->reconnects);
	printf(", \"idle\": %.3f, \"silence_ms\": %.1f, \"pause_ms\": %.1f, \"lost_at_end\": "
	       "%" PRIu64,
	       (double)at_end->idle_ns / 1e9 / seconds, (double)counts->silence_ns / 1e6,
	       (double)load->pause_ns / 1e6, load->lost_at_end);
	printf(", \"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, "
	       "\"max_us\": %.1f, \"rcodes\": {",
	       us(histogram_percentile(latency, 0.5)), us(histogram_percentile(latency, 0.9)),
	       us(histogram_percentile(latency, 0.99)), us(histogram_percentile(latency, 0.999)),
	       us(latency->max));
	for (unsigned int i = 0; i < 16; i++) {
		if (counts->rcodes[i] == 0)
			continue;
		printf("%s\"%u\": %" PRIu64, separator, i, counts->rcodes[i]);
		separator = ", ";
	}
	puts("}}");
}

static void say(const char *line)
{
	puts(line);
	fflush(stdout);
}

static void open_lanes(struct load *load)
{
	struct options *options = &load->options;

	options->lane.trains = !options->single && !options->questions.file;
	options->lane.slots = choose_slots(options);
	if (options->lane.transport == LANE_TLS)
		options->lane.tls = lane_tls_create_context(0);
	if (options->lane.transport == LANE_QUIC)
		options->lane.quic = lane_quic_create_context();
	for (unsigned int i = 0; i < options->lanes; i++) {
		if (!lane_open(&load->lanes[i], &options->lane))
			fail("cannot connect", strerror(errno));
	}
}

int main(int argc, char **argv)
{
	static struct load load; /* too large for the stack */
	static struct lane_counts at_end;
	char error[256];

	parse_options(&load.options, argc, argv);
	load.questions = questions_create(&load.options.questions, error, sizeof(error));
	if (!load.questions)
		fail("cannot make queries", error);
	open_lanes(&load);
	load.started_ns = load.round_ns = clock_now_ns();
	run(&load, load.options.warm_seconds);
	memset(&load.counts, 0, sizeof(load.counts));
	load.skipped = 0;
	load.round_ns = clock_now_ns();
	load.pause_ns = 0;
	say("measuring");
	double seconds = run(&load, load.options.seconds);
	at_end = load.counts;
	say("measured");
	drain(&load);
	report(&load, seconds, &at_end);
	for (unsigned int i = 0; i < load.options.lanes; i++)
		lane_close(&load.lanes[i]);
	SSL_CTX_free(load.options.lane.tls);
	lane_quic_destroy_context(load.options.lane.quic);
	questions_destroy(load.questions);
	return 0;
}
