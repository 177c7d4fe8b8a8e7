"""What goes wrong, said so that the reader can mend it.

Every error bpfnb raises on bad input is a `BpfError`: it tells where, what,
which rule, the number, and the cure.  In a notebook each one is shown as its
message alone, without a Python traceback (IPython asks an exception for
`_render_traceback_`); the cell still fails.

Left out: `UsageError` for wrong options of a magic, which is IPython's own.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "AssemblyError",
    "BpfError",
    "CaptureError",
    "CheckError",
    "ConditionError",
    "ExpressionError",
    "Fault",
    "LinktypeError",
    "PacketError",
    "Problem",
    "RunError",
    "UnavailableError",
    "UndecidedError",
]

WIDEST = 160  # characters of a source line that a message shows, around the mistake
LONGEST = 400  # characters of what is said about one problem
MOST_SHOWN = 20  # problems of one text that a message shows


def harmless(char: str) -> str:
    """A character as it may be shown: none moves a terminal's cursor or turns writing round."""
    return char if char.isprintable() or char == "\t" else "\N{REPLACEMENT CHARACTER}"


def showable(text: str) -> str:
    r"""Words that may quote anything, as they may be shown: their lines stay, nothing acts.

    >>> showable("x\x1b[2J.pcap")
    'x�[2J.pcap'
    """
    return "\n".join(
        line if line.replace("\t", " ").isprintable() else "".join(map(harmless, line))
        for line in text.split("\n")
    )


def brief(text: str) -> str:
    """Words that may quote anything, in one line no longer than LONGEST."""
    shown = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return "".join(map(harmless, shown))


class BpfError(Exception):
    """Something the user gave cannot be used; the message says what and why.

    `hint` is the cure, or the empty string where there is none to offer.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return showable(f"{self.message}\n  {self.hint}" if self.hint else self.message)

    def _render_traceback_(self) -> list[str]:
        """Lines that IPython shows in place of a traceback."""
        return [f"{type(self).__name__}: {self}"]


@dataclass(frozen=True)
class Problem:
    """One mistake in a program's text.

    `line` and `column` count from 1, `length` in characters; `source` is the
    whole line, for the caret.  `rule` names what is broken, `hint` the cure.
    """

    line: int
    column: int
    length: int
    source: str
    message: str
    rule: str = ""
    hint: str = ""

    def __str__(self) -> str:
        left = max(0, self.column - 1 - WIDEST // 2) if len(self.source) > WIDEST else 0
        shown = self.source[left : left + WIDEST]
        lead = self.source[left : self.column - 1]
        blank = "".join("\t" if c == "\t" else " " for c in lead)
        carets = "^" * max(1, min(self.length, len(shown) - len(lead)))
        lines = [
            f"line {self.line}, column {self.column}: {brief(self.message)}",
            f"    {''.join(map(harmless, shown))}",
            f"    {blank}{carets}",
        ]
        if self.rule:
            lines.append(f"  rule: {brief(self.rule)}")
        if self.hint:
            lines.append(f"  cure: {brief(self.hint)}")
        return "\n".join(lines)


class AssemblyError(BpfError):
    """A text is no program.  `problems` has all mistakes, in line order.

    `line`, `column` and `hint` are those of the first.
    """

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        first = problems[0]
        super().__init__(first.message, first.hint)
        self.problems = problems
        self.line, self.column = first.line, first.column

    def __str__(self) -> str:
        shown = "\n".join(str(problem) for problem in self.problems[:MOST_SHOWN])
        if len(self.problems) == 1:
            return shown
        more = len(self.problems) - MOST_SHOWN
        rest = f"\n… and {more} more" if more > 0 else ""
        return f"{len(self.problems)} problems in this program\n{shown}{rest}"


@dataclass(frozen=True)
class Fault:
    """One rule of the checker that a program breaks at instruction `pc`.

    `rule` is the rule's name in `cbpf.checker`, `hint` the cure.
    """

    rule: str
    pc: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        cure = f"\n  cure: {self.hint}" if self.hint else ""
        return f"({self.pc:03d}) {self.message} [{self.rule}]{cure}"


class CheckError(BpfError):
    """A program is not legal and so does not run.  `faults` says why."""

    def __init__(self, faults: tuple[Fault, ...], rules: str = "linux") -> None:
        plural = "fault" if len(faults) == 1 else "faults"
        shown = "\n".join(str(fault) for fault in faults)
        super().__init__(f"{rules} refuses this program: {len(faults)} {plural}\n{shown}")
        self.faults = faults
        self.rules = rules


class ConditionError(BpfError):
    """A condition or a log's template cannot be read.

    `column` counts from 1 in `text`, the line that was given.
    """

    def __init__(self, text: str, column: int, length: int, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.text, self.column, self.length = text, column, length

    def __str__(self) -> str:
        problem = Problem(1, self.column, self.length, self.text, self.message, hint=self.hint)
        return str(problem).removeprefix("line 1, ")


class RunError(BpfError):
    """An unchecked program comes to no end: it loops, or the machine cannot go on."""


class ExpressionError(BpfError):
    """libpcap refuses an expression.  `reason` is its own text.

    `column` counts from 1 and is None where the place cannot be found.
    """

    def __init__(
        self,
        expression: str,
        reason: str,
        column: int | None = None,
        length: int = 1,
        hint: str = "",
    ) -> None:
        lines = [f"libpcap: {reason}", f"    {expression}"]
        if column is not None:
            lines.append(f"    {' ' * (column - 1)}{'^' * max(1, length)}")
        super().__init__("\n".join(lines), hint)
        self.expression, self.reason, self.column = expression, reason, column


class PacketError(BpfError):
    """Something given as a packet is none: a bad hex dump, a strange type."""


class CaptureError(PacketError):
    """A capture file is broken.  `record` counts from 1; None: the file header."""

    def __init__(self, path: str, record: int | None, message: str, hint: str = "") -> None:
        where = "file header" if record is None else f"record {record}"
        # Views show the message as it is; in a file's name stands whatever someone wrote there.
        super().__init__(f"{brief(path)}, {where}: {message}", hint)
        self.path, self.record = path, record


class LinktypeError(BpfError):
    """A filter made for one link type meets packets of another."""


class UndecidedError(BpfError):
    """No answer in the time given, or none that could be trusted: never a wrong one."""


class UnavailableError(BpfError):
    """This machine lacks something; the message says what, in one line."""
