"""A debugger for filters, after the kernel's bpf_dbg: its eight commands, and a few more.

    debugger = Debugger(program, packets)
    debugger.breakpoint(4, "A == 0x800")
    debugger.run()                            the first packet that gets there so
    debugger.step(-1)                         one step back
    debugger.cmd("breakpoint 4 if A == 0x800")   the same as lines of text

A packet's whole run is traced before it is shown; where the debugger stands is a packet
and an index into that trace, so that a step back is exact.  Of a run that does not end,
an unchecked program's, the first steps are there.  A position is before the step
of its number, the last one behind all steps.  Packets are counted from 1, steps from 0.

Every command returns what there is to see, a Stop or something Said, and prints
nothing; one that fails leaves everything as it was.  Left out: reading lines
(`commands`), conditions (`conditions`), and how a Stop looks, which views know.

Source: bpf_dbg of Linux's tools/bpf, for the commands and what each does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from operator import index
from typing import TYPE_CHECKING, Any, SupportsIndex

from bpfnb.analysis.debugging import commands
from bpfnb.analysis.debugging.conditions import Condition, facts, parse
from bpfnb.analysis.debugging.points import Points
from bpfnb.analysis.debugging.stops import Place, Said, Stop, Tally, count
from bpfnb.analysis.debugging.templates import Template, parse_template
from bpfnb.cbpf import asm, checker, disasm, machine
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import Trace, trace
from bpfnb.errors import BpfError, RunError

if TYPE_CHECKING:
    from bpfnb.packets.packet import PacketBatch

__all__ = ["Debugger"]

BUDGET = 100_000  # steps an unchecked program may take on one packet


class Debugger:
    """A program being run on packets, a step or many at a time.

    Illegal programs raise CheckError unless `check` is False.  Both the program and the
    packets can be loaded later.  `stop_type` and `said_type` make the answers.
    """

    stop_type: type[Stop] = Stop
    said_type: type[Said] = Said

    def __init__(
        self, program: Program | None = None, packets: Any = None, check: bool = True
    ) -> None:
        self.check = check
        self.points = Points()
        self.logged: tuple[str, ...] = ()
        self.done = False
        self._program: Program | None = None
        self._batch: PacketBatch | None = None
        self._place: Place | None = None
        self._load(program, None)
        if packets is not None:
            self.load_pcap(packets)

    @property
    def program(self) -> Program:
        """The program; BpfError where none is loaded."""
        self._require_alive()
        if self._program is None:
            raise BpfError("no program is loaded", "load bpf ldh [12], say, or load_bpf(program)")
        return self._program

    @property
    def batch(self) -> PacketBatch:
        """The packets; BpfError where there are none."""
        self._require_alive()
        if not self._batch:
            had = "no packets are loaded" if self._batch is None else "there are 0 packets"
            raise BpfError(had, "load pcap FILE, or load_pcap(packets)")
        return self._batch

    @property
    def place(self) -> Place:
        """Where the debugger stands; BpfError before program and packets are loaded."""
        program, batch = self.program, self.batch
        return self._place or Place(1, 0, self._traced(program, batch, 1))

    @property
    def here(self) -> Stop | Said:
        """What there is to see where it stands."""
        if self.done or self._program is None or not self._batch:
            return self._said("; ".join(self._loaded()))
        return self._stop(self.place, self._where(self.place))

    # load

    def load_bpf(self, program: Program | str) -> Stop | Said:
        """Take another program, or its text in any dialect; all points are dropped."""
        loaded = asm.assemble(program) if isinstance(program, str) else program
        self._load(loaded, self._batch)
        self.points = Points()
        return self._answer(f"loaded {count(len(loaded), 'instruction')}")

    def load_pcap(self, packets: Any) -> Stop | Said:
        """Take other packets: a file's path, or whatever packets can be made of."""
        from bpfnb.packets import source

        batch = source.packets(packets)
        self._load(self._program, batch)
        return self._answer(f"loaded {count(len(batch), 'packet')}{self._flaw()}")

    def _load(self, program: Program | None, batch: PacketBatch | None) -> None:
        """Put in a program and packets that fit each other, and stand before the first."""
        self._require_alive()
        place = None
        if program is not None and self.check:
            checker.require(program)
        if program is not None and batch is not None:
            batch.require_linktype(program.linktype)
            if program.linktype is not None:
                batch = batch.with_default_linktype(program.linktype)
            if batch:
                place = Place(1, 0, self._traced(program, batch, 1))
        self._program, self._batch, self._place = program, batch, place

    # select, step, run

    def select(self, n: SupportsIndex) -> Stop:
        """Stand before the first step on packet `n`, counted from 1."""
        batch, number = self.batch, whole(n, "a packet's number")
        if not 1 <= number <= len(batch):
            have = count(len(batch), "packet")
            raise BpfError(f"there is no packet {number} in {have}; they are counted from 1")
        place = Place(number, 0, self._traced(self.program, batch, number))
        return self._arrive(place, "selected")

    def step(self, n: SupportsIndex = 1) -> Stop:
        """Go `n` steps on, or back when negative; not beyond this packet's run.

        Breakpoints and watches stop a run, not a step.
        """
        place = self.place
        target = place.position + whole(n, "a number of steps")
        position = max(0, min(target, len(place.trace.steps)))
        tally = Tally()
        for passed in range(place.position, position):
            self._log(place.trace, place.packet, passed, tally)
        moved = position - place.position
        words = f"{count(abs(moved), 'step')} {'back' if moved < 0 else 'on'}"
        if position != target:
            stopped = place.trace.stopped if moved >= 0 and target > 0 else ""
            words += f": {stopped or 'the run on this packet has no more'}"
        arrived = Place(place.packet, position, place.trace)
        if not moved:
            arrived = place
        return self._arrive(arrived, words, tally, moved)

    def run(self, n: SupportsIndex | None = None) -> Stop:
        """Run to the next breakpoint or watch, over packets; to the end of `n` of them at most.

        The rest of the current packet's run counts as one.  From the end of the last
        packet a run begins anew with the first.  An unchecked program that does not end
        on a packet stops there.
        """
        most = None if n is None else whole(n, "a number of packets")
        if most is not None and most < 1:
            raise BpfError(f"run takes a number of packets, 1 or more, not {most}")
        place, batch, program = self.place, self.batch, self.program
        if place.ended:
            following = place.packet % len(batch) + 1
            place = Place(following, 0, self._traced(program, batch, following))
        last = len(batch) if most is None else min(place.packet + most - 1, len(batch))
        tally = Tally()
        while True:
            found = self._walk(place, tally)
            if found is not None:
                position, reason = found
                halted = Place(place.packet, position, place.trace, halted=True)
                passed = f"; before it {tally.words()}" if tally.ended else ""
                return self._arrive(halted, f"{reason}{passed}", tally)
            if place.trace.ret is None:
                passed = f"; before it {tally.words()}" if tally.ended else ""
                halted = Place(place.packet, len(place.trace.steps), place.trace)
                return self._arrive(halted, f"{self._where(halted)}{passed}", tally)
            tally.end(place.trace.ret)
            if place.packet == last:
                end = replace(place, position=len(place.trace.steps), halted=False)
                flaw = self._flaw() if place.packet == len(batch) else ""
                return self._arrive(end, f"ran {tally.words()}{flaw}", tally)
            following = self._hurry(place.packet + 1, last, tally)
            place = Place(following, 0, self._traced(program, batch, following))

    def _walk(self, place: Place, tally: Tally) -> tuple[int, str] | None:
        """Run a packet's steps up to one that stops it: its position, and why."""
        run, start = place.trace, place.position
        if not self.points:
            return None
        before = facts(run, start - 1) if start else None
        for position in range(start, len(run.steps)):
            now = facts(run, position)
            if position > start or place.fresh:
                reason = self.points.halt(before, now)
                if reason:
                    return position, reason
            self._log(run, place.packet, position, tally)
            before = now
        return None

    def _hurry(self, first: int, last: int, tally: Tally) -> int:
        """Run packets, `last` excepted, that come by no point, without traces.

        The result is the first that does come by one.  A watch may be anywhere.
        """
        if self.points.watches:
            return first
        budget = None if self.check else BUDGET
        for number in range(first, last):
            one = self.batch[number - 1]
            try:
                path, ret = machine.follow(
                    self.program, one.data, one.wirelen, one.ancillary, budget
                )
            except RunError:  # it does not end; its trace will say so
                return number
            if not self.points.pcs.isdisjoint(path):
                return number
            tally.end(ret)
        return last

    # breakpoint, watch, log

    def breakpoint(
        self, pc: SupportsIndex | str | None = None, condition: Condition | str | None = None
    ) -> Said:
        """Stop runs before instruction `pc`, if `condition` holds then.

        None lists the breakpoints, "reset" takes all away; see `conditions` for theirs.
        """
        if pc == "reset":
            self.points = replace(self.points, breakpoints={})
        elif pc is not None:
            at = self._pc(pc)
            read = parse(condition) if isinstance(condition, str) else condition
            self.points = replace(self.points, breakpoints={**self.points.breakpoints, at: read})
        return self._set("breakpoint")

    def watch(self, condition: Condition | str | None = None) -> Said:
        """Stop runs where `condition` becomes true; None lists, "reset" takes all away."""
        if condition == "reset":
            self.points = replace(self.points, watches=())
        elif condition is not None:
            read = parse(condition) if isinstance(condition, str) else condition
            self.points = replace(self.points, watches=(*self.points.watches, read))
        return self._set("watch")

    def logpoint(
        self, pc: SupportsIndex | str | None = None, template: Template | str | None = None
    ) -> Said:
        """Say `template` whenever instruction `pc` runs, "A is {A:#x}"; no stop.

        None lists the logpoints, "reset" takes all away.
        """
        if pc == "reset":
            self.points = replace(self.points, logpoints={})
        elif pc is not None:
            at = self._pc(pc)
            if template is None:
                raise BpfError("a logpoint has something to say", "log 3 A is {A:#x}")
            read = parse_template(template) if isinstance(template, str) else template
            self.points = replace(self.points, logpoints={**self.points.logpoints, at: read})
        return self._set("log")

    def _pc(self, pc: SupportsIndex | str) -> int:
        """An instruction's index, held against the program."""
        size, at = len(self.program), whole(pc, "an instruction's index")
        if not 0 <= at < size:
            raise BpfError(f"there is no instruction {at}", f"the program has 0–{size - 1}")
        return at

    def _set(self, kind: str) -> Said:
        """What is set of one kind."""
        return self._said("\n".join(self.points.lines(kind)) or f"no {kind} is set")

    # disassemble, dump, quit

    def disassemble(self) -> Said:
        """The listing; ● marks breakpoints, → the instruction that runs next."""
        place = self._place
        steps = () if place is None else place.trace.steps[place.position : place.position + 1]
        following = {step.pc for step in steps}
        lines = []
        for pc, insn in enumerate(self.program.insns):
            mark = "●" if pc in self.points.breakpoints else " "
            mark += "→" if pc in following else " "
            lines.append(f"{mark} ({pc:03d}) {disasm.line(insn, pc)}".rstrip())
        return self._said("\n".join(lines), code=True)

    def dump(self) -> Said:
        """The instructions as numbers, as rows of a C array."""
        return self._said(disasm.text(self.program, "c"), code=True)

    def quit(self) -> Said:
        """Let go of program and packets; what needs them works no more."""
        self.done, self._program, self._batch, self._place = True, None, None, None
        return self._said("; ".join(self._loaded()))

    def cmd(self, line: str) -> Stop | Said:
        """Do one line of bpf_dbg's: "step -1", "breakpoint 4 if A == 0x800", "help".

        An empty line shows where the debugger stands.
        """
        return commands.do(self, line)

    def help(self) -> Said:
        """All commands as lines of text."""
        return self._said(commands.summary(), code=True)

    # what the commands share

    def _traced(self, program: Program, batch: PacketBatch, number: int) -> Trace:
        """The run on packet `number`."""
        place = self._place
        same = place is not None and (place.packet, place.trace.program) == (number, program)
        if place is not None and same and batch is self._batch:
            return place.trace
        one = batch[number - 1]
        budget = None if self.check else BUDGET
        with during(number):
            return trace(program, one.data, one.wirelen, one.ancillary, budget)

    def _log(self, run: Trace, packet: int, position: int, tally: Tally) -> None:
        """Note what a logpoint says of a step that runs."""
        if run.steps[position].pc in self.points.logpoints:
            now = facts(run, position)
            tally.logged.append(f"packet {packet} ({now.pc:03d}) {self.points.said(now)}")

    def _arrive(
        self, place: Place, reason: str, tally: Tally | None = None, moved: int = 0
    ) -> Stop:
        """Stand at a place, and tell what was passed on the way."""
        tally = tally or Tally()
        self._place = place
        self.logged = (*self.logged, *tally.logged)
        return self._stop(place, reason, moved, tally)

    def _stop(self, place: Place, reason: str, moved: int = 0, tally: Tally | None = None) -> Stop:
        tally = tally or Tally()
        counts = (tally.accepted, tally.rejected, tuple(tally.logged))
        return self.stop_type(place, reason, self.batch, moved, *counts)

    def _said(self, words: str, code: bool = False) -> Said:
        return self.said_type(words, code)

    def _answer(self, words: str) -> Stop | Said:
        """A Stop where there is a run to stand in, else what is still to be loaded."""
        if self._place is not None:
            return self._stop(self._place, words)
        return self._said("; ".join([words, *self._missing()]))

    def _missing(self) -> list[str]:
        """What is to be loaded before anything can run."""
        missing = [] if self._program is not None else ["no program is loaded: load bpf …"]
        if self._batch is None:
            missing.append("no packets are loaded: load pcap FILE")
        elif not self._batch:
            missing.append("there is no packet to run on")
        return missing

    def _flaw(self) -> str:
        """What is wrong with the packets' file behind the last of them."""
        error = None if self._batch is None else self._batch.error
        return "" if error is None else f"; the file is damaged behind them: {error.message}"

    def _require_alive(self) -> None:
        """Refuse to work after quit."""
        if self.done:
            raise BpfError("this debugger was left by quit", "prog.debug(packets) makes another")

    def _loaded(self) -> list[str]:
        """Why there is no run to stand in."""
        return ["this debugger was left by quit"] if self.done else self._missing()

    def _where(self, place: Place) -> str:
        """A place in words, when no command led there."""
        if place.ended and place.trace.stopped:
            more = f"; these are the first {len(place.trace.steps):,}" if place.trace.loop else ""
            return f"{place.trace.stopped}{more}"
        return "the run has ended" if place.ended else f"before step {place.position}"

    def __repr__(self) -> str:
        place = self._place
        if place is None:
            return f"<{type(self).__name__}: {'; '.join(self._loaded())}>"
        where = f"step {place.position} of {len(place.trace.steps)}"
        have = len(self._batch or ())
        return f"<{type(self).__name__}: packet {place.packet} of {have}, {where}>"


def whole(number: Any, what: str) -> int:
    """A whole number that was given, numpy's too; BpfError for anything else."""
    try:
        if not isinstance(number, bool):
            return index(number)
    except TypeError:
        pass
    raise BpfError(f"{what} is a whole number, not {number!r}")


@contextmanager
def during(number: int) -> Iterator[None]:
    """Say of an error of the machine's which packet it met."""
    try:
        yield
    except RunError as error:
        raise RunError(f"packet {number}: {error.message}", error.hint) from None
