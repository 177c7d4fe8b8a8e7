"""The laws of the classic machine, held by Hypothesis."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from bpfnb.cbpf.asm import READERS, assemble
from bpfnb.cbpf.cfg import graph
from bpfnb.cbpf.checker import check, unsafe_reads
from bpfnb.cbpf.disasm import DIALECTS, sentence, text, transfer
from bpfnb.cbpf.insn import Insn, pack, unpack
from bpfnb.cbpf.machine import run
from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import trace
from bpfnb.errors import BpfError
from tests.strategies import legal_programs, near_legal_programs, packet_bytes

ANY_INSN = st.builds(
    Insn,
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFF),
    st.integers(0, 0xFF),
    st.integers(0, 0xFFFFFFFF),
)


@given(st.lists(ANY_INSN))
def test_unpack_is_the_inverse_of_pack(insns: list[Insn]) -> None:
    assert unpack(pack(insns)) == tuple(insns)


@given(legal_programs(), st.sampled_from(list(DIALECTS)))
def test_assemble_is_the_inverse_of_text(program: Program, dialect: str) -> None:
    assert assemble(text(program, dialect), dialect) == program
    assert assemble(text(program, dialect)) == program


@given(
    st.lists(ANY_INSN, min_size=1, max_size=30),
    st.sampled_from(["asm", "paper", "c", "decimal", "xt_bpf"]),
)
def test_any_instructions_at_all_survive_text(insns: list[Insn], dialect: str) -> None:
    program = Program(tuple(insns))
    assert assemble(text(program, dialect), dialect) == program


def outcome(words: str, dialect: str | None) -> int:
    """How many instructions or letters of complaint come out; never 0, never another error."""
    try:
        return len(assemble(words, dialect))
    except BpfError as error:
        return len(str(error))


@given(st.text(), st.sampled_from([None, *READERS]))
def test_no_text_makes_the_assembler_raise_anything_else(words: str, dialect: str | None) -> None:
    assert outcome(words, dialect)


WORDS = r"""ldh ld jeq jmp ret tax [ ] ( ) #0x800 # , : a x M L1 4* & 0xf 12 -1 +3 ; { } BPF_STMT(
.insn .k= (000) jt jf 2 len proto /* */ 08 1.2.3.4 bpf filter (2): BPF_LD | ' 6,40 0x28"""
SCRAPS = st.sampled_from([*WORDS.split(), "\n"])


@given(st.lists(SCRAPS, max_size=30).map(" ".join), st.sampled_from([None, *READERS]))
def test_no_scraps_of_programs_do_either(words: str, dialect: str | None) -> None:
    assert outcome(words, dialect)


@given(st.lists(ANY_INSN, max_size=30))
def test_anything_can_be_shown_and_checked(insns: list[Insn]) -> None:
    program = Program(tuple(insns))
    for dialect in DIALECTS:
        text(program, dialect)
    for pc, insn in enumerate(insns):
        assert transfer(insn, pc)
        assert sentence(insn, pc)
    for rules in ("linux", "libpcap"):
        assert all(fault.message for fault in check(program, rules))
    unsafe_reads(program)
    assert sum(len(block.pcs) for block in graph(program).blocks) == len(program)


CPU_AND_RAND = (0xFFFFF024, 0xFFFFF038)  # two runs may read different values there


@given(near_legal_programs(), packet_bytes())
def test_a_checked_program_ends_and_its_trace_agrees(program: Program, data: bytes) -> None:
    assume(not check(program))
    assume(all(insn.k not in CPU_AND_RAND for insn in program.insns))
    steps = trace(program, data)
    assert len(steps.steps) <= len(program)
    assert steps.ret == run(program, data)
