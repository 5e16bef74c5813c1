"""What makes a drop-in: memory kept, layouts, dtypes, empty batches, errors, compilation."""

import pytest
import torch
import torch.nn.functional as F

from bnbench.norms.functional import batch_norm


def test_backward_keeps_x_and_four_numbers_per_channel():
    saved = {}

    def pack(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    x = torch.randn(32, 8, 4, 4, requires_grad=True)
    weight, bias = torch.ones(8, requires_grad=True), torch.ones(8, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        batch_norm(x, None, None, weight, bias, training=True)
    assert sum(saved.values()) == x.nbytes + 4 * weight.nbytes


@pytest.mark.parametrize("training", [True, False])
def test_output_and_gradient_keep_the_memory_format(training):
    statistics = torch.zeros(5), torch.ones(5)
    for rank, memory_format in {4: torch.channels_last, 5: torch.channels_last_3d}.items():
        x = torch.randn(4, 5, *[3] * (rank - 2)).to(memory_format=memory_format).requires_grad_()
        y = batch_norm(x, *statistics, torch.ones(5), torch.ones(5), training=training)
        (dx,) = torch.autograd.grad(y.square().sum(), x)
        assert y.is_contiguous(memory_format=memory_format)
        assert dx.is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("all_low", [True, False])
def test_low_precision_computes_in_float32(low, all_low, training):
    dtype = low if all_low else torch.float32
    x = (3 + 2 * torch.randn(16, 5, 2, 2)).to(low).requires_grad_()
    weight, bias = (torch.rand(5).to(dtype).requires_grad_() for _ in range(2))
    mean, var = torch.ones(5, dtype=dtype), torch.ones(5, dtype=dtype)
    dy = torch.randn(x.shape).to(low)
    leaves = x, weight, bias
    wide_leaves = [t.detach().double().requires_grad_() for t in leaves]
    wide_mean, wide_var = mean.double(), var.double()

    def run(leaves, mean, var, function):
        y = function(leaves[0], mean, var, *leaves[1:], training=training)
        return y, *torch.autograd.grad(y, leaves, dy.to(y.dtype))

    ours = run(leaves, mean, var, batch_norm)
    truth = run(wide_leaves, wide_mean, wide_var, F.batch_norm)
    assert [t.dtype for t in ours] == [low, low, dtype, dtype]
    for mine, exact in zip(ours, truth, strict=True):
        # computed in float32, so all that is left is the rounding of the result: half an ulp
        half_ulp = torch.finfo(mine.dtype).eps / 2
        torch.testing.assert_close(mine.double(), exact, rtol=1.01 * half_ulp, atol=2e-5)
    two_ulps = {"rtol": 2 * torch.finfo(dtype).eps, "atol": 0}
    torch.testing.assert_close(mean.double(), wide_mean, **two_ulps)
    torch.testing.assert_close(var.double(), wide_var, **two_ulps)


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 2, 2), (4, 3, 0)])
@pytest.mark.parametrize("training", [True, False])
def test_an_empty_batch_passes_and_leaves_no_trace(shape, training):
    x = torch.randn(shape, requires_grad=True)
    weight, mean, var = torch.ones(3, requires_grad=True), torch.zeros(3), torch.ones(3)
    y = batch_norm(x, mean, var, weight, training=training)
    y.sum().backward()
    assert y.shape == x.grad.shape == shape
    assert weight.grad.tolist() == mean.tolist() == [0, 0, 0]
    assert var.tolist() == [1, 1, 1]


def test_what_requires_no_gradient_gets_none():
    x, weight = torch.randn(4, 3), torch.ones(3, requires_grad=True)
    assert not batch_norm(x, None, None, training=True).requires_grad
    batch_norm(x, None, None, weight, torch.zeros(3), training=True).square().sum().backward()
    assert weight.grad is not None
    y = batch_norm(x.requires_grad_(), None, None, weight, training=True)
    torch.relu_(y).sum().backward()  # the next layer may work in place
    assert x.grad is not None


X = torch.arange(12.0).view(4, 3)
THREE, FOUR = torch.ones(3), torch.ones(4)
BAD_CALLS = {
    "one value per channel": (X[:1], THREE, THREE, None, None, True),
    "one pixel": (X[:1, :, None, None], None, None, None, None, True),
    "eps 0 in training": (X, None, None, None, None, True, 0.1, 0.0),
    "negative eps": (X, THREE, THREE, None, None, False, 0.1, -1.0),
    "mean without variance": (X, THREE, None, None, None, True),
    "variance without mean": (X, None, THREE, None, None, True),
    "no statistics": (X, None, None),
    "no variance": (X, THREE, None),
    "long mean": (X, FOUR, THREE, None, None, True),
    "long variance": (X, THREE, FOUR),
    "long weight": (X, None, None, FOUR, None, True),
    "long bias": (X, THREE, THREE, None, FOUR),
    "one dimension": (X[0], THREE, THREE, None, None, True),
    "double weight": (X, None, None, THREE.double(), None, True),
    "double statistics": (X, THREE.double(), THREE.double(), THREE, THREE),
    "float weight, double x": (X.double(), None, None, THREE, None, True),
    "mixed": (X.bfloat16(), THREE, THREE, THREE.bfloat16(), None, True),
    "momentum None": (X, THREE, THREE, None, None, True, None),
    "integers": (X.long(), THREE, THREE, None, None, True),
}


@pytest.mark.parametrize("call", BAD_CALLS.values(), ids=BAD_CALLS)
def test_errors_are_of_the_kind_that_torch_raises(call):
    with pytest.raises(Exception) as theirs:  # noqa: PT011 - torch decides which
        F.batch_norm(*call)
    with pytest.raises((ValueError, RuntimeError, TypeError)) as ours:
        batch_norm(*call)
    assert issubclass(theirs.type, ours.type)
    if ours.type is ValueError or "should contain" in str(ours.value):
        assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize(
    "backend",
    ["eager", *(pytest.param(b, marks=pytest.mark.slow) for b in ("aot_eager", "inductor"))],
)
def test_compiles_into_one_graph(backend):
    def step(function, x, weight, mean, var):
        y = function(x, mean, var, weight, None, training=True, momentum=0.1)
        return y, mean, var, *torch.autograd.grad(y.pow(3).sum(), (x, weight))

    x, weight = torch.randn(8, 5, 3, 3).requires_grad_(), torch.rand(5).requires_grad_()
    compiled = torch.compile(batch_norm, backend=backend, fullgraph=True)
    ours = step(compiled, x, weight, torch.zeros(5), torch.ones(5))
    theirs = step(F.batch_norm, x, weight, torch.zeros(5), torch.ones(5))
    # the gradient sums 72 cubes of up to 30 each: 1e-5 is a few roundings of such a sum
    for mine, native in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, native, rtol=1e-5, atol=1e-5)
