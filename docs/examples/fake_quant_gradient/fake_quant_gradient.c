#include "dlcc_kernel.h"

void fake_quant_gradient(const float *gradients, const float *x, const float *low,
                         const float *high, float *to_x, float *to_low, float *to_high,
                         int64_t rows, int64_t channels, float steps)
{
    for (int64_t c = 0; c < channels; c++) {
        const float scale = (high[c] - low[c]) / steps;
        const float zero = fmaxf(fminf(floorf(-low[c] / scale + 0.5f), steps), 0.0f);
        const float start = (0.0f - zero) * scale;
        const float end = (steps - zero) * scale;
        const int off = low[c] == 0.0f && high[c] == 0.0f;
        to_low[c] = to_high[c] = 0.0f;
        for (int64_t i = c; i < rows * channels; i += channels) {
            to_x[i] = off || (x[i] >= start && x[i] <= end) ? gradients[i] : 0.0f;
            to_low[c] += !off && x[i] < start ? gradients[i] : 0.0f;
            to_high[c] += !off && x[i] > end ? gradients[i] : 0.0f;
        }
    }
}
