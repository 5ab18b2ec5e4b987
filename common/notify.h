/*
 * What a daemon tells the service manager that started it: sd_notify(3)'s datagrams to the socket
 * that $NOTIFY_SOCKET names. Without that variable, started by hand or in a container, everything
 * here does nothing.
 *
 * Main says ready, reloading and stopping. The watchdog is the admin server's: it is fed from that
 * thread for as long as /livez says 200, together with /readyz's words as the status line, so that
 * `systemctl status` shows what `curl /readyz` would.
 *
 * Any thread. Nothing here waits: what the manager does not take at once is left out.
 */
#ifndef GODWIT_COMMON_NOTIFY_H
#define GODWIT_COMMON_NOTIFY_H

#include <stdbool.h>

/* The program serves. Said once; again after notify_reloading. */
void notify_ready(void);

/* The configuration is read anew; notify_ready says that it has been. */
void notify_reloading(void);

/* The program is about to end, and may take its time for it. */
void notify_stopping(void);

/* One line for people; feeds the watchdog as well if `alive`. */
void notify_status(const char *line, bool alive);

/*
 * How often notify_status is to be called, in milliseconds: at least twice within the watchdog's
 * time, and often enough for people; 0 when nobody listens. To be asked before there are threads.
 */
int notify_interval_ms(void);

#endif
