"""Goal 3: what a packet costs from Python, by a filter of 20 instructions on the hot packets.

Each contender is called once a packet, from a loop as people write it; but native
scans all packets in one call, as it is meant to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module

import tuple_dispatch
from bpfnb.backends import native, pygen
from bpfnb.cbpf import machine
from bpfnb.cbpf.ancillary import Ancillary
from filters import EXPRESSIONS, SNAPLEN, TWENTY
from rounds import take_turns
from rows import Heading, NotMeasured, Row, faster, share
from setting import Setting

__all__ = ["measured"]

Loop = Callable[[], list[int]]  # one ret a packet
NO_NETMASK = 0xFFFFFFFF
PCAPY = "pcapy-ng"


def measured(setting: Setting) -> Iterator[Row]:
    """Three rows: interp, pygen, native."""
    size, program = len(setting.hot_packets), setting.programs[TWENTY]
    loops = by_packet(setting)
    missing = ""
    try:
        loops[PCAPY] = pcapy_loop(setting)
    except NotMeasured as reason:
        missing = str(reason)
    compiled = native.compiled(program)
    agreed(loops, compiled.scan(setting.hot.batch)[:size].tolist())
    contenders = {**loops, "native": lambda: compiled.scan(setting.hot.batch)}
    times = take_turns(contenders, setting.rounds(31), again=2)

    def heading(what: str) -> Heading:
        where = f"{size:,} packets in the cache, {len(program)} instructions"
        return Heading(3, "a packet a call from Python", where, what)

    first = heading("interp against a tuple-dispatch loop")
    yield share(first, times["interp"], times["tuple dispatch"], size, 1.2)
    second = heading("pygen against pcapy-ng's filter()")
    if missing:
        yield Row(second, missing=missing)
    else:
        yield share(second, times["pygen"], times[PCAPY], size, 1.1)
    third = heading("native, all in one call, against pygen")
    yield faster(third, times["native"], times["pygen"], (len(setting.hot), size), 50)


def by_packet(setting: Setting) -> dict[str, Loop]:
    """Ours, and the loop that the benchmark carries."""
    program, packets = setting.programs[TWENTY], setting.hot_packets
    plain = tuple((insn.code, insn.jt, insn.jf, insn.k) for insn in program.insns)
    generated, notes = pygen.compiled(program), Ancillary()
    run, dispatch = machine.run, tuple_dispatch.run
    return {
        "interp": lambda: [run(program, data) for data in packets],
        "tuple dispatch": lambda: [dispatch(plain, data, len(data)) for data in packets],
        "pygen": lambda: [generated(data, len(data), notes) for data in packets],
    }


def pcapy_loop(setting: Setting) -> Loop:
    """pcapy-ng's own compiled filter; NotMeasured where it is not installed."""
    try:
        pcapy = import_module("pcapy")
    except ImportError:
        raise NotMeasured("no pcapy-ng (pip install pcapy-ng)") from None
    made = pcapy.compile(pcapy.DLT_EN10MB, SNAPLEN, EXPRESSIONS[TWENTY], 1, NO_NETMASK)
    packets = setting.hot_packets
    return lambda: [made.filter(data) for data in packets]


def agreed(loops: dict[str, Loop], wanted: list[int]) -> None:
    """Compare every contender's rets with native's; pcapy-ng's verdict, yes or no."""
    for name, loop in loops.items():
        found = loop()
        if name == PCAPY:
            same = list(map(bool, found)) == list(map(bool, wanted))
        else:
            same = found == wanted
        if not same:
            raise AssertionError(f"{name} and native differ")
