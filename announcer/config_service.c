/* The services of announcer.yaml: what is probed, and the addresses that hang on it. */
#include "announcer/config_take.h"

#include "dns/protocol.h"
#include "dns/rdata.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_NAME "dns"
#define DEFAULT_LOCAL_PREF 100
#define FAST_INTERVAL_MIN_MS 10

/* --- the probe -------------------------------------------------------------------------------- */

static int config_take_question(const struct config_place *place, const struct file_probe *file,
				struct announcer_probe *probe)
{
	int size = dns_name_from_text(file->name, strlen(file->name), NULL, probe->name);
	if (size < 0)
		return config_fail(place, "name", "%s: %s", file->name, dns_error_text(size));
	int type = dns_type_from_text(file->type ? file->type : "SOA");
	if (type < 0 || !dns_type_is_data((uint16_t)type))
		return config_fail(place, "type", "%s: not a type of record", file->type);
	probe->type = (uint16_t)type;
	probe->expect_rcode =
		file->expect_rcode ? (uint16_t)*file->expect_rcode : DNS_RCODE_NOERROR;
	if (!file->expect_answer)
		return 0;
	uint8_t *rdata = malloc(DNS_RDATA_MAX);
	if (!rdata)
		return config_fail(place, "expect_answer", "out of memory");
	char reason[200] = "";
	size = dns_rdata_from_text(probe->type, file->expect_answer, NULL, rdata, DNS_RDATA_MAX,
				   reason, sizeof(reason));
	free(rdata);
	if (size < 0)
		return config_fail(place, "expect_answer", "%s: %s", file->expect_answer, reason);
	return config_take_text(place, "expect_answer", file->expect_answer, &probe->expect_answer);
}

static int config_take_times(const struct config_place *place, const struct file_probe *file,
			     struct announcer_probe *probe)
{
	int64_t interval;
	int64_t fast;
	int64_t timeout;
	int64_t rise;
	int64_t fall;
	if (config_take_number(place, "interval_ms", file->interval_ms, 200, FAST_INTERVAL_MIN_MS,
			       60000, &interval) != 0)
		return -1;
	int64_t quarter = interval / 4 > FAST_INTERVAL_MIN_MS ? interval / 4 : FAST_INTERVAL_MIN_MS;
	if (config_take_number(place, "fast_interval_ms", file->fast_interval_ms, quarter,
			       FAST_INTERVAL_MIN_MS, interval, &fast) != 0 ||
	    config_take_number(place, "timeout_ms", file->timeout_ms, 500, 10, 60000, &timeout) !=
		    0 ||
	    config_take_number(place, "rise", file->rise, 3, 1, 100, &rise) != 0 ||
	    config_take_number(place, "fall", file->fall, 3, 1, 100, &fall) != 0)
		return -1;
	probe->interval_ms = (int)interval;
	probe->fast_interval_ms = (int)fast;
	probe->timeout_ms = (int)timeout;
	probe->rise = (unsigned int)rise;
	probe->fall = (unsigned int)fall;
	return 0;
}

static int config_take_probe(struct config_place *place, const struct file_probe *file,
			     struct announcer_probe *probe)
{
	int64_t tls_port;
	probe->protocols =
		file->protocols ? file->protocols : ANNOUNCER_PROTOCOL_UDP | ANNOUNCER_PROTOCOL_TCP;
	if (config_take_address(place, "address", file->address, &probe->address) != 0 ||
	    config_take_number(place, "tls_port", file->tls_port, 853, 1, 65535, &tls_port) != 0 ||
	    config_take_text(place, "tls_ca", file->tls_ca, &probe->tls_ca) != 0 ||
	    config_take_text(place, "tls_server_name", file->tls_server_name,
			     &probe->tls_server_name) != 0)
		return -1;
	probe->tls_port = (unsigned short)tls_port;
	if (!(probe->protocols & ANNOUNCER_PROTOCOL_TLS) && (file->tls_ca || file->tls_server_name))
		return config_fail(place, file->tls_ca ? "tls_ca" : "tls_server_name",
				   "there is no tls in protocols");
	if (config_take_question(place, file, probe) != 0)
		return -1;
	return config_take_times(place, file, probe);
}

/* --- addresses and labels --------------------------------------------------------------------- */

