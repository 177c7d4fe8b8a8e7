"""What pygen's Python source does on every packet at once: one exact formula, for z3.

    outcome = read(source, AnyPacket(max_len))
    outcome.ret, outcome.wrong       the verdict; where it raises, or is no 32-bit number
    differs(outcome, meaning)        where it does not do what the program does

It reads the text by `ast` and knows only what Python says of it: operands from left to
right, `and` and `or` no further than needed, names that are not bound yet, a subscript
counted from the end when it is negative, integers without an end (`python_numbers`).
Ways that meet again are joined as in `formula`.  What is not known here raises
Unsupported, and is never guessed.

Left out: what `extension` and `far_load` do with notes, which is Linux's word and the
same for machine and source; errors that they raise.

Source: Python's language reference, 4.2 and 6; `struct` for `word`, which is unpack_from.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import TypeGuard

from bpfnb.analysis.proving import formula
from bpfnb.analysis.proving.any_packet import DEVICE, FAR, NOTES, AnyPacket
from bpfnb.analysis.proving.formula import Meaning
from bpfnb.analysis.proving.terms import (
    Condition,
    Word,
    all_of,
    any_of,
    choose,
    combined,
    differ,
    negated,
    term,
    z3,
)
from bpfnb.backends import pygen
from bpfnb.cbpf.ancillary import BY_K, LL_OFF, NET_OFF
from bpfnb.cbpf.machine import MASK
from tests.python_numbers import (
    BITS,
    UNSET,
    Number,
    Unsupported,
    calculated,
    chosen,
    holding,
    known,
)

OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.FloorDiv: "div", ast.Mod: "mod",
    ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor", ast.LShift: "lsh", ast.RShift: "rsh",
}  # fmt: skip
ORDER: dict[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Gt: ">", ast.GtE: ">=", ast.Lt: "<", ast.LtE: "<=",
}  # fmt: skip
KNOWN = {"P", "notes", *pygen.NAMES, *dir(builtins)}
CUT = 200_000  # z3's effort to find what is equal where ways meet


@dataclass(frozen=True)
class State:
    """Between two lines: on which packets, what names hold, bytes that are surely there."""

    when: Condition = True
    names: Mapping[str, Number] = field(default_factory=dict)
    sure: int = 0
    drawn: Word = 0


def joined(one: State, two: State) -> State:
    """Where two ways meet."""
    if one.when is False or two.when is False:
        return two if one.when is False else one
    names = {name: chosen(one.when, one.names.get(name, UNSET), two.names.get(name, UNSET))
             for name in {**one.names, **two.names}}  # fmt: skip
    drawn = choose(one.when, one.drawn, two.drawn)
    return State(any_of(one.when, two.when), names, min(one.sure, two.sure), drawn)


@dataclass
class Outcome:
    """On which packets the function returns what, and raises what: "None" for no return."""

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


def chosen_words(meaning: Meaning) -> dict[str, dict[int, Word]]:
    """What registers hold, in a program's formula, where ways have met."""
    found: dict[str, dict[int, Word]] = {}
    for state in meaning.states:
        for name, word in registers(state).items() if state else ():
            if z3.is_app_of(word, z3.Z3_OP_ITE):
                found.setdefault(name, {})[word.get_id()] = word
    return found


def registers(state: formula.State) -> dict[str, Word]:
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
                reader.mark(function.body, frozenset())
                reader.local = {each.id for each in ast.walk(function) if is_set(each)}
                for end in reader.block(function.body, [State()]):
                    reader.fail(end, True, "None")
                return reader.outcome
    raise Unsupported("something else than one function accepts(P, wirelen, notes)")


def names(node: ast.AST) -> frozenset[str]:
    return frozenset(each.id for each in ast.walk(node) if isinstance(each, ast.Name))


