"""The Triton kernels against float64; run by `test_norms_triton.py` in a process of its own.

With TRITON_INTERPRET=1 they run on the CPU in Triton's interpreter, else on the GPU. The variable
must be set before Triton is imported, which the other tests of a session may have done already.
"""

import itertools

import pytest
import torch
import torch.nn.functional as F
from triton import knobs

from bnbench.norms.functional import batch_norm
from bnbench.norms.kernels import triton_kernel

EPS = 1e-5
INTERPRETED = knobs.runtime.interpret
DEVICE = "cpu" if INTERPRETED else "cuda"
# (channels last, ReLU); the interpreter takes a second for ten thousand values
LAYOUTS = [(False, True), (True, False), *([] if INTERPRETED else [(False, False), (True, True)])]
QUICK = [(9, 3, 1, 1), (2, 3, 5, 5)]
SLOW = [
    *(
        (2, 5),
        (7, 1),
        (16, 5),
        (4, 5, 3, 2),
        (2, 3, 7, 7),
        (3, 90),
        (33, 33),
        (4, 5, 6),
        (2, 3, 1),
        (9, 1, 1, 1),
        (2, 1, 1, 1),
        (1, 2, 5, 5),
    ),
    *((3, 5, 2, 3, 2), (4, 3, 10, 10)),
]


def slow(*case):
    return pytest.param(*case, marks=pytest.mark.slow)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def tiny_tiles(monkeypatch):
    """So few values in a tile, and so few programs, that small tensors have many of both."""
    monkeypatch.setattr(triton_kernel, "TILE", 32)
    monkeypatch.setattr(triton_kernel, "RUN_BYTES", 16)
    monkeypatch.setattr(triton_kernel, "PROGRAMS", 5)


def channels_last(x):
    """x in the memory order (N, *, C)."""
    return x.movedim(1, -1).contiguous().movedim(-1, 1)


def draw(shape, mean=3.0, std=2.0, last=False, dtype=torch.float32):
    x, dy = (mean + std * torch.randn(shape)), torch.randn(shape)
    x, dy = (channels_last(t) if last else t for t in (x.to(dtype), dy.to(dtype)))
    weight, bias = torch.randn(shape[1]), torch.randn(shape[1])
    return [t.to(DEVICE) for t in (x, dy, weight, bias)]


def run(x, dy, weight, bias, relu=False):
    """y, dx, dgamma, dbeta of the kernels, and shift, residual, sigma2."""
    y, *statistics = triton_kernel.forward(x, weight, bias, EPS, relu)
    gradients = triton_kernel.backward(dy, x, weight, bias, *statistics, EPS, relu)
    return y, *gradients, *statistics


def exact(x, dy, weight, bias, keep=None):
    """y, dx, dgamma, dbeta by torch in float64; dy is 0 where `keep` is false."""
    ones, zeros = (torch.full((x.shape[1],), v, device=x.device) for v in (1.0, 0.0))
    weight, bias = (ones if weight is None else weight), (zeros if bias is None else bias)
    leaves = [t.detach().double().requires_grad_() for t in (x, weight, bias)]
    y = F.batch_norm(leaves[0], None, None, *leaves[1:], training=True, eps=EPS)
    dy = dy.double() if keep is None else dy.double() * keep
    return [y.detach(), *torch.autograd.grad(y, leaves, dy)]


def bounds(x, dy, weight, bias):
    """Of the error of y, dx, dgamma, dbeta: eight half ulps of the terms that are added up.

    They are multiples of the spread of x. Its mean plays no part, however large it is.
    """
    x, dy = x.double(), dy.double()
    dims = [d for d in range(x.dim()) if d != 1]
    var, mean = torch.var_mean(x, dims, correction=0, keepdim=True)
    x_hat, inv_std = (x - mean) * (var + EPS).rsqrt(), (var + EPS).rsqrt().flatten()
    gamma = torch.ones_like(inv_std) if weight is None else weight.abs()
    beta = 0.0 if bias is None else bias.abs()
    largest = x_hat.abs().amax(dims)
    sizes = [
        largest * gamma + beta,
        dy.abs().amax(dims) * gamma * inv_std * largest.clamp(min=1) * 2,
        (dy * x_hat).abs().sum(dims),
        dy.abs().sum(dims),
    ]
    return [4 * torch.finfo(torch.float32).eps * size.max() for size in sizes]


