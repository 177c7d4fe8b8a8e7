"""What pygen's Python source does on every packet at once: one exact formula, for z3.

    outcome = read(source, AnyPacket(max_len))
    outcome.ret, outcome.wrong       the verdict; where it raises, or is no 32-bit number
    differs(outcome, meaning)        where it does not do what the program does

It reads the text by `ast` and knows only what Python says of it: operands from left to
right, `and` and `or` no further than needed, names that are not bound yet, a subscript
counted from the end when it is negative, integers without an end.  A number is kept by
its bounds; where these go beyond 32 bits, 72 hold it exactly.  Ways that meet again are
joined as in `formula`.  What is not known here raises Unsupported, and is never guessed.

Left out: what `extension` and `far_load` do with notes, which is Linux's word and the
same for machine and source; errors that they raise.

Source: Python's language reference, 4.2 and 6; `struct` for `word`, which is unpack_from.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bpfnb.analysis import formula
from bpfnb.analysis.formula import DEVICE, FAR, NOTES, AnyPacket, Meaning
from bpfnb.analysis.terms import (
    Condition,
    Word,
    all_of,
    any_of,
    choose,
    combined,
    compared,
    differ,
    negated,
    term,
    z3,
)
from bpfnb.cbpf.ancillary import BY_K, LL_OFF, NET_OFF
from bpfnb.cbpf.machine import MASK

BITS = 72  # for a product of two words and some sums; what may need more is Unsupported
CUT = 200_000  # z3's effort to find what is equal where ways meet
OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.FloorDiv: "div", ast.Mod: "mod",
    ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor", ast.LShift: "lsh", ast.RShift: "rsh",
}  # fmt: skip
PYTHONS: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.floordiv,
    "mod": operator.mod, "and": operator.and_, "or": operator.or_, "xor": operator.xor,
    "lsh": operator.lshift, "rsh": operator.rshift,
}  # fmt: skip
ORDER: dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], Any], bool]] = {
    ast.Eq: ("jeq", lambda a, b: a == b, True),
    ast.NotEq: ("jeq", lambda a, b: a == b, False),
    ast.Gt: ("jgt", lambda a, b: a > b, True),
    ast.LtE: ("jgt", lambda a, b: a > b, False),
    ast.GtE: ("jge", lambda a, b: a >= b, True),
    ast.Lt: ("jge", lambda a, b: a >= b, False),
}  # the same for words, and for 72 bits with a sign; whether the answer stays


class Unsupported(Exception):  # noqa: N818  said of the source, which may be right
    """Python that the formula does not know."""


@dataclass(frozen=True)
class Number:
    """An int between bounds, or None where `none`, or no value yet where `unset`.

    `low` are its last 32 bits, all of it when the bounds are a word's; else `full` is it.
    """

    low: Word
    least: int
    most: int
    full: Any = None
    none: Condition = False
    unset: Condition = False

    @property
    def is_word(self) -> bool:
        return 0 <= self.least and self.most <= MASK

    @property
    def exact(self) -> Any:
        """Itself in 72 bits, with a sign."""
        if self.least == self.most:
            return z3.BitVecVal(self.least, BITS)
        return z3.ZeroExt(BITS - 32, term(self.low)) if self.full is None else self.full


def known(value: int) -> Number:
    return Number(value & MASK, value, value)


def bounded(low: Word, least: int, most: int, full: Callable[[], Any]) -> Number:
    """A number between bounds, made in 72 bits only where it needs more than 32."""
    if least == most:
        return known(least)
    if 0 <= least and most <= MASK:
        return Number(low, least, most)
    if not -(1 << BITS - 1) <= least <= most < 1 << BITS - 1:
        raise Unsupported(f"a number that may be {least} or {most}")
    return Number(low, least, most, full())


@dataclass(frozen=True)
class State:
    """Between two lines: on which packets, what names hold, bytes that are surely there."""

    when: Condition = True
    names: Mapping[str, Number] = field(default_factory=dict)
    sure: int = 0
    drawn: Word = 0


UNSET = Number(0, 0, 0, unset=True)


def either(when: Condition, a: Condition, b: Condition) -> Condition:
    return a if a is b else any_of(all_of(when, a), all_of(negated(when), b))


def chosen(when: Condition, a: Number, b: Number) -> Number:
    """The one or the other; the value of a name that is unset is any."""
    none, unset = either(when, a.none, b.none), either(when, a.unset, b.unset)
    if a.unset is True or b.unset is True:
        return replace(b if a.unset is True else a, none=none, unset=unset)
    made = bounded(choose(when, a.low, b.low), min(a.least, b.least), max(a.most, b.most),
                   lambda: z3.If(when, a.exact, b.exact))  # fmt: skip
    return replace(made, none=none, unset=unset)


def joined(one: State, two: State) -> State:
    """Where two ways meet."""
    if one.when is False or two.when is False:
        return two if one.when is False else one
    if z3.is_or(one.when) and not z3.is_or(two.when):
        one, two = two, one  # the simpler condition is to choose
    names = {name: chosen(one.when, one.names.get(name, UNSET), two.names.get(name, UNSET))
             for name in {**one.names, **two.names}}  # fmt: skip
    drawn = choose(one.when, one.drawn, two.drawn)
    return State(any_of(one.when, two.when), names, min(one.sure, two.sure), drawn)


@dataclass
class Outcome:
    """On which packets the function returns what, and raises what."""

    returns: list[tuple[Condition, Number]] = field(default_factory=list)
    raises: list[tuple[Condition, str]] = field(default_factory=list)

    @property
    def ret(self) -> Word:
        word: Word = 0
        for when, number in self.returns:
            word = choose(when, number.low, word)
        return word

    @property
    def wrong(self) -> Condition:
        """Where it raises, or returns what is no 32-bit number."""
        beyond = [all_of(when, any_of(each.none, each.full is not None and z3.Not(
            z3.And(each.exact >= 0, each.exact <= MASK)))) for when, each in self.returns
            if each.none is not False or not each.is_word]  # fmt: skip
        return any_of(*(when for when, _ in self.raises), *beyond)


def differs(outcome: Outcome, meaning: Meaning) -> Condition:
    """On which packets the source does not do what the program does."""
    return any_of(outcome.wrong, differ(outcome.ret, meaning.ret))


def chosen_words(meaning: Meaning) -> dict[str, list[Word]]:
    """What registers hold, in a program's formula, where ways have met."""
    found: dict[str, dict[int, Word]] = {}
    for state in meaning.states:
        for name, word in held(state).items() if state else ():
            if z3.is_app_of(word, z3.Z3_OP_ITE):
                found.setdefault(name, {})[word.get_id()] = word
    return {name: list(words.values()) for name, words in found.items()}


