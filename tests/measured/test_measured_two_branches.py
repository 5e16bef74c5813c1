"""Two branches of different scale: what the norms give, what is drawn, and how rates are chosen."""

import doctest

import pytest
import torch
from torch import nn

from bnbench import norms
from bnbench.measured.problems import two_branches
from bnbench.measured.problems.two_branches import SpatialL2Norm, farthest_from_20


def test_l2norm_is_20_over_channels_and_the_spatial_variant_is_not():
    maps = two_branches.draw(0)[0].maps[:, :8]
    assert farthest_from_20(norms.L2Norm(8), maps) == pytest.approx(20, rel=1e-6)
    # maps of length 1 over 16 positions have 8/16 as the mean of squared lengths over channels
    spatial = SpatialL2Norm(8)(maps)
    torch.testing.assert_close(spatial.flatten(2).norm(dim=2).max(), torch.tensor(1.0))
    assert spatial.square().sum(1).max() < 8
    assert farthest_from_20(SpatialL2Norm(8), maps) < 8**0.5


def test_the_length_farthest_from_20_is_found_on_either_side():
    maps = torch.tensor([[[[20.0, 3.0, 36.0, 0.0]]]])
    assert farthest_from_20(nn.Identity(), maps) == 3
    assert farthest_from_20(nn.Identity(), maps + 20) == 56


def test_the_spatial_variant_takes_each_channels_positions_and_has_a_factor_per_channel():
    layer = SpatialL2Norm(2)
    nn.init.constant_(layer.weight, 2)
    x = torch.tensor([[[[3.0, 4.0]], [[5.0, 12.0]]]])
    y = torch.tensor([[[[1.2, 1.6]], [[10 / 13, 24 / 13]]]])
    torch.testing.assert_close(layer(x).detach(), y)
    assert layer(torch.zeros(1, 2, 1, 2)).abs().max() == 0


def test_branches_differ_in_scale_and_each_shows_one_bit(monkeypatch):
    monkeypatch.setattr(two_branches, "NOISE", 0.0)
    train, test = two_branches.draw(1)
    assert train.maps.shape == test.maps.shape == (512, 16, 4, 4)
    assert train.labels.unique().tolist() == [0, 1, 2, 3]
    large, small = train.maps.split(8, dim=1)
    for branch, bit in ((large, train.labels // 2), (small, train.labels % 2)):
        for value in (0, 1):  # one vector for all positions with this bit
            vectors = branch.movedim(1, -1)[bit == value]
            assert torch.equal(vectors, vectors[:1].expand_as(vectors))
    assert 20 < large.mean() / small.mean() < 500
    same, _ = two_branches.draw(1)
    assert torch.equal(same.maps, train.maps)


def test_the_net_normalises_each_branch_alone():
    net = two_branches.TwoBranches(norms.L2Norm)
    maps = two_branches.draw(0)[0].maps[:4]
    nn.init.ones_(net.head.weight)
    expected = sum(norms.L2Norm(8)(branch).sum(1) for branch in maps.split(8, dim=1))
    torch.testing.assert_close(net(maps)[:, 2], expected)


def test_the_rate_is_the_best_on_other_seeds_and_of_equals_the_smallest(monkeypatch):
    seen = []

    def accuracy(arm, seed, rate):
        seen.append(seed)
        return {0.03: 0.9, 0.1: 0.9}.get(rate, 0.5)

    monkeypatch.setattr(two_branches, "accuracy", accuracy)
    assert two_branches.tuned_rate("none") == 0.03
    assert min(seen) >= 100
    assert list(two_branches.RATES) == sorted(two_branches.RATES)


def test_a_net_learns_both_bits_with_norm_and_repeats(monkeypatch):
    found = two_branches.accuracy("l2 over channels", 0, 1.0)
    assert two_branches.accuracy("l2 over channels", 0, 1.0) == found > 0.7
    # a branch 100 times as large and no step: the first class everywhere, a quarter of the labels
    assert two_branches.accuracy("none", 0, 0.0) == pytest.approx(0.25, abs=0.03)


@pytest.mark.slow
def test_quantities(monkeypatch):
    monkeypatch.setattr(two_branches, "tuned_rate", dict.fromkeys(two_branches.ARMS, 0.3).get)
    first, second = two_branches.measure([0, 1])
    assert (
        first.keys()
        == second.keys()
        == {
            *("norm over channels", "norm over channels, spatial variant"),
            *(f"{what} {arm}" for what in ("rate", "accuracy") for arm in two_branches.ARMS),
        }
    )
    assert first["rate none"] == 0.3
    assert first["accuracy batchnorm"] == two_branches.accuracy("batchnorm", 0, 0.3)
    assert first != second


def test_the_global_generator_is_left_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    two_branches.accuracy("none", 0, 1e-4)
    assert torch.equal(torch.get_rng_state(), state)


def test_examples():
    assert doctest.testmod(two_branches).failed == 0