def check(x, dy, weight, bias, relu):
    y, dx, dgamma, dbeta, shift, residual, sigma2 = run(x, dy, weight, bias, relu)
    for t in (y, dx):
        assert (t.dtype, t.shape, t.stride()) == (x.dtype, x.shape, x.stride())
    for t in (dgamma, dbeta, shift, residual, sigma2):
        assert (t.dtype, t.shape) == (torch.float32, x.shape[1:2])
    # the mask of backward has to be that of forward at every value, even where y is all but 0
    truth = exact(x, dy, weight, bias, keep=y > 0 if relu else None)
    truth[0] = truth[0].relu() if relu else truth[0]
    # the interpreter cuts bfloat16 off where GPUs round it to the nearest
    info, ulps = torch.finfo(x.dtype), 1.0 if INTERPRETED and x.dtype == torch.bfloat16 else 0.5
    limits = bounds(x, dy, weight, bias)
    for mine, right, limit in zip((y, dx, dgamma, dbeta), truth, limits, strict=True):
        if mine.dtype != torch.float32:  # rounded once more, as that dtype does
            limit = limit + ulps * info.eps * right.abs().clamp(min=info.smallest_normal)
        assert bool(((mine - right).abs() <= limit).all())
    dims = [d for d in range(x.dim()) if d != 1]
    var, mean = torch.var_mean(x.double(), dims, correction=0)
    eps = torch.finfo(torch.float32).eps
    assert bool(((shift.double() + residual - mean).abs() <= 4 * eps * (var.sqrt() + EPS)).all())
    # the interpreter adds the squares of a tile in a row, where a GPU does it in a tree
    assert bool(((sigma2 - var).abs() <= 1e-6 * var).all())


@pytest.mark.parametrize("shape", [*QUICK, *map(slow, SLOW)], ids=str)
def test_every_shape(shape, tiny_tiles):
    """In both layouts, and in some with ReLU and without, which looks at one value at a time."""
    for last, relu in itertools.product((False, True), repeat=2):
        if shape in QUICK or relu == (last == (SLOW.index(shape) % 2)):
            check(*draw(shape, last=last), relu)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(3, 5, 7), (16, 5), (14, 20, 5, 5)], ids=str)
@pytest.mark.parametrize("last", [False, True])
def test_tiles_of_full_size(shape, last):
    check(*draw(shape, last=last), relu=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("last", [slow(False), True])
@pytest.mark.parametrize("relu", [slow(False), True])
def test_half_precision_is_rounded_once(dtype, last, relu, tiny_tiles):
    x, dy, weight, bias = draw((5, 4, 3, 2), last=last, dtype=dtype)
    check(x, dy, weight, bias, relu)
    check(x, dy, weight.to(dtype), bias.to(dtype), relu)


@pytest.mark.parametrize("last", [False, slow(True)])
@pytest.mark.parametrize("spread", [1.0, slow(30.0)])
def test_a_large_mean_costs_no_accuracy(last, spread, tiny_tiles):
    x, dy, weight, bias = draw((4, 3, 6, 5), mean=1e4, std=spread, last=last)
    check(x, dy, weight, bias, relu=False)
    check(x, dy, weight, bias, relu=True)
    for mine, right in zip(run(x, dy, weight, bias), exact(x, dy, weight, bias), strict=False):
        assert (mine - right).abs().max() <= 1e-6 * right.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("given", ["weight", "bias", "none"])
def test_parameters_that_are_not_there(given, tiny_tiles):
    x, dy, weight, bias = draw((6, 5, 3))
    weight, bias = weight if given == "weight" else None, bias if given == "bias" else None
    for relu in (False, True):
        check(x, dy, weight, bias, relu)


def test_parameters_may_lie_apart(tiny_tiles):
    x, dy, weight, bias = draw((6, 5, 3))
    apart = [torch.stack([t, t], 1)[:, 0] for t in (weight, bias)]
    assert_same_bits(run(x, dy, weight, bias), run(x, dy, *apart))


def test_relu_is_flat_at_zero(tiny_tiles):
    x, dy, weight, _ = draw((6, 5, 3))
    y, dx, dgamma, dbeta, *_ = run(x, dy, torch.zeros_like(weight), None, relu=True)
    assert all(t.eq(0).all() for t in (y, dx, dgamma, dbeta))


def test_a_constant_channel_is_normalised_to_beta(tiny_tiles):
    x, dy, weight, bias = draw((64, 3, 3))
    x.fill_(1e8 + 8)  # its rounded sum is not 64 times its value
    y, _, dgamma, _, shift, residual, sigma2 = run(x, dy, weight, bias)
    assert y.eq(bias[:, None]).all()
    assert dgamma.eq(0).all()
    assert sigma2.eq(0).all()
    assert (shift + residual).eq(1e8 + 8).all()


@pytest.mark.parametrize("last", [slow(False), True])
def test_the_same_bits_at_every_call_and_with_wide_offsets(last, monkeypatch, tiny_tiles):
    case = draw((3, 5, 3, 4), last=last)
    first = run(*case, relu=True)
    assert_same_bits(first, run(*case, relu=True))
    monkeypatch.setattr(triton_kernel, "WIDE", 0)
    assert_same_bits(first, run(*case, relu=True))


@pytest.mark.slow
@pytest.mark.parametrize("last", [False, slow(True)])
def test_any_layout_of_dy(last, tiny_tiles):
    x, dy, weight, bias = draw((3, 5, 3, 4), last=last)
    other = dy.contiguous() if last else channels_last(dy)
    assert other.stride() != x.stride()
    assert_same_bits(run(x, dy, weight, bias), run(x, other, weight, bias))
    scalar = torch.tensor(2.0, device=DEVICE)  # what the gradient of a sum looks like
    same = run(x, torch.full_like(x, 2.0), weight, bias)
    assert_same_bits(same, run(x, scalar.expand(x.shape), weight, bias))


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # from NumPy, about NaN
@pytest.mark.parametrize("where", ["x", "dy"])
@pytest.mark.parametrize("value", [torch.nan, slow(torch.inf), slow(-torch.inf)])
@pytest.mark.parametrize("relu", [slow(False), True])
def test_what_is_not_finite_spreads_as_in_torch(where, value, relu, tiny_tiles):
    """To its own channel, and there to what torch says; wherever in the batch it stands."""
    x, dy, weight, bias = draw((6, 4, 5))
    weight, bias = weight.abs() + 1, bias.abs() + 9  # every finite y is positive
    target = x if where == "x" else dy
    target[0, 0, 0] = target[-1, 1, -1] = target[3, 2, 2] = value
    leaves = [t.detach().requires_grad_() for t in (x, weight, bias)]
    y = F.batch_norm(leaves[0], None, None, *leaves[1:], training=True, eps=EPS)
    y = y.relu() if relu else y
    theirs = [y.detach(), *torch.autograd.grad(y, leaves, dy)]
    for mine, right in zip(run(x, dy, weight, bias, relu), theirs, strict=False):
        assert torch.equal(mine.isfinite(), right.isfinite())
        assert torch.equal(mine.isnan() & right.isfinite(), torch.zeros_like(mine, dtype=bool))
    assert run(x, dy, weight, bias, relu)[1][:, 3].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, slow(torch.bfloat16)], ids=str)
