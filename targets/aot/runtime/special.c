/* The error function. */
#include "parts.h"

/* Chebyshev interpolants of erf, as polynomials in t from -1 to 1. Each is right to 2e-10.
 * erf(x) / x, |x| <= 1, t = 2 x**2 - 1 */
static const double NEAR[] = {
    0.96546873866988603,
    -0.14053608902271791,
    0.019852496688064412,
    -0.0022854855611073241,
    0.00021751716334836858,
    -1.7537169738163214e-05,
    1.2233624094193378e-06,
    -7.5114857622793328e-08,
    4.1388886984350396e-09,
    -2.0447714632609858e-10,
};

/* erf(x), 1 <= x <= 2, t = 2 x - 3 */
static const double MIDDLE[] = {
    0.96610514647531132,
    0.059465143342686613,
    -0.044598858279361761,
    0.017344025918297552,
    -0.0027874322524877567,
    -0.00046471406361997037,
    0.00030199171490446542,
    -3.6727525802213939e-05,
    -9.276130675382108e-06,
    3.0084762453374094e-06,
    -4.255892091268007e-08,
};

/* erf(x), 2 <= x <= 4, t = x - 3 */
static const double FAR[] = {
    0.99997790950300125,
    0.0001392531511775015,
    -0.00041775914736625133,
    0.00078909690913097719,
    -0.0010443982018035905,
    0.0010165878104478763,
    -0.00073803790897599688,
    0.00039037549680169076,
    -0.00013479171502694956,
    1.4399467782292653e-05,
    1.5648258617299386e-05,
    -1.1469019220082067e-05,
    2.9979199553054068e-06,
    6.1596007678114504e-07,
    -4.4390835682861509e-07,
};

float erff(float x)
{
    const float size = dlcc_magnitude(x);
    if (dlcc_is_nan(x)) {
        return x;
    }
    const double a = size;
    double y = 1.0; /* to the last place, beyond 3.92 */
    if (size <= 1.0f) {
        return (float)(x * dlcc_polynomial(2.0 * a * a - 1.0, NEAR, DLCC_COUNT(NEAR)));
    } else if (size <= 2.0f) {
        y = dlcc_polynomial(2.0 * a - 3.0, MIDDLE, DLCC_COUNT(MIDDLE));
    } else if (size <= 4.0f) {
        y = dlcc_polynomial(a - 3.0, FAR, DLCC_COUNT(FAR));
    }
    return dlcc_signed((float)y, x);
}
