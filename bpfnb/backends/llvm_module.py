"""The whole text that LLVM is given of a program: its function, and loops over many packets.

    module(program)            @filter over one packet, @scan over many
    counting_module(program)   a @scan that also counts what runs
    located_module(program)    @filter alone, which tells where each line came from

A program of usual size stands in it twice: `whole` checks each load against the packet's
length; `fast`, for packets that are long enough for every load at a constant offset
(`reach_of`), checks none of these and is inlined into the loop.
Left out: the instructions (`lowering`), compiling the text (`jit`), handing it packets
(`native`).

Legend: as in `lowering`; %base the batch's first byte, %i a packet's number.
"""

from __future__ import annotations

from bpfnb.backends.facts import NOTES
from bpfnb.backends.flow import SIGNED, constant_end
from bpfnb.backends.lowering import LOCATIONS, PACKET, Lowering
from bpfnb.cbpf.ancillary import LL_OFF, NET_OFF
from bpfnb.cbpf.opcodes import BY_CODE, Form
from bpfnb.cbpf.program import Program

__all__ = ["counting_module", "located_module", "module", "reach_of"]

HEADERS = 192  # bytes that `fast` may ask a packet to have
CLONED = 512  # instructions up to which a program gets a `fast` copy, and is inlined
SHORT, ROUNDS = 32, 4  # up to so many instructions the loop does so many packets a round
AHEAD = 32  # packets between asking for a header and reading it
ARGUMENTS = "ptr %P, i64 %len, i32 %wire, ptr %notes, i64 %at, ptr %ask"


def module(program: Program) -> str:
    """`@filter` runs on one packet, `@scan` on those from %first up to %last."""
    parts = [heading(program), Lowering(program).function("whole", "noinline")]
    if len(program) <= CLONED:
        reach = reach_of(program)
        parts += [Lowering(program, reach).function("fast", "alwaysinline"), entry(reach)]
        parts.append(scan("filter", "fast"))
    else:
        parts.append(scan("whole", "whole"))
    rounds = ROUNDS if len(program) <= SHORT else 1
    return "\n".join([*parts, declarations(program), UNROLL.format(rounds)])


def counting_module(program: Program) -> str:
    """`@scan` also counts in %counts, three i64 an instruction: see `Lowering.counted`."""
    body = Lowering(program, counting=True).function("whole", "")
    return "\n".join(
        [
            heading(program),
            body,
            scan("whole", "whole", counting=True),
            declarations(program),
            UNROLL.format(1),
        ]
    )


def located_module(program: Program) -> str:
    """`@filter` for people: its debug lines are pcs, counted from 1 as lines are."""
    lowering = Lowering(program, located=True)
    body = lowering.function("filter", "").replace("define internal", "define", 1)
    body = body.replace(" nounwind", " nounwind !dbg !5", 1)
    places = [f"!{LOCATIONS + pc} = {LOCATION.format(pc + 1)}" for pc in range(len(program))]
    return "\n".join([heading(program), body, declarations(program), DEBUG, *places])


def heading(program: Program) -> str:
    """A comment; a program's origin may hold anything, so only its size is told."""
    return f"; {len(program)} instructions of classic BPF"


def declarations(program: Program) -> str:
    """What the functions call."""
    return FAR + DECLARATIONS if wanders(program) else DECLARATIONS


def wanders(program: Program) -> bool:
    """Whether a load may count from the network or link header."""
    return any(
        BY_CODE[insn.code].form is Form.IND or (BY_CODE[insn.code].size and insn.k >= SIGNED)
        for insn in program.insns
    )


def reach_of(program: Program) -> int:
    """How long a packet must be for no load at a constant offset to end the program.

    Loads beyond HEADERS do not count: `fast` checks these too.
    """
    ends = [end for end in map(constant_end, program.insns) if end is not None and end <= HEADERS]
    return max(ends, default=0)


def entry(reach: int) -> str:
    """`@filter`: the copy that fits the packet's length."""
    return f"""
define internal i32 @filter({PACKET}) nounwind noinline {{
  %long = icmp uge i64 %len, {reach}
  br i1 %long, label %quick, label %careful, !prof !0
quick:
  %verdict = call i32 @fast({ARGUMENTS})
  ret i32 %verdict
careful:
  %ret = call i32 @whole({ARGUMENTS})
  ret i32 %ret
}}"""


def scan(callee: str, quick: str, counting: bool = False) -> str:
    """`@scan`: rets[i] <- the callee on packet i, for first <= i < last.

    Where %sure says that all packets are long enough, `quick` is called instead.
    Both of these loops ask for later packets' headers, which pays even where they
    are in a cache, though not the nearest, and leave the last AHEAD to a third.
    """
    extra, handed = (", ptr %counts", ", ptr %counts") if counting else ("", "")
    return f"""
define void @scan(ptr readonly %base, ptr readonly %offsets, ptr readonly %lengths,
    ptr readonly %wires, ptr readonly %facts, i64 %stride, ptr %ask, ptr noalias %rets,
    i1 %sure, i64 %first, i64 %last{extra}) nounwind {{
  %far = add i64 %first, {AHEAD}
  %many = icmp ult i64 %far, %last
  %calm = sub i64 %last, {AHEAD}
  br i1 %many, label %most, label %rest
most:
  br i1 %sure, label %quick, label %any
{loop("quick", quick, handed, ("most", "rest"), ("first", "calm"), ahead=True, unroll=True)}
{loop("any", callee, handed, ("most", "rest"), ("first", "calm"), ahead=True)}
rest:
  %from = phi i64 [ %first, %0 ], [ %calm, %quick ], [ %calm, %any ]
  %some = icmp ult i64 %from, %last
  br i1 %some, label %end, label %done
{loop("end", callee, handed, ("rest", "done"), ("from", "last"))}
done:
  ret void
}}"""


