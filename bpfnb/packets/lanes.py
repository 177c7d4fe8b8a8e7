"""A walk through the records of a capture file, as text for LLVM.

    module(record)     @walk: the records of a part of the file, as columns

A record tells its length and so where the next one begins; whoever follows that
chain waits for memory at every step.  So the file goes by windows that fit into the
processor's own cache, and each is first run through by many lanes, in turns, whose
waits overlap (`@race`): each begins at a guess, a place further on from where
several records in a row look sound (`@guess`).  What the lanes have looked at is in
the cache then, and one plain walk from the window's first record, which alone says
what is there, no longer waits (`@rows`).  A wrong guess costs time and nothing else.

Left out: what a record looks like.  Each format gives that as text of its own, four
functions: @next, where the record at %p ends, 0 where no sound one is; @seek, the
next place from %from on where one might be, %to or beyond where there is none; @usual, whether
one looks like those of real captures; @note, which writes row %row of the columns.
For these `@number`, four bytes in the file's order, and `@put`, a row, are here.

Legend: %base the file's first byte, %size its bytes, %faces how many interfaces a
record may name, %p and %at places in the file, counted from its first byte.
"""

from __future__ import annotations

import sys
from string import Template
from typing import NamedTuple

__all__ = ["COLUMNS", "WINDOW", "Record", "module"]

LANES = 32
WINDOW = 4 << 20  # bytes whose records' headers fit into a cache of 1 MiB
SPAN = 1 << 16  # bytes that are searched for a lane's first record
PROOF = 4  # records in a row that make a guess
COLUMNS = "ptr %offsets, ptr %lengths, ptr %wires, ptr %times, ptr %faces.of"  # where @note writes


class Record(NamedTuple):
    """A format's records: its functions as text, and their byte order, "<" or ">".

    `smallest` is the least that a record can be long, `step` what all their places are
    a multiple of.
    """

    functions: str
    order: str
    smallest: int
    step: int = 1


def module(record: Record) -> str:
    """The functions of a format and the walk around them."""
    swapped = (record.order == "<") != (sys.byteorder == "little")
    number = SWAPPED if swapped else STRAIGHT
    walk = WALK.substitute(
        LANES=LANES,
        ROUNDS=16,
        BYTES=8 * LANES,
        ROOMS=LANES + 1,
        WINDOW=WINDOW,
        SPAN=SPAN,
        PROOF=PROOF,
        STEP=record.step,
    )
    return "\n".join([number, PUT, record.functions, walk])


