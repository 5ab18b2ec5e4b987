/*
 * DNS over HTTPS (RFC 8484) between HTTP and DNS: which DNS message a request asks for, or what it
 * is told instead; and which HTTP reply a DNS message becomes. At `https.path` messages in wire
 * format by GET ?dns= (base64url) and POST; at `https.json_path` JSON by GET (doh_json.h). Where
 * both paths are the same, GET with `name` and without `dns` means JSON.
 *
 * A request that DNS can answer gets status 200, whatever the response code (section 4.2.1). How
 * long a reply may be cached follows its TTLs (section 5.1; RFC 2308 section 5 for denials);
 * failures are not to be cached. HEAD is answered as GET, without the body. Pure; any thread; no
 * allocation.
 */
#ifndef GODWIT_FRONTEND_DOH_H
#define GODWIT_FRONTEND_DOH_H

#include "dns/protocol.h"
#include "frontend/config.h"
#include "frontend/http_request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOH_MESSAGE_TYPE "application/dns-message"

/* Bits: what a reply is to look like (stream_path.form). */
enum doh_form { DOH_FORM_JSON = 1, DOH_FORM_HEAD = 2 };

struct doh_question {
	uint8_t message[DNS_MESSAGE_MAX];
	size_t size;
	uint8_t form;
};

/* Takes a request. False: `refusal` is the reply to it, whose pointers lead to constants. */
bool doh_read(const struct frontend_https *paths, const struct http_request *request,
	      struct doh_question *out, struct http_reply *refusal);

/* The reply of an HTTP status, for people: a line of text. */
struct http_reply doh_refuse(int status, bool head);

/* The reply whose body is a DNS message, which is borrowed. */
struct http_reply doh_answer(const uint8_t *message, size_t size, uint8_t form);

/*
 * Seconds a DNS reply may be cached; -1 when it may not. Trusts nothing.
 */
int64_t doh_max_age(const uint8_t *reply, size_t size);

/*
 * Decodes base64url without padding (RFC 4648 section 5, RFC 8484 section 6) into `out`. The size;
 * -1 when it is none or longer than `capacity`.
 */
int doh_decode_base64url(const char *text, size_t size, uint8_t *out, size_t capacity);

#endif
