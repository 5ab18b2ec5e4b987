/* Routes and backends of one configuration. */
#include "frontend/plan.h"

#include "common/metrics.h"
#include "frontend/metrics.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The backend's index, added if it is new. `plan->backends` has room. */
static size_t plan_add_backend(struct plan *plan, const struct frontend_backend *source,
			       const struct credentials *credentials)
{
	for (size_t i = 0; i < plan->backend_count; i++) {
		const struct address *known = &plan->backends[i].address;
		if (known->kind == source->address.kind && known->port == source->address.port &&
		    strcmp(known->host, source->address.host) == 0 &&
		    strcmp(credentials_name(plan->backends[i].credentials),
			   credentials_name(credentials)) == 0)
			return i;
	}
	struct plan_backend *backend = &plan->backends[plan->backend_count];
	backend->address = source->address;
	backend->credentials = credentials;
	snprintf(backend->text, sizeof(backend->text), "%s",
		 source->address.kind == ADDRESS_UNIX ? "localhost" : source->text);
	return plan->backend_count++;
}

/* FNV-1a over the text and its NUL. */
static uint64_t plan_hash(uint64_t hash, const char *text)
{
	do
		hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
	while (*text++);
	return hash;
}

static int plan_add_route(struct plan *plan, const struct frontend_route *source, char *error,
			  size_t error_size)
{
	struct credentials *credentials = credentials_create(&source->tls, error, error_size);
	if (!credentials)
		return -1;
	plan->credentials[plan->route_count] = credentials;
	snprintf(error, error_size, "out of memory");
	struct plan_route *route = &plan->routes[plan->route_count];
	memcpy(route->zone, source->zone, sizeof(route->zone));
	route->minimal_any = source->minimal_any;
	dns_name_to_text(route->zone, route->zone_text);
	plan->route_count++; /* what it has is freed with the plan, whatever follows */
	route->backends = calloc(source->backend_count, sizeof(route->backends[0]));
	if (!route->backends)
		return -1;
	route->backend_count = source->backend_count;
	route->id = plan_hash(0xcbf29ce484222325u, route->zone_text);
	for (size_t i = 0; i < source->backend_count; i++) {
		route->backends[i] = plan_add_backend(plan, &source->backends[i], credentials);
		route->id = plan_hash(route->id, source->backends[i].text);
	}
	return 0;
}

static int plan_build_table(struct plan *plan)
{
	const uint8_t **zones = calloc(plan->route_count, sizeof(zones[0]));
	if (!zones)
		return -1;
	for (size_t i = 0; i < plan->route_count; i++)
		zones[i] = plan->routes[i].zone;
	plan->table = route_table_create(zones, plan->route_count);
	free(zones);
	return plan->table ? 0 : -1;
}

static int plan_start_resolver(struct plan *plan, void (*changed)(void *ctx), void *ctx)
{
	const struct address **names = calloc(plan->backend_count, sizeof(names[0]));
	if (!names)
		return -1;
	for (size_t i = 0; i < plan->backend_count; i++)
		names[i] = &plan->backends[i].address;
	plan->resolver = resolver_create(names, plan->backend_count, changed, ctx);
	free(names);
	return plan->resolver ? 0 : -1;
}

struct plan *plan_create(const struct frontend_config *config, void (*changed)(void *ctx),
			 void *ctx, char *error, size_t error_size)
{
	snprintf(error, error_size, "out of memory");
	struct plan *plan = calloc(1, sizeof(*plan));
	if (!plan)
		return NULL;
	size_t backends = 0;
	for (size_t i = 0; i < config->route_count; i++)
		backends += config->routes[i].backend_count;
	plan->routes = calloc(config->route_count, sizeof(plan->routes[0]));
	plan->backends = calloc(backends, sizeof(plan->backends[0]));
	plan->credentials = calloc(config->route_count, sizeof(plan->credentials[0]));
	if (!plan->routes || !plan->backends || !plan->credentials)
		goto failed;
	for (size_t i = 0; i < config->route_count; i++)
		if (plan_add_route(plan, &config->routes[i], error, error_size) != 0)
			goto failed;
	if (plan_build_table(plan) != 0 || plan_start_resolver(plan, changed, ctx) != 0)
		goto failed;
	return plan;
failed:
	plan_destroy(plan);
	return NULL;
}

void plan_stop(struct plan *plan)
{
	resolver_destroy(plan->resolver);
	plan->resolver = NULL;
}

