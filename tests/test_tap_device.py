"""The model of /dev/bpf: what its calls do, and each refusal by its errno."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import bpfnb as bpf
from bpfnb.course import tap
from bpfnb.course.tap import ioctls
from bpfnb.samples import ALICE, BOB

MS = tap.MILLISECOND


@pytest.fixture
def le0() -> tap.Interface:
    return tap.Interface("le0", BOB.mac)


@pytest.fixture
def device(le0: tap.Interface) -> tap.Device:
    return tap.Device({"le0": le0, "le1": tap.Interface("le1", ALICE.mac, le0.clock)})


@pytest.fixture
def attached(device: tap.Device) -> tap.Device:
    device.ioctl("BIOCSETIF", "le0")
    return device


def errno(call: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(tap.RefusedError) as caught:
        call(*arguments)
    assert caught.value.message.startswith(f"{caught.value.errno}: ")
    return caught.value.errno


def test_a_read_asks_for_exactly_the_buffers_length(attached: tap.Device) -> None:
    for size in (0, 4095, 4097, 1_000_000):
        assert errno(attached.read, size) == "EINVAL"


def test_before_an_interface(device: tap.Device) -> None:
    assert errno(device.read, 4096) == "ENXIO"
    for request in ("BIOCPROMISC", "BIOCGDLT", "BIOCGETIF"):
        assert errno(device.ioctl, request) == "EINVAL"
    assert device.ioctl("BIOCGSTATS") == {"bs_recv": 0, "bs_drop": 0}
    assert device.ioctl("FIONREAD") == 0


def test_an_interface_must_be_there_and_up(device: tap.Device, le0: tap.Interface) -> None:
    assert errno(device.ioctl, "BIOCSETIF", "le7") == "ENXIO"
    le0.up = False
    assert errno(device.ioctl, "BIOCSETIF", "le0") == "ENETDOWN"
    le0.up = True
    device.ioctl("BIOCSETIF", "le0")
    le0.up = False
    assert errno(device.ioctl, "BIOCPROMISC") == "ENETDOWN"


def test_the_buffers_length_is_set_before_the_interface_and_brought_into_bounds(
    device: tap.Device,
) -> None:
    assert device.ioctl("BIOCGBLEN") == 4096
    assert device.ioctl("BIOCSBLEN", 1) == tap.MINBUFSIZE == 32
    assert device.ioctl("BIOCSBLEN", 2**20) == tap.MAXBUFSIZE == 32768
    assert device.ioctl("BIOCSBLEN", 5000) == device.ioctl("BIOCGBLEN") == 5000
    device.ioctl("BIOCSETIF", "le0")
    assert errno(device.ioctl, "BIOCSBLEN", 4096) == "EINVAL"
    assert device.listener is not None
    assert device.listener.bufsize == 5000


def test_a_filter_is_checked_and_a_refused_one_changes_nothing(attached: tap.Device) -> None:
    arp = bpf.compile_filter("arp")
    attached.ioctl("BIOCSETF", arp)
    long = bpf.Program.from_insns([(0x28, 0, 0, 12)] * 512 + [(6, 0, 0, 0)])
    wild = bpf.Program.from_insns([(5, 0, 0, 7), (6, 0, 0, 0)])
    for bad in (long, wild, bpf.Program.from_insns([]), "arp", 7):
        assert errno(attached.ioctl, "BIOCSETF", bad) == "EINVAL"
        assert attached.listener is not None
        assert attached.listener.program is arp
    assert attached.listener is not None
    assert not long.check()  # Linux takes 4,096
    attached.ioctl("BIOCSETF", None)
    assert attached.listener.program is None


def test_a_filter_before_the_interface_is_there_behind_it(device: tap.Device) -> None:
    arp = bpf.compile_filter("arp")
    device.ioctl("BIOCSETF", arp)
    device.ioctl("BIOCIMMEDIATE", 1)
    device.ioctl("BIOCSRTIMEOUT", 20)
    device.ioctl("BIOCSETIF", "le0")
    assert device.listener is not None
    assert device.listener.program is arp
    assert device.listener.immediate
    assert device.listener.timeout_ns == 20 * MS == device.ioctl("BIOCGRTIMEOUT") * MS


def test_what_flushes_empties_the_buffers_and_counts_from_zero(
    attached: tap.Device, le0: tap.Interface
) -> None:
    for request, argument in (("BIOCFLUSH", None), ("BIOCSETF", None), ("BIOCSETIF", "le0")):
        le0.play(tap.steady(tap.sized(60, 3), 1))
        le0.clock.run()
        assert attached.ioctl("BIOCGSTATS")["bs_recv"] == 3
        assert attached.ioctl("FIONREAD") == 80 + 80 + 78
        attached.ioctl(request, argument)
        assert attached.ioctl("BIOCGSTATS") == {"bs_recv": 0, "bs_drop": 0}
        assert attached.ioctl("FIONREAD") == 0


def test_received_counts_rejected_packets_too(attached: tap.Device, le0: tap.Interface) -> None:
    attached.ioctl("BIOCSETF", bpf.compile_filter("arp"))
    le0.play(tap.steady(tap.sized(60, 3), 1))
    le0.clock.run()
    assert attached.ioctl("BIOCGSTATS") == {"bs_recv": 3, "bs_drop": 0}
    assert attached.ioctl("FIONREAD") == 0


def test_a_read_sleeps_until_a_buffer_is_full(attached: tap.Device, le0: tap.Interface) -> None:
    le0.play(tap.steady(tap.sized(1000, 9), MS))
    assert len(list(tap.records(attached.read(4096)))) == 4
    assert le0.clock.now == 4 * MS  # the fifth did not fit


def test_a_read_that_would_sleep_for_ever_says_so(attached: tap.Device, le0: tap.Interface) -> None:
    le0.play(tap.steady(tap.sized(60, 3), 1))
    with pytest.raises(tap.RefusedError, match=r"for ever: .* \(3 packets are stored"):
        attached.read(4096)


def test_a_time_out_ends_a_read(attached: tap.Device, le0: tap.Interface) -> None:
    attached.ioctl("BIOCSRTIMEOUT", 10)
    assert attached.read(4096) == b""
    assert le0.clock.now == 10 * MS
    le0.play(tap.steady(tap.sized(60, 3), 6 * MS))
    assert [len(list(tap.records(attached.read(4096)))) for _ in range(3)] == [2, 1, 0]
    assert le0.clock.now == 40 * MS


def test_immediate_mode_ends_a_read_at_a_packet(attached: tap.Device, le0: tap.Interface) -> None:
    attached.ioctl("BIOCIMMEDIATE", 1)
    le0.play(tap.steady(tap.sized(60, 3), MS))
    assert [len(list(tap.records(attached.read(4096)))) for _ in range(3)] == [1, 1, 1]
    assert le0.clock.now == 2 * MS


def test_promiscuous_mode_is_asked_for_once_and_goes_with_the_device(
    device: tap.Device, le0: tap.Interface
) -> None:
    device.ioctl("BIOCSETIF", "le0")
    device.ioctl("BIOCPROMISC")
    device.ioctl("BIOCPROMISC")
    assert le0.promiscuous == 1
    device.ioctl("BIOCSETIF", "le1")  # to another interface
    assert (le0.promiscuous, le0.listeners) == (0, [])
    device.close()
    assert device.interfaces["le1"].listeners == []
    assert errno(device.read, 4096) == "ENXIO"


def test_a_locked_device_takes_only_what_changes_neither_filter_nor_interface(
    attached: tap.Device,
) -> None:
    arguments: dict[str, Any] = {"BIOCIMMEDIATE": 1, "BIOCSRTIMEOUT": 5}
    attached.ioctl("BIOCLOCK")
    for request in ioctls.CALLS:
        if request in ioctls.LOCKED:
            attached.ioctl(request, arguments.get(request))
        else:
            assert errno(attached.ioctl, request, 64) == "EPERM"
    assert {"BIOCSETF", "BIOCSETWF", "BIOCSETIF", "BIOCPROMISC", "BIOCSBLEN"} == (
        set(ioctls.CALLS) - ioctls.LOCKED
    )


def test_what_else_it_answers(attached: tap.Device) -> None:
    assert attached.ioctl("BIOCGDLT") == 1
    assert attached.ioctl("BIOCGETIF") == "le0"
    assert attached.ioctl("BIOCVERSION") == (1, 1)
    attached.ioctl("BIOCSETWF", bpf.compile_filter("arp"))
    assert attached.write_program is not None
    assert repr(attached) == "<model of /dev/bpf0: on le0, buffers of 4096 bytes>"


def test_an_unknown_request_and_a_wrong_number_are_refused(device: tap.Device) -> None:
    assert errno(device.ioctl, "BIOCNONE") == "EINVAL"
    for wrong in (-1, 2**32, "64", None, 1.5):
        assert errno(device.ioctl, "BIOCSBLEN", wrong) == "EINVAL"
