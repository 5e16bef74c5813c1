"""The deep linear net beside nn.Module on all images, and its shift beside gradients by hand."""

import doctest

import pytest
import torch
from torch import nn

from bnbench import norms
from bnbench.measured.problems import linear_net
from bnbench.measured.problems.linear_net import LinearNet, Task

DOUBLE = torch.float64


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(linear_net, "LAYERS", 4)


def scalar_net(*weights):
    """A net of one unit per layer."""
    w = torch.tensor(weights, dtype=DOUBLE).view(-1, 1, 1, 1)
    vectors = torch.ones(len(weights) - 1, 1, dtype=DOUBLE)
    return LinearNet(w, vectors, torch.zeros_like(vectors))


def scalar_task(*x, target):
    points = torch.tensor([[x]], dtype=DOUBLE)
    return Task(points, target * points, 1.0)


@pytest.mark.parametrize("norm", [False, True])
def test_points_stand_for_all_images(small, norm):
    seed = 3
    net, task = linear_net.start([seed])
    value, grads = linear_net.gradient(net, task, norm)

    x, a, weights = linear_net.draw(seed)
    layers = []
    for w in weights:
        linear = nn.Linear(10, 10, bias=False, dtype=DOUBLE)
        linear.weight.data = linear_net.INITS[""] * w
        layers += [linear, norms.BatchNorm1d(10, dtype=DOUBLE) if norm else nn.Identity()]
    reference = nn.Sequential(*layers[:-1])
    loss = (reference(x) - x @ a.T).square().sum()
    loss.backward()
    assert value[0].item() == pytest.approx(loss.item(), rel=1e-10)
    for i in range(4):
        expected = reference[2 * i].weight.grad
        torch.testing.assert_close(grads.weights[i, 0], expected, rtol=1e-8, atol=1e-8)
    for i in range(3) if norm else ():
        dgamma = reference[2 * i + 1].weight.grad
        torch.testing.assert_close(grads.gamma[i, :10], dgamma, rtol=1e-8, atol=1e-8)


def test_compressed_points_share_mean_and_covariance():
    x = linear_net.draw(0)[0] @ torch.diag(torch.arange(1.0, 11).double()) + 7
    points = linear_net.compressed(x)
    assert points.shape == (11, 10)
    torch.testing.assert_close(points.mean(0), x.mean(0), rtol=1e-12, atol=0)
    covariance = torch.cov(points.T, correction=0)
    torch.testing.assert_close(covariance, torch.cov(x.T, correction=0), rtol=1e-10, atol=1e-10)


def test_shift_of_two_layers_by_hand():
    # L = Σ (w2 w1 x - 3x)² with Σ x² = 5, w1 = 2, w2 = 1: residual factor e = 2 - 3 = -1,
    # ∂w1 = 2 e w2 Σx² = -10, ∂w2 = 2 e w1 Σx² = -20; with w1 + 0.01·10 = 2.1, e' = -0.9:
    # ∂w2' = 2 · -0.9 · 2.1 · 5 = -18.9
    shift = linear_net.shift(
        scalar_net(2.0, 1.0), scalar_task(1.0, 2.0, target=3.0), False, rate=0.01
    )
    assert shift["distance"].item() == pytest.approx(1.1, rel=1e-12)
    assert shift["relative"].item() == pytest.approx(1.1 / 20, rel=1e-12)
    assert shift["cosine"].item() == pytest.approx(1, rel=1e-12)


def test_the_gradient_turns_about_where_the_step_goes_past_the_target():
    # as above, with the rate 0.2: w1' = 4, e' = 1, ∂w2' = 2 · 1 · 4 · 5 = 40
    shift = linear_net.shift(
        scalar_net(2.0, 1.0), scalar_task(1.0, 2.0, target=3.0), False, rate=0.2
    )
    assert shift["cosine"].item() == pytest.approx(-1, rel=1e-12)
    assert shift["distance"].item() == pytest.approx(60, rel=1e-12)


@pytest.mark.parametrize("norm", [False, True])
def test_shift_of_each_layer_is_that_of_a_net_moved_below_it(small, norm):
    net, task = linear_net.start([0, 1])
    rate = 1e-5
    _, before = linear_net.gradient(net, task, norm)
    shift = linear_net.shift(net, task, norm, rate)
    for i in range(1, 4):
        moved = LinearNet(*(t.clone() for t in net))
        for tensor, slope in zip(moved, before, strict=True):
            tensor[:i] -= rate * slope[:i]
        _, after = linear_net.gradient(moved, task, norm)
        for b in range(4):  # two seeds, two first weights
            g, g_after = before.weights[i, b].flatten(), after.weights[i, b].flatten()
            cosine = (g @ g_after / (g.norm() * g_after.norm())).item()
            assert shift["cosine"][i - 1, b].item() == pytest.approx(cosine, rel=1e-9)
            distance = (g - g_after).norm().item()
            assert shift["distance"][i - 1, b].item() == pytest.approx(distance, rel=1e-6)


