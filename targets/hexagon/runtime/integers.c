/* Division of integers, a root, and a copy, under the names that LLVM gives them on Hexagon, which has no
 * instruction for a division. Bit by bit from the first that can be set; division by 0 gives
 * all ones, like the shifts do. */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);

float sqrtf(float x);
double sqrt(double x);

#define NAMED(NAME) __hexagon_##NAME

#define DIVIDE(NAME, TYPE, COUNT_ZEROS)                                       \
    static TYPE NAME(TYPE n, TYPE d, TYPE *rest)                              \
    {                                                                         \
        if (d == 0 || n < d) {                                                \
            *rest = n;                                                        \
            return d == 0 ? (TYPE)-1 : 0;                                     \
        }                                                                     \
        TYPE quotient = 0;                                                    \
        int at = COUNT_ZEROS(d) - COUNT_ZEROS(n);                             \
        for (TYPE step = d << at; at >= 0; at--, step >>= 1) {                \
            if (n >= step) {                                                  \
                n -= step;                                                    \
                quotient |= (TYPE)1 << at;                                    \
            }                                                                 \
        }                                                                     \
        *rest = n;                                                            \
        return quotient;                                                      \
    }
DIVIDE(divide32, uint32_t, __builtin_clz)
DIVIDE(divide64, uint64_t, __builtin_clzll)

/* The four functions of a width, from the division of unsigned numbers of that width. */
#define FUNCTIONS(MODE, DIVIDE_BY, UNSIGNED, SIGNED)                          \
    UNSIGNED NAMED(udiv##MODE)(UNSIGNED n, UNSIGNED d)                        \
    {                                                                         \
        UNSIGNED rest;                                                        \
        return DIVIDE_BY(n, d, &rest);                                        \
    }                                                                         \
    UNSIGNED NAMED(umod##MODE)(UNSIGNED n, UNSIGNED d)                        \
    {                                                                         \
        UNSIGNED rest;                                                        \
        DIVIDE_BY(n, d, &rest);                                               \
        return rest;                                                          \
    }                                                                         \
    SIGNED NAMED(div##MODE)(SIGNED n, SIGNED d)                               \
    {                                                                         \
        UNSIGNED rest, un = n < 0 ? -(UNSIGNED)n : (UNSIGNED)n;               \
        UNSIGNED quotient = DIVIDE_BY(un, d < 0 ? -(UNSIGNED)d : (UNSIGNED)d, &rest); \
        return (SIGNED)((n < 0) != (d < 0) ? -quotient : quotient);           \
    }                                                                         \
    SIGNED NAMED(mod##MODE)(SIGNED n, SIGNED d)                               \
    {                                                                         \
        UNSIGNED rest, un = n < 0 ? -(UNSIGNED)n : (UNSIGNED)n;               \
        DIVIDE_BY(un, d < 0 ? -(UNSIGNED)d : (UNSIGNED)d, &rest);             \
        return (SIGNED)(n < 0 ? -rest : rest);                                \
    }
FUNCTIONS(si3, divide32, uint32_t, int32_t)
FUNCTIONS(di3, divide64, uint64_t, int64_t)

/* LLVM calls this one where it knows the size to be a multiple of 8, and at least 32. */
void *NAMED(memcpy_likely_aligned_min32bytes_mult8bytes)(void *to, const void *from, size_t bytes)
{
    return memcpy(to, from, bytes);
}

float NAMED(sqrtf)(float x)
{
    return sqrtf(x);
}

double NAMED(sqrt)(double x)
{
    return sqrt(x);
}
