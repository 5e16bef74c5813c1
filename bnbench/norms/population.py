"""Which population statistics a net's BatchNorm layers normalise by, as an explicit policy.

A policy replaces the batch as the source of mu and sigma2 (Ioffe & Szegedy 2015, section 3.1):

    ema      the layers' running statistics, which average over past batches and past weights
    precise  the moments of given data under the weights as they are (Wu & Johnson 2021, section 3)
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnbench.norms import functional

Buffers = dict[str, Tensor | None]
Statistics = dict[_BatchNorm, Buffers]


def has_population(model: nn.Module) -> bool:
    """Whether any layer of `model` keeps running statistics."""
    return bool(_layers(model))


@contextmanager
def population(
    model: nn.Module, policy: str, data: Iterable[Tensor] | None = None
) -> Iterator[nn.Module]:
    """Inside, every BatchNorm layer of `model` normalises by what `policy` says.

    That holds whatever `.training` says or becomes; other layers obey `.training` as always. No
    buffer changes. Afterwards, also after an exception, the model is as before, with the training
    flags that it came with. Works for this package's layers and torch's; layers without running
    statistics are left alone. Contexts nest, and the inner one counts.

    Args:
        model: the net.
        policy: "ema" or "precise", see above.
        data: input batches, for "precise" only.

    Raises:
        ValueError: an unknown policy, or "precise" without data that reaches every layer.

    >>> net = nn.Sequential(nn.BatchNorm1d(1, affine=False))
    >>> with population(net, "precise", data=[torch.tensor([[1.0], [3.0]])]):
    ...     net(torch.tensor([[2.0]]))
    tensor([[0.]])
    """
    if policy not in POLICIES:
        raise ValueError(f"unknown population policy {policy!r}; allowed: {', '.join(POLICIES)}")
    with _restored(model):
        statistics = POLICIES[policy](model, data)
        for layer, buffers in statistics.items():
            layer.forward = _twin(layer, buffers).forward
        yield model


def _ema(model: nn.Module, data: Iterable[Tensor] | None) -> Statistics:
    return {layer: {} for layer in _layers(model)}


def _precise(model: nn.Module, data: Iterable[Tensor] | None) -> Statistics:
    """The moments of `data` at each layer, from one pass that normalises batch by batch.

    The rest of the net is in evaluation mode: dropout adds variance that is not there in use.
    The variance is the biased one, M2/count, since the data is the population and not a sample of
    it. So a single batch gives the very numbers that normalised it. (running_var holds the unbiased
    one instead: it estimates a population from batches, where m/(m - 1) is not close to 1.)
    """
    if data is None:
        raise ValueError("the population policy 'precise' needs data, an iterable of input batches")
    merged = {layer: _Moments() for layer in _layers(model)}
    with _restored(model), torch.no_grad():
        model.eval()
        for layer, moments in merged.items():
            layer.forward = _recorder(layer, moments)
        for batch in data:
            model(batch)
    if not all(moments.count for moments in merged.values()):
        raise ValueError("the population policy 'precise' needs data that reaches every BatchNorm")
    return {layer: moments.buffers(layer) for layer, moments in merged.items()}


POLICIES = {"ema": _ema, "precise": _precise}


@dataclass
class _Moments:
    """Count, mean and M2 = Σ (x - mean)² per channel, merged batch by batch in float64."""

    count: int = 0
    mean: Tensor = field(default_factory=lambda: torch.tensor(0.0))
    m2: Tensor = field(default_factory=lambda: torch.tensor(0.0))

    def add(self, x: Tensor) -> None:
        """Merge in a batch by the pairwise formula of Chan, Golub & LeVeque 1983."""
        m, mean, sigma2 = functional.moments(x)
        total = self.count + m
        delta = mean - self.mean
        self.mean = self.mean + delta * (m / total)
        self.m2 = self.m2 + sigma2 * m + delta.square() * (self.count * m / total)
        self.count = total

    def buffers(self, layer: _BatchNorm) -> Buffers:
        like = layer.running_mean
        return {"running_mean": self.mean.to(like), "running_var": (self.m2 / self.count).to(like)}


def _recorder(layer: _BatchNorm, moments: _Moments) -> Callable[..., Tensor]:
    by_batch = _twin(layer, {"running_mean": None, "running_var": None})

    def forward(x: Tensor) -> Tensor:
        moments.add(x)
        return by_batch.forward(x)

    return forward


def _twin(layer: _BatchNorm, buffers: Buffers) -> _BatchNorm:
    """A stand-in for `layer` in evaluation mode: its parameters and buffers, but for `buffers`.

    No child of the net, it is out of reach of `model.train()`.
    """
    twin = copy.copy(layer)
    twin.__dict__.pop("forward", None)  # set on the layer by an enclosing context
    twin.training = False
    twin._buffers = layer._buffers | buffers
    return twin


def _layers(model: nn.Module) -> list[_BatchNorm]:
    modules = model.modules()
    return [m for m in modules if isinstance(m, _BatchNorm) and m.running_mean is not None]


@contextmanager
def _restored(model: nn.Module) -> Iterator[None]:
    """Give every module back its training flag and its forward."""
    before = [(m, m.training, m.__dict__.get("forward")) for m in model.modules()]
    try:
        yield
    finally:
        for module, training, forward in before:
            module.training = training
            module.__dict__.pop("forward", None)
            if forward is not None:
                module.forward = forward
