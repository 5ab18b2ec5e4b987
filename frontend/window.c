/* Slots, ids and messages of the questions on a stream. */
#include "frontend/window.h"

#include <stddef.h>

void window_init(struct window *window)
{
	*window = (struct window){.free_count = WINDOW_QUESTIONS};
	TAILQ_INIT(&window->waiting);
	for (unsigned int i = 0; i < WINDOW_QUESTIONS; i++) {
		/* The first slot is taken last, so that no first question has id 0. */
		window->free[i] = (uint16_t)i;
		window->slots[i].id = i;
	}
}

bool window_add(struct window *window, struct window_question *question)
{
	if (window->free_count == 0)
		return false;
	struct window_slot *slot = &window->slots[window->free[--window->free_count]];
	slot->id += WINDOW_QUESTIONS;
	slot->question = question;
	question->id = slot->id;
	question->sent = false;
	TAILQ_INSERT_TAIL(&window->waiting, question, link);
	window->waiting_count++;
	return true;
}

bool window_may_gather(const struct window *window)
{
	unsigned int messages = 0;
	for (unsigned int i = 0; i < WINDOW_MESSAGES; i++)
		messages += window->unanswered[i] > 0;
	return messages >= WINDOW_EAGER_MESSAGES && window->waiting_count < WINDOW_GATHERED;
}

bool window_begin_message(struct window *window)
{
	if (TAILQ_EMPTY(&window->waiting))
		return false;
	for (unsigned int i = 0; i < WINDOW_MESSAGES; i++) {
		unsigned int message = (window->message + 1 + i) % WINDOW_MESSAGES;
		if (window->unanswered[message] == 0) {
			window->message = message;
			return true;
		}
	}
	return false;
}

struct window_question *window_first(const struct window *window)
{
	return TAILQ_FIRST(&window->waiting);
}

void window_send(struct window *window, struct window_question *question)
{
	TAILQ_REMOVE(&window->waiting, question, link);
	window->waiting_count--;
	question->sent = true;
	question->message = (uint16_t)window->message;
	window->unanswered[window->message]++;
}

struct window_question *window_find(const struct window *window, uint32_t id)
{
	const struct window_slot *slot = &window->slots[id % WINDOW_QUESTIONS];
	if (slot->id != id || !slot->question || !slot->question->sent)
		return NULL;
	return slot->question;
}

void window_remove(struct window *window, struct window_question *question)
{
	uint16_t index = (uint16_t)(question->id % WINDOW_QUESTIONS);
	if (question->sent) {
		window->unanswered[question->message]--;
	} else {
		TAILQ_REMOVE(&window->waiting, question, link);
		window->waiting_count--;
	}
	window->slots[index].question = NULL;
	window->free[window->free_count++] = index;
}

unsigned int window_count(const struct window *window)
{
	return WINDOW_QUESTIONS - window->free_count;
}

struct window_question *window_any(const struct window *window)
{
	for (unsigned int i = 0; i < WINDOW_QUESTIONS && window_count(window) > 0; i++)
		if (window->slots[i].question)
			return window->slots[i].question;
	return NULL;
}
