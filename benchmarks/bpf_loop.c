/* A loop over libpcap's bpf_filter, whose address is handed in. */
#include <stddef.h>
#include <stdint.h>

typedef unsigned int (*evaluator)(const void *insns, const uint8_t *packet, unsigned int wirelen,
                                  unsigned int caplen);

void bpf_loop(evaluator bpf_filter, const void *insns, const uint8_t *base, const uint64_t *offsets,
              const uint32_t *lengths, const uint32_t *wirelens, uint32_t *rets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        rets[i] = bpf_filter(insns, base + offsets[i], wirelens[i], lengths[i]);
}
