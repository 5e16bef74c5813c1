"""E6, E10, E11: what differs between training and evaluation.

N0 to N4 are the notes of docs/myths.md.
"""

import math

import torch
from torch.nn import functional as F

from bnbench.measured.exact.arithmetic import Bound, Check, draws, error, layer, set_parameters


def identity() -> dict[str, float]:
    """gamma and beta that undo one batch, and those that undo the mean and variance of 200."""
    draw, m, num_batches, mu, sigma = draws(), 16, 200, 3.0, 2.0
    batches = mu + sigma * draw(num_batches, m, 8)
    first, bn = batches[0], layer(8)
    set_parameters(bn, (first.var(0, correction=0) + bn.eps).sqrt(), first.mean(0))
    one_batch = error(bn(first), first)

    set_parameters(bn, math.sqrt(sigma**2 + bn.eps), mu)
    with torch.no_grad():
        outputs = torch.stack([bn(batch) for batch in batches])
    off = (outputs - batches).square().mean().sqrt().item() / sigma

    bn.running_mean.fill_(mu)
    bn.running_var.fill_(sigma**2)
    return {"one batch": one_batch, "evaluation": error(bn.eval()(first), first), "myth": off}


E6 = Check(
    {
        "one batch": Bound("largest relative difference of output from input", "<=", 1e-12),
        "evaluation": Bound("largest relative difference of output from input", "<=", 1e-12),
        "myth": Bound("RMS of output - input over sigma, other batches of 16", ">=", 0.25),
    },
    identity,
)


def batch_mates() -> dict[str, float]:
    """The output for samples alone, in another order, and among other samples."""
    draw = draws()
    bn = set_parameters(layer(5), draw(5), draw(5))
    for _ in range(3):
        bn(3 + 2 * draw(32, 5))
    x, order = draw(32, 5), list(reversed(range(32)))
    among_others = torch.cat([x[:1], draw(31, 5)])
    in_training = error(bn(among_others)[:1], bn(x)[:1])
    bn.eval()
    y = bn(x)
    return {
        "alone": error(torch.cat([bn(sample) for sample in x.split(1)]), y),
        "order": error(bn(x[order])[order], y),
        "batch-mates": error(bn(among_others)[:1], y[:1]),
        "training": in_training,
    }


E10 = Check(
    {
        "alone": Bound("largest relative difference of a batch from its samples", "<=", 1e-15),
        "order": Bound("largest relative difference after reversing the batch", "<=", 1e-15),
        "batch-mates": Bound("largest relative difference among other samples", "<=", 1e-15),
        "training": Bound("relative difference among other samples, training", ">=", 0.1),
    },
    batch_mates,
)

PRECISIONS = {"float32": (torch.float32, 1e-6), "float64": (torch.float64, 1e-14)}


def affine_map() -> dict[str, float]:
    """Evaluation as scale and offset per channel, and the convolution that takes them in."""
    numbers = {}
    for name, (dtype, _) in PRECISIONS.items():
        draw = draws()
        u, w, b = draw(4, 4, 6, 6), draw(8, 4, 3, 3), draw(8)
        bn = set_parameters(layer(8, spatial_dims=2), draw(8), draw(8))
        for _ in range(3):
            bn(F.conv2d(draw(4, 4, 6, 6), w, b))
        bn.eval().to(dtype)
        u, w, b = (t.to(dtype) for t in (u, w, b))
        scale = bn.weight / (bn.running_var + bn.eps).sqrt()
        offset = bn.bias - scale * bn.running_mean
        x = F.conv2d(u, w, b)
        affine = x * scale.view(-1, 1, 1) + offset.view(-1, 1, 1)
        folded = F.conv2d(u, w * scale.view(-1, 1, 1, 1), b * scale + offset)
        y = bn(x)
        numbers |= {f"affine, {name}": error(affine, y), f"fold, {name}": error(folded, y)}
    return numbers


E11 = Check(
    {
        f"{part}, {name}": Bound(f"largest relative difference of {what} from BN", "<=", limit)
        for name, (_, limit) in PRECISIONS.items()
        for part, what in {"affine": "the map", "fold": "the folded convolution"}.items()
    },
    affine_map,
)
