"""What the tests of the norms share: seeded draws, inputs of every layout, the compiled kernel."""

from functools import cache

import pytest
import torch

from bnbench.norms import kernels


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@cache
def lacks_cpp():
    """Why the C++ kernel cannot be had here; empty where it can."""
    try:
        kernels.require("cpp")
    except kernels.UnavailableError as error:
        return str(error)
    return ""


@pytest.fixture(autouse=True)
def compiled(request):
    if request.node.get_closest_marker("needs_cpp") and (problem := lacks_cpp()):
        pytest.skip(f"the C++ kernel: {problem}")


def inputs():
    """(name, x) for standard normal x with 5 channels."""
    yield "NC", torch.randn(16, 5)
    yield "two samples", torch.randn(2, 5)
    yield "NC transposed", torch.randn(5, 16).t()
    yield "NCL", torch.randn(4, 5, 6)
    yield "NCL transposed", torch.randn(4, 6, 5).transpose(1, 2)
    yield "NCHW", torch.randn(4, 5, 3, 2)
    yield "NCHW sliced", torch.randn(8, 5, 3, 4)[::2, :, :, 1:]
    yield "channels_last", torch.randn(4, 5, 3, 2).to(memory_format=torch.channels_last)
    yield "NCDHW", torch.randn(3, 5, 2, 3, 2)
    yield "channels_last_3d", torch.randn(3, 5, 2, 3, 2).to(memory_format=torch.channels_last_3d)


def pytest_generate_tests(metafunc):
    if "any_input" in metafunc.fixturenames:
        torch.manual_seed(0)
        names, tensors = zip(*inputs(), strict=True)
        # a mu that is not 0 and a sigma that is not 1
        metafunc.parametrize("any_input", [3 + 2 * x for x in tensors], ids=names)
