"""Packets that make sense: whole, with headers as they usually are, as far as is free.

    sensible(search, conditions, programs)     a whole packet, the shortest where none can be
    shortest(search, conditions, programs)     the shortest, its bytes as usual

Of the usual packets of a link type that one is taken which needs the fewest changes
(`nearness`).  Lengths and checksums are put right where no condition is in the way.

Left out: which packets are usual (`usual`); running on the machine what was found.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from bpfnb.analysis.proving.nearness import Attempt, Desk, contest
from bpfnb.analysis.proving.solve import Found, Search, without_unread
from bpfnb.analysis.proving.terms import Condition, term, z3
from bpfnb.analysis.proving.usual import Usual, usual
from bpfnb.analysis.proving.whole import STEPS, checksummed, extended
from bpfnb.cbpf.ancillary import UNIX_SOCKET
from bpfnb.cbpf.opcodes import BY_CODE, Form
from bpfnb.cbpf.program import Program
from bpfnb.errors import UndecidedError
from bpfnb.packets.linktype import EN10MB

__all__ = ["linktype_of", "nearest", "sensible", "shortest"]

Step = Callable[[bytes, int | None], bytes]
WHOLE: tuple[Step, ...] = (extended, *STEPS)
MENDED = 2048  # bytes of a packet that z3 is asked about, one by one, once more


def sensible(
    search: Search,
    conditions: Sequence[Condition],
    programs: Sequence[Program],
    linktype: int | None = None,
    like: bytes = b"",
) -> Found | None:
    """A whole, sensible packet that meets the conditions; the shortest where none does.

    With `like`, the packet nearest to these bytes, as they are.  `programs` are all that the
    conditions speak of, `linktype` is theirs unless given.
    None is a proof that there is no packet at all.

    >>> from bpfnb.analysis.proving.any_packet import AnyPacket
    >>> from bpfnb.analysis.proving.formula import mean
    >>> arp = Program.from_insns([(40, 0, 0, 12), (21, 0, 1, 0x806), (6, 0, 0, 9), (6, 0, 0, 0)])
    >>> about = AnyPacket(1514)
    >>> found = sensible(Search(about), [mean(arp, about).accepts], [arp])
    >>> found.data[14:].hex(" ", 4)
    '00010800 06040001 00005e00 5301c000 02010000 00000000 c0000202'
    """
    if search.model(conditions) is None:
        return None
    linktype = linktype_of(programs) if linktype is None else linktype
    kinds, steps = (usual(linktype), WHOLE) if not like else ((Usual("", like),), ())
    asked = search, conditions, programs, linktype, kinds
    return in_half(search, lambda: nearest(*asked, steps)) or shortest(*asked)


def nearest(
    search: Search,
    conditions: Sequence[Condition],
    programs: Sequence[Program],
    linktype: int | None,
    kinds: Sequence[Usual],
    steps: Sequence[Step] = WHOLE,
    rigid: bool = False,
) -> Found | None:
    """The packet nearest to one of these, as long as it or a little longer; None: none is.

    As many bytes are on the wire as there are.  `steps` put it right; where it is `rigid`,
    its headers stay those that they are.
    """
    about, desk = search.about, Desk(search, linktype)
    fixed = [*conditions, about.wirelen == about.caplen]
    best = contest(
        Attempt(desk, like, [
            *fixed, z3.UGE(about.caplen, len(like)), *(desk.bones(like) if rigid else ())
        ])
        for like in desk.apart(each.data for each in kinds)
    )  # fmt: skip
    if best is None:
        return None
    found = best.packet(best.least())
    if len(found.data) > len(best.like) and not about.guessed:
        found = without_unread(found, programs, best.like)
    must = [*conditions, *(desk.bones(best.like) if rigid else ())]
    return mended(search, must, programs, found, linktype, steps)


def shortest(
    search: Search,
    conditions: Sequence[Condition],
    programs: Sequence[Program],
    linktype: int | None = None,
    kinds: Sequence[Usual] | None = None,
) -> Found | None:
    """The shortest packet that meets the conditions, its bytes as usual where that can be.

    It is one that was captured whole, if there is one.  `kinds` are the packets that it may
    be like, those of the link type unless given.
    """
    uncut = search.about.wirelen == search.about.caplen
    model = search.model(conditions, uncut)
    if model is not None:
        conditions = [*conditions, uncut]
    else:
        model = search.model(conditions)
    if model is None:
        return None
    linktype = linktype_of(programs) if linktype is None else linktype
    size = search.shortest(conditions, search.number(model, search.about.caplen))
    fixed = [*conditions, search.about.caplen == size]
    kinds = usual(linktype) if kinds is None else kinds
    desk = Desk(search, linktype)
    likes = desk.apart([each.data[:size] for each in kinds] or [b""])

    def usual_one() -> Found | None:
        best = contest(Attempt(desk, like, fixed) for like in likes)
        if best is None:
            return None
        found = best.packet(size)
        return mended(search, conditions, programs, found, linktype, (checksummed,))

    found = in_half(search, usual_one)
    return found or search.of_length(size, conditions, programs, b"")


def in_half(search: Search, make: Callable[[], Found | None]) -> Found | None:
    """What is made within half of the time that is left; None where that is too short."""
    deadline, now = search.deadline, time.monotonic()
    search.deadline = now + (deadline - now) / 2
    try:
        return make()
    except UndecidedError:
        return None
    finally:
        search.deadline = deadline


def linktype_of(programs: Sequence[Program]) -> int | None:
    """The link type of programs; Ethernet where none is known and they read an EtherType."""
    known = [each.linktype for each in programs if each.linktype is not None]
    if known:
        return known[0]
    return EN10MB if any(map(reads_ethertype, programs)) else None


def reads_ethertype(program: Program) -> bool:
    """Whether a program has an ldh [12]."""
    rows = ((BY_CODE[insn.code], insn.k) for insn in program.insns if insn.code in BY_CODE)
    return any(row.form is Form.ABS and row.size == 2 and k == 12 for row, k in rows)


def mended(
    search: Search,
    conditions: Sequence[Condition],
    programs: Sequence[Program],
    found: Found,
    linktype: int | None,
    steps: Sequence[Step],
) -> Found:
    """The packet with lengths and checksums put right, each where the conditions allow it."""
    if search.about.guessed:
        return found
    read = found.places(programs)

    def allowed(data: bytes) -> bool:
        if data[: len(found.data)] == found.data and len(data) == len(found.data):
            return True
        if len(data) > search.about.max_len:
            return False
        changed = {at for at, (a, b) in enumerate(zip(data, found.data, strict=False)) if a != b}
        if len(data) == len(found.data) and not changed & read:
            return True
        return len(data) <= MENDED and holds(search, conditions, replace(
            found, data=data, wirelen=max(found.wirelen, len(data))))  # fmt: skip

    whole = found.data
    for each in steps:
        whole = each(whole, linktype)
    if not allowed(whole):
        whole = found.data
        for each in steps:
            better = each(whole, linktype)
            whole = better if better != whole and allowed(better) else whole
    return replace(found, data=whole, wirelen=max(found.wirelen, len(whole)))


def holds(search: Search, conditions: Sequence[Condition], found: Found) -> bool:
    """Whether the formula says that a packet meets the conditions."""
    about = search.about
    octets = [z3.Select(about.bytes, term(at)) == byte for at, byte in enumerate(found.data)]
    same = [about.caplen == len(found.data), about.wirelen == found.wirelen, *octets]
    notes = list(search.plain(found.ancillary or UNIX_SOCKET))[1:]
    return search.model([*conditions, z3.And(*same), *notes]) is not None
