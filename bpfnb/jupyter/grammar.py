"""A magic's line -> options and expression: options first, expression last.

    %bpf -p [IP()/TCP(dport=p) for p in (80, 81)] --cfg tcp[13] & 2 != 0
    %bpf tcpdump -nn -r x.pcap 'port 80'

The expression is what is left, to the letter.  A value ends at a blank, that
of -p at a blank outside its brackets; one in quotes is unquoted once; an
optional number is attached (`--trace=2`).  No option may be abbreviated; `--`
ends them.  Behind the word `tcpdump` the line is a shell's: quotes and
backslashes are the shell's own, and options are tcpdump's, wherever they stand.

Flags of tcpdump that mean nothing here are named and ignored.  Left out: what
the options mean (`options`).  Source: tcpdump(1) 4.99.3 for its flags.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from IPython.core.error import UsageError

from bpfnb.jupyter.options import OPTIONS, VIEWS, Given, Option, Options, Takes, nearest
from bpfnb.jupyter.settle import settle

__all__ = ["BY_FLAG", "FOREIGN", "end_of_value", "parse"]

CLOSING = {"(": ")", "[": "]", "{": "}"}
BY_FLAG: dict[str, Option] = {flag: row for row in OPTIONS for flag in row.flags}

# tcpdump's flags without a meaning here: alone, and with a value behind them.
ALONE = """
--absolute-tcp-sequence-numbers --count --dont-verify-checksums --immediate-mode --lengths
--list-data-link-types --list-interfaces --list-time-stamp-types --micro --monitor-mode
--nano --no-promiscuous-mode --number --packet-buffered --print
"""
VALUED = """
--buffer-size --direction --relinquish-privileges --skip --time-stamp-precision
--time-stamp-type
"""
FOREIGN: dict[str, bool] = {  # flag: whether a value follows
    **{f"-{letter}": False for letter in "AbDefHIJKlLnNpqStuUvxX#"},
    **{f"-{letter}": True for letter in "BcCEGjmMQTVwWzZ"},
    **dict.fromkeys(ALONE.split(), False),
    **dict.fromkeys(VALUED.split(), True),
}
# tcpdump's words for what has a short form here.
TCPDUMP_LONG = {
    "--interface": "-i",
    "--linktype": "-y",
    "--no-optimize": "-O",
    "--snapshot-length": "-s",
}
OF_TCPDUMP = ("-d", "-F", "-i", "-O", "-r", "-s", "-y", "--version")  # options meant alike
PASTED: dict[str, Option] = {flag: BY_FLAG[flag] for flag in OF_TCPDUMP}
HELP = ("-h", "--help", "-?")


@dataclass
class Found:
    """What was found so far on a line."""

    given: list[Given] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def ignore(self, flag: str, value: str = "") -> None:
        """Note a flag without a meaning here, each once."""
        shown = f"{flag} {value}".rstrip()
        if shown not in self.ignored:
            self.ignored.append(shown)


def parse(line: str) -> tuple[Options, str]:
    """The options on a line, and the expression behind them.

    >>> options, expression = parse("-p pkts --trace=2 tcp[13] & 2 != 0")
    >>> options.packets, options.trace, expression
    ('pkts', 2, 'tcp[13] & 2 != 0')
    """
    found = Found()
    rest = leading_options(line, found)
    words = rest.split(None, 2)
    if words[:1] == ["sudo"] and is_tcpdump(words[1:2]):
        rest, words = rest.split(None, 1)[1], words[1:]
    if is_tcpdump(words[:1]):
        rest = pasted(rest.partition(words[0])[2], found)
    return settle(found.given, found.ignored), rest


def is_tcpdump(words: list[str]) -> bool:
    """Whether a command line of tcpdump starts here."""
    return bool(words) and words[0].rpartition("/")[2] == "tcpdump"


def leading_options(line: str, found: Found) -> str:
    """Take the options at a line's front; return what is behind them, stripped."""
    at = 0
    while True:
        at = skip_blanks(line, at)
        end = end_of_word(line, at)
        word = line[at:end]
        if word == "--":
            return line[end:].strip()
        if not starts_option(word):
            refuse_cut_value(found, line[at:].strip())
            return line[at:].strip()
        at = long_option(line, at, found) if word.startswith("--") else cluster(line, at, found)


def starts_option(word: str) -> bool:
    """A dash and a letter; `-` and `-1` begin an expression.

    >>> starts_option("-nn"), starts_option("-1")
    (True, False)
    """
    return len(word) > 1 and word[0] == "-" and (word[1].isalpha() or word[1] in "-#?")


def refuse_cut_value(found: Found, rest: str) -> None:
    """`-p IP() / TCP()`: the value ended at the blank, as it must."""
    last = found.given[-1] if found.given else None
    if last is None or last.option.takes is not Takes.PYTHON or last.quoted:
        return
    if rest[:1] in tuple("/+*%|,.)]}") or last.value[-1] in "/+*%|,":
        raise UsageError(
            f"the value of -p ends at the blank behind {last.value!r}; "
            "put the value in quotes, or leave out the blanks"
        )


def long_option(line: str, at: int, found: Found) -> int:
    """Take `--name`, `--name value` or `--name=value`; return where it ends."""
    end = end_of_word(line, at)
    name, equals, _ = line[at:end].partition("=")
    behind = at + len(name) + len(equals)
    option = lookup(name, BY_FLAG)
    takes_value = FOREIGN[name] if option is None else option.takes is not Takes.NOTHING
    if equals and not takes_value:
        raise UsageError(f"{name} takes no value")
    optional = option is not None and option.takes is Takes.NUMBER
    if not takes_value or (optional and not equals):
        value, quoted, end = "", False, behind
    else:
        value, quoted, end = read_value(line, behind, name, option, attached=bool(equals))
    if option is None:
        found.ignore(name, value)
    else:
        found.given.append(Given(option, value, quoted))
    return end


