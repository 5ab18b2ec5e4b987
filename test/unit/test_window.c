/* Questions in flight on a stream: ids, messages and room. */
#include "frontend/window.h"

#include "suite.h"

static struct window window;
static struct window_question questions[WINDOW_QUESTIONS + 1];

/* Sends what waits as one message; returns how many, 0 when none may go out. */
static unsigned int send_message(void)
{
	struct window_question *question;
	unsigned int count = 0;
	if (!window_begin_message(&window))
		return 0;
	while ((question = window_first(&window))) {
		window_send(&window, question);
		count++;
	}
	return count;
}

static void test_what_gathered_goes_out_together(void)
{
	window_init(&window);
	CU_ASSERT_EQUAL(send_message(), 0);
	for (int i = 0; i < 5; i++)
		CU_ASSERT(window_add(&window, &questions[i]));
	CU_ASSERT_PTR_EQUAL(window_first(&window), &questions[0]);
	CU_ASSERT_EQUAL(send_message(), 5);
	CU_ASSERT_EQUAL(send_message(), 0);
	CU_ASSERT_EQUAL(window_count(&window), 5);
}

static void test_answers_find_their_questions_in_any_order(void)
{
	window_init(&window);
	for (int i = 0; i < 3; i++)
		window_add(&window, &questions[i]);
	CU_ASSERT_PTR_NULL(window_find(&window, questions[1].id)); /* it is not sent yet */
	send_message();
	for (int i = 2; i >= 0; i--) {
		CU_ASSERT_PTR_EQUAL(window_find(&window, questions[i].id), &questions[i]);
		window_remove(&window, &questions[i]);
		CU_ASSERT_PTR_NULL(window_find(&window, questions[i].id));
	}
	CU_ASSERT_EQUAL(window_count(&window), 0);
	CU_ASSERT_PTR_NULL(window_find(&window, 0));
	CU_ASSERT_PTR_NULL(window_find(&window, UINT32_MAX));
}

static void test_a_late_answer_is_not_the_next_questions(void)
{
	window_init(&window);
	window_add(&window, &questions[0]);
	send_message();
	uint32_t id = questions[0].id;
	window_remove(&window, &questions[0]);
	window_add(&window, &questions[1]);
	send_message();
	CU_ASSERT_NOT_EQUAL(questions[1].id, id);
	CU_ASSERT_PTR_NULL(window_find(&window, id));
}

static void test_there_is_room_for_so_many(void)
{
	window_init(&window);
	for (int i = 0; i < WINDOW_QUESTIONS; i++)
		CU_ASSERT_FATAL(window_add(&window, &questions[i]));
	CU_ASSERT(!window_add(&window, &questions[WINDOW_QUESTIONS]));
	window_remove(&window, &questions[17]);
	CU_ASSERT(window_add(&window, &questions[WINDOW_QUESTIONS]));
	CU_ASSERT_EQUAL(send_message(), WINDOW_QUESTIONS);
	struct window_question *question;
	unsigned int count = 0;
	while ((question = window_any(&window))) {
		window_remove(&window, question);
		count++;
	}
	CU_ASSERT_EQUAL(count, WINDOW_QUESTIONS);
}

static void test_unanswered_messages_hold_the_next_back(void)
{
	window_init(&window);
	for (int i = 0; i < WINDOW_MESSAGES; i++) {
		window_add(&window, &questions[2 * i]);
		window_add(&window, &questions[2 * i + 1]);
		CU_ASSERT_EQUAL(send_message(), 2);
	}
	struct window_question *next = &questions[2 * WINDOW_MESSAGES];
	window_add(&window, next);
	CU_ASSERT(!window_begin_message(&window));
	window_remove(&window, &questions[6]);
	CU_ASSERT(!window_begin_message(&window));
	window_remove(&window, &questions[7]);
	CU_ASSERT_EQUAL(send_message(), 1);
	CU_ASSERT_PTR_EQUAL(window_find(&window, next->id), next);
}

static void test_what_comes_gathers_behind_unanswered_messages(void)
{
	window_init(&window);
	for (int i = 0; i < WINDOW_EAGER_MESSAGES; i++) {
		CU_ASSERT_FALSE(window_may_gather(&window));
		CU_ASSERT_TRUE(window_add(&window, &questions[i]));
		CU_ASSERT_TRUE(window_begin_message(&window));
		window_send(&window, &questions[i]);
	}
	for (int i = WINDOW_EAGER_MESSAGES; i < WINDOW_EAGER_MESSAGES + WINDOW_GATHERED; i++) {
		CU_ASSERT_TRUE(window_may_gather(&window));
		CU_ASSERT_TRUE(window_add(&window, &questions[i]));
	}
	CU_ASSERT_FALSE(window_may_gather(&window)); /* enough */
	window_remove(&window, &questions[WINDOW_EAGER_MESSAGES]);
	CU_ASSERT_TRUE(window_may_gather(&window));
	window_remove(&window, &questions[0]); /* an answer */
	CU_ASSERT_FALSE(window_may_gather(&window));
}

static void test_a_forgotten_question_does_not_go_out(void)
{
	window_init(&window);
	window_add(&window, &questions[0]);
	window_add(&window, &questions[1]);
	window_remove(&window, &questions[0]);
	CU_ASSERT_EQUAL(send_message(), 1);
	CU_ASSERT(questions[1].sent);
	CU_ASSERT(!questions[0].sent);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"what gathered goes out together", test_what_gathered_goes_out_together},
		{"answers find their questions in any order",
		 test_answers_find_their_questions_in_any_order},
		{"a late answer is not the next question's",
		 test_a_late_answer_is_not_the_next_questions},
		{"there is room for so many", test_there_is_room_for_so_many},
		{"unanswered messages hold the next back",
		 test_unanswered_messages_hold_the_next_back},
		{"what comes gathers behind unanswered messages",
		 test_what_comes_gathers_behind_unanswered_messages},
		{"a forgotten question does not go out", test_a_forgotten_question_does_not_go_out},
	};
	return SUITE_RUN("window", tests);
}
