"""Batch normalisation in training on a GPU, with or without ReLU behind it, in Triton.

The formulas are those of `bnbench.norms.functional`, in float32: mu in two numbers, shift and
residual, and moments merged as (count, mean, M2). Results are the same bits at every call.

Each pass is three kernels: sums over parts, the merging of the parts, the map of every value. So
forward reads x twice and writes y, and backward reads x and dy twice and writes dx; the second time
they come from the cache as far as they fit in.
"""

import subprocess
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from bnbench.norms import kernels

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
TILE = 4096  # values that a program holds at a time,
PER_WARP = 512  # 16 in each thread
RUN_BYTES = 128  # that lie side by side are worth reading together: a cache line
PROGRAMS = 2048  # to aim at: a few for every place on the largest GPU
WIDE = 2**30  # values, from which on offsets are 64 bits; masked ones reach beyond the tensor


def prepare() -> None:
    """Run the kernel once, which needs Triton, a GPU and what Triton compiles with.

    Raises:
        kernels.UnavailableError: one of these is missing.
    """
    try:
        from triton.errors import TritonError
    except ImportError as error:
        raise kernels.UnavailableError("Triton is not installed") from error
    if not _interpreted() and not torch.cuda.is_available():
        raise kernels.UnavailableError("there is no GPU")
    x = torch.zeros(2, 1, device="cpu" if _interpreted() else "cuda")
    try:
        forward(x, None, None, 1.0, False)
    except (TritonError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise kernels.UnavailableError(f"it does not run here ({reason})") from error


def supports(x: Tensor, *vectors: Tensor | None) -> bool:
    """Whether the kernel takes x: (N, C, *), not empty, contiguous or channels_last, of `DTYPES`.

    On a GPU, that is. Where TRITON_INTERPRET=1 is in the environment before Triton is imported, its
    interpreter runs the kernel, on the CPU: slow, for tests.
    """
    return (
        x.device.type == ("cpu" if _interpreted() else "cuda")
        and all(t is None or (t.device == x.device and t.dtype in DTYPES) for t in (x, *vectors))
        and x.dim() >= 2
        and x.numel() > 0
        and (x.is_contiguous() or _is_channels_last(x))
    )


def forward(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, relu: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute y = relu?(gamma (x - mu)/sqrt(sigma2 + eps) + beta) and the statistics of the batch.

    Args:
        x: (N, C, *), such that `supports(x)`.
        weight: gamma, (C,), or None for ones.
        bias: beta, (C,), or None for zeros.
        eps: added to the variance.
        relu: whether negative values become 0.

    Returns:
        y, with the dtype and memory format of x; shift and residual, whose sum is mu, and the
        biased sigma2, each (C,) in float32.
    """
    from bnbench.norms.kernels import triton_jit  # needs Triton, which not every machine has

    part = _partition(x)
    statistics = torch.empty(3, part.num_channels, dtype=torch.float32, device=x.device)
    shift, residual, sigma2 = statistics.unbind()
    means, m2s = part.per_split(x.device)
    y = torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=x.device)
    vectors = (_dense(weight), _dense(bias), shift, residual, sigma2)
    with torch.cuda.device_of(x):
        triton_jit.statistics[part.grid](x, shift, means, m2s, *part.sizes, **part.constants())
        triton_jit.merge_statistics[part.merge_grid](
            means, m2s, residual, sigma2, *part.sizes, part.splits, **part.merge_constants
        )
        triton_jit.normalise[part.grid](
            x, y, *vectors, eps, *part.sizes, **part.constants(relu=relu)
        )
    return y, shift, residual, sigma2


def backward(
    dy: Tensor,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    shift: Tensor,
    residual: Tensor,
    sigma2: Tensor,
    eps: float,
    relu: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the gradients of `forward` from its inputs and statistics.

    With `relu`, y is computed again from x.

    Returns:
        dx, with the dtype and memory format of x; dgamma and dbeta, (C,) in float32.
    """
    from bnbench.norms.kernels import triton_jit

    part = _partition(x)
    if dy.stride() != x.stride():
        dy = torch.empty_strided(x.shape, x.stride(), dtype=dy.dtype, device=x.device).copy_(dy)
    gradients = torch.empty(2, part.num_channels, dtype=torch.float32, device=x.device)
    dgamma, dbeta = gradients.unbind()
    sums, dots = part.per_split(x.device)
    dx = torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=x.device)
    vectors = (_dense(weight), _dense(bias), shift, residual, sigma2)
    with torch.cuda.device_of(x):
        triton_jit.gradient_sums[part.grid](
            dy, x, *vectors, sums, dots, eps, *part.sizes, **part.constants(relu=relu)
        )
        triton_jit.merge_gradients[part.merge_grid](
            sums,
            dots,
            sigma2,
            dgamma,
            dbeta,
            eps,
            part.num_channels,
            part.splits,
            **part.merge_constants,
        )
        triton_jit.differentiate[part.grid](
            dy, x, dx, *vectors, dgamma, dbeta, eps, *part.sizes, **part.constants(relu=relu)
        )
    return dx, dgamma, dbeta


def evaluate(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    var: Tensor,
    eps: float,
    relu: bool,
) -> Tensor:
    """Compute y by given statistics, each (C,), in place of mu and sigma2."""
    from bnbench.norms.kernels import triton_jit

    part = _partition(x)
    y = torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=x.device)
    vectors = (_dense(weight), _dense(bias), _dense(mean), None, _dense(var))
    with torch.cuda.device_of(x):
        triton_jit.normalise[part.grid](
            x, y, *vectors, eps, *part.sizes, **part.constants(relu=relu)
        )
    return y


