"""The four filters of the paper's figure 8, for both machines, and what it printed of them.

The paper gives its filters in words.  Its horse is our Alice, its gauguin our Bob.  The
programs for BPF are written by hand as the paper writes them.  Those for CSPF are made of
trees by `cspf.from_tree`, everything evaluated: of filters 1 and 2 the program's own
tree, of filter 4 figure 6's tree twice, once a host, joined by AND.  Filter 3 is by hand:
our compiler takes two instructions more to find a port.  `short` is the same with
short-circuit operators.

What the paper does not say and we chose: the encoding of CSPF's indirection (Mach's
PUSHIND, with its shift and its addition), the trees, and whether shortcuts were used.

Source: McCanne & Jacobson 1993, figure 8 and section 3.6, which calls filter 4 "filter 5".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from bpfnb import cspf
from bpfnb.analysis.tree import tree
from bpfnb.analysis.trees.boolean import And
from bpfnb.cspf import Program as StackProgram
from bpfnb.face import Program, assemble
from bpfnb.samples.hosts import ALICE, BOB

__all__ = ["FILTERS", "MACHINES", "PAPER", "Costs", "Filter"]

BPF, CSPF, SHORT = MACHINES = ("BPF", "CSPF", "CSPF, shortcuts")

Costs = Mapping[str, tuple[float, ...]]  # by machine: for each filter, a packet's mean

PAPER: Costs = {BPF: (62, 160, 222, 129), CSPF: (96, 549, 971, 2330)}

ENDS = "yes:    ret  #TRUE\nno:     ret  #0\n"
IP = f"""
        ldh  [12]
        jeq  #ETHERTYPE_IP, yes, no
{ENDS}"""
HORSE = f"""
        ldh  [12]
        jeq  #ETHERTYPE_IP, ip, no
ip:     ld   [26]
        jeq  #{ALICE.ipv4}, yes, +0
        ld   [30]
        jeq  #{ALICE.ipv4}, yes, no
{ENDS}"""
SERVICES = f"""
        ldh  [12]
        jeq  #ETHERTYPE_IP, ip, no
ip:     ldb  [23]
        jeq  #IPPROTO_TCP, tcp, no
tcp:    ldh  [20]
        jset #0x1fff, no, first
first:  ldx  4*([14]&0xf)
        ldh  [x+14]             ; the source port, asked four times
        jeq  #79, yes, +0
        jeq  #53, yes, +0
        jeq  #513, yes, +0
        jeq  #514, yes, +0
        ldh  [x+16]             ; the destination port, the same
        jeq  #79, yes, +0
        jeq  #53, yes, +0
        jeq  #513, yes, +0
        jeq  #514, yes, no
{ENDS}"""
BETWEEN = f"""
        ldh  [12]
        jeq  #ETHERTYPE_IP, ip, +0
        jeq  #ETHERTYPE_ARP, arp, +0
        jeq  #ETHERTYPE_RARP, arp, no
ip:     ld   [26]
        jeq  #{ALICE.ipv4}, +0, from
        ld   [30]
        jeq  #{BOB.ipv4}, yes, no
from:   jeq  #{BOB.ipv4}, +0, no
        ld   [30]
        jeq  #{ALICE.ipv4}, yes, no
arp:    ld   [28]
        jeq  #{ALICE.ipv4}, +0, sent
        ld   [38]
        jeq  #{BOB.ipv4}, yes, no
sent:   jeq  #{BOB.ipv4}, +0, no
        ld   [38]
        jeq  #{ALICE.ipv4}, yes, no
{ENDS}"""
FOO = (
    """
        ldh  [12]
        jeq  #ETHERTYPE_IP, ip, notip
ip:     ld   [26]
        jeq  #{0}, yes, +0
        ld   [30]
        jeq  #{0}, yes, no
notip:  jeq  #ETHERTYPE_ARP, arp, +0
        jeq  #ETHERTYPE_RARP, arp, no
arp:    ld   [28]
        jeq  #{0}, yes, +0
        ld   [38]
        jeq  #{0}, yes, no
"""
    + ENDS
)  # figure 7
PORTS = (79, 53, 513, 514)  # finger, domain, login, shell
AT = "PUSHWORD+7  PUSHLIT|AND 0x0f00  PUSHLIT|RSH 7  PUSHLIT|ADD {word}  PUSHIND  "
TCP = ("PUSHWORD+6   PUSHLIT|{} ETHERTYPE_IP", "PUSHWORD+11  PUSH00FF|AND  PUSHLIT|{} 6",
       "PUSHWORD+10  PUSHLIT|AND 0x1fff  PUSHZERO|{}")  # fmt: skip


def services(short: bool) -> StackProgram:
    """Filter 3 for CSPF: the port is looked for anew for each question."""
    asked = [AT.format(word=word) + f"PUSHLIT|{{}} {port}" for word in (7, 8) for port in PORTS]
    if short:
        lines = [line.format("CAND") for line in TCP]
        lines += [line.format("COR") for line in asked[:-1]] + [asked[-1].format("EQ")]
    else:
        first, *rest = (line.format("EQ") for line in TCP)
        lines = [first, *(f"{line}  AND" for line in rest)]
        first, *rest = (line.format("EQ") for line in asked)
        lines += [first, *(f"{line}  OR" for line in rest), "AND"]
    return cspf.assemble("\n".join(lines))


def between(short: bool) -> StackProgram:
    """Filter 4 for CSPF: host alice, and host bob."""
    hosts = (tree(assemble(FOO.format(host.ipv4))).root for host in (ALICE, BOB))
    return cspf.from_tree(And(tuple(hosts)), short)


@dataclass(frozen=True)
class Filter:
    """One of the four: in `words`, as `text` for BPF, and for CSPF on each machine.

    >>> [(len(each.bpf), len(each.cspf), len(each.short)) for each in FILTERS.values()]
    [(4, 2, 2), (8, 14, 12), (19, 66, 56), (20, 65, 64)]
    """

    number: int
    words: str
    text: str
    own: Callable[[bool], StackProgram] | None = None

    @cached_property
    def bpf(self) -> Program:
        """The program for BPF."""
        return assemble(self.text, linktype="EN10MB")

    @cached_property
    def cspf(self) -> StackProgram:
        """The program for CSPF: everything is evaluated."""
        return self.own(False) if self.own else cspf.from_tree(self.bpf)

    @cached_property
    def short(self) -> StackProgram:
        """The program for CSPF with short-circuit operators where they fit."""
        return self.own(True) if self.own else cspf.from_tree(self.bpf, True)

    @property
    def programs(self) -> Mapping[str, Program | StackProgram]:
        """All three, by their machine."""
        return dict(zip(MACHINES, (self.bpf, self.cspf, self.short), strict=True))


FILTERS: Mapping[int, Filter] = {
    each.number: each
    for each in (
        Filter(1, "IP packets", IP),
        Filter(2, "IP, source or destination alice", HORSE),
        Filter(3, "TCP, port finger, domain, login or shell", SERVICES, services),
        Filter(4, "IP, ARP or RARP between alice and bob", BETWEEN, between),
    )
}
