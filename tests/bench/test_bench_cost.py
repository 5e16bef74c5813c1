"""What a request costs: its counts by hand, its times by a clock of our own."""

from dataclasses import replace
from pathlib import Path

import pytest

from bnbench import ROOT
from bnbench.bench import arms as bench_arms
from bnbench.bench import cost
from bnbench.bench.cost import ArmRuns, Cost
from bnbench.commands import cost as command
from bnbench.config.checks import RequestError

EPOCHS_60 = 60 * (40_000 // 128)  # steps: 18,720
AT_BATCH = sum(10 * (40_000 // size) for size in (2, 4, 16, 64))  # of one run at each size

# arms, runs, steps, and runs that grids may grow by
BY_HAND = {
    # 2 norms × 3 rates × 10 seeds, 3 decaying × 5, the net without norm on 3 more
    "claim_rates": (9, 60 + 15 + 3, 78 * EPOCHS_60, 0),
    # 4 nets × (6 rates × 3 seeds, then 5 seeds at the rate found); 2 rates more at either end
    "claim_accuracy": (4 * 7, 4 * 23, 4 * 23 * EPOCHS_60, 4 * 4 * 3),
    "claim_ics": (4, 20, 20 * 15_000, 0),
    "claim_landscape": (4, 20, 20 * 15_000, 0),
    "claim_ghost": (5, 25, 25 * 100 * 19, 0),
    # 2 norms × 4 sizes × (5 rates × 1 seed, then 5 seeds)
    "claim_batch": (2 * 4 * 6, 80, 2 * 10 * AT_BATCH, 8 * 4),
    # 2 nets × (3 rates × 1 seed, then 5 seeds)
    "claim_shift": (2 * 4, 16, 16 * EPOCHS_60, 2 * 4),
}


@pytest.fixture(scope="module")
def programme(tmp_path_factory):
    """All experiments of the claims on CIFAR-10, whose files are not there."""
    return cost.costs(command.asked([f"data.root={tmp_path_factory.mktemp('none')}"]))


@pytest.mark.slow
def test_the_programme_is_counted_as_by_hand(programme):
    found = {
        one.name.removesuffix(" on cifar10"): (len(one.arms), one.runs, one.steps, one.more)
        for one in programme
    }
    assert found == BY_HAND
    whole = cost.total(programme)
    numbers = (len(whole.arms), whole.runs, whole.steps, whole.more)
    assert numbers == tuple(map(sum, zip(*BY_HAND.values(), strict=True)))


@pytest.mark.slow
def test_the_page_says_what_the_tool_says(programme):
    page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    for one in programme:
        name = one.name.removesuffix(" on cifar10")
        assert f"| `{name}` | {one.runs} | {one.steps:,} | {one.more} |" in page
    whole = cost.total(programme)
    assert f"| together | {whole.runs} | {whole.steps:,} | {whole.more} |" in page


def test_what_two_experiments_ask_for_is_trained_once(read):
    (arm,) = read("experiment=null").arms.values()
    loads = [ArmRuns(arm.config, frozenset(seeds)) for seeds in ((0, 1), (1, 2))]
    both = cost.total([Cost("a", {"x": loads[0]}, 1), Cost("b", {"x": loads[1], "y": loads[0]}, 2)])
    assert (len(both.arms), both.runs, both.more) == (2, 3 + 2, 3)
    assert both.steps == 5 * arm.config.data.default_epochs * (1078 // 64)


def test_images_that_are_evaluated(read):
    overrides = ["train.steps=100", "train.eval_points=4", "shift.severities=[1,3]"]
    (arm,) = read(*overrides, "shift=blur", "seeds=[0,1]").arms.values()
    load = ArmRuns(arm.config, frozenset(arm.config.seeds))
    assert load.points == 2 * 6  # after 1, 2, 25, 50, 75 and 100 steps
    # at each point 100 and 100; at the end the other 259 and 360, and 360 under two severities
    assert load.evaluated(100) == 2 * (6 * 200 + 259 + 360 * 3)
    assert load.evaluated(1000) == 2 * (6 * 2 * 359 + 360 * 3)


def test_what_was_found_before_is_counted_all_the_same(tmp_path):
    one = command.asked(["experiment=claim_ics", "data=cifar10", "results=results"])
    assert not one.results.exists()
    assert one.results != Path("results")


@pytest.mark.slow
def test_distinct_nets_are_timed_once(programme):
    by_name = {one.name.removesuffix(" on cifar10"): one for one in programme}
    numbers = {name: len(bench_arms.settings(one)) for name, one in by_name.items()}
    assert numbers == {
        "claim_rates": 2,
        "claim_accuracy": 4,
        "claim_ics": 2,
        "claim_landscape": 2,
        "claim_ghost": 5,
        "claim_batch": 8,
        "claim_shift": 2,
    }
    # the net without norm on plain images is the same in two; that with BN has other policies
    assert len(bench_arms.settings(cost.total(programme))) == 25 - 1


@pytest.mark.slow
def test_what_the_time_of_a_step_depends_on(read):
    def setting(*overrides):
        (arm,) = read(*overrides).arms.values()
        return bench_arms.setting(arm.config)

    same = ("optim.base_lr=3", "seeds=[7]", "train.steps=5", "model.init=xavier")
    assert {setting(override) for override in same} == {setting()}
    other = ("batch_size=2", "norm=none", "train.policies=[ema]", "probes=[ics]", "placement=post")
    assert len({setting(override) for override in other} | {setting()}) == len(other) + 1


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
    pace = bench_arms.pace(tiny, blocks=5, limit=1e9, clock=Clock())
    assert (pace.step, pace.least, pace.most, pace.blocks) == (3, 1, 5, 5)
    # the 7th interval is the second evaluation, of 100 images in each of two splits; the 9th is the
    # second probe: no time is told while something is done for the first time
    assert (pace.image, pace.probe) == (7 / 200, 9)
    assert bench_arms.pace(tiny, blocks=50, limit=4, clock=Clock()).blocks == 3
    assert bench_arms.pace(tiny, blocks=2, limit=4, clock=Clock()).blocks == 2


def test_work_is_timed_when_it_is_done_again():
    done = []
    assert bench_arms.timed(lambda: done.append(1), lambda: [None, 5.0, 7.0][len(done)]) == 2
    assert len(done) == 2


def test_hours_are_steps_and_evaluations_times_their_pace(tiny):
    load = ArmRuns(tiny, frozenset((0, 1)))
    one = Cost("x", {"a": load, "b": replace(load, seeds=frozenset([0]))}, 0)
    paces = {bench_arms.setting(tiny): bench_arms.Pace(2.0, 1.0, 3.0, 5, 0.5, 10.0)}
    training, evaluation = bench_arms.spent(one, paces)
    assert training == 3 * 20 * 2.0
    points = load.points // 2
    assert evaluation == 3 * ((points * 200 + 100) * 0.5 + (points + 1) * 10.0)


def test_a_real_clock_measures_something(tiny):
    pace = bench_arms.pace(replace(tiny, probes=[]), blocks=3, limit=10)
    assert 0 < pace.least <= pace.step <= pace.most < 60
    assert pace.image > 0
    assert pace.probe == 0


def test_the_script_counts_and_times(capsys):
    words = ["experiment=null", "data=synthetic", "model.widths=[4]", "seeds=[0]", "device=cpu"]
    assert command.main([*words, "--time", "--blocks", "1"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "adhoc on synthetic" in out
    assert "On cpu, 1 thread" in out
    assert "[1/1] mlp batchnorm, batch 64: " in out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["data=cifar"], "data=cifar: expected one of cifar10, "),
        (["data=digits,cifar10"], "data=digits,cifar10: expected one data set"),
        (["experiment=claim"], "experiment=claim: expected one of "),
        (["batch_size=0"], "batch_size=0: expected an integer >= 1"),
        (["--blocks", "0"], "--blocks 0: expected at least 1"),
        (["--hours"], "unrecognized arguments: --hours"),
    ],
)
def test_bad_input_is_one_line(words, line, capsys):
    try:
        code = command.main(words)
    except SystemExit as ending:
        code = ending.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith(f"bnbench: {line}")
    assert err.count("\n") == 1


def test_a_sweep_still_needs_its_data(read, tmp_path):
    with pytest.raises(RequestError, match="cifar10"):
        read("data=cifar10", f"data.root={tmp_path}", "model=vgg11")