@dataclass(frozen=True)
class _Partition:
    """The share of each program, see `triton_jit`; it depends on shapes alone."""

    num_channels: int
    num_values: int
    inner: int
    rows: int
    cols: int
    chunk: int
    splits: int

    @property
    def grid(self) -> tuple[int, int]:
        return _ceil_div(self.num_channels, self.cols), self.splits

    @property
    def sizes(self) -> tuple[int, int, int]:
        return self.num_channels, self.num_values, self.chunk

    def constants(self, **more: Any) -> dict[str, Any]:
        return more | {
            "inner": self.inner,
            "rows": self.rows,
            "cols": self.cols,
            "wide": self.num_channels * self.num_values >= WIDE,
            "num_warps": max(1, self.rows * self.cols // PER_WARP),
        }

    @property
    def merge_constants(self) -> dict[str, Any]:
        rows = _power_of_2(self.splits)
        return {"rows": rows, "cols": min(max(1, TILE // rows), _power_of_2(self.num_channels))}

    @property
    def merge_grid(self) -> tuple[int]:
        return (_ceil_div(self.num_channels, self.merge_constants["cols"]),)

    def per_split(self, device: torch.device) -> tuple[Tensor, ...]:
        """Allocate two numbers for each split of each channel."""
        shape = (2, self.splits, self.num_channels)
        return torch.empty(shape, dtype=torch.float32, device=device).unbind()


def _partition(x: Tensor) -> _Partition:
    """Choose tiles of whole cache lines, and splits for about `PROGRAMS` programs."""
    num_channels = x.shape[1]
    num_values = x.numel() // num_channels
    inner = 1 if _is_channels_last(x) else num_values // x.shape[0]
    run = _ceil_div(RUN_BYTES // x.element_size(), inner)
    cols = min(_power_of_2(run), _power_of_2(num_channels))
    rows = min(TILE // cols, _power_of_2(num_values))
    wanted = max(1, PROGRAMS // _ceil_div(num_channels, cols))
    chunk = _ceil_div(_ceil_div(num_values, wanted), rows) * rows
    return _Partition(
        num_channels, num_values, inner, rows, cols, chunk, _ceil_div(num_values, chunk)
    )


def _is_channels_last(x: Tensor) -> bool:
    return x.movedim(1, -1).is_contiguous()


def _dense(vector: Tensor | None) -> Tensor | None:
    return None if vector is None else vector.contiguous()


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def _power_of_2(n: int) -> int:
    """Compute the smallest power of 2 that is not below n."""
    return 1 << (n - 1).bit_length()


@cache
def _interpreted() -> bool:
    if find_spec("triton") is None:
        return False
    from triton import knobs

    return knobs.runtime.interpret
