"""Whether intervals over seeds hold the difference of two nets on images that were not drawn.

Two nets are taken to answer each of the 1,797 digits rightly with a probability of the image's own.
Where every seed is tested on the same 360 images, the interval is about these images; where each
draws its own, about all of them.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from bnbench.analysis.stats import mean_interval
from bnbench.data.datasets import load, stratified_splits

SEEDS, TRIES = 10, 300
SIZES = (1078, 359, 360)


@pytest.fixture(scope="module")
def labels():
    data = load("digits", Path(), 0)
    return torch.cat([data.train.labels, data.val.labels, data.test.labels])


def coverage(labels, per_seed):
    """The share of tries whose interval holds the true difference of the nets on all images."""
    draws = np.random.default_rng(0)
    held = 0
    for number in range(TRIES):
        # hard images are few, and not the same for the two nets
        one, other = (np.where(draws.random(len(labels)) < 0.06, 0.4, 0.995) for _ in range(2))
        generator = torch.Generator().manual_seed(number)
        tests = [
            stratified_splits(labels, SIZES, generator)[2].numpy()
            for _ in range(SEEDS if per_seed else 1)
        ]
        differences = [
            (draws.random(len(test)) < one[test]).mean()
            - (draws.random(len(test)) < other[test]).mean()
            for test in (tests[k % len(tests)] for k in range(SEEDS))
        ]
        interval = mean_interval(differences, 0.95)
        held += interval.low <= (one - other).mean() <= interval.high
    return held / TRIES


def test_with_splits_of_their_own_intervals_hold_the_difference_on_all_images(labels):
    assert coverage(labels, per_seed=True) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / TRIES)


def test_with_one_split_for_all_seeds_they_do_not(labels):
    assert coverage(labels, per_seed=False) < 0.85
