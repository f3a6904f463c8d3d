/* The entry point of a program under qemu-hexagon, and the system calls it makes. */
#include <stdint.h>

#include "system.h"

/* Numbers of Linux' generic table (include/uapi/asm-generic/unistd.h). */
enum { SYS_READ = 63, SYS_WRITE = 64, SYS_EXIT_GROUP = 94 };

/* Hexagon's convention: number in r6, arguments in r0 to r5, result in r0. */
static int32_t system_call(int32_t number, int32_t a, int32_t b, int32_t c)
{
    register int32_t r0 __asm__("r0") = a;
    register int32_t r1 __asm__("r1") = b;
    register int32_t r2 __asm__("r2") = c;
    register int32_t r6 __asm__("r6") = number;
    __asm__ volatile("trap0(#1)" : "+r"(r0) : "r"(r1), "r"(r2), "r"(r6) : "memory");
    return r0;
}

static const int32_t EINTR = 4;

int read_all(void *to, uint32_t bytes)
{
    for (uint8_t *at = to; bytes > 0;) {
        int32_t got = system_call(SYS_READ, 0, (int32_t)at, (int32_t)bytes);
        if (got == -EINTR) {
            continue;
        }
        if (got <= 0) {
            return -1;
        }
        at += got;
        bytes -= (uint32_t)got;
    }
    return 0;
}

int write_all(const void *from, uint32_t bytes)
{
    for (const uint8_t *at = from; bytes > 0;) {
        int32_t put = system_call(SYS_WRITE, 1, (int32_t)at, (int32_t)bytes);
        if (put == -EINTR) {
            continue;
        }
        if (put <= 0) {
            return -1;
        }
        at += put;
        bytes -= (uint32_t)put;
    }
    return 0;
}

_Noreturn void leave(int status)
{
    for (;;) {
        system_call(SYS_EXIT_GROUP, status, 0, 0);
    }
}

_Noreturn void start(void)
{
    leave(serve());
}

/* Linux enters with the stack pointer anywhere: align it for vectors, and end the chain of
 * frames. */
__asm__(".globl _start\n"
        "_start:\n"
        "    { r29 = and(r29, #-128); r30 = #0 }\n"
        "    jump start\n");
