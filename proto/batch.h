/*
 * The messages of godwit.v1.Backend/Exchange, read and written in place.
 *
 * A batch is many small packets, each of which crosses this code twice on either side; so the two
 * messages Questions and Answers (godwit.proto) have a codec of their own that builds no objects:
 * a reader walks the octets as they came, a writer puts a DNS message straight where it leaves
 * from. It speaks protobuf's wire format like any other: fields in any order, unknown ones
 * skipped, the last value wins. Where a length is not known when its field begins, its varint is
 * padded to three octets, which every parser takes.
 *
 * Pure: no I/O, no allocation. Any octets are safe to read. Any thread. Hot path.
 */
#ifndef GODWIT_PROTO_BATCH_H
#define GODWIT_PROTO_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Largest message of questions, and how many it may hold. A DNS message of any size fits. */
#define BATCH_QUESTIONS_SIZE 66560
#define BATCH_QUESTIONS_MAX 1024

/* Largest message of answers: who has more to say sends several. */
#define BATCH_ANSWERS_SIZE (256 * 1024)

/* Facts of an answer that are told; one that rests on more is volatile. */
#define BATCH_FACTS_MAX 8

/* Octets around a DNS message in an answer, at most. */
#define BATCH_ANSWER_OVERHEAD (14 + 2 + 8 * BATCH_FACTS_MAX + 2 + 3)

struct batch_question {
	uint32_t id;
	const uint8_t *msg;
	size_t size;
};

struct batch_answer {
	uint32_t id;
	uint8_t *msg; /* in the reader's octets */
	size_t size;  /* 0: there is no answer */
	bool is_volatile;
	uint8_t zone_size;       /* of the zone's name, the end of the question's; 0: untold */
	unsigned int fact_count; /* 0 when it is volatile */
	uint64_t facts[BATCH_FACTS_MAX];
};

enum batch_read {
	BATCH_END,       /* no more */
	BATCH_READ,      /* one more */
	BATCH_MALFORMED, /* not such a message */
};

/* What is left to read of a message. */
struct batch_reader {
	uint8_t *at;
	const uint8_t *end;
};

static inline void batch_reader_init(struct batch_reader *reader, uint8_t *octets, size_t size)
{
	*reader = (struct batch_reader){octets, octets + size};
}

/* Reads the next question, or answer, of a message. */
enum batch_read batch_read_question(struct batch_reader *reader, struct batch_question *out);
enum batch_read batch_read_answer(struct batch_reader *reader, struct batch_answer *out);

/* A message being written: `size` octets of `capacity` so far. */
struct batch_writer {
	uint8_t *octets;
	size_t capacity;
	size_t size;
	size_t start; /* of the answer begun */
	size_t msg;   /* of its DNS message */
};

static inline void batch_writer_init(struct batch_writer *writer, uint8_t *octets, size_t capacity)
{
	*writer = (struct batch_writer){.octets = octets, .capacity = capacity};
}

/* Writes a question, copying `msg`. False, and nothing is written, when there is no room. */
bool batch_write_question(struct batch_writer *writer, uint32_t id, const uint8_t *msg,
			  size_t size);

/*
 * Begins an answer whose DNS message may have up to `size_max` octets (65535 at most): returns
 * where the caller is to write it, or NULL when there is no room.
 */
uint8_t *batch_begin_answer(struct batch_writer *writer, uint32_t id, size_t size_max);

/*
 * Ends the answer begun, whose DNS message has got `size` octets (0: there is none). `fact_count`
 * is BATCH_FACTS_MAX at most; `zone_size` as in struct batch_answer.
 */
void batch_end_answer(struct batch_writer *writer, size_t size, const uint64_t *facts,
		      unsigned int fact_count, bool is_volatile, uint8_t zone_size);

#endif
