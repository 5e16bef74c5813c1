"""Backends that compute a BatchNorm: the reference formulas, or a faster kernel.

    reference   norms/functional.py, anywhere
    cpp         batch_norm.cpp, float32 on the CPU; compiled when it is first used
    triton      triton_kernel.py, on GPUs
    native      torch's own
    auto        cpp or triton, whichever takes the tensor, else the reference

Kernels are optional. Where one cannot be had, the reference runs and one warning says so; a tensor
that a kernel does not take (another device, dtype or layout) goes to the reference silently, as do
evaluation with gradients and calls under a transform of torch.func.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol
from warnings import warn

import torch
from torch import Tensor
from torch.autograd import forward_ad

BACKENDS = ("auto", "reference", "cpp", "triton", "native")
MODULES = {"cpp": "bnbench.norms.kernels.cpp", "triton": "bnbench.norms.kernels.triton_kernel"}


class Kernel(Protocol):
    """`forward`, `backward` and `evaluate` of `norms/functional.py`, by other code.

    They take the arguments and give the results that they have there, y and dx laid out as x. For
    all kernels autograd is that of `functional.py`.
    """

    forward: Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]]
    backward: Callable[..., tuple[Tensor, Tensor, Tensor]]
    evaluate: Callable[..., Tensor]
    supports: Callable[..., bool]  # takes x, then parameters and given statistics or None


class UnavailableError(RuntimeError):
    """A kernel cannot be had here; the message says why."""


def select(backend: str, x: Tensor, *vectors: Tensor | None) -> Kernel | None:
    """Choose the kernel of a backend for this input; None for the reference formulas."""
    check(backend)
    if backend == "auto":
        backend = "cpp" if x.device.type == "cpu" else "triton"
    if backend not in MODULES:
        return None
    if is_transformed():
        return None
    if backend not in _kernels:
        _kernels[backend] = _load(backend)
    kernel = _kernels[backend]
    return kernel if kernel and kernel.supports(x, *vectors) else None


def is_transformed() -> bool:
    """Whether torch.func or forward-mode derivatives are at work, which need torch's operations."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def check(backend: str) -> None:
    """Refuse an unknown backend (`ValueError`)."""
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}; allowed: {', '.join(BACKENDS)}")


def require(backend: str) -> None:
    """Make a backend ready, without a silent fall back to the reference.

    Raises:
        UnavailableError: the backend cannot be had here.
    """
    check(backend)
    if backend in MODULES:
        import_module(MODULES[backend]).prepare()


# the kernels asked for so far; None for one that cannot be had
_kernels: dict[str, Kernel | None] = {}


def _load(backend: str) -> Kernel | None:
    module: Any = import_module(MODULES[backend])
    try:
        module.prepare()
    except UnavailableError as error:
        warn(f"BatchNorm backend {backend}: {error}; the reference runs instead", stacklevel=2)
        return None
    return module
