/* Two evaluators to count and to time: libpcap's for BPF, ours for CSPF.

     evaluators LIBPCAP INPUT            each program over all packets, once
     evaluators LIBPCAP INPUT PASSES     the same, timed: ns for a packet, the fastest pass

   INPUT, in this machine's byte order:  uint32 programs, packets;
     a program:  uint32 machine (0 BPF, 1 CSPF), uint32 length, its instructions or words
     a packet:   uint32 caplen, wirelen, its bytes, padded to a multiple of four

   For each program one line is printed: how many packets it accepts, and ns for one.
   `next_program` is called before each, so that callgrind can write its counts apart.

   cspf_filter follows what CMU's enDoFilter and Mach's net_do_filter do: one pass over the
   words, a switch for what is pushed, a switch for the operator, a stack in memory.  It
   asks for the same as ours in Python: words that are there, values that are there, room.
   Left out: checks of INPUT, which its writer has made.

   Source: CMU's enet.c, Mach's device/net_io.c (which are not copied). */

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PUSHLIT = 1, PUSHZERO, PUSHONE, PUSHFFFF, PUSH00FF, PUSHFF00, PUSHIND = 14, PUSHWORD = 16 };
enum { NOP, EQ, LT, LE, GT, GE, AND, OR, XOR, COR, CAND, CNOR, CNAND, NEQ, LSH, RSH, ADD, SUB };
enum { DEEPEST = 40 };

typedef unsigned (*bpf_evaluator)(const void *, const uint8_t *, unsigned, unsigned);

struct packet { const uint8_t *data; uint32_t caplen, wirelen; };

static unsigned shifted_left(unsigned a, unsigned b) { return b < 16 ? a << b : 0; }
static unsigned shifted_right(unsigned a, unsigned b) { return b < 16 ? a >> b : 0; }

__attribute__((noinline)) unsigned
cspf_filter(const uint16_t *program, unsigned length, const uint8_t *packet, unsigned caplen)
{
    uint16_t stack[DEEPEST + 1];
    uint16_t *sp = stack;               /* the top; TRUE lies at the bottom */
    const uint16_t *pc = program, *end = program + length;
    const unsigned words = caplen / 2;

    *sp = 1;
    while (pc < end) {
        const unsigned word = *pc++;
        const unsigned action = word & 0x3ff, op = word >> 10;
        unsigned number, below, top;

        switch (action) {
        case 0:        break;
        case PUSHLIT:  *++sp = *pc++; break;
        case PUSHZERO: *++sp = 0; break;
        case PUSHONE:  *++sp = 1; break;
        case PUSHFFFF: *++sp = 0xffff; break;
        case PUSH00FF: *++sp = 0x00ff; break;
        case PUSHFF00: *++sp = 0xff00; break;
        case PUSHIND:
            if (sp == stack) return 0;
            number = *sp--;
            goto push;
        default:
            number = action - PUSHWORD;
        push:
            if (number >= words) return 0;
            *++sp = (uint16_t)(packet[2 * number] << 8 | packet[2 * number + 1]);
        }
        if (sp > stack + DEEPEST - 2) return 0;
        if (op == NOP) continue;
        if (sp < stack + 2) return 0;
        top = *sp--;
        below = *sp;
        switch (op) {
        case EQ:  *sp = below == top; break;
        case NEQ: *sp = below != top; break;
        case LT:  *sp = below < top; break;
        case LE:  *sp = below <= top; break;
        case GT:  *sp = below > top; break;
        case GE:  *sp = below >= top; break;
        case AND: *sp = below & top; break;
        case OR:  *sp = below | top; break;
        case XOR: *sp = below ^ top; break;
        case LSH: *sp = (uint16_t)shifted_left(below, top); break;
        case RSH: *sp = (uint16_t)shifted_right(below, top); break;
        case ADD: *sp = (uint16_t)(below + top); break;
        case SUB: *sp = (uint16_t)(below - top); break;
        case COR:   if (below == top) return 1; sp--; break;
        case CAND:  if (below != top) return 0; sp--; break;
        case CNOR:  if (below == top) return 0; sp--; break;
        case CNAND: if (below != top) return 1; sp--; break;
        default: return 0;
        }
    }
    return *sp != 0;
}

__attribute__((noinline)) void next_program(int number)
{
    __asm__ volatile("" : : "r"(number) : "memory");
}

static bpf_evaluator bpf_filter;

static unsigned over_all(const uint32_t *program, const struct packet *packets, uint32_t count)
{
    unsigned accepted = 0;

    for (uint32_t at = 0; at < count; at++) {
        const struct packet *each = &packets[at];
        if (program[0])
            accepted += cspf_filter((const uint16_t *)(program + 2), program[1], each->data,
                                    each->caplen) != 0;
        else
            accepted += bpf_filter(program + 2, each->data, each->wirelen, each->caplen) != 0;
    }
    return accepted;
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return 1e9 * time.tv_sec + time.tv_nsec;
}

int main(int argc, char **argv)
{
    void *library = argc > 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
    FILE *file = argc > 2 ? fopen(argv[2], "rb") : NULL;
    const int passes = argc > 3 ? atoi(argv[3]) : 0;

    if (!library || !file || fseek(file, 0, SEEK_END)) return 2;
    const long size = ftell(file);
    uint32_t *input = malloc(size);
    rewind(file);
    if (!input || fread(input, 1, size, file) != (size_t)size) return 2;
    bpf_filter = (bpf_evaluator)dlsym(library, "bpf_filter");
    if (!bpf_filter) return 2;

    const uint32_t programs = input[0], count = input[1];
    const uint32_t **program = malloc(programs * sizeof *program);
    struct packet *packets = malloc(count * sizeof *packets);
    const uint32_t *at = input + 2;
    for (uint32_t each = 0; each < programs; each++) {
        program[each] = at;
        at += 2 + (at[0] ? (at[1] + 1) / 2 : 2 * at[1]);
    }
    for (uint32_t each = 0; each < count; each++) {
        packets[each] = (struct packet){ (const uint8_t *)(at + 2), at[0], at[1] };
        at += 2 + (at[0] + 3) / 4;
    }
    for (uint32_t each = 0; each < programs; each++) {
        next_program(each);
        unsigned accepted = over_all(program[each], packets, count);
        double fastest = 0;
        for (int pass = 0; pass < passes; pass++) {
            const double begin = now();
            accepted = over_all(program[each], packets, count);
            const double took = (now() - begin) / count;
            fastest = pass && fastest < took ? fastest : took;
        }
        printf("%u %.3f\n", accepted, fastest);
    }
    next_program(programs);
    return 0;
}
