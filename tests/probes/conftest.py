"""What the tests of the probes share: seeded draws and a small batch."""

import pytest
import torch

from bnbench.probes import Batch


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def batch():
    """Eight images of four numbers and two classes."""
    images = torch.randn(8, 4, dtype=torch.float64)
    return Batch(images, torch.arange(8) % 2, 0.3, images)
