"""Learning rates that are found: what is wanted of which results, and sweeps that find them."""

import csv
import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnbench import cli
from bnbench.config.arms import arm_id, science
from bnbench.config.checks import RequestError, half_decades
from bnbench.config.points import evaluation_points, last_mean
from bnbench.config.schema import TUNING_SEEDS, Batches, Criterion
from bnbench.request.bisection import rate_grid
from bnbench.request.bisection import search as search_rates
from bnbench.request.grid import MAX_JOBS
from bnbench.request.tuning import CRITERIA, mean_accuracy, plan, score, tried
from bnbench.running.launch import Work, as_job, of_job
from bnbench.sweep import sweep
from bnbench.tracking.run_dir import RunFolder

HEADER = "step,samples,split,layer,metric,value\n"
TUNED = ["norm=none", "tune.low=0.03", "tune.high=0.3"]
STABLE = ["norm=none", "tune.find=stable", "tune.low=0.1", "tune.high=10", "tune.per_decade=4"]


def test_half_decades_are_what_one_would_type():
    assert half_decades(0.003, 3) == [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
    assert half_decades(0.1 * 3, 0.3) == [0.3]
    assert half_decades(1e-9, 3e-9) == [1e-9, 3e-9]


@given(st.integers(-18, 18), st.integers(0, 10))
def test_half_decades_alternate_between_one_and_three(index, more):
    rates = half_decades(10 ** (index / 2), 10 ** ((index + more) / 2))
    assert len(rates) == more + 1
    digits = [f"{rate:e}".partition("e")[0] for rate in rates]
    assert set(digits[::2]) <= {"1.000000", "3.000000"}
    assert all(2.9 < b / a < 3.4 for a, b in pairwise(rates))


GUESS = 0.1  # of ten classes
STEPS = evaluation_points(320, 10)  # of the default arm on digits


def write_result(end, path, accuracy, curve=None, **changes):
    """The files of a run that ends at an accuracy, with it or another curve all the way."""
    path.mkdir(parents=True, exist_ok=True)
    rows = [(step, "val", accuracy if curve is None else curve(step)) for step in STEPS]
    rows += [(step, "val_all", accuracy) for step in STEPS[-5:]]
    lines = [f"{step},{64 * step},{split},,accuracy,{value!r}" for step, split, value in rows]
    (path / "metrics.csv").write_text(HEADER + "".join(f"{line}\n" for line in lines))
    end(path, **changes)


class Search:
    """An arm whose rate is to be found among made-up results."""

    def __init__(self, config, results, end):
        self.config, self.results, self.end = config, results, end

    def path(self, rate, seed):
        return RunFolder.of(self.results, arm_id(science(tried(self.config, rate))), seed).path

    def give(self, rate, *accuracies, **changes):
        """The result of a rate: one accuracy per seed."""
        for seed, accuracy in zip(self.config.tune.seeds, accuracies, strict=True):
            write_result(self.end, self.path(rate, seed), accuracy, **changes)

    @property
    def rates(self):
        return [arm.optim.base_lr for arm in plan(self.config, self.results).grid]

    @property
    def best(self):
        found = plan(self.config, self.results).best
        return found and found.optim.base_lr

    def follow(self, landscape):
        """Give what is asked for until the best rate is known; how many rounds it took."""
        rounds = 0
        while self.best is None:
            rounds += 1
            for rate in self.rates:
                self.give(rate, *[landscape(rate)] * len(self.config.tune.seeds))
        return rounds


@pytest.fixture
def search(read, end, tmp_path):
    """A search between two rates, on two seeds of two to report on."""
    (arm,) = read("norm=none", "seeds=[0,1]").arms.values()

    def between(low, high, **changes):
        tune = replace(arm.config.tune, low=low, high=high, **{"seeds": [100, 101], **changes})
        return Search(replace(arm.config, tune=tune), tmp_path / "results", end)

    return between


def near(peak):
    """Accuracies that fall on both sides of a rate."""
    return lambda rate: 0.9 - 0.1 * abs(math.log(rate / peak))


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("landscape", "tried", "best", "rounds"),
    [
        (near(0.1), [0.03, 0.1, 0.3], 0.1, 1),
        (near(0.03), [0.01, 0.03, 0.1, 0.3], 0.03, 2),
        (near(0.01), [0.003, 0.01, 0.03, 0.1, 0.3], 0.01, 3),
        (near(1), [0.03, 0.1, 0.3, 1, 3], 1, 3),
        # no further than two beyond the edge, and what is best there is taken
        (near(1e-6), [0.003, 0.01, 0.03, 0.1, 0.3], 0.003, 3),
        (near(1e6), [0.03, 0.1, 0.3, 1, 3], 3, 3),
        # of equals the smallest, which may be an edge
        (lambda rate: 0.8 if rate in (0.1, 0.3) else 0.5, [0.03, 0.1, 0.3], 0.1, 1),
        (lambda rate: 0.1, [0.003, 0.01, 0.03, 0.1, 0.3], 0.003, 3),
    ],
)
def test_the_best_rate_is_inside_what_was_tried_or_as_far_as_one_goes(
    search, landscape, tried, best, rounds
):
    one = search(0.03, 0.3)
    assert (one.rates, one.best) == ([0.03, 0.1, 0.3], None)
    assert one.follow(landscape) == rounds
    assert (one.rates, one.best) == (tried, best)


