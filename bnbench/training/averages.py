"""Averages of a net's weights along its run, which it can be evaluated with.

    swa         the plain mean of the last 20 checkpoints, at equal distances over the last quarter
                of the run (stochastic weight averaging, Izmailov et al. 2018, 1803.05407, sec. 3.2)
    weight_ema  the exponential moving average of the weights of all steps, of which each new one
                counts 1 % (Polyak & Juditsky 1992, in the form of torch.optim.swa_utils)

Parameters are averaged, and nothing else: a BatchNorm's running statistics are those of the last
net, as in `torch.optim.swa_utils.AveragedModel`. Training is not changed by a bit.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

AVERAGES = ("swa", "weight_ema")
CHECKPOINTS, PART = 20, 0.25  # of swa, spread over that part of the run
DECAY = 0.99  # of weight_ema


def checkpoints(steps: int) -> set[int]:
    """List the steps after which swa takes the weights, the last step included.

    >>> sorted(checkpoints(320))[:3], len(checkpoints(320)), max(checkpoints(320))
    ([244, 248, 252], 20, 320)
    """
    return {round(steps * (1 - PART * k / CHECKPOINTS)) for k in range(CHECKPOINTS)}


class WeightAverages:
    """Keeps averages of a net's parameters, which `update` moves after each step.

    Args:
        model: the net.
        kinds: of `AVERAGES`; without any nothing is kept.
        steps: of the run.

    Raises:
        ValueError: an unknown kind.
    """

    def __init__(self, model: nn.Module, kinds: Iterable[str], steps: int) -> None:
        kinds = list(kinds)
        if unknown := [kind for kind in kinds if kind not in AVERAGES]:
            raise ValueError(f"unknown average {unknown[0]!r}; allowed: {', '.join(AVERAGES)}")
        self.parameters: list[Tensor] = [p.detach() for p in model.parameters()]
        self.means = {kind: [p.clone() for p in self.parameters] for kind in kinds}
        self.counts = dict.fromkeys(kinds, 0)
        self.checkpoints = checkpoints(steps)

    def update(self, step: int) -> None:
        """Let the weights after a step, 1 or later, into the averages."""
        for kind, mean in self.means.items():
            if kind == "swa" and step not in self.checkpoints:
                continue
            self.counts[kind] += 1
            count = self.counts[kind]  # the first weights are the average as they are
            share = 1 / count if kind == "swa" or count == 1 else 1 - DECAY
            torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
                mean, self.parameters, share
            )

    @contextmanager
    def held(self, kind: str) -> Iterator[None]:
        """Give the net an average for its weights inside a `with`; an empty average changes none.

        Args:
            kind: one of those that are kept.
        """
        own = [p.clone() for p in self.parameters]
        if self.counts[kind]:
            torch._foreach_copy_(  # pyright: ignore[reportPrivateImportUsage]
                self.parameters, self.means[kind]
            )
        try:
            yield
        finally:
            torch._foreach_copy_(  # pyright: ignore[reportPrivateImportUsage]
                self.parameters, own
            )
