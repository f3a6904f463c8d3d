/* Rounding, remainder, root, and choosing of floats. All of these are exact. */
#include "parts.h"

float truncf(float x)
{
    const uint32_t bits = dlcc_bits(x);
    const int32_t exponent = (int32_t)(bits >> 23 & 0xff) - 127;
    if (exponent >= 23) {
        return x; /* whole already, inf or nan */
    }
    return exponent < 0 ? dlcc_signed(0.0f, x) : dlcc_float(bits & ~(0x7fffffu >> exponent));
}

float floorf(float x)
{
    const float whole = truncf(x);
    return whole > x ? whole - 1.0f : whole;
}

float ceilf(float x)
{
    const float whole = truncf(x);
    return whole < x ? dlcc_signed(whole + 1.0f, x) : whole; /* -0.5 becomes -0 */
}

/* Half away from zero. */
float roundf(float x)
{
    const float whole = truncf(x);
    return dlcc_magnitude(x - whole) >= 0.5f ? whole + dlcc_signed(1.0f, x) : whole;
}

/* Half to even: adding 2**23 leaves no bits for a fraction. */
float rintf(float x)
{
    const float size = dlcc_magnitude(x), magic = 8388608.0f;
    return size < magic ? dlcc_signed((size + magic) - magic, x) : x;
}

float nearbyintf(float x)
{
    return rintf(x);
}

float roundevenf(float x)
{
    return rintf(x);
}

/* The mantissa of |x| > 0 with its leading bit, and the exponent of its last one. */
static uint32_t mantissa_of(float x, int32_t *exponent)
{
    const uint32_t bits = dlcc_bits(x) & 0x7fffffffu;
    const int32_t biased = (int32_t)(bits >> 23);
    uint32_t mantissa = bits & 0x7fffffu;
    *exponent = (biased == 0 ? 1 : biased) - 150;
    if (biased != 0) {
        return mantissa | 0x800000u;
    }
    for (; mantissa < 0x800000u; mantissa <<= 1) {
        --*exponent;
    }
    return mantissa;
}

/* mantissa 2**exponent, mantissa <= 2**24, which is a float. */
static float composed(uint32_t mantissa, int32_t exponent)
{
    for (; mantissa < 0x800000u && exponent > -149; mantissa <<= 1) {
        exponent--;
    }
    for (; mantissa > 0xffffffu || exponent < -149; mantissa >>= 1) {
        exponent++;
    }
    const uint32_t biased = mantissa < 0x800000u ? 0 : (uint32_t)(exponent + 150);
    return dlcc_float(biased << 23 | (mantissa & 0x7fffffu));
}

float fmodf(float x, float y)
{
    const float a = dlcc_magnitude(x), b = dlcc_magnitude(y);
    if (dlcc_is_nan(y) || !(a < DLCC_INF) || b == 0.0f) {
        return (x * y) / (x * y);
    }
    if (a < b) {
        return x;
    }
    int32_t exponent, end;
    uint32_t rest = mantissa_of(a, &exponent);
    const uint32_t divisor = mantissa_of(b, &end);
    for (; exponent > end; exponent--) {
        rest = (rest >= divisor ? rest - divisor : rest) << 1;
    }
    rest = rest >= divisor ? rest - divisor : rest;
    return dlcc_signed(rest == 0 ? 0.0f : composed(rest, end), x);
}

/* Digit by digit: 25 bits, one more than a float has. No root lies half way between two floats, so
 * that bit is enough to round by. */
float sqrtf(float x)
{
    if (!(x > 0.0f) || x == DLCC_INF) {
        return x < 0.0f ? DLCC_NAN : x;
    }
    int32_t exponent;
    uint64_t square = mantissa_of(x, &exponent);
    const int shift = 25 + ((exponent - 25) & 1); /* the exponent that is left is even */
    square <<= shift;
    uint64_t root = 0;
    for (uint64_t bit = 1ull << 24; bit != 0; bit >>= 1) {
        const uint64_t tried = root | bit;
        if (tried * tried <= square) {
            root = tried;
        }
    }
    root = (root + 1) >> 1;
    return composed((uint32_t)root, (exponent - shift) / 2 + 1);
}

float fmaxf(float x, float y)
{
    if (dlcc_is_nan(x) || dlcc_is_nan(y)) {
        return dlcc_is_nan(x) ? y : x;
    }
    return x < y || (x == y && dlcc_bits(x) >> 31) ? y : x;
}

float fminf(float x, float y)
{
    if (dlcc_is_nan(x) || dlcc_is_nan(y)) {
        return dlcc_is_nan(x) ? y : x;
    }
    return y < x || (x == y && dlcc_bits(y) >> 31) ? y : x;
}

float fabsf(float x)
{
    return dlcc_magnitude(x);
}

float copysignf(float x, float sign)
{
    return dlcc_signed(x, sign);
}

float ldexpf(float x, int n)
{
    /* 2**n in three steps that cannot overflow by themselves; doubles round once, at the end */
    n = n > 400 ? 400 : n < -400 ? -400 : n;
    return (float)(x * dlcc_double((uint64_t)(uint32_t)(n + 1023) << 52));
}
