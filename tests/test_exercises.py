"""The exercises of chapters 00, 05 and 07: wrong as shipped, by name, and right when solved."""

from __future__ import annotations

import pytest

from tests.chapters import Chapter

# (exercise, what to replace in it, by what): what its check says, "" when it is right
ANSWERS: dict[str, list[tuple[int, str, str, str]]] = {
    "00_take_the_tour": [
        (1, "", "", "ICMP"),
        (1, "drop, keep", "keep, drop", ""),
        (1, "ETHERTYPE_ARP, drop, keep", "ETHERTYPE_IP, drop, keep", ""),
        (1, "ETHERTYPE_ARP, drop, keep", "ETHERTYPE_IP, keep, drop", "ICMP"),
        (2, "", "", "TCP"),
        (2, "jeq #IPPROTO_UDP, keep, drop", "jeq #6, keep, +0\n jeq #17, keep, drop", ""),
        (2, "jeq #IPPROTO_UDP, keep, drop", "jeq #1, drop, keep", "seven"),
        (2, "IPPROTO_UDP", "IPPROTO_TCP", "UDP"),
        (3, "", "", "wanted 42"),
        (3, "#TRUE", "#42", ""),
        (3, "keep, drop", "drop, keep", "wanted 42"),
        (3, "#0", "#42", "wanted 42"),
    ],
    "05_meet_the_machine": [
        (1, "", "", "header of 20 bytes: ret is 20, not 34"),
        (1, "ret a", "add #14\nret a", ""),
        (1, "ret a", "ret #34", "header of 28 bytes"),
        (1, "lsh #2", "lsh #3", "ret is 40"),
        (2, "", "", "ports 53 to 5000: A is 53"),
        (2, "tax", "tax\nldh [36]\nsub x", ""),
        (2, "tax", "st M[0]\nldh [36]\nldx M[0]\nsub x", "no st, no stx"),
        (2, "ldh [34]\ntax", "ldh [36]\ntax\nldh [34]\nsub x", "A is 429"),
        (3, "", "", "23 bytes of IPv4"),
        (3, "ip:     ldb", "ip:     ld #len\njlt #24, keep, +0\nldb", ""),
        (3, "ip:     ldb", "ip:     ld #len\njlt #23, keep, +0\nldb", "23 bytes of IPv4"),
        (4, "", "", "not 0"),
        (4, "0", "42", ""),
        (4, "0", "1", "not 1"),
    ],
    "07_write_filters": [
        (1, "", "", "protocol 132: accepted is True"),
        (1, "port, port", "port, no", ""),
        (
            1,
            "port, +0\n        jeq  #IPPROTO_TCP, port, port",
            "port, no",
            "TCP: accepted is False",
        ),
        (1, "port, port", "no, port", "TCP: accepted is False"),
        (2, "", "", "ARP"),
        (2, "ip, no\n", "ip, yes\n", ""),
        (2, "no, yes", "yes, no", "ARP"),
        (2, "[26]", "[30]", "ARP"),
        (3, "", "", "0x20b9"),
        (3, "yes, no\nyes", "+0, no\n jset #0x1fff, no, yes\nyes", ""),
        (3, "jset #0x2000", "jeq #0x2000", ""),
        (3, "jset #0x2000", "jset #0x1fff", "accepted is"),
        (4, "", "", "M[1] is read unwritten"),
        (
            4,
            "ja   out\nshort:  ret  #0\nout:    ld   M[1]\n        sub  #14\n        ret  a",
            "ld   M[1]\n        sub  #14\n        ret  a\nshort:  ret  #0",
            "",
        ),
        (4, "long:   st   M[1]", "long:   tax", "a packet of 61 bytes"),
        (4, "ret  #0", "ret  #1", "a packet of 0 bytes: ret is 1, not 0"),
    ],
}
CASES = [(name, *answer) for name, answers in ANSWERS.items() for answer in answers]


@pytest.fixture(scope="module")
def chapters() -> dict[str, Chapter]:
    return {name: Chapter(name) for name in ANSWERS}


@pytest.mark.parametrize(("name", "number", "old", "new", "said"), CASES)
def test_an_answer_is_judged(
    chapters: dict[str, Chapter], name: str, number: int, old: str, new: str, said: str
) -> None:
    judged = chapters[name].judge(number, old, new)
    assert said in judged
    assert bool(said) == bool(judged)