def test_a_grid_of_one_rate_and_one_that_must_not_grow(search):
    one = search(0.1, 0.1)
    one.follow(near(0.1))
    assert (one.rates, one.best) == ([0.03, 0.1, 0.3], 0.1)
    fixed = search(0.01, 0.1, extend=0)
    fixed.follow(near(10))
    assert (fixed.rates, fixed.best) == ([0.01, 0.03, 0.1], 0.1)


def test_rounding_does_not_break_a_tie(search):
    """The same number of right images on other seeds: their floating-point means differ."""
    low, high = ([k / 359 for k in right] for right in ((330, 330, 338), (330, 334, 334)))
    assert fmean(low) < fmean(high)
    one = search(0.01, 0.3, seeds=[100, 101, 102], extend=0)
    for rate, accuracies in ((0.01, [0.1] * 3), (0.03, low), (0.1, high), (0.3, [0.1] * 3)):
        one.give(rate, *accuracies)
    assert one.best == 0.03
    one.give(0.1, high[0], high[1], 335 / 359)  # one image more is better
    assert one.best == 0.1


def test_diverged_runs_count_as_measured_and_what_is_no_number_as_a_guess(search):
    one = search(0.03, 0.3)
    one.give(0.03, 0.4, 0.4)
    one.give(0.1, 0.52, 0.52)
    one.give(0.3, 0.9, math.nan, status="diverged")  # 0.5, and 0.9 were it dropped
    assert one.best == 0.1
    one.give(0.1, 0.48, 0.48)  # more than were it 0
    assert one.rates[-1] == 1
    one.give(0.1, 0.6, 0.5, status="diverged")
    assert one.best == 0.1
    for rate in (0.03, 0.1, 0.3):
        one.give(rate, math.nan, math.nan, status="diverged")
    assert one.rates[0] == 0.01  # nothing is best, and the smallest of equals is an edge


def test_the_score_of_a_run_by_hand():
    def by(criterion, *curve):
        return score(criterion, curve, 100, GUESS)

    assert by("accuracy", [60, 70, 80, 90, 100], [0.6, 0.7, 0.6, 0.7, 0.6]) == pytest.approx(0.64)
    whole = [10, 60, 70, 80, 90, 100], [0.4, 0.7, 0.7, 0.7, 0.7, 0.7]
    # (10·0.4 + 50·0.55 + 40·0.7)/100
    assert by("area", *whole) == pytest.approx(0.595)
    # a run that broke off at step 60 has one evaluation of all images, and guesses for the rest
    assert by("accuracy", [60], [0.7]) == pytest.approx((0.7 + 4 * GUESS) / 5)
    broken = (10 * 0.4 + 50 * 0.55 + 40 * GUESS) / 100
    assert by("area", [10, 60], [0.4, 0.7]) == pytest.approx(broken)
    # and one without numbers is a guess
    for criterion in Criterion:
        assert by(criterion, [10, 60], [math.nan, math.nan]) == pytest.approx(GUESS)
    assert mean_accuracy([0.7, None, math.nan], GUESS) == pytest.approx(0.9 / 3)


