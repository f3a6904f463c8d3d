/* Parallel loops run by a pool of threads, where there is an operating system.
 *
 * dlcc_init starts count - 1 workers, which wait; the thread that calls dlcc_run does the first
 * task of every launch itself, worker i does task i. A launch is a round: its number goes up when
 * there is work, and it is over when every worker has said so. Who waits looks for a short while,
 * since kernels follow one another within microseconds, and then sleeps. */
#define _GNU_SOURCE /* sched_getaffinity, clock_gettime */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "dlcc_runtime.h"

#define MAX_THREADS 64
#define LOOKS 4000 /* before a thread sleeps: 50 to 200 microseconds */

struct worker {
    pthread_t thread;
    struct dlcc_stack stack;
    uint32_t number; /* of its task */
    uint32_t seen;   /* the last round that it knows of */
};

static struct worker workers[MAX_THREADS - 1];
static uint32_t worker_count;
static uint8_t *memory;     /* of the workers' stacks */
static int wanted;          /* threads, 0: as many as the system gives */
static pid_t owner;         /* the process that has the workers: a fork has none */
static int looks;           /* 0 where there are more threads than processors */
static atomic_flag running = ATOMIC_FLAG_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;
static atomic_uint current; /* number of the round; written with `lock` held */
static atomic_uint left;    /* workers that are not done with it */
static atomic_int failure;  /* what a task returned, if not 0 */
static atomic_uint arrived, passed; /* of a barrier: tasks that wait, barriers that opened */
static _Thread_local int within;    /* in a task: a launch from there runs serially */
static struct {
    dlcc_body run; /* NULL: leave */
    void *captured;
    uint32_t tasks;
} job;

