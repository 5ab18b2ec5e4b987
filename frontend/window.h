/*
 * The questions in flight on one stream: which may be sent next, and which an answer belongs to.
 *
 * A question *waits* from window_add until window_send, then it is *sent*; window_remove takes it
 * out at any time, because it is answered or because nobody wants to know any more. What is sent
 * together is a message. There is room for WINDOW_QUESTIONS questions, and while
 * WINDOW_MESSAGES messages have questions without an answer no further one may go out. From
 * WINDOW_EAGER_MESSAGES on what comes had better gather for a moment, until there are
 * WINDOW_GATHERED: a backend that is busy gets on faster with few messages that are larger.
 *
 * An id names a slot, and how often the slot has been used: an answer that comes late, twice or out
 * of nowhere finds no question. Pure; one thread. Hot path.
 */
#ifndef GODWIT_FRONTEND_WINDOW_H
#define GODWIT_FRONTEND_WINDOW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define WINDOW_QUESTIONS 1024 /* a power of two */
#define WINDOW_MESSAGES 8
#define WINDOW_EAGER_MESSAGES 2
#define WINDOW_GATHERED 64

/* Embedded in what the caller knows about the question. */
struct window_question {
	TAILQ_ENTRY(window_question) link; /* waiting */
	uint32_t id;
	uint16_t message; /* the one it went out with */
	bool sent;
};

TAILQ_HEAD(window_list, window_question);

struct window_slot {
	struct window_question *question; /* NULL: free */
	uint32_t id;                      /* of the question that has it, or had it last */
};

struct window {
	struct window_slot slots[WINDOW_QUESTIONS];
	uint16_t free[WINDOW_QUESTIONS];
	unsigned int free_count;
	struct window_list waiting;
	unsigned int waiting_count;
	uint16_t unanswered[WINDOW_MESSAGES]; /* questions of each message that have no answer */
	unsigned int message;                 /* the one being put together */
};

void window_init(struct window *window);

/* Lets a question wait, with an id of its own. False when there is no room. */
bool window_add(struct window *window, struct window_question *question);

/* True when what waits, if anything, may gather, provided that it does not do so for long. */
bool window_may_gather(const struct window *window);

/* True when something waits and a message may go out; it is the one that window_send fills. */
bool window_begin_message(struct window *window);

/* The question that has waited longest, or NULL. */
struct window_question *window_first(const struct window *window);

/* A waiting question goes out with the message begun. */
void window_send(struct window *window, struct window_question *question);

/* The question sent with this id, or NULL. */
struct window_question *window_find(const struct window *window, uint32_t id);

/* Takes a question out, sent or waiting. */
void window_remove(struct window *window, struct window_question *question);

/* Questions in it. */
unsigned int window_count(const struct window *window);

/* Any of its questions, or NULL when it is empty: for the end of a stream. */
struct window_question *window_any(const struct window *window);

#endif
