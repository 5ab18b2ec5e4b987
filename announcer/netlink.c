/*
 * rtnetlink by hand: three requests are too few for a library. The kernel answers a request before
 * sendto returns, so the reply is there when we read; a time-out guards against surprises. What the
 * kernel tells about others' changes comes on a socket of its own, where only the fact counts: the
 * caller then looks at everything anew.
 */
#include "announcer/netlink.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NETLINK_TIMEOUT_S 2
#define NETLINK_REPLY_MAX 32768 /* the kernel's own bound for one read of a dump */
#define NETLINK_DUMPS 3         /* tries for a list that did not change while it was read */

struct netlink {
	int request_fd;
	int change_fd;
	uint32_t sequence;
	struct event *changes;
	void (*on_change)(void *ctx);
	void *ctx;
};

/* A request for or about one address. */
struct netlink_request {
	struct nlmsghdr head;
	struct ifaddrmsg address;
	uint8_t attributes[128];
};

/* What is gathered while a list is read. */
struct netlink_list {
	const char *interface;
	struct netlink_address *addresses;
	size_t count;
	size_t capacity;
	unsigned int last_index; /* addresses come by interface: its name is asked for once */
	char last_name[IFNAMSIZ];
};

static int netlink_fail(char *error, size_t error_size, const char *what, int code)
{
	const char *hint = code == EPERM || code == EACCES ? ": needs CAP_NET_ADMIN" : "";
	snprintf(error, error_size, "%s: %s%s", what, strerror(code), hint);
	return -1;
}

/* --- reading replies -------------------------------------------------------------------------- */

/* One attribute's octets, if it has `size` of them at least. */
static const void *netlink_attribute(const struct rtattr *attribute, size_t size)
{
	return attribute && RTA_PAYLOAD(attribute) >= size ? RTA_DATA(attribute) : NULL;
}

/* Makes room for one more. NULL: out of memory. */
static struct netlink_address *netlink_grow(struct netlink_list *list)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? 2 * list->capacity : 16;
		struct netlink_address *grown =
			realloc(list->addresses, capacity * sizeof(grown[0]));
		if (!grown)
			return NULL;
		list->addresses = grown;
		list->capacity = capacity;
	}
	struct netlink_address *address = &list->addresses[list->count];
	memset(address, 0, sizeof(*address));
	return address;
}

/* The name of an interface; NULL: it is gone. */
static const char *netlink_name(struct netlink_list *list, unsigned int index)
{
	if (index == list->last_index)
		return list->last_name;
	list->last_index = if_indextoname(index, list->last_name) ? index : 0;
	return list->last_index ? list->last_name : NULL;
}

/* Takes one address of a list if it is of the interface asked for. 0, or an errno. */
static int netlink_take_address(struct netlink_list *list, struct nlmsghdr *head)
{
	const struct ifaddrmsg *info = NLMSG_DATA(head);
	const struct rtattr *found[IFA_FLAGS + 1] = {NULL};
	if (head->nlmsg_len < NLMSG_LENGTH(sizeof(*info)))
		return 0;
	int left = (int)IFA_PAYLOAD(head);
	for (const struct rtattr *a = IFA_RTA(info); RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type <= IFA_FLAGS)
			found[a->rta_type] = a;
	size_t size = info->ifa_family == AF_INET ? 4 : info->ifa_family == AF_INET6 ? 16 : 0;
	/* On a point-to-point link IFA_ADDRESS is the other end. */
	const void *ip = netlink_attribute(found[IFA_LOCAL], size);
	if (!ip)
		ip = netlink_attribute(found[IFA_ADDRESS], size);
	const char *interface = netlink_name(list, info->ifa_index);
	if (size == 0 || !ip || !interface ||
	    (list->interface[0] && strcmp(interface, list->interface) != 0))
		return 0;
	struct netlink_address *address = netlink_grow(list);
	if (!address)
		return ENOMEM;
	address->prefix.family = info->ifa_family;
	address->prefix.length = info->ifa_prefixlen;
	memcpy(address->prefix.address, ip, size);
	memcpy(address->interface, interface, sizeof(address->interface));
	if (found[IFA_LABEL])
		snprintf(address->label, sizeof(address->label), "%.*s",
			 (int)RTA_PAYLOAD(found[IFA_LABEL]),
			 (const char *)RTA_DATA(found[IFA_LABEL]));
	uint32_t flags = info->ifa_flags;
	const void *more = netlink_attribute(found[IFA_FLAGS], sizeof(flags));
	if (more)
		memcpy(&flags, more, sizeof(flags));
	address->link_local = info->ifa_scope == RT_SCOPE_LINK;
	address->usable = !(flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED));
	list->count++;
	return 0;
}

