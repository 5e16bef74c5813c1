"""The layer by each backend beside torch's: time, bytes kept for backward and error; one thread.

A layer moves data more than it computes. The roof beside its times is therefore the time of
the same process for the least traffic that the work needs: a copy for a forward pass (x in, y out)
and a triad for a backward pass (x and dy in, dx out), both by torch on tensors of the same size.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from bnbench.bench.loop import Work, interleaved, spread, undisturbed
from bnbench.norms.functional import batch_norm

SHAPES = [
    *((60, 100), (128, 512), (64, 16, 28, 28)),
    *((128, 64, 28, 28), (128, 128, 14, 14), (256, 256, 8, 8)),
]
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
PASSES = ("train", "train+ReLU", "eval")  # forward and backward; eval is forward, no gradients
BACKENDS = ("native", "cpp", "reference")
EPS = 1e-5
Running = tuple[Tensor, Tensor] | tuple[None, None]  # statistics
FAR = 1e4  # a mean with which E[x²] - E[x]² has no digit left in float32


@dataclass(frozen=True)
class LayerRow:
    """One backend at one shape and layout.

    `ratio` is torch's time over the backend's, round by round: median, 10th and 90th percentile.
    `roof` is the backend's time over the time of the least traffic. `kept` is the memory saved for
    backward in multiples of the input, which itself counts. Errors are the greatest against
    float64, as shares of the greatest value, for inputs with mean 0 and, `far`, 10,000; the spread
    is 1.
    """

    shape: str
    layout: str
    work: str
    backend: str
    ratio: float
    p10: float
    p90: float
    ms: float
    roof: float
    kept: float | None
    y_error: float | None
    dx_error: float | None
    dgamma_error: float | None
    far_y_error: float | None
    far_dx_error: float | None
    far_dgamma_error: float | None
    rounds: int


@dataclass(frozen=True)
class LayerInputs:
    """The tensors that a pass is given, all in float32."""

    x: Tensor
    dy: Tensor
    weight: Tensor
    bias: Tensor
    relu: bool

    def train(
        self, backend: str, x: Tensor, weight: Tensor, bias: Tensor, running: Running = (None, None)
    ) -> Tensor:
        """Compute y in training from x, weight and bias."""
        options = {"training": True, "eps": EPS, "relu": self.relu, "backend": backend}
        return batch_norm(x, *running, weight, bias, **options)


def problem(shape: Sequence[int], layout: str, relu: bool, mean: float = 0.0) -> LayerInputs:
    """Draw inputs from seed 0; weights are near 1 and biases near 0, as in nets."""
    generator = torch.Generator().manual_seed(0)
    x, dy = (torch.randn(*shape, generator=generator) for _ in range(2))
    weight = 1 + 0.1 * torch.randn(shape[1], generator=generator)
    bias = 0.1 * torch.randn(shape[1], generator=generator)
    memory_format = LAYOUTS[layout]
    x, dy = ((t + m).contiguous(memory_format=memory_format) for t, m in ((x, mean), (dy, 0)))
    return LayerInputs(x, dy, weight, bias, relu)


def train_pass(given: LayerInputs, backend: str) -> Work:
    """Make a forward and backward pass in training, running statistics included."""
    leaves = [t.clone().requires_grad_() for t in (given.x, given.weight, given.bias)]
    running = torch.zeros_like(given.bias), torch.ones_like(given.bias)

    def work() -> None:
        torch.autograd.grad(given.train(backend, *leaves, running=running), leaves, given.dy)

    return work


def evaluation_pass(given: LayerInputs, backend: str) -> Work:
    """Make a forward pass in evaluation."""
    running = torch.zeros_like(given.bias), torch.ones_like(given.bias)

    def work() -> None:
        with torch.no_grad():
            batch_norm(given.x, *running, given.weight, given.bias, eps=EPS, backend=backend)

    return work


def least_traffic(given: LayerInputs, backward: bool) -> Work:
    """Make a copy, and with `backward` a triad, of tensors like x."""
    y, dx = torch.empty_like(given.x), torch.empty_like(given.x)

    def work() -> None:
        y.copy_(given.x)
        if backward:
            torch.add(given.x, given.dy, alpha=2, out=dx)

    return work


def kept_bytes(compute: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """Measure the distinct storages that `compute(x)` saves for backward, in bytes of x."""
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        y = compute(x.clone().requires_grad_())
    del y
    return sum(sizes.values()) / x.nbytes


def train_results(given: LayerInputs, backend: str, dtype: torch.dtype) -> list[Tensor]:
    """Compute y, dx and dgamma by a backend in `dtype`, as float64."""
    x, weight = (t.to(dtype, copy=True).requires_grad_() for t in (given.x, given.weight))
    y = given.train(backend, x, weight, given.bias.to(dtype))
    results = [y.detach(), *torch.autograd.grad(y, [x, weight], given.dy.to(dtype))]
    return [result.double() for result in results]


def evaluation_results(given: LayerInputs, backend: str, dtype: torch.dtype) -> list[Tensor]:
    """Compute y as float64, in evaluation by the statistics of the input itself."""
    dims = [d for d in range(given.x.dim()) if d != 1]
    var, mean = torch.var_mean(given.x.double(), dims, correction=0)
    x, weight, bias, mean, var = (
        t.to(torch.float32).to(dtype) for t in (given.x, given.weight, given.bias, mean, var)
    )
    return [batch_norm(x, mean, var, weight, bias, eps=EPS, backend=backend).double()]


def errors(
    given: LayerInputs, backend: str, training: bool
) -> tuple[float | None, float | None, float | None]:
    """Compute the greatest errors of y, dx and dgamma, as shares of the greatest value.

    With a ReLU, dx jumps where y crosses 0; values that rounding alone moves across are left out.
    """
    compute = train_results if training else evaluation_results
    exact = compute(given, "reference", torch.float64)
    found = compute(given, backend, torch.float32)
    if given.relu:
        same = (exact[0] > 0) == (found[0] > 0)
        exact[1], found[1] = exact[1] * same, found[1] * same
    y, *others = (
        float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, exact, strict=True)
    )
    dx, dgamma = others or (None, None)
    return y, dx, dgamma


def run(
    rounds: int,
    shapes: Sequence[tuple[int, ...]] = SHAPES,
    backends: Sequence[str] = BACKENDS,
) -> Iterator[LayerRow]:
    """Measure every row: shapes, layouts and passes, each with all backends, native first."""
    for shape in shapes:
        for layout in LAYOUTS if len(shape) == 4 else ["contiguous"]:
            for work in PASSES:
                yield from rows(shape, layout, work, rounds, backends)


def rows(
    shape: tuple[int, ...], layout: str, work: str, rounds: int, backends: Sequence[str]
) -> Iterator[LayerRow]:
    """Time the backends at one shape, layout and pass, interleaved, and measure their errors."""
    training, relu = work != "eval", work == "train+ReLU"
    given, far = (problem(shape, layout, relu, mean) for mean in (0.0, FAR))
    make = train_pass if training else evaluation_pass

    sides = [least_traffic(given, training), *(make(given, backend) for backend in backends)]
    roof, *samples = interleaved(sides, rounds)
    for backend, times in zip(backends, samples, strict=True):
        compute = partial(given.train, backend, weight=given.weight, bias=given.bias)
        yield LayerRow(
            *(str(shape), layout, work, backend),
            *spread(samples[0], times),
            undisturbed(times),
            spread(times, roof)[0],
            kept_bytes(compute, given.x) if training else None,
            *errors(given, backend, training),
            *errors(far, backend, training),
            rounds,
        )