@given(st.floats(0, 1), st.integers(1, 8), st.integers(80, 200))
def test_a_constant_curve_to_the_end_has_its_value_by_either_criterion(value, number, budget):
    steps = [budget - 10 * k for k in reversed(range(number))]
    ends = ([*range(5)], [value] * 5)
    assert score(Criterion.area, (steps, [value] * number), budget, GUESS) == pytest.approx(value)
    for criterion in (Criterion.accuracy, Criterion.tasks):
        assert score(criterion, ends, budget, GUESS) == pytest.approx(value)


def test_a_run_without_the_curve_that_judges_it_cannot_be_compared():
    for by, curve in (
        ("accuracy", ([], [])),
        ("area", ([], [])),
        ("area", ([200], [0.5])),
        ("area", ([20, 10], [0.5, 0.5])),
    ):
        with pytest.raises(ValueError, match=r"no points|growing"):
            score(by, curve, 100, GUESS)


def test_the_criterion_decides_which_rate_is_the_best(search):
    """One rate is quick and ends lower, another slow and ends higher."""
    landscape = {
        0.03: {"accuracy": 0.5},
        0.1: {"accuracy": 0.9, "curve": lambda step: 0.9 if step > 280 else 0.1},
        0.3: {"accuracy": 0.8},
        1.0: {"accuracy": 0.5},
    }
    for by, best in (("accuracy", 0.1), ("area", 0.3)):
        one = search(0.03, 1, by=Criterion(by))
        for rate, told in landscape.items():
            one.give(rate, *[told["accuracy"]] * 2, curve=told.get("curve"))
        assert one.best == best


def test_rates_may_be_compared_on_another_kind_of_batches_than_is_reported(search):
    one = search(0.03, 0.3, batches=Batches.frozen)
    assert {arm.data.batches for arm in plan(one.config, one.results).grid} == {"frozen"}
    one.follow(near(0.1))
    found = plan(one.config, one.results)
    assert found.best.data.batches == "reshuffled"
    assert (found.best.optim.base_lr, found.best.seeds) == (0.1, [0, 1])
    ordinary = search(0.03, 0.3)
    assert plan(ordinary.config, ordinary.results).best is None  # its grid is another


def test_rates_are_compared_by_the_runs_of_the_arm_without_probes_of_the_end(read, end):
    """The best arm measures all that is asked, and a figure may show it before it is found."""
    shown = "report.figures=[{kind: versus, title: T, x: optim.lr, y: test/pgd_3}]"
    asked = [*TUNED, "seeds=[0,1]", "probes=[gradients,adversarial]", shown]
    plain = read(*TUNED, "seeds=[0,1]", "probes=[gradients]")
    request = read(*asked)
    assert request.arms.keys() == plain.arms.keys()
    fill(request, near(0.1), end)
    (best,) = read(*asked).arms.keys() - read(*TUNED, "seeds=[0,1]", "probes=[gradients]").arms
    found = read(*asked).arms[best].config
    assert (found.probes, found.optim.base_lr) == (["gradients", "adversarial"], 0.1)


def test_a_result_is_read_once_while_its_files_are_as_they_were(search, monkeypatch):
    one = search(0.03, 0.3)
    one.follow(near(0.1))
    read = RunFolder.read_summary
    asked = []
    monkeypatch.setattr(RunFolder, "read_summary", lambda run: asked.append(run) or read(run))
    assert one.best == 0.1
    assert asked == []
    one.give(0.3, 0.95, 0.95)
    assert one.best is None  # an edge
    assert [run.path for run in asked if run.path.exists()] == [
        one.path(0.3, seed) for seed in (100, 101)
    ]


def test_a_result_that_cannot_be_compared_is_one_line(search, read):
    one = search(0.03, 0.3)
    one.follow(near(0.1))
    path = one.path(0.1, 101)
    (path / "metrics.csv").write_text(HEADER + "320,20480,val,,accuracy,0.5\n")
    one.end(path)
    with pytest.raises(RequestError) as refusal:
        read("norm=none", "tune.low=0.03", "tune.high=0.3", "tune.seeds=[100,101]")
    assert str(refusal.value).startswith(f"{path / 'metrics.csv'}: no points of val_all/accuracy")