/*
 * One read from a netlink socket. What another process has sent there is not the kernel's word: it
 * comes back as an empty message. -1 with errno.
 */
static ssize_t netlink_receive(int fd, void *buffer, size_t size)
{
	struct sockaddr_nl from = {0};
	socklen_t from_size = sizeof(from);
	ssize_t got = recvfrom(fd, buffer, size, 0, (struct sockaddr *)&from, &from_size);
	return got > 0 && from.nl_pid != 0 ? 0 : got;
}

/*
 * Reads until the kernel has said all about request `sequence`. 0, or an errno; EINTR when a list
 * changed while it was read.
 */
static int netlink_read_reply(struct netlink *netlink, struct netlink_list *list)
{
	static const size_t size = NETLINK_REPLY_MAX;
	struct nlmsghdr *buffer = malloc(size);
	int result = -1;
	int changed = 0;
	if (!buffer)
		return ENOMEM;
	while (result < 0) {
		ssize_t got = netlink_receive(netlink->request_fd, buffer, size);
		if (got == 0 || (got < 0 && errno == EINTR))
			continue;
		if (got < 0) {
			result = errno != EAGAIN ? errno : ETIMEDOUT;
			break;
		}
		unsigned int left = (unsigned int)got;
		for (struct nlmsghdr *head = buffer; result < 0 && NLMSG_OK(head, left);
		     head = NLMSG_NEXT(head, left)) {
			if (head->nlmsg_seq != netlink->sequence)
				continue; /* of a request that has timed out */
			if (head->nlmsg_flags & NLM_F_DUMP_INTR)
				changed = EINTR;
			if (head->nlmsg_type == NLMSG_DONE)
				result = changed;
			else if (head->nlmsg_type == NLMSG_ERROR)
				result = -((const struct nlmsgerr *)NLMSG_DATA(head))->error;
			else if (head->nlmsg_type == RTM_NEWADDR && list &&
				 netlink_take_address(list, head) != 0)
				result = ENOMEM;
		}
	}
	free(buffer);
	return result;
}

