"""Population statistics for a net's BatchNorm layers, by an explicit policy.

A policy replaces the batch as the source of mu and sigma2 (Ioffe & Szegedy 2015, section 3.1). In
training a layer normalises by mu_B and the biased sigma2_B of a batch of m values per channel.

    ema         the layers' running statistics, which average over past batches and past weights
    cumulative  the plain averages of mu_B and m/(m - 1) sigma2_B over given batches; torch's
                momentum=None after reset_running_stats()
    algorithm2  the same over batches of one size m, E[x] = E_B[mu_B] and
                Var[x] = m/(m - 1) E_B[sigma2_B] (Ioffe & Szegedy 2015, Algorithm 2, line 10)
    precise     the mean and the variance of all given data (Wu & Johnson 2021, section 3)
    adabn       the same, where the data is what is evaluated (Li et al. 2016, Algorithm 1)
    batch       mu_B and sigma2_B of each batch that is evaluated (Nado et al. 2020)
    blend       N/(N + n) running + n/(N + n) batch statistics, for a batch of n images and a prior
                worth N (Schneider et al. 2020, equation 3)

The last three are transductive: the prediction for an image depends on the other test images. So is
`recalibrated` (recalibration.py), the counterpart of adabn for nets without batch normalisation.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnbench.norms import functional
from bnbench.norms.held import HoldsBatchNorm

Statistics = tuple[Tensor, Tensor]  # mean and variance of each channel, (C,)
Source = Callable[[Tensor], Statistics]  # from a layer's input to the statistics that normalise it
Sources = dict[_BatchNorm, Source]
Layer = TypeVar("Layer", bound=nn.Module)


@runtime_checkable
class HasOwnVariance(Protocol):
    """The hook of a layer class whose running_var is something else than the variance.

    Every policy sets running_mean and running_var, by which the layer normalises in evaluation. The
    mean is the mean for all classes. running_var is the variance, merged over batches as count,
    mean and M2, unless the class says how it is measured, as for L1 batch normalisation:

        def population_variance(self, inputs, mean):
            deviations = [(x - mean.view(1, -1)).abs() for x in inputs]
            return math.pi / 2 * torch.cat(deviations).mean(0).square()

    Its result serves for a batch as for a whole set, without a factor m/(m - 1) against a bias.
    """

    def population_variance(self, inputs: Iterable[Tensor], mean: Tensor) -> Tensor:
        """Compute running_var (C,) of all `inputs`, (N, C, *) each, about their mean (C,)."""
        ...


def has_population(model: nn.Module) -> bool:
    """Whether any layer of `model` keeps running statistics."""
    return bool(_layers(model))


@contextmanager
def population(
    model: nn.Module, policy: str, data: Iterable[Tensor] | None = None, *, prior: float = 16.0
) -> Iterator[nn.Module]:
    """Make every BatchNorm of `model` normalise by the statistics of `policy` inside a `with`.

    BatchNorm layers then ignore `.training`, which other layers obey as usual. No buffer changes.
    Afterwards, also after an exception, the model is as before, with its training flags. This works
    for this package's layers, torch's and classes derived from them (`HasOwnVariance`). Layers
    without running statistics are left alone, but the model must have one with them. Contexts nest,
    and the inner one counts. To gradients all statistics are constants.
    Batches without images change nothing.

    While data is measured the rest of the net is in evaluation mode: dropout adds variance that is
    not there in use.

    Args:
        model: the net.
        policy: a key of `POLICIES`, see above.
        data: input batches, for the policies that measure data: cumulative, algorithm2, precise and
            adabn. The last two give the same however the data is split, but hold all of it, and
            more than one batch costs them a pass per layer.
        prior: N of blend, the number of images that the running statistics count as.

    Raises:
        ValueError: a net in which no BatchNorm with running statistics is found, or not all are, as
            a module of torch.jit or torch.export hides them; an unknown policy; a policy without
            the data that it measures, or with data that does not reach every layer; batches of
            unequal sizes for algorithm2; one value per channel; for precise and adabn, a layer that
            a pass calls twice; a negative prior.

    >>> net = nn.Sequential(nn.BatchNorm1d(1, affine=False))
    >>> with population(net, "precise", data=[torch.tensor([[1.0], [3.0]])]):
    ...     net(torch.tensor([[2.0]]))
    tensor([[0.]])
    """
    if policy not in POLICIES:
        raise ValueError(f"unknown population policy {policy!r}; allowed: {', '.join(POLICIES)}")
    if not prior >= 0:
        raise ValueError(f"prior={prior}: expected a number of images >= 0")
    if policy in MEASURED and data is None:
        raise ValueError(f"policy {policy!r} needs data, an iterable of input batches")
    _check_found(model)
    with _restored(model):
        sources = POLICIES[policy](model, () if data is None else data, prior)
        if sources.keys() != set(_layers(model)):
            raise ValueError(f"policy {policy!r} needs data that reaches every BatchNorm")
        _apply(model, sources)
        yield model


def _check_found(model: nn.Module) -> None:
    if any(map(_hides_statistics, model.modules())):
        raise ValueError(
            "population statistics of a module of torch.jit or torch.export cannot be set, "
            "expected the net that it was made from"
        )
    if not has_population(model):
        raise ValueError(f"found no BatchNorm with running statistics in {type(model).__name__}")


def _hides_statistics(module: nn.Module) -> bool:
    """Whether a module normalises by statistics, or keeps some, that are in no BatchNorm."""
    if isinstance(module, torch.fx.GraphModule):
        calls = [str(node.target) for node in module.graph.nodes if node.op == "call_function"]
        return any("batch_norm" in call for call in calls)
    # torch.export keeps what the layers had in modules of no class of their own
    is_what_was_made = isinstance(module, torch.jit.ScriptModule) or type(module) is nn.Module
    return is_what_was_made and "running_mean" in dict(module.named_buffers(recurse=False))


def _running(model: nn.Module, data: Iterable[Tensor], prior: float) -> Sources:
    def source(layer: _BatchNorm, x: Tensor) -> Statistics:
        return _buffers(layer)

    return {layer: partial(source, layer) for layer in _layers(model)}


def _blended(model: nn.Module, data: Iterable[Tensor], prior: float) -> Sources:
    def source(layer: _BatchNorm, x: Tensor) -> Statistics:
        mean, var = _moments(layer, lambda: [x], fewest=1 if prior else 2)
        share = len(x) / (prior + len(x))
        running_mean, running_var = (buffer.double() for buffer in _buffers(layer))
        return running_mean.lerp(mean, share), running_var.lerp(var.double(), share)

    return {layer: partial(source, layer) for layer in _layers(model)}


def _averaged(
    model: nn.Module, data: Iterable[Tensor], prior: float, *, one_size: bool = False
) -> Sources:
    """Average the statistics of batches that normalise themselves on their way through the net."""
    seen: dict[_BatchNorm, list[tuple[Tensor, Tensor]]] = {}
    sizes: dict[_BatchNorm, int] = {}

    def source(layer: _BatchNorm, x: Tensor) -> Statistics:
        m = functional.values_per_channel(x)
        if one_size and sizes.setdefault(layer, m) != m:
            raise ValueError(
                f"policy 'algorithm2' needs batches of one size; a BatchNorm had {sizes[layer]} "
                f"values per channel, then {m}"
            )
        mean, var = _moments(layer, lambda: [x])
        unbiased = var if isinstance(layer, HasOwnVariance) else var * (m / (m - 1))
        seen.setdefault(layer, []).append((mean, unbiased))
        return mean, var

    with measuring(model):
        _apply(model, {layer: partial(source, layer) for layer in _layers(model)})
        for batch in data:
            model(batch)
    return {
        layer: _constant(*(torch.stack(values).mean(0) for values in zip(*batches, strict=True)))
        for layer, batches in seen.items()
    }


def _exact(model: nn.Module, data: Iterable[Tensor], prior: float) -> Sources:
    """Compute the moments of all data at each layer, after the final statistics of earlier layers.

    The first batch goes through the net once. When it reaches a BatchNorm, the other batches are
    brought there too, through the settled layers; then this layer is settled, and the first batch
    goes on. So a single batch costs one pass.

    The variance is the biased one, M2/count, since the data is the population and not a sample of
    it. So a single batch gives the very numbers that normalised it. (running_var holds the unbiased
    variance instead: it estimates a population from batches, where m/(m - 1) is not close to 1.)
    """
    batches = [batch for batch in data if len(batch)]
    settled: Sources = {}

    def source(layer: _BatchNorm, x: Tensor) -> Statistics:
        if layer in settled:
            raise ValueError("a BatchNorm that a pass calls twice has no exact statistics")

        def inputs() -> Iterator[Tensor]:
            yield x
            for batch in batches[1:]:
                yield _input_of(layer, model, batch, settled)

        settled[layer] = _constant(*_moments(layer, inputs))
        return settled[layer](x)

    with measuring(model):
        _apply(model, {layer: partial(source, layer) for layer in _layers(model)})
        for batch in batches[:1]:
            model(batch)
    return settled


POLICIES: dict[str, Callable[[nn.Module, Iterable[Tensor], float], Sources]] = {
    "ema": _running,
    "cumulative": _averaged,
    "algorithm2": partial(_averaged, one_size=True),
    "precise": _exact,
    "adabn": _exact,
    "batch": lambda model, data, prior: _blended(model, data, prior=0.0),
    "blend": _blended,
}
MEASURED = ("cumulative", "algorithm2", "precise", "adabn")  # policies that need data
CACHED_VALUES = 2**19  # 2 MB in float32


def _moments(
    layer: _BatchNorm, inputs: Callable[[], Iterable[Tensor]], fewest: int = 2
) -> Statistics:
    """Measure the mean and biased variance of all inputs of a layer, in float64."""
    count, mean, var = merged(map(functional.moments, slices(inputs())))
    if count < fewest:
        raise ValueError(f"Expected more than 1 value per channel to measure, got {count}")
    if isinstance(layer, HasOwnVariance):
        return mean, layer.population_variance(inputs(), mean)
    return mean, var


def merged(parts: Iterable[tuple[int, Tensor, Tensor]]) -> tuple[int, Tensor, Tensor]:
    """Merge count, mean and biased variance of parts into those of all data.

    Parts are merged as count, mean and M2 = Σ (x - mean)², by the pairwise formula of Chan et al.
    1983.
    """
    count, mean, m2 = 0, torch.tensor(0.0), torch.tensor(0.0)
    for m, mu, sigma2 in parts:
        if not m:
            continue
        if not count:
            mean = m2 = torch.zeros_like(mu)  # on the device of the data
        total, delta = count + m, mu - mean
        mean = mean + delta * (m / total)
        m2 = m2 + sigma2 * m + delta.square() * (count * m / total)
        count = total
    return count, mean, m2 / count if count else m2


def slices(inputs: Iterable[Tensor]) -> Iterator[Tensor]:
    """Split the inputs into parts that stay in the cache over several passes: 5 times faster.

    (1000, 16, 28, 28) is 50 MB, and each intermediate result of that size takes fresh memory.
    """
    for x in inputs:
        yield from x.split(max(1, CACHED_VALUES * len(x) // max(1, x.numel())))


class _Reached(Exception):  # noqa: N818 - no error: it stops a pass at a layer and carries its input
    pass


def _input_of(layer: _BatchNorm, model: nn.Module, batch: Tensor, settled: Sources) -> Tensor:
    """Find the input of a layer for a batch, through the settled layers before it."""

    def stop(x: Tensor, **_: object) -> Tensor:
        raise _Reached(x)

    with _restored(model):
        _apply(model, settled)
        vars(layer)["forward"] = stop
        try:
            model(batch)
        except _Reached as reached:
            return reached.args[0]
    raise ValueError("exact statistics need data whose every batch reaches every BatchNorm")


def _constant(mean: Tensor, var: Tensor) -> Source:
    return lambda x: (mean, var)


def _buffers(layer: _BatchNorm) -> Statistics:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    return layer.running_mean, layer.running_var


def _apply(model: nn.Module, sources: Sources) -> None:
    for layer, source in sources.items():
        vars(layer)["forward"] = _normaliser(layer, source)
    for module in model.modules():
        if isinstance(module, HoldsBatchNorm) and module.norm in sources:
            vars(module)["forward"] = _around(module)


def _normaliser(layer: _BatchNorm, source: Source) -> Callable[..., Tensor]:
    """Make a forward of `layer` in evaluation mode with the statistics of `source`.

    The forward runs on a twin of the layer with buffers of its own.
    """
    twin = _evaluating(layer)
    twin._buffers = dict(layer._buffers)

    def forward(x: Tensor, **options: Any) -> Tensor:
        if x.numel():
            with torch.no_grad():
                mean, var = source(x)
            twin.running_mean = mean.to(layer.running_mean)
            twin.running_var = var.to(layer.running_var)
        return twin.forward(x, **options)

    return forward


def _around(holder: HoldsBatchNorm) -> Callable[[Tensor], Tensor]:
    """Make a forward of a layer in evaluation mode around the current forward of its norm."""
    twin = _evaluating(holder)
    twin._modules = {name: _evaluating(child) for name, child in holder.named_children()}
    vars(twin.norm)["forward"] = lambda x, **options: holder.norm.forward(x, **options)
    return twin.forward


def _evaluating(layer: Layer) -> Layer:
    """Make a twin in evaluation mode that shares the parameters.

    The twin is no child of the net, and so out of reach of `model.train()`.
    """
    twin = copy.copy(layer)
    twin.__dict__.pop("forward", None)  # set on the layer by an enclosing context
    twin.training = False
    return twin


def _layers(model: nn.Module) -> list[_BatchNorm]:
    modules = model.modules()
    return [m for m in modules if isinstance(m, _BatchNorm) and m.running_mean is not None]


@contextmanager
def measuring(model: nn.Module) -> Iterator[None]:
    """Keep the net in evaluation mode and without gradients inside a `with`."""
    with _restored(model), torch.no_grad():
        model.eval()
        yield


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
