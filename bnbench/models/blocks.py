"""One layer of a net: weights, norm and activation in the order that `placement` names.

Nothing else knows what placement means. Ioffe & Szegedy 2015, section 3.2, argue for `pre`.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnbench.config.quantities import layers_per_width, norm_places
from bnbench.config.schema import NormLayers
from bnbench.norms import HoldsBatchNorm

Norm = Callable[[int], nn.Module]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}
PLACEMENTS = {
    "pre": ("weights", "norm", "activation"),
    "post": ("weights", "activation", "norm"),
}


def block(
    weights: Callable[..., nn.Module],
    num_features: int,
    *,
    activation: str = "relu",
    dropout: float = 0.0,
    norm: Norm | None = None,
    placement: str = "pre",
) -> nn.Sequential:
    """Make the modules of a block: weights, norm and activation in order, then dropout.

    A BatchNorm straight after the weights subtracts whatever their bias adds, so there the bias is
    left out (section 3.2 of the paper); in front of any other module it stays.

    Args:
        weights: the constructor of the linear or convolutional layer, which takes `bias=`.
        num_features: of the layer's output.
        activation: a key of `ACTIVATIONS`.
        dropout: probability of dropping; 0 for no such module.
        norm: the constructor of the norm for `num_features`; None for no such module.
        placement: a key of `PLACEMENTS`.

    Returns:
        The modules, named `weights`, `norm`, `activation` and `dropout`.

    Raises:
        ValueError: an unknown activation or placement.
    """
    check_key("activation", activation, ACTIVATIONS)
    check_key("placement", placement, PLACEMENTS)
    order = PLACEMENTS[placement]
    norm_layer = norm(num_features) if norm else None
    bias_is_redundant = order[1] == "norm" and isinstance(norm_layer, _BatchNorm | HoldsBatchNorm)
    modules = {
        "weights": weights(bias=not bias_is_redundant),
        "norm": norm_layer,
        "activation": ACTIVATIONS[activation](),
        "dropout": nn.Dropout(dropout) if dropout else None,
    }
    ordered = ((name, modules[name]) for name in (*order, "dropout"))
    return nn.Sequential(OrderedDict((name, m) for name, m in ordered if m is not None))


def stages(widths: Sequence[int], depth: Sequence[int]) -> list[tuple[int, int]]:
    """List (width, number of layers) of each stage; a single depth serves all widths.

    >>> stages([64, 128], [2])
    [(64, 2), (128, 2)]
    """
    layers = layers_per_width(widths, depth)
    if len(layers) != len(widths):
        raise ValueError(
            f"depth needs one entry or {len(widths)}, one for each width; got {list(depth)}"
        )
    return list(zip(widths, layers, strict=True))


def dropouts(dropout: float, place: str, layers: int) -> list[float]:
    """List the probability of dropping behind each block.

    Args:
        dropout: the probability.
        place: `blocks` for behind every block, in front of the norm of the next; `head` for behind
            the last alone, where no norm comes behind it.
        layers: the number of blocks.

    Raises:
        ValueError: an unknown place.

    >>> dropouts(0.5, "head", 3)
    [0.0, 0.0, 0.5]
    """
    check_key("dropout place", place, dict.fromkeys(("blocks", "head")))
    return [dropout if place == "blocks" else 0.0] * (layers - 1) + [dropout]


def norms(norm: Norm | None, norm_layers: str, layers: int) -> list[Norm | None]:
    """List the constructor of the norm on the data, and then of each block's; None for no norm.

    Args:
        norm: the constructor.
        norm_layers: `every` for in each block; `first`, `last` or `alternate` (the first, third
            and so on) for in these alone; `input` for on the data, in front of the first block,
            and nowhere else.
        layers: the number of blocks.

    Raises:
        ValueError: an unknown choice.

    >>> norms(nn.BatchNorm1d, "last", 2)[1:]
    [None, <class 'torch.nn.modules.batchnorm.BatchNorm1d'>]
    """
    check_key("norm layers", norm_layers, dict.fromkeys(NormLayers))
    return [norm if is_there else None for is_there in norm_places(norm_layers, layers)]


def norm_or_identity(norm: Norm | None, num_features: int) -> nn.Module:
    """Make a norm, or a module that changes nothing where there is none."""
    return norm(num_features) if norm else nn.Identity()


def filled(layer: nn.Sequential, slots: int, placement: str) -> int:
    """Count the modules of a block in the first of the three slots that its placement orders.

    What stands before them counts too, and dropout belongs to the last.

    >>> layer = block(lambda bias: nn.Linear(2, 2, bias), 2)
    >>> [filled(layer, slots, "pre") for slots in (1, 2, 3)]
    [1, 1, 2]
    """
    order = PLACEMENTS[placement]
    later = {*order[slots:], *(["dropout"] if slots < len(order) else [])}
    return sum(name not in later for name, _ in layer.named_children())


def check_key(what: str, name: str, table: Mapping[str, object]) -> None:
    """Refuse a name that is no key of a table (`ValueError`)."""
    if name not in table:
        raise ValueError(f"unknown {what} {name!r}; allowed: {', '.join(table)}")
