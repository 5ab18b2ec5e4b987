/* The codec of batches: against protobuf-c, and on octets that make no sense. */
#include "proto/batch.h"

#include "dns/name.h"
#include "proto/godwit.pb-c.h"
#include "suite.h"

#include <stdlib.h>
#include <string.h>

static uint8_t octets[BATCH_ANSWERS_SIZE];

static void test_questions_are_read_by_protobuf(void)
{
	static uint8_t big[65535];
	struct batch_writer writer;
	batch_writer_init(&writer, octets, sizeof(octets));
	CU_ASSERT(batch_write_question(&writer, 7, (const uint8_t *)"abc", 3));
	CU_ASSERT(batch_write_question(&writer, UINT32_MAX, big, sizeof(big)));
	Godwit__V1__Questions *questions =
		godwit__v1__questions__unpack(NULL, writer.size, writer.octets);
	CU_ASSERT_PTR_NOT_NULL_FATAL(questions);
	CU_ASSERT_EQUAL_FATAL(questions->n_question, 2);
	CU_ASSERT_EQUAL(questions->question[0]->id, 7);
	CU_ASSERT_EQUAL(questions->question[0]->msg.len, 3);
	CU_ASSERT_EQUAL(memcmp(questions->question[0]->msg.data, "abc", 3), 0);
	CU_ASSERT_EQUAL(questions->question[1]->id, UINT32_MAX);
	CU_ASSERT_EQUAL(questions->question[1]->msg.len, sizeof(big));
	/* nothing was padded: it is as short as protobuf-c would have it */
	CU_ASSERT_EQUAL(godwit__v1__questions__get_packed_size(questions), writer.size);
	godwit__v1__questions__free_unpacked(questions, NULL);
}

static void test_question_without_room_is_not_written(void)
{
	uint8_t small[16];
	struct batch_writer writer;
	batch_writer_init(&writer, small, sizeof(small));
	CU_ASSERT(!batch_write_question(&writer, 1, octets, 11));
	CU_ASSERT_EQUAL(writer.size, 0);
	CU_ASSERT(batch_write_question(&writer, 1, octets, 10));
	CU_ASSERT_EQUAL(writer.size, 16);
	CU_ASSERT(!batch_write_question(&writer, 2, octets, 0));
}

static void test_answers_are_read_by_protobuf(void)
{
	const uint64_t facts[BATCH_FACTS_MAX] = {1, 2, 3, 4, 5, 6, 7, 0x8877665544332211};
	struct batch_writer writer;
	batch_writer_init(&writer, octets, sizeof(octets));
	memcpy(batch_begin_answer(&writer, 300, 65535), "reply", 5);
	batch_end_answer(&writer, 5, facts, BATCH_FACTS_MAX, false, DNS_NAME_MAX);
	memset(batch_begin_answer(&writer, UINT32_MAX, 65535), 'x', 65535);
	batch_end_answer(&writer, 65535, NULL, 0, true, 1);
	batch_begin_answer(&writer, 5, 65535);
	batch_end_answer(&writer, 0, NULL, 0, false, 0);
	Godwit__V1__Answers *answers =
		godwit__v1__answers__unpack(NULL, writer.size, writer.octets);
	CU_ASSERT_PTR_NOT_NULL_FATAL(answers);
	CU_ASSERT_EQUAL_FATAL(answers->n_answer, 3);
	CU_ASSERT_EQUAL(answers->answer[0]->id, 300);
	CU_ASSERT_EQUAL(answers->answer[0]->msg.len, 5);
	CU_ASSERT_EQUAL_FATAL(answers->answer[0]->n_fact, BATCH_FACTS_MAX);
	CU_ASSERT_EQUAL(memcmp(answers->answer[0]->fact, facts, sizeof(facts)), 0);
	CU_ASSERT(!answers->answer[0]->volatile_);
	CU_ASSERT_EQUAL(answers->answer[0]->zone_size, DNS_NAME_MAX);
	CU_ASSERT_EQUAL(answers->answer[1]->msg.len, 65535);
	CU_ASSERT(answers->answer[1]->volatile_);
	CU_ASSERT_EQUAL(answers->answer[1]->zone_size, 1);
	CU_ASSERT_EQUAL(answers->answer[2]->id, 5);
	CU_ASSERT_EQUAL(answers->answer[2]->msg.len, 0);
	CU_ASSERT_EQUAL(answers->answer[2]->zone_size, 0);
	godwit__v1__answers__free_unpacked(answers, NULL);
}

