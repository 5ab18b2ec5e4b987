/* What the files that read frontend.yaml share. For config.c and config_tls.c only. */
#ifndef GODWIT_FRONTEND_CONFIG_INTERNAL_H
#define GODWIT_FRONTEND_CONFIG_INTERNAL_H

#include "common/config.h"
#include "frontend/config.h"
#include "frontend/config_schema.h"

/* What a check needs to say where it failed. */
struct check {
	const char *path;
	char *error;
	size_t error_size;
};

#define FAIL(check, key, ...)                                                                      \
	(config_error((check)->error, (check)->error_size, (check)->path, key, __VA_ARGS__), -1)

/* `tls`, `https` and `discovery`; after config->listen. 0, or -1 with the error. */
int config_take_tls(struct check *check, const struct file_config *file,
		    struct frontend_config *config);

/* `tls` and `insecure` of the route at `at`, after its backends. 0, or -1 with the error. */
int config_take_route_tls(struct check *check, const struct file_route *source, size_t at,
			  struct frontend_route *route);

void config_free_tls(struct frontend_config *config);
void config_free_route_tls(struct frontend_route *route);

/* True when nothing differs that needs a restart. */
bool config_same_tls(const struct frontend_config *a, const struct frontend_config *b);

#endif
