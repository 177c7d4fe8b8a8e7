"""What %bpf returns: the program, what came of running it, and views of both.

Its text and HTML are the views that were asked for, one after another; all
the others can be had from it (`result.graph`, `result.trace(2)`), and saved.
Left out: running (`runs`) and reading options (`options`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from bpfnb.errors import BpfError, Fault, RunError
from bpfnb.face import Program
from bpfnb.jupyter.runs import Run, Traces
from bpfnb.jupyter.timing import Timings
from bpfnb.views import style
from bpfnb.views.cfg import Graph
from bpfnb.views.code import PythonCode
from bpfnb.views.dominators import Dominators
from bpfnb.views.exercise import Answered
from bpfnb.views.listing import Listing
from bpfnb.views.native import NativeCode
from bpfnb.views.optimizer import Measured, Optimizer
from bpfnb.views.packet import PacketBytes
from bpfnb.views.page import Page
from bpfnb.views.plots import InstructionCounts, VerdictCounts
from bpfnb.views.stepper import MOST, Stepper
from bpfnb.views.trace import TraceLog, TraceTable
from bpfnb.views.tree import FilterTree
from bpfnb.views.verdicts import Verdicts
from bpfnb.views.view import Picture, View
from bpfnb.views.why import Explanation, Why

if TYPE_CHECKING:
    from bpfnb.jupyter.runs import Rets
    from bpfnb.packets.packet import PacketBatch

__all__ = ["Result", "Words"]

COUNTED = 1000  # packets of which it is told how often a byte is read


@dataclass(frozen=True)
class Words(View):
    """Lines of text; `code` says that they are a program's, not sentences."""

    words: str
    code: bool = False

    def text(self) -> str:
        """The lines as they are."""
        return self.words

    def html(self) -> str:
        """Sentences in the page's font, a sign before them in its tone; code in monospace."""
        if not self.code:
            lines = "<br>".join(escape(line) for line in self.words.splitlines())
            for sign, tone in (("✓", style.ACCEPT), ("✗", style.REJECT)):
                if lines.startswith(sign):
                    lines = f'<b style="color:{tone}">{sign}</b>{lines.removeprefix(sign)}'
            return style.caption(lines)
        return style.scroll(
            f'<pre style="font-family:{style.MONO};font-size:13px;line-height:20px;margin:0;'
            f'background:transparent">{escape(self.words)}</pre>'
        )


