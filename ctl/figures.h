/*
 * The figures of a server that people want to see at a glance, out of its Prometheus text. One
 * thread.
 */
#ifndef GODWIT_CTL_FIGURES_H
#define GODWIT_CTL_FIGURES_H

struct evbuffer;

/*
 * Reads a whole /metrics page, which is taken out of the buffer, and prints the figures it has, one
 * a line: of a backend its store, the age of its data, how much it serves; of a front end its
 * queries, which backends are up and how old their data is; of an announcer its services and
 * routers. What counts trouble is shown only where there was some.
 */
void figures_print(struct evbuffer *metrics);

#endif
