/* SVCB records about ourselves. */
#include "frontend/discovery.h"

#include "common/log.h"
#include "common/tls_files.h"
#include "dns/protocol.h"
#include "dns/writer.h"

#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

/*
 * SvcParamKeys (RFC 9460 section 14.3.2, RFC 9461 section 5), in the order they have to stand in.
 */
enum svc_param { SVC_ALPN = 1, SVC_PORT = 3, SVC_IPV4HINT = 4, SVC_IPV6HINT = 6, SVC_DOHPATH = 7 };

#define HINTS_MAX 4
#define RDATA_MAX 640

/* What is served at one port in one way. */
struct discovery_service {
	enum frontend_protocol protocol;
	uint16_t port;
	bool any_v4; /* on all addresses: which of them, the client knows better */
	bool any_v6;
	size_t v4_count;
	size_t v6_count;
	struct in_addr v4[HINTS_MAX];
	struct in6_addr v6[HINTS_MAX];
};

struct discovery {
	const struct frontend_config *config;
	struct tls *tls;
	uint64_t generation; /* of the certificates the name is from */
	uint8_t target[DNS_NAME_MAX];
	uint16_t target_size; /* 0: there is none */
	size_t count;
	struct discovery_service services[DISCOVERY_RECORDS_MAX];
};

const uint8_t discovery_zone[15] = "\10resolver\4arpa";
static const uint8_t discovery_name[20] = "\4_dns\10resolver\4arpa";

/* --- what there is to tell -------------------------------------------------------------------- */

static struct discovery_service *
discovery_find_service(struct discovery *discovery, enum frontend_protocol protocol, uint16_t port)
{
	for (size_t i = 0; i < discovery->count; i++)
		if (discovery->services[i].protocol == protocol &&
		    discovery->services[i].port == port)
			return &discovery->services[i];
	if (discovery->count == DISCOVERY_RECORDS_MAX)
		return NULL;
	struct discovery_service *service = &discovery->services[discovery->count++];
	*service = (struct discovery_service){.protocol = protocol, .port = port};
	return service;
}

static void discovery_add_address(struct discovery_service *service, const struct address *address)
{
	if (address->addr.ss_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->addr;
		if (v4->sin_addr.s_addr == htonl(INADDR_ANY))
			service->any_v4 = true;
		else if (service->v4_count < HINTS_MAX)
			service->v4[service->v4_count++] = v4->sin_addr;
	} else {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->addr;
		if (IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr))
			service->any_v6 = true;
		else if (service->v6_count < HINTS_MAX)
			service->v6[service->v6_count++] = v6->sin6_addr;
	}
}

/* In the order of preference: what costs the client least comes first. */
static void discovery_list_services(struct discovery *discovery)
{
	static const enum frontend_protocol protocols[] = {
		FRONTEND_PROTOCOL_TLS, FRONTEND_PROTOCOL_HTTPS, FRONTEND_PROTOCOL_QUIC};
	const struct frontend_config *config = discovery->config;
	for (size_t p = 0; p < sizeof(protocols) / sizeof(protocols[0]); p++) {
		for (size_t i = 0; i < config->listen_count; i++) {
			if (!(config->listen[i].protocols & protocols[p]))
				continue;
			struct discovery_service *service = discovery_find_service(
				discovery, protocols[p], config->listen[i].address.port);
			if (service)
				discovery_add_address(service, &config->listen[i].address);
		}
	}
}

/* The name for SVCB's target; 0 when the certificate has none that will do. */
static uint16_t discovery_read_name(X509 *certificate, uint8_t *out)
{
	int size = 0;
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; size <= 0 && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_DNS)
			continue;
		const char *text = (const char *)ASN1_STRING_get0_data(name->d.dNSName);
		size_t length = (size_t)ASN1_STRING_length(name->d.dNSName);
		if (length > 0 && text[0] != '*' && text[0] != '.')
			size = dns_name_from_text(text, length, NULL, out);
	}
	GENERAL_NAMES_free(names);
	return size > 1 ? (uint16_t)size : 0;
}

static void discovery_take_certificates(void *ctx, const struct tls_material *materials,
					size_t count)
{
	struct discovery *discovery = ctx;
	BIO *bio = count > 0 ? BIO_new_mem_buf(materials[0].certificate, -1) : NULL;
	X509 *certificate = bio ? PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL) : NULL;
	discovery->target_size = 0;
	if (certificate)
		discovery->target_size = discovery_read_name(certificate, discovery->target);
	X509_free(certificate);
	BIO_free(bio);
	ERR_clear_error();
	if (discovery->target_size == 0)
		log_warning_limited("clients cannot discover encryption here", "reason=%s",
				    "the first certificate has no DNS name");
}

