/* The six filters as a C programmer writes them, for gcc -O3.
 *
 * Each takes a packet's first byte and its captured length, reads nothing past its end and
 * returns SNAPLEN to accept, 0 to reject.  On every packet of the benchmark that is what
 * libpcap's program for the expression above it returns; all are compared before
 * any is timed.  So it asks what libpcap asks: of a fragmented datagram only the
 * first fragment has ports, and of IPv6 only the first next-header counts.
 *
 * SCAN makes two loops of a filter: a plain one, and one that asks for the header of
 * the packet that is AHEAD packets further on.
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef AHEAD
#define AHEAD 24
#endif

enum { SNAPLEN = 262144 };
enum { ETHERNET = 14, IPV4_HEADER = 20, IPV6_HEADER = 40 };
enum { TYPE_IP = 0x0800, TYPE_ARP = 0x0806, TYPE_IPV6 = 0x86dd };
enum { ICMP = 1, TCP = 6, UDP = 17, FRAGMENT = 44, ICMP6 = 58 };
enum { FIN = 1, SYN = 2 };

static inline uint16_t half(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return ntohs(value);
}

static inline uint32_t word(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return ntohl(value);
}

static inline uint32_t verdict(bool accepted)
{
    return accepted ? SNAPLEN : 0;
}

static inline bool in_net(uint32_t address, uint32_t net, int bits)
{
    return (address ^ net) >> (32 - bits) == 0;
}

/* Where the data of an IPv4 packet start; 0 in a fragment that is not the first.
 * ETHERNET + IPV4_HEADER bytes are there. */
static inline size_t behind_ipv4(const uint8_t *P)
{
    if (half(P + ETHERNET + 6) & 0x1fff)
        return 0;
    return ETHERNET + 4 * (size_t)(P[ETHERNET] & 0xf);
}

/* ip */
static inline uint32_t ip(const uint8_t *P, size_t len)
{
    return verdict(len >= ETHERNET && half(P + 12) == TYPE_IP);
}

/* icmp or arp */
static inline uint32_t icmp_or_arp(const uint8_t *P, size_t len)
{
    if (len < ETHERNET)
        return 0;
    uint16_t type = half(P + 12);
    if (type == TYPE_IP)
        return verdict(len >= ETHERNET + IPV4_HEADER && P[ETHERNET + 9] == ICMP);
    return verdict(type == TYPE_ARP);
}

/* tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 */
static inline uint32_t tcp_opens_or_closes(const uint8_t *P, size_t len)
{
    if (len < ETHERNET + IPV4_HEADER || half(P + 12) != TYPE_IP || P[ETHERNET + 9] != TCP)
        return 0;
    size_t at = behind_ipv4(P);
    return verdict(at && len >= at + 14 && P[at + 13] & (SYN | FIN));
}

/* tcp port 80 */
static inline uint32_t tcp_port_80(const uint8_t *P, size_t len)
{
    size_t at = 0;
    if (len < ETHERNET + IPV4_HEADER)
        return 0;
    uint16_t type = half(P + 12);
    if (type == TYPE_IP && P[ETHERNET + 9] == TCP)
        at = behind_ipv4(P);
    else if (type == TYPE_IPV6 && P[ETHERNET + 6] == TCP)
        at = ETHERNET + IPV6_HEADER;
    if (!at || len < at + 4)
        return 0;
    return verdict(half(P + at) == 80 || half(P + at + 2) == 80);
}

/* (tcp port 22 or 80 or 443 or udp port 53 or 123) and not net 10.0.0.0/8 */
static inline bool five_ports(int protocol, const uint8_t *ports)
{
    uint16_t source = half(ports), target = half(ports + 2);
    switch (protocol) {
    case TCP:
        return source == 22 || source == 80 || source == 443 ||
               target == 22 || target == 80 || target == 443;
    case UDP:
        return source == 53 || source == 123 || target == 53 || target == 123;
    default:
        return false;
    }
}

static inline bool ten(uint32_t address)
{
    return in_net(address, 0x0a000000, 8);
}

