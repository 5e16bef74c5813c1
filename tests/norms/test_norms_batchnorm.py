"""The layers beside torch's: step by step, through checkpoints and in their errors."""

import copy
import doctest
import pickle
import sys

import pytest
import torch
from torch import nn

from bnbench import norms

NAMES = {2: "BatchNorm1d", 3: "BatchNorm1d", 4: "BatchNorm2d", 5: "BatchNorm3d"}


def pair(rank=2, num_features=5, **options):
    """Our layer and torch's, with equal and untrivial parameters."""
    ours, theirs = (getattr(m, NAMES[rank])(num_features, **options) for m in (norms, nn))
    for layer in (ours, theirs):
        torch.manual_seed(1)
        for parameter in layer.parameters():
            nn.init.normal_(parameter)
    return ours, theirs


def train(layer, x, num_steps):
    """num_steps forwards, each on other data; returns what there is to compare after the last."""
    for step in range(num_steps):
        layer(x * (1 + step) + step)
    layer.zero_grad()
    x = x.detach().requires_grad_()
    y = layer(x)
    (y * torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view(x.shape)).sum().backward()
    gradients = [p.grad for p in layer.parameters()]
    return [y, x.grad, *gradients, *layer.buffers(), layer.eval()(x)]


OPTIONS = [
    {},
    {"momentum": None},
    {"momentum": 0.0},
    {"momentum": 1.0},
    {"affine": False},
    {"bias": False},
    {"track_running_stats": False},
    {"eps": 0.1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_equals_torch_step_by_step(any_input, options, dtype, tolerance):
    """About a hundred roundings of each precision; the exact bounds are test_norms_functional's."""
    x = any_input.to(dtype)
    for num_steps in (0, 1, 2, 10):
        ours, theirs = (
            train(layer, x, num_steps) for layer in pair(x.dim(), **options, dtype=dtype)
        )
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("num_steps", [1, 2, 10])
def test_evaluation_is_the_closed_form(num_steps):
    """k equal batches of mean 2, unbiased variance 8: running = 0.9^k start + (1 - 0.9^k) batch."""
    layer, batch = norms.BatchNorm1d(1), torch.tensor([[0.0], [4.0]])
    for _ in range(num_steps):
        layer(batch)
    kept = 0.9**num_steps
    mean, var = 2 * (1 - kept), kept + 8 * (1 - kept)
    expected = (batch - mean) / (var + 1e-5) ** 0.5
    torch.testing.assert_close(layer.eval()(batch), expected, rtol=1e-6, atol=1e-6)


def test_momentum_none_averages_all_batches():
    layer = norms.BatchNorm1d(1, momentum=None)
    for batch in ([[0.0], [2.0]], [[2.0], [6.0]], [[4.0], [10.0]]):
        layer(torch.tensor(batch))
    assert layer.running_mean.item() == pytest.approx((1 + 4 + 7) / 3)
    assert layer.running_var.item() == pytest.approx((2 + 8 + 18) / 3)
    assert layer.num_batches_tracked == 3


def test_training_mode_and_not_grad_mode_decides():
    """Notes that switch on `torch.is_grad_enabled()` are wrong both ways."""
    layer = norms.BatchNorm1d(5)
    x = 3 + torch.randn(8, 5)
    with torch.no_grad():
        y = layer(x)
    assert layer.num_batches_tracked == 1
    torch.testing.assert_close(y.mean(0), torch.zeros(5), rtol=0, atol=1e-6)
    before = copy.deepcopy(layer.state_dict())
    layer.eval()(x.requires_grad_())
    assert all(torch.equal(before[key], value) for key, value in layer.state_dict().items())


def test_track_running_stats_switched_off_later_stops_updates_but_not_their_use():
    ours, theirs = pair()
    for layer in (ours, theirs):
        layer.track_running_stats = False
        layer(torch.full((8, 5), torch.inf))
        assert layer.num_batches_tracked == 0
        assert layer.running_var.eq(1).all()
        layer.running_mean.fill_(7)
    x = torch.randn(1, 5)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize("rank", NAMES)
def test_checkpoints_go_both_ways(rank):
    x = torch.randn(4, 5, *[3] * (rank - 2))
    for source, target in (pair(rank), reversed(pair(rank))):
        source(x)
        state = source.state_dict()
        assert list(state) == list(target.state_dict())
        assert state._metadata == target.state_dict()._metadata
        target.load_state_dict(state)
        torch.testing.assert_close(source.eval()(x), target.eval()(x))


def test_old_checkpoints_without_a_counter_load():
    ours, theirs = pair()
    for layer in (ours, theirs):
        state = layer.state_dict()
        del state["num_batches_tracked"]
        state._metadata[""]["version"] = 1
        layer.load_state_dict(state)
    assert ours.num_batches_tracked == 0


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_are_whole_and_independent(clone):
    layer = norms.BatchNorm1d(5, momentum=None, backend="reference")
    x = torch.randn(8, 5)
    layer(x)
    twin = clone(layer)
    assert torch.equal(twin.eval()(x), layer.eval()(x))
    twin.train()(x)
    assert (layer.num_batches_tracked, twin.num_batches_tracked) == (1, 2)
    assert (twin.backend, twin.momentum) == ("reference", None)


@pytest.mark.parametrize("rank", NAMES)
def test_is_a_torch_batchnorm_in_all_but_forward(rank):
    ours, theirs = pair(rank, eps=1e-3, momentum=None)
    assert isinstance(ours, type(theirs))
    assert repr(ours) == repr(theirs)
    assert "backend" not in ours.state_dict()
    ours(torch.randn(4, 5, *[3] * (rank - 2)))
    ours.reset_parameters()
    theirs.reset_parameters()
    for mine, native in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert torch.equal(mine, native)


@pytest.mark.parametrize("name", ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"])
@pytest.mark.parametrize("rank", [1, 2, 3, 4, 5, 6])
def test_wrong_ranks_are_refused_as_by_torch(name, rank):
    x = torch.randn([2, 5, 3, 3, 3, 3][:rank])
    outcomes = []
    for module in (norms, nn):
        try:
            outcomes.append(getattr(module, name)(5)(x).shape)
        except ValueError as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


def test_missing_buffers_are_refused_as_by_torch():
    for name in ("running_mean", "running_var"):
        for layer in pair():
            setattr(layer, name, None)
            with pytest.raises(RuntimeError, match="must be defined in evaluation mode"):
                layer.eval()(torch.randn(4, 5))
            with pytest.raises(ValueError, match="both be None"):
                layer.train()(torch.randn(4, 5))


def test_unknown_backend_names_the_allowed_ones():
    with pytest.raises(ValueError, match="'cuda'; allowed: auto, reference"):
        norms.BatchNorm1d(5, backend="cuda")


@pytest.mark.parametrize("module", ["functional", "batchnorm", "population", "variants", "lp"])
def test_examples(module):
    assert doctest.testmod(sys.modules[f"bnbench.norms.{module}"]).failed == 0


@pytest.mark.slow
def test_a_layer_compiles_into_one_graph():
    ours, theirs = pair(4)
    x = torch.randn(4, 5, 3, 3)
    compiled = torch.compile(ours, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), theirs(x))
    torch.testing.assert_close(list(ours.buffers()), list(theirs.buffers()))
