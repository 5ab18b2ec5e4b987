/*
 * What the functions that carry announcer.yaml over, block by block, share: saying where something
 * is wrong, and reading the values that stand in several blocks. For config*.c only.
 */
#ifndef GODWIT_ANNOUNCER_CONFIG_TAKE_H
#define GODWIT_ANNOUNCER_CONFIG_TAKE_H

#include "announcer/config.h"
#include "announcer/config_schema.h"

/* The block being read: keys are said to be in it. */
struct config_place {
	const char *path;
	char *error;
	size_t error_size;
	char around[64]; /* "services[1].", "bgp.peers[0]."; "" for the top */
};

/* Says what is wrong with a key of the block. Always -1. */
int config_fail(const struct config_place *place, const char *key, const char *message, ...)
	__attribute__((format(printf, 3, 4)));

/* A number of the file, or `fallback` when it is not there. -1 when it is out of bounds. */
int config_take_number(const struct config_place *place, const char *key, const int64_t *value,
		       int64_t fallback, int64_t low, int64_t high, int64_t *out);

/* The same for 32 bits without a sign, and an AS number (RFC 7607, RFC 6793). */
int config_take_u32(const struct config_place *place, const char *key, const int64_t *value,
		    uint32_t fallback, uint32_t *out);
int config_take_as(const struct config_place *place, const char *key, int64_t value, uint32_t *out);

/* An interface's name; a NULL text is "". Whether there is such an interface is not asked. */
int config_take_interface(const struct config_place *place, const char *key, const char *text,
			  char out[IFNAMSIZ]);

/* An IP address and port; names of hosts and unix sockets are errors. */
int config_take_address(const struct config_place *place, const char *key, const char *text,
			struct address *out);

/* A copy of a text, or NULL for NULL. -1 when out of memory. */
int config_take_text(const struct config_place *place, const char *key, const char *text,
		     char **out);

/* The blocks: config_service.c, config_bgp.c. */
int config_take_services(struct config_place *place, const struct file_config *file,
			 struct announcer_config *config);
int config_take_bgp(struct config_place *place, const struct file_bgp *file,
		    struct announcer_bgp *bgp);
int config_take_peer(struct config_place *place, const struct file_peer *file,
		     struct announcer_peer *peer);

#endif
