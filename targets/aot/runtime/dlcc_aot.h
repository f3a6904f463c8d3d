/* A model compiled ahead of time: what a program that links it may call and read.
 *
 *     if (dlcc_init() != DLCC_OK) ...;
 *     const void *inputs[] = {image};                      in the order of dlcc_inputs
 *     void *outputs[] = {scores};                          in the order of dlcc_outputs
 *     int error = dlcc_run(inputs, outputs);
 *
 * Every input and output begins at a multiple of DLCC_ALIGN_BYTES, and no output overlaps an input
 * or another output. The model works in one arena of its own: one run at a time, a second one is
 * refused. Where it was compiled with threads, dlcc_close ends them; else there is nothing to
 * release. With a C library around it a static library needs -lm and -lpthread beside it.
 */
#ifndef DLCC_AOT_H
#define DLCC_AOT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DLCC_ALIGN_BYTES 128 /* one vector of the DSP */

enum dlcc_error {
    DLCC_OK = 0,
    DLCC_E_ALIGN = 1,  /* an input, an output or the model's own memory is not aligned */
    DLCC_E_NULL = 2,   /* an input or output is a null pointer */
    DLCC_E_ARENA = 3,  /* a kernel asked for more temporary memory than the arena holds */
    DLCC_E_KERNEL = 4, /* a kernel gave up; dlcc_failed_call says which one */
    DLCC_E_INPUT = 5,  /* the inputs ended before they were whole (programs fed by a stream) */
    DLCC_E_BUSY = 6,   /* another run has not ended */
    DLCC_E_THREADS = 7 /* a number of threads that cannot be had; DLCC_NUM_THREADS may name it */
};

/* What an element of a tensor is. */
enum dlcc_dtype {
    DLCC_FLOAT32 = 0,
    DLCC_FLOAT16 = 1,
    DLCC_BFLOAT16 = 2,
    DLCC_FLOAT64 = 3,
    DLCC_INT8 = 4,
    DLCC_INT16 = 5,
    DLCC_INT32 = 6,
    DLCC_INT64 = 7,
    DLCC_UINT8 = 8,
    DLCC_UINT16 = 9,
    DLCC_UINT32 = 10,
    DLCC_UINT64 = 11,
    DLCC_BOOL = 12 /* one byte an element, 0 or 1 */
};

struct dlcc_tensor {
    const char *name;
    int32_t dtype; /* an enum dlcc_dtype */
    uint32_t rank;
    const uint32_t *dims; /* `rank` of them, row-major */
    uint32_t bytes;
};

/* Events since the processor started, modulo 2**32; 0 where they are not counted. */
struct dlcc_counter {
    uint32_t packets, instructions, hvx;
};

/* Checks the model's own memory and starts its threads; call it once, before dlcc_run. Without it
 * a model runs on one thread. Returns an enum dlcc_error. */
int dlcc_init(void);

/* How many threads a run uses, its caller among them: 1 to 64. 0, as before the first call: as many
 * as DLCC_NUM_THREADS says, else one for each processor that the process may use. Between runs only.
 * Models without an operating system have one thread. Returns an enum dlcc_error. */
int dlcc_set_threads(int count);

/* Ends the threads; dlcc_init starts them again. */
void dlcc_close(void);

/* One inference; not reentrant. Returns an enum dlcc_error. */
int dlcc_run(const void *const *inputs, void *const *outputs);

extern const uint32_t dlcc_input_count, dlcc_output_count, dlcc_call_count;
extern const uint32_t dlcc_arena_bytes, dlcc_parameter_bytes;
extern const struct dlcc_tensor dlcc_inputs[], dlcc_outputs[];

/* The kernel of each call, in their order. */
extern const char *const dlcc_kernel_names[];

/* dlcc_call_count + 1 readings of the last run: one before each call and one after the last, so
 * that differences are what each call cost. Counted where the model was compiled with
 * DLCC_COUNT_EMULATED. */
extern struct dlcc_counter dlcc_counters[];

/* As many readings of a clock that only goes forward, in nanoseconds, taken at the same places.
 * All are 0 in models without an operating system. */
extern uint64_t dlcc_nanoseconds[];

/* What is read in place of the clock where it is not NULL: a word that something else counts up,
 * such as an emulator that counts instructions. Set it between runs. */
extern const volatile uint64_t *dlcc_events;

/* The number of the call that ended the last run, -1 if it went well. */
extern int32_t dlcc_failed_call;

#ifdef __cplusplus
}
#endif

#endif