def held(state: formula.State) -> dict[str, Word]:
    return {"A": state.A, "X": state.X, **{f"M{k}": word for k, word in enumerate(state.M)}}


def read(source: str, packet: AnyPacket, like: Meaning | None = None) -> Outcome:
    """The formula of the function `accepts(P, wirelen, notes)`.

    `like` is a program's: what is proved to be equal where ways meet is taken from it, so
    that a question about both is soon answered.
    """
    match ast.parse(source).body:
        case [ast.FunctionDef(name="accepts", decorator_list=[], args=arguments) as function]:
            if ast.unparse(arguments) == "P, wirelen, notes":
                reader = Reader(packet, like)
                reader.mark(function.body, False)
                for end in reader.block(function.body, [State()]):
                    reader.fail(end, True, "no return")
                return reader.outcome
    raise Unsupported("something else than one function accepts(P, wirelen, notes)")


def reads(node: ast.AST) -> bool:
    """Whether `at` is among the names."""
    return any(isinstance(each, ast.Name) and each.id == "at" for each in ast.walk(node))


def going(state: State) -> list[State]:
    return [] if state.when is False else [state]


def by_turn(states: list[State], asked: bool) -> list[State]:
    """What meets is joined; as long as `at` is asked for, only what holds the same number there."""
    kept: dict[object, State] = {}
    for state in states:
        at = state.names.get("at", UNSET)
        turn = (at.unset is True, at.least if at.least == at.most else None) if asked else None
        kept[turn] = joined(kept[turn], state) if turn in kept else state
    return list(kept.values())


