/* Services, addresses and labels, brought together. */
#include "announcer/routes.h"

#include "announcer/labels.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first row of a prefix: of two that claim it, the one that may have it. */
static struct route *routes_find(const struct routes *routes, const struct prefix *prefix)
{
	for (size_t i = 0; i < routes->count; i++)
		if (prefix_equal(&routes->rows[i].announcement.prefix, prefix))
			return &routes->rows[i];
	return NULL;
}

/* Decides whether a row whose address is known is announced, and says why or why not. */
static void routes_decide(struct route *route, const struct service_state *state, const char *error)
{
	snprintf(route->why, sizeof(route->why), "service %s: %s", service_phase_name(state->phase),
		 state->cause);
	if (service_state_is_announced(state) && !route->present)
		snprintf(route->why, sizeof(route->why), "it is not on %s%s%s", route->interface,
			 error[0] ? ": " : "", error);
	route->announced = service_state_is_announced(state) && route->present;
	route->announcement.graceful_shutdown = state->phase == SERVICE_DRAINING;
}

static void routes_add_configured(struct routes *routes, const struct routes_input *input)
{
	for (size_t i = 0; i < input->addresses->count; i++) {
		const struct address_entry *entry = &input->addresses->entries[i];
		struct route *route = &routes->rows[routes->count++];
		*route = (struct route){
			.announcement = {.prefix = entry->config->prefix,
					 .local_pref = entry->config->local_pref},
			.service = entry->service,
			.interface = entry->config->interface,
			.present = entry->present,
			.ours = entry->ours,
		};
		routes_decide(route, input->states[entry->service], entry->error);
	}
}

static void routes_add_labelled(struct routes *routes, const struct routes_input *input,
				size_t service, const struct netlink_address *host)
{
	const struct announcer_labels *labels = &input->config->services[service].labels;
	struct announcement found = {.prefix = host->prefix};
	bool wider;
	bool taken = labels_take(labels, host, &found.local_pref, &wider);
	const struct route *other = routes_find(routes, &found.prefix);
	if ((!taken && !wider) || (other && other->service == service))
		return;
	struct route *route = &routes->rows[routes->count++];
	*route = (struct route){
		.announcement = found,
		.service = service,
		.interface = labels->interface,
		.labelled = true,
		.present = true,
	};
	if (wider)
		snprintf(route->why, sizeof(route->why), "%s is not one address's, /32",
			 host->label);
	else if (other)
		snprintf(route->why, sizeof(route->why), "%s: service %s has it already",
			 host->label, input->config->services[other->service].name);
	else
		routes_decide(route, input->states[service], "");
}

int routes_build(struct routes *routes, const struct routes_input *input)
{
	size_t services = input->config->service_count;
	size_t most = input->addresses->count + services * input->host_count;
	*routes = (struct routes){.rows = calloc(most ? most : 1, sizeof(routes->rows[0]))};
	if (!routes->rows)
		return -1;
	routes_add_configured(routes, input);
	for (size_t s = 0; s < services; s++)
		for (size_t i = 0; i < input->host_count; i++)
			routes_add_labelled(routes, input, s, &input->hosts[i]);
	return 0;
}

void routes_clear(struct routes *routes)
{
	free(routes->rows);
	*routes = (struct routes){0};
}

struct announcement *routes_list(const struct routes *routes, size_t *count)
{
	struct announcement *list = calloc(routes->count ? routes->count : 1, sizeof(list[0]));
	*count = 0;
	for (size_t i = 0; list && i < routes->count; i++)
		if (routes->rows[i].announced)
			list[(*count)++] = routes->rows[i].announcement;
	return list;
}

void routes_report(const struct routes *old, const struct routes *now,
		   const struct announcer_config *config)
{
	char text[PREFIX_TEXT_MAX];
	for (size_t i = 0; i < old->count; i++) {
		const struct route *was = &old->rows[i];
		const struct route *is = routes_find(now, &was->announcement.prefix);
		if (was->announced && !(is && is->announced))
			log_info("withdrawn", "prefix=%s service=%s reason=%s",
				 prefix_format(&was->announcement.prefix, text),
				 config->services[was->service].name,
				 is ? is->why : "its label or address is gone");
	}
	for (size_t i = 0; i < now->count; i++) {
		const struct route *is = &now->rows[i];
		const struct route *was = routes_find(old, &is->announcement.prefix);
		if (!was && is->labelled && !is->announced)
			log_info("labelled address not announced", "prefix=%s service=%s reason=%s",
				 prefix_format(&is->announcement.prefix, text),
				 config->services[is->service].name, is->why);
		if (!is->announced || (was && was->announced))
			continue;
		log_info("announced", "prefix=%s service=%s local_pref=%u reason=%s",
			 prefix_format(&is->announcement.prefix, text),
			 config->services[is->service].name, is->announcement.local_pref, is->why);
	}
}
