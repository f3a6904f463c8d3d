void fake_quant_gradient(__global const float *gradients, __global const float *x,
                         __global const float *low, __global const float *high,
                         __global float *to_x, __global float *to_low, __global float *to_high,
                         long rows, long channels, float steps)
{
    const long c = get_global_id(0);
    if (c >= channels) {
        return;
    }
    const float scale = (high[c] - low[c]) / steps;
    const float zero = fmax(fmin(floor(-low[c] / scale + 0.5f), steps), 0.0f);
    const float start = (0.0f - zero) * scale;
    const float end = (steps - zero) * scale;
    const int off = low[c] == 0.0f && high[c] == 0.0f;
    float below = 0.0f, above = 0.0f;
    for (long i = c; i < rows * channels; i += channels) {
        to_x[i] = off || (x[i] >= start && x[i] <= end) ? gradients[i] : 0.0f;
        below += !off && x[i] < start ? gradients[i] : 0.0f;
        above += !off && x[i] > end ? gradients[i] : 0.0f;
    }
    to_low[c] = below;
    to_high[c] = above;
}
