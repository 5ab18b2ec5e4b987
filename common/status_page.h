/*
 * The status page that every daemon shows at "/" of its admin address: common/status.html, put into
 * the program when it is built, and the policy that keeps browsers from running anything else in
 * its place.
 */
#ifndef GODWIT_COMMON_STATUS_PAGE_H
#define GODWIT_COMMON_STATUS_PAGE_H

#include <stddef.h>

/* The page: HTML in UTF-8, not terminated. */
extern const unsigned char status_page_html[];
extern const size_t status_page_size;

/* Room for a Content-Security-Policy, in octets. */
#define STATUS_PAGE_POLICY_MAX 512

/*
 * Writes the page's Content-Security-Policy: its own script and style by their SHA-256, requests to
 * where it came from, and nothing else. 0, or -1 when there is no memory for a hash. Any thread.
 */
int status_page_policy(char *policy, size_t policy_size);

#endif
