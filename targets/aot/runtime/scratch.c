/* Temporaries of kernels: a stack inside of the arena.
 *
 * The compiler counted what each kernel asks for and set that much of the arena aside. A kernel
 * that asks for more gets a null pointer, gives up, and dlcc_run returns DLCC_E_ARENA. */
#include "dlcc_runtime.h"

#define MAX_PIECES 256

static uint8_t *memory;
static uint32_t capacity, used, pieces;
static uint32_t before[MAX_PIECES]; /* `used` before each piece that is in use */
static int exceeded;

void dlcc_scratch(void *start, uint32_t bytes)
{
    memory = start;
    capacity = bytes;
    used = 0;
    pieces = 0;
    exceeded = 0;
}

int dlcc_scratch_exceeded(void)
{
    return exceeded;
}

/* TVM's allocator of temporaries (tvm/runtime/c_backend_api.h); devices and dtypes do not matter
 * here: every piece is aligned for a vector. */
static void *allocate(int device_type, int device_id, uint64_t bytes, int code, int bits)
{
    (void)device_type, (void)device_id, (void)code, (void)bits;
    if (pieces == MAX_PIECES || bytes > capacity - used) {
        exceeded = 1;
        return NULL;
    }
    uint8_t *piece = memory + used;
    uint64_t whole = (bytes + DLCC_ALIGN_BYTES - 1) / DLCC_ALIGN_BYTES * DLCC_ALIGN_BYTES;
    before[pieces++] = used;
    used += whole > capacity - used ? capacity - used : (uint32_t)whole;
    return piece;
}

/* Pieces are returned last first, as TVM's scopes nest. */
static int release(int device_type, int device_id, void *piece)
{
    (void)device_type, (void)device_id, (void)piece;
    if (pieces == 0) {
        return -1;
    }
    used = before[--pieces];
    return 0;
}

/* TVM's code calls through these variables. */
void *(*__TVMBackendAllocWorkspace)(int, int, uint64_t, int, int) = allocate;
int (*__TVMBackendFreeWorkspace)(int, int, void *) = release;
