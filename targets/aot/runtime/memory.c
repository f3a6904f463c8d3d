/* memcpy, memmove, memset and memcmp without a C library: eight bytes a step where both ends are
 * aligned. Compile with -fno-builtin, or the loops become calls of themselves. */
#include <stddef.h>
#include <stdint.h>

#define WORD sizeof(uint64_t)

static int aligned(const void *a, const void *b)
{
    return (((uintptr_t)a | (uintptr_t)b) & (WORD - 1)) == 0;
}

static void copy_up(uint8_t *to, const uint8_t *from, size_t bytes)
{
    if (aligned(to, from)) {
        for (; bytes >= 4 * WORD; bytes -= 4 * WORD, to += 4 * WORD, from += 4 * WORD) {
            uint64_t *t = (uint64_t *)to;
            const uint64_t *f = (const uint64_t *)from;
            uint64_t a = f[0], b = f[1], c = f[2], d = f[3];
            t[0] = a, t[1] = b, t[2] = c, t[3] = d;
        }
        for (; bytes >= WORD; bytes -= WORD, to += WORD, from += WORD) {
            *(uint64_t *)to = *(const uint64_t *)from;
        }
    } else if ((((uintptr_t)to | (uintptr_t)from) & 3) == 0) {
        for (; bytes >= 4; bytes -= 4, to += 4, from += 4) {
            *(uint32_t *)to = *(const uint32_t *)from;
        }
    }
    for (; bytes > 0; bytes--) {
        *to++ = *from++;
    }
}

static void copy_down(uint8_t *to, const uint8_t *from, size_t bytes)
{
    to += bytes;
    from += bytes;
    if (aligned(to, from)) {
        for (; bytes >= WORD; bytes -= WORD) {
            to -= WORD, from -= WORD;
            *(uint64_t *)to = *(const uint64_t *)from;
        }
    }
    for (; bytes > 0; bytes--) {
        *--to = *--from;
    }
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    copy_up(to, from, bytes);
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    if ((uintptr_t)to - (uintptr_t)from >= bytes) {
        copy_up(to, from, bytes);
    } else {
        copy_down(to, from, bytes);
    }
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    uint8_t *at = to;
    const uint64_t word = (uint8_t)value * 0x0101010101010101u;
    for (; bytes > 0 && ((uintptr_t)at & (WORD - 1)) != 0; bytes--) {
        *at++ = (uint8_t)value;
    }
    for (; bytes >= 4 * WORD; bytes -= 4 * WORD, at += 4 * WORD) {
        uint64_t *t = (uint64_t *)at;
        t[0] = word, t[1] = word, t[2] = word, t[3] = word;
    }
    for (; bytes > 0; bytes--) {
        *at++ = (uint8_t)value;
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const uint8_t *x = a, *y = b;
    for (; bytes > 0; bytes--, x++, y++) {
        if (*x != *y) {
            return *x < *y ? -1 : 1;
        }
    }
    return 0;
}