def altered(file):
    file.write_text(file.read_text().replace("accuracy,0.", "accuracy,0.1"))


@pytest.mark.parametrize("file", ["summary.json", "metrics.csv"])
@pytest.mark.parametrize("harm", [Path.unlink, lambda file: file.write_text("{"), altered])
def test_a_result_that_is_gone_or_damaged_is_wanted_again(search, file, harm):
    if (file, harm) == ("summary.json", altered):
        return  # it holds no accuracy
    one = search(0.03, 0.3)
    one.follow(near(0.03))
    harm(one.path(0.1, 101) / file)
    assert (one.rates, one.best) == ([0.03, 0.1, 0.3], None)
    one.give(0.1, 0.7, 0.7)
    assert (one.rates, one.best) == ([0.01, 0.03, 0.1, 0.3], 0.03)


def fill(request, landscape, end):
    """Made-up results for all that a request asks for."""
    for arm in request.arms.values():
        for seed in arm.config.seeds:
            path = RunFolder.of(request.results, arm.id, seed).path
            write_result(end, path, landscape(arm.config.optim.base_lr))


@pytest.mark.slow
def test_a_request_wants_the_grid_and_then_the_arm_at_the_best_rate(read, end):
    request = read(*TUNED, "seeds=[0,1]", "shift=blur")
    assert [arm.config.optim.base_lr for arm in request.arms.values()] == [0.03, 0.1, 0.3]
    assert {tuple(arm.config.seeds) for arm in request.arms.values()} == {tuple(range(100, 105))}
    assert not any(arm.config.shift.names for arm in request.arms.values())
    assert (request.tuned, request.found, request.duplicates) == (1, 0, 0)
    fill(request, near(0.1), end)
    request = read(*TUNED, "seeds=[0,1]", "shift=blur")
    assert (request.tuned, request.found, request.duplicates) == (1, 1, 0)
    (ordinary,) = read("norm=none", "optim.base_lr=0.1", "seeds=[0,1]").arms
    (experiment,) = request.experiments
    assert [seeds for arm, seeds in experiment.runs.items() if arm != ordinary] == [
        [100, 101, 102, 103, 104]
    ] * 2
    assert experiment.runs[ordinary] == [0, 1, 100, 101, 102, 103, 104]
    assert experiment.tune == {
        "seeds": [100, 101, 102, 103, 104], "low": 0.03, "high": 0.3, "by": "accuracy",
        "arms": [ordinary],
    }  # fmt: skip
    assert request.arms[ordinary].config.shift.names == ["blur"]


@pytest.mark.slow
def test_a_worker_composes_the_ordinary_arm_and_finds_nothing_itself(read, end):
    for _ in range(2):
        request = read(*TUNED, "optim=adam", "seeds=[4,2]")
        for arm in request.arms.values():
            again = of_job(as_job(arm.config))
            assert arm_id(science(again)) == arm.id
            assert again.seeds == arm.config.seeds
            assert again.tune.low is again.tune.high is None
        fill(request, near(0.1), end)
    assert request.found == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "search", [[*TUNED, "tune.batches=two_classes", "probes=[ablation,gradients]"], STABLE]
)
def test_a_worker_composes_what_a_search_tries(read, end, search):
    """Batches of two classes while rates are compared, then the arm's own; bisected rates."""
    kinds = []
    for _ in range(2):
        request = read(*search, "data.batches=frozen", "seeds=[4,2]")
        for arm in request.arms.values():
            again = of_job(as_job(arm.config))
            assert arm_id(science(again)) == arm.id
            assert again.seeds == arm.config.seeds
            kinds.append((again.data.batches, again.seeds[0] in TUNING_SEEDS))
        fill(request, near(0.1), end)
    tunes = "tune.batches=two_classes" in search
    assert (
        set(kinds) == {("two_classes", True), ("frozen", False)} if tunes else {("frozen", False)}
    )


