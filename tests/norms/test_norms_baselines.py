"""One contract for every row of NORMS, and the closed form of each baseline."""

import copy

import pytest
import torch

from bnbench.norms import NORMS

SHAPES = {0: (6, 8), 1: (6, 8, 5), 2: (6, 8, 5, 4), 3: (6, 8, 3, 2, 2)}
NEEDS_SPACE = {"instancenorm", "lrn"}
ROWS = [(n, d) for n in NORMS for d in SHAPES if d or n not in NEEDS_SPACE]
every_row = pytest.mark.parametrize(("name", "spatial_dims"), ROWS)


@every_row
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_keeps_shape_and_dtype_and_has_a_finite_gradient(name, spatial_dims, dtype):
    layer = NORMS[name](8, spatial_dims).to(dtype)
    x = torch.randn(SHAPES[spatial_dims], dtype=dtype, requires_grad=True)
    y = layer(x)
    y.square().sum().backward()
    assert (y.shape, y.dtype) == (x.shape, dtype)
    for leaf in (x, *layer.parameters()):
        assert leaf.grad.isfinite().all()
        assert leaf.grad.any()


@every_row
def test_evaluation_is_deterministic_and_ignores_batch_mates(name, spatial_dims):
    layer = NORMS[name](8, spatial_dims)
    x = torch.randn(SHAPES[spatial_dims])
    layer(x)
    layer.eval()
    before = copy.deepcopy(layer.state_dict())
    y = layer(x)
    assert torch.equal(layer(x), y)
    # kernels may sum in another order for another batch size: a few roundings of values about 1
    torch.testing.assert_close(layer(x[:1]), y[:1], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(layer(x.flip(0)), y.flip(0), rtol=1e-6, atol=1e-6)
    assert all(torch.equal(before[key], value) for key, value in layer.state_dict().items())


@every_row
def test_state_round_trips(name, spatial_dims):
    source, target = NORMS[name](8, spatial_dims), NORMS[name](8, spatial_dims)
    for parameter in source.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(SHAPES[spatial_dims])
    source(x)
    target.load_state_dict(source.state_dict())
    assert torch.equal(source.eval()(x), target.eval()(x))


@every_row
def test_has_one_gamma_and_beta_per_channel_or_none(name, spatial_dims):
    expected = [] if name in {"none", "lrn"} else [(8,), (8,)]
    assert [p.shape for p in NORMS[name](8, spatial_dims).parameters()] == expected
    if expected:
        assert not list(NORMS[name](8, spatial_dims, affine=False).parameters())


def test_options_arrive():
    for name in ("batchnorm", "torch_batchnorm"):
        layer = NORMS[name](8, 2, momentum=None, eps=0.5, affine=False)
        assert (layer.momentum, layer.eps, layer.affine) == (None, 0.5, False)
    assert NORMS["batchnorm"](8, 0, backend="reference").backend == "reference"
    assert NORMS["groupnorm"](8, 2, groups=2).num_groups == 2
    for name in ("layernorm", "groupnorm", "instancenorm"):
        for spatial_dims in (0, 1, 2, 3):
            if spatial_dims or name != "instancenorm":
                assert NORMS[name](8, spatial_dims, eps=0.5).eps == 0.5


@pytest.mark.parametrize(
    ("name", "spatial_dims", "shape", "dims"),
    [
        ("batchnorm", 0, (6, 8), 0),
        ("batchnorm", 2, (6, 8, 20), (0, 2)),
        ("torch_batchnorm", 2, (6, 8, 20), (0, 2)),
        ("layernorm", 0, (6, 8), 1),
        ("layernorm", 2, (6, 160), 1),
        ("groupnorm", 0, (6, 4, 2), 2),
        ("groupnorm", 2, (6, 4, 40), 2),
        ("instancenorm", 2, (6, 8, 20), 2),
    ],
)
def test_what_is_normalised_together(name, spatial_dims, shape, dims):
    """Over `dims` of the output seen as `shape`: this is what tells the norms apart."""
    x = 3 + 2 * torch.randn(SHAPES[spatial_dims], dtype=torch.float64)
    y = NORMS[name](8, spatial_dims, eps=1e-12).double()(x)
    variance, mean = torch.var_mean(y.view(shape), dims, correction=0)
    torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-6)
    torch.testing.assert_close(variance, torch.ones_like(variance), rtol=0, atol=1e-6)


def test_layernorm_takes_all_values_of_a_sample():
    x = 3 + 2 * torch.randn(SHAPES[2])
    expected = torch.nn.functional.layer_norm(x, x.shape[1:])
    torch.testing.assert_close(NORMS["layernorm"](8, 2)(x), expected, rtol=1e-5, atol=1e-5)


def test_lrn_is_the_formula_of_krizhevsky_with_alpha_over_size():
    x = torch.rand(1, 7, 1, 1, dtype=torch.float64) * 100
    y = NORMS["lrn"](7, 2)(x)
    nearby = x.flatten()[1:6].square().sum()  # five channels around channel 3
    torch.testing.assert_close(y[0, 3, 0, 0], x[0, 3, 0, 0] / (2 + 1e-4 * nearby) ** 0.75)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("groupnorm", {"num_features": 10, "spatial_dims": 2}, "10 channels .* 4 groups"),
        ("groupnorm", {"num_features": 4, "spatial_dims": 0}, "no variance"),
        ("instancenorm", {"num_features": 8, "spatial_dims": 0}, "needs spatial"),
        ("lrn", {"num_features": 8, "spatial_dims": 0}, "needs spatial"),
        (
            "batchnorm",
            {"num_features": 8, "spatial_dims": 0, "backend": "x"},
            "allowed: auto, reference",
        ),
    ],
)
def test_what_cannot_work_is_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        NORMS[name](**arguments)
