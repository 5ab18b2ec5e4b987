#include "test/unit/stream_client.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void put_on_wire(struct stream_client *client, const void *octets, size_t size)
{
	evbuffer_add(client->wire, octets, size);
	client->wire_end += size;
}

/* What OpenSSL has to say goes to the wire. */
static void take_sealed(struct stream_client *client)
{
	uint8_t octets[4096];
	int size;
	while ((size = BIO_read(SSL_get_wbio(client->ssl), octets, sizeof(octets))) > 0)
		put_on_wire(client, octets, (size_t)size);
}

static bool can_talk(const struct stream_client *client)
{
	return !client->ssl || SSL_is_init_finished(client->ssl);
}

void stream_client_open(struct stream_client *client, int fd, int version)
{
	client->fd = fd;
	client->plain = evbuffer_new();
	client->wire = evbuffer_new();
	client->input = evbuffer_new();
	if (version == 0)
		return;
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	client->ssl = SSL_new(context);
	SSL_CTX_free(context);
	SSL_set_min_proto_version(client->ssl, version);
	SSL_set_max_proto_version(client->ssl, version);
	SSL_set_bio(client->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_connect_state(client->ssl);
	SSL_do_handshake(client->ssl);
	take_sealed(client);
}

void stream_client_clear(struct stream_client *client)
{
	SSL_free(client->ssl);
	evbuffer_free(client->plain);
	evbuffer_free(client->wire);
	evbuffer_free(client->input);
}

void stream_client_vanish(struct stream_client *client)
{
	close(client->fd);
}

bool stream_client_seal(struct stream_client *client, size_t most)
{
	uint8_t octets[SSL3_RT_MAX_PLAIN_LENGTH];
	if (!can_talk(client) || client->record_count == STREAM_CLIENT_RECORDS_MAX)
		return false;
	int size = evbuffer_remove(client->plain, octets, smaller(most, sizeof(octets)));
	if (size <= 0)
		return false;
	if (client->ssl) {
		client->failed |= SSL_write(client->ssl, octets, size) != size;
		take_sealed(client);
	} else {
		put_on_wire(client, octets, (size_t)size);
	}
	client->plain_end += (size_t)size;
	client->records[client->record_count].plain_end = client->plain_end;
	client->records[client->record_count++].wire_end = client->wire_end;
	return true;
}

void stream_client_change_keys(struct stream_client *client, bool ask)
{
	if (!client->ssl || !can_talk(client) || client->said_goodbye ||
	    SSL_version(client->ssl) != TLS1_3_VERSION)
		return;
	SSL_key_update(client->ssl, ask ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
	SSL_do_handshake(client->ssl);
	take_sealed(client);
}

bool stream_client_send(struct stream_client *client, size_t most)
{
	uint8_t octets[16384];
	ev_ssize_t size = evbuffer_copyout(client->wire, octets, smaller(most, sizeof(octets)));
	ssize_t sent = size > 0 ? send(client->fd, octets, (size_t)size, MSG_NOSIGNAL) : 0;
	if (sent > 0)
		evbuffer_drain(client->wire, (size_t)sent);
	if (client->said_goodbye && evbuffer_get_length(client->wire) == 0)
		shutdown(client->fd, SHUT_WR);
	return sent > 0;
}

static void open_records(struct stream_client *client)
{
	uint8_t octets[SSL3_RT_MAX_PLAIN_LENGTH];
	int size = SSL_do_handshake(client->ssl);
	while (size > 0 && (size = SSL_read(client->ssl, octets, sizeof(octets))) > 0)
		evbuffer_add(client->input, octets, (size_t)size);
	int error = SSL_get_error(client->ssl, size);
	client->failed |= error != SSL_ERROR_WANT_READ && error != SSL_ERROR_ZERO_RETURN;
	take_sealed(client);
}

bool stream_client_receive(struct stream_client *client, size_t most)
{
	uint8_t octets[16384];
	ssize_t size = recv(client->fd, octets, smaller(most, sizeof(octets)), 0);
	if (size == 0 || (size < 0 && errno != EAGAIN))
		client->closed = true;
	if (size <= 0)
		return false;
	if (client->ssl) {
		BIO_write(SSL_get_rbio(client->ssl), octets, (int)size);
		open_records(client);
	} else {
		evbuffer_add(client->input, octets, (size_t)size);
	}
	return true;
}

void stream_client_say_goodbye(struct stream_client *client)
{
	if (!can_talk(client) || client->said_goodbye)
		return;
	client->said_goodbye = true;
	if (!client->ssl)
		return;
	SSL_shutdown(client->ssl);
	take_sealed(client);
}

size_t stream_client_arrived(const struct stream_client *client)
{
	size_t sent = client->wire_end - evbuffer_get_length(client->wire);
	size_t arrived = 0;
	if (!client->ssl)
		return sent;
	for (unsigned int i = 0; i < client->record_count; i++)
		if (client->records[i].wire_end <= sent)
			arrived = client->records[i].plain_end;
	return arrived;
}
