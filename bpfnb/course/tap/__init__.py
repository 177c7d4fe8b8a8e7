"""A network tap that one can run: the paper's section 2 as a model on a virtual clock.

    from bpfnb.course import tap

    le0 = tap.Interface("le0", ALICE.mac)
    rarpd = le0.listen("rarpd", program, immediate=True)
    reader = tap.Reader(rarpd)
    le0.play(tap.replay(capture))
    le0.clock.run()
    rarpd.counts

Interfaces with a driver, listeners with a filter and store, hold and free buffers, and
readers of any speed; NIT's way beside BPF's; the device's calls and refusals.  The filters
really run, the buffers really hold what a read would give; only time is made up.
Left out: how it looks (`bpfnb.views.tap_overview`, `tap_timeline`, `tap_records`).
"""

from bpfnb.course.tap.buffers import MAXBUFSIZE, MINBUFSIZE, Buffers, Put
from bpfnb.course.tap.clock import MICROSECOND, MILLISECOND, SECOND, Clock, Cpu
from bpfnb.course.tap.costs import PAPER, Costs, Line, fitted, priced, ratio
from bpfnb.course.tap.framing import Record, framed, hdrlen, records, wordalign
from bpfnb.course.tap.interface import Interface
from bpfnb.course.tap.ioctls import Device, RefusedError
from bpfnb.course.tap.listener import Counts, Listener, Listening, Moment
from bpfnb.course.tap.measure import Measured, measured
from bpfnb.course.tap.nit import NitStream
from bpfnb.course.tap.overflow import Overflow, overflow
from bpfnb.course.tap.pictures import overview, read_bytes, timeline
from bpfnb.course.tap.reader import Reader
from bpfnb.course.tap.traffic import Arrival, bursts, replay, sized, steady, wire_ns

__all__ = [
    "MAXBUFSIZE",
    "MICROSECOND",
    "MILLISECOND",
    "MINBUFSIZE",
    "PAPER",
    "SECOND",
    "Arrival",
    "Buffers",
    "Clock",
    "Costs",
    "Counts",
    "Cpu",
    "Device",
    "Interface",
    "Line",
    "Listener",
    "Listening",
    "Measured",
    "Moment",
    "NitStream",
    "Overflow",
    "Put",
    "Reader",
    "Record",
    "RefusedError",
    "bursts",
    "fitted",
    "framed",
    "hdrlen",
    "measured",
    "overflow",
    "overview",
    "priced",
    "ratio",
    "read_bytes",
    "records",
    "replay",
    "sized",
    "steady",
    "timeline",
    "wire_ns",
    "wordalign",
]
