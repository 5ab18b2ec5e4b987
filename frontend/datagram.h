/*
 * What datagrams have in common whichever protocol is in them (udp.h, quic_socket.h): they leave in
 * batches through sendmmsg, and those of a wildcard socket say which of the host's addresses they
 * leave from, the one that their client sent to (RFC 2181 section 4). Stateless; any thread. Hot
 * path.
 */
#ifndef GODWIT_FRONTEND_DATAGRAM_H
#define GODWIT_FRONTEND_DATAGRAM_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* Room for the control message with a datagram's address on this side. */
union datagram_control {
	struct cmsghdr align;
	uint8_t v4[CMSG_SPACE(sizeof(struct in_pktinfo))];
	uint8_t v6[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

/* Writes the one control message of a datagram, into the room that `header` has for it. */
static inline void datagram_put_control(struct msghdr *header, int level, int type,
					const void *data, size_t size)
{
	struct cmsghdr *control = header->msg_control;
	control->cmsg_level = level;
	control->cmsg_type = type;
	control->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(control), data, size);
	header->msg_controllen = CMSG_SPACE(size);
}

/* Makes a datagram leave from an IPv4 address. */
static inline void datagram_leave_from_v4(struct msghdr *header, struct in_addr address)
{
	const struct in_pktinfo from = {.ipi_spec_dst = address};
	datagram_put_control(header, IPPROTO_IP, IP_PKTINFO, &from, sizeof(from));
}

/* The same for IPv6, and through the interface with this index; 0: as the routes say. */
static inline void datagram_leave_from_v6(struct msghdr *header, const struct in6_addr *address,
					  unsigned int interface)
{
	const struct in6_pktinfo from = {.ipi6_addr = *address, .ipi6_ifindex = interface};
	datagram_put_control(header, IPPROTO_IPV6, IPV6_PKTINFO, &from, sizeof(from));
}

/*
 * Sends `count` datagrams, each through its socket of `fds`, in their order. Waits for nothing:
 * returns how many the kernel did not take; those are lost.
 */
size_t datagram_send_batch(const int *fds, struct mmsghdr *headers, size_t count);

#endif
