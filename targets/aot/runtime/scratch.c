/* Temporaries of kernels: a stack inside of the arena, and one for each further thread.
 *
 * The compiler counted what each kernel asks for and set that much memory aside. A kernel that asks
 * for more gets a null pointer, gives up, and dlcc_run returns DLCC_E_ARENA. */
#include <stdatomic.h>

#include "dlcc_runtime.h"

static struct dlcc_stack own; /* of the thread that calls dlcc_run: in the arena */
static DLCC_THREAD_LOCAL struct dlcc_stack *of_thread; /* NULL: `own` */
static atomic_int exceeded;

void dlcc_stack_start(struct dlcc_stack *stack, void *memory, uint32_t bytes)
{
    stack->memory = memory;
    stack->capacity = bytes;
    stack->used = 0;
    stack->pieces = 0;
}

void dlcc_stack_use(struct dlcc_stack *stack)
{
    of_thread = stack;
}

void dlcc_scratch(void *memory, uint32_t bytes)
{
    dlcc_stack_start(&own, memory, bytes);
    atomic_store_explicit(&exceeded, 0, memory_order_relaxed);
}

int dlcc_scratch_exceeded(void)
{
    return atomic_load_explicit(&exceeded, memory_order_relaxed);
}

static struct dlcc_stack *stack_of_thread(void)
{
    return of_thread != NULL ? of_thread : &own;
}

/* TVM's allocator of temporaries (tvm/runtime/c_backend_api.h); devices and dtypes do not matter
 * here: every piece is aligned for a vector. */
static void *allocate(int device_type, int device_id, uint64_t bytes, int code, int bits)
{
    (void)device_type, (void)device_id, (void)code, (void)bits;
    struct dlcc_stack *s = stack_of_thread();
    if (s->pieces == DLCC_MAX_PIECES || bytes > s->capacity - s->used) {
        atomic_store_explicit(&exceeded, 1, memory_order_relaxed);
        return NULL;
    }
    uint8_t *piece = s->memory + s->used;
    uint64_t whole = (bytes + DLCC_ALIGN_BYTES - 1) / DLCC_ALIGN_BYTES * DLCC_ALIGN_BYTES;
    s->before[s->pieces++] = s->used;
    s->used += whole > s->capacity - s->used ? s->capacity - s->used : (uint32_t)whole;
    return piece;
}

/* Pieces are returned last first, as TVM's scopes nest. */
static int release(int device_type, int device_id, void *piece)
{
    (void)device_type, (void)device_id, (void)piece;
    struct dlcc_stack *s = stack_of_thread();
    if (s->pieces == 0) {
        return -1;
    }
    s->used = s->before[--s->pieces];
    return 0;
}

/* TVM's code calls through these variables. */
void *(*__TVMBackendAllocWorkspace)(int, int, uint64_t, int, int) = allocate;
int (*__TVMBackendFreeWorkspace)(int, int, void *) = release;
