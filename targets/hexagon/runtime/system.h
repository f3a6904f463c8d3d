/* What a program under qemu-hexagon has of an operating system. */
#ifndef DLCC_SYSTEM_H
#define DLCC_SYSTEM_H

#include <stdint.h>

/* From stdin, or to stdout, in full; 0, or -1 at the end of the stream. */
int read_all(void *to, uint32_t bytes);
int write_all(const void *from, uint32_t bytes);

_Noreturn void leave(int status);

/* The program itself; returns its exit status. */
int serve(void);

#endif
