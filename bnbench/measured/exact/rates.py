"""E12, E13: weight decay, learning rate and the scale of weights before BN are one and the same.

A net of two linear layers, each before BN, is trained by `torch.optim.SGD`, whose steps are

    v_{t+1} = momentum v_t + ∂loss/∂w_t + decay w_t        w_{t+1} = w_t − rate_t v_{t+1}

gamma and beta have the same fixed rate in all runs, and no decay. BN does not see the scale of the
weights, so that ∂loss/∂(c w) = 1/c ∂loss/∂w, and with it (Li & Arora 2019, section 2)

    rate_t = rate, decay                      follows the functions of     rate_t = rate a^(−2t−1),
    w_t                                                                    no decay: w_t a^(−t)

    a² − (1 + momentum − rate·decay) a + momentum = 0        v_0 = −(1 − a)/(a rate) w_0

where a is the larger root, 1 − rate·decay without momentum, and v_0 is of the run without decay: in
the other it is 0. Both follow from one recurrence, w_{t+1} = (1 + momentum − rate·decay) w_t −
momentum w_{t−1} − rate ∂loss/∂w_t, in which w_t = a^t w'_t is put. And weights c w with the rate
c² rate and the decay decay/c² have the functions of w: the effective rate is rate/‖w‖² (van
Laarhoven 2017, section 3), which decay alone can raise, since steps at right angles to the weights
make them longer: ‖w_{t+1}‖² = ‖w_t‖² + rate² ‖∂loss/∂w_t‖².

All of it is of nets that normalise by their batch. Running statistics average over steps whose
weights differ in scale by other factors in the two runs, so that in evaluation E12 holds only with
statistics measured anew.

Shapes: x (STEPS, m, d), labels (STEPS, m), outputs (STEPS, m, K); weights (K, d) of each layer.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnbench.measured.exact.arithmetic import Bound, Check, draws, error, largest, layer

STEPS, RATE, DECAY, MOMENTUM, SCALE = 20, 0.1, 0.5, 0.5, 3.0
WIDTHS, IMAGES = (6, 8, 4), 16
# rounding is 1e-16, and 20 steps of training make 1e-14 of it: 1e4 are left for other CPUs
FOLLOWS = 1e-10


class Trajectory(NamedTuple):
    """A training: outputs (STEPS, m, K) on the batches, and weights and gradients of each step."""

    outputs: Tensor
    weights: list[list[Tensor]]
    gradients: list[list[Tensor]]


def shrinkage(rate: float, decay: float, momentum: float) -> float:
    """Compute the factor a by which decay shrinks the weights of a step.

    Raises:
        ValueError: a is not real: rate·decay is above (1 − √momentum)².

    >>> shrinkage(0.1, 0.5, momentum=0.0)
    0.95
    """
    middle = 1 + momentum - rate * decay
    if middle**2 < 4 * momentum:
        raise ValueError(f"decay {decay:g} is too large, expected at most (1 - √momentum)²/rate")
    return (middle + math.sqrt(middle**2 - 4 * momentum)) / 2


def trained(
    norm: bool,
    *,
    scale: float = 1.0,
    rate: float = RATE,
    growth: float = 1.0,
    decay: float = 0.0,
    momentum: float = 0.0,
    push: float = 0.0,
) -> Trajectory:
    """Train the net on batches that are the same at every call.

    Args:
        norm: whether BN follows the linear layers; without it nothing does.
        scale: factor of the first weights.
        rate: of the first step, of the weights.
        growth: factor of the rate from a step to the next.
        decay: of the weights.
        momentum: of all parameters.
        push: v_0 is this times the first weights.
    """
    draw = draws()
    d, hidden, num_classes = WIDTHS
    x = draw(STEPS, IMAGES, d)
    labels = draw(STEPS, IMAGES, num_classes).argmax(-1)
    linear = [nn.Parameter(scale * draw(*shape)) for shape in ((hidden, d), (num_classes, hidden))]
    # the law is exact without eps, and off by about eps/sigma2 with it
    norms = [layer(width, eps=1e-15) if norm else nn.Identity() for width in WIDTHS[1:]]
    affine = [parameter for one in norms for parameter in one.parameters()]
    of_weights = {"params": linear, "lr": rate, "weight_decay": decay}
    optimizer = torch.optim.SGD([of_weights, {"params": affine}], lr=RATE, momentum=momentum)
    for w in linear:
        optimizer.state[w]["momentum_buffer"] = push * w.detach()
    outputs, weights, gradients = [], [], []
    for step in range(STEPS):
        u = F.relu(norms[0](F.linear(x[step], linear[0])))
        logits = norms[1](F.linear(u, linear[1]))
        optimizer.zero_grad()
        F.cross_entropy(logits, labels[step]).backward()
        outputs.append(logits.detach())
        weights.append([w.detach().clone() for w in linear])
        gradients.append([w.grad.clone() for w in linear if w.grad is not None])
        optimizer.param_groups[0]["lr"] = rate * growth**step
        optimizer.step()
    return Trajectory(torch.stack(outputs), weights, gradients)


def fixed_and_growing(norm: bool, momentum: float) -> tuple[Trajectory, Trajectory, float]:
    """Train with decay at a fixed rate, and without decay at the growing one: both, and a."""
    a = shrinkage(RATE, DECAY, momentum)
    fixed = trained(norm, decay=DECAY, momentum=momentum)
    push = -(1 - a) / (a * RATE) if momentum else 0.0
    growing = trained(norm, rate=RATE / a, growth=a**-2, momentum=momentum, push=push)
    return fixed, growing, a


def growing_rate() -> dict[str, float]:
    """Outputs and weights under decay, and at a growing rate in its place."""
    numbers, weights = {}, []
    for name, momentum in {"SGD": 0.0, "SGD with momentum": MOMENTUM}.items():
        fixed, growing, a = fixed_and_growing(True, momentum)
        numbers[name] = error(growing.outputs, fixed.outputs)
        for step, (mine, theirs) in enumerate(zip(growing.weights, fixed.weights, strict=True)):
            weights += [error(a**step * w, exact) for w, exact in zip(mine, theirs, strict=True)]
    fixed, growing, _ = fixed_and_growing(False, 0.0)
    without = error(growing.outputs[-1], fixed.outputs[-1])
    return {**numbers, "weights": largest(weights), "without BN": without}


E12 = Check(
    {
        "SGD": Bound("largest relative difference of outputs while training", "<=", FOLLOWS),
        "SGD with momentum": Bound(
            "largest relative difference of outputs while training", "<=", FOLLOWS
        ),
        "weights": Bound("largest relative difference from the law", "<=", FOLLOWS),
        "without BN": Bound("relative difference of outputs after training", ">=", 0.1),
    },
    growing_rate,
)


def rescaled() -> dict[str, float]:
    """Outputs and gradients of nets whose weights differ by the factor SCALE."""
    one, other = trained(True), trained(True, scale=SCALE, rate=SCALE**2 * RATE)
    together = {"decay": DECAY, "momentum": MOMENTUM}
    decayed = trained(True, **together)
    together["decay"] /= SCALE**2
    scaled = trained(True, scale=SCALE, rate=SCALE**2 * RATE, **together)
    bare, scaled_bare = trained(False), trained(False, scale=SCALE, rate=SCALE**2 * RATE)
    steps = list(zip(one.weights, one.gradients, strict=True))
    angles = [F.cosine_similarity(w, g) for ws, gs in steps for w, g in zip(ws, gs, strict=True)]
    return {
        "direction": torch.cat(angles).abs().max().item(),
        "gradient": largest(
            error(SCALE * mine, exact)
            for mine, exact in zip(other.gradients[0], one.gradients[0], strict=True)
        ),
        "lengths": largest(map(error, *lengths(one))),
        "SGD": error(other.outputs, one.outputs),
        "decay and momentum": error(scaled.outputs, decayed.outputs),
        "without BN": error(scaled_bare.outputs[-1], bare.outputs[-1]),
    }


def lengths(run: Trajectory) -> tuple[list[Tensor], list[Tensor]]:
    """Squared lengths of the units' weights after each step, and those by Pythagoras."""
    after = [w.square().sum(1) for weights in run.weights[1:] for w in weights]
    law = [
        w.square().sum(1) + RATE**2 * g.square().sum(1)
        for weights, gradients in zip(run.weights[:-1], run.gradients[:-1], strict=True)
        for w, g in zip(weights, gradients, strict=True)
    ]
    return after, law


E13 = Check(
    {
        "direction": Bound("largest |cosine| between a unit's W and ∂/∂W", "<=", 1e-12),
        "gradient": Bound("largest relative difference of 3 ∂/∂(3W) from ∂/∂W", "<=", 1e-12),
        "lengths": Bound("largest relative difference from the law of a step", "<=", 1e-12),
        "SGD": Bound("largest relative difference of outputs while training", "<=", FOLLOWS),
        "decay and momentum": Bound(
            "largest relative difference of outputs while training", "<=", FOLLOWS
        ),
        "without BN": Bound("relative difference of outputs after training", ">=", 0.1),
    },
    rescaled,
)
