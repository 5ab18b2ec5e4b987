/*
 * The life line to a front end: a unix stream socket whose end of file says, the moment it happens,
 * that the process has died.
 *
 * Lines of text. The front end says "serving" or "not serving" on connecting and whenever that
 * changes, and "draining" before it stops; the announcer says "withdrawn" when no router sends
 * clients there any more, and the front end, which has gone on answering, then ends. Lines not
 * known are ignored. See frontend/life_line.h for the other end.
 *
 * Lost, it is tried again every 50 to 250 ms. Each change is one log line. All functions are for
 * the control thread, whose loop it works on.
 */
#ifndef GODWIT_ANNOUNCER_LIFE_LINE_H
#define GODWIT_ANNOUNCER_LIFE_LINE_H

struct event_base;
struct life_line;

enum life_line_state {
	LIFE_LINE_LOST,   /* nobody there, or gone */
	LIFE_LINE_SILENT, /* connected; has not said that it serves, or has said that it does not */
	LIFE_LINE_SERVING,
	LIFE_LINE_DRAINING,
};

/* Called from the loop, never from within a function here. Must not destroy the line. */
typedef void (*life_line_change_fn)(void *ctx, enum life_line_state state);

/* Begins to connect to `path`, borrowed. NULL: out of memory. */
struct life_line *life_line_create(struct event_base *base, const char *path,
				   life_line_change_fn on_change, void *ctx);
void life_line_destroy(struct life_line *line);

enum life_line_state life_line_state(const struct life_line *line);

/* "lost", "silent", "serving", "draining". */
const char *life_line_state_name(enum life_line_state state);

/* Tells the front end that it may end; nothing while it is not connected. */
void life_line_say_withdrawn(struct life_line *line);

#endif
