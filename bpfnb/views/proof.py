"""Whether two programs mean the same: the proof in a sentence, or the packet that decides.

A counterexample shows both verdicts with their reasons, and the packet byte by byte as the
first program reads it.  Both are also the plain values that `analysis.equivalence` made;
they are true and false where a condition is wanted.

Left out: deciding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from typing import Self

from bpfnb.analysis import equivalence
from bpfnb.analysis.equivalence import Question
from bpfnb.analysis.sameness import told
from bpfnb.analysis.why import why
from bpfnb.packets.packet import Packet
from bpfnb.views import style
from bpfnb.views.packet import PacketBytes
from bpfnb.views.view import View

__all__ = ["Counterexample", "Proof"]

NAMES = ("the first", "the second")


@dataclass(frozen=True)
class Proof(equivalence.Proof, View):
    """No packet tells two programs apart."""

    @classmethod
    def of(cls, proof: equivalence.Proof) -> Self:
        """Make a view of a proof."""
        return cls(proof.question)

    def __repr__(self) -> str:
        return f"<Proof: {self.sentence}>"

    @property
    def sentence(self) -> str:
        """What is proved."""
        sides = {
            "ret": "give the same ret",
            "kept": "keep the same bytes",
            "verdict": "accept the same packets",
        }
        return f"both {sides[self.question.same]}: proved for {scope(self.question)}"

    def text(self) -> str:
        """The sentence behind its sign."""
        return f"✓ {self.sentence}"

    def html(self) -> str:
        """The same."""
        sign = f'<b><span style="color:{style.ACCEPT}">✓</span> {escape(self.sentence)}</b>'
        return style.caption(sign)


@dataclass(frozen=True)
class Counterexample(equivalence.Counterexample, View):
    """A packet that tells two programs apart: `packet`, `rets`, `traces`, `reasons`."""

    @classmethod
    def of(cls, found: equivalence.Counterexample) -> Self:
        """Make a view of a counterexample."""
        return cls(found.question, found.found, found.rets)

    @property
    def linktype(self) -> int | None:
        """The programs' link type, where one of them has one."""
        return next((p.linktype for p in self.question.programs if p.linktype is not None), None)

    @property
    def packet(self) -> Packet:
        """The packet, with what the kernel would know of it where a program asks."""
        found = self.found
        return Packet(found.data, found.wirelen, found.ancillary, self.linktype)

    @cached_property
    def reasons(self) -> tuple[str, ...]:
        """Why each program gives its verdict."""
        return tuple(why(trace, self.linktype).sentence for trace in self.traces)

    def __repr__(self) -> str:
        return f"<Counterexample: {self.sentence}>"

    @property
    def sentence(self) -> str:
        """First the answer."""
        size = style.plural(len(self.found.data), "byte")
        caplen = len(self.found.data)
        verdicts = " and ".join(
            f"{who} {told(self.question.same, ret, caplen)}"
            for who, ret in zip(NAMES, self.rets, strict=True)
        )
        return f"they differ on a packet of {size}: {verdicts}"

    @cached_property
    def bytes(self) -> PacketBytes:
        """The packet's bytes, and what the first program reads of them."""
        return replace(PacketBytes.of(self.traces[0], self.packet), reader=NAMES[0])

    def text(self) -> str:
        """Answer, reasons, bytes."""
        lines = [f"✗ {self.sentence}", *self.noted]
        lines += [f"  {who}: {said}" for who, said in zip(NAMES, self.reasons, strict=True)]
        return "\n".join([*lines, str(self.bytes)])

    @property
    def noted(self) -> list[str]:
        """What the kernel would know of the packet, beyond its bytes."""
        known = [f"{name} = {value}" for name, value in self.found.notes]
        if self.found.wirelen != len(self.found.data):
            known.insert(0, f"{self.found.wirelen:,} bytes on the wire")
        return [f"  with {', '.join(known)}"] if known else []

    def html(self) -> str:
        """The same."""
        sign = f'<b><span style="color:{style.REJECT}">✗</span> {escape(self.sentence)}</b>'
        said = [sign, *map(escape, self.noted)]
        said += [f"{who}: {escape(why)}" for who, why in zip(NAMES, self.reasons, strict=True)]
        return "".join(map(style.caption, said)) + self.bytes.html()


def scope(question: Question) -> str:
    """Which packets a proof speaks of."""
    said = f"every packet of up to {question.max_len:,} bytes"
    if question.given is not None:
        said += " that the given filter accepts"
    if question.complete:
        said += ", but for those on which either ends in a load past the end"
    return said if question.rules == "linux" else f"{said}, by {question.rules}'s rules"
