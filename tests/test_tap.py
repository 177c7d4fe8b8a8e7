"""The tap's rules: buffers that take turns, what a listener keeps, and what becomes of packets.

The rules are those of net/bpf.c of 4.4BSD-Lite2.  `Kernel` is them once more, as short as
they stand there, and the model must do the same on every traffic.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bpfnb as bpf
from bpfnb.course import tap
from bpfnb.samples import ALICE, BOB

MS, US = tap.MILLISECOND, tap.MICROSECOND


def listening(bufsize: int = 4096, text: str = "", **mode: object) -> tap.Listener:
    program = bpf.assemble(text) if text else None
    return tap.Interface("le0", BOB.mac).listen("x", program, bufsize=bufsize, **mode)  # type: ignore[arg-type]


def balanced(counts: tap.Counts) -> bool:
    kept = counts.dropped + counts.buffered + counts.delivered
    return counts.recv == counts.rejected + counts.accepted and counts.accepted == kept


# Buffers


def test_the_names_move_on_when_a_packet_does_not_fit() -> None:
    pair = tap.Buffers(100)
    assert [pair.put(bytes(50)) for _ in range(3)] == [
        tap.Put.STORED,
        tap.Put.ROTATED,  # 52 + 50 is more than 100
        tap.Put.DROPPED,
    ]
    assert [pair.role(each) for each in pair.all] == ["hold", "store"]
    assert pair.free is None


def test_a_record_that_just_fits_does() -> None:
    pair = tap.Buffers(100)
    assert pair.put(bytes(49)) is tap.Put.STORED
    assert pair.put(bytes(48)) is tap.Put.STORED  # 52 + 48
    assert len(pair.store.data) == 100


def test_reading_frees_what_was_held_and_keeps_what_is_stored() -> None:
    pair = tap.Buffers(100)
    for size in (60, 70):
        pair.put(bytes([size]) * size)
    data, packets = pair.take()
    assert (data, packets) == (bytes([60]) * 60, 1)
    assert pair.hold is None
    assert pair.free is pair.all[0]
    assert pair.put(bytes(80)) is tap.Put.ROTATED


def test_flushing_forgets_everything_and_frees_what_was_held() -> None:
    pair = tap.Buffers(100)
    for size in (60, 70):
        pair.put(bytes(size))
    assert pair.flush() == 2
    assert pair.packets == 0
    assert pair.hold is None
    assert pair.free is not None


@dataclass
class Kernel:
    """catchpacket and bpfread, by lengths alone."""

    bufsize: int
    slen: int = 0
    hlen: int = 0
    held: bool = False
    free: bool = True
    dcount: int = 0
    reads: list[int] = field(default_factory=list)

    def catchpacket(self, pktlen: int, snaplen: int) -> None:
        totlen = 18 + min(snaplen, pktlen)
        if totlen > self.bufsize:
            totlen = self.bufsize
        curlen = (self.slen + 3) & ~3
        if curlen + totlen > self.bufsize:
            if not self.free:
                self.dcount += 1
                return
            self.held, self.hlen, self.free = True, self.slen, False
            curlen = 0
        self.slen = curlen + totlen

    def read(self) -> None:
        if self.held:
            self.reads.append(self.hlen)
            self.held, self.free, self.hlen = False, True, 0


@given(
    st.integers(32, 400),
    st.lists(st.none() | st.tuples(st.integers(14, 300), st.sampled_from([1, 34, 68, 2**32 - 1]))),
)
def test_listener_and_kernel_do_the_same(bufsize: int, steps: list[tuple[int, int] | None]) -> None:
    kernel, listener = Kernel(bufsize), listening(bufsize)
    reads = []
    for step in steps:
        if step is None:
            kernel.read()
            if data := listener.poll():
                reads.append(len(data))
        else:
            kernel.catchpacket(*step)
            listener.tap(bpf.Packet(bytes(step[0]), linktype=1), step[1])
        assert len(listener.buffers.store.data) == kernel.slen
        assert (listener.buffers.hold is not None, listener.dropped) == (kernel.held, kernel.dcount)
        assert balanced(listener.counts)
    assert reads == kernel.reads


# What is kept


def test_the_filter_says_how_much_is_copied() -> None:
    listener = listening(text="ret #20", immediate=True)
    listener.tap(tap.sized(100)[0])
    (record,) = tap.records(listener.poll())
    assert (record.caplen, record.datalen) == (20, 100)
    assert record.data == tap.sized(100)[0].data[:20]


def test_a_packet_larger_than_a_buffer_is_cut() -> None:
    listener = listening(64, immediate=True)
    listener.tap(tap.sized(100)[0])
    (record,) = tap.records(listener.poll())
    assert (record.caplen, record.datalen) == (64 - 18, 100)


def test_a_rejected_packet_is_counted_and_nothing_else() -> None:
    listener = listening(text="ret #0")
    listener.tap(tap.sized(100)[0])
    assert listener.counts == tap.Counts(recv=1, rejected=1)
    assert not listener.moments


def test_the_newest_packets_are_lost() -> None:
    listener = listening(200)
    for packet in tap.sized(60, 9):
        listener.tap(packet)
    listener.poll()
    listener.tap(tap.sized(60)[0])
    first = [packet.data for packet in tap.sized(60, 9)]
    kept = [record.data for record in tap.records(listener.poll())]
    assert kept == first[2:4]
    assert listener.dropped == 5


# When a read returns


def reads_of(mode: dict[str, object], every: int, until: int = tap.SECOND) -> tap.Reader:
    le0 = tap.Interface("le0", BOB.mac)
    reader = tap.Reader(le0.listen("x", **mode))  # type: ignore[arg-type]
    le0.play(tap.steady(tap.sized(100, 5), every))
    le0.clock.run(until)
    return reader


def test_without_a_time_out_a_read_waits_for_a_full_buffer() -> None:
    assert reads_of({}, MS).reads == []
    full = reads_of({"bufsize": 256}, MS)  # two records of 118 fit
    assert full.reads == [(2 * MS, 2, 238), (4 * MS, 2, 238)]


def test_immediate_mode_gives_each_packet_when_it_comes() -> None:
    reader = reads_of({"immediate": True}, 3 * MS)
    assert reader.reads == [(at * 3 * MS, 1, 118) for at in range(5)]


def test_a_time_out_gives_what_there_is_and_then_counts_again() -> None:
    reader = reads_of({"timeout_ns": 10 * MS}, 4 * MS)  # packets at 0, 4, 8, 12, 16
    assert [(time, packets) for time, packets, _ in reader.reads] == [(10 * MS, 3), (20 * MS, 2)]


def test_a_time_out_with_nothing_gives_nothing_and_the_next_read_begins_then() -> None:
    le0 = tap.Interface("le0", BOB.mac)
    reader = tap.Reader(le0.listen("x", timeout_ns=10 * MS))
    le0.play([tap.Arrival(34 * MS, tap.sized(60)[0]), tap.Arrival(36 * MS, tap.sized(60)[0])])
    assert le0.clock.run() == 50 * MS
    assert [(time, packets) for time, packets, _ in reader.reads] == [(40 * MS, 2)]
    assert reader.empty == 4  # at 10, 20, 30 and 50 ms


def test_an_idle_clock_ends() -> None:
    le0 = tap.Interface("le0", BOB.mac)
    reader = tap.Reader(le0.listen("x", timeout_ns=MS))
    assert le0.clock.run() == MS
    assert reader.empty == 1


def test_immediate_mode_after_a_silence_with_a_time_out_is_still_immediate() -> None:
    le0 = tap.Interface("le0", BOB.mac)
    reader = tap.Reader(le0.listen("x", timeout_ns=10 * MS, immediate=True))
    le0.play([tap.Arrival(34 * MS, tap.sized(60)[0])])
    le0.clock.run()
    assert [time for time, *_ in reader.reads] == [34 * MS]


def test_a_busy_process_does_not_read() -> None:
    le0 = tap.Interface("le0", BOB.mac)
    reader = tap.Reader(le0.listen("x", immediate=True), per_read=5 * MS, per_packet=MS)
    le0.play(tap.steady(tap.sized(60, 3), MS))
    le0.clock.run()
    assert [(time, packets) for time, packets, _ in reader.reads] == [(0, 1), (6 * MS, 2)]


# Every packet is somewhere

traffic = st.lists(st.tuples(st.integers(0, 3 * MS), st.integers(60, 400)), min_size=1, max_size=60)


@settings(max_examples=60)
@given(
    traffic,
    st.integers(64, 2000),
    st.booleans(),
    st.sampled_from([0, MS, 10 * MS]),
    st.integers(0, 4 * MS),
    st.sampled_from(["ret #0", "ret #-1", "ret #40", "ld #len\njgt #200, +0, +1\nret #-1\nret #0"]),
    st.booleans(),
)
def test_received_is_rejected_and_dropped_and_buffered_and_delivered(
    packets: list[tuple[int, int]],
    size: int,
    immediate: bool,
    timeout_ns: int,
    per_packet: int,
    text: str,
    by_nit: bool,
) -> None:
    def run() -> tuple[tap.Counts, list[tuple[int, int, int]], tuple[tap.Moment, ...]]:
        le0 = tap.Interface("le0", BOB.mac)
        listener: tap.Listening
        if by_nit:
            listener = le0.listen_by_nit("x", bpf.assemble(text), chunksize=size)
        else:
            listener = le0.listen("x", bpf.assemble(text), bufsize=size)
        listener.immediate, listener.timeout_ns = immediate, timeout_ns
        reader = tap.Reader(listener, per_packet=per_packet)
        now, arrivals = 0, []
        for wait, length in packets:
            now += wait
            arrivals.append(tap.Arrival(now, bpf.Packet(frame(length), linktype=1)))
        le0.play(arrivals)
        le0.clock.run()
        assert sum(count for _, count, _ in reader.reads) == listener.delivered
        assert [moment.time_ns for moment in listener.moments] == sorted(
            moment.time_ns for moment in listener.moments
        )
        return listener.counts, reader.reads, tuple(listener.moments)

    counts, reads, moments = run()
    assert balanced(counts)
    assert counts.recv == len(packets)
    if timeout_ns or immediate:
        assert counts.buffered == 0
    assert run() == (counts, reads, moments)  # the same each time


def frame(length: int) -> bytes:
    return bytes.fromhex(BOB.mac.replace(":", "")) + bytes(length - 6)


# The card, the stack, and promiscuous mode


def test_a_card_takes_what_is_for_its_host_or_for_a_group_or_from_it() -> None:
    mixed = bpf.samples.open("mixed")
    for host in (ALICE, BOB):
        mac = bytes.fromhex(host.mac.replace(":", ""))
        le0 = tap.Interface("le0", host.mac)
        le0.play(tap.replay(mixed))
        le0.clock.run()
        mine = [p for p in mixed if p.data[6:12] == mac]
        for_me = [p for p in mixed if p.data[6:12] != mac and (p.data[:6] == mac or p.data[0] & 1)]
        assert (le0.sent, le0.to_stack) == (len(mine), len(for_me))
        assert (le0.seen, le0.taken) == (len(mixed), len(mine) + len(for_me))


def test_promiscuous_mode_is_the_cards_and_all_listeners_have_it() -> None:
    le0 = tap.Interface("le0", "02:00:00:00:00:0d")
    quiet = le0.listen("quiet")
    packets = tap.sized(60, 3)
    le0.play(tap.steady(packets, US))
    le0.clock.run()
    assert (quiet.recv, le0.taken) == (0, 0)
    le0.listen("nosy", promiscuous=True)
    le0.play(tap.steady(packets, US))
    le0.clock.run()
    assert (quiet.recv, le0.taken, le0.to_stack) == (3, 3, 0)


def test_each_listener_has_its_own_filter_and_copy() -> None:
    le0 = tap.Interface("le0", ALICE.mac)
    mixed = bpf.samples.open("mixed")
    texts = ("arp", "udp port 53", "icmp6", "")
    listeners = [le0.listen(text, bpf.compile_filter(text), bufsize=32768) for text in texts]
    le0.play(tap.replay(mixed))
    le0.clock.run()
    for text, each in zip(texts, listeners, strict=True):
        assert each.counts.accepted == len(bpf.compile_filter(text).filter(mixed))
        assert each.recv == len(mixed)


def test_an_illegal_filter_is_refused_where_it_is_given() -> None:
    with pytest.raises(bpf.CheckError):
        tap.Interface().listen("x", bpf.Program.from_insns([(0x60, 0, 0, 3), (0x16, 0, 0, 0)]))


# NIT


def test_nit_copies_what_it_rejects_and_bpf_does_not() -> None:
    le0 = tap.Interface("le0", BOB.mac)
    never = bpf.assemble("ret #0")
    nit, other = le0.listen_by_nit("nit", never), le0.listen("bpf", never)
    le0.play(tap.steady(tap.sized(100, 7), US))
    le0.clock.run()
    assert (nit.counts.copied, other.counts.copied) == (700, 0)
    assert nit.counts.rejected == other.counts.rejected == 7


def test_nit_cuts_before_it_filters() -> None:
    le0 = tap.Interface("le0", BOB.mac)
    port = bpf.assemble("ldh [36]\njeq #9, +0, +1\nret #-1\nret #0")
    whole, cut = le0.listen_by_nit("a", port), le0.listen_by_nit("b", port, snaplen=34)
    le0.play(tap.steady(tap.sized(100, 2), US))
    le0.clock.run()
    assert (whole.counts.accepted, cut.counts.accepted) == (2, 0)


def test_chunks_are_of_whole_messages_with_both_lengths_before_each() -> None:
    nit = tap.Interface("le0", BOB.mac).listen_by_nit("nit", chunksize=160)
    for packet in tap.sized(61, 3):
        nit.tap(packet)
    data, packets = nit.take()
    assert packets == 2  # 8 + 61 padded to 72, twice
    assert len(data) == 144
    assert data[:8].hex() == "0000003d00000048"
    assert data[8:69] == tap.sized(61)[0].data
    assert data[69:72] == bytes(3)


def test_a_full_stream_head_drops() -> None:
    nit = tap.Interface("le0", BOB.mac).listen_by_nit("nit", chunksize=80, room=160)
    for packet in tap.sized(60, 6):
        nit.tap(packet)
    assert (nit.counts.buffered, nit.counts.dropped) == (3, 3)
    assert balanced(nit.counts)


# The processor


def test_the_kernel_comes_before_readers() -> None:
    cpu = tap.Cpu(tap.Clock())
    done: list[tuple[str, int]] = []
    cpu.spend(10, lambda: done.append(("reader", cpu.clock.now)))
    cpu.clock.at(4, lambda: cpu.interrupt(3, lambda: done.append(("kernel", cpu.clock.now))))
    cpu.clock.at(8, lambda: cpu.interrupt(2, lambda: done.append(("kernel", cpu.clock.now))))
    cpu.clock.run()
    assert done == [("kernel", 7), ("kernel", 10), ("reader", 15)]
    assert (cpu.kernel_ns, cpu.reader_ns) == (5, 10)


def test_readers_take_turns_on_one_processor() -> None:
    cpu = tap.Cpu(tap.Clock())
    done: list[int] = []
    for work in (5, 7):
        cpu.spend(work, lambda: done.append(cpu.clock.now))
    cpu.clock.run()
    assert done == [5, 12]


def test_a_full_ring_loses_frames_before_any_listener_sees_them() -> None:
    cpu = tap.Cpu(tap.Clock())
    le0 = tap.Interface("le0", BOB.mac, cpu=cpu, price=lambda *_: 100, ring=4)
    listener = le0.listen("x")
    le0.play(tap.steady(tap.sized(60, 10), 1))
    le0.clock.run()
    assert (le0.seen, le0.lost, listener.recv) == (10, 6, 4)
    assert cpu.kernel_ns == 400


def test_prices_are_the_papers_lines() -> None:
    le0 = tap.Interface("le0", BOB.mac)
    price = tap.priced(tap.PAPER)
    by_bpf, by_nit = le0.listen("b"), le0.listen_by_nit("n")
    assert price(by_bpf, 1514, 1) == 229_772
    assert price(by_nit, 1514, 1) == 416_224
    assert (price(by_nit, 1514, 0), price(by_bpf, 1514, 0)) == (453_940, 4_600)
    assert round(tap.ratio(tap.PAPER, "reject", 1514), 1) == 98.7
    assert round(tap.ratio(tap.PAPER, "accept", 1514), 2) == 1.81


# Traffic


def test_a_replay_has_the_captures_own_times() -> None:
    pings = bpf.samples.open("ping")
    first = pings[0].time_ns
    assert first is not None
    assert [each.time_ns for each in tap.replay(pings)] == [
        each.time_ns - first for each in pings if each.time_ns is not None
    ]
    assert tap.replay(pings, speed=2)[-1].time_ns == round(tap.replay(pings)[-1].time_ns / 2)


def test_packets_without_a_time_come_a_millisecond_apart() -> None:
    assert [each.time_ns for each in tap.replay([b"a", b"b", b"c"])] == [0, MS, 2 * MS]


@pytest.mark.parametrize("length", [42, 60, 61, 1514])
def test_sized_packets_are_whole_datagrams(length: int) -> None:
    first, second = tap.sized(length, 2)
    assert len(first) == len(second) == length
    assert (first != second) == (length > 42)
    assert bpf.compile_filter("ip and udp port 9").run(first)
    assert int.from_bytes(first.data[16:18], "big") == length - 14


def test_a_frame_of_no_such_length_is_refused() -> None:
    with pytest.raises(bpf.BpfError, match="there can be 42 to 1514"):
        tap.sized(1515)


# This machine


def test_a_real_queue_keeps_the_same_law() -> None:
    try:
        found = tap.overflow(100, 4096)
    except bpf.BpfError as error:
        pytest.skip(error.message)
    assert found.sent == 100 == found.received + found.dropped
    assert found.dropped > 0


def test_what_is_measured_has_a_time_for_each_length_and_way() -> None:
    try:
        found = tap.measured((64, 1514), slots=4096, rounds=2)
    except bpf.BpfError as error:
        pytest.skip(error.message)
    assert set(found.times) == set(tap.PAPER)
    assert all(len(each) == 2 and min(each) > 0 for each in found.times.values())
    assert found.ratios("reject")[1] > 1
