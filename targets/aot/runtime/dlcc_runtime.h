/* What the driver and the runtime share; no part of the interface for users. */
#ifndef DLCC_RUNTIME_H
#define DLCC_RUNTIME_H

#include "dlcc_aot.h"

/* Make `bytes` bytes at `memory` what TVMBackendAllocWorkspace gives out. */
void dlcc_scratch(void *memory, uint32_t bytes);

/* Whether a kernel has asked for more than that since the last call of dlcc_scratch. */
int dlcc_scratch_exceeded(void);

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);

#if defined(DLCC_COUNT_EMULATED) && defined(__hexagon__)
/* qemu-hexagon keeps its counts in the reserved control registers c20 (packets), c21
 * (instructions) and c22 (HVX instructions). Assemblers refuse their names, hence the words for
 * r0 = c20, r0 = c21 and r0 = c22. On silicon these registers are not defined. */
#define DLCC_COUNTER(NAME, WORD)                                          \
    static inline uint32_t NAME(void)                                     \
    {                                                                     \
        register uint32_t value __asm__("r0");                            \
        __asm__ volatile(".word " #WORD : "=r"(value) : : "memory");      \
        return value;                                                     \
    }
DLCC_COUNTER(dlcc_packets, 0x6a14c000)
DLCC_COUNTER(dlcc_instructions, 0x6a15c000)
DLCC_COUNTER(dlcc_hvx, 0x6a16c000)
static inline void dlcc_count(struct dlcc_counter *at)
{
    at->packets = dlcc_packets();
    at->instructions = dlcc_instructions();
    at->hvx = dlcc_hvx();
}
#else
static inline void dlcc_count(struct dlcc_counter *at)
{
    (void)at;
}
#endif

#endif
