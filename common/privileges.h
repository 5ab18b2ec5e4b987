/*
 * What a program may do beyond its user, where it is started by an unprivileged one.
 *
 * In a container image the programs carry their capabilities as file capabilities, permitted only:
 * one that the container's runtime withholds is then simply not there, where an effective one would
 * keep the program from being started at all. So the program raises what it was left with itself.
 */
#ifndef GODWIT_COMMON_PRIVILEGES_H
#define GODWIT_COMMON_PRIVILEGES_H

/*
 * Makes every permitted capability of this thread, and of all started later, effective. Call at the
 * beginning of main. Without any, or without privileges to change, nothing happens; what then
 * cannot be done says so itself, with the capability that it needs.
 */
void privileges_raise(void);

#endif
