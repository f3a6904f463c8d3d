/* Arithmetic of doubles under the names that LLVM gives it on Hexagon: v65 has no instruction for
 * any of it, v66 adds. Rounded to nearest, ties to even, with subnormal numbers, infinities and
 * nans, as IEEE 754 says; nothing but integers is used. */
#include <stdint.h>

#define HIDDEN (1ull << 52)
#define FRACTION (HIDDEN - 1)
#define INFINITE (0x7ffull << 52)
#define SIGN (1ull << 63)
#define QUIET_NAN (0x7ff8ull << 48)

static uint64_t bits_of(double x)
{
    union { double d; uint64_t u; } both = {.d = x};
    return both.u;
}

static double double_of(uint64_t bits)
{
    union { uint64_t u; double d; } both = {.u = bits};
    return both.d;
}

/* The mantissa of a finite number above 0, from 2**52 to 2**53, and its biased exponent, below 1
 * for subnormal numbers. */
static uint64_t mantissa_of(uint64_t bits, int32_t *exponent)
{
    const uint64_t fraction = bits & FRACTION;
    *exponent = (int32_t)(bits >> 52 & 0x7ff);
    if (*exponent != 0) {
        return fraction | HIDDEN;
    }
    const int shift = __builtin_clzll(fraction) - 11;
    *exponent = 1 - shift;
    return fraction << shift;
}

/* The double nearest to mantissa 2**(exponent - 1075 - 10), where the mantissa is 0 or from 2**62
 * to 2**63; its last bit is set if anything was cut off below. */
static double rounded(uint64_t sign, int32_t exponent, uint64_t mantissa)
{
    if (mantissa == 0) {
        return double_of(sign);
    }
    if (exponent <= 0) {
        const int shift = 1 - exponent;
        const uint64_t lost = shift > 63 ? mantissa : mantissa & ((1ull << shift) - 1);
        mantissa = (shift > 63 ? 0 : mantissa >> shift) | (lost != 0);
        exponent = 0;
    }
    const uint64_t below = mantissa & 0x3ff, half = 0x200;
    uint64_t whole = mantissa >> 10;
    whole += below > half || (below == half && (whole & 1));
    /* the hidden bit adds one to the exponent; a carry out of the mantissa does the same */
    const uint64_t bits = exponent == 0 ? whole : ((uint64_t)(exponent - 1) << 52) + whole;
    return double_of(sign | (bits >= INFINITE ? INFINITE : bits));
}

/* The product's upper 64 bits; the last is set if any of the lower ones is. */
static uint64_t high_product(uint64_t a, uint64_t b)
{
    const uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    const uint64_t low = al * bl, cross = ah * bl + (low >> 32);
    const uint64_t other = al * bh + (uint32_t)cross;
    const uint64_t high = ah * bh + (cross >> 32) + (other >> 32);
    return high | (((uint32_t)other | (uint32_t)low) != 0);
}

double __hexagon_muldf3(double x, double y)
{
    const uint64_t a = bits_of(x) & ~SIGN, b = bits_of(y) & ~SIGN;
    const uint64_t sign = (bits_of(x) ^ bits_of(y)) & SIGN;
    if (a >= INFINITE || b >= INFINITE) {
        return double_of(a > INFINITE || b > INFINITE || a == 0 || b == 0 ? QUIET_NAN
                                                                          : sign | INFINITE);
    }
    if (a == 0 || b == 0) {
        return double_of(sign);
    }
    int32_t ea, eb;
    const uint64_t ma = mantissa_of(a, &ea), mb = mantissa_of(b, &eb);
    /* 2**104 to 2**106, shifted to have its upper word from 2**61 to 2**63 */
    uint64_t product = high_product(ma << 10, mb << 11);
    int32_t exponent = ea + eb - 1022;
    if (product < 1ull << 62) {
        product <<= 1;
        exponent--;
    }
    return rounded(sign, exponent, product);
}

double __hexagon_divdf3(double x, double y)
{
    const uint64_t a = bits_of(x) & ~SIGN, b = bits_of(y) & ~SIGN;
    const uint64_t sign = (bits_of(x) ^ bits_of(y)) & SIGN;
    if (a > INFINITE || b > INFINITE || (a == INFINITE && b == INFINITE) || (a == 0 && b == 0)) {
        return double_of(QUIET_NAN);
    }
    if (a == INFINITE || b == 0) {
        return double_of(sign | INFINITE);
    }
    if (a == 0 || b == INFINITE) {
        return double_of(sign);
    }
    int32_t ea, eb;
    uint64_t rest = mantissa_of(a, &ea);
    const uint64_t divisor = mantissa_of(b, &eb);
    int32_t exponent = ea - eb + 1023;
    if (rest < divisor) {
        rest <<= 1;
        exponent--;
    }
    uint64_t quotient = 0; /* 55 bits, the first of them 1 */
    for (int i = 0; i < 55; i++) {
        quotient <<= 1;
        if (rest >= divisor) {
            rest -= divisor;
            quotient |= 1;
        }
        rest <<= 1;
    }
    return rounded(sign, exponent, quotient << 8 | (rest != 0));
}

double __hexagon_adddf3(double x, double y)
{
    uint64_t big = bits_of(x), small = bits_of(y);
    if ((big & ~SIGN) < (small & ~SIGN)) {
        const uint64_t kept = big;
        big = small, small = kept;
    }
    const uint64_t a = big & ~SIGN, b = small & ~SIGN;
    if (a >= INFINITE) {
        const int no_number = a > INFINITE || (b == INFINITE && big != small);
        return double_of(no_number ? QUIET_NAN : big);
    }
    if (b == 0) {
        return double_of(a == 0 ? big & small : big); /* -0 only as the sum of two */
    }
    int32_t ea, eb;
    uint64_t sum = mantissa_of(a, &ea) << 9, other = mantissa_of(b, &eb) << 9;
    const int shift = ea - eb;
    const uint64_t lost = shift > 63 ? other : other & ((1ull << shift) - 1);
    other = (shift > 63 ? 0 : other >> shift) | (lost != 0);
    sum = (big ^ small) & SIGN ? sum - other : sum + other;
    if (sum == 0) {
        return 0.0;
    }
    const int up = __builtin_clzll(sum) - 1;
    return rounded(big & SIGN, ea + 1 - up, sum << up);
}

double __hexagon_subdf3(double x, double y)
{
    return __hexagon_adddf3(x, double_of(bits_of(y) ^ SIGN));
}
