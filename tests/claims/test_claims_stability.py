import doctest
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnbench.claims import stability
from bnbench.claims.stability import (
    decades_near_best,
    edge,
    good_range,
    largest_stable_rate,
    rescued,
    width_near_best,
)
from bnbench.claims.study import IntegrityError, LackingError, StudyArm

NONE = StudyArm("x", {"norm.name": "none"}, None)
BN = NONE.but(norm__name="batchnorm")


def test_rescued_is_who_trains_where_the_other_fails(study):
    outcomes = {  # seed -> how none and BN end
        0: ({"status": "diverged"}, {}),
        1: ({"stuck": True}, {}),
        2: ({}, {}),
        3: ({"stuck": True}, {"status": "diverged"}),
    }
    for seed, (none, bn) in outcomes.items():
        study.run("a", seed, **none)
        study.run("b", seed, norm__name="batchnorm", **bn)
    assert list(rescued(BN.but(rate=0.1), NONE.but(rate=0.1))(study)["value"]) == [1, 1, 0, 0]


def grid(first, last, per_decade=8):
    """Rates to three digits, as a search has them."""
    return [float(f"{10 ** (k / per_decade):.3g}") for k in range(first, last + 1)]


def train(study, norm, seed, outcomes):
    """Runs at rates, each of which trains or not."""
    for rate, trains in outcomes.items():
        arm = f"{norm}{rate:g}"
        study.run(arm, seed, norm__name=norm, optim__lr=rate, stuck=not trains)


def test_the_largest_rate_whose_neighbour_fails(study):
    rates = grid(-4, 4)  # 0.316 … 3.16
    none, bn = (dict.fromkeys(rates, True), dict.fromkeys(rates, True))
    for seed, (last_of_none, last_of_bn) in enumerate([(2, 5), (0, 7), (4, 4)]):
        train(study, "none", seed, {r: k <= last_of_none for k, r in enumerate(none)})
        train(study, "batchnorm", seed, {r: k <= last_of_bn for k, r in enumerate(bn)})
    rows = largest_stable_rate(BN, NONE)(study)
    assert list(rows["value"]) == [3 / 8, 7 / 8, 0.0]  # on the grid, to the bit
    assert list(rows["bound"]) == [""] * 3
    assert list(rows["treatment"]) == list(rows["treatment_rate"]) == [1.33, 2.37, 1.0]
    assert list(rows["baseline_rate"]) == [0.562, 0.316, 1.0]
    assert list(rows["treatment_arm"]) == ["batchnorm1.33", "batchnorm2.37", "batchnorm1"]


def test_bisection_tries_other_rates_for_every_seed(study):
    train(study, "none", 0, {0.1: True, 1.0: False, 0.316: True, 0.562: False, 0.422: False})
    train(study, "none", 1, {0.1: True, 1.0: False, 0.316: False, 0.178: False, 0.133: False})
    train(study, "batchnorm", 0, {0.1: True, 1.0: True, 1.78: False, 1.33: False})
    train(study, "batchnorm", 1, {1.0: True, 1.33: False})
    rows = largest_stable_rate(BN, NONE)(study)
    assert list(rows["baseline"]) == [0.316, 0.1]
    assert list(rows["value"]) == [0.5, 1.0]


def test_who_trains_everywhere_or_nowhere_is_known_on_one_side(study):
    ends = {  # seed -> whether none and BN train at 0.1 and 0.133
        0: ((True, False), (True, True)),
        1: ((False, False), (True, False)),
        2: ((True, True), (True, False)),
        3: ((True, False), (False, False)),
        4: ((True, True), (True, True)),
        5: ((False, False), (False, False)),
        6: ((True, True), (False, False)),
    }
    for seed, sides in ends.items():
        for norm, (low, high) in zip(("none", "batchnorm"), sides, strict=True):
            train(study, norm, seed, {0.1: low, 0.133: high})
    rows = largest_stable_rate(BN, NONE)(study)
    expected = ["at least", "at least", "at most", "at most", "none", "none", "at most"]
    assert list(rows["bound"]) == expected
    assert list(rows["value"][:4]) == [1 / 8, 0.0, -1 / 8, 0.0]
    assert rows["value"][4:6].isna().all()


def test_what_trains_again_above_a_failure_has_failed_at_the_largest_edge(study):
    runs = pd.DataFrame(
        {"optim.lr": grid(0, 4), "arm": list("abcde"), "status": "done"}
        | {"stuck": [False, True, False, False, True]}
    )
    assert edge(runs, 8) == (2.37, "d", "")


def test_a_search_that_has_not_ended_is_lacking(study):
    train(study, "none", 0, {0.1: True, 1.0: False})
    train(study, "batchnorm", 0, {0.1: True, 1.0: True})
    with pytest.raises(LackingError, match=r"no rate between 0\.1 and 1 was tried"):
        largest_stable_rate(BN, NONE)(study)
    train(study, "none", 0, {0.316: True})
    assert list(largest_stable_rate(BN, NONE, per_decade=2)(study)["value"]) == [0.5]


def test_half_decades_are_a_grid_too(study):
    train(study, "none", 0, {0.03: True, 0.1: True, 0.3: False})
    train(study, "batchnorm", 0, {0.3: True, 1.0: True, 3.0: False})
    assert list(largest_stable_rate(BN, NONE, per_decade=2)(study)["value"]) == [1.0]