@dataclass(frozen=True)
class Result(Picture):
    """A program, its check, and its run on packets if there were any.

    `show` names the views of its text and HTML; `numbers` has the
    packet, from 1, that a view is about; `notes` stand at the end.  Without packets
    what needs a run raises BpfError, and so it does where the program, unchecked, was
    `stopped` on a packet, which says why: only steps are to be seen then.  `both` has the
    expression's program without and with the optimiser, where they are to be compared.
    """

    program: Program
    faults: tuple[Fault, ...] = ()
    packets: PacketBatch | None = None
    run: Run | None = None
    timings: Timings | None = None
    show: tuple[str, ...] = ("listing",)
    numbers: Mapping[str, int] = field(default_factory=dict)
    rules: str = "linux"
    assembled: bool = False
    budget: int | None = None
    stopped: str = ""
    answered: Answered | None = None
    both: tuple[Program, Program] | None = None
    notes: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        said = f", {self.verdicts.answer()}" if self.run else ""
        return f"<Result: {repr(self.program).removeprefix('<Program: ').removesuffix('>')}{said}>"

    @property
    def ran(self) -> Run:
        """The run, or a sentence that there was none."""
        if self.run is None and self.stopped:
            raise RunError(f"there are no verdicts: {self.stopped}")
        if self.run is None:
            raise BpfError("this program was not run: there were no packets", "give some with -p")
        return self.run

    @property
    def batch(self) -> PacketBatch:
        """The packets, or a sentence that there were none."""
        if self.packets is None:
            raise BpfError("there were no packets", "give some with -p")
        return self.packets

    @property
    def rets(self) -> Rets:
        """One ret a packet, numpy uint32; of the first backend where there were several."""
        return self.ran.ret

    @property
    def by_backend(self) -> Mapping[str, Rets]:
        """The rets of each backend that ran."""
        return self.ran.rets

    @property
    def accepted(self) -> Any:
        """The accepted packets, in the type given."""
        return self.batch.select(self.rets != 0)

    @cached_property
    def traces(self) -> Traces:
        """The run on each packet step by step, from 0; made when it is asked for."""
        return Traces(self.program, self.batch, self.budget)

    def bytes(self, number: int = 1) -> PacketBytes:
        """Packet `number`, counted from 1, byte by byte: its fields, and what was read.

        How often a byte is read is told of the first packets where they are many.
        """
        trace, title = self.traced(number)
        batch, at = self.batch, number - 1
        first = range(min(COUNTED, len(batch)) if len(batch) > 1 else 0)
        return PacketBytes.of(
            trace,
            batch[at],
            (self.traces[each] for each in first),
            batch.sources[at] if batch.sources else None,
            title,
            len(batch),
        )

    def trace(self, number: int = 1) -> TraceTable:
        """The trace of packet `number`, counted from 1, as a view."""
        return TraceTable(*self.traced(number))

    def number(self, view: str) -> int:
        """The packet that a view is about."""
        return self.numbers.get(view, 1)

    @cached_property
    def stepper(self) -> Stepper:
        """The run on each of the first packets, and on the one asked for, to step through."""
        batch, first = self.batch, self.number("step") - 1
        self.traced(first + 1)
        many = sorted({*range(min(MOST, len(batch))), first})
        titles = [f"packet {at + 1}, {batch.summary(at)}" for at in many]
        linktypes = [batch[at].linktype for at in many]
        traces = [self.traces[at] for at in many]
        return Stepper(traces, titles, many.index(first), linktypes=linktypes, total=len(batch))

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> Any:
        """The page; with the stepper in it, the live one between what stands above and below."""
        static = super()._repr_mimebundle_(include, exclude)
        if "step" not in self.show or self.packets is None:
            return static
        data, metadata = self.live_stepper.live()
        return {**data, **static}, metadata

    @cached_property
    def live_stepper(self) -> Stepper:
        """The stepper with the page's other views around it."""
        parts = self.page.parts
        at = parts.index(self.stepper)
        above, below = Page(parts[:at]), Page(parts[at + 1 :])
        return replace(self.stepper, above=above.html(), below=below.html())

    def why(self, number: int = 1) -> Why:
        """Why packet `number`, counted from 1, got its verdict."""
        from bpfnb.analysis.why import why

        run, title = self.traced(number)
        return Why.of(why(run, self.batch[number - 1].linktype), title)

    @cached_property
    def explanation(self) -> Explanation:
        """The program in words."""
        from bpfnb.analysis.explain import explain

        linktype = self.packets.linktype if self.packets is not None else None
        return Explanation.of(explain(self.program, linktype))

    @cached_property
    def lint(self) -> View:
        """What is odd about the program; a sentence where it fails its check."""
        from bpfnb.analysis.lint import lint
        from bpfnb.views.lint import Lint

        if self.faults:
            return Words(f"✗ no lint of a program that {self.rules} refuses: mend the faults first")
        linktype = self.packets.linktype if self.packets is not None else None
        return Lint.of(lint(self.program, linktype, self.rules))

    def traced(self, number: int) -> tuple[Any, str]:
        """A packet's trace and its title."""
        batch = self.batch
        if not 1 <= number <= len(batch):
            have = style.plural(len(batch), "packet")
            raise BpfError(f"there is no packet {number} in {have}; they are counted from 1")
        return self.traces[number - 1], f"packet {number}, {batch.summary(number - 1)}"

    @cached_property
    def verdicts(self) -> Verdicts:
        """Which packets were accepted: the first ones, and all on which backends differ."""
        run = self.ran
        accepted = int((run.ret != 0).sum())
        return Verdicts(
            run.rows, run.backends, len(self.batch), accepted,
            differences=run.differences, why=run.why, compared=run.compared,
        )  # fmt: skip

    @cached_property
    def listing(self) -> Listing:
        """The listing, with hit counts where it ran, fields' names, and what the check says."""
        from bpfnb.analysis.naming.meanings import footnote, meanings

        run = self.run
        linktype = self.packets.linktype if self.packets is not None else None
        names = meanings(self.program, linktype)
        return Listing(
            self.program,
            hits=run.hits.pcs if run else None,
            packets=len(self.batch) if run else None,
            path=self.only_path if run else None,
            faults=self.faults,
            warnings=self.program.unsafe_reads(),
            notes=names,
            footnote=footnote(self.program, linktype, names),
            # The check's words stand above and have said how many faults there are.
            caption=style.plural(len(self.program), "instruction") if self.faults else "",
        )

    @cached_property
    def graph(self) -> Graph:
        """The control flow graph, with hit counts where it ran, the path where one packet did."""
        if self.run is None:
            return Graph(self.program)
        return Graph(self.program, self.run.hits, self.only_path)

    @cached_property
    def dominators(self) -> Dominators:
        """The graph, asked which tests every packet that comes to a block has passed."""
        return Dominators(self.program)

    @cached_property
    def tree(self) -> FilterTree:
        """The filter as a tree; BpfError where it has none that could be read."""
        linktype = self.packets.linktype if self.packets is not None else None
        return FilterTree.of(self.program, self.run.hits if self.run else None, linktype)

    @cached_property
    def optimizer(self) -> Optimizer:
        """The expression's program without and with libpcap's optimiser."""
        if self.both is None and self.assembled:
            raise BpfError(
                "there is nothing to compare: libpcap's optimiser works on expressions, "
                "and this program was assembled"
            )
        if self.both is None:
            raise BpfError("the expression was compiled only once", "ask with --show optimizer")
        measured = Measured.of(*self.both, self.batch) if self.run is not None else None
        return Optimizer(*self.both, self.program.origin, measured)

    @cached_property
    def native(self) -> NativeCode:
        """LLVM's text and this processor's code beside the listing."""
        return NativeCode(self.program, self.rules)

    @cached_property
    def pygen(self) -> PythonCode:
        """The program as the Python function that the backend pygen runs."""
        return PythonCode(self.program, self.rules)

    @cached_property
    def verdict_counts(self) -> VerdictCounts:
        """How many packets were accepted, on each backend, as a picture."""
        run = self.ran
        if len(run.rets) > 1:
            return VerdictCounts(run.rets)
        return VerdictCounts({self.name: run.ret})

    @cached_property
    def instruction_counts(self) -> InstructionCounts:
        """How many instructions the program executes for a packet, as a picture."""
        steps = self.ran.steps
        if steps is None:  # a large batch that native ran
            linktype = self.program.linktype
            batch = self.batch if linktype is None else self.batch.relabel(linktype)
            return InstructionCounts.of({self.name: self.program}, batch, self.budget)
        return InstructionCounts({self.name: steps}, {self.name: len(self.program)})

    @property
    def name(self) -> str:
        """What the program is called in pictures: its expression, if it has one."""
        return "this program" if self.assembled else self.program.origin or "this program"

    @property
    def plots(self) -> Page:
        """Verdicts counted, instructions executed a packet, and times where they were taken."""
        times = (self.timings.plot,) if self.timings is not None else ()
        return Page((self.verdict_counts, self.instruction_counts, *times))

    @property
    def only_path(self) -> tuple[int, ...] | None:
        """The way a packet took, where there was one packet; else None."""
        return self.traces[0].path if len(self.batch) == 1 else None

    @property
    def svg(self) -> str:
        """The graph, which is what `save("x.svg")` writes."""
        return self.graph.svg

    @cached_property
    def page(self) -> Page:
        """The views asked for, the check's verdict where it matters, timings, notes."""
        parts = [self.part(name) for name in self.show]
        if said := self.check_words():
            parts.insert(0 if self.faults else len(parts), Words(said))
        parts[:0] = [Words(f"✗ {alarm}") for alarm in self.alarms()]
        if self.answered is not None:
            parts.insert(0, self.answered)
        if self.timings is not None:
            parts.append(self.timings)
        if self.notes:
            parts.append(Words("\n".join(self.notes)))
        return Page(tuple(parts))

    def alarms(self) -> Iterator[str]:
        """What must be seen first, whatever views were asked for."""
        if self.stopped:
            yield f"there are no verdicts: {self.stopped}"
        if self.packets is not None and self.packets.error is not None:
            message = self.packets.error.message
            yield f"the file is damaged, only the packets before that were used: {message}"
        if self.run is not None and "verdicts" not in self.show and self.verdicts.alarm():
            yield self.verdicts.alarm()

    def part(self, name: str) -> View:
        """One view by its name."""
        views: dict[str, Callable[[], View]] = {
            "listing": lambda: self.listing,
            "verdicts": lambda: self.verdicts,
            "cfg": lambda: self.graph,
            "dominators": lambda: self.dominators,
            "tree": lambda: made(lambda: self.tree),
            "optimizer": lambda: made(lambda: self.optimizer),
            "bytes": lambda: self.bytes(self.number("bytes")),
            "trace": lambda: self.trace(self.number("trace")),
            "log": lambda: TraceLog(*self.traced(self.number("log"))),
            "step": lambda: self.stepper,
            "why": lambda: self.why(self.number("why")),
            "explain": lambda: self.explanation,
            "lint": lambda: self.lint,
            "native": lambda: self.native,
            "pygen": lambda: self.pygen,
            "plots": lambda: self.plots,
        }
        if name in views:
            return views[name]()
        return Words(self.program.text(name), code=True)

    def check_words(self) -> str:
        """The check's verdict in a sentence; empty where nobody asked and nothing is wrong."""
        if self.faults:
            return f"✗ {self.rules} refuses this program: {style.plural(len(self.faults), 'fault')}"
        if self.assembled and self.run is None and self.show == ("listing",):
            size = style.plural(len(self.program), "instruction")
            return f"✓ legal by {self.rules}'s rules: {size}"
        return ""

    def text(self) -> str:
        """The page's text."""
        return self.page.text()

    def html(self) -> str:
        """The page's HTML."""
        return self.page.html()


def made(make: Callable[[], View]) -> View:
    """A view, or the sentence that says why this program has none."""
    try:
        return make()
    except BpfError as error:
        return Words(error.message)
