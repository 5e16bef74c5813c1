"""What the rows of NORMS are made of, and the closed form of each baseline."""

import pytest
import torch

from bnbench.norms import NORMS

SHAPES = {0: (6, 8), 1: (6, 8, 5), 2: (6, 8, 5, 4), 3: (6, 8, 3, 2, 2)}
NEEDS_SPACE = {"instancenorm", "lrn", "batchnorm_lrn"}
VARIANTS = [n for n in NORMS if n.endswith(("_batchnorm", "renorm", "norm_lrn"))]
VARIANTS.remove("torch_batchnorm")
ROWS = [(n, d) for n in NORMS for d in SHAPES if d or n not in NEEDS_SPACE]
every_row = pytest.mark.parametrize(("name", "spatial_dims"), ROWS)


@every_row
def test_has_one_gamma_and_beta_per_channel_or_none(name, spatial_dims):
    expected = {"none": 0, "lrn": 0, "noise": 0, "l2norm": 1}.get(name, 2)
    assert [p.shape for p in NORMS[name](8, spatial_dims).parameters()] == [(8,)] * expected
    if expected == 2:
        assert not list(NORMS[name](8, spatial_dims, affine=False).parameters())


def test_options_arrive():
    for name in ("batchnorm", "torch_batchnorm"):
        layer = NORMS[name](8, 2, momentum=None, eps=0.5, affine=False)
        norm = getattr(layer, "norm", layer)
        assert (norm.momentum, norm.eps, norm.affine) == (None, 0.5, False)
    assert NORMS["batchnorm"](8, 0, backend="reference").backend == "reference"
    assert NORMS["batchnorm"](8, 0, scale=False).weight is None
    assert NORMS["batchnorm"](8, 0, bias=False).bias is None
    assert NORMS["ghost_batchnorm"](8, 0, ghost_size=4).ghost_size == 4
    renorm = NORMS["batch_renorm"](8, 0, r_max=2, d_max=4, warmup=9)
    assert (renorm.r_max, renorm.d_max, renorm.warmup) == (2, 4, 9)
    for name in ("noise", "noisy_batchnorm"):
        layer = NORMS[name](8, 0, n_mu=1, n_sigma=2, r_mu=3, r_sigma=4)
        noise = getattr(layer, "noise", layer)
        assert (noise.n_mu, noise.n_sigma, noise.r_mu, noise.r_sigma) == (1, 2, 3, 4)
    both = NORMS["batchnorm_lrn"](8, 2, size=3, alpha=0.1, beta=0.5, k=1.5)
    assert (both.size, both.alpha, both.beta, both.k) == (3, 0.1, 0.5, 1.5)
    for name in VARIANTS:
        layer = NORMS[name](8, 2, momentum=None, eps=0.5, affine=False)
        norm = getattr(layer, "norm", layer)
        assert (norm.momentum, norm.eps, norm.affine) == (None, 0.5, False)
    assert NORMS["l2norm"](8, 2, init_scale=3, eps=0.5).weight.eq(3).all()
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
        ("batchnorm_lrn", {"num_features": 8, "spatial_dims": 0}, "^batchnorm_lrn needs spatial"),
        (
            "batchnorm",
            {"num_features": 8, "spatial_dims": 0, "backend": "x"},
            "allowed: auto, reference",
        ),
        ("ghost_batchnorm", {"num_features": 8, "spatial_dims": 0, "ghost_size": 0}, "at least 1"),
        ("batch_renorm", {"num_features": 8, "spatial_dims": 0, "r_max": 0.5}, "at least 1, 0"),
        ("batch_renorm", {"num_features": 8, "spatial_dims": 0, "d_max": -1}, "at least 1, 0"),
        ("batch_renorm", {"num_features": 8, "spatial_dims": 0, "warmup": -1}, "at least 1, 0"),
        ("noise", {"num_features": 8, "spatial_dims": 0, "n_sigma": 0.5}, "at least 1"),
        ("noisy_batchnorm", {"num_features": 8, "spatial_dims": 0, "r_mu": -1}, "at least 0"),
    ],
)
def test_what_cannot_work_is_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        NORMS[name](**arguments)
