/* What the float functions are made of: the same functions of doubles, right to about 40 bits.
 * That leaves a float result within one unit of its last place. */
#ifndef DLCC_PARTS_H
#define DLCC_PARTS_H

#include <stdint.h>

#define DLCC_INF __builtin_inff()
#define DLCC_NAN __builtin_nanf("")
#define DLCC_COUNT(ARRAY) ((int)(sizeof(ARRAY) / sizeof((ARRAY)[0])))

static inline uint32_t dlcc_bits(float x)
{
    union { float f; uint32_t u; } both = {.f = x};
    return both.u;
}

static inline float dlcc_float(uint32_t bits)
{
    union { uint32_t u; float f; } both = {.u = bits};
    return both.f;
}

static inline uint64_t dlcc_bits64(double x)
{
    union { double d; uint64_t u; } both = {.d = x};
    return both.u;
}

static inline double dlcc_double(uint64_t bits)
{
    union { uint64_t u; double d; } both = {.u = bits};
    return both.d;
}

static inline int dlcc_is_nan(float x)
{
    return x != x;
}

static inline float dlcc_magnitude(float x)
{
    return dlcc_float(dlcc_bits(x) & 0x7fffffffu);
}

/* |x| with the sign of `sign`. */
static inline float dlcc_signed(float x, float sign)
{
    return dlcc_float((dlcc_bits(x) & 0x7fffffffu) | (dlcc_bits(sign) & 0x80000000u));
}

/* The nearest whole number of |x| < 2**31, and the same as an integer. Adding 1.5 * 2**52 rounds to
 * a whole number and leaves it in the low bits of the sum. */
static inline double dlcc_whole(double x, int32_t *number)
{
    const double magic = 6755399441055744.0;
    const double shifted = x + magic;
    *number = (int32_t)(uint32_t)dlcc_bits64(shifted);
    return shifted - magic;
}

/* c[0] + c[1] x + ... + c[count - 1] x**(count - 1) */
static inline double dlcc_polynomial(double x, const double *c, int count)
{
    double sum = c[count - 1];
    for (int i = count - 2; i >= 0; i--) {
        sum = sum * x + c[i];
    }
    return sum;
}

double dlcc_exp(double x);   /* |x| < 700 */
double dlcc_expm1(double x); /* |x| < 700 */
double dlcc_log(double x);   /* a normal number above 0 */
double dlcc_log1p(double x); /* above -1 */
double dlcc_sqrt(double x);  /* 0, or within the range of floats */

#endif
