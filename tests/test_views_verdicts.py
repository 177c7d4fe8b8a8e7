"""The table of verdicts: the answer first, and a loud line where backends differ."""

from __future__ import annotations

from bpfnb.cbpf.program import Program
from bpfnb.cbpf.trace import trace
from bpfnb.views.verdicts import VerdictRow, Verdicts

PROGRAM = Program.from_insns([(0x30, 0, 0, 9), (0x15, 0, 1, 1), (6, 0, 0, 8), (6, 0, 0, 0)])


def rows() -> list[VerdictRow]:
    packets = (bytes(9) + b"\x01" + bytes(10), bytes(20), bytes(5))
    return [
        VerdictRow.of(number, f"packet {number}", trace(PROGRAM, each))
        for number, each in enumerate(packets, 1)
    ]


def test_first_the_answer_then_a_line_a_packet() -> None:
    assert Verdicts(rows()).text() == (
        "1 of 3 packets accepted\n"
        "  #  packet    verdict   ret  accepted bytes  ran  ended at\n"
        "  1  packet 1  ✓ accept    8               8    3  (002) ret #8\n"
        "  2  packet 2  ✗ reject    0               0    3  (003) ret #0\n"
        "  3  packet 3  ✗ reject    0               0    1  (000) ldb [9], past the end"
    )


def test_accepted_bytes_are_never_more_than_were_captured() -> None:
    assert VerdictRow(1, "", (262144,), 60).accepted == 60
    assert VerdictRow(1, "", (40,), 60).accepted == 40
    assert VerdictRow(1, "", (0,), 60).accepted == 0


def test_backends_that_agree_raise_no_alarm() -> None:
    same = Verdicts([VerdictRow(1, "x", (8, 8), 20)], ("interp", "linux"))
    assert same.differing == ()
    assert "DIFFER" not in same.text()
    assert "DIFFER" not in same.html()


def test_where_backends_differ_a_loud_line_names_the_first_packet() -> None:
    found = Verdicts(
        [
            VerdictRow(1, "x", (8, 8, None), 20),
            VerdictRow(2, "x", (8, 0, None), 20),
            VerdictRow(3, "x", (1, 2, 3), 20),
        ],
        ("interp", "linux", "libpcap"),
    )
    loud = "THE BACKENDS DIFFER on 2 packets, first on packet 2: interp gives 8; linux gives 0"
    assert f"✗ {loud}" in found.text().splitlines()
    assert loud in found.html()
    marked = [line.split()[1] for line in found.text().splitlines() if line.startswith("≠")]
    assert marked == ["2", "3"]


def test_a_difference_far_down_is_shown_in_text_all_the_same() -> None:
    many = [VerdictRow(at, "x", (1, 1 if at != 90 else 0), 20) for at in range(1, 101)]
    text = Verdicts(many, ("interp", "linux")).text()
    assert "≠ 90  x" in text
    assert text.endswith("… and 79 more packets")


def test_a_backend_that_could_not_run_differs_from_nobody() -> None:
    row = VerdictRow(1, "x", (5, None), 20)
    assert not row.differs
    assert "–" in Verdicts([row], ("interp", "linux")).text()
    assert VerdictRow(1, "x", (None, 7), 20).ret == 7


def test_counts_given_from_outside_stand_for_packets_without_a_row() -> None:
    found = Verdicts(rows(), total=100_000, accepted=41_000)
    assert found.text().startswith("41,000 of 100,000 packets accepted")
    assert "99,997 more packets" in found.text()
    assert "99,997 packets behind these not shown" in found.html()


def test_text_folds_after_twenty_rows_and_says_how_many_follow() -> None:
    many = [VerdictRow(at, "x", (1,), 20) for at in range(1, 101)]
    lines = Verdicts(many).text().splitlines()
    assert len(lines) == 1 + 1 + 20 + 1
    assert lines[-1] == "  … and 80 more packets"


def test_html_holds_a_thousand_rows_at_most() -> None:
    many = [VerdictRow(at, "x", (1,), 20) for at in range(1, 1502)]
    html = Verdicts(many).html()
    assert html.count("<tr") == 1000 + 2
    assert "501 packets behind these not shown" in html


def test_a_long_summary_is_cut_in_text_and_whole_on_hover() -> None:
    summary = "Ether / IP / UDP / DNS Qry " + "x" * 100
    found = Verdicts([VerdictRow(1, summary, (1,), 20)])
    assert "…" in found.text()
    assert summary not in found.text()
    assert f'title="{summary}"' in found.html()


def test_no_packets_are_no_error() -> None:
    assert Verdicts(()).text().startswith("0 of 0 packets accepted")
