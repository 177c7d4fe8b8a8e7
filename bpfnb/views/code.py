"""What a program becomes: code in another language, to read.

`Code` is what such views have in common: a program that fails its check becomes
nothing, which they say in a sentence.  `PythonCode` is the Python of the backend
`pygen`.  Left out: the processor's code (`native`); making any of it (`backends`).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import ClassVar

from bpfnb.backends import python_source
from bpfnb.cbpf.checker import check
from bpfnb.cbpf.program import Program
from bpfnb.views import style
from bpfnb.views.view import View

__all__ = ["Code", "PythonCode"]

WHOLE = 60  # lines of Python shown before the rest folds


@dataclass(frozen=True)
class Code(View):
    """A program's code in another language.  Children give its text and HTML.

    `rules` are those it was checked by; Linux's, which backends rely on, count always.
    """

    program: Program
    rules: str = "linux"
    language: ClassVar[str] = "code"

    @cached_property
    def refusal(self) -> str:
        """Why there is no code, in a sentence; "" where there is."""
        for rules in dict.fromkeys((self.rules, "linux")):
            if faults := check(self.program, rules):
                first = faults[0]
                return (
                    f"no {self.language} is made of a program that fails its check: {rules} finds "
                    f"{style.plural(len(faults), 'fault')}, first {first.rule} at ({first.pc:03d})"
                )
        return ""

    @abstractmethod
    def code_text(self) -> str:
        """The code of a legal program, as text."""

    @abstractmethod
    def code_html(self) -> str:
        """The code of a legal program, as HTML."""

    def text(self) -> str:
        """The code, or why there is none."""
        return f"✗ {self.refusal}" if self.refusal else self.code_text()

    def html(self) -> str:
        """The code, or why there is none."""
        if self.refusal:
            cross = f'<b style="color:{style.REJECT}">✗</b>'
            return style.caption(f"{cross} {escape(self.refusal)}")
        return style.scroll(self.code_html())


@dataclass(frozen=True)
class PythonCode(Code):
    """The Python function that `pygen` runs in a program's place.

    >>> print(PythonCode(Program.from_insns([(6, 0, 0, 96)])))
    def accepts(P, wirelen, notes):
        \"\"\"Return how many bytes of the packet P to accept; 0 rejects it.\"\"\"
        return 96                                       # 0 ret #96
    """

    language: ClassVar[str] = "Python"

    @cached_property
    def source(self) -> str:
        """The function's text, which Python compiles."""
        return python_source.source(self.program).rstrip("\n")

    def code_text(self) -> str:
        """The function and nothing else."""
        return self.source

    def code_html(self) -> str:
        """The function, its lines behind the first 60 folded."""
        lines = self.source.split("\n")
        size = style.plural(len(self.program), "instruction")
        html = style.caption(f"{size} of BPF, {style.plural(len(lines), 'line')} of Python")
        shown, folded = lines[:WHOLE], lines[WHOLE : style.MOST]
        html += preformatted(shown)
        if folded:
            more = style.plural(len(folded), "more line")
            summary = '<summary style="cursor:pointer;font-size:13px;line-height:24px">'
            html += f"<details>{summary}{more}</summary>{preformatted(folded)}</details>"
        return html + style.left_out(len(lines) - style.MOST, "line")


def preformatted(lines: list[str]) -> str:
    """Lines as they are, comments muted."""
    shown = []
    for line in lines:
        code, mark, comment = line.partition("  # ")
        shown.append(escape(code) + (style.muted(escape(mark + comment)) if mark else ""))
    return (
        f'<pre style="font-family:{style.MONO};font-size:13px;line-height:20px;margin:0;padding:0;'
        'border:0;background:transparent">' + "\n".join(shown) + "</pre>"
    )
