"""The stepper: watch a program run on packets, step by step, forwards and back.

    Stepper.of(traces, titles)

Everything is in the page from the start: each packet's bytes, each step's registers,
what it read and what it says.  The widget (`stepper.js`, `stepper.css`) gets this score
once and plays it in the browser alone, so that it still steps, and stops where a condition
holds (`conditions.js`), when the kernel is busy or gone; the small graph with the way so
far is placed in `minimap`.  Where there is no widget, in
text, in an exported or an untrusted page, the same run stands as a table.

Left out: running (`cbpf.trace`); the page's own behaviour, which is the module's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bpfnb.cbpf.cfg import successors
from bpfnb.cbpf.disasm import line, sentence, transfer
from bpfnb.cbpf.machine import State
from bpfnb.cbpf.opcodes import BY_CODE
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import Read, Step, Trace
from bpfnb.errors import brief
from bpfnb.packets import fields
from bpfnb.packets.fields import Field
from bpfnb.views import style
from bpfnb.views.listing import labels
from bpfnb.views.minimap import minimap
from bpfnb.views.trace import TraceTable, changes, happening, headline
from bpfnb.views.view import View, inert

__all__ = ["Stepper"]

HERE = Path(__file__).parent
MODULES = tuple(  # one module in this order
    HERE / name for name in ("conditions.js", "sheet.js", "minimap.js", "stepper.js")
)
STYLE = HERE / "stepper.css"
# What a page gets: packets to switch between; steps and bytes of them all.
MOST, STEPS, OCTETS = 200, 20_000, 2_000_000


@dataclass(frozen=True)
class Stepper(View):
    """A program's runs on packets, to step through.

    `titles` name the packets; `first` is the one that is shown first, from 0.  `linktypes`
    are the packets' own, by which their fields get names; where one is missing or None it
    is that of the trace's packet, else the program's.  `above` and `below` are HTML of
    views around it, for a page that shows the widget alone; `total` is how many packets
    there are, where they are more than the traces.
    """

    traces: Sequence[Trace]
    titles: Sequence[str] = ()
    first: int = 0
    above: str = ""
    below: str = ""
    linktypes: Sequence[int | None] = ()
    total: int = 0

    def text(self) -> str:
        """The run on the first packet, as a table."""
        return self.table.text()

    def html(self) -> str:
        """The same for a page without the widget."""
        return self.table.html()

    @property
    def table(self) -> TraceTable:
        """Every step on the first packet."""
        return TraceTable(self.traces[self.first], self.title(self.first))

    def title(self, at: int) -> str:
        """A packet's name."""
        return brief(self.titles[at]) if at < len(self.titles) else f"packet {at + 1}"

    def known(self, at: int) -> tuple[Field, ...]:
        """A packet's fields; none where its link type is not known."""
        trace = self.traces[at]
        given = self.linktypes[at] if at < len(self.linktypes) else None
        own = getattr(getattr(trace, "packet", None), "linktype", None)
        told = (each for each in (given, own, trace.program.linktype) if each is not None)
        return fields.fields(trace.data, next(told, None))

    def score(self) -> dict[str, Any]:
        """All that the page needs, as plain values: the listing, and each packet's run."""
        shown = self.shown()
        return {
            "listing": listing(self.traces[self.first].program),
            "map": minimap(self.traces[self.first].program),
            "runs": [run(self.traces[at], self.title(at), self.known(at)) for at in shown],
            "first": shown.index(self.first),
            "left": max(self.total, len(self.traces)) - len(shown),
            "above": inert(self.above),
            "below": inert(self.below),
        }

    def shown(self) -> list[int]:
        """The packets that are in the score: the first ones, and the one shown first."""
        own = self.traces[self.first]
        chosen, steps, octets = [self.first], len(own.steps), len(own.data)
        for at, trace in enumerate(self.traces[:MOST]):
            if at == self.first:
                continue
            steps, octets = steps + len(trace.steps), octets + len(trace.data)
            if steps > STEPS or octets > OCTETS:
                break
            chosen.append(at)
        return sorted(chosen)

    @cached_property
    def widget(self) -> Any:
        """The live form, made when it is first shown: an anywidget."""
        import anywidget
        import traitlets

        class Played(anywidget.AnyWidget):
            """The score, and the module that plays it."""

            _esm = module()
            _css = STYLE
            score = traitlets.Dict().tag(sync=True)

        return Played(score=self.score())

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> Any:
        data, metadata = self.live()
        return {**data, **super()._repr_mimebundle_(include, exclude)}, metadata

    def live(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What shows the widget: data by MIME type, and metadata."""
        made = self.widget._repr_mimebundle_()
        return made if isinstance(made, tuple) else (made or {}, {})


def module() -> str:
    """The text of the page's module; what stands first has no export."""
    return "\n".join(each.read_text(encoding="utf-8") for each in MODULES)


def listing(program: Program) -> list[dict[str, Any]]:
    """Each instruction as it is shown: its words, where it leads, its class's tone."""
    names = labels(program)
    return [
        {
            "label": names.get(pc, "").removesuffix(":"),
            "text": " ".join(line(insn, pc).split(" jt ")[0].split()),
            "ways": [[kind, to] for to, kind in successors(program.insns, pc)],
            "transfer": transfer(insn, pc),
            "sentence": sentence(insn, pc),
            "tone": style.tone(insn.code),
            "kind": BY_CODE[insn.code].cls.name.lower() if insn.code in BY_CODE else "",
        }
        for pc, insn in enumerate(program.insns)
    ]


def run(trace: Trace, title: str, known: Sequence[Field] = ()) -> dict[str, Any]:
    """A packet and each step on it; the last state has no step behind it.

    Only a last step can have `missed`: a load past the end ends the program.
    """
    last = trace.steps[-1].after if trace.steps else State()
    return {
        "title": title,
        "verdict": headline(trace, ""),
        "bytes": trace.data.hex(),
        "wirelen": trace.wirelen,
        "fields": [[each.start, each.size, meaning(each)] for each in known],
        "steps": [one(trace, step, known) for step in trace.steps],
        "end": {"pc": last.pc, "A": last.A, "X": last.X, "M": words(last.M)},
        "missed": bool(trace.steps) and trace.steps[-1].missed is not None,
        "ret": trace.ret,
    }


def one(trace: Trace, step: Step, known: Sequence[Field] = ()) -> dict[str, Any]:
    """A step: the state before it, what it read and wrote, and what happened in words."""
    return {
        "pc": step.pc,
        "A": step.before.A,
        "X": step.before.X,
        "M": words(step.before.M),
        "reads": [[read.offset, read.size] for read in step.reads],
        "wrote": sorted(written(step)),
        "said": happening(trace, step),
        "names": "; ".join(filter(None, (named(read, known) for read in step.reads))),
    }


def named(read: Read, known: Sequence[Field]) -> str:
    """What was read, by name; with its value where it is one whole field.

    >>> named(Read(23, 1), [Field("IP", "proto", 23, 1, "17 (udp)")])
    'byte 23: IP.proto = 17 (udp)'
    """
    start, stop = read.offset, read.offset + read.size
    met = [each for each in known if each.start < stop and start < each.stop]
    if not met:
        return ""
    whole = len(met) == 1 and (met[0].start, met[0].stop) == (start, stop)
    place = f"byte {start}" if read.size == 1 else f"bytes {start}–{stop - 1}"
    return f"{place}: {meaning(met[0]) if whole else fields.at(met, start, read.size)}"


def meaning(field: Field) -> str:
    """A field's name and value."""
    return f"{field.title} = {field.value}" if field.value else field.title


def written(step: Step) -> set[str]:
    """The registers that a step wrote, scratch words by their number."""
    return {f"M[{step.insn.k}]" if name == "M[]" else name for name in changes(step)}


def words(M: Sequence[int]) -> dict[str, int]:
    """The scratch words that are not 0."""
    return {f"M[{at}]": word for at, word in enumerate(M) if word}