class Reader:
    """One pass over the function, line by line.

    `asked` are the lines behind which `at` is asked for; where it tells states apart they
    stay apart, so that `if at == 7:` is a way and no condition.
    """

    def __init__(self, packet: AnyPacket, like: Meaning | None) -> None:
        self.packet, self.outcome = packet, Outcome()
        self.asked: set[int] = set()
        self.solver = z3.SolverFor("QF_AUFBV")
        self.whens = [each for each in like.reached if z3.is_or(each)] if like else []
        self.cuts = chosen_words(like) if like else {}

    def fail(self, state: State, where: Condition, error: str) -> State:
        """An error there; the state of all other packets."""
        if (raised := all_of(state.when, where)) is False:
            return state
        self.outcome.raises.append((raised, error))
        return replace(state, when=all_of(state.when, negated(where)))

    # Statements

    def block(self, body: Sequence[ast.stmt], states: list[State]) -> list[State]:
        for each in body:
            states = [after for state in states for after in self.statement(each, state)]
            met = len(states) > 1
            states = by_turn(states, id(each) in self.asked)
            if met and self.cuts:
                states = [self.cut(state) for state in states]
        return states

    def cut(self, state: State) -> State:
        """The same, in the program's words for what has been chosen: where these are proved equal."""
        names = dict(state.names)
        for word in self.whens if z3.is_or(state.when) else ():
            self.solver.set("rlimit", CUT)
            if self.solver.check(*self.packet.given, state.when != word) == z3.unsat:
                state = replace(state, when=word)
                break
        for name, number in names.items():
            if number.is_word and z3.is_app_of(number.low, z3.Z3_OP_ITE):
                for word in self.cuts.get(name, ()):
                    self.solver.set("rlimit", CUT)
                    same = self.solver.check(*self.packet.given, state.when, number.low != word)
                    if same == z3.unsat:
                        names[name] = replace(number, low=word)
                        break
        return replace(state, names=names)

    def statement(self, node: ast.stmt, state: State) -> list[State]:
        match node:
            case ast.Pass() | ast.Expr(ast.Constant()):
                return [state]
            case ast.Return(ast.expr() as value):
                number, state = self.number(value, state)
                self.outcome.returns.append((state.when, number))
                return []
            case ast.Assign(targets, value):
                number, state = self.number(value, state)
                names = [each.id for each in targets if isinstance(each, ast.Name)]
                if len(names) < len(targets) or {"P", "wirelen", "notes"} & {*names}:
                    raise Unsupported(ast.unparse(node))
                return [replace(state, names={**state.names, **dict.fromkeys(names, number)})]
            case ast.If(test, body, orelse):
                yes, no = self.ways(test, state)
                return self.block(body, going(yes)) + self.block(orelse, going(no))
            case ast.Try(body, [ast.ExceptHandler(caught, None, handler)], [], []):
                return self.guarded(body, caught, handler, state)
        raise Unsupported(ast.unparse(node))

    def guarded(
        self,
        body: Sequence[ast.stmt],
        caught: ast.expr | None,
        handler: list[ast.stmt],
        state: State,
    ) -> list[State]:
        """A try; what its one handler may do is to return a number."""
        names = {each.id for each in ast.walk(caught or ast.Constant(0))
                 if isinstance(each, ast.Name)}  # fmt: skip
        match handler:
            case [ast.Return(ast.Constant(int(value)))] if names <= {"IndexError", "error"}:
                before, self.outcome.raises = self.outcome.raises, []
                after = self.block(body, [state])
                raised, self.outcome.raises = self.outcome.raises, before
                self.outcome.raises += [each for each in raised if each[1] not in names]
                when = any_of(*(each for each, error in raised if error in names))
                self.outcome.returns.append((when, known(value)))
                return after
        raise Unsupported(f"except {names}: {ast.unparse(handler[0])}")

    def mark(self, body: Sequence[ast.stmt], after: bool) -> bool:
        """Whether `at` is asked for before it is set anew; `asked` gets each line where it is so."""
        for each in reversed(body):
            if after:
                self.asked.add(id(each))
            match each:
                case ast.If(test, then, orelse):
                    after = self.mark(then, after) | self.mark(orelse, after) | reads(test)
                case ast.Try(inner):
                    after = self.mark(inner, after)
                case ast.Assign([ast.Name("at")], ast.Constant()) | ast.Return():
                    after = False
                case _:
                    after |= reads(each)
        return after

    # Tests

    def ways(self, test: ast.expr, state: State) -> tuple[State, State]:
        """Where a test holds, and where it does not."""
        match test:
            case ast.BoolOp(op, [first, *others]):
                yes, no = self.ways(first, state)
                for each in others:
                    if isinstance(op, ast.And):
                        yes, out = self.ways(each, yes)
                        no = joined(no, out)
                    else:
                        out, no = self.ways(each, no)
                        yes = joined(yes, out)
                return yes, no
            case ast.UnaryOp(ast.Not(), operand):
                return self.ways(operand, state)[::-1]
            case ast.Compare(ast.Name(name), [ast.Is()], [ast.Constant(None)]):
                number, state = self.number(test.left, state)
                there = {**state.names, name: replace(number, none=False)}
                yes = replace(state, when=all_of(state.when, number.none))
                return yes, replace(
                    state, when=all_of(state.when, negated(number.none)), names=there
                )
            case ast.Compare(left, [ast.In() | ast.NotIn() as among], [ast.Tuple(elts)]):
                (number, *others), state = self.numbers([left, *elts], state, "")
                holds = any_of(*(self.compared(ast.Eq, number, each) for each in others))
                holds = holds if isinstance(among, ast.In) else negated(holds)
            case ast.Compare(left, [op], [right]) if type(op) in ORDER:
                error = "" if isinstance(op, ast.Eq | ast.NotEq) else "TypeError"
                (number, other), state = self.numbers([left, right], state, error)
                holds = self.compared(type(op), number, other)
            case _:
                (number,), state = self.numbers([test], state, "")
                holds = self.compared(ast.NotEq, number, known(0))
        return (
            replace(state, when=all_of(state.when, holds)),
            replace(state, when=all_of(state.when, negated(holds))),
        )

    def compared(self, op: type[ast.cmpop], a: Number, b: Number) -> Condition:
        name, exact, stays = ORDER[op]
        words = a.is_word and b.is_word
        holds = compared(name, a.low, b.low) if words else exact(a.exact, b.exact)
        return holds if stays else negated(holds)

    # Expressions

    def numbers(
        self, nodes: Sequence[ast.expr], state: State, error: str = "TypeError"
    ) -> tuple[list[Number], State]:
        """Operands, from left to right, then what an operation says of None."""
        found = []
        for each in nodes:
            number, state = self.number(each, state)
            found.append(number)
        none = any_of(*(each.none for each in found))
        if none is not False and not error:
            raise Unsupported(f"{', '.join(map(ast.unparse, nodes))} may be None")
        return [replace(each, none=False) for each in found], self.fail(state, none, error)

    def number(self, node: ast.expr, state: State) -> tuple[Number, State]:
        match node:
            case ast.Constant(int(value)) if not isinstance(value, bool):
                return known(value), state
            case ast.Name("wirelen"):
                return Number(self.packet.wirelen, 0, MASK), state
            case ast.Name(name):
                number = state.names.get(name, UNSET)
                state = self.fail(state, number.unset, "UnboundLocalError")
                return replace(number, unset=False), state
            case ast.UnaryOp(ast.USub(), operand):
                (number,), state = self.numbers([operand], state)
                return calculated("sub", known(0), number), state
            case ast.BinOp(left, op, right) if type(op) in OPERATORS:
                (a, b), state = self.numbers([left, right], state)
                name = OPERATORS[type(op)]
                if name in ("div", "mod"):
                    state = self.fail(
                        state, self.compared(ast.Eq, b, known(0)), "ZeroDivisionError"
                    )
                if state.when is False:
                    return known(0), state
                return calculated(name, a, b), state
            case ast.Subscript(ast.Name("P"), index):
                return self.load(index, 1, "IndexError", state)
            case ast.Subscript(
                ast.Call(ast.Name("word"), [ast.Name("P"), index], []), ast.Constant(0)
            ):
                return self.load(index, 4, "error", state)
            case ast.Call(ast.Name("far_load"), [at, ast.Constant(int(size)), P, notes], []):
                if ast.unparse(ast.Tuple([P, notes])) == "(P, notes)" and size in (1, 2, 4):
                    (number,), state = self.numbers([at], state)
                    return self.far_load(number, size), state
            case ast.Call(ast.Name("extension"), [ast.Constant(int(k)), A, X, P, notes], []):
                if ast.unparse(ast.Tuple([P, notes])) == "(P, notes)" and k in BY_K:
                    (a, x), state = self.numbers([A, X], state, "")
                    return self.extension(BY_K[k].name, a, x, state)
        raise Unsupported(ast.unparse(node))

    def load(self, index: ast.expr, size: int, error: str, state: State) -> tuple[Number, State]:
        """P[index], or four bytes there; from the end where it is negative."""
        (number,), state = self.numbers([index], state)
        if number.is_word:
            inside, word = self.packet.load(number.low, size)
            end = number.least + size if number.least == number.most else 0
            inside = True if 0 < end <= state.sure else inside
            state = replace(self.fail(state, negated(inside), error), sure=max(state.sure, end))
        else:
            caplen = z3.ZeroExt(BITS - 32, self.packet.caplen)
            negative = number.exact < 0
            at = number.exact + z3.If(negative, caplen, z3.BitVecVal(0, BITS))
            inside = z3.And(
                at >= 0, at + size <= caplen, z3.Implies(negative, number.exact <= -size)
            )
            word = self.packet.number(z3.simplify(z3.Extract(31, 0, at)), size)
            state = self.fail(state, z3.Not(inside), error)
        return Number(word, 0, (1 << 8 * size) - 1), state

    def far_load(self, number: Number, size: int) -> Number:
        """What `linux_loads.far_load` finds: None past the end."""
        if not number.is_word:
            raise Unsupported("far_load from what is no word")
        if number.most < LL_OFF:
            inside, word = self.packet.load(number.low, size)
            return Number(word, 0, (1 << 8 * size) - 1, none=negated(inside))
        k = term(number.low)
        net, link = self.packet.note("net_offset", FAR), self.packet.note("link_offset", FAR)
        from_net, from_link = z3.UGE(k, NET_OFF), z3.And(z3.UGE(k, LL_OFF), z3.ULT(k, NET_OFF))
        at = z3.If(from_net, net + k - NET_OFF, z3.If(from_link, link + k - LL_OFF, k))
        inside, word = self.packet.load(z3.simplify(at), size)
        lacks = z3.And(from_link, self.packet.lacks("link_offset"))
        return Number(word, 0, (1 << 8 * size) - 1, none=z3.simplify(z3.Or(z3.Not(inside), lacks)))

    def extension(self, name: str, A: Number, X: Number, state: State) -> tuple[Number, State]:
        """What `linux_loads.extension` reads: None without a device."""
        if not (A.is_word and X.is_word):
            raise Unsupported("extension of what is no word")
        if name == "alu_xor_x":
            return calculated("xor", A, X), state
        if name == "rand":
            self.packet.draws = True
            word = z3.Select(self.packet.random, term(state.drawn))
            return Number(word, 0, MASK), replace(state, drawn=combined("add", state.drawn, 1))
        if name in ("nla", "nlan"):
            self.packet.guessed.add(name)
            word = z3.Function(name, *[z3.BitVecSort(32)] * 3)(term(A.low), term(X.low))
            return Number(word, 0, MASK), state
        if name not in NOTES:
            self.packet.guessed.add(name)
        word = self.packet.note(name, NOTES.get(name, ("", MASK))[1])
        return Number(word, 0, MASK, none=name in DEVICE and self.packet.lacks(name)), state


