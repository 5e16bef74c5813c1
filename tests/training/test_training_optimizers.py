"""The optimisers are torch's to the bit, and cost no import of theirs."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnbench.training.optimizers import OPTIMIZERS

OF_TORCH = {
    "sgd": lambda groups, o: torch.optim.SGD(groups, lr=0.0, momentum=o["momentum"], fused=True),
    "adam": lambda groups, o: torch.optim.Adam(
        groups, lr=0.0, betas=(o["beta1"], o["beta2"]), eps=o["eps"], fused=True
    ),
}


def net(dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Linear(20, 33), nn.BatchNorm1d(33), nn.ReLU(), nn.Linear(33, 5)
    return nn.Sequential(*layers).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sgd", {"momentum": 0.9}),
        ("sgd", {"momentum": 0.0}),
        ("adam", {"beta1": 0.8, "beta2": 0.99, "eps": 1e-3}),
    ],
)
def test_steps_are_those_of_torch_to_the_bit(name, options, decay, dtype):
    """Decay falls on weights alone; rates change from step to step; one layer is not trained."""
    ours, theirs = net(dtype), net(dtype)
    for model in (ours, theirs):
        model[3].requires_grad_(False)
    optimizer = OPTIMIZERS[name](ours, {}, decay, **options)
    weights = [p for p in theirs.parameters() if p.ndim > 1]
    others = [p for p in theirs.parameters() if p.ndim == 1]
    groups = [
        {"params": weights, "weight_decay": decay},
        {"params": others, "weight_decay": 0.0},
    ]
    reference = OF_TORCH[name](groups, options)
    generator = torch.Generator().manual_seed(1)
    for step in range(1, 11):
        x = torch.randn(16, 20, dtype=dtype, generator=generator)
        y = torch.randint(5, (16,), generator=generator)
        rate = 0.1 / step
        gradients = torch.autograd.grad(F.cross_entropy(ours(x), y), optimizer.parameters)
        optimizer.step(gradients, rate)
        for group in reference.param_groups:
            group["lr"] = rate
        reference.zero_grad()
        F.cross_entropy(theirs(x), y).backward()
        reference.step()
        assert all(map(torch.equal, ours.state_dict().values(), theirs.state_dict().values()))
    before = net(dtype).state_dict()
    assert not torch.equal(before["0.weight"], ours[0].weight)
    assert torch.equal(before["3.weight"], ours[3].weight)


@pytest.mark.slow
def test_a_step_imports_neither_dynamo_nor_scikit_learn():
    """Each would be a second of every worker's start, as long as torch itself."""
    code = (
        "import sys, torch; from pathlib import Path;"
        "from bnbench.data.datasets import load; from bnbench.training.optimizers import FusedSGD;"
        "load('digits', Path(), 0); net = torch.nn.Linear(3, 3); sgd = FusedSGD(net, {}, 0.1, 0.9);"
        "sgd.step(torch.autograd.grad(net(torch.ones(1, 3)).sum(), sgd.parameters), 0.1);"
        "print(*sorted({'torch._dynamo', 'sklearn', 'scipy', 'pandas'} & {*sys.modules}))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (answer.stdout, answer.stderr) == ("\n", "")
