"""All 32 bits of the kernel's ret, though a socket shows only min(ret, length).

Each run shows one digit: every `ret` is sent to a common tail

    rsh #shift;  and #2**bits - 1;  add #1;  ret a

so that the length received is the digit plus one, and nothing received means
that the program ended by itself with 0 (a load past the end, a division by 0).
A packet of n bytes shows digits of up to log2(n) bits, at most 8; one of 0 or
1 byte shows a single bit, by arriving or not.

Instructions keep their places: `ret` turns into a `ja` to the tail, so no
conditional jump grows.  `ld ifidx` and `ld hatype`, which end a program that has
no device with A as it stands, take the tail's way first.

Left out: programs whose answer differs from run to run (`ld rand`, `ld cpu`
on several CPUs): their digits belong to different runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from bpfnb.cbpf.ancillary import BY_NAME
from bpfnb.cbpf.insn import Insn
from bpfnb.cbpf.opcodes import MAXINSNS, Form, find
from bpfnb.cbpf.program import Program
from bpfnb.errors import UnavailableError
from bpfnb.linux.sockfilter import SocketPair

__all__ = ["digit_program", "ret", "rets"]

WORD = 32  # bits of ret
DEVICE_LOADS = {BY_NAME["ifidx"].k, BY_NAME["hatype"].k}


def code(mnemonic: str, form: Form) -> int:
    """The code of an instruction that exists."""
    row = find(mnemonic, form)
    assert row is not None
    return row.code


RET_K, RET_A = code("ret", Form.IMM), code("ret", Form.A)
LD_K, JA = code("ld", Form.IMM), code("ja", Form.TARGET)
PACKET_LOADS = {code(name, Form.ABS) for name in ("ld", "ldh", "ldb")}


def digit(shift: int, bits: int, base: int) -> list[Insn]:
    """A <- (A >> shift & 2**bits - 1) + base."""
    return [
        Insn(code("rsh", Form.IMM), 0, 0, shift),
        Insn(code("and", Form.IMM), 0, 0, (1 << bits) - 1),
        Insn(code("add", Form.IMM), 0, 0, base),
    ]


def digit_program(program: Program, shift: int, bits: int, base: int = 1) -> Program:
    """Rewrite a legal program to return one digit of its ret, plus `base`.

    It is for packets without a device, such as a socket pair's.  UnavailableError
    when the rewriting would be longer than the kernel takes.

    >>> from bpfnb.cbpf.machine import run
    >>> hex(run(digit_program(Program.from_insns([(6, 0, 0, 0xABCD)]), 8, 8), b"") - 1)
    '0xab'
    """
    insns = list(program.insns)
    stubs: dict[tuple[int, int], list[Insn]] = {}
    for insn in insns:
        if insn.code == RET_K:
            stubs[RET_K, insn.k] = [Insn(LD_K, 0, 0, insn.k)]  # then a ja to the tail
        elif insn.code in PACKET_LOADS and insn.k in DEVICE_LOADS:
            load = Insn(insn.code, 0, 0, insn.k)
            stubs[insn.code, insn.k] = [*digit(shift, bits, base), load, Insn(RET_K, 0, 0, 0)]
    place, places = len(insns), {}
    for key, stub in stubs.items():
        places[key] = place
        place += len(stub) + (key[0] == RET_K)
    if place + 4 > MAXINSNS:
        raise UnavailableError(
            f"reading all bits of ret makes this program {place + 4} instructions long; "
            f"the kernel takes {MAXINSNS}"
        )
    places[RET_A, 0] = place
    for pc, insn in enumerate(insns):
        target = places.get((insn.code, 0 if insn.code == RET_A else insn.k))
        if target is not None:
            insns[pc] = Insn(JA, 0, 0, target - pc - 1)
    for key, stub in stubs.items():
        insns += stub
        if key[0] == RET_K:
            insns.append(Insn(JA, 0, 0, place - len(insns) - 1))
    return Program((*insns, *digit(shift, bits, base), Insn(RET_A, 0, 0, 0)))


def digit_bits(length: int) -> int:
    """How many bits of ret a packet of `length` bytes shows at once; 0: by arriving."""
    return min(8, max(0, length.bit_length() - 1))


def ret(program: Program, packet: bytes, pair: SocketPair | None = None) -> int:
    """Run a program in the kernel: all 32 bits of what it returns for one packet."""
    return rets(program, [packet], pair)[0]


def rets(
    program: Program, packets: Sequence[bytes], pair: SocketPair | None = None, first: int = 1
) -> list[int]:
    """Run a program in the kernel: all 32 bits of ret for each packet.

    Four runs for packets of 256 bytes and more, up to 33 for shorter ones.  `first` is
    the first packet's number, for messages.  KernelRefused when the kernel takes
    the program or its rewriting not.
    """
    if pair is None:
        with SocketPair() as own:
            return rets(program, packets, own, first)
    put_on(pair, program)  # the program itself must be legal, not only its rewriting
    found = [0] * len(packets)
    for bits in sorted({digit_bits(len(packet)) for packet in packets}):
        numbers = [i for i, packet in enumerate(packets) if digit_bits(len(packet)) == bits]
        shown = [first + i for i in numbers]
        values = read(pair, program, [packets[i] for i in numbers], bits, shown)
        for i, value in zip(numbers, values, strict=True):
            found[i] = value
    pair.prove()
    return found


def put_on(pair: SocketPair, program: Program) -> None:
    """Attach a program in place of another, which would count as memory beside it."""
    if pair.memory():
        pair.detach()
    pair.attach(program)


def read(
    pair: SocketPair, program: Program, packets: list[bytes], bits: int, numbers: Sequence[int]
) -> list[int]:
    """The rets of packets that all show digits of `bits` bits."""
    values = [0] * len(packets)
    if bits == 0:
        # nothing but arriving or not: does it reach a ret, then bit by bit
        put_on(pair, digit_program(program, 0, 1))
        ended = [length is None for length in pair.send(packets, numbers)]
    for shift in range(0, WORD, bits or 1):
        put_on(pair, digit_program(program, shift, bits or 1, base=1 if bits else 0))
        for i, length in enumerate(pair.send(packets, numbers)):
            if bits:
                values[i] |= ((length or 1) - 1) << shift
            elif length is not None and not ended[i]:
                values[i] |= 1 << shift
    return values
