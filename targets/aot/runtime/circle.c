/* Sines and their inverses. Special values: C11, F.10.1. */
#include "parts.h"

#define PI 3.14159265358979323846
#define PI_2 1.57079632679489661923
#define TWO_OVER_PI_NEAR 0.63661977236758134308 /* 2 / pi */
#define PI_6 0.52359877559829887308
#define SQRT_3 1.73205080756887729353
#define TAN_PI_12 0.26794919243112270647

/* pi / 2 in three parts, two of 25 bits: their products with a number of 25 bits are
 * exact. */
#define PI_2_HIGH 0x1.921fb50000000p+0
#define PI_2_MIDDLE 0x1.110b460000000p-26
#define PI_2_LOW 0x1.1a62633145c07p-54

/* sin r / r and cos r in powers of r * r, |r| <= pi / 4: Taylor's series, rests below 2e-14. */
static const double SIN[] = {
    1.0, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800, 1.0 / 6227020800,
};
static const double COS[] = {
    1.0, -1.0 / 2, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600,
    -1.0 / 87178291200,
};

/* atan z / z in powers of z * z <= 0.072: the rest is below 3e-13. */
static const double ATAN[] = {
    1.0, -1.0 / 3, 1.0 / 5, -1.0 / 7, 1.0 / 9, -1.0 / 11, 1.0 / 13, -1.0 / 15, 1.0 / 17, -1.0 / 19,
};

/* The bits of 2 / pi behind the point, 32 a word. */
static const uint32_t TWO_OVER_PI[] = {
    0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab, 0xdebbc561,
};

static uint32_t word_at(int32_t bit)
{
    const int32_t word = bit / 32, shift = bit % 32;
    const uint64_t two = (uint64_t)TWO_OVER_PI[word] << 32 | TWO_OVER_PI[word + 1];
    return (uint32_t)(two << shift >> 32);
}

/* x = quarter pi / 2 + r for x >= 2**25, by Payne and Hanek, Radian reduction for trigonometric
 * functions (1983): of 2 / pi only those 96 bits are multiplied that change the quarter, the two
 * bits above the point, and 94 bits below. */
static double reduce_large(float x, uint32_t *quarter)
{
    const int32_t exponent = (int32_t)(dlcc_bits(x) >> 23 & 0xff) - 127 - 23;
    const uint64_t m = (dlcc_bits(x) & 0x7fffffu) | 0x800000u; /* x = m 2**exponent */
    const int32_t at = exponent - 2; /* bits before this one contribute whole turns */
    const uint64_t low = m * word_at(at + 64);
    const uint64_t middle = m * word_at(at + 32) + (low >> 32);
    const uint64_t high = m * word_at(at) + (middle >> 32);
    const uint64_t turns = high << 32 | (uint32_t)middle; /* 2 bits, a point, 62 bits */
    *quarter = (uint32_t)((turns + (1ull << 61)) >> 62);
    return (double)(int64_t)(turns - ((uint64_t)*quarter << 62)) * (0x1p-62 * PI_2);
}

/* |x| = quarter pi / 2 + r, |r| <= pi / 4; |x| < inf */
static double reduce(float x, uint32_t *quarter)
{
    if (x >= 0x1p25f) {
        return reduce_large(x, quarter);
    }
    int32_t n;
    const double whole = dlcc_whole(x * TWO_OVER_PI_NEAR, &n);
    *quarter = (uint32_t)n;
    return ((x - whole * PI_2_HIGH) - whole * PI_2_MIDDLE) - whole * PI_2_LOW;
}

static double sine(double r)
{
    return dlcc_polynomial(r * r, SIN, DLCC_COUNT(SIN)) * r;
}

static double cosine(double r)
{
    return dlcc_polynomial(r * r, COS, DLCC_COUNT(COS));
}

/* sin of quarter pi / 2 + r */
static float sine_at(uint32_t quarter, double r)
{
    const float y = (float)(quarter & 1 ? cosine(r) : sine(r));
    return quarter & 2 ? -y : y;
}

float sinf(float x)
{
    const float size = dlcc_magnitude(x);
    if (!(size < DLCC_INF)) {
        return x - x;
    }
    if (size < 1e-4f) {
        return x; /* x**3 / 6 is less than half of the last place */
    }
    uint32_t quarter;
    const double r = reduce(size, &quarter);
    const float y = sine_at(quarter, r);
    return x < 0.0f ? -y : y;
}

float cosf(float x)
{
    const float size = dlcc_magnitude(x);
    if (!(size < DLCC_INF)) {
        return x - x;
    }
    uint32_t quarter;
    const double r = reduce(size, &quarter);
    return sine_at(quarter + 1, r);
}

float tanf(float x)
{
    const float size = dlcc_magnitude(x);
    if (!(size < DLCC_INF)) {
        return x - x;
    }
    if (size < 1e-4f) {
        return x;
    }
    uint32_t quarter;
    const double r = reduce(size, &quarter);
    const double s = sine(r), c = cosine(r);
    const float y = (float)(quarter & 1 ? -c / s : s / c);
    return x < 0.0f ? -y : y;
}

/* atan z for z >= 0 */
static double arc(double z)
{
    if (z > 1.0) {
        return PI_2 - arc(1.0 / z);
    }
    if (z > TAN_PI_12) {
        return PI_6 + arc((z * SQRT_3 - 1.0) / (z + SQRT_3));
    }
    return dlcc_polynomial(z * z, ATAN, DLCC_COUNT(ATAN)) * z;
}

float atanf(float x)
{
    const float size = dlcc_magnitude(x);
    if (!(size > 1e-4f)) {
        return x;
    }
    return dlcc_signed((float)(size == DLCC_INF ? PI_2 : arc(size)), x);
}

float atan2f(float y, float x)
{
    if (dlcc_is_nan(x) || dlcc_is_nan(y)) {
        return x + y;
    }
    const double a = dlcc_magnitude(y), b = dlcc_magnitude(x);
    double angle; /* in the first quadrant */
    if (a == 0.0 || b == 0.0) {
        angle = a == 0.0 ? 0.0 : PI_2;
    } else if (a == DLCC_INF || b == DLCC_INF) {
        angle = a != DLCC_INF ? 0.0 : b == DLCC_INF ? PI_2 / 2 : PI_2;
    } else {
        angle = arc(a / b);
    }
    return dlcc_signed((float)(dlcc_bits(x) >> 31 ? PI - angle : angle), y);
}

float asinf(float x)
{
    const float size = dlcc_magnitude(x);
    if (!(size > 1e-4f)) {
        return x;
    }
    if (size >= 1.0f) {
        return size == 1.0f ? dlcc_signed((float)PI_2, x) : DLCC_NAN;
    }
    const double a = size;
    return dlcc_signed((float)arc(a / dlcc_sqrt((1.0 - a) * (1.0 + a))), x);
}

float acosf(float x)
{
    if (!(dlcc_magnitude(x) <= 1.0f)) {
        return DLCC_NAN;
    }
    if (x == -1.0f) {
        return (float)PI;
    }
    const double a = x;
    return (float)(2.0 * arc(dlcc_sqrt((1.0 - a) / (1.0 + a))));
}