def calculated(name: str, a: Number, b: Number) -> Number:
    """A op b, as Python's ints have it; the divisor is not 0."""
    signs = a.least < 0, b.least < 0
    if any(signs) and not (name in ("add", "sub", "mul") or (name == "and" and not all(signs))):
        raise Unsupported(f"{name} of what may be negative")
    if name in ("div", "mod", "rsh") and not (a.is_word and b.is_word):
        raise Unsupported(f"{name} of what is no word")
    if name in ("lsh", "rsh") and b.most >= BITS:
        raise Unsupported(f"a shift by {b.most}")
    if a.least == a.most and b.least == b.most:
        return known(PYTHONS[name](a.least, b.least))
    bits = (1 << max(a.most, b.most).bit_length()) - 1
    products = [x * y for x in (a.least, a.most) for y in (b.least, b.most)]
    least, most = {
        "add": (a.least + b.least, a.most + b.most),
        "sub": (a.least - b.most, a.most - b.least),
        "mul": (min(products), max(products)),
        "div": (0, a.most),
        "mod": (0, min(a.most, max(b.most - 1, 0))),
        "and": (0, min(each.most for each in (a, b) if each.least >= 0)),
        "or": (0, bits),
        "xor": (0, bits),
        "lsh": (0, a.most << b.most if name == "lsh" else 0),
        "rsh": (0, a.most),
    }[name]
    low = combined(name, a.low, b.low)
    if name == "add" and b.most < 256 and z3.is_app_of(low, z3.Z3_OP_BADD):
        low = z3.simplify(low, mul2concat=True)  # P[k] * 256 + P[k + 1] as two bytes side by side
    if name in ("lsh", "rsh"):  # `combined` takes X & 31
        low = choose(compared("jgt", b.low, 31), 0, low)
    return bounded(low, least, most, lambda: PYTHONS[name](a.exact, b.exact))
