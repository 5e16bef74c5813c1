"""M2a: internal covariate shift as Santurkar et al. define it, in their deep linear network.

Santurkar et al. 2018 ("How Does Batch Normalization Help Optimization?"), section 2.2 and appendix
A: 25 linear layers of 10×10, L = Σ ‖W_25 … W_1 x − A x‖² over 1,000 Gaussian x, full-batch gradient
descent of 10,000 steps at the rate 1e-6. In the other arm each layer but the last is followed by
batch normalisation with gamma and beta. Definition 2.1 is of the gradient of a layer before and
after the layers below it have taken their step of this batch:

    G_i  = ∂/∂W_i L(W_1, …, W_L)                          the shift of layer i:
    G'_i = ∂/∂W_i L(W_1 − rate G_1, …, W_{i−1} − rate G_{i−1}, W_i, …, W_L)      ‖G_i − G'_i‖,
                                                                               cos(G_i, G'_i)

gamma and beta below layer i step too. The paper leaves open, and here it is chosen: the loss is a
sum over images (with a mean, 10,000 steps at 1e-6 go nowhere), and A is standard normal. Of the
first weights it says nothing for this net. They are Glorot's, as its VGG has them, and in a second
reading PyTorch's default, with which a net without norm starts at outputs near 1e-6 and stays.

On a full batch this net is an affine map of x, with batch normalisation too: its mean and variance
are those of a linear function of x. The loss therefore knows the batch by its mean and covariance
alone, and 11 points that share them give every loss and gradient of the 1,000 (`compressed`).

Shapes: S seeds, B nets, L layers, d units, n points. Weights (L, B, d, d), gamma and beta
(L − 1, B·d): a unit of each net is a channel of one batch normalisation. Points (B, d, n).
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from bnbench.norms.functional import batch_norm

LAYERS, UNITS, IMAGES = 25, 10, 1000
STEPS, RATE = 10_000, 1e-6
PHASES = {  # shares of the steps at which the shift is measured: below 5 %, 5 to 50 %, from 50 % on
    "early": (0.0, 0.01, 0.02, 0.03, 0.04),
    "mid": (0.05, 0.15, 0.25, 0.35, 0.45),
    "late": (0.5, 0.6, 0.7, 0.8, 0.9),
}
ARMS = {"none": False, "batchnorm": True}  # whether the net has batch normalisation
INITS = {  # reading -> bound of the uniform first weights
    "": math.sqrt(6 / (UNITS + UNITS)),  # Glorot & Bengio 2010, equation 16
    ", default init": 1 / math.sqrt(UNITS),  # torch.nn.Linear
}
EQUAL_STEP = 1e-3  # another reading: the weights of a net step by this share of their norm


class LinearNet(NamedTuple):
    """The parameters of B nets; gradients and steps have the same form."""

    weights: Tensor
    gamma: Tensor
    beta: Tensor

    def minus(self, gradient: "LinearNet", rate: Tensor | float) -> "LinearNet":
        """This net after a step; a rate (B, 1, 1) is one per net."""
        vectors = rate
        if isinstance(rate, Tensor):
            vectors = rate.view(-1, 1).expand(-1, UNITS).reshape(-1)
        return LinearNet(
            self.weights - rate * gradient.weights,
            self.gamma - vectors * gradient.gamma,
            self.beta - vectors * gradient.beta,
        )


class Task(NamedTuple):
    """Points x and targets y (B, d, n), and of how many images each point stands for."""

    x: Tensor
    y: Tensor
    share: float


def draw(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """The images (N, d), A (d, d) and weights (L, d, d) within ±1 of a seed, in float64."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(IMAGES, UNITS, generator=generator, dtype=torch.float64)
    a = torch.randn(UNITS, UNITS, generator=generator, dtype=torch.float64)
    uniform = torch.rand(LAYERS, UNITS, UNITS, generator=generator, dtype=torch.float64)
    return x, a, 2 * uniform - 1


def compressed(x: Tensor) -> Tensor:
    """d + 1 points (d + 1, d) with the mean and the (biased) covariance of images (N, d).

    >>> points = compressed(torch.tensor([[1.0], [2.0], [3.0], [6.0]]))
    >>> points.mean().item(), round(points.var(correction=0).item(), 5)
    (3.0, 3.5)
    """
    n = x.shape[1] + 1
    covariance = (x - x.mean(0)).T @ (x - x.mean(0)) / len(x)
    # orthonormal columns at right angles to ones: of mean 0, and as good as white noise
    basis = torch.cat([torch.ones(n, 1, dtype=x.dtype), torch.eye(n, n - 1, dtype=x.dtype)], 1)
    white = math.sqrt(n) * torch.linalg.qr(basis).Q[:, 1:]
    return x.mean(0) + white @ torch.linalg.cholesky(covariance).T