def cluster(line: str, at: int, found: Found) -> int:
    """Take `-d`, `-dd`, `-nnr FILE`, `-s96` …; return where it ends."""
    at += 1
    while at < len(line) and not line[at].isspace():
        name = f"-{line[at]}"
        at += 1
        option = lookup(name, BY_FLAG, at - 2, line)
        value, quoted = "", False
        takes_value = FOREIGN[name] if option is None else option.takes is not Takes.NOTHING
        if takes_value:
            value, quoted, at = read_value(line, at, name, option)
        if option is None:
            found.ignore(name, value)
        else:
            found.given.append(Given(option, value, quoted))
        if takes_value:
            break
    return at


def lookup(name: str, known: Mapping[str, Option], at: int = 0, line: str = "") -> Option | None:
    """The option of a flag; None for one of tcpdump's without a meaning here."""
    name = TCPDUMP_LONG.get(name, name)
    if name in known:
        return known[name]
    if name in FOREIGN:
        return None
    if name in HELP:
        raise UsageError("the help is %bpf?")
    if name in BY_FLAG:
        raise UsageError(f"{name} is no flag of tcpdump's; put it before the word tcpdump")
    if name.removeprefix("--") in VIEWS:
        raise UsageError(f"there is no option {name}; it is a view: --show {name[2:]}")
    word = line[at : end_of_word(line, at)] if line and not name.startswith("--") else name
    near = nearest(f"-{word}" if len(word) > 2 and word[1] != "-" else name, [*BY_FLAG, *FOREIGN])
    raise UsageError(f"there is no option {name}{near or '; %bpf? lists them'}")


def read_value(
    line: str, at: int, name: str, option: Option | None, attached: bool = False
) -> tuple[str, bool, int]:
    """The value of option `name` from `at` on: text, whether it was quoted, its end."""
    start = at if attached else skip_blanks(line, at)
    python = option is not None and option.takes is Takes.PYTHON
    if line[start : start + 1] in ("'", '"'):
        end = end_of_string(line, start, name)
        if end == len(line) or line[end].isspace():
            quote = line[start]
            return line[start + 1 : end - 1].replace(f"\\{quote}", quote), True, end
    end = end_of_value(line, start, name) if python else end_of_word(line, start)
    if end == start:
        raise UsageError(f"{name} wants a value behind it")
    return line[start:end], False, end


def end_of_value(line: str, at: int, name: str = "-p", stop: str = "") -> int:
    """Where a Python expression ends: at a blank, or at `stop`, outside brackets and strings.

    >>> end_of_value("[IP(dst='a b') for p in x] tcp", 0)
    26
    """
    expected: list[str] = []
    start = at
    while at < len(line):
        letter = line[at]
        if letter in "'\"":
            at = end_of_string(line, at, name)
            continue
        if not expected and (line.startswith(stop, at) if stop else letter.isspace()):
            return at
        if letter in CLOSING:
            expected.append(CLOSING[letter])
        elif letter in CLOSING.values() and (not expected or expected.pop() != letter):
            shown = line[start : at + 1]
            raise UsageError(f"a {letter} too many in the value of {name}: {shown}")
        at += 1
    if expected or stop:
        missing = expected[-1] if expected else stop
        shown = line[start:].partition("\n")[0]
        raise UsageError(f"{missing} is missing in the value of {name}: {shown}")
    return at


def end_of_string(line: str, at: int, name: str) -> int:
    """Where the string literal that starts at `at` ends; a backslash keeps its next letter."""
    quote = line[at] * 3 if line.startswith(line[at] * 3, at) else line[at]
    end = at + len(quote)
    while end < len(line) and not line.startswith(quote, end):
        end += 2 if line[end] == "\\" else 1
    if end >= len(line):
        raise UsageError(f"the closing {quote} is missing in the value of {name}: {line[at:]}")
    return end + len(quote)


def skip_blanks(line: str, at: int) -> int:
    """The next place that is no blank."""
    return len(line) - len(line[at:].lstrip()) if line[at:].strip() else len(line)


def end_of_word(line: str, at: int) -> int:
    """The next blank."""
    while at < len(line) and not line[at].isspace():
        at += 1
    return at


def pasted(text: str, found: Found) -> str:
    """Take a command line behind the word tcpdump; return its expression."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"the command line is cut off: {str(error).lower()}") from error
    expression: list[str] = []
    while words:
        word = words.pop(0)
        if word == "--":
            expression += words
            break
        if not starts_option(word):
            expression.append(word)
        elif word.startswith("--"):
            name, equals, value = word.partition("=")
            pasted_flag(name, [value] if equals else words, found)
        else:
            pasted_cluster(word, words, found)
    return " ".join(expression)


def pasted_cluster(word: str, words: list[str], found: Found) -> None:
    """Take -nnvr and the like; a value is the rest of the word or the next word."""
    letters = list(word[1:])
    while letters:
        name = f"-{letters.pop(0)}"
        attached = ["".join(letters)] if letters else words
        if pasted_flag(name, attached, found):
            return


def pasted_flag(name: str, values: list[str], found: Found) -> bool:
    """Take one flag of tcpdump's and say whether it took a value."""
    option = lookup(name, PASTED)
    takes_value = FOREIGN[name] if option is None else option.takes is not Takes.NOTHING
    if takes_value and not values:
        raise UsageError(f"{name} wants a value behind it")
    value = values.pop(0) if takes_value else ""
    if option is None:
        found.ignore(name, value)
    else:
        found.given.append(Given(option, value))
    return takes_value
