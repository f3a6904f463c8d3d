/* Parallel loops where there are no threads: run by the one that calls. `pool.c` is the other. */
#include "dlcc_runtime.h"

static int running;

int dlcc_begin(void)
{
    if (running) {
        return DLCC_E_BUSY;
    }
    running = 1;
    return DLCC_OK;
}

void dlcc_end(void)
{
    running = 0;
}

int dlcc_start_threads(void)
{
    return DLCC_OK;
}

int dlcc_set_threads(int count)
{
    return count == 0 || count == 1 ? DLCC_OK : DLCC_E_THREADS;
}

void dlcc_close(void)
{
}

static int launch(dlcc_body run, void *captured, int tasks)
{
    struct dlcc_group one = {0, 1};
    (void)tasks;
    return run(0, &one, captured);
}

static int barrier(int task, struct dlcc_group *group)
{
    (void)task, (void)group;
    return 0; /* nobody to wait for */
}

/* TVM's code calls through these variables. */
int (*__TVMBackendParallelLaunch)(dlcc_body, void *, int) = launch;
int (*__TVMBackendParallelBarrier)(int, struct dlcc_group *) = barrier;