def start(seeds: Sequence[int]) -> tuple[LinearNet, Task]:
    """The untrained nets of some seeds, those of the first of `INITS` first, and their tasks."""
    draws = [draw(seed) for seed in seeds] * len(INITS)
    bounds = [bound for bound in INITS.values() for _ in seeds]
    weights = torch.stack([bound * w for bound, (*_, w) in zip(bounds, draws, strict=True)], 1)
    x = torch.stack([compressed(x).T for x, *_ in draws])
    y = torch.stack([a for _, a, _ in draws]) @ x
    gamma = torch.ones(LAYERS - 1, len(draws) * UNITS, dtype=x.dtype)
    return LinearNet(weights, gamma, torch.zeros_like(gamma)), Task(x, y, IMAGES / x.shape[2])


def losses(net: LinearNet, task: Task, norm: bool) -> Tensor:
    """L of every net (B,)."""
    *hidden, last = net.weights.unbind()
    u = task.x
    for w, gamma, beta in zip(hidden, net.gamma.unbind(), net.beta.unbind(), strict=True):
        u = w @ u
        if norm:
            channels = u.view(1, -1, u.shape[2])
            u = batch_norm(channels, None, None, gamma, beta, training=True).view_as(u)
    return task.share * (last @ u - task.y).square().sum((1, 2))


def gradient(net: LinearNet, task: Task, norm: bool) -> tuple[Tensor, LinearNet]:
    """The losses (B,) and the gradients; those of gamma and beta are 0 without norm."""
    leaves = LinearNet(*(t.detach().requires_grad_() for t in net))
    value = losses(leaves, task, norm)
    grads = torch.autograd.grad(value.sum(), leaves, materialize_grads=True, allow_unused=True)
    return value.detach(), LinearNet(*grads)


def shift(net: LinearNet, task: Task, norm: bool, rate: Tensor | float) -> dict[str, Tensor]:
    """Definition 2.1 for the layers i from 2 on: cosine, distance and relative, each (L - 1, B).

    Each layer has a copy of the nets, in which what lies below it has taken the step.
    """
    _, before = gradient(net, task, norm)
    stepped = net.minus(before, rate)
    layers = range(1, len(net.weights))
    copies = [
        LinearNet(*(torch.cat([new[:i], old[i:]]) for new, old in zip(stepped, net, strict=True)))
        for i in layers
    ]
    mixed = LinearNet(*(torch.cat(tensors, 1) for tensors in zip(*copies, strict=True)))
    times = (len(layers), 1, 1)
    _, after = gradient(mixed, Task(task.x.repeat(times), task.y.repeat(times), task.share), norm)
    # copy i of the nets tells of layer i
    by_copy = after.weights.unflatten(1, (len(layers), -1))
    g_after = torch.stack([by_copy[i, i - 1] for i in layers]).flatten(2)
    g = before.weights[1:].flatten(2)
    distance = (g - g_after).norm(dim=2)
    return {
        "cosine": torch.cosine_similarity(g, g_after, dim=2),
        "distance": distance,
        "relative": distance / g.norm(dim=2),
    }


def equal_rate(net: LinearNet, gradient: LinearNet) -> Tensor:
    """The rate (B, 1, 1) at which the weights of each net move by `EQUAL_STEP` of their norm."""
    norms = [t.weights.transpose(0, 1).flatten(1).norm(dim=1) for t in (net, gradient)]
    return (EQUAL_STEP * norms[0] / norms[1]).view(-1, 1, 1)


def measure(seeds: Sequence[int], steps: int = STEPS) -> list[dict[str, float]]:
    """Train both arms; means of the shift over layers and the points of each phase, and losses."""
    numbers: list[dict[str, float]] = [{} for _ in seeds]

    def note(quantity: str, values: Tensor) -> None:
        for init, of_init in zip(INITS, values.view(len(INITS), -1).tolist(), strict=True):
            for record, value in zip(numbers, of_init, strict=True):
                record[quantity + init] = value

    phase_at = {round(share * steps): phase for phase in PHASES for share in PHASES[phase]}
    for arm, norm in ARMS.items():
        net, task = start(seeds)
        note(f"loss {arm} start", losses(net, task, norm) / IMAGES)
        points = defaultdict[str, list[Tensor]](list)
        for step in range(steps):
            _, grads = gradient(net, task, norm)
            if phase := phase_at.get(step):
                rates = {"": RATE, ", equal step": equal_rate(net, grads)}
                for reading, rate in rates.items():
                    for name, values in shift(net, task, norm, rate).items():
                        points[f"{name} {arm} {phase}{reading}"].append(values.mean(0))
            net = net.minus(grads, RATE)
        for quantity, values in points.items():
            note(quantity, torch.stack(values).mean(0))
        note(f"loss {arm} end", losses(net, task, norm) / IMAGES)
    return numbers
