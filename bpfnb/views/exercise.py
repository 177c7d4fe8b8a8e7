"""Exercises to look at: an answer, a hint, and how far a reader has come.

Each is made of plain words and numbers, so that nothing here knows of exercises; what
they are and whether an answer is right, `course.exercises` says.
Left out: the packet that an answer gets wrong, which has views of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bpfnb.views import style
from bpfnb.views.view import View

__all__ = ["Answered", "Chapter", "Hint", "Progress", "Standing"]

SIGNS = {"right": "●", "tried": "◐", "open": "○"}
WORDS = {"right": "right", "tried": "tried", "open": "not tried yet"}
CODE, STRESS = re.compile(r"`([^`]+)`"), re.compile(r"\*([^*]+)\*")
COLUMNS = (("", "left"), ("exercise", "left"), ("", "left"), ("tries", "right"), ("hints", "right"))


@dataclass(frozen=True)
class Answered(View):
    """Whether an answer is right: a sentence, and lines under it.

    `right` is False too for an answer that is right and too long.
    """

    id: str
    title: str
    right: bool
    sentence: str
    lines: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """The exercise and the verdict."""
        return f"{self.id} {self.title}: {'right' if self.right else 'not yet'}"

    def text(self) -> str:
        """Sign, verdict, sentence, and what there is to say beside it."""
        sign = "✓" if self.right else "✗"
        return "\n".join([f"{sign} {self.headline}. {self.sentence}", *self.under()])

    def under(self) -> list[str]:
        """The lines, set in."""
        return [f"  {line}" for line in self.lines]

    def html(self) -> str:
        """The same, a line each."""
        sign, tone = ("✓", style.ACCEPT) if self.right else ("✗", style.REJECT)
        lead = f'<b><span style="color:{tone}">{sign}</span> {escape(self.headline)}.</b>'
        said = [f"{lead} {escape(self.sentence)}"]
        said += [style.muted(escape(line)) for line in self.lines]
        return "".join(map(style.caption, said))


@dataclass(frozen=True)
class Hint(View):
    """One hint of several: `number` counts from 1; `notes` stand below it."""

    id: str
    number: int
    total: int
    words: str
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """The hint behind its number."""
        return "\n".join([f"{self.lead}: {self.words}", *(f"  {line}" for line in self.below)])

    def html(self) -> str:
        """The same, with code and stress set as such."""
        said = f"<b>{escape(self.lead)}</b>: {marked(self.words)}"
        return "".join(map(style.caption, [said, *map(style.muted, map(escape, self.below))]))

    @property
    def lead(self) -> str:
        """Which hint it is."""
        return f"{self.id}, hint {self.number} of {self.total}"

    @property
    def below(self) -> list[str]:
        """How to have the next one, if there is one."""
        left = self.total - self.number
        more = [f"{style.plural(left, 'more hint')}: %bpf_hint {self.id}"] if left else []
        return [*more, *self.notes]


def marked(words: str) -> str:
    """Words with `code` and *stress* in them, as HTML.

    >>> marked("*and* goes on: `jeq #1, +0`")
    '<i>and</i> goes on: <code>jeq #1, +0</code>'
    """
    parts = CODE.split(words)
    for at, each in enumerate(parts):
        said = escape(each, quote=False)
        parts[at] = f"<code>{said}</code>" if at % 2 else STRESS.sub(r"<i>\1</i>", said)
    return "".join(parts)


@dataclass(frozen=True)
class Standing:
    """How far a reader is with one exercise: `state` is right, tried or open."""

    id: str
    title: str
    state: str
    tries: int = 0
    hints: int = 0


@dataclass(frozen=True)
class Chapter:
    """A chapter's exercises; `title` may be empty."""

    number: str
    title: str
    exercises: tuple[Standing, ...]

    @property
    def done(self) -> str:
        """How many are right."""
        right = sum(each.state == "right" for each in self.exercises)
        return f"{right} of {len(self.exercises)}"


@dataclass(frozen=True)
class Progress(View):
    """How far a reader has come, chapter by chapter; `place` is where that is kept."""

    chapters: tuple[Chapter, ...]
    place: str
    notes: tuple[str, ...] = ()

    @property
    def answer(self) -> str:
        """First the answer."""
        every = [each for chapter in self.chapters for each in chapter.exercises]
        done = sum(each.state == "right" for each in every)
        return f"{done} of {style.plural(len(every), 'exercise')} right"

    @property
    def footer(self) -> tuple[str, ...]:
        """Where it is kept, and how to be rid of it."""
        kept = f"kept in {self.place}, and nowhere else; %bpf_progress --forget deletes it"
        return (*self.notes, kept)

    def text(self) -> str:
        """A line an exercise."""
        lines = [self.answer]
        for chapter in self.chapters:
            lines += ["", f"{f'{chapter.number} {chapter.title}'.strip()}: {chapter.done}"]
            width = max(len(each.title) for each in chapter.exercises)
            for each in chapter.exercises:
                counts = ", ".join(self.counts(each))
                said = f"{WORDS[each.state]}{f' ({counts})' if counts else ''}"
                lines.append(f"  {SIGNS[each.state]} {each.id}  {each.title:<{width}}  {said}")
        return "\n".join([*lines, "", *self.footer])

    def counts(self, standing: Standing) -> list[str]:
        """Tries and hints, where there are any."""
        said = [style.plural(standing.tries, "try", "tries")] if standing.tries else []
        return said + ([style.plural(standing.hints, "hint")] if standing.hints else [])

    def html(self) -> str:
        """One table, a row for each exercise below one for its chapter."""
        rows = [row for each in self.chapters for row in self.rows(each)]
        html = style.caption(f"<b>{escape(self.answer)}</b>")
        html += style.whole_table(rows, style.heads(COLUMNS))
        below = "".join(style.caption(style.muted(escape(line))) for line in self.footer)
        return style.scroll(f'{html}<div style="margin-top:8px">{below}</div>')

    def rows(self, chapter: Chapter) -> list[str]:
        """A chapter, and its exercises."""
        words = [style.plain(f"<b>{escape(chapter.title)}</b>"), style.plain(chapter.done)]
        lead = [f"<b>{escape(chapter.number)}</b>", *words, "", ""]
        top = "vertical-align:bottom"
        return [
            style.row([style.cell(each, more=f";{top}") for each in lead], 32),
            *map(self.row, chapter.exercises),
        ]

    def row(self, standing: Standing) -> str:
        """One exercise: its sign and its word say the same."""
        tone = style.ACCEPT if standing.state == "right" else "inherit"
        sign = f'<b style="color:{tone}">{SIGNS[standing.state]}</b>'
        numbers: Sequence[int] = (standing.tries, standing.hints)
        return style.row(
            [
                style.cell(f"{sign} {escape(standing.id)}"),
                style.cell(style.plain(escape(standing.title))),
                style.cell(style.plain(WORDS[standing.state])),
                *(style.cell(str(number or ""), "right") for number in numbers),
            ]
        )
