"""The landscape probe where the loss along the gradient is known: quadratics, a logistic loss."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from probed_nets import Landscape, Net

from bnbench.probes.landscape import DISTANCES, RATES, landscape

CURVATURES = np.array([4.0, 1.0, 0.25])


def quadratic(w):
    return 3 + (torch.from_numpy(CURVATURES) * w.square()).sum() / 2


def probed(model, batch, rate=0.1):
    values = landscape(model, replace(batch, labels=torch.zeros(8, dtype=torch.long), rate=rate))
    return {metric: value for (layer, metric), value in values.items() if layer == ""}


def test_the_grids_are_those_of_the_protocol():
    assert [RATES[0], RATES[-1], DISTANCES[0], DISTANCES[-1]] == [0.5, 4, 0.01, 0.4]
    assert (len(RATES), len(DISTANCES)) == (8, 6)
    for grid in (RATES, DISTANCES):
        assert np.ptp(np.diff(np.log(grid))) < 1e-14


def test_a_quadratic_by_its_hessian(batch):
    """With ∇ = Hw the gradient after a step s differs by s H∇, whatever the place."""
    w, rate = np.array([0.5, -1.0, 2.0]), 0.1
    gradient = CURVATURES * w
    bent = np.linalg.norm(CURVATURES * gradient)
    losses = [3 + (CURVATURES * (w - a * rate * gradient) ** 2).sum() / 2 for a in RATES]
    size = np.linalg.norm(gradient)
    assert probed(Landscape(quadratic, w.tolist()), batch, rate) == pytest.approx(
        {
            "loss_range": max(losses) - min(losses),
            "predictiveness": 4 * rate * bent,
            "smoothness": bent / size,
            "relative_change": 0.4 * bent / size**2,
        },
        rel=1e-10,
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("rate", [0.001, 0.1])
def test_smoothness_is_the_curvature_along_the_gradient_whatever_the_rate(batch, axis, rate):
    start = [0.0, 0.0, 0.0]
    start[axis] = 1.5
    found = probed(Landscape(quadratic, start), batch, rate)
    assert found["smoothness"] == pytest.approx(CURVATURES[axis], rel=1e-10)
    assert found["predictiveness"] == pytest.approx(4 * rate * CURVATURES[axis] ** 2 * 1.5)


def test_smoothness_is_the_largest_ratio_on_the_way(batch):
    """A loss with |w|³: its gradient 3w² changes by 6wd - 3d², so most by d at the nearest."""
    found = probed(Landscape(lambda w: 1 + w.abs().pow(3).sum(), [2.0]), batch)
    assert found["smoothness"] == pytest.approx(6 * 2.0 - 3 * 0.01, rel=1e-10)
    assert found["relative_change"] == pytest.approx((12 * 0.4 - 3 * 0.4**2) / 12, rel=1e-10)


def test_loss_range_is_that_of_the_steps_alone(batch):
    """On w²/2 at the rate 1 one step of 1 is at the bottom: the start is not counted."""
    found = probed(Landscape(lambda w: 1 + w.square().sum() / 2, [1.0]), batch, rate=1.0)
    losses = [1 + (1 - a) ** 2 / 2 for a in RATES]
    assert found["loss_range"] == pytest.approx(max(losses) - min(losses), rel=1e-12)


def test_a_flat_place_has_no_direction(batch):
    found = probed(Landscape(lambda w: 1 + w.square().sum(), [0.0]), batch)
    assert (found["loss_range"], found["predictiveness"]) == (0, 0)
    assert math.isnan(found["smoothness"])
    assert math.isnan(found["relative_change"])


def test_a_point_costs_fifteen_passes(batch):
    calls = []
    model = Net(4, 3, 2)
    model.register_forward_hook(lambda *_: calls.append(1))
    landscape(model, batch)
    assert len(calls) == 1 + 8 + 6
