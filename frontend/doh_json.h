/*
 * DNS in JSON (application/dns-json), as the public resolvers of Google and Cloudflare offer it,
 * for people and scripts:
 *
 *     GET /resolve?name=www.example.com&type=A
 *     {"Status":0,"TC":false,"RD":true,"RA":false,"AD":false,"CD":false,
 *      "Question":[{"name":"www.example.com.","type":1}],
 *      "Answer":[{"name":"www.example.com.","type":1,"TTL":300,"data":"192.0.2.80"}]}
 *
 * Names and data are in presentation form. Parameters: `name`; `type`, a mnemonic or a number,
 * default A; `do` and `cd`, "1" or "true"; `edns_client_subnet`, "192.0.2.0/24" (RFC 7871). Others
 * are let pass. Any thread.
 */
#ifndef GODWIT_FRONTEND_DOH_JSON_H
#define GODWIT_FRONTEND_DOH_JSON_H

#include "frontend/http_request.h"

#include <stddef.h>
#include <stdint.h>

#define DOH_JSON_TYPE "application/dns-json"

/* Octets of a reply in JSON. One that would be longer is told as truncated, without records. */
#define DOH_JSON_MAX (512 * 1024)

/*
 * Makes the DNS query that a request's parameters ask for; `out` has room for DNS_MESSAGE_MAX
 * octets. 0, or 400 when a parameter is missing or wrong.
 */
int doh_json_read(const struct http_request *request, uint8_t *out, size_t *size);

/*
 * Writes a DNS reply as JSON. The caller frees it; NULL when memory is short or the message cannot
 * be read.
 */
char *doh_json_write(const uint8_t *reply, size_t size, size_t *json_size);

#endif
