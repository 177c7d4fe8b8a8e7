"""The link type table against libpcap and scapy, names and refusals."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
import struct
from pathlib import Path
from types import SimpleNamespace

import pytest

from bpfnb.errors import LinktypeError
from bpfnb.packets import linktype
from bpfnb.packets.linktype import LINKTYPES, Linktype


@pytest.fixture(scope="module")
def libpcap() -> SimpleNamespace:
    found = ctypes.util.find_library("pcap")
    if found is None:
        pytest.skip("this machine has no libpcap")
    library = ctypes.CDLL(found)
    library.pcap_datalink_val_to_name.restype = ctypes.c_char_p
    library.pcap_open_offline.restype = ctypes.c_void_p
    library.pcap_datalink.argtypes = library.pcap_close.argtypes = [ctypes.c_void_p]

    def dlt_of_file(path: Path) -> int:
        reason = ctypes.create_string_buffer(256)
        handle = library.pcap_open_offline(str(path).encode(), reason)
        assert handle, reason.value
        try:
            return int(library.pcap_datalink(handle))
        finally:
            library.pcap_close(handle)

    return SimpleNamespace(
        name=library.pcap_datalink_val_to_name,
        number=library.pcap_datalink_name_to_val,
        dlt_of_file=dlt_of_file,
    )


@pytest.mark.parametrize("row", LINKTYPES, ids=lambda row: row.name)
def test_libpcap_knows_each_row_by_the_same_name_and_numbers(
    row: Linktype, libpcap: SimpleNamespace, tmp_path: Path
) -> None:
    path = tmp_path / "empty.pcap"
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, row.number))
    assert libpcap.dlt_of_file(path) == row.dlt
    assert libpcap.name(row.dlt).decode() == row.name
    assert libpcap.number(row.name.encode()) == row.dlt


@pytest.mark.parametrize("row", [row for row in LINKTYPES if row.layer], ids=lambda row: row.name)
def test_each_layer_named_is_one_of_scapys(row: Linktype) -> None:
    module, _, layer = row.layer.rpartition(".")
    assert hasattr(importlib.import_module(f"scapy.layers.{module}"), layer)


def test_scapy_reads_files_of_each_link_type_with_the_same_layer() -> None:
    from scapy.all import conf

    differs = {
        row.name: conf.l2types.num2layer[row.number].__name__
        for row in LINKTYPES
        if row.layer
        and row.number in conf.l2types.num2layer
        and conf.l2types.num2layer[row.number].__name__ != row.layer.rpartition(".")[2]
    }
    assert differs == {}


def test_numbers_names_and_aliases_stand_once() -> None:
    names = [each for row in LINKTYPES for each in (row.name, *row.aliases)]
    assert len(set(names)) == len(names)
    assert len({row.number for row in LINKTYPES}) == len(LINKTYPES)
    assert len({row.dlt for row in LINKTYPES}) == len(LINKTYPES)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("EN10MB", 1),
        ("en10mb", 1),
        ("DLT_EN10MB", 1),
        ("LINKTYPE_ETHERNET", 1),
        ("Ethernet", 1),
        ("raw", 101),
        ("DLT_RAW", 101),
        ("DLT_12", 101),
        ("LINKTYPE_101", 101),
        ("101", 101),
        (" linux_sll2 ", 276),
        ("LINUX-SLL2", 276),
        ("IEEE802_5", 6),
        ("IEEE802_11_RADIOTAP", 127),
    ],
)
def test_a_link_type_has_many_names(text: str, number: int) -> None:
    assert linktype.by_name(text).number == number


@pytest.mark.parametrize(
    ("text", "cure"), [("EN10M", "did you mean EN10MB"), ("LINUX_SSL", "LINUX_SLL"), ("§", "try")]
)
def test_a_wrong_name_gets_the_nearest_ones(text: str, cure: str) -> None:
    with pytest.raises(LinktypeError) as caught:
        linktype.by_name(text)
    assert text in caught.value.message
    assert cure in caught.value.hint


@pytest.mark.parametrize("wrong", [-1, 65536, None, 1.0, True, b"RAW"])
def test_what_is_no_link_type_is_refused(wrong: object) -> None:
    with pytest.raises(LinktypeError):
        linktype.find(wrong)  # type: ignore[arg-type]


def test_a_number_outside_the_table_is_kept() -> None:
    assert linktype.find(147) == Linktype(147, "LINKTYPE_147", "not in bpfnb's table")
    assert linktype.find("LINKTYPE_147").dlt == 147


def test_a_filter_for_another_link_type_is_refused_with_both_names_and_a_cure() -> None:
    with pytest.raises(LinktypeError) as caught:
        linktype.refuse_other_linktype(1, 101)
    assert caught.value.message == (
        "this filter is made for EN10MB (Ethernet), but the packets are RAW (raw IP)"
    )
    assert caught.value.hint == "compile it for RAW, or give packets that are EN10MB"


@pytest.mark.parametrize(("program", "packets"), [(1, 1), (None, 1), (1, None), (12, 101)])
def test_a_filter_meets_its_own_or_unknown_link_types(
    program: int | None, packets: int | None
) -> None:
    linktype.refuse_other_linktype(program, packets)


def test_many_link_types_in_words() -> None:
    assert linktype.phrase([]) == ""
    assert linktype.phrase([1]) == "EN10MB"
    assert linktype.phrase([1, 101, 113]) == "EN10MB, RAW and LINUX_SLL"
    assert linktype.phrase([1, 101, 113, 228, 229, 276]) == "EN10MB, RAW, LINUX_SLL and 3 more"
