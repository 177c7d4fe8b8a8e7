"""Link types: what the first bytes of a packet are.

The ONE table: the number that files carry (LINKTYPE_), libpcap's name and its
number on Linux (DLT_), which differs for a few old ones, a word for people, and
the scapy class that reads such a packet.  `Program.linktype` and a packet's
`linktype` are LINKTYPE_ numbers; `Linktype.dlt` is what libpcap's functions take.
Left out: reading the headers themselves, and types nobody meets outside their
maker's laboratory; such a number is kept and has a number for a name.

Source: https://www.tcpdump.org/linktypes.html; each DLT_ name and number is
compared with libpcap in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from bpfnb.errors import LinktypeError

__all__ = [
    "EN10MB",
    "LINKTYPES",
    "RAW",
    "Linktype",
    "by_name",
    "by_number",
    "find",
    "from_dlt",
    "name",
    "of_layer",
    "phrase",
    "refuse_other_linktype",
]

LARGEST = 0xFFFF  # a file's field has 16 bits


@dataclass(frozen=True)
class Linktype:
    """One link type.

    `number` is LINKTYPE_, `dlt` what libpcap on Linux calls it; `name` is
    libpcap's (DLT_ without the prefix), `aliases` other names people write.
    `layer` names the scapy class as "module.Class" under scapy.layers, and is
    empty where scapy has none.
    """

    number: int
    name: str
    description: str
    layer: str = ""
    dlt: int = -1
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.dlt < 0:
            object.__setattr__(self, "dlt", self.number)

    def __str__(self) -> str:
        return f"{self.name} ({self.description})"


LINKTYPES: tuple[Linktype, ...] = (
    Linktype(0, "NULL", "BSD loopback", "l2.Loopback"),
    Linktype(1, "EN10MB", "Ethernet", "l2.Ether", aliases=("ETHERNET", "ETHER")),
    Linktype(6, "IEEE802", "token ring", aliases=("IEEE802_5", "TOKEN_RING")),
    Linktype(7, "ARCNET", "BSD ARCNET", aliases=("ARCNET_BSD",)),
    Linktype(8, "SLIP", "SLIP"),
    Linktype(9, "PPP", "PPP", "ppp.PPP"),
    Linktype(10, "FDDI", "FDDI"),
    Linktype(50, "PPP_SERIAL", "PPP over serial", "ppp.HDLC", aliases=("PPP_HDLC",)),
    Linktype(51, "PPP_ETHER", "PPPoE", "ppp.PPPoE"),
    Linktype(100, "ATM_RFC1483", "RFC 1483 ATM", dlt=11),
    Linktype(101, "RAW", "raw IP", "inet6.IPv46", dlt=12),
    Linktype(102, "SLIP_BSDOS", "BSD/OS SLIP", dlt=15),
    Linktype(103, "PPP_BSDOS", "BSD/OS PPP", dlt=16),
    Linktype(104, "C_HDLC", "Cisco HDLC"),
    Linktype(105, "IEEE802_11", "802.11 Wi-Fi", "dot11.Dot11"),
    Linktype(106, "ATM_CLIP", "Linux Classical IP over ATM", dlt=19),
    Linktype(107, "FRELAY", "Frame Relay"),
    Linktype(108, "LOOP", "OpenBSD loopback", "l2.LoopbackOpenBSD"),
    Linktype(109, "ENC", "OpenBSD IPsec"),
    Linktype(113, "LINUX_SLL", "Linux cooked v1", "l2.CookedLinux"),
    Linktype(114, "LTALK", "LocalTalk"),
    Linktype(117, "PFLOG", "OpenBSD pflog"),
    Linktype(
        119,
        "PRISM_HEADER",
        "802.11 with Prism header",
        "dot11.PrismHeader",
        aliases=("IEEE802_11_PRISM",),
    ),
    Linktype(122, "IP_OVER_FC", "IP over Fibre Channel"),
    Linktype(123, "SUNATM", "Sun ATM"),
    Linktype(
        127,
        "IEEE802_11_RADIO",
        "802.11 with radiotap header",
        "dot11.RadioTap",
        aliases=("IEEE802_11_RADIOTAP", "RADIOTAP"),
    ),
    Linktype(129, "ARCNET_LINUX", "Linux ARCNET"),
    Linktype(138, "APPLE_IP_OVER_IEEE1394", "IP over FireWire"),
    Linktype(140, "MTP2", "SS7 MTP2"),
    Linktype(141, "MTP3", "SS7 MTP3"),
    Linktype(143, "DOCSIS", "cable modem"),
    Linktype(144, "LINUX_IRDA", "Linux infrared"),
    Linktype(163, "IEEE802_11_RADIO_AVS", "802.11 with AVS header", aliases=("IEEE802_11_AVS",)),
    Linktype(166, "PPP_PPPD", "PPP with direction", "ppp.DIR_PPP"),
    Linktype(177, "LINUX_LAPD", "Linux ISDN"),
    Linktype(182, "MFR", "FRF.16 Frame Relay"),
    Linktype(186, "USB_FREEBSD", "FreeBSD USB"),
    Linktype(187, "BLUETOOTH_HCI_H4", "Bluetooth HCI", "bluetooth.HCI_Hdr"),
    Linktype(189, "USB_LINUX", "Linux USB"),
    Linktype(190, "CAN20B", "CAN 2.0B"),
    Linktype(191, "IEEE802_15_4_LINUX", "802.15.4 with Linux padding"),
    Linktype(192, "PPI", "per-packet information", "ppi.PPI"),
    Linktype(
        195,
        "IEEE802_15_4",
        "802.15.4 with FCS",
        "dot15d4.Dot15d4FCS",
        aliases=("IEEE802_15_4_WITHFCS",),
    ),
    Linktype(197, "ERF", "Endace ERF"),
    Linktype(
        201, "BLUETOOTH_HCI_H4_WITH_PHDR", "Bluetooth HCI with direction", "bluetooth.HCI_PHDR_Hdr"
    ),
    Linktype(202, "AX25_KISS", "AX.25"),
    Linktype(219, "MPLS", "MPLS"),
    Linktype(220, "USB_LINUX_MMAPPED", "Linux USB with padding"),
    Linktype(224, "FC_2", "Fibre Channel"),
    Linktype(226, "IPNET", "Solaris ipnet"),
    Linktype(227, "CAN_SOCKETCAN", "CAN bus", "can.CAN"),
    Linktype(228, "IPV4", "raw IPv4", "inet.IP"),
    Linktype(229, "IPV6", "raw IPv6", "inet6.IPv6"),
    Linktype(230, "IEEE802_15_4_NOFCS", "802.15.4 without FCS", "dot15d4.Dot15d4"),
    Linktype(231, "DBUS", "D-Bus"),
    Linktype(239, "NFLOG", "Linux netfilter log"),
    Linktype(240, "NETANALYZER", "Hilscher netANALYZER"),
    Linktype(242, "IPOIB", "IP over InfiniBand"),
    Linktype(243, "MPEG_2_TS", "MPEG-2 stream"),
    Linktype(247, "INFINIBAND", "InfiniBand"),
    Linktype(248, "SCTP", "SCTP", "sctp.SCTP"),
    Linktype(249, "USBPCAP", "Windows USB", "usb.USBpcap"),
    Linktype(251, "BLUETOOTH_LE_LL", "Bluetooth LE", "bluetooth4LE.BTLE"),
    Linktype(253, "NETLINK", "Linux netlink"),
    Linktype(254, "BLUETOOTH_LINUX_MONITOR", "Bluetooth monitor", "bluetooth.HCI_Mon_Pcap_Hdr"),
    Linktype(256, "BLUETOOTH_LE_LL_WITH_PHDR", "Bluetooth LE with header", "bluetooth4LE.BTLE_RF"),
    Linktype(258, "PKTAP", "Apple PKTAP"),
    Linktype(266, "USB_DARWIN", "macOS USB"),
    Linktype(271, "VSOCK", "Linux vsock"),
    Linktype(272, "NORDIC_BLE", "Nordic Bluetooth LE sniffer"),
    Linktype(274, "ETHERNET_MPACKET", "802.3br mPackets", "l2.MPacketPreamble"),
    Linktype(276, "LINUX_SLL2", "Linux cooked v2", "l2.CookedLinuxV2"),
    Linktype(280, "VPP_DISPATCH", "VPP trace"),
    Linktype(281, "DSA_TAG_BRCM", "Broadcom switch tag"),
    Linktype(282, "DSA_TAG_BRCM_PREPEND", "Broadcom switch tag in front"),
    Linktype(283, "IEEE802_15_4_TAP", "802.15.4 with TAP header"),
    Linktype(284, "DSA_TAG_DSA", "Marvell switch tag"),
    Linktype(285, "DSA_TAG_EDSA", "Marvell switch tag, extended"),
    Linktype(288, "USB_2_0", "USB on the wire"),
)

BY_NUMBER: dict[int, Linktype] = {row.number: row for row in LINKTYPES}
BY_DLT: dict[int, Linktype] = {row.dlt: row for row in LINKTYPES}
BY_NAME: dict[str, Linktype] = {each: row for row in LINKTYPES for each in (row.name, *row.aliases)}
EN10MB = BY_NAME["EN10MB"].number
RAW = BY_NAME["RAW"].number

# Layers that people craft with and that are read by another class than they
# were made by.  RAW holds both versions of IP, so that a list may mix them.
CRAFTED: dict[str, int] = {"Dot3": EN10MB, "IP": RAW, "IPv6": RAW, "IPv46": RAW}
BY_LAYER: dict[str, int] = {
    **{row.layer.rpartition(".")[2]: row.number for row in LINKTYPES if row.layer},
    **CRAFTED,
}


def by_number(number: int) -> Linktype:
    """The link type with a LINKTYPE_ number; one outside the table is named by it.

    The few DLT_ numbers that are no LINKTYPE_ number (RAW's 12, say) are
    understood, since old files carry them.  Raises LinktypeError for a number
    that no file can hold.

    >>> by_number(1).name, by_number(12).name, by_number(147).name
    ('EN10MB', 'RAW', 'LINKTYPE_147')
    """
    row = BY_NUMBER.get(number) or BY_DLT.get(number)
    if row is not None:
        return row
    if not 0 <= number <= LARGEST:
        raise LinktypeError(f"{number} is no link type; they count 0–{LARGEST}")
    return Linktype(number, f"LINKTYPE_{number}", "not in bpfnb's table")


def by_name(text: str) -> Linktype:
    """The link type with this name: libpcap's, the file's, or a number, in any case.

    Raises LinktypeError with the nearest names when there is none.

    >>> by_name("EN10MB") == by_name("dlt_en10mb") == by_name("LINKTYPE_ETHERNET")
    True
    """
    wanted = re.sub(r"[-\s]+", "_", text.strip().upper())
    bare = re.sub(r"^(DLT|LINKTYPE)_", "", wanted)
    if bare in BY_NAME:
        return BY_NAME[bare]
    if bare.isascii() and bare.isdigit() and len(bare) <= 5:
        return from_dlt(int(bare)) if wanted.startswith("DLT_") else by_number(int(bare))
    near = get_close_matches(bare, BY_NAME, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "try EN10MB, RAW or LINUX_SLL2"
    raise LinktypeError(f"{text!r} is no link type", hint)


def find(linktype: str | int) -> Linktype:
    """The link type with a name or a LINKTYPE_ number.

    Raises LinktypeError where there is none.
    """
    if isinstance(linktype, str):
        return by_name(linktype)
    if isinstance(linktype, int) and not isinstance(linktype, bool):
        return by_number(linktype)
    raise LinktypeError(
        f"a link type is a name or a number, not {type(linktype).__name__}", 'try "EN10MB"'
    )


def from_dlt(dlt: int) -> Linktype:
    """The link type that libpcap on Linux calls `dlt`.

    >>> from_dlt(12).number
    101
    """
    return BY_DLT.get(dlt) or by_number(dlt)


def name(number: int | None) -> str:
    """libpcap's name of a LINKTYPE_ number; None is "link type unknown".

    >>> name(1)
    'EN10MB'
    """
    return "link type unknown" if number is None else by_number(number).name


def phrase(numbers: Iterable[int]) -> str:
    """Several link types in words: the first three by name, the rest counted.

    >>> phrase([1, 101])
    'EN10MB and RAW'
    """
    names = [name(number) for number in numbers]
    if len(names) > 4:
        names[3:] = [f"{len(names) - 3} more"]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1] if names else "")))


def of_layer(layers: Iterable[str]) -> int | None:
    """The link type of packets whose outermost scapy class has one of these names.

    Pass the class's name first, then its bases'.  None when there is none.

    >>> of_layer(["Ether"]), of_layer(["TCP"])
    (1, None)
    """
    return next((BY_LAYER[each] for each in layers if each in BY_LAYER), None)


def refuse_other_linktype(program: int | None, packets: int | None, where: str = "") -> None:
    """Raise LinktypeError when both link types are known and differ.

    `where` says which packets are meant, "packet 3" say; by default all.

    >>> refuse_other_linktype(1, None)
    """
    if program is None or packets is None or program == packets:
        return
    wanted, found = by_number(program), by_number(packets)
    if wanted.number == found.number:
        return
    subject = f"{where} is" if where else "the packets are"
    raise LinktypeError(
        f"this filter is made for {wanted}, but {subject} {found}",
        f"compile it for {found.name}, or give packets that are {wanted.name}",
    )
