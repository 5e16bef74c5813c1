"""Gradients of the weights: their size over depth, and their change by steps of lower layers.

Norms and products are taken in float64 of gradients in the net's own dtype.
"""

import math
from collections.abc import Sequence
from statistics import linear_regression

from torch import Tensor, linalg, nn

from bnbench.probes.passes import (
    Batch,
    Measured,
    Values,
    blocks,
    loss_and_gradients,
    parameters,
    read,
    weight_names,
)

ENDS = 5  # blocks at either end that are no part of the growth …
MIN_BLOCKS = 15  # … in nets of at least so many


def gradients(model: nn.Module, batch: Batch) -> Values:
    """Measure `gradient_norm` of each layer's weights and `gradient_growth` of the net."""
    _, found = loss_and_gradients(model, batch, parameters(model), weight_names(model))
    values = read({(layer, "gradient_norm"): norm(gradient) for layer, gradient in found.items()})
    of_blocks = list(values.values())[:-1]
    if len(of_blocks) > 1:
        values["", "gradient_growth"] = growth(of_blocks)
    return values


def growth(norms: Sequence[float]) -> float:
    """Compute the factor by which norms grow from a block to the next one towards the input.

    The factor is exp(-slope) of the least-squares line of ln norm over the number of the block. Of
    15 or more blocks the five at either end are left out, where the gradient is not yet stationary.

    Returns:
        The factor; not a number where a norm is zero or not finite.

    >>> round(growth([8, 4, 2, 1]), 9)
    2.0
    """
    ends = ENDS if len(norms) >= MIN_BLOCKS else 0
    kept = norms[ends : len(norms) - ends]
    if not all(0 < value < math.inf for value in kept):
        return math.nan
    slope, _ = linear_regression(range(len(kept)), [math.log(value) for value in kept])
    return math.exp(-slope)


def ics(model: nn.Module, batch: Batch) -> Values:
    """Measure internal covariate shift as a change of gradients.

    Santurkar et al. 2018, Definition 2.1.
    With G the gradient of layer i's weights and G' the same on the same batch after all parameters
    below layer i have taken one SGD step: `ics_cosine` = <G, G'> / (|G| |G'|), `ics_distance` =
    |G - G'| and `ics_relative` = |G - G'| / |G|, for each layer i >= 2 and the head.
    """
    at, names = parameters(model), weight_names(model)
    _, start = loss_and_gradients(model, batch, at)
    measured: Measured = {}
    for below, (layer, name) in zip(blocks(model), list(names.items())[1:], strict=True):
        at |= {
            key: value - batch.rate * start[key]
            for key, value in at.items()
            if key.startswith(f"{below}.")
        }
        _, found = loss_and_gradients(model, batch, at, {layer: name})
        g, after = start[name].double(), found[layer].double()
        measured[layer, "ics_cosine"] = (g * after).sum() / (g.norm() * after.norm())
        measured[layer, "ics_distance"] = (g - after).norm()
        measured[layer, "ics_relative"] = (g - after).norm() / g.norm()
    return read(measured)


def norm(gradient: Tensor) -> Tensor:
    """Compute the Euclidean norm of all entries of a tensor."""
    return linalg.vector_norm(gradient.double())