struct discovery *discovery_create(const struct frontend_config *config, struct tls *tls)
{
	struct discovery *discovery = calloc(1, sizeof(*discovery));
	if (!discovery)
		return NULL;
	discovery->config = config;
	discovery->tls = tls;
	discovery_list_services(discovery);
	tls_look_at_materials(tls, &discovery->generation, discovery_take_certificates, discovery);
	return discovery;
}

void discovery_destroy(struct discovery *discovery)
{
	free(discovery);
}

/* --- records ---------------------------------------------------------------------------------- */

static size_t put_param(uint8_t *out, enum svc_param key, const void *value, size_t size)
{
	dns_put16(out, (uint16_t)key);
	dns_put16(out + 2, (uint16_t)size);
	memcpy(out + 4, value, size);
	return 4 + size;
}

static size_t put_alpn(uint8_t *out, enum frontend_protocol protocol)
{
	const char *alpn = protocol == FRONTEND_PROTOCOL_TLS     ? "\3dot"
			   : protocol == FRONTEND_PROTOCOL_HTTPS ? "\2h2"
								 : "\3doq";
	return put_param(out, SVC_ALPN, alpn, strlen(alpn));
}

static size_t put_path(uint8_t *out, const char *path)
{
	static const char variable[] = "{?dns}";
	size_t size = put_param(out, SVC_DOHPATH, path, strlen(path));
	memcpy(out + size, variable, sizeof(variable) - 1);
	size += sizeof(variable) - 1;
	dns_put16(out + 2, (uint16_t)(size - 4));
	return size;
}

static uint16_t discovery_put_rdata(const struct discovery *discovery, size_t at,
				    uint8_t out[RDATA_MAX])
{
	const struct discovery_service *service = &discovery->services[at];
	uint8_t port[2];
	size_t size = 2;
	dns_put16(out, (uint16_t)(at + 1)); /* SvcPriority */
	memcpy(out + size, discovery->target, discovery->target_size);
	size += discovery->target_size;
	size += put_alpn(out + size, service->protocol);
	dns_put16(port, service->port);
	size += put_param(out + size, SVC_PORT, port, sizeof(port));
	if (service->v4_count > 0 && !service->any_v4)
		size += put_param(out + size, SVC_IPV4HINT, service->v4, 4 * service->v4_count);
	if (service->v6_count > 0 && !service->any_v6)
		size += put_param(out + size, SVC_IPV6HINT, service->v6, 16 * service->v6_count);
	if (service->protocol == FRONTEND_PROTOCOL_HTTPS)
		size += put_path(out + size, discovery->config->https.path);
	return (uint16_t)size;
}

static void discovery_put_soa(struct dns_writer *writer, enum dns_section section)
{
	/* As RFC 6303 section 3 has it for zones that are served everywhere and mean nothing. */
	static const uint8_t soa[] = "\10resolver\4arpa\0\6nobody\7invalid\0"
				     "\0\0\0\1\0\0\16\20\0\0\4\260\0\11\72\200\0\0\1\54";
	dns_writer_put_record(writer, section, discovery_zone, DNS_TYPE_SOA, DISCOVERY_TTL_S, soa,
			      sizeof(soa) - 1);
}

/* All services, or as many as there is room for. Returns how many. */
static size_t discovery_put_services(const struct discovery *discovery, struct dns_writer *writer)
{
	uint8_t rdata[RDATA_MAX];
	size_t count = 0;
	for (size_t i = 0; discovery->target_size > 0 && i < discovery->count; i++) {
		uint16_t size = discovery_put_rdata(discovery, i, rdata);
		count += dns_writer_put_record(writer, DNS_SECTION_ANSWER, discovery_name,
					       DNS_TYPE_SVCB, DISCOVERY_TTL_S, rdata, size) == 0;
	}
	return count;
}

size_t discovery_answer(struct discovery *discovery, const struct dns_query *query,
			uint16_t udp_payload, uint8_t *out, size_t capacity, int *rcode)
{
	struct dns_writer writer;
	size_t count = 0;
	bool apex = dns_name_equal(query->qname, discovery_zone);
	bool named = dns_name_equal(query->qname, discovery_name);
	bool any = query->qtype == DNS_TYPE_ANY;
	tls_look_at_materials(discovery->tls, &discovery->generation, discovery_take_certificates,
			      discovery);
	dns_writer_init(&writer, out, capacity, query);
	if (named && (any || query->qtype == DNS_TYPE_SVCB))
		count = discovery_put_services(discovery, &writer);
	if (apex && (any || query->qtype == DNS_TYPE_SOA)) {
		discovery_put_soa(&writer, DNS_SECTION_ANSWER);
		count = 1;
	}
	if (count == 0)
		discovery_put_soa(&writer, DNS_SECTION_AUTHORITY);
	*rcode = apex || named ? DNS_RCODE_NOERROR : DNS_RCODE_NXDOMAIN;
	dns_writer_put_edns(&writer, query, udp_payload, *rcode, DNS_EDE_NONE, NULL);
	return dns_writer_finish(&writer, DNS_FLAG_AA, *rcode);
}
