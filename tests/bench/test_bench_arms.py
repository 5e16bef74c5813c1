"""The timing of an arm's steps, evaluations and probes, by a clock of our own."""

from dataclasses import replace

import pytest

from bnbench.bench import arms as bench_arms


class Clock:
    """Each block of steps takes a second more than the last; work() is counted."""

    def __init__(self):
        self.now, self.ticks = 0.0, 0

    def __call__(self):
        self.now += self.ticks
        self.ticks += 1
        return self.now


@pytest.fixture
def tiny(read):
    overrides = ["data=synthetic", "model.widths=[4]", "batch_size=8", "device=cpu", "seeds=[0,1]"]
    (arm,) = read(*overrides, "probes=[gradients]", "train.steps=20").arms.values()
    return arm.config


def test_times_are_those_of_the_clock(tiny):
    pace = bench_arms.pace(tiny, blocks=5, limit=1e9, images=90, clock=Clock())
    assert (pace.step, pace.least, pace.most, pace.blocks) == (3, 1, 5, 5)
    # the 7th interval is the second evaluation, the 9th the second probe: no time is told while
    # something is done for the first time
    assert (pace.point, pace.images, pace.probe) == (7, 90, 9)
    more = bench_arms.pace(tiny, blocks=5, limit=1e9, images=1000, clock=Clock())
    assert more.images == 300  # all that there are
    assert bench_arms.pace(tiny, blocks=50, limit=4, images=9, clock=Clock()).blocks == 3
    assert bench_arms.pace(tiny, blocks=2, limit=4, images=9, clock=Clock()).blocks == 2


def test_work_is_timed_when_it_is_done_again():
    done = []
    assert bench_arms.timed(lambda: done.append(1), lambda: [None, 5.0, 7.0][len(done)]) == 2
    assert len(done) == 2


def test_a_real_clock_measures_something(tiny):
    pace = bench_arms.pace(replace(tiny, probes=[]), blocks=3, limit=10, images=9)
    assert 0 < pace.least <= pace.step <= pace.most < 60
    assert pace.point > 0
    assert pace.probe == 0