@pytest.mark.parametrize("norm", [False, True])
def test_no_shift_without_a_step_below(small, norm):
    net, task = linear_net.start([0])
    still = linear_net.shift(net, task, norm, rate=0.0)
    assert still["distance"].max() == 0
    assert still["cosine"].min().item() == pytest.approx(1, rel=1e-12)
    # the step of the layer itself and of those above is no shift of it: the second layer's
    # gradient stays where the first layer has none, behind weights of 0 here
    blocked = net._replace(weights=net.weights.clone())
    blocked.weights[1] = 0
    assert linear_net.shift(blocked, task, False, rate=1e-5)["distance"][0].max() == 0


def test_the_first_layer_has_none_below_to_shift_it():
    net, task = scalar_net(2.0, 1.0, 1.0), scalar_task(1.0, 2.0, target=3.0)
    assert linear_net.shift(net, task, False, 0.01)["cosine"].shape == (2, 1)


def test_the_equal_rate_moves_every_net_by_the_same_share(small):
    net, task = linear_net.start([0, 1])
    _, grads = linear_net.gradient(net, task, True)
    moved = net.minus(grads, linear_net.equal_rate(net, grads))
    for b in range(4):
        share = (moved.weights - net.weights)[:, b].norm() / net.weights[:, b].norm()
        assert share.item() == pytest.approx(1e-3, rel=1e-9)
    rates = linear_net.equal_rate(net, grads).flatten().repeat_interleave(10)
    torch.testing.assert_close(moved.gamma, net.gamma - rates * grads.gamma)


def test_first_weights_are_within_their_bounds_and_the_same_draws():
    net, task = linear_net.start([0, 1, 2])
    assert net.weights.shape == (25, 6, 10, 10)
    glorot, default = net.weights[:, :3], net.weights[:, 3:]
    assert 0.99 * 0.3**0.5 < glorot.abs().max() <= 0.3**0.5
    torch.testing.assert_close(default / 0.1**0.5, glorot / 0.3**0.5)
    assert glorot.var().item() == pytest.approx(1 / 10, rel=0.05)
    assert torch.equal(task.x[:3], task.x[3:])
    assert not torch.equal(task.x[0], task.x[1])


def test_measuring_is_gradient_descent_and_repeats(small):
    seeds, steps = [2, 5], 20
    records = linear_net.measure(seeds, steps)
    assert linear_net.measure(seeds, steps) == records
    phases = [f"{p}{r}" for p in ("early", "mid", "late") for r in ("", ", equal step")]
    expected = {
        f"{quantity}{init}"
        for init in ("", ", default init")
        for arm in ("none", "batchnorm")
        for quantity in (
            *(f"loss {arm} {when}" for when in ("start", "end")),
            *(f"{n} {arm} {p}" for n in ("cosine", "distance", "relative") for p in phases),
        )
    }
    assert all(record.keys() == expected for record in records)

    x, a, weights = linear_net.draw(5)
    net = nn.Sequential(*(nn.Linear(10, 10, bias=False, dtype=DOUBLE) for _ in weights))
    for linear, w in zip(net, weights, strict=True):
        linear.weight.data = linear_net.INITS[""] * w
    sgd = torch.optim.SGD(net.parameters(), lr=1e-6)
    for step in range(steps + 1):
        loss = (net(x) - x @ a.T).square().sum()
        if step == 0:
            assert records[1]["loss none start"] == pytest.approx(loss.item() / 1000, rel=1e-10)
        if step < steps:
            sgd.zero_grad()
            loss.backward()
            sgd.step()
    assert records[1]["loss none end"] == pytest.approx(loss.item() / 1000, rel=1e-8)


def test_phases_are_means_over_their_points(small, monkeypatch):
    seen = []

    def shift(net, task, norm, rate):
        seen.append((norm, isinstance(rate, float)))
        values = torch.full((3, task.x.shape[0]), float(len(seen)), dtype=DOUBLE)
        return {"cosine": values, "distance": values, "relative": values}

    monkeypatch.setattr(linear_net, "shift", shift)
    (record,) = linear_net.measure([0], steps=100)
    assert seen == [(False, True), (False, False)] * 15 + [(True, True), (True, False)] * 15
    assert record["cosine none early"] == (1 + 3 + 5 + 7 + 9) / 5
    assert record["cosine none late, equal step, default init"] == (22 + 24 + 26 + 28 + 30) / 5
    assert record["distance batchnorm mid"] == 30 + (11 + 13 + 15 + 17 + 19) / 5


@pytest.mark.slow
def test_a_diverged_net_is_nan_and_leaves_the_others_alone(monkeypatch):
    monkeypatch.setattr(linear_net, "RATE", 1e-5)
    alone = linear_net.measure([0], 60)[0]
    assert alone["loss none end"] != alone["loss none end"]  # NaN
    assert alone["loss none end, default init"] < 200


def test_examples():
    assert doctest.testmod(linear_net).failed == 0