@pytest.mark.slow
def test_equal_searches_are_one_and_arms_may_have_their_own(read):
    grid = "placement=pre,post"
    request = read(*TUNED, grid, multirun=True)
    assert (len(request.arms), request.tuned, request.duplicates) == (3, 1, 3)
    request = read(
        "arms=[{norm:none,tune.low:0.3,tune.high:1},{norm:layernorm,tune.low:1,tune.high:1},"
        '{norm:batchnorm,tune.low:"null",tune.high:"null"}]'
    )
    rates = {}
    for arm in request.arms.values():
        rates.setdefault(arm.config.norm.name, []).append(arm.config.optim.base_lr)
    assert rates == {"none": [0.3, 1.0], "layernorm": [1.0], "batchnorm": [0.1]}
    assert (request.tuned, request.duplicates) == (2, 0)
    # an ordinary arm at a rate that is tried is the same arm
    request = read("arms=[{tune.low:0.1,tune.high:0.3},{optim.base_lr:0.3}]")
    (experiment,) = request.experiments
    tuning = [100, 101, 102, 103, 104]
    assert list(experiment.runs.values()) == [tuning, [0, 1, 2, *tuning]]
    assert request.duplicates == 1


def test_a_net_without_a_rate_in_the_table_can_be_tuned(read):
    with pytest.raises(RequestError, match="no rate is tuned"):
        read("~tuned_lr.sgd.mlp.digits")
    request = read("~tuned_lr.sgd.mlp.digits", *TUNED)
    assert [arm.config.optim.base_lr for arm in request.arms.values()] == [0.03, 0.1, 0.3]


class Bisection:
    """A request for the largest stable rates, of seeds that each fail above a rate of its own."""

    def __init__(self, read, end, limits):
        self.read, self.end, self.limits = read, end, limits
        self.overrides = [*STABLE, f"seeds={[*limits]}".replace(" ", "")]

    def now(self):
        """Rate -> seeds that are asked for, and whether all is found."""
        request = self.read(*self.overrides)
        rates = {arm.config.optim.base_lr: arm.config.seeds for arm in request.arms.values()}
        return rates, request.found == request.tuned

    def follow(self, *outcomes):
        """Give what is asked for until all is found; how many rounds it took."""
        rounds = 0
        while not (told := self.now())[1]:
            rounds += 1
            for arm in self.read(*self.overrides).arms.values():
                self.give(arm, *outcomes)
        return rounds, told[0]

    def give(self, arm, *outcomes):
        for seed in arm.config.seeds:
            path = Path(arm.config.results) / "runs" / arm.id / f"seed-{seed}"
            fails = arm.config.optim.base_lr > self.limits[seed]
            changes = outcomes[seed % len(outcomes)] if fails else {}
            write_result(self.end, path, 0.1 if fails else 0.9, **changes)


LOST, STUCK = {"status": "diverged"}, {"stuck": True}


def test_each_seed_is_bisected_and_seeds_that_want_one_rate_share_an_arm(read, end):
    """Rates 0.1, 0.178, …, 10: nine of them, so that four runs at most tell each seed's place."""
    one = Bisection(read, end, {0: 1.0, 1: 2.0, 2: 0.05, 3: 20.0, 104: 1.5})
    assert one.now() == ({1.0: [0, 1, 2, 3, 104]}, False)
    rounds, rates = one.follow(LOST, STUCK)
    assert rounds == 4
    tried = {seed: [rate for rate in rates if seed in rates[rate]] for seed in one.limits}
    assert tried == {
        0: [1.0, 1.78, 3.16],
        1: [1.0, 1.78, 3.16],
        2: [0.1, 0.178, 1.0],
        3: [1.0, 3.16, 5.62, 10.0],
        104: [1.0, 1.78, 3.16],
    }


def test_bisected_runs_are_reported_and_tune_nothing(read, end):
    one = Bisection(read, end, {0: 1.0, 104: 1.0})
    one.follow(LOST)
    request = read(*one.overrides, "shift=blur")
    (experiment,) = request.experiments
    assert experiment.tune is None
    assert all(seeds == [0, 104] for seeds in experiment.runs.values())
    assert all(arm.config.shift.names == ["blur"] for arm in request.arms.values())
    # beside an arm that is tuned, its seeds are still no tuning seeds
    arms = "arms=[{tune.find:stable,tune.low:0.1,tune.high:10,norm:none},{tune.low:1,tune.high:1}]"
    (experiment,) = read(arms, "tune.per_decade=4", "seeds=[0,1]").experiments
    assert experiment.tune["seeds"] == [100, 101, 102, 103, 104]
    assert (experiment.tune["low"], experiment.tune["high"]) == (1, 1)
    with pytest.raises(RequestError, match=r"seeds=\[0,104\]: rates are tuned on 104"):
        read(arms, "seeds=[0,104]")