/* Sends a request and reads its reply. 0, or an errno. */
static int netlink_ask(struct netlink *netlink, struct netlink_request *request,
		       struct netlink_list *list)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	request->head.nlmsg_seq = ++netlink->sequence;
	if (sendto(netlink->request_fd, request, request->head.nlmsg_len, 0,
		   (const struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return errno;
	return netlink_read_reply(netlink, list);
}

/* --- requests --------------------------------------------------------------------------------- */

static void netlink_add_attribute(struct netlink_request *request, unsigned short type,
				  const void *data, size_t size)
{
	size_t at = NLMSG_ALIGN(request->head.nlmsg_len);
	struct rtattr *attribute = (struct rtattr *)((uint8_t *)request + at);
	attribute->rta_type = type;
	attribute->rta_len = (unsigned short)RTA_LENGTH(size);
	memcpy(RTA_DATA(attribute), data, size);
	request->head.nlmsg_len = (uint32_t)(at + RTA_ALIGN(attribute->rta_len));
}

/* A request about `prefix` on `interface`. 0, or an errno. */
static int netlink_fill(struct netlink_request *request, unsigned short type, unsigned short flags,
			const struct prefix *prefix, const char *interface)
{
	unsigned int index = if_nametoindex(interface);
	size_t size = prefix->family == AF_INET ? 4 : 16;
	if (index == 0)
		return ENODEV;
	memset(request, 0, sizeof(*request));
	request->head.nlmsg_len = NLMSG_LENGTH(sizeof(request->address));
	request->head.nlmsg_type = type;
	request->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	request->address.ifa_family = (uint8_t)prefix->family;
	request->address.ifa_prefixlen = prefix->length;
	request->address.ifa_scope = RT_SCOPE_UNIVERSE;
	request->address.ifa_index = index;
	netlink_add_attribute(request, IFA_LOCAL, prefix->address, size);
	netlink_add_attribute(request, IFA_ADDRESS, prefix->address, size);
	return 0;
}

int netlink_add_address(struct netlink *netlink, const struct prefix *prefix, const char *interface,
			char *error, size_t error_size)
{
	struct netlink_request request;
	int code =
		netlink_fill(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, prefix, interface);
	if (code == 0) {
		/* An anycast address is on many hosts, and must be usable at once. */
		if (prefix->family == AF_INET6)
			request.address.ifa_flags = IFA_F_NODAD;
		code = netlink_ask(netlink, &request, NULL);
	}
	if (code == EEXIST)
		return 1;
	return code == 0 ? 0 : netlink_fail(error, error_size, interface, code);
}

int netlink_remove_address(struct netlink *netlink, const struct prefix *prefix,
			   const char *interface, char *error, size_t error_size)
{
	struct netlink_request request;
	int code = netlink_fill(&request, RTM_DELADDR, 0, prefix, interface);
	if (code == 0)
		code = netlink_ask(netlink, &request, NULL);
	if (code == 0 || code == EADDRNOTAVAIL || code == ENODEV)
		return 0;
	return netlink_fail(error, error_size, interface, code);
}

int netlink_list_addresses(struct netlink *netlink, const char *interface,
			   struct netlink_address **out, size_t *count, char *error,
			   size_t error_size)
{
	struct netlink_list list = {.interface = interface};
	int code = EINTR;
	for (int i = 0; i < NETLINK_DUMPS && code == EINTR; i++) {
		struct netlink_request request = {
			.head = {.nlmsg_len = NLMSG_LENGTH(sizeof(request.address)),
				 .nlmsg_type = RTM_GETADDR,
				 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
			.address = {.ifa_family = AF_UNSPEC},
		};
		list.count = 0;
		list.last_index = 0;
		code = netlink_ask(netlink, &request, &list);
	}
	if (code != 0) {
		free(list.addresses);
		return netlink_fail(error, error_size, "cannot list addresses", code);
	}
	*out = list.addresses;
	*count = list.count;
	return 0;
}

/* --- changes ---------------------------------------------------------------------------------- */

static void netlink_on_change(evutil_socket_t fd, short what, void *ctx)
{
	struct netlink *netlink = ctx;
	char octets[8192];
	bool changed = false;
	ssize_t got;
	(void)what;
	do {
		got = netlink_receive(fd, octets, sizeof(octets));
		/* What is lost when the socket's queue is full is a change all the same. */
		changed |= got > 0 || (got < 0 && errno == ENOBUFS);
	} while (got >= 0 || errno == ENOBUFS || errno == EINTR);
	if (changed)
		netlink->on_change(netlink->ctx);
}

static int netlink_open(struct netlink *netlink, struct event_base *base)
{
	const struct timeval timeout = {.tv_sec = NETLINK_TIMEOUT_S};
	const struct sockaddr_nl all = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
	};
	netlink->request_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	netlink->change_fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (netlink->request_fd < 0 || netlink->change_fd < 0 ||
	    setsockopt(netlink->request_fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) !=
		    0 ||
	    bind(netlink->change_fd, (const struct sockaddr *)&all, sizeof(all)) != 0)
		return -1;
	netlink->changes = event_new(base, netlink->change_fd, EV_READ | EV_PERSIST,
				     netlink_on_change, netlink);
	return netlink->changes ? event_add(netlink->changes, NULL) : -1;
}

struct netlink *netlink_create(struct event_base *base, void (*on_change)(void *ctx), void *ctx,
			       char *error, size_t error_size)
{
	struct netlink *netlink = calloc(1, sizeof(*netlink));
	if (!netlink) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	*netlink = (struct netlink){.request_fd = -1, .change_fd = -1};
	netlink->on_change = on_change;
	netlink->ctx = ctx;
	errno = ENOMEM;
	if (netlink_open(netlink, base) != 0) {
		netlink_fail(error, error_size, "cannot open a netlink socket", errno);
		netlink_destroy(netlink);
		return NULL;
	}
	return netlink;
}

void netlink_destroy(struct netlink *netlink)
{
	if (!netlink)
		return;
	if (netlink->changes)
		event_free(netlink->changes);
	if (netlink->change_fd >= 0)
		close(netlink->change_fd);
	if (netlink->request_fd >= 0)
		close(netlink->request_fd);
	free(netlink);
}
