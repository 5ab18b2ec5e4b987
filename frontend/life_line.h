/*
 * The life line to announcers: a unix stream socket that those who send clients here hold open. Its
 * end of file tells them, the moment it happens, that this process has died: the kernel closes it,
 * whatever the process was doing.
 *
 * Lines of text, each ended by a line feed. The front end says
 *
 *     serving       it takes queries, and every route has a backend, as /readyz has it
 *     not serving   it does not, or not any more
 *     draining      it is about to end, and goes on answering until it may
 *
 * the first two on connecting and whenever it changes, looked at every 50 ms, the last once at the
 * end. A client says
 *
 *     withdrawn     nobody is sent here by it any more: as far as it goes, the front end may end
 *
 * Lines not known are ignored at both ends. A client that closes has nothing to say any more.
 *
 * All on a thread of its own, which no query holds up. At most 16 clients at a time; one that
 * writes too much, or does not read, is closed. The socket's file has mode 0660. One that is left
 * from a front end which has died is replaced, one at which somebody answers is not; when somebody
 * removes it, it is made anew within a second.
 */
#ifndef GODWIT_FRONTEND_LIFE_LINE_H
#define GODWIT_FRONTEND_LIFE_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Clients at a time. */
#define LIFE_LINE_CLIENTS_MAX 16

/* Longest path of the socket, its NUL included. */
#define LIFE_LINE_PATH_MAX 108

/* admin.h's admin_ready_fn, asked on the life line's thread. */
typedef bool (*life_line_ready_fn)(void *ctx, char *reason, size_t reason_size);

struct heartbeat;
struct life_line;

/*
 * Listens at `path` and starts the thread, whose heartbeat is given. `ready` and `ctx` must be good
 * until life_line_stop. NULL with a reason that names the path.
 */
struct life_line *life_line_start(const char *path, life_line_ready_fn ready, void *ctx,
				  struct heartbeat *heartbeat, char *error, size_t error_size);

/* Says "draining" to all, those who come later included. Any thread; does not wait. */
void life_line_drain(struct life_line *line);

/*
 * True when "draining" was said and nobody is connected who has not said "withdrawn". Any thread.
 */
bool life_line_is_drained(const struct life_line *line);

/* Clients connected; of these, not yet withdrawn; connections refused or closed. Any thread. */
unsigned int life_line_count(const struct life_line *line);
unsigned int life_line_waiting(const struct life_line *line);
uint64_t life_line_refused(const struct life_line *line);

/* Closes everything, removes the socket's file, ends the thread. NULL is allowed. */
void life_line_stop(struct life_line *line);

#endif
