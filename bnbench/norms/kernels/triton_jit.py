"""The device code of `triton_kernel.py`: three Triton kernels for forward, three for backward.

A tensor is `num_channels` channels of `num_values` values each, of which `inner` lie side by side.
(N, C, H, W) in its own order has inner = H·W; channels_last is (N·H·W, C) in memory and has
inner = 1. Either way value i of channel c lies at

    (i // inner) · num_channels · inner + c · inner + i % inner

`inner` is a compile-time constant: then the division is a multiplication, and the compiler sees how
many neighbours one load can take.

A program takes `cols` channels and a stretch of `chunk` values of each, a split, in tiles of `rows`
values x `cols` channels; `chunk` is a multiple of `rows`. Who takes what depends on nothing but
shapes, and no two programs write to one place: the same input gives the same bits.
"""

import triton
import triton.language as tl

HEAD = tl.constexpr(32)  # values whose mean is the shift


@triton.jit
def _channels(cols: tl.constexpr):
    """The channels of this program, (1, cols)."""
    return tl.program_id(0) * cols + tl.arange(0, cols)[None, :]


@triton.jit
def _split(split, num_values, chunk, wide: tl.constexpr):
    """Compute the first value of a split and its length; `wide` if 32 bits are too few."""
    first = (split.to(tl.int64) if wide else split) * chunk
    return first, tl.minimum(chunk, num_values - first)


