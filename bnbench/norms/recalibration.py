"""The counterpart of `adabn` for nets without batch normalisation: adaptation of plain layers.

If new statistics repair a BatchNorm net under shift, is that special to batch normalisation? Here
every hidden layer of weights gets back the statistics that its outputs had on training images,
whatever is evaluated. Jordan (github.com/KellerJordan/BatchNorm-adaptation-behavior, 2024) calls
this a pseudo-reset. With z a channel of such a layer's outputs on the evaluated images, mu and
sigma2 its mean and biased variance on them and mu', sigma2' those of the untouched net on the
reference images,

    z' = mu' + sqrt(sigma2' / sigma2) (z - mu)

layer by layer: z has the layers before it recalibrated already. A net whose BatchNorm layers were
folded into its weights so gives what the unfolded one gives under `adabn`. It is as transductive.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnbench.norms import functional
from bnbench.norms.population import (
    Statistics,
    has_population,
    measuring,
    merged,
    population,
    slices,
)

ROUNDINGS = 16  # of a channel's mean: a smaller spread counts as a constant


def weight_layers(model: nn.Module) -> list[nn.Linear | nn.modules.conv._ConvNd]:
    """The linear and convolutional layers of a net in order; the last is its head."""
    return [m for m in model.modules() if isinstance(m, nn.Linear | nn.modules.conv._ConvNd)]


@contextmanager
def recalibrated(
    model: nn.Module, reference: Iterable[Tensor], data: Iterable[Tensor]
) -> Iterator[nn.Module]:
    """Give the hidden layers of `model` on `data` their statistics on `reference`, inside a `with`.

    Hidden layers are the linear and convolutional ones but the last, the head, in the order of
    `model.modules()`; their outputs are (N, C, *). A channel that has one value on all of the data,
    to rounding, is moved to mu' and stays constant. All is measured in evaluation mode. Afterwards,
    also after an exception, the model is as before. To gradients all statistics are constants.

    Args:
        model: a net without population statistics.
        reference: batches of training images.
        data: batches of the images that are evaluated. How either is split does not matter; more
            than one batch of data costs a pass per layer.

    Raises:
        ValueError: a net with population statistics, for which there is `adabn`; one in which no
            hidden layer is found, such as a module of torch.jit; no reference or no
            data; one value per channel; a hidden layer that a pass calls twice.

    >>> net = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1))
    >>> for layer in (net[0], net[2]):
    ...     _ = nn.init.ones_(layer.weight), nn.init.zeros_(layer.bias)
    >>> data = torch.tensor([[10.0], [30.0]])
    >>> with torch.no_grad(), recalibrated(net, [torch.tensor([[1.0], [3.0]])], [data]):
    ...     net(data).flatten().tolist()
    [1.0, 3.0]
    """
    if has_population(model):
        raise ValueError("recalibrated is for nets without population statistics, expected adabn")
    layers = weight_layers(model)[:-1]
    if not layers:
        raise ValueError(f"found no hidden layer of weights in {type(model).__name__}")
    maps = [_Recalibration(*statistics) for statistics in _of_outputs(model, layers, reference)]
    with ExitStack() as stack:
        for layer, mapped in zip(layers, maps, strict=True):
            stack.enter_context(layer.register_forward_hook(_behind(mapped)))
        stack.enter_context(population(_WithMaps(model, maps), "adabn", data))
        yield model


def _of_outputs(
    model: nn.Module, layers: Sequence[nn.Module], reference: Iterable[Tensor]
) -> list[Statistics]:
    """Measure mean and biased variance of each channel of each layer's outputs, in float64."""
    parts: dict[nn.Module, list[tuple[int, Tensor, Tensor]]] = {layer: [] for layer in layers}

    def measure(layer: nn.Module, _: object, output: Tensor) -> None:
        parts[layer].extend(map(functional.moments, slices([output])))

    with ExitStack() as stack:
        stack.enter_context(measuring(model))
        for layer in layers:
            stack.enter_context(layer.register_forward_hook(measure))
        for batch in reference:
            model(batch)
    if not all(parts.values()):
        raise ValueError("recalibrated needs reference images that reach every hidden layer")
    return [merged(of_layer)[1:] for of_layer in parts.values()]


def _behind(mapped: nn.Module) -> Callable[[nn.Module, object, Tensor], Tensor]:
    return lambda layer, _, output: mapped(output)


class _Recalibration(_BatchNorm):
    """The map z -> z' of a layer: a batch normalisation whose gamma and beta are sigma', mu'.

    As it is a BatchNorm, the population policies measure and set its mu and sigma2, in float64 as
    the buffers are.
    """

    def __init__(self, mean: Tensor, var: Tensor) -> None:
        # torch would copy a counter of batches to the device
        super().__init__(len(mean), affine=False, track_running_stats=False)
        self.running_mean, self.running_var = torch.zeros_like(mean), torch.ones_like(var)
        self.mean, self.var = mean, var

    def forward(self, input: Tensor) -> Tensor:
        assert self.running_mean is not None
        assert self.running_var is not None
        rounding = ROUNDINGS * torch.finfo(input.dtype).eps * self.running_mean
        varies = self.running_var > rounding.square()
        scale = torch.where(varies, (self.var / self.running_var).sqrt(), 1.0)
        mu, factor, offset = (
            values.to(input.dtype).view(1, -1, *[1] * (input.dim() - 2))
            for values in (self.running_mean, scale, self.mean)
        )
        return (input - mu) * factor + offset


class _WithMaps(nn.Module):
    """A net and the maps that its layers' hooks call, for `population` to find."""

    def __init__(self, net: nn.Module, maps: Sequence[nn.Module]) -> None:
        super().__init__()
        self.net, self.maps = net, nn.ModuleList(maps)

    def forward(self, input: Tensor) -> Tensor:
        return self.net(input)
