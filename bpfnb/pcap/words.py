"""The words of the filter language, and what people write in their place.

Left out: names that the machine looks up (hosts, networks, ports, protocol
numbers), and values that stand only after `type`, `subtype`, `dir`, `reason`
and `action`.

Source: pcap-filter(7) of libpcap 1.10, but for `oamf4sc` and `oamf4ec`, which it writes without
their c: asked of libpcap, as all of them are in the tests.
"""

from __future__ import annotations

__all__ = ["APPLICATIONS", "DISPLAY", "FIELDS", "KEYWORDS", "SYNONYMS"]

LOGIC = "and or not"
QUALIFIERS = """
host net port portrange mask proto protochain gateway src dst ra ta addr1 addr2 addr3 addr4
"""
PROTOCOLS = """
ether fddi tr wlan link ppp slip radio ip ip6 arp rarp decnet lat sca moprc mopdl atalk aarp
iso stp ipx netbeui clnp esis isis l1 l2 iih lsp snp csnp psnp tcp udp sctp icmp icmp6 igmp igrp
pim vrrp carp ah esp llc vlan mpls pppoed pppoes geneve
"""
TESTS = """
broadcast multicast less greater len inbound outbound ifindex type subtype dir ifname on rnr rulenum
reason rset ruleset srnr subrulenum action lane vpi vci oam oamf4 oamf4ec oamf4sc metac bcc sc ilmic
connectmsg metaconnect
"""
KEYWORDS = tuple(" ".join((LOGIC, QUALIFIERS, PROTOCOLS, TESTS)).split())

# Names for offsets and values inside proto[…].
OFFSETS = "icmptype icmpcode icmp6type icmp6code tcpflags"
TCP_FLAGS = "tcp-fin tcp-syn tcp-rst tcp-push tcp-ack tcp-urg tcp-ece tcp-cwr"
ICMP = """
icmp-echoreply icmp-unreach icmp-sourcequench icmp-redirect icmp-echo icmp-routeradvert
icmp-routersolicit icmp-timxceed icmp-paramprob icmp-tstamp icmp-tstampreply icmp-ireq
icmp-ireqreply icmp-maskreq icmp-maskreply
"""
ICMP6 = """
icmp6-destinationunreach icmp6-packettoobig icmp6-timeexceeded icmp6-parameterproblem icmp6-echo
icmp6-echoreply icmp6-multicastlistenerquery icmp6-multicastlistenerreportv1
icmp6-multicastlistenerdone icmp6-routersolicit icmp6-routeradvert icmp6-neighborsolicit
icmp6-neighboradvert icmp6-redirect icmp6-routerrenum icmp6-nodeinformationquery
icmp6-nodeinformationresponse icmp6-ineighbordiscoverysolicit icmp6-ineighbordiscoveryadvert
icmp6-multicastlistenerreportv2 icmp6-homeagentdiscoveryrequest icmp6-homeagentdiscoveryreply
icmp6-mobileprefixsolicit icmp6-mobileprefixadvert icmp6-certpathsolicit icmp6-certpathadvert
icmp6-multicastrouteradvert icmp6-multicastroutersolicit icmp6-multicastrouterterm
"""
FIELDS = tuple(" ".join((OFFSETS, TCP_FLAGS, ICMP, ICMP6)).split())

# What other tools and plain English say -> libpcap's word.
SYNONYMS = {
    "ipv4": "ip",
    "ip4": "ip",
    "ipv6": "ip6",
    "icmpv6": "icmp6",
    "eth": "ether",
    "ethernet": "ether",
    "wifi": "wlan",
    "ports": "port",
    "hosts": "host",
    "addr": "host",
    "address": "host",
    "network": "net",
    "subnet": "net",
    "protocol": "proto",
    "source": "src",
    "sport": "src port",
    "srcport": "src port",
    "dest": "dst",
    "destination": "dst",
    "dport": "dst port",
    "dstport": "dst port",
    "length": "len",
    "size": "len",
    "mcast": "multicast",
    "bcast": "broadcast",
}

# libpcap knows no protocol above TCP, UDP and SCTP: their ports stand for them.
APPLICATIONS = {
    "http": "tcp port 80",
    "https": "tcp port 443",
    "tls": "tcp port 443",
    "ssl": "tcp port 443",
    "quic": "udp port 443",
    "dns": "port 53",
    "mdns": "udp port 5353",
    "ssh": "tcp port 22",
    "telnet": "tcp port 23",
    "ftp": "tcp port 21",
    "smtp": "tcp port 25",
    "imap": "tcp port 143",
    "ntp": "udp port 123",
    "snmp": "udp port 161",
    "syslog": "udp port 514",
    "dhcp": "udp port 67 or udp port 68",
    "bootp": "udp port 67 or udp port 68",
    "bgp": "tcp port 179",
    "vxlan": "udp port 4789",
    "ospf": "ip proto 89",
    "gre": "ip proto 47",
}

# Fields of Wireshark's display filters -> libpcap, {} for the value.
DISPLAY = {
    "ip.addr": "host {}",
    "ip.src": "src host {}",
    "ip.dst": "dst host {}",
    "ip.proto": "ip proto {}",
    "ip.ttl": "ip[8] = {}",
    "ipv6.addr": "ip6 host {}",
    "ipv6.src": "ip6 src host {}",
    "ipv6.dst": "ip6 dst host {}",
    "eth.addr": "ether host {}",
    "eth.src": "ether src {}",
    "eth.dst": "ether dst {}",
    "eth.type": "ether proto {}",
    "tcp.port": "tcp port {}",
    "tcp.srcport": "tcp src port {}",
    "tcp.dstport": "tcp dst port {}",
    "tcp.flags.syn": "tcp[tcpflags] & tcp-syn != 0",
    "tcp.flags.ack": "tcp[tcpflags] & tcp-ack != 0",
    "tcp.flags.fin": "tcp[tcpflags] & tcp-fin != 0",
    "tcp.flags.reset": "tcp[tcpflags] & tcp-rst != 0",
    "tcp.flags.push": "tcp[tcpflags] & tcp-push != 0",
    "udp.port": "udp port {}",
    "udp.srcport": "udp src port {}",
    "udp.dstport": "udp dst port {}",
    "sctp.port": "sctp port {}",
    "icmp.type": "icmp[icmptype] = {}",
    "icmp.code": "icmp[icmpcode] = {}",
    "icmpv6.type": "icmp6[icmp6type] = {}",
    "frame.len": "len = {}",
    "vlan.id": "vlan {}",
    "wlan.addr": "wlan host {}",
    "wlan.ta": "wlan ta {}",
    "wlan.ra": "wlan ra {}",
}
