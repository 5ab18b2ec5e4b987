/*
 * BGP's messages on the wire (RFC 4271 section 4): the header all of them have, and the small ones
 * whole - KEEPALIVE, NOTIFICATION and ROUTE-REFRESH. OPEN is bgp_open.h's, UPDATE bgp_update.h's.
 *
 * Each layout stands beside its checks. A check names what is wrong as the peer is to be told it
 * (struct bgp_fault). Pure; any octets are safe.
 */
#ifndef GODWIT_ANNOUNCER_BGP_MESSAGE_H
#define GODWIT_ANNOUNCER_BGP_MESSAGE_H

#include "announcer/bgp_error.h"

#include <stddef.h>
#include <stdint.h>

#define BGP_HEADER_SIZE 19

enum bgp_message_type {
	BGP_MESSAGE_OPEN = 1,
	BGP_MESSAGE_UPDATE = 2,
	BGP_MESSAGE_NOTIFICATION = 3,
	BGP_MESSAGE_KEEPALIVE = 4,
	BGP_MESSAGE_ROUTE_REFRESH = 5, /* RFC 2918 */
};

/* IANA's address family numbers and the subsequent ones (RFC 4760 section 6). */
#define BGP_AFI_IPV4 1
#define BGP_AFI_IPV6 2
#define BGP_SAFI_UNICAST 1

/* Stands for an AS number beyond 16 bits where only 16 fit (RFC 6793). */
#define BGP_AS_TRANS 23456

/* What a ROUTE-REFRESH asks for (RFC 2918 section 3, RFC 7313 section 4). */
struct bgp_refresh {
	uint16_t afi;
	uint8_t subtype; /* 0: a request; else RFC 7313's marks, which we do not offer */
	uint8_t safi;
};

/*
 * Checks a header as soon as it is there, before the rest has come (RFC 4271 section 6.1). Returns
 * the message's size with the header, at most BGP_MESSAGE_MAX, or -1 with the fault.
 */
int bgp_message_check_header(const uint8_t header[BGP_HEADER_SIZE], struct bgp_fault *fault);

/* The type of a message whose header is good. */
enum bgp_message_type bgp_message_type(const uint8_t *message);

/* "OPEN", "UPDATE", ...: for people. */
const char *bgp_message_name(enum bgp_message_type type);

/* Writes a header for a message of `size` octets, itself included; returns what follows it. */
uint8_t *bgp_message_put_header(uint8_t *out, enum bgp_message_type type, size_t size);

/* Each writes a whole message and returns its size. Data that does not fit is cut. */
size_t bgp_message_write_keepalive(uint8_t out[BGP_MESSAGE_MAX]);
size_t bgp_message_write_notification(uint8_t out[BGP_MESSAGE_MAX], uint8_t code, uint8_t subcode,
				      const uint8_t *data, size_t data_size);

/*
 * Reads a ROUTE-REFRESH whose header is good. What follows (RFC 5291) was not agreed on: ignored.
 */
void bgp_message_read_refresh(const uint8_t *message, struct bgp_refresh *out);

#endif