static void test_answer_needs_room_for_the_largest(void)
{
	struct batch_writer writer;
	batch_writer_init(&writer, octets, 65535 + BATCH_ANSWER_OVERHEAD);
	CU_ASSERT_PTR_NOT_NULL(batch_begin_answer(&writer, UINT32_MAX, 65535));
	batch_end_answer(&writer, 65535, (const uint64_t[BATCH_FACTS_MAX]){0}, BATCH_FACTS_MAX,
			 false, UINT8_MAX);
	CU_ASSERT(writer.size <= writer.capacity);
	CU_ASSERT_PTR_NULL(batch_begin_answer(&writer, 1, 65535));
}

/* One answer packed by protobuf-c. */
static size_t pack_answer(Godwit__V1__Answer *answer)
{
	Godwit__V1__Answers answers = GODWIT__V1__ANSWERS__INIT;
	answers.answer = &answer;
	answers.n_answer = 1;
	return godwit__v1__answers__pack(&answers, octets);
}

static void test_answers_of_protobuf_are_read(void)
{
	uint64_t facts[BATCH_FACTS_MAX + 1] = {11, 22, 33};
	Godwit__V1__Answer packed = GODWIT__V1__ANSWER__INIT;
	struct batch_answer answer;
	struct batch_reader reader;
	packed.id = 1000000;
	packed.msg.data = (uint8_t *)(uintptr_t) "reply";
	packed.msg.len = 5;
	packed.fact = facts;
	packed.n_fact = 3;
	batch_reader_init(&reader, octets, pack_answer(&packed));
	CU_ASSERT_EQUAL_FATAL(batch_read_answer(&reader, &answer), BATCH_READ);
	CU_ASSERT_EQUAL(answer.id, 1000000);
	CU_ASSERT_EQUAL(answer.size, 5);
	CU_ASSERT_EQUAL(answer.fact_count, 3);
	CU_ASSERT_EQUAL(answer.facts[2], 33);
	CU_ASSERT(!answer.is_volatile);
	CU_ASSERT_EQUAL(answer.zone_size, 0);
	CU_ASSERT_EQUAL(batch_read_answer(&reader, &answer), BATCH_END);

	packed.zone_size = DNS_NAME_MAX;
	batch_reader_init(&reader, octets, pack_answer(&packed));
	CU_ASSERT_EQUAL_FATAL(batch_read_answer(&reader, &answer), BATCH_READ);
	CU_ASSERT_EQUAL(answer.zone_size, DNS_NAME_MAX);
	CU_ASSERT_EQUAL(answer.fact_count, 3);

	packed.zone_size = 256; /* no name's: untold */
	batch_reader_init(&reader, octets, pack_answer(&packed));
	CU_ASSERT_EQUAL_FATAL(batch_read_answer(&reader, &answer), BATCH_READ);
	CU_ASSERT_EQUAL(answer.zone_size, 0);

	packed.n_fact = BATCH_FACTS_MAX + 1;
	batch_reader_init(&reader, octets, pack_answer(&packed));
	CU_ASSERT_EQUAL_FATAL(batch_read_answer(&reader, &answer), BATCH_READ);
	CU_ASSERT(answer.is_volatile);
	CU_ASSERT_EQUAL(answer.fact_count, 0);
}

static enum batch_read read_all(uint8_t *message, size_t size, size_t *count)
{
	struct batch_reader reader;
	struct batch_answer answer;
	enum batch_read result;
	batch_reader_init(&reader, message, size);
	*count = 0;
	while ((result = batch_read_answer(&reader, &answer)) == BATCH_READ)
		(*count)++;
	return result;
}

