/* Mathematics of doubles, to 4 units of the last place: kernels of float32 use it for functions that
 * lose digits on their way. Special values: C11, F.10. */
#include "parts.h"

#define LOG2_E 1.44269504088896340736
#define LN2_HIGH 0x1.62e42fefp-1 /* ends in zeros: products with an exponent are exact */
#define LN2_LOW 0x1.473de6af278edp-34
#define PI_2 1.57079632679489661923
#define INF __builtin_inf()

/* e**f for |f| <= ln 2 / 2: Taylor's series, the rest is below 5e-18. */
static const double EXP[] = {
    1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320,
    1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800,
};

/* (2 atanh(s) / s - 2) / s**2, in powers of s * s <= 0.0295: the rest is below 1e-17. */
static const double LOG[] = {
    2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21,
};

/* (sin r / r - 1) / r**2 and (cos r - 1) / r**2 in powers of r * r, |r| <= pi / 4. */
static const double SIN[] = {
    -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800, 1.0 / 6227020800,
    -1.0 / 1307674368000, 1.0 / 355687428096000,
};
static const double COS[] = {
    -1.0 / 2, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600,
    -1.0 / 87178291200, 1.0 / 20922789888000, -1.0 / 6402373705728000,
};

/* The bits of 2 / pi behind the point, 32 a word: 1280 of them, for the largest double. */
static const uint32_t TWO_OVER_PI[] = {
    0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab, 0xdebbc561,
    0xb7246e3a, 0x424dd2e0, 0x06492eea, 0x09d1921c, 0xfe1deb1c, 0xb129a73e, 0xe88235f5, 0x2ebb4484,
    0xe99c7026, 0xb45f7e41, 0x3991d639, 0x835339f4, 0x9c845f8b, 0xbdf9283b, 0x1ff897ff, 0xde05980f,
    0xef2f118b, 0x5a0a6d1f, 0x6d367ecf, 0x27cb09b7, 0x4f463f66, 0x9e5fea2d, 0x7527bac7, 0xebe5f17b,
    0x3d0739f7, 0x8a5292ea, 0x6bfb5fb1, 0x1f8d5d08, 0x56033046, 0xfc7b6bab, 0xf0cfbc20, 0x9af4361d,
};

static double power_of_two(int32_t n)
{
    return dlcc_double((uint64_t)(uint32_t)(n + 1023) << 52);
}

double exp(double x)
{
    if (!(x > -746.0 && x < 710.0)) {
        return x > 0.0 ? INF : x < 0.0 ? 0.0 : x;
    }
    int32_t n;
    const double whole = dlcc_whole(x * LOG2_E, &n);
    const double f = (x - whole * LN2_HIGH) - whole * LN2_LOW;
    /* in two steps, for results that are no normal numbers or almost too large */
    return dlcc_polynomial(f, EXP, DLCC_COUNT(EXP)) * power_of_two(n / 2) * power_of_two(n - n / 2);
}

double expm1(double x)
{
    if (x > -0.34 && x < 0.34) {
        return dlcc_polynomial(x, EXP + 1, DLCC_COUNT(EXP) - 1) * x;
    }
    return exp(x) - 1.0;
}

double tanh(double x)
{
    const double size = x < 0.0 ? -x : x;
    if (!(size > 1e-9)) {
        return x;
    }
    const double e = size > 20.0 ? INF : expm1(2.0 * size);
    const double y = size > 20.0 ? 1.0 : e / (e + 2.0);
    return x < 0.0 ? -y : y;
}

static double two_atanh(double s)
{
    const double square = s * s;
    return 2.0 * s + s * square * dlcc_polynomial(square, LOG, DLCC_COUNT(LOG));
}

double log(double x)
{
    const uint64_t border = 0x3fe6a09e667f3bcdu; /* sqrt(1/2) */
    if (!(x > 0.0) || x == INF) {
        return x == 0.0 ? -INF : x < 0.0 ? __builtin_nan("") : x;
    }
    int32_t n = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        n = -54;
    }
    const uint64_t bits = dlcc_bits64(x);
    const int32_t own = (int32_t)((int64_t)(bits - border) >> 52);
    const double m = dlcc_double(bits - ((uint64_t)(int64_t)own << 52));
    n += own;
    return n * LN2_HIGH + (two_atanh((m - 1.0) / (m + 1.0)) + n * LN2_LOW);
}

double log1p(double x)
{
    return x > -0.29 && x < 0.41 ? (x == 0.0 ? x : two_atanh(x / (2.0 + x))) : log(1.0 + x);
}

/* Two bits of the square give one of the root: 54, one more than a double has. No root lies half
 * way between two doubles, so that bit is enough to round by. */