static int config_check_address(const struct config_place *place, const char *key,
				const struct file_address *file,
				const struct announcer_address *address)
{
	bool has_interface = address->interface[0] != '\0';
	if (!prefix_is_host(&address->prefix) && !file->allow_wider)
		return config_fail(place, key,
				   "%s is wider than one address: set allow_wider if that is meant",
				   file->prefix);
	if (!prefix_is_host(&address->prefix) && has_interface)
		return config_fail(
			place, key,
			"%s is a network and is not put on an interface: leave out `interface`",
			file->prefix);
	if (!has_interface && file->assign && *file->assign != ANNOUNCER_ASSIGN_NEVER)
		return config_fail(place, key, "to assign %s, name its interface", file->prefix);
	return 0;
}

static int config_take_one_address(const struct config_place *place, const char *key,
				   const struct file_address *file,
				   struct announcer_address *address)
{
	char reason[200];
	char inner[96];
	if (prefix_parse(file->prefix, &address->prefix, reason, sizeof(reason)) != 0)
		return config_fail(place, key, "%s", reason);
	snprintf(inner, sizeof(inner), "%s.interface", key);
	if (config_take_interface(place, inner, file->interface, address->interface) != 0)
		return -1;
	snprintf(inner, sizeof(inner), "%s.local_pref", key);
	if (config_take_u32(place, inner, file->local_pref, DEFAULT_LOCAL_PREF,
			    &address->local_pref) != 0)
		return -1;
	address->allow_wider = file->allow_wider;
	address->assign =
		file->assign ? (enum announcer_assign) * file->assign : ANNOUNCER_ASSIGN_START;
	if (address->interface[0] == '\0')
		address->assign = ANNOUNCER_ASSIGN_NEVER;
	return config_check_address(place, key, file, address);
}

static int config_take_addresses(const struct config_place *place, const struct file_address *file,
				 size_t count, struct announcer_service *service)
{
	service->addresses = calloc(count ? count : 1, sizeof(service->addresses[0]));
	if (!service->addresses)
		return config_fail(place, "addresses", "out of memory");
	service->address_count = count;
	for (size_t i = 0; i < count; i++) {
		char key[48];
		snprintf(key, sizeof(key), "addresses[%zu]", i);
		if (config_take_one_address(place, key, &file[i], &service->addresses[i]) != 0)
			return -1;
	}
	return 0;
}

static int config_take_labels(const struct config_place *place, const struct file_labels *file,
			      struct announcer_labels *labels)
{
	if (!file)
		return 0;
	labels->enabled = true;
	if (config_take_interface(place, "labels.interface", file->interface, labels->interface) !=
		    0 ||
	    config_take_u32(place, "labels.local_pref", file->local_pref, DEFAULT_LOCAL_PREF,
			    &labels->local_pref) != 0 ||
	    config_take_u32(place, "labels.decrease", file->decrease, 10, &labels->decrease) != 0)
		return -1;
	size_t length = strlen(file->prefix);
	if (strlen(file->interface) + 1 + length >= IFNAMSIZ)
		return config_fail(place, "labels.prefix",
				   "%s:%s is longer than a label can be, %d characters",
				   file->interface, file->prefix, IFNAMSIZ - 1);
	if (isdigit((unsigned char)file->prefix[length - 1]))
		return config_fail(place, "labels.prefix",
				   "%s ends in a digit: numbers are what comes behind it",
				   file->prefix);
	snprintf(labels->prefix, sizeof(labels->prefix), "%s", file->prefix);
	return 0;
}

/* --- services --------------------------------------------------------------------------------- */

/* Names stand in log lines, labels of metrics and "?service=": nothing there needs escaping. */
static int config_take_name(const struct config_place *place, const char *text,
			    struct announcer_service *service)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	const char *name = text ? text : DEFAULT_NAME;
	if (strspn(name, allowed) != strlen(name) || strlen(name) >= sizeof(service->name))
		return config_fail(place, "name",
				   "%s: letters, digits and \"-_.\" only, at most %d of them", name,
				   ANNOUNCER_NAME_MAX - 1);
	snprintf(service->name, sizeof(service->name), "%s", name);
	return 0;
}