def is_set(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def going(state: State) -> list[State]:
    return [] if state.when is False else [state]


def by_turn(states: list[State], live: frozenset[str]) -> list[State]:
    """What meets is joined; as long as `at` is asked for, only what holds the same number there."""
    turns: dict[object, list[State]] = {}
    for state in states:
        kept = {name: number for name, number in state.names.items() if name in live}
        at = kept.get("at", UNSET)
        turn = (at.unset is True, at.least if at.least == at.most else None)
        turns.setdefault(turn, []).append(replace(state, names=kept))
    # What came by several ways stands last: the others' conditions are soon told.
    ordered = [
        sorted(each, key=lambda state: bool(z3.is_or(state.when))) for each in turns.values()
    ]
    return [reduce(lambda two, one: joined(one, two), reversed(each)) for each in ordered]


class Reader:
    """One pass over the function, line by line.

    `live` has for each line the names that it or what follows may read.  Where `at` is
    among them states with different numbers there stay apart, so that `if at == 7:` is a
    way and no condition.
    """

    def __init__(self, packet: AnyPacket, like: Meaning | None) -> None:
        self.packet, self.outcome = packet, Outcome()
        self.live: dict[int, frozenset[str]] = {}
        self.local: set[str] = set()
        self.solver = z3.SolverFor("QF_AUFBV")
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
            if len(states) > 1:
                states = by_turn(states, self.live[id(each)])
                states = [self.cut(state) for state in states] if self.cuts else states
            states = [after for state in states for after in self.statement(each, state)]
        return states

    def cut(self, state: State) -> State:
        """The same, in the program's words for what was chosen, where they are proved equal."""
        held = dict(state.names)
        for name, number in held.items():
            words = self.cuts.get(name, {})
            if z3.is_app_of(number.low, z3.Z3_OP_ITE) and number.low.get_id() not in words:
                for word in words.values() if number.is_word else ():
                    self.solver.set("rlimit", CUT)
                    same = self.solver.check(*self.packet.given, state.when, number.low != word)
                    if same == z3.unsat:
                        held[name] = replace(number, low=word)
                        break
        return replace(state, names=held)

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
                into = [each.id for each in targets if isinstance(each, ast.Name)]
                if len(into) < len(targets) or {"wirelen", *KNOWN} & {*into}:
                    raise Unsupported(ast.unparse(node))
                return [replace(state, names={**state.names, **dict.fromkeys(into, number)})]
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
        errors = names(caught or ast.Constant(0))
        match handler:
            case [ast.Return(ast.expr() as value)] if (
                errors and errors <= {"IndexError", "error"} and not names(value)
            ):
                before, self.outcome.raises = self.outcome.raises, []
                after = self.block(body, [state])
                raised, self.outcome.raises = self.outcome.raises, before
                self.outcome.raises += [each for each in raised if each[1] not in errors]
                when = any_of(*(each for each, error in raised if error in errors))
                number, caught_state = self.number(value, State(when))
                self.outcome.returns.append((caught_state.when, number))
                return after
        raise Unsupported(f"except {', '.join(errors)}: {ast.unparse(handler[0])}")

    def mark(self, body: Sequence[ast.stmt], live: frozenset[str]) -> frozenset[str]:
        """The names read in some lines before they are set there, or behind them; for each line."""
        for each in reversed(body):
            match each:
                case ast.If(test, then, orelse):
                    live = self.mark(then, live) | self.mark(orelse, live) | names(test)
                case ast.Try(inner):
                    live = self.mark(inner, live)
                case ast.Return():
                    live = names(each)
                case ast.Assign([ast.Name(name)], value):
                    live = live - {name} | names(value)
                case _:
                    live |= names(each)
            self.live[id(each)] = live
        return live

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
                (number, *rest), state = self.numbers([left, *elts], state, "")
                holds = any_of(*(holding("==", number, each) for each in rest))
                holds = holds if isinstance(among, ast.In) else negated(holds)
            case ast.Compare(left, [op], [right]) if type(op) in ORDER:
                error = "" if isinstance(op, ast.Eq | ast.NotEq) else "TypeError"
                (number, other), state = self.numbers([left, right], state, error)
                holds = holding(ORDER[type(op)], number, other)
            case _:
                (number,), state = self.numbers([test], state, "")
                holds = holding("!=", number, known(0))
        return (
            replace(state, when=all_of(state.when, holds)),
            replace(state, when=all_of(state.when, negated(holds))),
        )

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
                return self.named(name, state)
            case ast.UnaryOp(ast.USub(), operand):
                (number,), state = self.numbers([operand], state)
                return calculated("sub", known(0), number), state
            case ast.BinOp(left, op, right) if type(op) in OPERATORS:
                (a, b), state = self.numbers([left, right], state)
                name = OPERATORS[type(op)]
                if name in ("div", "mod"):
                    state = self.fail(state, holding("==", b, known(0)), "ZeroDivisionError")
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

    def named(self, name: str, state: State) -> tuple[Number, State]:
        if name in KNOWN:
            raise Unsupported(f"{name} as a number")
        number = state.names.get(name, UNSET)
        error = "UnboundLocalError" if name in self.local else "NameError"
        return replace(number, unset=False), self.fail(state, number.unset, error)

    def load(self, index: ast.expr, size: int, error: str, state: State) -> tuple[Number, State]:
        """P[index], or four bytes there; from the end where it is negative."""
        (number,), state = self.numbers([index], state)
        if number.is_word:
            inside, word = self.packet.load(number.low, size)
            end = number.least + size if number.least == number.most else 0
            inside = True if 0 < end <= state.sure else inside
            state = replace(self.fail(state, negated(inside), error), sure=max(state.sure, end))
        else:
            if not -(1 << 62) <= number.least <= number.most < 1 << 62:
                raise Unsupported("an offset that C has no number for")
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
        from_net = z3.UGE(k, NET_OFF)
        from_link = z3.And(z3.UGE(k, LL_OFF), z3.Not(from_net))
        at = z3.If(from_net, net + (k - NET_OFF), z3.If(from_link, link + (k - LL_OFF), k))
        inside, word = self.packet.load(at, size)
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
