/* Exponentials, logarithms and powers of floats. Special values: C11, F.10.3 to F.10.5. */
#include "parts.h"

#define LN_2 0.69314718055994530942
#define LN_10 2.30258509299404568402
#define LOG2_E 1.44269504088896340736

/* Beyond these e**x is no float: above the largest one, and below half of the smallest. */
#define LARGEST 88.7228394
#define SMALLEST (-103.9720840)

static float exp_of(double x)
{
    if (x > LARGEST) {
        return DLCC_INF;
    }
    return x < SMALLEST ? 0.0f : (float)dlcc_exp(x);
}

float expf(float x)
{
    return dlcc_is_nan(x) ? x : exp_of(x);
}

float exp2f(float x)
{
    return dlcc_is_nan(x) ? x : exp_of(x * LN_2);
}

float exp10f(float x)
{
    return dlcc_is_nan(x) ? x : exp_of(x * LN_10);
}

float expm1f(float x)
{
    if (dlcc_is_nan(x) || x == 0.0f) {
        return x;
    }
    if (x > LARGEST) {
        return DLCC_INF;
    }
    return x < -40.0f ? -1.0f : (float)dlcc_expm1(x);
}

/* scale * ln x */
static float log_of(float x, double scale)
{
    if (dlcc_is_nan(x) || x == DLCC_INF) {
        return x;
    }
    if (x <= 0.0f) {
        return x == 0.0f ? -DLCC_INF : DLCC_NAN;
    }
    return (float)(dlcc_log(x) * scale);
}

float logf(float x)
{
    return log_of(x, 1.0);
}

float log2f(float x)
{
    return log_of(x, LOG2_E);
}

float log10f(float x)
{
    return log_of(x, 1.0 / LN_10);
}

float log1pf(float x)
{
    if (dlcc_is_nan(x) || x == DLCC_INF || x == 0.0f) {
        return x;
    }
    if (x <= -1.0f) {
        return x == -1.0f ? -DLCC_INF : DLCC_NAN;
    }
    return (float)dlcc_log1p(x);
}

/* 0: no whole number, 1: an odd one, 2: an even one. */
static int parity(float y)
{
    const int32_t exponent = (int32_t)(dlcc_bits(y) >> 23 & 0xff) - 127;
    const uint32_t mantissa = (dlcc_bits(y) & 0x7fffffu) | 0x800000u;
    if (y == 0.0f || exponent > 23) {
        return 2;
    }
    if (exponent < 0 || mantissa << (exponent + 8) << 1 != 0) {
        return exponent == 0 && mantissa == 0x800000u ? 1 : 0;
    }
    return mantissa >> (23 - exponent) & 1 ? 1 : 2;
}

/* x**y for x >= 0, y != 0, neither a nan. */
static float power(float x, float y)
{
    if (x == 1.0f) {
        return 1.0f;
    }
    if (x == 0.0f || x == DLCC_INF) {
        return (x == 0.0f) == (y > 0.0f) ? 0.0f : DLCC_INF;
    }
    if (dlcc_magnitude(y) == DLCC_INF) {
        return (x < 1.0f) == (y > 0.0f) ? 0.0f : DLCC_INF;
    }
    return exp_of(y * dlcc_log(x));
}

float powf(float x, float y)
{
    if (x == 1.0f || y == 0.0f) {
        return 1.0f;
    }
    if (dlcc_is_nan(x) || dlcc_is_nan(y)) {
        return x + y;
    }
    const int whole = parity(y);
    if (x < 0.0f && x != -DLCC_INF && whole == 0 && dlcc_magnitude(y) != DLCC_INF) {
        return DLCC_NAN;
    }
    const float size = power(dlcc_magnitude(x), y);
    return whole == 1 ? dlcc_signed(size, x) : size;
}

float sinhf(float x)
{
    const float size = dlcc_magnitude(x);
    if (!(size > 1e-4f)) {
        return x; /* x**3 / 6 is less than half of the last place; and a nan */
    }
    if (size > 90.0f) {
        return dlcc_signed(DLCC_INF, x);
    }
    const double e = dlcc_expm1(size);
    return dlcc_signed((float)(0.5 * (e + e / (e + 1.0))), x);
}

float coshf(float x)
{
    const float size = dlcc_magnitude(x);
    if (dlcc_is_nan(x) || size > 90.0f) {
        return size * DLCC_INF;
    }
    const double e = dlcc_exp(size);
    return (float)(0.5 * (e + 1.0 / e));
}

float tanhf(float x)
{
    const float size = dlcc_magnitude(x);
    if (!(size > 1e-4f)) {
        return x;
    }
    if (size > 10.0f) {
        return dlcc_signed(1.0f, x);
    }
    const double e = dlcc_expm1(2.0 * size);
    return dlcc_signed((float)(e / (e + 2.0)), x);
}

float asinhf(float x)
{
    const float size = dlcc_magnitude(x);
    if (!(size > 1e-4f) || size == DLCC_INF) {
        return x;
    }
    const double a = size;
    const double y = size > 1e9f ? dlcc_log(a) + LN_2
                                 : dlcc_log1p(a + a * a / (1.0 + dlcc_sqrt(a * a + 1.0)));
    return dlcc_signed((float)y, x);
}

float acoshf(float x)
{
    if (!(x >= 1.0f)) {
        return DLCC_NAN;
    }
    if (x == DLCC_INF || x == 1.0f) {
        return x == 1.0f ? 0.0f : x;
    }
    const double a = x, t = a - 1.0;
    return (float)(x > 1e9f ? dlcc_log(a) + LN_2 : dlcc_log1p(t + dlcc_sqrt(t * (a + 1.0))));
}

float atanhf(float x)
{
    const float size = dlcc_magnitude(x);
    if (!(size > 1e-4f)) {
        return x;
    }
    if (size >= 1.0f) {
        return size == 1.0f ? dlcc_signed(DLCC_INF, x) : DLCC_NAN;
    }
    const double a = size;
    return dlcc_signed((float)(0.5 * dlcc_log1p(2.0 * a / (1.0 - a))), x);
}
