/* Parallel loops, run by the one thread there is.
 *
 * TVM's code hands the body of such a loop to its runtime (tvm/runtime/c_backend_api.h) together
 * with what it captured; the body does the part of its task, here the whole. */
#include <stdint.h>

struct group {
    void *sync;
    int32_t tasks;
};

typedef int (*body)(int task, struct group *group, void *captured);

static int launch(body run, void *captured, int tasks)
{
    struct group one = {0, 1};
    (void)tasks;
    return run(0, &one, captured);
}

static int barrier(int task, struct group *group)
{
    (void)task, (void)group;
    return 0; /* nobody to wait for */
}

/* TVM's code calls through these variables. */
int (*__TVMBackendParallelLaunch)(body, void *, int) = launch;
int (*__TVMBackendParallelBarrier)(int, struct group *) = barrier;
