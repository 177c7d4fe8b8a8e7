"""The programs that are measured: six expressions, and two as long as a kernel takes.

Each expression has a name, under which `handwritten.c` holds the same filter in C.
"""

from __future__ import annotations

from random import Random

import bpfnb
from bpfnb.cbpf.opcodes import MAXINSNS, MEMWORDS, OPCODES, Class, Form, Opcode, find
from bpfnb.face import Program

__all__ = ["EXPRESSIONS", "HUNDRED", "TWENTY", "deny_list", "expressions", "mixture"]

SNAPLEN = 262144  # what an accepting ret returns
SERVICES = (
    "(tcp port 22 or 25 or 80 or 110 or 143 or 443 or 993 or 995 or 8080 or 8443"
    " or udp port 53 or 123 or 161 or 443 or 500 or 4500 or icmp or icmp6)"
)
PUBLIC = "not net 10.0.0.0/8 and not net 172.16.0.0/12 and not net 192.168.0.0/16"
EXPRESSIONS = {
    "ip": "ip",
    "icmp_or_arp": "icmp or arp",
    "tcp_opens_or_closes": "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "tcp_port_80": "tcp port 80",
    "five_services": "(tcp port 22 or 80 or 443 or udp port 53 or 123) and not net 10.0.0.0/8",
    "public_services": f"{PUBLIC} and {SERVICES}",
}
TWENTY = "tcp_port_80"  # the filter of 20 instructions
HUNDRED = "public_services"  # that of 100


def expressions() -> dict[str, Program]:
    """The programs of the six expressions, by the libpcap that bpfnb carries."""
    return {
        name: bpfnb.compile_filter(expression, snaplen=SNAPLEN, library="carried")
        for name, expression in EXPRESSIONS.items()
    }


def deny_list() -> Program:
    """Two instructions for each of 2,046 source addresses, and four more."""
    hosts = [0x0A000000 + 7919 * number for number in range((MAXINSNS - 4) // 2)]
    lines = ["ldh [12]", "jeq #0x800, +0, +1", "ld [26]"]
    for host in hosts:
        lines += [f"jeq #{host:#x}, +0, +1", "ret #0"]
    return bpfnb.assemble("\n".join([*lines, f"ret #{SNAPLEN}"]))


def mixture() -> Program:
    """4096 instructions of every kind in random order, the same each time."""
    random = Random(1993)
    # M[k] <- A: all words may be read from here on
    insns = [(code_of("st", Form.MEM), 0, 0, k) for k in range(MEMWORDS)]
    rows = [each for each in OPCODES if each.cls is not Class.RET]
    while (left := MAXINSNS - 1 - len(insns)) > 0:
        insns.append(drawn(random.choice(rows), left - 1, random))
    return Program.from_insns([*insns, (code_of("ret", Form.A), 0, 0, 0)])


def code_of(mnemonic: str, form: Form) -> int:
    """The opcode of a row that exists."""
    row = find(mnemonic, form)
    if row is None:
        raise LookupError(f"{mnemonic} {form.value}")
    return row.code


def drawn(row: Opcode, left: int, random: Random) -> tuple[int, int, int, int]:
    """An instruction of this row, with so many behind it before the last."""
    near, far = min(left, 255), min(left, 8)
    if row.form.jumps:
        return (row.code, random.randint(0, near), random.randint(0, far), random.getrandbits(16))
    bounds = {Form.TARGET: far, Form.MEM: MEMWORDS - 1, Form.ABS: 60, Form.IND: 60, Form.MSH: 60}
    most = 31 if row.mnemonic in ("lsh", "rsh") else 1 << 16
    k = random.randint(0, bounds.get(row.form, most)) if row.form.uses_k else 0
    divides = row.mnemonic in ("div", "mod") and row.form is Form.IMM
    return (row.code, 0, 0, max(k, 1) if divides else k)
