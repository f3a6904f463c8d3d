/* The main loop of a model under the emulator: requests on stdin, replies on stdout.
 *
 * Everything is little endian, 32-bit words. At start a greeting: magic, format, number of calls,
 * bytes of the arena. Request: command (0 or the end of the stream: leave; n: run n times), then
 * every input in full. Reply: status, bytes of all outputs, number of calls, 0; if the status is 0
 * also the counters, three words for each call and for the end, and every output in full. */
#include "dlcc_runtime.h"
#include "system.h"

#define MAGIC 0x43434c44u /* "DLCC" */
#define FORMAT 1u

/* DLCC_IO_BYTES: all inputs and outputs, each rounded up to DLCC_ALIGN_BYTES.
 * DLCC_IO_COUNT: how many there are. */
static uint8_t memory[DLCC_IO_BYTES] __attribute__((aligned(DLCC_ALIGN_BYTES)));
static void *places[DLCC_IO_COUNT];

static uint8_t *place(const struct dlcc_tensor *tensors, uint32_t count, void **to, uint8_t *at)
{
    for (uint32_t i = 0; i < count; i++) {
        to[i] = at;
        at += (tensors[i].bytes + DLCC_ALIGN_BYTES - 1) / DLCC_ALIGN_BYTES * DLCC_ALIGN_BYTES;
    }
    return at;
}

static int read_inputs(void **inputs)
{
    for (uint32_t i = 0; i < dlcc_input_count; i++) {
        if (read_all(inputs[i], dlcc_inputs[i].bytes) != 0) {
            return -1;
        }
    }
    return 0;
}

static int reply(int status, void **outputs)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i < dlcc_output_count; i++) {
        total += dlcc_outputs[i].bytes;
    }
    const uint32_t header[4] = {(uint32_t)status, total, dlcc_call_count, 0};
    int lost = write_all(header, sizeof header);
    if (status != DLCC_OK) {
        return lost;
    }
    lost |= write_all(dlcc_counters, (dlcc_call_count + 1) * sizeof dlcc_counters[0]);
    for (uint32_t i = 0; i < dlcc_output_count; i++) {
        lost |= write_all(outputs[i], dlcc_outputs[i].bytes);
    }
    return lost;
}

int serve(void)
{
    void **inputs = places, **outputs = places + dlcc_input_count;
    uint8_t *free = place(dlcc_inputs, dlcc_input_count, inputs, memory);
    place(dlcc_outputs, dlcc_output_count, outputs, free);
    const uint32_t hello[4] = {MAGIC, FORMAT, dlcc_call_count, dlcc_arena_bytes};
    if (write_all(hello, sizeof hello) != 0) {
        return DLCC_E_INPUT;
    }
    for (uint32_t command;;) {
        if (read_all(&command, sizeof command) != 0 || command == 0) {
            return DLCC_OK;
        }
        if (read_inputs(inputs) != 0) {
            reply(DLCC_E_INPUT, outputs);
            return DLCC_E_INPUT;
        }
        int status = dlcc_init();
        for (uint32_t i = 0; i < command && status == DLCC_OK; i++) {
            status = dlcc_run((const void *const *)inputs, outputs);
        }
        if (reply(status, outputs) != 0) {
            return DLCC_OK; /* whoever asked is gone */
        }
    }
}