void plan_destroy(struct plan *plan)
{
	if (!plan)
		return;
	plan_stop(plan);
	route_table_destroy(plan->table);
	for (size_t i = 0; i < plan->route_count; i++) {
		free(plan->routes[i].backends);
		credentials_destroy(plan->credentials[i]);
	}
	free(plan->credentials);
	free(plan->routes);
	free(plan->backends);
	free(plan);
}

bool plan_look_at_files(const struct plan *plan, struct metrics_shard *shard)
{
	unsigned int seen[] = {
		[CREDENTIALS_UNCHANGED] = 0, [CREDENTIALS_CHANGED] = 0, [CREDENTIALS_UNUSABLE] = 0};
	for (size_t i = 0; i < plan->route_count; i++)
		seen[credentials_look(plan->credentials[i])]++;
	metrics_add(shard, FRONTEND_BACKEND_CERTIFICATE_RELOADS, seen[CREDENTIALS_CHANGED]);
	metrics_add(shard, FRONTEND_BACKEND_CERTIFICATE_FAILURES, seen[CREDENTIALS_UNUSABLE]);
	return seen[CREDENTIALS_CHANGED] > 0;
}

/* The certificate of a route's credentials, unless one before it has the same: or NULL. */
static const char *plan_certificate(const struct plan *plan, size_t index)
{
	const char *certificate = credentials_certificate(plan->credentials[index]);
	for (size_t i = 0; certificate && i < index; i++) {
		const char *other = credentials_certificate(plan->credentials[i]);
		if (other && strcmp(other, certificate) == 0)
			return NULL;
	}
	return certificate;
}

void plan_print_certificates(const struct plan *plan, struct evbuffer *out)
{
	static const char name[] = "godwit_frontend_backend_certificate_expiry_seconds";
	evbuffer_add_printf(out,
			    "# HELP %s When a certificate shown to backends expires, Unix time.\n"
			    "# TYPE %s gauge\n",
			    name, name);
	for (size_t i = 0; plan && i < plan->route_count; i++) {
		const char *certificate = plan_certificate(plan, i);
		if (!certificate)
			continue;
		evbuffer_add_printf(out, "%s{certificate=\"", name);
		metrics_print_label(out, certificate);
		evbuffer_add_printf(out, "\"} %lld\n",
				    (long long)credentials_not_after(plan->credentials[i]));
	}
}

static void plan_describe(const struct sockaddr_storage *addr, struct plan_address *out)
{
	address_format((const struct sockaddr *)addr, out->text, sizeof(out->text));
	if (addr->ss_family == AF_INET) {
		snprintf(out->target, sizeof(out->target), "ipv4:%s", out->text);
		return;
	}
	/* In gRPC's URIs the brackets of an IPv6 address are percent-encoded. */
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)addr;
	char host[INET6_ADDRSTRLEN];
	inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
	if (v6->sin6_scope_id)
		snprintf(out->target, sizeof(out->target), "ipv6:%%5B%s%%25%u%%5D:%u", host,
			 v6->sin6_scope_id, ntohs(v6->sin6_port));
	else
		snprintf(out->target, sizeof(out->target), "ipv6:%%5B%s%%5D:%u", host,
			 ntohs(v6->sin6_port));
}

static size_t plan_describe_all(const struct plan *plan, size_t backend, struct plan_address *out)
{
	const struct address *address = &plan->backends[backend].address;
	if (address->kind == ADDRESS_IP) {
		plan_describe(&address->addr, &out[0]);
		return 1;
	}
	if (address->kind == ADDRESS_UNIX) {
		snprintf(out[0].target, sizeof(out[0].target), "unix:%s", address->host);
		snprintf(out[0].text, sizeof(out[0].text), "unix:%s", address->host);
		return 1;
	}
	struct sockaddr_storage found[RESOLVER_ADDRESSES_MAX];
	size_t count = resolver_read(plan->resolver, backend, found);
	for (size_t i = 0; i < count; i++)
		plan_describe(&found[i], &out[i]);
	return count;
}

size_t plan_read_addresses(const struct plan *plan, size_t backend,
			   struct plan_address out[RESOLVER_ADDRESSES_MAX])
{
	size_t count = plan_describe_all(plan, backend, out);
	const char *name = credentials_name(plan->backends[backend].credentials);
	for (size_t i = 0; i < count; i++)
		snprintf(out[i].key, sizeof(out[i].key), "%s%s", out[i].target, name);
	return count;
}
