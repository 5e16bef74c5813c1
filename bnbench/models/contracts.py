"""What every net must fulfil, as contracts that can be run over one of the user's own.

A contract takes a constructor as `MODELS` has them, with its options bound, and raises an
AssertionError that says why it does not hold.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from bnbench.models.init import initialise
from bnbench.norms import NORMS
from bnbench.norms.recalibration import weight_layers

IMAGES, SHAPE, CLASSES = 12, (1, 8, 8), 10  # those of digits
TOLERANCE = 1e-5  # kernels may sum in another order for another batch size

Make = Callable[..., Any]


def made(make: Make, with_norm: bool = True, **options: Any) -> nn.Module:
    """Make a net with batch normalisation, or with no norm, its weights drawn from seed 0."""
    norm = partial(NORMS["batchnorm"], spatial_dims=make_dims(make)) if with_norm else None
    net = make(SHAPE, CLASSES, norm=norm, **options)
    initialise(net, "he", 0)
    return net


def make_dims(make: Make) -> int:
    """The spatial dimensions that the norms of a constructor's nets see."""
    kind: Any = make.func if isinstance(make, partial) else make
    return kind.spatial_dims


def images() -> torch.Tensor:
    """Draw images, the same each time."""
    return torch.randn(IMAGES, *SHAPE, generator=torch.Generator().manual_seed(0))


def has_logits(make: Make) -> None:
    """Give one finite logit for each class, with a norm or none, before or after the activation."""
    for with_norm in (False, True):
        for placement in ("pre", "post"):
            y = made(make, with_norm, placement=placement)(images())
            if y.shape != (IMAGES, CLASSES):
                raise AssertionError(f"{tuple(y.shape)} for {IMAGES} images of {CLASSES} classes")
            if bad := int((~y.isfinite()).sum()):
                raise AssertionError(f"{bad} of {y.numel()} logits are not finite")


def has_norms(make: Make) -> None:
    """Have norms where one is asked for, and none where none is."""
    norm = type(NORMS["batchnorm"](8, make_dims(make)))
    for with_norm in (False, True):
        found = sum(isinstance(m, norm) for m in made(make, with_norm).modules())
        if bool(found) != with_norm:
            raise AssertionError(f"{found} norms {'with' if with_norm else 'without'} one")


def has_head(make: Make) -> None:
    """End in a layer of weights with an output for each class, the head."""
    head = weight_layers(made(make))[-1]
    if len(head.weight) != CLASSES:
        raise AssertionError(f"the last layer of weights has {len(head.weight)} outputs")


def is_drawn_from_the_seed(make: Make) -> None:
    """Have no values but those that are drawn from the run's seed, or are the same each time."""
    states = []
    for seed in range(2):
        torch.manual_seed(seed)
        states.append(made(make).state_dict())
    for name, value in states[0].items():
        if not torch.equal(value, states[1][name]):
            raise AssertionError(f"{name} depends on more than the seed of the run")


def has_gradients(make: Make) -> None:
    """Have a finite gradient for every parameter, not all of it zero."""
    net = made(make)
    net(images()).square().sum().backward()
    for name, parameter in net.named_parameters():
        if parameter.grad is None or not parameter.grad.any():
            raise AssertionError(f"{name} has no gradient: it does nothing")
        if not parameter.grad.isfinite().all():
            raise AssertionError(f"the gradient of {name} is not finite")


def ignores_mates(make: Make) -> None:
    """Give an image in evaluation the logits that it has alone."""
    net = made(make).eval()
    with torch.no_grad():
        y = net(images())
        off = float((net(images()[:1]) - y[:1]).abs().nan_to_num(torch.inf).max())
    if off > TOLERANCE * (1 + float(y.abs().max())):
        raise AssertionError(f"logits of an image alone differ by up to {off:.3g}")


CONTRACTS: dict[str, Callable[[Make], None]] = {
    "logits": has_logits,
    "norms": has_norms,
    "head": has_head,
    "weights": is_drawn_from_the_seed,
    "gradients": has_gradients,
    "evaluation": ignores_mates,
}
