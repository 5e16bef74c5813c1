"""The loss on a plane through the weights of a trained net (Li et al. 2018, section 4).

    f(a, b) = L(w + a d + b e)

The directions d and e are Gaussian and then *filter-normalised*: each filter, which is all weights
into one unit or channel, gets the norm that the filter has in w,

    d_i <- d_i ‖w_i‖ / ‖d_i‖

Without this nets could not be compared: a net with Batch Normalization is the same function at any
scale of its filters, so a step of one length is a large one in a net of small weights. Biases and
the parameters of norms have no filters and stay where they are, as in the authors' program.

L is the mean cross-entropy in training mode: batch normalisation takes the statistics of the batch
at each point of the plane anew, as it does in training. Running averages would be those of w alone.
"""

from collections.abc import Sequence

import torch
from torch import nn

from bnbench.config.arms import derive_seed
from bnbench.probes.passes import Batch, Parameters, loss_at, parameters

Plane = list[list[float]]  # f at b (outer) and a (inner)


def direction(at: Parameters, seed: int, axis: str) -> Parameters:
    """Draw a filter-normalised random direction from the weights `at`, one tensor for each.

    Layer by layer, each from its own generator: nets whose weights have the same shapes get the
    same draw, whatever biases and norms they have.

    Args:
        at: the parameters of a net by name, weights with a filter per row.
        seed: of the draw.
        axis: tells several directions of one seed apart.
    """
    found, layer = {}, 0
    for name, weight in at.items():
        if weight.ndim < 2:
            found[name] = torch.zeros_like(weight)
            continue
        generator = torch.Generator().manual_seed(derive_seed(seed, axis, layer))
        drawn = torch.randn(weight.shape, generator=generator).to(weight)
        others = tuple(range(1, weight.ndim))
        norms = (x.square().sum(others, keepdim=True).sqrt() for x in (weight, drawn))
        own, its = norms
        found[name] = drawn * (own / its)
        layer += 1
    return found


def plane(
    model: nn.Module, batch: Batch, ways: tuple[Parameters, Parameters], axis: Sequence[float]
) -> Plane:
    """Compute the loss at w + a·ways[0] + b·ways[1] for all a and b; the net stays as it was.

    Args:
        model: the trained net; its parameters are w.
        batch: the images and labels; all are normalised together.
        ways: the two directions.
        axis: the values of a and of b.

    Returns:
        A row for each b, in it a loss in nats for each a.
    """
    at = parameters(model)
    one, other = ways
    rows = []
    for b in axis:
        base = {name: w + b * other[name] for name, w in at.items()}
        rows.append(
            [
                loss_at(model, batch, {name: w + a * one[name] for name, w in base.items()})
                for a in axis
            ]
        )
    return rows
