"""Bisection of a grid of rates: every outcome on grids of any length, and the grids themselves."""

import doctest
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnbench.config import keys
from bnbench.request import bisection, tuning
from bnbench.request.bisection import rate_grid, search


@given(st.integers(1, 1200), st.data())
def test_the_largest_place_that_trains_is_found_whatever_it_is(number, data):
    largest = data.draw(st.integers(-1, number - 1))
    found = search(number, lambda place: place <= largest)
    assert (found.trains, found.fails, found.middle, found.left) == (largest, largest + 1, None, 0)
    assert all(0 <= place < number for place in found.tried)
    assert len(set(found.tried)) == len(found.tried) <= math.ceil(math.log2(number + 1))


@pytest.mark.parametrize("number", [1, 2, 3, 7, 8, 17, 25, 64])
def test_the_most_runs_of_a_search_are_told_before_it_and_are_no_more_than_it_takes(number):
    """The n + 1 outcomes of n places are told apart by ⌈log2(n + 1)⌉ answers, and by no fewer."""
    outcomes = [search(number, lambda place, top=top: place <= top) for top in range(-1, number)]
    most = search(number, lambda place: None).left
    assert max(len(found.tried) for found in outcomes) == most == math.ceil(math.log2(number + 1))


@given(st.integers(1, 200), st.data())
def test_what_is_not_known_is_asked_for_and_each_answer_leaves_less(number, data):
    largest = data.draw(st.integers(-1, number - 1))
    known, left = {}, math.inf
    while (found := search(number, known.get)).middle is not None:
        assert found.left < left
        left = found.left
        assert found.middle not in known
        known[found.middle] = found.middle <= largest
    assert found.trains == largest


def test_a_grid_of_rates_by_hand():
    assert rate_grid(0.01, 0.1, 8) == [
        0.01, 0.0133, 0.0178, 0.0237, 0.0316, 0.0422, 0.0562, 0.075, 0.1
    ]  # fmt: skip
    assert rate_grid(0.3, 3, 2) == [0.3, 0.949, 3.0]
    assert rate_grid(0.03, 0.1, 1) == [0.03]
    assert len(rate_grid(1e-9, 1e9, 64)) == 18 * 64 + 1


@given(st.integers(-18, 17), st.integers(1, 12), st.integers(1, 64))
def test_a_grid_reaches_from_low_to_high_in_equal_ratios(index, more, per_decade):
    low = float(f"{3 if index % 2 else 1}e{index // 2}")
    high = float(f"{3 if (index + more) % 2 else 1}e{(index + more) // 2}")
    rates = rate_grid(low, high, per_decade)
    step = 10 ** (1 / per_decade)
    assert rates[0] == low
    assert high / step < rates[-1] * 1.01
    assert rates[-1] <= high * 1.005
    assert all(b / a == pytest.approx(step, rel=0.011) for a, b in pairwise(rates))


@pytest.mark.parametrize("module", [bisection, tuning, keys])
def test_examples_run(module):
    found = doctest.testmod(module)
    assert (found.failed, found.attempted > 1) == (0, True)
