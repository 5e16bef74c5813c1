"""A9: what becomes of a batch's representations with depth in nets that nobody trained.

Daneshmand et al. 2020 (arXiv 2003.01652): in stacks of random linear layers and of ReLU layers the
images of a batch come to lie on one line, their matrix to be of rank one; with batch normalisation
the rank stays of order √d or more for width d. Daneshmand et al. 2021 (arXiv 2106.03970): in linear
nets with it different images come to be at right angles. For H (n, d), a row for each image:

    stable rank    ‖H‖_F² / ‖H‖_2²                          between 1 and the rank
    effective rank ‖H‖_F⁴ / ‖H Hᵀ‖_F²                       r(H) of the paper; at least the former
    cosine         mean of |h_i·h_j| / (‖h_i‖ ‖h_j‖), i ≠ j
    gap            ‖ H Hᵀ / ‖H‖_F² − I/n ‖_F                0 where rows are orthonormal

H is what enters the activation: the layer's output, after BN where the net has it; and, with
`after` in its name, what a ReLU makes of it. Weights are He's, without bias; BN is that of this
package in training, at its start: unlike the papers' it subtracts the mean, so that the rank is at
most n − 1 and no n images are orthogonal. Images are drawn: `white`, with independent standard
normal features, as many images as units; and `aligned`, whose k-th feature has the standard
deviation 1/k, as the spectra of photographs fall, few images in wide nets: the bound of 2021 is
n/√d from 0, which tells nothing of n = d. In float64.

Shapes: images and representations (n, d), weights (d, d).
"""

import math
from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from bnbench.norms.functional import batch_norm

SIZES = {"white": (32, 32), "aligned": (8, 128)}  # images -> their number n and the width d
DEPTHS = (1, 2, 5, 10, 20, 30, 40, 50)
ARMS = {"none": False, "batchnorm": True}  # whether the net has batch normalisation
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"linear": lambda u: u, "ReLU": F.relu}


def stable_rank(h: Tensor) -> Tensor:
    """Compute ‖H‖_F² / ‖H‖_2² of a matrix; NaN where all of it is 0.

    >>> stable_rank(torch.diag(torch.tensor([2.0, 1.0, 1.0]))).item()  # (4 + 1 + 1)/4
    1.5
    """
    squares = torch.linalg.svdvals(h).square()
    return squares.sum() / squares.max()


def effective_rank(h: Tensor) -> Tensor:
    """Compute ‖H‖_F⁴ / ‖H Hᵀ‖_F² of a matrix; NaN where all of it is 0.

    >>> effective_rank(torch.diag(torch.tensor([2.0, 1.0, 1.0]))).item()  # (4 + 1 + 1)²/18
    2.0
    """
    squares = torch.linalg.svdvals(h).square()
    return squares.sum().square() / squares.square().sum()


def mean_cosine(h: Tensor) -> Tensor:
    """Compute the mean |cosine| of the angles between different rows (n, d).

    >>> mean_cosine(torch.tensor([[1.0, 0.0], [0.0, 3.0], [0.0, -1.0]])).item()  # 0, 0 and 1
    0.3333333432674408
    """
    rows = F.normalize(h, dim=1)
    cosines = (rows @ rows.T).abs()
    n = len(h)
    return (cosines.sum() - cosines.diagonal().sum()) / (n * (n - 1))


def orthogonality_gap(h: Tensor) -> Tensor:
    """Compute ‖ H Hᵀ/‖H‖_F² − I/n ‖_F of rows (n, d).

    >>> orthogonality_gap(5 * torch.eye(4)).item()
    0.0
    """
    gram = h @ h.T
    return torch.linalg.matrix_norm(gram / gram.trace() - torch.eye(len(h), dtype=h.dtype) / len(h))


QUANTITIES = {
    "stable rank": stable_rank,
    "effective rank": effective_rank,
    "cosine": mean_cosine,
    "gap": orthogonality_gap,
}


def draw(kind: str, seed: int) -> tuple[Tensor, list[Tensor]]:
    """Draw the images of a kind, and standard normal weights for every layer, of a seed."""
    n, d = SIZES[kind]
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(n, d, generator=generator, dtype=torch.float64)
    weights = torch.randn(DEPTHS[-1], d, d, generator=generator, dtype=torch.float64)
    if kind == "aligned":
        images = images / torch.arange(1, d + 1, dtype=torch.float64)
    return images, [*weights]


def representations(
    images: Tensor, weights: Sequence[Tensor], activation: str, norm: bool
) -> list[Tensor]:
    """Compute what enters the activation of every layer (n, d).

    Args:
        images: the batch.
        weights: a standard normal matrix for each layer.
        activation: a key of `ACTIVATIONS`.
        norm: whether batch normalisation stands before the activation.
    """
    scale = math.sqrt((2 if activation == "ReLU" else 1) / images.shape[1])
    h, found = images, []
    for w in weights:
        u = F.linear(h, scale * w)
        if norm:
            u = batch_norm(u, None, None, training=True)
        found.append(u)
        h = ACTIVATIONS[activation](u)
    return found


def measure(seeds: Sequence[int]) -> list[dict[str, float]]:
    """Measure ranks, cosines and gaps by images, activation, norm and depth."""
    numbers = []
    for seed in seeds:
        own: dict[str, float] = {}
        for kind in SIZES:
            images, weights = draw(kind, seed)
            for activation, (arm, norm) in product(ACTIVATIONS, ARMS.items()):
                layers = representations(images, weights, activation, norm)
                for depth in DEPTHS:
                    u, place = layers[depth - 1], f"{kind}, {activation}, {arm}@{depth}"
                    own |= {f"{q}, {place}": f(u).item() for q, f in QUANTITIES.items()}
                    if activation == "ReLU":
                        own[f"stable rank after, {place}"] = stable_rank(F.relu(u)).item()
        numbers.append(own)
    return numbers
