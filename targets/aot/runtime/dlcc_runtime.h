/* What the driver and the runtime share; no part of the interface for users. */
#ifndef DLCC_RUNTIME_H
#define DLCC_RUNTIME_H

#include "dlcc_aot.h"

#if __STDC_HOSTED__
#include <string.h>
#define DLCC_THREAD_LOCAL _Thread_local
#else
#define DLCC_THREAD_LOCAL /* nothing: there is one thread */
void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
#endif

/* What TVM's code hands to the body of a parallel loop (tvm/runtime/c_backend_api.h). */
struct dlcc_group {
    void *sync;
    int32_t tasks;
};

/* The body does the part of one task; `captured` is what it needs of the code around the loop.
 * Returns 0, or what the launch then returns. */
typedef int (*dlcc_body)(int task, struct dlcc_group *group, void *captured);

/* Take and give back the right to run, or to change the threads. DLCC_OK or DLCC_E_BUSY. */
int dlcc_begin(void);
void dlcc_end(void);

/* Start the threads, unless they are there. Returns an enum dlcc_error. */
int dlcc_start_threads(void);

/* Bytes of temporaries that one task of a parallel loop asks for at most. */
extern const uint32_t dlcc_task_bytes;

#define DLCC_MAX_PIECES 256

/* Memory for temporaries, which are returned last first. */
struct dlcc_stack {
    uint8_t *memory;
    uint32_t capacity, used, pieces;
    uint32_t before[DLCC_MAX_PIECES]; /* `used` before each piece that is in use */
};
void dlcc_stack_start(struct dlcc_stack *stack, void *memory, uint32_t bytes);

/* Let the calling thread have its temporaries from there. */
void dlcc_stack_use(struct dlcc_stack *stack);

/* Make `bytes` bytes at `memory` the stack of the thread that calls dlcc_run. */
void dlcc_scratch(void *memory, uint32_t bytes);

/* Whether a kernel has asked for more than that since the last call of dlcc_scratch. */
int dlcc_scratch_exceeded(void);

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
static inline void dlcc_count(struct dlcc_counter *at, uint64_t *clock)
{
    (void)clock;
    at->packets = dlcc_packets();
    at->instructions = dlcc_instructions();
    at->hvx = dlcc_hvx();
}
#elif __STDC_HOSTED__
void dlcc_count(struct dlcc_counter *at, uint64_t *clock);
#else
static inline void dlcc_count(struct dlcc_counter *at, uint64_t *clock)
{
    (void)at;
    (void)clock;
}
#endif

#endif
