"""Bandwidth of the Triton kernel on a GPU, beside a copy and beside torch's own layer.

Each sample times a copy, the kernel and torch's layer within some milliseconds by CUDA events, the
order rotating, and only ratios within samples are quoted. A sample is a row of launches, so that
what Python takes for one hides behind the GPU's work unless the tensor is small.

Counted are the bytes that cannot be avoided, where x has B: a copy moves 2 B; forward reads x and
writes y, backward reads x and dy and writes dx, together 5 B. The kernel asks for 8 B, for either
pass needs its sums before it can write. So it reaches 5/8 of the bandwidth of a copy at most where
nothing stays in the cache, and more where something does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from statistics import median

import torch
from torch import Tensor

from bnbench.bench.loop import Clock, Work, interleaved, spread
from bnbench.norms.kernels import triton_kernel

SHAPES = [(64, 64, 112, 112), (64, 256, 56, 56), (64, 512, 28, 28), (64, 2048, 7, 7)]  # ResNet-50
FORMATS = {"NCHW": torch.contiguous_format, "NHWC": torch.channels_last}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
EPS = 1e-5


@dataclass(frozen=True)
class Bandwidth:
    """One layer, forward and backward: medians, and 10th to 90th percentile of the ratios."""

    shape: str
    layout: str
    dtype: str
    relu: bool
    megabytes: float  # of x
    copy_gb_per_s: float
    kernel_gb_per_s: float
    share: float  # of the copy's bandwidth
    share_p10: float
    share_p90: float
    kernel_ms: float
    torch_ms: float
    speedup: float  # over torch's layer
    speedup_p10: float
    speedup_p90: float
    samples: int


def gpu_clock(work: Work, repeats: int) -> float:
    """Measure the milliseconds between two GPU events around the repetitions."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(repeats):
        work()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def kernel_passes(
    x: Tensor, dy: Tensor, weight: Tensor, bias: Tensor, relu: bool
) -> tuple[Tensor, ...]:
    """Compute y, dx, dgamma, dbeta by the Triton kernel."""
    y, shift, residual, sigma2 = triton_kernel.forward(x, weight, bias, EPS, relu)
    gradients = triton_kernel.backward(dy, x, weight, bias, shift, residual, sigma2, EPS, relu)
    return y, *gradients


def torch_passes(
    x: Tensor, dy: Tensor, weight: Tensor, bias: Tensor, relu: bool
) -> tuple[Tensor, ...]:
    """Compute y, dx, dgamma, dbeta by the functions behind `torch.nn.BatchNorm2d` and a ReLU.

    torch chooses between cuDNN and its own kernels. Without autograd, as the kernel is timed too.
    """
    y, mean, scale, reserve, choice = torch.ops.aten._batch_norm_impl_index(
        x, weight, bias, None, None, True, 0.0, EPS, torch.backends.cudnn.enabled
    )
    if relu:
        y = torch.relu_(y)
        dy = torch.ops.aten.threshold_backward(dy, y, 0)
    return y, *torch.ops.aten._batch_norm_impl_index_backward(
        choice, x, dy, weight, None, None, mean, scale, True, EPS, [True] * 3, reserve
    )


def compare(
    shape: tuple[int, ...],
    layout: str,
    dtype: str,
    relu: bool,
    samples: int,
    clock: Clock = gpu_clock,
    device: str = "cuda",
) -> Bandwidth:
    """Time one layer; `RuntimeError` if the numbers of kernel and torch differ."""
    generator = torch.Generator(device).manual_seed(0)
    x, dy = (
        torch.randn(shape, generator=generator, device=device)
        .to(DTYPES[dtype])
        .contiguous(memory_format=FORMATS[layout])
        for _ in range(2)
    )
    weight, bias = torch.rand(2, shape[1], generator=generator, device=device).unbind()
    case, copy = (x, dy, weight, bias, relu), torch.empty_like(x)
    for ours, theirs in zip(kernel_passes(*case), torch_passes(*case), strict=True):
        # wide: torch may round half-precision gradients more than once, or cut at another 0
        difference = (ours.float() - theirs.float()).norm() / theirs.float().norm()
        if not difference < 0.02:
            raise RuntimeError(f"{shape} {layout} {dtype}: {difference:.2g} from torch's")
    works = (
        lambda: copy.copy_(x),
        lambda: kernel_passes(*case),
        lambda: torch_passes(*case),
    )
    copy_ms, kernel_ms, torch_ms = interleaved(works, samples, 10, clock)
    megabytes = x.numel() * x.element_size() / 1e6
    return Bandwidth(
        *("x".join(map(str, shape)), layout, dtype, relu, megabytes),
        2 * megabytes / median(copy_ms),
        5 * megabytes / median(kernel_ms),
        *spread([2.5 * ms for ms in copy_ms], kernel_ms),
        *(median(kernel_ms), median(torch_ms)),
        *spread(torch_ms, kernel_ms),
        samples,
    )


def run(samples: int) -> Iterator[Bandwidth]:
    """Time every layer, layout and dtype, without and with ReLU, one after another."""
    for shape, layout, dtype, relu in product(SHAPES, FORMATS, DTYPES, (False, True)):
        yield compare(shape, layout, dtype, relu, samples)