@triton.jit
def _tile(
    first,
    c,
    num_channels,
    num_values,
    inner: tl.constexpr,
    rows: tl.constexpr,
    wide: tl.constexpr,
):
    """Compute the offsets of the values from `first` on, and a mask of those that exist."""
    i = first + tl.arange(0, rows)[:, None]
    if wide:
        i, c = i.to(tl.int64), c.to(tl.int64)
    at = (i // inner) * num_channels * inner + c * inner + i % inner
    return at, (i < num_values) & (c < num_channels)


@triton.jit
def _merge(count, mean, m2):
    """Merge count, mean and M2 = Σ (x - mean)² of all groups along axis 0.

    Chan, Golub & LeVeque 1983, for any number of groups at once. Every term of M2 is positive.
    """
    total = tl.sum(count, 0, keep_dims=True)
    merged = tl.div_rn(tl.sum(count * mean, 0, keep_dims=True), total)
    delta = mean - merged
    return total, merged, tl.sum(m2 + count * delta * delta, 0, keep_dims=True)


@triton.jit
def _load(ptr, at, exists):
    return tl.load(ptr + at, exists, 0.0).to(tl.float32)


@triton.jit
def _channel_map(weight_ptr, bias_ptr, shift_ptr, residual_ptr, sigma2_ptr, eps, c, num_channels):
    """Load shift, residual, 1/std, and a and b of y = a (x - mu) + b, each (1, cols)."""
    exists = c < num_channels
    shift = _load(shift_ptr, c, exists)
    inv_std = tl.div_rn(1.0, tl.sqrt_rn(_load(sigma2_ptr, c, exists) + eps))
    residual, a, b = tl.zeros_like(shift), inv_std, tl.zeros_like(shift)
    if residual_ptr is not None:
        residual = _load(residual_ptr, c, exists)
    if weight_ptr is not None:
        a = inv_std * _load(weight_ptr, c, exists)
    if bias_ptr is not None:
        b = _load(bias_ptr, c, exists)
    return shift, residual, inv_std, a, b


@triton.jit
def _affine(centred, a, b):
    """Compute y by a named fma, so that forward and the mask of backward round alike."""
    return tl.fma(centred, a, b)


@triton.jit
def _rectified(value, y):
    """Set `value` to 0 where y <= 0. A NaN is not <= 0: it and its gradient pass, as in torch."""
    return tl.where(y <= 0, 0.0, value)


@triton.jit
def statistics(
    x_ptr,
    shift_ptr,
    mean_ptr,
    m2_ptr,
    num_channels,
    num_values,
    chunk,
    inner: tl.constexpr,
    rows: tl.constexpr,
    cols: tl.constexpr,
    wide: tl.constexpr,
):
    """Compute the shift of each channel, and mean of x - shift and M2 of each of its splits.

    The shift is the mean of the first `HEAD` values, which every program of the channel computes
    alike. From there on each place of the tile keeps its own mean and M2 over the tiles (Welford
    1962), so that nothing is summed across threads before the end.
    """
    c, split = _channels(cols), tl.program_id(1)
    head, in_head = _tile(0, c, num_channels, num_values, inner, HEAD, wide)
    total = tl.sum(_load(x_ptr, head, in_head), 0, keep_dims=True)
    shift = total / tl.minimum(num_values, HEAD)  # this need not be exact, only alike everywhere
    tl.store(shift_ptr + c, shift, (c < num_channels) & (split == 0))

    first, values = _split(split, num_values, chunk, wide)
    mean = tl.zeros([rows, cols], tl.float32)
    m2 = tl.zeros([rows, cols], tl.float32)
    for tile in range(tl.cdiv(values, rows)):
        at, exists = _tile(first + tile * rows, c, num_channels, num_values, inner, rows, wide)
        shifted = _load(x_ptr, at, exists) - shift
        delta = tl.where(exists, shifted - mean, 0.0)
        mean += delta * (1 / (tile + 1))
        m2 += delta * (shifted - mean)
    count = tl.cdiv(values - tl.arange(0, rows)[:, None], rows).to(tl.float32)
    _, mean, m2 = _merge(count, mean, m2)
    tl.store(mean_ptr + split * num_channels + c, mean, c < num_channels)
    tl.store(m2_ptr + split * num_channels + c, m2, c < num_channels)


@triton.jit
def merge_statistics(
    mean_ptr,
    m2_ptr,
    residual_ptr,
    sigma2_ptr,
    num_channels,
    num_values,
    chunk,
    splits,
    rows: tl.constexpr,
    cols: tl.constexpr,
):
    """Merge the splits to residual and sigma2 of each channel; `rows` is at least `splits`."""
    c, split = _channels(cols), tl.arange(0, rows)[:, None]
    at, exists = split * num_channels + c, (split < splits) & (c < num_channels)
    count = tl.minimum(chunk, num_values - split.to(tl.int64) * chunk)
    count = tl.where(split < splits, count, 0).to(tl.float32)
    total, residual, m2 = _merge(count, _load(mean_ptr, at, exists), _load(m2_ptr, at, exists))
    tl.store(residual_ptr + c, residual, c < num_channels)
    tl.store(sigma2_ptr + c, tl.div_rn(m2, total), c < num_channels)


@triton.jit
def normalise(
    x_ptr,
    y_ptr,
    weight_ptr,
    bias_ptr,
    shift_ptr,
    residual_ptr,
    sigma2_ptr,
    eps,
    num_channels,
    num_values,
    chunk,
    inner: tl.constexpr,
    relu: tl.constexpr,
    rows: tl.constexpr,
    cols: tl.constexpr,
    wide: tl.constexpr,
):
    """Compute y = a (x - mu) + b, rectified if `relu`."""
    c = _channels(cols)
    shift, residual, _, a, b = _channel_map(
        weight_ptr, bias_ptr, shift_ptr, residual_ptr, sigma2_ptr, eps, c, num_channels
    )
    # backwards, since what `statistics` read last may still be in the cache
    split = tl.num_programs(1) - 1 - tl.program_id(1)
    first, values = _split(split, num_values, chunk, wide)
    for tile in range(tl.cdiv(values, rows)):
        at, exists = _tile(first + tile * rows, c, num_channels, num_values, inner, rows, wide)
        centred = (_load(x_ptr, at, exists) - shift) - residual
        y = _affine(centred, a, b)
        if relu:
            y = _rectified(y, y)
        tl.store(y_ptr + at, y, exists)


@triton.jit
def gradient_sums(
    dy_ptr,
    x_ptr,
    weight_ptr,
    bias_ptr,
    shift_ptr,
    residual_ptr,
    sigma2_ptr,
    sum_ptr,
    dot_ptr,
    eps,
    num_channels,
    num_values,
    chunk,
    inner: tl.constexpr,
    relu: tl.constexpr,
    rows: tl.constexpr,
    cols: tl.constexpr,
    wide: tl.constexpr,
):
    """Σ dy and Σ dy (x - mu) of each split of each channel."""
    c, split = _channels(cols), tl.program_id(1)
    shift, residual, _, a, b = _channel_map(
        weight_ptr, bias_ptr, shift_ptr, residual_ptr, sigma2_ptr, eps, c, num_channels
    )
    first, values = _split(split, num_values, chunk, wide)
    sums = tl.zeros([rows, cols], tl.float32)
    dots = tl.zeros([rows, cols], tl.float32)
    for tile in range(tl.cdiv(values, rows)):
        at, exists = _tile(first + tile * rows, c, num_channels, num_values, inner, rows, wide)
        centred = (_load(x_ptr, at, exists) - shift) - residual
        dy = _load(dy_ptr, at, exists)
        if relu:
            dy = _rectified(dy, _affine(centred, a, b))
        sums += dy
        dots += dy * centred
    at = split * num_channels + c
    tl.store(sum_ptr + at, tl.sum(sums, 0, keep_dims=True), c < num_channels)
    tl.store(dot_ptr + at, tl.sum(dots, 0, keep_dims=True), c < num_channels)


@triton.jit
def merge_gradients(
    sum_ptr,
    dot_ptr,
    sigma2_ptr,
    dgamma_ptr,
    dbeta_ptr,
    eps,
    num_channels,
    splits,
    rows: tl.constexpr,
    cols: tl.constexpr,
):
    """dgamma and dbeta of each channel from its splits; `rows` is at least `splits`."""
    c, split = _channels(cols), tl.arange(0, rows)[:, None]
    at, exists = split * num_channels + c, (split < splits) & (c < num_channels)
    dbeta = tl.sum(_load(sum_ptr, at, exists), 0, keep_dims=True)
    dot = tl.sum(_load(dot_ptr, at, exists), 0, keep_dims=True)
    inv_std = tl.div_rn(1.0, tl.sqrt_rn(_load(sigma2_ptr, c, c < num_channels) + eps))
    tl.store(dgamma_ptr + c, dot * inv_std, c < num_channels)
    tl.store(dbeta_ptr + c, dbeta, c < num_channels)


@triton.jit
def differentiate(
    dy_ptr,
    x_ptr,
    dx_ptr,
    weight_ptr,
    bias_ptr,
    shift_ptr,
    residual_ptr,
    sigma2_ptr,
    dgamma_ptr,
    dbeta_ptr,
    eps,
    num_channels,
    num_values,
    chunk,
    inner: tl.constexpr,
    relu: tl.constexpr,
    rows: tl.constexpr,
    cols: tl.constexpr,
    wide: tl.constexpr,
):
    """dx = a (dy - x_hat dgamma/m - dbeta/m), where m = `num_values`."""
    c = _channels(cols)
    shift, residual, inv_std, a, b = _channel_map(
        weight_ptr, bias_ptr, shift_ptr, residual_ptr, sigma2_ptr, eps, c, num_channels
    )
    m = tl.cast(num_values, tl.float32)
    slope = tl.div_rn(_load(dgamma_ptr, c, c < num_channels) * inv_std, m)
    mean = tl.div_rn(_load(dbeta_ptr, c, c < num_channels), m)
    # backwards, since what `gradient_sums` read last may still be in the cache
    split = tl.num_programs(1) - 1 - tl.program_id(1)
    first, values = _split(split, num_values, chunk, wide)
    for tile in range(tl.cdiv(values, rows)):
        at, exists = _tile(first + tile * rows, c, num_channels, num_values, inner, rows, wide)
        centred = (_load(x_ptr, at, exists) - shift) - residual
        dy = _load(dy_ptr, at, exists)
        if relu:
            dy = _rectified(dy, _affine(centred, a, b))
        tl.store(dx_ptr + at, a * ((dy - mean) - centred * slope), exists)
