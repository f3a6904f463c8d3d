/* A program of a user: inputs of ones, dlcc_run, and the sum of each float output on stdout. */
#include "dlcc_aot.h"

#if __STDC_HOSTED__
#include <stdio.h>
static void show(int32_t thousandths)
{
    printf("%d\n", thousandths);
}
#else
/* The system calls are those of `start.c`, which the test links beside this. */
int write_all(const void *from, uint32_t bytes);
static void show(int32_t thousandths)
{
    char text[16];
    int at = sizeof text;
    text[--at] = '\n';
    do {
        text[--at] = (char)('0' + thousandths % 10);
        thousandths /= 10;
    } while (thousandths > 0);
    write_all(text + at, (uint32_t)((int)sizeof text - at));
}
#define main serve
#endif

static uint8_t memory[1 << 16] __attribute__((aligned(DLCC_ALIGN_BYTES)));

int main(void)
{
    const void *inputs[4];
    void *outputs[4];
    uint8_t *at = memory;
    for (uint32_t i = 0; i < dlcc_input_count; i++) {
        for (uint32_t j = 0; j < dlcc_inputs[i].bytes / 4; j++) {
            ((float *)at)[j] = 1;
        }
        inputs[i] = at;
        at += (dlcc_inputs[i].bytes / DLCC_ALIGN_BYTES + 1) * DLCC_ALIGN_BYTES;
    }
    for (uint32_t i = 0; i < dlcc_output_count; i++) {
        outputs[i] = at;
        at += (dlcc_outputs[i].bytes / DLCC_ALIGN_BYTES + 1) * DLCC_ALIGN_BYTES;
    }
    int error = dlcc_init();
    error = error != DLCC_OK ? error : dlcc_run(inputs, outputs);
    for (uint32_t i = 0; i < dlcc_output_count && error == DLCC_OK; i++) {
        float sum = 0;
        for (uint32_t j = 0; j < dlcc_outputs[i].bytes / 4; j++) {
            sum += ((float *)outputs[i])[j];
        }
        show((int32_t)(sum * 1000 + 0.5f));
    }
    dlcc_close();
    return error;
}