@pytest.mark.parametrize("last", [slow(False), True])
def test_evaluation_by_given_statistics(dtype, last, tiny_tiles):
    x, _, weight, bias = draw((4, 5, 3, 2), last=last, dtype=dtype)
    mean, var = torch.randn(5).to(x), torch.rand(5).to(x) + 0.5
    for vectors, relu in itertools.product([(weight, bias), (None, None)], (False, True)):
        y = triton_kernel.evaluate(x, *vectors, mean, var, EPS, relu)
        given = (v if v is None else v.double() for v in (mean, var, *vectors))
        right = F.batch_norm(x.double(), *given, eps=EPS)
        rounding = torch.finfo(dtype).eps if dtype != torch.float32 else 5e-7
        limit = rounding * right.abs().max()
        right = right.relu() if relu else right
        assert (y.dtype, y.stride()) == (x.dtype, x.stride())
        assert (y - right).abs().max() <= limit


@pytest.mark.parametrize("relu", [slow(False), True])
def test_the_layer_by_this_backend_is_the_layer(relu, tiny_tiles):
    """First and second derivatives, running statistics and evaluation, beside the formulas."""
    x, dy, weight, bias = draw((4, 3, 3, 2), last=True)
    found = []
    for backend in ("triton", "reference"):
        leaves = [t.clone().requires_grad_() for t in (x, weight, bias)]
        running = torch.zeros(3, device=DEVICE), torch.ones(3, device=DEVICE)
        options = {"relu": relu, "backend": backend}
        y = batch_norm(leaves[0], *running, *leaves[1:], training=True, **options)
        first = torch.autograd.grad(y, leaves, dy, retain_graph=True)
        dx, *_ = torch.autograd.grad(y, leaves, dy, create_graph=True)
        second = torch.autograd.grad(dx.square().sum(), leaves[:2])
        with torch.no_grad():
            evaluated = batch_norm(x, *running, weight, bias, **options)
        found.append([y.detach(), *first, *second, *running, evaluated])
    for one, other in zip(*found, strict=True):
        # the second derivatives add up a dozen terms of their own size
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6 * float(other.abs().max()))
    assert not torch.equal(found[0][1], found[1][1])  # two ways of computing there were


