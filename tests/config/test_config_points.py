"""Evaluation points and threshold crossings, against numbers worked out by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnbench.config.points import LAST, Scope, crossing, evaluation_points, scopes


def test_points_are_powers_of_root_two_then_every_two_percent():
    points = evaluation_points(3124, 50)
    assert points[:12] == [1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 62]
    assert points[12:14] == [125, 187]
    assert points[-1] == 3124
    assert len(points) == 61


@given(st.integers(1, 10**5), st.integers(1, 200))
def test_points_are_within_the_run_and_end_with_it(steps, evenly):
    points = evaluation_points(steps, evenly)
    assert points == sorted(set(points))
    assert points[0] >= 1
    assert points[-1] == steps


@given(st.integers(1, 10**5), st.integers(1, 200), st.booleans())
def test_everything_is_evaluated_last_and_policies_at_powers_of_four(steps, evenly, is_sparse):
    points = evaluation_points(steps, evenly)
    found = scopes(points, is_sparse)
    assert [*found] == points
    assert {p for p, scope in found.items() if scope == Scope.everything} == set(points[-LAST:])
    full = {p for p, scope in found.items() if scope >= Scope.policies}
    if not is_sparse:
        assert full == set(points)
    for k in range(9):
        after = [p for p in points if p >= 4**k]
        assert not after or after[0] in full
    assert not is_sparse or len(full) <= LAST + math.log(steps, 4) + 1


@given(st.integers(1, 10**4), st.integers(1, 40), st.integers(2, 7), st.booleans())
def test_everything_is_evaluated_at_the_end_of_each_task(steps, evenly, tasks, is_sparse):
    points = evaluation_points(steps * tasks, evenly * tasks)
    found = scopes(points, is_sparse, tasks)
    assert [*found] == points
    whole = {p for p, scope in found.items() if scope == Scope.everything}
    assert whole == {*points[-LAST:], *(steps * k for k in range(1, tasks + 1))}
    rest = scopes(points, is_sparse)
    assert all(found[p] == rest[p] for p in points if p not in whole)


def test_crossing_is_interpolated_on_a_monotone_curve():
    assert crossing([10, 20, 30], [0.1, 0.5, 0.9], 0.7) == pytest.approx(25)
    assert crossing([10, 20, 30], [0.1, 0.5, 0.9], 0.5) == 20


def test_one_lucky_evaluation_is_no_crossing():
    values = [0.1, 0.9, 0.2, 0.1, 0.3, 0.8, 0.9]
    # medians: .1 .2 .2 .2 .3 .8 .9
    assert crossing([1, 2, 3, 4, 5, 6, 7], values, 0.6) == pytest.approx(5 + 0.3 / 0.5)


def test_crossing_at_the_first_point_and_never():
    assert crossing([4, 8], [0.9, 0.95], 0.8) == 4
    assert crossing([4, 8, 12], [0.1, 0.2, 0.3], 0.8) is None
    assert crossing([4], [0.9], 0.8) == 4
    assert crossing([4, 8, 12], [math.nan, math.nan, math.nan], 0.8) is None