/* The keys of a service that stand in one block however many services there are. */
static int config_take_service(struct config_place *place, const struct file_service *file,
			       struct announcer_service *service)
{
	struct config_place probe = *place;
	snprintf(probe.around, sizeof(probe.around), "%.40sprobe.", place->around);
	if (config_take_name(place, file->name, service) != 0 ||
	    config_take_probe(&probe, file->probe, &service->probe) != 0 ||
	    config_take_text(place, "drain_file", file->drain_file, &service->drain_file) != 0)
		return -1;
	const char *socket = file->watch_socket ? file->watch_socket : "";
	if (strlen(socket) >= sizeof(service->watch_socket))
		return config_fail(place, "watch_socket", "longer than a socket's path can be, %d",
				   ANNOUNCER_PATH_MAX - 1);
	snprintf(service->watch_socket, sizeof(service->watch_socket), "%s", socket);
	return 0;
}

/* One prefix is one service's, once; so are the labels of one kind. */
static int config_check_claims(const struct config_place *place,
			       const struct announcer_config *config, size_t at)
{
	const struct announcer_service *service = &config->services[at];
	char key[48];
	for (size_t i = 0; i < service->address_count; i++)
		for (size_t s = 0; s <= at; s++) {
			const struct announcer_service *other = &config->services[s];
			size_t end = s == at ? i : other->address_count;
			for (size_t j = 0; j < end; j++) {
				if (!prefix_equal(&service->addresses[i].prefix,
						  &other->addresses[j].prefix))
					continue;
				char text[PREFIX_TEXT_MAX];
				snprintf(key, sizeof(key), "addresses[%zu]", i);
				return config_fail(place, key, "%s is there twice (service %s)",
						   prefix_format(&other->addresses[j].prefix, text),
						   other->name);
			}
		}
	for (size_t s = 0; s < at; s++) {
		const struct announcer_service *other = &config->services[s];
		if (strcmp(other->name, service->name) == 0)
			return config_fail(place, "name", "%s is there twice", service->name);
		if (service->labels.enabled && other->labels.enabled &&
		    strcmp(service->labels.interface, other->labels.interface) == 0 &&
		    strcmp(service->labels.prefix, other->labels.prefix) == 0)
			return config_fail(place, "labels", "service %s has the same labels",
					   other->name);
	}
	return 0;
}

static int config_check_service(const struct config_place *place,
				const struct announcer_config *config, size_t at)
{
	const struct announcer_service *service = &config->services[at];
	if (service->address_count == 0 && !service->labels.enabled)
		return config_fail(place, place->around[0] ? "addresses" : "service",
				   "service %s has nothing to announce: no addresses, no labels",
				   service->name);
	return config_check_claims(place, config, at);
}

/* One service: `service`, and beside it what is announced for it. */
static int config_take_single(struct config_place *place, const struct file_config *file,
			      struct announcer_config *config)
{
	struct config_place inner = *place;
	snprintf(inner.around, sizeof(inner.around), "service.");
	struct announcer_service *service = &config->services[0];
	if (config_take_service(&inner, file->service, service) != 0 ||
	    config_take_addresses(place, file->addresses, file->addresses_count, service) != 0 ||
	    config_take_labels(place, file->labels, &service->labels) != 0)
		return -1;
	return config_check_service(place, config, 0);
}

static int config_take_list(struct config_place *place, const struct file_config *file,
			    struct announcer_config *config)
{
	for (size_t i = 0; i < file->services_count; i++) {
		const struct file_service *source = &file->services[i];
		struct announcer_service *service = &config->services[i];
		struct config_place inner = *place;
		snprintf(inner.around, sizeof(inner.around), "services[%zu].", i);
		if (config_take_service(&inner, source, service) != 0 ||
		    config_take_addresses(&inner, source->addresses, source->addresses_count,
					  service) != 0 ||
		    config_take_labels(&inner, source->labels, &service->labels) != 0 ||
		    config_check_service(&inner, config, i) != 0)
			return -1;
	}
	return 0;
}

int config_take_services(struct config_place *place, const struct file_config *file,
			 struct announcer_config *config)
{
	bool listed = file->services_count > 0;
	if (listed && (file->service || file->addresses_count || file->labels))
		return config_fail(place,
				   file->service           ? "service"
				   : file->addresses_count ? "addresses"
							   : "labels",
				   "stands beside `services`: it belongs into the list");
	if (!listed && !file->service)
		return config_fail(place, "service",
				   "is missing: the announcer must know what to probe");
	config->service_count = listed ? file->services_count : 1;
	config->services = calloc(config->service_count, sizeof(config->services[0]));
	if (!config->services) {
		config->service_count = 0;
		return config_fail(place, "service", "out of memory");
	}
	return listed ? config_take_list(place, file, config)
		      : config_take_single(place, file, config);
}
