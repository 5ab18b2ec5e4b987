/*
 * A DNS server for tests of the probe, on a thread of its own: over UDP and TCP at one port, and
 * over TLS at another, all of them well or ill behaved as `fake_dns_behave` says, from the next
 * query on. Answers have one record, 192.0.2.1.
 */
#ifndef GODWIT_TEST_UNIT_FAKE_DNS_H
#define GODWIT_TEST_UNIT_FAKE_DNS_H

#include <stdbool.h>

enum fake_dns_manner {
	FAKE_DNS_GOOD,
	FAKE_DNS_SILENT,
	FAKE_DNS_SERVFAIL,
	FAKE_DNS_WRONG_ID,
	FAKE_DNS_WRONG_ID_FIRST, /* the right one behind it; UDP */
	FAKE_DNS_WRONG_QUESTION,
	FAKE_DNS_TRUNCATED,
	FAKE_DNS_GARBAGE,
	FAKE_DNS_HALF,  /* of the answer, then nothing; streams */
	FAKE_DNS_CLOSE, /* once the query is there; streams */
};

struct fake_dns;

/*
 * Starts it on loopback, good. `tls_directory` receives the file ca.pem, the certificate it has for
 * "dns.example"; NULL: no TLS. Ends the program on failure.
 */
struct fake_dns *fake_dns_start(const char *tls_directory);
void fake_dns_stop(struct fake_dns *server);

unsigned short fake_dns_port(const struct fake_dns *server);
unsigned short fake_dns_tls_port(const struct fake_dns *server);

/* How it behaves, and after how many milliseconds it answers. */
void fake_dns_behave(struct fake_dns *server, enum fake_dns_manner manner, int delay_ms);

/* Closes or opens again the UDP socket and the TCP listener. Connections stay. */
void fake_dns_close_ports(struct fake_dns *server, bool closed);

/* Makes the TLS server another certificate and writes it to ca.pem; from the next connection on. */
void fake_dns_renew_certificate(struct fake_dns *server);

/* Queries seen so far. */
unsigned int fake_dns_queries(const struct fake_dns *server);

#endif