def test_prepare():
    triton_kernel.prepare()


def test_supports():
    x = torch.randn(4, 6, 3, 2, device=DEVICE)
    for dtype in triton_kernel.DTYPES:
        assert triton_kernel.supports(x.to(dtype))
    for yes in (x[0], x[0, 0], channels_last(x), channels_last(x[0]), x[:, :1], x[:1], x[:, :, :1]):
        assert triton_kernel.supports(yes.contiguous())
    assert triton_kernel.supports(x[:1])
    for no in (
        x.double(),
        x.int(),
        x[:0],
        x[0, 0, 0],
        x[::2],
        x[:, :, 1:],
        x[:, :, 0].mT,
        x.to("meta"),
    ):
        assert not triton_kernel.supports(no)
    weight = torch.ones(6, device=DEVICE)
    assert triton_kernel.supports(x, weight.half(), weight)
    assert not triton_kernel.supports(x, weight.double(), None)


# of several tiles, and of three parts of each sum, the last of which is not full
LARGER = [(2, 33, 9, 9), (3, 300), (258, 66), (2, 3, 65, 65)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape", LARGER if INTERPRETED else [*LARGER, (300, 300), (8, 3, 56, 56)], ids=str
)
@pytest.mark.parametrize("mean", [1e4] if INTERPRETED else [0.0, 1e4])
def test_larger_shapes(shape, mean):
    for last, relu in LAYOUTS:
        check(*draw(shape, mean=mean, std=1.0, last=last), relu)


@pytest.mark.slow
def test_random_shapes(monkeypatch):
    generator = torch.Generator().manual_seed(0)

    def pick(low, high):
        return int(torch.randint(low, high, (), generator=generator))

    for _ in range(8 if INTERPRETED else 60):
        monkeypatch.setattr(triton_kernel, "TILE", 2 ** pick(6, 10))
        monkeypatch.setattr(triton_kernel, "RUN_BYTES", 2 ** pick(2, 8))
        monkeypatch.setattr(triton_kernel, "PROGRAMS", pick(1, 30))
        shape = (pick(2, 9), pick(1, 20), *[pick(1, 8) for _ in range(pick(0, 3))])
        dtype = triton_kernel.DTYPES[pick(0, 3)]
        check(*draw(shape, last=bool(pick(0, 2)), dtype=dtype), relu=bool(pick(0, 2)))


@pytest.mark.skipif(INTERPRETED, reason="compares with torch's GPU kernels")
@pytest.mark.parametrize("dtype", triton_kernel.DTYPES, ids=str)
@pytest.mark.parametrize("last", [False, True])
def test_agrees_with_torch_on_the_gpu(dtype, last):
    x, dy, weight, bias = draw((32, 64, 28, 28), last=last, dtype=dtype)
    leaves = [t.detach().requires_grad_() for t in (x, weight, bias)]
    y = F.batch_norm(leaves[0], None, None, *leaves[1:], training=True, eps=EPS)
    theirs = [y.detach(), *torch.autograd.grad(y, leaves, dy)]
    rounding = max(1e-6, torch.finfo(dtype).eps)
    for mine, other in zip(run(x, dy, weight, bias), theirs, strict=False):
        assert (mine.float() - other.float()).abs().max() <= 3 * rounding * other.abs().max()


@pytest.mark.skipif(INTERPRETED, reason="needs a GPU: 2³¹ values")
@pytest.mark.slow
def test_more_values_than_32_bits_count():
    x = torch.randn(2**11 + 1, 2**8, 2**12, device=DEVICE, dtype=torch.bfloat16)
    weight, bias = torch.randn(2, x.shape[1], device=DEVICE).unbind()
    y, shift, residual, sigma2 = triton_kernel.forward(x, weight, bias, EPS, True)
    scale = weight * (sigma2 + EPS).rsqrt()
    for n in (0, x.shape[0] // 2, x.shape[0] - 1):
        right = (x[n].float() - (shift + residual)[:, None]) * scale[:, None] + bias[:, None]
        torch.testing.assert_close(y[n].float(), right.relu(), rtol=2**-8, atol=1e-5)
    dx, dgamma, dbeta = triton_kernel.backward(
        y, x, weight, bias, shift, residual, sigma2, EPS, False
    )
    total = sum(y[n].double().sum(1) for n in range(x.shape[0]))
    torch.testing.assert_close(dbeta.double(), total, rtol=1e-5, atol=1e-5)
    assert bool(dx.isfinite().all() and dgamma.isfinite().all())


def assert_same_bits(one, other):
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a, b)
