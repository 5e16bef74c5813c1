"""The loss and its gradient along the negative gradient (Santurkar et al. 2018, section 3)."""

import torch
from torch import Tensor, nn

from bnbench.probes.passes import (
    Batch,
    Parameters,
    Values,
    loss_and_gradients,
    parameters,
    read,
)

RATES = [2 ** (3 * k / 7 - 1) for k in range(8)]  # 1/2 to 4, of the learning rate
DISTANCES = [0.01 * 40 ** (k / 5) for k in range(6)]  # 0.01 to 0.4, whatever the rate


def landscape(model: nn.Module, batch: Batch) -> Values:
    """Measure the change of the loss L and of its gradient along w - s ∇L(w).

    In steps s of 1/2 to 4 learning rates, the paper's for its VGG:

        loss_range = max L - min L        predictiveness = max |∇L(w - s ∇L) - ∇L|

    At distances d = s |∇L| of 0.01 to 0.4, the same for all nets and rates:

        smoothness = max |∇L(w - s ∇L) - ∇L| / d, the paper's effective β
        relative_change = max |∇L(w - s ∇L) - ∇L| / |∇L|
    """
    at = parameters(model)
    _, gradients = loss_and_gradients(model, batch, at)
    start = vector(gradients)
    size = start.norm()
    losses, changes = [], []
    steps = [batch.rate * rate for rate in RATES]
    for step in [*steps, *(distance / size for distance in DISTANCES)]:
        there = {name: value - step * gradients[name] for name, value in at.items()}
        loss, found = loss_and_gradients(model, batch, there)
        losses.append(loss)
        changes.append((vector(found) - start).norm())
    loss, change = torch.stack(losses[: len(steps)]).double(), torch.stack(changes)
    near, far = change[: len(steps)], change[len(steps) :]
    ratios = [moved / distance for moved, distance in zip(far, DISTANCES, strict=True)]
    return read(
        {
            ("", "loss_range"): loss.amax() - loss.amin(),
            ("", "predictiveness"): near.amax(),
            ("", "smoothness"): torch.stack(ratios).amax(),
            ("", "relative_change"): far.amax() / size,
        }
    )


def vector(gradients: Parameters) -> Tensor:
    """Join all gradients to one vector in float64."""
    return torch.cat([gradient.flatten() for gradient in gradients.values()]).double()
