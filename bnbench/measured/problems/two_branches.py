"""P5: joining two branches of features whose scales differ, by ParseNet's L2Norm and by others.

Liu, Rabinovich & Berg 2015 (ParseNet), section 3.3: features of conv4_3 are far larger than those
of fc7, so that a classifier on both reads the larger ones only, unless each branch is normalised
first. Their layer scales the *channels* of each location to length 1, times a learned factor that
starts at 20 (`norms.L2Norm`). Notes on SSD call it batch normalisation, and the code that N1 quotes
has other axes: it scales each channel over its *positions*, with factors that start at 1.

The toy labels every position of a 4×4 map, as ParseNet does: its class is two bits, of which each
branch shows one, by one of two prototypes plus noise, then a ReLU. The first branch comes 100 times
as large. The net is a norm for each branch and one linear map of both for every position, trained
by SGD for 100 steps. Every arm has a rate of its own: the best of half decades from 1e-5 to 30 by
mean accuracy on seeds from 100 on, of equals the smallest. Accuracy is on new images.

Shapes: maps (N, C, H, W), bits and labels (N, H, W).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnbench import norms

CHANNELS, SIZE, RATIO, NOISE = 8, 4, 100.0, 0.5
TRAIN, TEST, BATCH, STEPS = 512, 512, 32, 100
RATES = tuple(float(f"{digit}e{power}") for power in range(-5, 2) for digit in (1, 3))
TUNING_SEEDS = (100, 101, 102)


class SpatialL2Norm(nn.Module):
    """Each map scaled to length 1, then by a learned factor that starts at 1: the code N1 quotes.

    >>> SpatialL2Norm(1)(torch.tensor([[[[3.0, 4.0]]]])).flatten()
    tensor([0.6000, 0.8000], grad_fn=<ViewBackward0>)
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))

    def forward(self, input: Tensor) -> Tensor:
        """Scale the maps of (N, C, H, W)."""
        lengths = F.normalize(input.flatten(2), dim=2, eps=1e-12)
        return lengths.view_as(input) * self.weight.view(-1, 1, 1)


ARMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda num_features: nn.Identity(),
    "batchnorm": norms.BatchNorm2d,
    "l2 over channels": norms.L2Norm,
    "l2 over space": SpatialL2Norm,
}


class Data(NamedTuple):
    """Maps of both branches (N, 2C, H, W), the larger first, and labels (N, H, W)."""

    maps: Tensor
    labels: Tensor


class TwoBranches(nn.Module):
    """A norm for each branch, then one linear map to the four classes for every position."""

    def __init__(self, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.norms = nn.ModuleList([norm(CHANNELS), norm(CHANNELS)])
        # from 0: without norm the problem is convex, and every arm starts from the same loss
        self.head = nn.utils.skip_init(nn.Conv2d, 2 * CHANNELS, 4, kernel_size=1)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    def forward(self, maps: Tensor) -> Tensor:
        """Logits (N, 4, H, W)."""
        branches = zip(self.norms, maps.split(CHANNELS, dim=1), strict=True)
        return self.head(torch.cat([norm(branch) for norm, branch in branches], dim=1))


def draw(seed: int) -> tuple[Data, Data]:
    """The training and the test images of a seed."""
    generator = torch.Generator().manual_seed(seed)
    prototypes = torch.randn(2, 2, CHANNELS, generator=generator)  # branch, bit
    shape = (TRAIN + TEST, SIZE, SIZE)
    bits = torch.randint(2, (2, *shape), generator=generator)
    branches = []
    for prototype, bit, scale in zip(prototypes, bits, (RATIO, 1.0), strict=True):
        signal = prototype[bit].movedim(-1, 1)
        noise = torch.randn(signal.shape, generator=generator)
        branches.append(scale * F.relu(signal + NOISE * noise))
    maps, labels = torch.cat(branches, dim=1), 2 * bits[0] + bits[1]
    return Data(maps[:TRAIN], labels[:TRAIN]), Data(maps[TRAIN:], labels[TRAIN:])


def accuracy(arm: str, seed: int, rate: float) -> float:
    """The share of test positions whose class a net gets right after its training."""
    train, test = draw(seed)
    net = TwoBranches(ARMS[arm])
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    for _ in range(STEPS):
        chosen = torch.randint(TRAIN, (BATCH,), generator=generator)
        loss = F.cross_entropy(net(train.maps[chosen]), train.labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        right = net.eval()(test.maps).argmax(1) == test.labels
    return right.float().mean().item()


def tuned_rate(arm: str) -> float:
    """The rate of the highest mean accuracy on the tuning seeds; of equals the smallest."""
    return max(RATES, key=lambda rate: sum(accuracy(arm, seed, rate) for seed in TUNING_SEEDS))


def farthest_from_20(layer: nn.Module, maps: Tensor) -> float:
    """Of the lengths over channels that a layer gives its positions, the one farthest from 20.

    Positions without any signal are left out: they stay 0.
    """
    with torch.no_grad():
        lengths = layer(maps).norm(dim=1)[maps.norm(dim=1) > 0]
    return lengths[(lengths - 20).abs().argmax()].item()


def measure(seeds: Sequence[int]) -> list[dict[str, float]]:
    """Lengths over channels of untrained layers, and the accuracies of all arms."""
    rates = {arm: tuned_rate(arm) for arm in ARMS}
    numbers = []
    for seed in seeds:
        maps = draw(seed)[0].maps[:, :CHANNELS]
        numbers.append(
            {
                "norm over channels": farthest_from_20(norms.L2Norm(CHANNELS), maps),
                "norm over channels, spatial variant": farthest_from_20(
                    SpatialL2Norm(CHANNELS), maps
                ),
                **{f"rate {arm}": rate for arm, rate in rates.items()},
                **{f"accuracy {arm}": accuracy(arm, seed, rate) for arm, rate in rates.items()},
            }
        )
    return numbers
