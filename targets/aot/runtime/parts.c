/* Exponential, logarithm and root of doubles, right to about 40 bits. */
#include "parts.h"

float sqrtf(float x);

#define LOG2_E 1.44269504088896340736
/* ln 2 in two parts; products of the first, which ends in 20 zero bits, with an exponent are
 * exact. */
#define LN2_HIGH 0x1.62e42fefp-1
#define LN2_LOW 0x1.473de6af278edp-34

/* e**f for |f| <= ln 2 / 2: Taylor's series, whose rest is below 3e-13. */
static const double EXP[] = {
    1.0,       1.0,        1.0 / 2,     1.0 / 6,      1.0 / 24,      1.0 / 120,
    1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800,
};

/* 2 atanh(s) / s, in powers of s * s <= 0.0295: the rest is below 1e-12. */
static const double LOG[] = {
    2.0, 2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13, 2.0 / 15,
};

/* 2**n of a normal result. */
static double power_of_two(int32_t n)
{
    return dlcc_double((uint64_t)(uint32_t)(n + 1023) << 52);
}

double dlcc_exp(double x)
{
    int32_t n;
    const double whole = dlcc_whole(x * LOG2_E, &n);
    const double f = (x - whole * LN2_HIGH) - whole * LN2_LOW;
    return dlcc_polynomial(f, EXP, DLCC_COUNT(EXP)) * power_of_two(n);
}

double dlcc_expm1(double x)
{
    if (x > -0.34 && x < 0.34) {
        return dlcc_polynomial(x, EXP + 1, DLCC_COUNT(EXP) - 1) * x; /* without the leading 1 */
    }
    return dlcc_exp(x) - 1.0;
}

static double two_atanh(double s)
{
    return dlcc_polynomial(s * s, LOG, DLCC_COUNT(LOG)) * s;
}

double dlcc_log(double x)
{
    /* x = 2**n m with m from sqrt(1/2) to sqrt(2): the bits of sqrt(1/2) are the border */
    const uint64_t border = 0x3fe6a09e667f3bcdu;
    const uint64_t bits = dlcc_bits64(x);
    const int32_t n = (int32_t)((int64_t)(bits - border) >> 52);
    const double m = dlcc_double(bits - ((uint64_t)(int64_t)n << 52));
    return (n * LN2_LOW + two_atanh((m - 1.0) / (m + 1.0))) + n * LN2_HIGH;
}

double dlcc_log1p(double x)
{
    if (x > -0.29 && x < 0.41) {
        return two_atanh(x / (2.0 + x));
    }
    return dlcc_log(1.0 + x);
}

/* One step of Newton's doubles the 24 bits of the root of a float. */
double dlcc_sqrt(double x)
{
    const double root = (double)sqrtf((float)x);
    return root == 0.0 ? 0.0 : 0.5 * (root + x / root);
}