def loop(
    name: str,
    callee: str,
    handed: str,
    ways: tuple[str, str],
    places: tuple[str, str],
    ahead: bool = False,
    unroll: bool = False,
) -> str:
    """rets[i] <- the callee on packet i, for begin <= i < end, of which there is one at least.

    `ways` are the blocks before and after, `places` begin and end.  It may ask for
    headers `ahead`, which must be there for AHEAD packets more than it runs on.
    """
    (before, after), (begin, end) = ways, places
    unrolled = ", !llvm.loop !8" if unroll else ""
    text = f"""
{name}:
  %@ = phi i64 [ %{begin}, %{before} ], [ %@.next, %{name} ]
  {AHEAD_OF if ahead else ""}
  %@.offset.place = getelementptr i64, ptr %offsets, i64 %@
  %@.offset = load i64, ptr %@.offset.place
  %@.P = getelementptr i8, ptr %base, i64 %@.offset
  %@.len.place = getelementptr i32, ptr %lengths, i64 %@
  %@.len.32 = load i32, ptr %@.len.place
  %@.len = zext i32 %@.len.32 to i64
  %@.wire.place = getelementptr i32, ptr %wires, i64 %@
  %@.wire = load i32, ptr %@.wire.place
  %@.row = mul i64 %@, %stride
  %@.notes = getelementptr i64, ptr %facts, i64 %@.row
  %@.ret = call i32 @{callee}(ptr %@.P, i64 %@.len, i32 %@.wire, ptr %@.notes, i64 %@,
      ptr %ask{handed})
  %@.ret.place = getelementptr i32, ptr %rets, i64 %@
  store i32 %@.ret, ptr %@.ret.place
  %@.next = add i64 %@, 1
  %@.more = icmp ult i64 %@.next, %{end}
  br i1 %@.more, label %{name}, label %{after}{unrolled}"""
    return text.replace("%@", f"%{name}.i")[1:]


AHEAD_OF = f"""%@.soon = add i64 %@, {AHEAD}
  %@.soon.place = getelementptr i64, ptr %offsets, i64 %@.soon
  %@.soon.offset = load i64, ptr %@.soon.place
  %@.soon.P = getelementptr i8, ptr %base, i64 %@.soon.offset
  call void @llvm.prefetch.p0(ptr %@.soon.P, i32 0, i32 3, i32 1)"""
FAR = f"""
; Where bytes begin whose offset counts from the network or link header; -1: not in the packet.
define internal i64 @far(i64 %offset, i64 %size, i64 %len, ptr readonly %notes)
    nounwind noinline cold {{
  %net = icmp uge i64 %offset, {NET_OFF}
  %net.base.at = getelementptr i64, ptr %notes, i64 {NOTES.index("net_offset")}
  %net.base = load i64, ptr %net.base.at
  %link.base.at = getelementptr i64, ptr %notes, i64 {NOTES.index("link_offset")}
  %link.base = load i64, ptr %link.base.at
  %base = select i1 %net, i64 %net.base, i64 %link.base
  %zero = select i1 %net, i64 {NET_OFF}, i64 {LL_OFF}
  %above = sub i64 %offset, %zero
  %start = add i64 %above, %base
  %end = add i64 %start, %size
  %counts = icmp sge i64 %above, 0
  %behind = icmp sge i64 %start, 0
  %inside = icmp sle i64 %end, %len
  %placed = and i1 %counts, %behind
  %there = and i1 %placed, %inside
  %found = select i1 %there, i64 %start, i64 -1
  ret i64 %found
}}"""
DECLARATIONS = """
declare i16 @llvm.bswap.i16(i16)
declare i32 @llvm.bswap.i32(i32)
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
!0 = !{!"branch_weights", i32 1000, i32 1}
!1 = !{}
"""
UNROLL = """!8 = distinct !{{!8, !9}}
!9 = !{{!"llvm.loop.unroll.count", i32 {}}}
"""
DEBUG = """
!llvm.dbg.cu = !{!2}
!llvm.module.flags = !{!3}
!2 = distinct !DICompileUnit(language: DW_LANG_C99, file: !4, emissionKind: LineTablesOnly)
!3 = !{i32 2, !"Debug Info Version", i32 3}
!4 = !DIFile(filename: "filter", directory: "")
!5 = distinct !DISubprogram(name: "filter", file: !4, line: 1, type: !6, unit: !2,
    spFlags: DISPFlagDefinition)
!6 = !DISubroutineType(types: !7)
!7 = !{null}
"""
LOCATION = "!DILocation(line: {}, column: 0, scope: !5)"
