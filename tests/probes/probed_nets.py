"""Small nets in float64 whose gradients are known: deep linear nets, a loss landscape of choice."""

from collections import OrderedDict
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    """Blocks without biases and norms, then a linear head without bias: (N, width) -> (N, K)."""

    def __init__(self, *sizes, activation=nn.Identity):
        super().__init__()
        layers = [
            nn.Linear(fan_in, width, bias=False, dtype=torch.float64)
            for fan_in, width in pairwise(sizes)
        ]
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(OrderedDict(weights=layer, activation=activation()))
                for layer in layers[:-1]
            )
        )
        self.head = layers[-1]

    def forward(self, x):
        return self.head(self.blocks(x))


class Landscape(nn.Module):
    """A net whose cross-entropy with the label 0 is loss(w): its logits are (-ln(e^loss - 1), 0).

    For -ln p = ln(1 + e^-a) of the logit a is then ln(1 + e^loss - 1). The loss must be positive.
    """

    def __init__(self, loss, start):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(start, dtype=torch.float64))
        self.loss = loss

    def forward(self, x):
        logit = -torch.log(torch.expm1(self.loss(self.w)))
        return F.pad(logit.expand(len(x), 1), (0, 1))
