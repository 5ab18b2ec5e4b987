/*
 * Questions in batches to one replica: the asking side of godwit.v1.Backend/Exchange.
 *
 * Questions gather until stream_flush, which the worker calls when it has taken all that had
 * arrived; they leave in one message, unless one is still being written: then with the next. So a
 * lone question does not wait, and the more there is to ask the larger the messages are. Answers
 * come in any order (window.h) and go to `done`, together with where they came from and what they
 * rest on.
 *
 * A stream opens when the replica is connected, and can be asked once the replica has taken it. A
 * replica that does not have the method is left alone until it connects anew: it is asked by unary
 * calls. One whose stream ends - the connection broke, the replica goes away, it answered nonsense,
 * or nothing at all for STREAM_SILENT_MAX questions that were given up - hands its questions back
 * at once, as failed, and is opened again after a growing pause. When the connection announces that
 * it goes away, the stream takes no more questions and is ended after the last answer.
 *
 * Deadlines are the caller's: it forgets questions that are past theirs. For the loop's thread.
 */
#ifndef GODWIT_FRONTEND_STREAM_H
#define GODWIT_FRONTEND_STREAM_H

#include "frontend/cache.h"
#include "frontend/channel.h"
#include "frontend/metrics.h"
#include "frontend/window.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Questions in a row that may go unanswered past their time. */
#define STREAM_SILENT_MAX 3

/* A pause before a stream is opened again, in milliseconds. */
#define STREAM_PAUSE_MIN_MS 50
#define STREAM_PAUSE_MAX_MS 2000

struct coherence;
struct event_base;
struct stream;

/* One question, embedded in the caller's own object; the stream's from stream_ask until `done`. */
struct stream_question {
	struct window_question window; /* first */
	const uint8_t *message;        /* borrowed as long */
	size_t size;
	uint64_t asked; /* coherence_now when it was sent */
};

struct stream_handler {
	/*
	 * A question is answered, or failed (`result->status`). `origin` is NULL when it failed or
	 * must be used once only. Pointers live until the callback returns. The callback may ask,
	 * but not destroy.
	 */
	void (*done)(void *ctx, struct stream_question *question,
		     const struct channel_result *result, const struct cache_origin *origin);
	/* The stream can be asked, or cannot any more. */
	void (*state)(void *ctx, void *owner, bool open);
	void *ctx;
};

struct stream_options {
	struct event_base *base;
	struct channel *channel;           /* outlives the stream */
	const struct coherence *coherence; /* NULL, and source 0: there is no cache */
	uint32_t source;
	struct metrics_shard *shard;
	struct stream_handler handler;
	void *owner; /* passed to `state` */
};

/* `options` is copied. NULL when memory is short. */
struct stream *stream_create(const struct stream_options *options);
/* Ends it. Questions in flight are not called back. NULL is allowed. */
void stream_destroy(struct stream *stream);

/* The channel's connection is there, or is not (any more). */
void stream_note_connection(struct stream *stream, bool ready);

/* True when it can be asked. */
bool stream_is_open(const struct stream *stream);

/* True when the replica, as it is connected now, has said that it has no such method. */
bool stream_is_absent(const struct stream *stream);

/* Takes a question of `size` octets at `message`. False when it is not open or full. Hot path. */
bool stream_ask(struct stream *stream, struct stream_question *question, const uint8_t *message,
		size_t size);

/* Sends what has gathered, if nothing is being written. Hot path. */
void stream_flush(struct stream *stream);

/*
 * Gives up a question past its deadline: no `done` for it. Others may be done before this returns:
 * when too many in a row were given up the stream is ended.
 */
void stream_forget(struct stream *stream, struct stream_question *question);

#endif