def test_stable_rates_are_paired_as_all_is(study):
    for norm in ("none", "batchnorm"):
        train(study, norm, 0, {0.1: True, 0.133: False})
        train(study, norm, 100, {0.1: True, 0.133: True})  # which chooses rates, and reports none
    rows = largest_stable_rate(BN, NONE)(study)
    assert list(rows["seed"]) == [0]
    study.marks["batchnorm0.133", 0] = {"batches": "other"}
    with pytest.raises(IntegrityError, match="share the seed 0 but not their batches"):
        largest_stable_rate(BN, NONE)(study)
    study.marks.clear()
    study.marks["none0.1", 0] = {"overlap": 2}
    with pytest.raises(IntegrityError, match=r"none0\.1 seed 0: 2 images are in two"):
        largest_stable_rate(BN, NONE)(study)
    train(study, "none", 1, {0.1: True, 0.133: False})
    with pytest.raises(IntegrityError, match="unpaired"):
        largest_stable_rate(BN, NONE)(study)
    study.rows[-1]["seed"] = study.rows[-2]["seed"] = 0
    study.rows[-1]["arm"] = study.rows[-2]["arm"] = "another"
    with pytest.raises(LackingError, match="several arms have one learning rate"):
        largest_stable_rate(BN, NONE)(study)


def test_any_two_edges_are_as_far_apart_as_their_places(study):
    places = list(product((-12, -7, -1, 0, 5, 11), repeat=2))
    for seed, pair in enumerate(places):
        for norm, place in zip(("batchnorm", "none"), pair, strict=True):
            rates = grid(place - 1, place + 1)
            train(study, norm, seed, dict(zip(rates, (True, True, False), strict=True)))
    values = largest_stable_rate(BN, NONE)(study)["value"]
    assert list(values) == [(one - other) / 8 for one, other in places]


def test_the_good_range_is_what_is_near_the_best_of_its_seed(study):
    scores = {  # norm -> rate -> accuracy on seeds 100, 101
        "none": {0.1: [0.90, 0.80], 0.3: [0.95, 0.95], 1.0: [0.945, 0.10]},
        "batchnorm": {0.1: [0.97, 0.97], 0.3: [0.97, 0.975], 1.0: [0.965, 0.97], 3.0: [0.96, 0.5]},
    }
    for norm, rates in scores.items():
        for rate, values in rates.items():
            for number, value in enumerate(values):
                study.run(f"{norm}{rate}", 100 + number, norm__name=norm, optim__lr=rate, val=value)
    rows = good_range(BN.but(rate="tuned"), NONE.but(rate="tuned"))(study)
    assert list(rows["treatment"]) == [2.0, 1.5]
    assert list(rows["baseline"]) == [1.0, 0.5]
    assert list(rows["value"]) == [1.0, 1.0]


def test_decades_of_a_setting_that_are_near_the_best_of_their_seed(study):
    scores = {  # norm -> scale -> accuracy on seeds 20, 21
        "none": {0.1: [0.90, 0.10], 1.0: [0.95, 0.95], 10.0: [0.93, 0.95]},
        "batchnorm": {0.1: [0.96, 0.97], 1.0: [0.97, 0.97], 10.0: [0.962, 0.95]},
    }
    for norm, scales in scores.items():
        for scale, values in scales.items():
            for number, value in enumerate(values):
                named = {"norm__name": norm, "model__init_scale": scale}
                study.run(f"{norm}{scale}", 20 + number, acc=value, **named)
    one, other = ({s: arm.but(model__init_scale=s) for s in (0.1, 1.0, 10.0)} for arm in (BN, NONE))
    rows = decades_near_best(one, other)(study)
    # 1 pp below the best is crossed after so much of a decade, on straight lines
    assert list(rows["baseline"]) == pytest.approx([1 / 5 + 1 / 2, 1 / 85 + 1])
    assert list(rows["treatment"]) == pytest.approx([2.0, 1 + 1 / 2])
    assert list(rows["value"]) == pytest.approx([2 - 7 / 10, 1 / 2 - 1 / 85])
    assert list(decades_near_best(other, one)(study)["value"]) == pytest.approx(
        list(-rows["value"])
    )


@settings(derandomize=True, database=None, deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 40), min_size=2, max_size=6))
def test_the_width_near_the_best_is_that_of_a_fine_grid(y):
    x = np.cumsum([0.0, *[0.5 + k / 7 for k in range(len(y) - 1)]])
    fine = np.linspace(x[0], x[-1], 200_001)
    share = np.mean(np.interp(fine, x, y) >= max(y) - 1.5)
    assert width_near_best(list(x), y, 1.5) == pytest.approx(share * (x[-1] - x[0]), abs=1e-3)


def test_a_curve_that_is_flat_is_near_its_best_everywhere():
    assert width_near_best([0.0, 0.5, 2.0], [3.0, 3.0, 3.0], 1.0) == 2.0
    assert width_near_best([0.0, 1.0], [0.0, 1.0], 1.0) == 1.0  # the limit itself is near


def test_the_examples_of_the_ranges_hold():
    assert doctest.testmod(stability).failed == 0
