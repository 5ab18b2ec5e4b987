/*
 * DNS over HTTPS (RFC 8484) on connections: what ALPN has chosen, HTTP/2 (http2.h) or HTTP/1.1
 * (http1.h), turns octets into requests; doh.h turns those into DNS messages, which are served like
 * any others; replies go back to the stream they belong to, or in HTTP/1.1 in order. connection.h
 * has the bounds, http1.h and http2.h those of requests. Unencrypted HTTP is not spoken.
 *
 * Every reply is counted by its status; so are connections closed for a flood of frames. A client
 * that asks for padding gets its DNS messages padded (RFC 8467).
 */
#ifndef GODWIT_FRONTEND_HTTPS_H
#define GODWIT_FRONTEND_HTTPS_H

#include "frontend/connection.h"

extern const struct connection_protocol https_protocol;

#endif
