"""Weight decay by the norms that it leaves: the weights of a net take those of a copy that decays.

Behind a BatchNorm the scale of the weights in front of it changes no output, and the smaller they
are the more a step turns them: the effective rate is rate/|w|² (van Laarhoven 2017, 1706.05350,
section 3; `measured.exact.rates`). If that is all that decay does there (Zhang et al. 2019,
1810.12281), a net without it does as well, once its weights have the norms of one with it. The copy
starts from the same weights and meets the same batches; nothing but its norms, a number for each
layer, goes to the net.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, linalg


def rescaled(
    own: Iterator[Tensor],
    decaying: Iterator[Tensor],
    pairs: Sequence[tuple[Tensor, Tensor]],
    every: int,
) -> Iterator[Tensor]:
    """Train a net and a copy step by step, and give the net the norms of the copy now and then.

    Both see the same noise, such as dropout. The net keeps its optimiser's state as it is, which is
    that of longer or shorter weights for the few steps that momentum remembers.

    Args:
        own: the training steps of the net, which yield losses.
        decaying: as many of the copy.
        pairs: of each layer the weights of the net and those of the copy.
        every: steps from one rescaling to the next, such as those of an epoch.

    Yields:
        The loss of each step of the net, on the device.
    """
    devices = [weight.device for weight, _ in pairs[:1] if weight.device.type == "cuda"]
    taken = 0
    while True:
        with torch.random.fork_rng(devices):
            if next(decaying, None) is None:
                return
        loss = next(own)
        taken += 1
        if taken % every == 0:
            take_norms(pairs)
        yield loss


@torch.no_grad()
def take_norms(pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Multiply each first tensor so that its Euclidean norm is that of the second.

    >>> weight = torch.tensor([3.0, 4.0])
    >>> take_norms([(weight, torch.tensor([0.0, 2.0]))])
    >>> [round(value, 4) for value in weight.tolist()]
    [1.2, 1.6]
    """
    for weight, other in pairs:
        sizes = (linalg.vector_norm(one, dtype=torch.float64) for one in (other, weight))
        weight.mul_(torch.div(*sizes).to(weight.dtype))