static void test_unknown_fields_are_skipped(void)
{
	/* field 9 of each wire type, an Answer with id 3 and fields 9 inside, facts one by one */
	uint8_t message[] = {0x48, 0x05, 0x49, 1, 2, 3, 4,    5,  6,    7,    8,   0x4a, 1,
			     'x',  0x4d, 1,    2, 3, 4, 0x0a, 15, 0x4a, 1,    'y', 0x08, 3,
			     0x19, 1,    0,    0, 0, 0, 0,    0,  0,    0x20, 0};
	struct batch_reader reader;
	struct batch_answer answer;
	batch_reader_init(&reader, message, sizeof(message) - 1);
	CU_ASSERT_EQUAL(batch_read_answer(&reader, &answer), BATCH_MALFORMED);
	message[20] = 16;
	batch_reader_init(&reader, message, sizeof(message));
	CU_ASSERT_EQUAL_FATAL(batch_read_answer(&reader, &answer), BATCH_READ);
	CU_ASSERT_EQUAL(answer.id, 3);
	CU_ASSERT_EQUAL(answer.fact_count, 1);
	CU_ASSERT_EQUAL(answer.facts[0], 1);
}

static void test_nonsense_is_malformed(void)
{
	static uint8_t too_long[] = {0x0a, 5, 0x08, 1};
	static uint8_t no_varint[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				      0xff, 0xff, 0xff, 0xff, 1};
	static uint8_t group[] = {0x0b, 0x0c};
	static uint8_t odd_facts[] = {0x0a, 3, 0x1a, 1, 0};
	static uint8_t field_zero[] = {0x02, 0};
	size_t count;
	CU_ASSERT_EQUAL(read_all(too_long, sizeof(too_long), &count), BATCH_MALFORMED);
	CU_ASSERT_EQUAL(read_all(no_varint, sizeof(no_varint), &count), BATCH_MALFORMED);
	CU_ASSERT_EQUAL(read_all(group, sizeof(group), &count), BATCH_MALFORMED);
	CU_ASSERT_EQUAL(read_all(odd_facts, sizeof(odd_facts), &count), BATCH_MALFORMED);
	CU_ASSERT_EQUAL(read_all(field_zero, sizeof(field_zero), &count), BATCH_MALFORMED);
}

/* In a block of its own size, so that the address sanitizer sees the first octet beyond. */
static void test_damaged_messages_are_safe(void)
{
	struct batch_writer writer;
	unsigned int seed = 4;
	size_t count;
	batch_writer_init(&writer, octets, sizeof(octets));
	for (uint32_t i = 0; i < 8; i++) {
		memset(batch_begin_answer(&writer, i << 20, 65535), 'r', 40);
		batch_end_answer(&writer, 40, (const uint64_t[2]){i, i}, 2, i & 1,
				 (uint8_t)(31 * i));
	}
	for (int round = 0; round < 20000; round++) {
		size_t size = (size_t)rand_r(&seed) % (writer.size + 1);
		uint8_t *message = malloc(size + 1);
		memcpy(message, octets, size);
		for (int i = 0; i < 3 && size > 0; i++)
			message[(size_t)rand_r(&seed) % size] = (uint8_t)rand_r(&seed);
		message = realloc(message, size ? size : 1);
		read_all(message, size, &count);
		CU_ASSERT_FATAL(count <= size);
		free(message);
	}
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"questions are read by protobuf", test_questions_are_read_by_protobuf},
		{"a question without room is not written",
		 test_question_without_room_is_not_written},
		{"answers are read by protobuf", test_answers_are_read_by_protobuf},
		{"an answer needs room for the largest", test_answer_needs_room_for_the_largest},
		{"answers of protobuf are read", test_answers_of_protobuf_are_read},
		{"unknown fields are skipped", test_unknown_fields_are_skipped},
		{"nonsense is malformed", test_nonsense_is_malformed},
		{"damaged messages are safe", test_damaged_messages_are_safe},
	};
	return SUITE_RUN("batch", tests);
}