double sqrt(double x)
{
    if (!(x > 0.0) || x == INF) {
        return x < 0.0 ? __builtin_nan("") : x;
    }
    const int small = x < 0x1p-1022;
    const uint64_t bits = dlcc_bits64(small ? x * 0x1p108 : x);
    int32_t exponent = (int32_t)(bits >> 52) - 1023 - (small ? 108 : 0);
    uint64_t square = (bits & 0xfffffffffffffu) | 0x10000000000000u;
    if (exponent & 1) {
        square <<= 1;
        exponent--;
    }
    uint64_t root = 0, rest = 0;
    for (int at = 52; at > -56; at -= 2) {
        rest = rest << 2 | (at >= 0 ? square >> at & 3 : 0);
        const uint64_t tried = root << 2 | 1;
        root <<= 1;
        if (rest >= tried) {
            rest -= tried;
            root |= 1;
        }
    }
    root = (root + 1) >> 1; /* a carry goes on into the exponent */
    return dlcc_double(((uint64_t)(uint32_t)(exponent / 2 + 1022) << 52) + root);
}

double trunc(double x)
{
    const uint64_t bits = dlcc_bits64(x), sign = bits & 1ull << 63;
    const int32_t exponent = (int32_t)(bits >> 52 & 0x7ff) - 1023;
    if (exponent >= 52) {
        return x;
    }
    return dlcc_double(exponent < 0 ? sign : bits & ~(0xfffffffffffffu >> exponent));
}

static double with_sign(double x, double sign)
{
    const uint64_t mask = 1ull << 63;
    return dlcc_double((dlcc_bits64(x) & ~mask) | (dlcc_bits64(sign) & mask));
}

double floor(double x)
{
    const double whole = trunc(x);
    return whole > x ? whole - 1.0 : whole;
}

double ceil(double x)
{
    const double whole = trunc(x);
    return whole < x ? with_sign(whole + 1.0, x) : whole;
}

double round(double x)
{
    const double whole = trunc(x);
    return with_sign(x - whole, 1.0) >= 0.5 ? whole + with_sign(1.0, x) : whole;
}

double rint(double x)
{
    const double magic = 4503599627370496.0, size = with_sign(x, 1.0);
    return size < magic ? with_sign((size + magic) - magic, x) : x;
}

double nearbyint(double x)
{
    return rint(x);
}

double roundeven(double x)
{
    return rint(x);
}

static uint32_t word_at(int32_t bit)
{
    if (bit < 0) { /* 0 before the point */
        return bit <= -32 ? 0 : TWO_OVER_PI[0] >> -bit;
    }
    const uint64_t two = (uint64_t)TWO_OVER_PI[bit / 32] << 32 | TWO_OVER_PI[bit / 32 + 1];
    return (uint32_t)(two << bit % 32 >> 32);
}

/* |x| = quarter pi / 2 + r, |r| <= pi / 4, by Payne and Hanek as in circle.c: the product of the 53
 * bits of x with those 192 bits of 2 / pi that matter, without what lies above two bits before the
 * point. Of 190 bits behind it, 61 at most are zeros in front. */
static double reduce(double x, uint32_t *quarter)
{
    const uint64_t bits = dlcc_bits64(x) & ~(1ull << 63);
    const int32_t at = (int32_t)(bits >> 52) - 1023 - 52 - 2;
    const uint64_t m = (bits & 0xfffffffffffffu) | 0x10000000000000u;
    const uint64_t ml = (uint32_t)m, mh = m >> 32;
    uint32_t product[6];
    uint64_t carry = 0, upper = 0; /* upper: m's high word times the word below */
    for (int i = 5; i >= 0; i--) {
        const uint64_t word = word_at(at + 32 * i);
        const uint64_t low = ml * word, sum = (low & 0xffffffffu) + (upper & 0xffffffffu) + carry;
        product[i] = (uint32_t)sum;
        carry = (low >> 32) + (upper >> 32) + (sum >> 32);
        upper = mh * word;
    }
    const uint64_t turns = (uint64_t)product[0] << 32 | product[1]; /* 2 bits, a point, 62 bits */
    *quarter = (uint32_t)((turns + (1ull << 61)) >> 62);
    const int64_t high = (int64_t)(turns - ((uint64_t)*quarter << 62));
    const uint64_t low = (uint64_t)product[2] << 32 | product[3];
    const double parts = (double)(int32_t)(high >> 32) * 0x1p-30 + (double)(uint32_t)high * 0x1p-62;
    return (parts + (double)low * 0x1p-126) * PI_2;
}

static double sine_at(uint32_t quarter, double r)
{
    const double square = r * r;
    const double s = r + r * square * dlcc_polynomial(square, SIN, DLCC_COUNT(SIN));
    const double c = 1.0 + square * dlcc_polynomial(square, COS, DLCC_COUNT(COS));
    const double y = quarter & 1 ? c : s;
    return quarter & 2 ? -y : y;
}

double sin(double x)
{
    const double size = with_sign(x, 1.0);
    if (!(size < INF) || size < 1e-9) {
        return size < 1e-9 ? x : x - x;
    }
    uint32_t quarter;
    const double r = reduce(x, &quarter);
    const double y = sine_at(quarter, r);
    return x < 0.0 ? -y : y;
}

double cos(double x)
{
    const double size = with_sign(x, 1.0);
    if (!(size < INF) || size < 1e-9) {
        return size < 1e-9 ? 1.0 : x - x;
    }
    uint32_t quarter;
    const double r = reduce(x, &quarter);
    return sine_at(quarter + 1, r);
}
