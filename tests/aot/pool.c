/* Drives the pool of threads as kernels do; prints nothing and leaves with 0 if all is well. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dlcc_runtime.h"

#ifndef LAUNCHES
#define LAUNCHES 2000
#endif
#define LENGTH 1000

const uint32_t dlcc_task_bytes = 2 * DLCC_ALIGN_BYTES;
const volatile uint64_t *dlcc_events = NULL;

extern int (*__TVMBackendParallelLaunch)(dlcc_body, void *, int);
extern int (*__TVMBackendParallelBarrier)(int, struct dlcc_group *);
extern void *(*__TVMBackendAllocWorkspace)(int, int, uint64_t, int, int);
extern int (*__TVMBackendFreeWorkspace)(int, int, void *);

static uint8_t arena[2 * DLCC_ALIGN_BYTES] __attribute__((aligned(DLCC_ALIGN_BYTES)));
static int32_t values[LENGTH];
static int tasks_seen[64];

#define REQUIRE(WHAT)                                         \
    if (!(WHAT)) {                                            \
        fprintf(stderr, "line %d: %s\n", __LINE__, #WHAT);    \
        exit(1);                                              \
    }

/* As TVM splits a loop: ceil(LENGTH / tasks) for each. */
static int count_up(int task, struct dlcc_group *group, void *captured)
{
    int each = (LENGTH + group->tasks - 1) / group->tasks;
    for (int i = task * each; i < LENGTH && i < (task + 1) * each; i++) {
        values[i] += *(int *)captured;
    }
    return 0;
}

static int fail_last(int task, struct dlcc_group *group, void *captured)
{
    (void)captured;
    return task == group->tasks - 1 ? -1 : 0;
}

static int nested(int task, struct dlcc_group *group, void *captured)
{
    (void)group;
    tasks_seen[task]++;
    return task == 0 ? __TVMBackendParallelLaunch(count_up, captured, 0) : 0;
}

static int with_memory(int task, struct dlcc_group *group, void *captured)
{
    (void)group;
    uint8_t *a = __TVMBackendAllocWorkspace(1, 0, 100, 2, 32);
    uint8_t *b = __TVMBackendAllocWorkspace(1, 0, 100, 2, 32);
    if (a == NULL || b == NULL || (uintptr_t)b % DLCC_ALIGN_BYTES != 0) {
        return -1;
    }
    int more = *(int *)captured && __TVMBackendAllocWorkspace(1, 0, 1, 2, 32) == NULL;
    for (int i = 0; i < 100; i++) {
        a[i] = (uint8_t)task, b[i] = (uint8_t)(task + 1);
    }
    int fine = a[99] == task && b[0] == task + 1;
    __TVMBackendFreeWorkspace(1, 0, b);
    __TVMBackendFreeWorkspace(1, 0, a);
    return fine && !more ? 0 : -1;
}

/* Each task writes its own part, waits, and reads its neighbour's. */
static int in_phases(int task, struct dlcc_group *group, void *captured)
{
    (void)captured;
    for (int round = 1; round <= 50; round++) {
        tasks_seen[task] = round;
        __TVMBackendParallelBarrier(task, group);
        if (tasks_seen[(task + 1) % group->tasks] != round) {
            return -1;
        }
        __TVMBackendParallelBarrier(task, group);
    }
    return 0;
}

static void check(int threads)
{
    int step = 1, no = 0;
    REQUIRE(dlcc_set_threads(threads) == DLCC_OK);
    for (int i = 0; i < LENGTH; i++) {
        values[i] = 0;
    }
    for (int i = 0; i < LAUNCHES; i++) {
        REQUIRE(__TVMBackendParallelLaunch(count_up, &step, 0) == 0);
    }
    REQUIRE(__TVMBackendParallelLaunch(fail_last, NULL, 0) == -1);
    REQUIRE(__TVMBackendParallelLaunch(nested, &step, 0) == 0);
    for (int i = 0; i < LENGTH; i++) {
        REQUIRE(values[i] == LAUNCHES + 1);
    }
    dlcc_scratch(arena, sizeof arena);
    REQUIRE(__TVMBackendParallelLaunch(with_memory, &no, 0) == 0);
    REQUIRE(!dlcc_scratch_exceeded());
    REQUIRE(__TVMBackendParallelLaunch(with_memory, &step, 0) == -1);
    REQUIRE(dlcc_scratch_exceeded());
    REQUIRE(__TVMBackendParallelLaunch(in_phases, NULL, 0) == 0);
}

/* A forked process has no workers: what it launches runs on its one thread, and it ends. */
static void check_fork(void)
{
    pid_t child = fork();
    if (child == 0) {
        int step = 1;
        exit(__TVMBackendParallelLaunch(count_up, &step, 0));
    }
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child && status == 0);
}

int main(void)
{
    int step = 1;
    REQUIRE(__TVMBackendParallelLaunch(count_up, &step, 0) == 0); /* before dlcc_init */
    REQUIRE(dlcc_start_threads() == DLCC_OK);
    REQUIRE(dlcc_start_threads() == DLCC_OK);
    static const int counts[] = {1, 2, 3, 4, 7};
    for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        check(counts[i]);
    }
#ifndef NO_FORK
    check_fork();
#else
    (void)check_fork;
#endif
    REQUIRE(dlcc_set_threads(-1) == DLCC_E_THREADS && dlcc_set_threads(65) == DLCC_E_THREADS);
    REQUIRE(dlcc_begin() == DLCC_OK);
    REQUIRE(dlcc_begin() == DLCC_E_BUSY && dlcc_set_threads(2) == DLCC_E_BUSY);
    dlcc_end();
    for (int i = 0; i < 50; i++) {
        REQUIRE(dlcc_set_threads(1 + i % 4) == DLCC_OK);
    }
    dlcc_close();
    dlcc_close();
    setenv("DLCC_NUM_THREADS", "two", 1);
    REQUIRE(dlcc_set_threads(0) == DLCC_OK && dlcc_start_threads() == DLCC_E_THREADS);
    setenv("DLCC_NUM_THREADS", "3", 1);
    REQUIRE(dlcc_start_threads() == DLCC_OK);
    check(0);
    dlcc_close();
    return 0;
}