def test_a_bisected_run_that_is_damaged_is_wanted_again(read, end):
    one = Bisection(read, end, {0: 1.0})
    _, rates = one.follow(STUCK)
    first = next(arm for arm in read(*one.overrides).arms.values() if arm.config.optim.base_lr == 1)
    (Path(first.config.results) / "runs" / first.id / "seed-0" / "metrics.csv").write_text("x")
    assert one.now() == ({1.0: [0]}, False)
    one.give(first, STUCK)
    assert one.now() == (rates, True)


def test_what_a_search_will_want_later_is_told_with_the_most_runs_of_each_seed(read, end):
    one = Bisection(read, end, {0: 1.0, 1: 20.0})
    one.give(*read(*one.overrides).arms.values(), LOST)
    job = read(*one.overrides).jobs[0]
    # above 1 there are four rates, 1.78 to 10: the second of them next, and two more runs at most
    assert [arm.optim.base_lr for arm in job.plan.grid] == [1.0, 3.16]
    assert [config.seeds for config in job.plan.later] == [[0, 1], [0, 1]]
    one.follow(LOST)
    assert read(*one.overrides).jobs[0].plan.later == []


REFUSED = [
    (["tune.low=0.01"], "tune.low=0.01 tune.high=null: expected both or none"),
    (["tune.high=1"], "tune.low=null tune.high=1: expected both or none"),
    (["tune.low=1", "tune.high=0.1"], "tune.low=1 tune.high=0.1: expected low <= high"),
    (["tune.low=0.02", "tune.high=1"], "tune.low=0.02: expected null or 1 or 3 times a power"),
    (["tune.low=0.01", "tune.high=0.5"], "tune.high=0.5: expected null or 1 or 3 times a powe"),
    (["tune.low=0", "tune.high=1"], "tune.low=0: expected null or 1 or 3 times a power of ten"),
    (["tune.low=nan", "tune.high=1"], "tune.low=nan: expected null or 1 or 3 times a power of"),
    (["tune.low=1e-12", "tune.high=1"], "tune.low=1e-12: expected null or 1 or 3 times a powe"),
    (["tune.low=slow", "tune.high=1"], "tune.low=slow: Value 'slow' of type 'str'"),
    ([*TUNED, "tune.seeds=[]"], "tune.seeds=[]: expected a non-empty list of distinct"),
    ([*TUNED, "tune.seeds=[99]"], "tune.seeds=[99]: expected a non-empty list of distinct inte"),
    (["tune.seeds=[100,200]"], "tune.seeds=[100,200]: expected a non-empty list of distinct inte"),
    ([*TUNED, "tune.extend=-1"], "tune.extend=-1: expected an integer >= 0 and <= 20"),
    ([*TUNED, "seeds=[0,101]"], "seeds=[0,101]: rates are tuned on 101 (tune.seeds=[100,101,"),
    (
        ['arms=[{tune.low:1,tune.high:1},{seeds:"[102]"}]'],
        "seeds=[102]: rates are tuned on 102",
    ),
    (
        [*TUNED, "batch_size=32", "optim.lr_scaling=sqrt"],
        "optim.lr_scaling=sqrt: expected none",
    ),
    ([*TUNED, "optim.lr_mult=5"], "optim.lr_mult=5: expected 1 where tune.low and tune.high"),
    ([*TUNED, "optim.base_lr=0.1"], "optim.base_lr=0.1: expected none where tune.low and tune"),
    (["tune.low=0.01,0.1", "tune.high=1"], "tune.low=0.01,0.1: cannot be swept, expected one"),
    (["arms=[{tune.low:'0.01,0.1'}]"], "tune.low=0.01,0.1: cannot be swept, expected one"),
    (["tune.low=range(1,3)"], "tune.low=range(1,3): cannot be swept, expected one value"),
    (["tune.lo=1"], "tune.lo: no such key, expected one of"),
    ([*TUNED, "tune.by=speed"], "tune.by=speed: expected one of accuracy, area, tasks"),
    ([*TUNED, "tune.batches=odd"], "tune.batches=odd: expected one of reshuffled, frozen, two"),
    ([*TUNED, "tune.batches=[]"], "tune.batches=[]: "),
    ([*TUNED, "tune.find=worst"], "tune.find=worst: expected one of best, stable"),
    ([*TUNED, "tune.per_decade=0"], "tune.per_decade=0: expected an integer >= 1 and <= 64"),
    (["tune.per_decade=65"], "tune.per_decade=65: expected an integer >= 1 and <= 64"),
    (["tune.find=stable"], "tune.find=stable: expected tune.low and tune.high with it"),
    (
        ["tune.find=stable", "tune.low=1", "tune.high=1"],
        "tune.low=1 tune.high=1: expected low < high with tune.find=stable",
    ),
    (
        [*STABLE, "tune.batches=frozen"],
        "tune.batches=frozen: expected null with tune.find=stable, whose runs are those that",
    ),
    (
        [*TUNED, "tune.batches=two_classes", "batch_size=512"],
        "batch_size=512: expected 2 to 161 with tune.batches=two_classes, what any two classes",
    ),
    (
        ["arms=[{tune.low:1,tune.high:1},{tune.low:1,tune.high:1,tune.by:area}]"],
        "tune.by=accuracy and area: expected one for all arms that are tuned",
    ),
]


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("overrides", "line"), REFUSED)
def test_a_search_that_cannot_be_made_is_refused_in_one_line(read, tmp_path, overrides, line):
    with pytest.raises(RequestError) as refusal:
        read(*overrides, multirun=True)
    assert str(refusal.value).startswith(line)
    assert list(tmp_path.iterdir()) == []


