"""The stack machine once more, from its documented meaning alone: an array that grows down.

Written after what enet.c is known to do, to be compared with `cbpf.cspf`: its stack of 41
words with TRUE in the last, its two checks of the stack's ends, its order of popping.
Nothing is shared with the machine under test but the numbers of enet.h and of Mach.
"""

from __future__ import annotations

from collections.abc import Sequence

PUSH = {2: 0, 3: 1, 4: 0xFFFF, 5: 0x00FF, 6: 0xFF00}


def accepts(words: Sequence[int], packet: bytes) -> bool:
    """Whether a program, as its words, accepts a packet."""
    stack = [0] * 41
    sp, at = 40, 0
    stack[sp] = 1
    while at < len(words):
        op, action = words[at] >> 10, words[at] & 1023
        at += 1
        if action >= 16 or action == 14:
            number = action - 16
            if action == 14:
                if sp == 40:
                    return False
                number = stack[sp]
                sp += 1
            if number >= len(packet) // 2:
                return False
            sp -= 1
            stack[sp] = packet[2 * number] * 256 + packet[2 * number + 1]
        elif action == 1:
            sp -= 1
            stack[sp] = words[at]
            at += 1
        elif action:
            sp -= 1
            stack[sp] = PUSH[action]
        if sp < 2:
            return False
        if op == 0:
            continue
        if sp > 38:
            return False
        top = stack[sp]
        sp += 1
        below = stack[sp]
        if 9 <= op <= 12:  # COR, CAND, CNOR, CNAND
            sp += 1
            if (below == top) == (op in (9, 11)):
                return op in (9, 12)
            continue
        stack[sp] = two(op, below, top)
    return stack[sp] != 0


def two(op: int, a: int, b: int) -> int:
    """An operator's result, in 16 bits."""
    found = {
        1: a == b, 2: a < b, 3: a <= b, 4: a > b, 5: a >= b, 6: a & b, 7: a | b, 8: a ^ b,
        13: a != b, 14: a << b if b < 16 else 0, 15: a >> b if b < 16 else 0, 16: a + b, 17: a - b,
    }  # fmt: skip
    return int(found[op]) % 65536