static int run_task(uint32_t number)
{
    struct dlcc_group group = {NULL, (int32_t)job.tasks};
    return job.run((int)number, &group, job.captured);
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Wait until `value` is not `old`. `signal` is broadcast after it changes, with `lock` held. */
static void await_change(atomic_uint *value, uint32_t old, pthread_cond_t *signal)
{
    for (int i = 0; i < looks; i++) {
        if (atomic_load_explicit(value, memory_order_acquire) != old) {
            return;
        }
        relax();
    }
    pthread_mutex_lock(&lock);
    while (atomic_load_explicit(value, memory_order_acquire) == old) {
        pthread_cond_wait(signal, &lock);
    }
    pthread_mutex_unlock(&lock);
}

static void finish(void)
{
    if (atomic_fetch_sub_explicit(&left, 1, memory_order_acq_rel) == 1) {
        pthread_mutex_lock(&lock);
        pthread_cond_broadcast(&done);
        pthread_mutex_unlock(&lock);
    }
}

static void *work_on(void *argument)
{
    struct worker *self = argument;
    within = 1;
    dlcc_stack_use(&self->stack);
    for (;;) {
        await_change(&current, self->seen, &work);
        self->seen++;
        if (job.run == NULL) {
            return NULL;
        }
        if (self->number < job.tasks) {
            int error = run_task(self->number);
            if (error != 0) {
                atomic_store_explicit(&failure, error, memory_order_relaxed);
            }
        }
        finish();
    }
}

static void begin_round(dlcc_body run, void *captured, uint32_t tasks)
{
    job.run = run, job.captured = captured, job.tasks = tasks;
    atomic_store_explicit(&failure, 0, memory_order_relaxed);
    atomic_store_explicit(&arrived, 0, memory_order_relaxed);
    atomic_store_explicit(&left, worker_count, memory_order_relaxed);
    pthread_mutex_lock(&lock);
    atomic_fetch_add_explicit(&current, 1, memory_order_release);
    pthread_cond_broadcast(&work);
    pthread_mutex_unlock(&lock);
}

static void await_end(void)
{
    uint32_t still;
    while ((still = atomic_load_explicit(&left, memory_order_acquire)) != 0) {
        await_change(&left, still, &done);
    }
}

/* The body of a parallel loop splits its range by the number of tasks in its group; tasks == 0
 * asks for as many as there are threads (tvm/runtime/c_backend_api.h). */
static int launch(dlcc_body run, void *captured, int tasks)
{
    if (within || worker_count == 0 || tasks == 1 || owner != getpid()) {
        struct dlcc_group one = {NULL, 1};
        return run(0, &one, captured);
    }
    uint32_t most = worker_count + 1;
    begin_round(run, captured, tasks > 0 && (uint32_t)tasks < most ? (uint32_t)tasks : most);
    within = 1;
    int error = run_task(0);
    within = 0;
    await_end();
    int other = atomic_load_explicit(&failure, memory_order_relaxed);
    return error != 0 ? error : other;
}

/* Every task of a group waits here for the others: each has a thread of its own. */
static int barrier(int task, struct dlcc_group *group)
{
    (void)task;
    if (group->tasks == 1) {
        return 0;
    }
    uint32_t round = atomic_load_explicit(&passed, memory_order_acquire);
    if (atomic_fetch_add_explicit(&arrived, 1, memory_order_acq_rel) + 1 < (uint32_t)group->tasks) {
        await_change(&passed, round, &done);
        return 0;
    }
    atomic_store_explicit(&arrived, 0, memory_order_relaxed);
    pthread_mutex_lock(&lock);
    atomic_fetch_add_explicit(&passed, 1, memory_order_release);
    pthread_cond_broadcast(&done);
    pthread_mutex_unlock(&lock);
    return 0;
}

static int processors(void)
{
    cpu_set_t allowed;
    int count = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 0;
    return count > 0 ? count : 1;
}

/* As many as asked for; -1 where DLCC_NUM_THREADS is no number of threads. */
static int threads(void)
{
    if (wanted > 0) {
        return wanted;
    }
    const char *named = getenv("DLCC_NUM_THREADS");
    if (named == NULL || *named == 0) {
        int count = processors();
        return count < MAX_THREADS ? count : MAX_THREADS;
    }
    char *end;
    long count = strtol(named, &end, 10);
    return *end == 0 && count >= 1 && count <= MAX_THREADS ? (int)count : -1;
}

static int start_worker(uint32_t index)
{
    struct worker *w = &workers[index];
    w->number = index + 1;
    w->seen = atomic_load_explicit(&current, memory_order_relaxed);
    dlcc_stack_start(&w->stack, memory + (size_t)index * dlcc_task_bytes, dlcc_task_bytes);
    return pthread_create(&w->thread, NULL, work_on, w);
}

static void stop_workers(void)
{
    if (owner == getpid() && worker_count > 0) {
        begin_round(NULL, NULL, 0);
        for (uint32_t i = 0; i < worker_count; i++) {
            pthread_join(workers[i].thread, NULL);
        }
        free(memory); /* after a fork it stays: the other process's threads are gone with it */
    }
    memory = NULL;
    worker_count = 0;
    owner = 0;
}

static int start_workers(void)
{
    int count = threads();
    if (count < 1) {
        return DLCC_E_THREADS;
    }
    owner = getpid();
    looks = count <= processors() ? LOOKS : 0;
    uint32_t more = (uint32_t)count - 1;
    if (more > 0 && dlcc_task_bytes > 0) {
        memory = aligned_alloc(DLCC_ALIGN_BYTES, (size_t)more * dlcc_task_bytes);
        if (memory == NULL) {
            return DLCC_E_THREADS;
        }
    }
    while (worker_count < more) {
        if (start_worker(worker_count) != 0) {
            stop_workers();
            return DLCC_E_THREADS;
        }
        worker_count++;
    }
    return DLCC_OK;
}

int dlcc_begin(void)
{
    return atomic_flag_test_and_set_explicit(&running, memory_order_acquire) ? DLCC_E_BUSY
                                                                             : DLCC_OK;
}

void dlcc_end(void)
{
    atomic_flag_clear_explicit(&running, memory_order_release);
}

int dlcc_start_threads(void)
{
    int error = dlcc_begin();
    if (error == DLCC_OK) {
        if (owner != getpid()) { /* else it has been called before */
            stop_workers();
            error = start_workers();
        }
        dlcc_end();
    }
    return error;
}

int dlcc_set_threads(int count)
{
    if (count < 0 || count > MAX_THREADS) {
        return DLCC_E_THREADS;
    }
    int error = dlcc_begin();
    if (error == DLCC_OK) {
        wanted = count;
        if (owner == getpid()) {
            stop_workers();
            error = start_workers();
        }
        dlcc_end();
    }
    return error;
}

/* Also when a library is unloaded: its code must not be left running. */
__attribute__((destructor)) void dlcc_close(void)
{
    if (dlcc_begin() == DLCC_OK) {
        stop_workers();
        dlcc_end();
    }
}

void dlcc_count(struct dlcc_counter *at, uint64_t *clock)
{
    struct timespec now = {0, 0};
    (void)at; /* a CPU's own counts of events are not for programs to read */
    if (dlcc_events != NULL) {
        *clock = *dlcc_events;
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    *clock = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* TVM's code calls through these variables. */
int (*__TVMBackendParallelLaunch)(dlcc_body, void *, int) = launch;
int (*__TVMBackendParallelBarrier)(int, struct dlcc_group *) = barrier;