def test_the_arms_that_are_tried_count_as_jobs(read, monkeypatch):
    monkeypatch.setattr(cli, "MAX_JOBS", 5)
    assert MAX_JOBS > 5
    with pytest.raises(RequestError, match=r"^tune\.low=0\.03 tune\.high=0\.3: expected at most"):
        read(*TUNED, "batch_size=32,64", multirun=True)
    read(*TUNED, "batch_size=32")


def test_what_failed_in_an_earlier_round_is_not_tried_again(read):
    work = Work(read(*TUNED))
    (first, second), *_ = (runs[:2] for runs in work.lacking().values())
    work.fail(first, "no queue")
    second.path.mkdir(parents=True)
    second.error.write_text("a bad disk")
    later = Work(read(*TUNED), work)
    assert {first, second} == set(later.arm_of) - {p for ps in later.lacking().values() for p in ps}
    assert (later.reason(first), later.reason(second)) == ("no queue", "a bad disk")


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Sweep digits in this process, two steps a run; what was printed, and the exit code."""
    for name in ("WANDB_MODE", "WANDB_PROJECT", "WANDB_ENTITY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def command(*overrides):
        outcome = sweep([
            "train.steps=2", "track=csv", "device=cpu", "hydra.launcher.n_jobs=1",
            "seeds=[0,1]", "tune.seeds=[100,101]", *overrides,
        ])  # fmt: skip
        code = outcome if isinstance(outcome, int) else outcome.exit_code
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return command


def accuracies(arm):
    """What the tuning runs of an arm are compared by."""
    for path in sorted(arm.glob("seed-10?/metrics.csv")):
        with path.open() as file:
            rows = [
                r for r in csv.DictReader(file) if (r["split"], r["metric"]) == CRITERIA["accuracy"]
            ]
        yield last_mean([float(row["value"]) for row in rows], GUESS)


@pytest.mark.slow
def test_a_sweep_finds_the_rate_trains_the_arm_at_it_and_then_nothing_more(run):
    arguments = ["norm=none", "tune.low=0.0003", "tune.high=0.001", "tune.extend=2"]
    code, said = run(*arguments)
    assert code == 0
    assert "tuning: round 1, 0 of 1 learning rate found\n2 arms, 4 runs: 0 done" in said
    assert "tuning: round 2, 0 of 1 learning rate found\n3 arms, 6 runs: 4 done already, 2" in said
    folder = Path("results/experiments/adhoc/digits")
    facts = json.loads((folder / "experiment.json").read_text())
    (best,) = facts["tune"]["arms"]
    means = {arm.name: fmean(accuracies(arm)) for arm in Path("results/runs").iterdir()}
    assert means[best] == max(means.values())
    with (folder / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["status"] for row in rows} == {"done"}
    assert sorted(float(row["optim.base_lr"]) for row in rows)[:: len(rows) - 1] == [
        facts["tune"]["low"],
        facts["tune"]["high"],
    ]
    assert [int(row["seed"]) for row in rows if row["arm"] == best] == [0, 1, 100, 101]
    assert {int(row["seed"]) for row in rows if row["arm"] != best} == {100, 101}

    written = {path: path.stat().st_mtime_ns for path in Path("results/runs").rglob("summary.json")}
    code, said = run(*arguments)
    assert code == 0
    assert (
        f"1 of 1 learning rate found\n{len(means)} arms, {len(rows)} runs: {len(rows)} done "
        in said
    )
    assert said.count("to train") == said.count(", 0 to train") == 1
    now = {path: path.stat().st_mtime_ns for path in Path("results/runs").rglob("summary.json")}
    assert now == written
    # one run that is lost is one run that is trained
    next(path for path in written if path.parent.name == "seed-100").unlink()
    code, said = run(*arguments)
    assert code == 0
    assert "1 to train" in said
    assert "1 run finished" in said
    # other seeds to report on are trained at the rate that is known
    code, said = run(*arguments, "seeds=[5]")
    assert code == 0
    assert "tuning: round 1, 1 of 1 learning rate found" in said
    assert ", 1 to train" in said


@pytest.mark.slow
def test_a_sweep_bisects_and_then_has_nothing_more_to_do(run):
    """Rates of 1 to 1,000 for two steps: the smallest may train, and the largest diverge."""
    arguments = [
        "norm=none", "tune.find=stable", "tune.low=1", "tune.high=1000", "tune.per_decade=2",
        "train.steps=20",
    ]  # fmt: skip
    code, said = run(*arguments)
    assert code == 0
    assert "tuning: round 1, 0 of 1 learning rate found\n1 arm, 2 runs: 0 done already, 2" in said
    folder = Path("results/experiments/adhoc/digits")
    assert json.loads((folder / "experiment.json").read_text())["tune"] is None
    with (folder / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    rates = rate_grid(1, 1000, 2)
    for seed in "01":
        own = [row for row in rows if row["seed"] == seed]
        trains = {
            rates.index(float(row["optim.base_lr"])): row["status"] == "done"
            and row["stuck"] == "False"
            for row in own
        }
        assert search_rates(len(rates), trains.get).middle is None
        assert set(search_rates(len(rates), trains.get).tried) == set(trains)
    code, said = run(*arguments)
    assert code == 0
    assert "tuning: round 1, 1 of 1 learning rate found" in said
    assert ", 0 to train" in said


@pytest.mark.slow
def test_a_grid_that_fails_ends_the_search_of_its_arm_and_of_no_other(run):
    arguments = ["-m", "norm=none,batchnorm", "tune.low=0.1", "tune.high=0.1", "tune.extend=0"]
    code, said = run(*arguments, "tune.seeds=[100]", "seeds=[0]")
    assert code == 0
    (arm,) = Path("results/runs").glob("mlp-none-*")
    run_folder = arm / "seed-100"
    (run_folder / "summary.json").unlink()
    (run_folder / "metrics.csv").unlink()
    (run_folder / "metrics.csv").mkdir()  # where a file should be
    for path in Path("results/runs").glob("*/seed-0/summary.json"):
        path.unlink()
    code, said = run(*arguments, "tune.seeds=[100]", "seeds=[0]")
    assert code == 1
    assert f"FAILED {arm.name} seed 100: " in said
    assert said.count("FAILED") == 1
    assert "1 of 2 runs failed" in said
    assert [
        path.parts[2].split("-")[1] for path in Path("results/runs").glob("*/seed-0/summary.json")
    ] == ["batchnorm"]