STRAIGHT = """
define internal i32 @number(ptr readonly %base, i64 %at) nounwind alwaysinline {
  %place = getelementptr i8, ptr %base, i64 %at
  %value = load i32, ptr %place, align 1
  ret i32 %value
}"""
SWAPPED = """
declare i32 @llvm.bswap.i32(i32)
define internal i32 @number(ptr readonly %base, i64 %at) nounwind alwaysinline {
  %place = getelementptr i8, ptr %base, i64 %at
  %value = load i32, ptr %place, align 1
  %turned = call i32 @llvm.bswap.i32(i32 %value)
  ret i32 %turned
}"""
PUT = """
define internal void @put(i64 %row, i64 %offset, i32 %length, i32 %wirelen, i64 %time,
    ptr %offsets, ptr %lengths, ptr %wires, ptr %times) nounwind alwaysinline {
  %offset.to = getelementptr i64, ptr %offsets, i64 %row
  store i64 %offset, ptr %offset.to
  %length.to = getelementptr i32, ptr %lengths, i64 %row
  store i32 %length, ptr %length.to
  %wire.to = getelementptr i32, ptr %wires, i64 %row
  store i32 %wirelen, ptr %wire.to
  %time.to = getelementptr i64, ptr %times, i64 %row
  store i64 %time, ptr %time.to
  ret void
}"""
WALK = Template("""
; Rows for the records that begin from %first up to %last; how many.  %reached: where that ended.
define i64 @walk(ptr readonly %base, i64 %size, i64 %faces, i64 %first, i64 %last,
    ptr %offsets, ptr %lengths, ptr %wires, ptr %times, ptr %faces.of, ptr %reached) nounwind {
start:
  %starts = alloca [$ROOMS x i64]
  store i64 %first, ptr %reached
  br label %window
window:
  %begin = phi i64 [ %first, %start ], [ %here, %walked ]
  %row = phi i64 [ 0, %start ], [ %row.next, %walked ]
  %left = icmp ult i64 %begin, %last
  br i1 %left, label %next, label %done
next:
  %whole = add i64 %begin, $WINDOW
  %late = icmp ugt i64 %whole, %last
  %end = select i1 %late, i64 %last, i64 %whole
  %lanes = call i64 @guess(ptr %base, i64 %size, i64 %faces, i64 %begin, i64 %end, ptr %starts)
  call void @race(ptr %base, i64 %size, i64 %faces, i64 %lanes, ptr %starts)
  %row.next = call i64 @rows(ptr %base, i64 %size, i64 %faces, i64 %begin, i64 %end, i64 %row,
      ptr %offsets, ptr %lengths, ptr %wires, ptr %times, ptr %faces.of, ptr %reached)
  %here = load i64, ptr %reached
  %stuck = icmp ult i64 %here, %end
  br i1 %stuck, label %done, label %walked
walked:
  br label %window
done:
  %rows = phi i64 [ %row, %window ], [ %row.next, %next ]
  ret i64 %rows
}

; starts[0] <- %first, the others guesses in rising order, %end behind the last; how many lanes.
define internal i64 @guess(ptr readonly %base, i64 %size, i64 %faces, i64 %first, i64 %end,
    ptr %starts) nounwind {
start:
  store i64 %first, ptr %starts
  %whole = sub i64 %end, %first
  %part = udiv i64 %whole, $LANES
  br label %lane
lane:
  %i = phi i64 [ 1, %start ], [ %i.next, %behind ]
  %lanes = phi i64 [ 1, %start ], [ %lanes.next, %behind ]
  %last = phi i64 [ %first, %start ], [ %last.next, %behind ]
  %way = mul i64 %i, %part
  %cut = add i64 %first, %way
  %beyond = add i64 %last, 1
  %passed = icmp ult i64 %cut, %beyond
  %wish = select i1 %passed, i64 %beyond, i64 %cut
  %up = add i64 %wish, ${STEP}
  %up.less = sub i64 %up, 1
  %odd = urem i64 %up.less, $STEP
  %from = sub i64 %up.less, %odd
  %furthest = add i64 %from, $SPAN
  %late = icmp ugt i64 %furthest, %end
  %to = select i1 %late, i64 %end, i64 %furthest
  br label %try
try:
  %p.from = phi i64 [ %from, %lane ], [ %p.next, %on ]
  %p = call i64 @seek(ptr %base, i64 %size, i64 %p.from, i64 %to)
  %left = icmp ult i64 %p, %to
  br i1 %left, label %look, label %behind
look:
  %sound = call i1 @sound(ptr %base, i64 %size, i64 %faces, i64 %p)
  br i1 %sound, label %found, label %on
on:
  %p.next = add i64 %p, $STEP
  br label %try
found:
  %start.at = getelementptr i64, ptr %starts, i64 %lanes
  store i64 %p, ptr %start.at
  %lanes.more = add i64 %lanes, 1
  br label %behind
behind:
  %lanes.next = phi i64 [ %lanes.more, %found ], [ %lanes, %try ]
  %last.next = phi i64 [ %p, %found ], [ %last, %try ]
  %i.next = add i64 %i, 1
  %again = icmp ult i64 %i.next, $LANES
  br i1 %again, label %lane, label %done
done:
  %end.at = getelementptr i64, ptr %starts, i64 %lanes.next
  store i64 %end, ptr %end.at
  ret i64 %lanes.next
}

; Whether $PROOF records in a row from %first on look like those of a capture.
define internal i1 @sound(ptr readonly %base, i64 %size, i64 %faces, i64 %first) nounwind {
start:
  br label %more
more:
  %i = phi i64 [ 0, %start ], [ %i.next, %good ]
  %p = phi i64 [ %first, %start ], [ %next, %good ]
  %over = icmp eq i64 %p, %size
  br i1 %over, label %yes, label %look
look:
  %next = call i64 @next(ptr %base, i64 %size, i64 %faces, i64 %p)
  %there = icmp ne i64 %next, 0
  br i1 %there, label %check, label %no
check:
  %usual = call i1 @usual(ptr %base, i64 %p)
  br i1 %usual, label %good, label %no
good:
  %i.next = add i64 %i, 1
  %enough = icmp eq i64 %i.next, $PROOF
  br i1 %enough, label %yes, label %more
yes:
  ret i1 true
no:
  ret i1 false
}

; A step of each lane in turn, up to the next one's start, until none gets further: what each
; has looked at is in the cache then.  Few instructions a step, so that the processor has many
; lanes' steps at hand while their memory comes: who is still on the way is asked once in
; $ROUNDS rounds, and a lane that is over stands at the highest place there is.
define internal void @race(ptr readonly %base, i64 %size, i64 %faces, i64 %lanes, ptr %starts)
    nounwind {
start:
  %places = alloca [$LANES x i64]
  call void @llvm.memset.p0.i64(ptr %places, i8 -1, i64 $BYTES, i1 false)
  %bytes = mul i64 %lanes, 8
  call void @llvm.memcpy.p0.p0.i64(ptr %places, ptr %starts, i64 %bytes, i1 false)
  br label %round
round:
  %r = phi i64 [ 0, %start ], [ %r.next, %over ], [ 0, %again ]
  br label %lane
lane:
  %i = phi i64 [ 0, %round ], [ %i.next, %turn ]
  %i.next = add nuw nsw i64 %i, 1
  %place.at = getelementptr i64, ptr %places, i64 %i
  %p = load i64, ptr %place.at
  %stop.at = getelementptr i64, ptr %starts, i64 %i.next
  %stop = load i64, ptr %stop.at
  %short = icmp ult i64 %p, %stop
  br i1 %short, label %step, label %turn
step:
  %next = call i64 @next(ptr %base, i64 %size, i64 %faces, i64 %p)
  %good = icmp ne i64 %next, 0
  %stand = select i1 %good, i64 %next, i64 -1
  store i64 %stand, ptr %place.at
  br label %turn
turn:
  %others = icmp ult i64 %i.next, $LANES
  br i1 %others, label %lane, label %over, !llvm.loop !0
over:
  %r.next = add nuw nsw i64 %r, 1
  %rounds = icmp ult i64 %r.next, $ROUNDS
  br i1 %rounds, label %round, label %ask
ask:
  %k = phi i64 [ 0, %over ], [ %k.next, %asked ]
  %k.next = add nuw nsw i64 %k, 1
  %its.place.at = getelementptr i64, ptr %places, i64 %k
  %its.place = load i64, ptr %its.place.at
  %its.stop.at = getelementptr i64, ptr %starts, i64 %k.next
  %its.stop = load i64, ptr %its.stop.at
  %on.its.way = icmp ult i64 %its.place, %its.stop
  br i1 %on.its.way, label %again, label %asked
asked:
  %rest = icmp ult i64 %k.next, $LANES
  br i1 %rest, label %ask, label %done
again:
  br label %round
done:
  ret void
}
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
!0 = distinct !{!0, !1}
!1 = !{!"llvm.loop.unroll.count", i32 8}

; A row for each record from %first on, one behind the other, from row %above on; the row behind.
define internal i64 @rows(ptr readonly %base, i64 %size, i64 %faces, i64 %first, i64 %end,
    i64 %above, ptr noalias %offsets, ptr noalias %lengths, ptr noalias %wires, ptr noalias %times,
    ptr noalias %faces.of, ptr %reached) nounwind {
start:
  br label %record
record:
  %p = phi i64 [ %first, %start ], [ %next, %sound ]
  %row = phi i64 [ %above, %start ], [ %row.next, %sound ]
  %short = icmp ult i64 %p, %end
  br i1 %short, label %look, label %done
look:
  %next = call i64 @next(ptr %base, i64 %size, i64 %faces, i64 %p)
  %good = icmp ne i64 %next, 0
  br i1 %good, label %sound, label %done
sound:
  call void @note(ptr %base, i64 %p, i64 %row, ptr %offsets, ptr %lengths, ptr %wires,
      ptr %times, ptr %faces.of)
  %row.next = add i64 %row, 1
  br label %record
done:
  store i64 %p, ptr %reached
  ret i64 %row
}""")