static inline uint32_t five_services(const uint8_t *P, size_t len)
{
    if (len < ETHERNET + IPV4_HEADER)
        return 0;
    uint16_t type = half(P + 12);
    if (type == TYPE_IP) {
        size_t at = behind_ipv4(P);
        if (!at || len < at + 4 || ten(word(P + ETHERNET + 12)) || ten(word(P + ETHERNET + 16)))
            return 0;
        return verdict(five_ports(P[ETHERNET + 9], P + at));
    }
    if (type == TYPE_IPV6 && len >= ETHERNET + IPV6_HEADER + 4)
        return verdict(five_ports(P[ETHERNET + 6], P + ETHERNET + IPV6_HEADER));
    return 0;
}

/* not net 10.0.0.0/8 and not net 172.16.0.0/12 and not net 192.168.0.0/16
 * and (tcp port 22 or 25 or 80 or 110 or 143 or 443 or 993 or 995 or 8080 or 8443
 *      or udp port 53 or 123 or 161 or 443 or 500 or 4500 or icmp or icmp6) */
static inline bool tcp_service(uint16_t port)
{
    switch (port) {
    case 22: case 25: case 80: case 110: case 143: case 443: case 993: case 995:
    case 8080: case 8443:
        return true;
    default:
        return false;
    }
}

static inline bool udp_service(uint16_t port)
{
    switch (port) {
    case 53: case 123: case 161: case 443: case 500: case 4500:
        return true;
    default:
        return false;
    }
}

static inline bool private(uint32_t address)
{
    return in_net(address, 0x0a000000, 8) || in_net(address, 0xac100000, 12) ||
           in_net(address, 0xc0a80000, 16);
}

static inline bool service(int protocol, const uint8_t *ports)
{
    uint16_t source = half(ports), target = half(ports + 2);
    switch (protocol) {
    case TCP:
        return tcp_service(source) || tcp_service(target);
    case UDP:
        return udp_service(source) || udp_service(target);
    default:
        return false;
    }
}

static inline uint32_t public_services(const uint8_t *P, size_t len)
{
    if (len < ETHERNET + IPV4_HEADER)
        return 0;
    uint16_t type = half(P + 12);
    if (type == TYPE_IP) {
        if (private(word(P + ETHERNET + 12)) || private(word(P + ETHERNET + 16)))
            return 0;
        int protocol = P[ETHERNET + 9];
        if (protocol == ICMP)
            return SNAPLEN;
        size_t at = behind_ipv4(P);
        return verdict(at && len >= at + 4 && service(protocol, P + at));
    }
    if (type == TYPE_IPV6 && len >= ETHERNET + IPV6_HEADER + 4) {
        int next = P[ETHERNET + 6];
        if (next == ICMP6 || (next == FRAGMENT && P[ETHERNET + IPV6_HEADER] == ICMP6))
            return SNAPLEN;
        return verdict(service(next, P + ETHERNET + IPV6_HEADER));
    }
    return 0;
}

#define SCAN(filter)                                                                        \
    void filter##_plain(const uint8_t *base, const uint64_t *offsets,                       \
                        const uint32_t *lengths, uint32_t *rets, size_t count)              \
    {                                                                                       \
        for (size_t i = 0; i < count; i++)                                                  \
            rets[i] = filter(base + offsets[i], lengths[i]);                                \
    }                                                                                       \
    void filter##_prefetch(const uint8_t *base, const uint64_t *offsets,                    \
                           const uint32_t *lengths, uint32_t *rets, size_t count)           \
    {                                                                                       \
        size_t i = 0;                                                                       \
        for (; i + AHEAD < count; i++) {                                                    \
            __builtin_prefetch(base + offsets[i + AHEAD]);                                  \
            rets[i] = filter(base + offsets[i], lengths[i]);                                \
        }                                                                                   \
        for (; i < count; i++)                                                              \
            rets[i] = filter(base + offsets[i], lengths[i]);                                \
    }

SCAN(ip)
SCAN(icmp_or_arp)
SCAN(tcp_opens_or_closes)
SCAN(tcp_port_80)
SCAN(five_services)
SCAN(public_services)
