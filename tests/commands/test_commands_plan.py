"""`make plan`: its counts by hand, what is done or missing, and where its times come from."""

import json
import re

import pytest

from bnbench import ROOT
from bnbench.commands import plan
from bnbench.config.checks import RequestError
from bnbench.config.schema import SCHEMA
from bnbench.running.estimate import START
from bnbench.tracking.run_dir import RunFolder

EPOCHS_60 = 60 * (40_000 // 128)  # steps: 18,720
AT_BATCH = sum(10 * (40_000 // size) for size in (2, 16, 64))  # of one run at each size

# arms, runs, steps, and runs that grids may grow by
BY_HAND = {
    # 2 norms × 3 rates × 10 seeds, 3 decaying × 5, the net without norm on 5 more
    "claim_rates": (9, 60 + 15 + 5, 80 * EPOCHS_60, 0),
    # 4 nets × (6 rates × 5 seeds, then 5 seeds at the rate found); 2 rates more at either end
    "claim_accuracy": (4 * 7, 4 * 35, 4 * 35 * EPOCHS_60, 4 * 4 * 5),
    "claim_ics": (4, 20, 20 * 15_000, 0),
    "claim_landscape": (2, 10, 10 * 15_000, 0),
    "claim_ghost": (5, 25, 25 * 100 * 19, 0),
    # 2 norms × 3 sizes × (5 rates × 1 seed, then 5 seeds)
    "claim_batch": (2 * 3 * 6, 60, 2 * 10 * AT_BATCH, 6 * 4),
    # 2 nets × (3 rates × 1 seed, then 5 seeds)
    "claim_shift": (2 * 4, 16, 16 * EPOCHS_60, 2 * 4),
}


@pytest.fixture(scope="module")
def programme(tmp_path_factory):
    """All experiments of the claims on CIFAR-10, whose files are not there."""
    nowhere = tmp_path_factory.mktemp("none")
    words = ["claims=all", "data=cifar10", f"data.root={nowhere}", f"results={nowhere}/results"]
    return plan.planned(plan.requested(words))


def sums(rows):
    """Arms, runs, steps, and runs that grids may grow by."""
    runs = {run: load for row in rows for run, load in row.runs.items()}
    arms = {arm for arm, _ in runs}
    steps = sum(load.steps for load in runs.values())
    return len(arms), len(runs), steps, sum(row.more for row in rows)


@pytest.mark.slow
def test_the_programme_is_counted_as_by_hand(programme):
    found = {name.removesuffix(" on cifar10"): sums(rows) for name, rows in programme.items()}
    assert found == BY_HAND
    whole = sums([row for rows in programme.values() for row in rows])
    assert whole == tuple(map(sum, zip(*BY_HAND.values(), strict=True)))


@pytest.mark.slow
def test_the_page_says_what_the_tool_says(programme):
    page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    for name, rows in programme.items():
        _, runs, steps, more = sums(rows)
        assert f"| `{name.removesuffix(' on cifar10')}` | {runs} | {steps:,} | {more} |" in page
    _, runs, steps, more = sums([row for rows in programme.values() for row in rows])
    assert f"| together | {runs} | {steps:,} | {more} |" in page


SMALL = ("data=synthetic", "model.widths=[4]", "batch_size=8", "train.steps=20", "device=cpu")


@pytest.fixture
def told(capsys, tmp_path, monkeypatch):
    """What the command prints of a request in an empty folder, line by line."""
    monkeypatch.chdir(tmp_path)

    def lines(*words, seconds=0):
        assert plan.main([*SMALL, *words, f"--seconds={seconds}"]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        assert max(map(len, out.splitlines())) <= 100
        return [line.rstrip() for line in out.splitlines()]

    return lines


@pytest.fixture
def finish(end, tmp_path):
    """Finish every run of the first arm of a request, as training here does."""

    def all_of(*words):
        results = tmp_path / "results"
        request = plan.requested([*SMALL, *words, f"results={results}"])
        arm = next(iter(request.arms.values()))
        for run in (RunFolder.of(results, arm.id, seed) for seed in arm.config.seeds):
            run.path.mkdir(parents=True)
            run.meta.write_text(json.dumps({"schema": SCHEMA, "device": "cpu"}))
            end(run.path)

    return all_of


def test_a_plan_of_what_is_there_and_what_is_not(told, tmp_path, finish):
    words = ("norm=none,batchnorm", "seeds=[0,1]")
    finish(*words)
    before = sorted(tmp_path.rglob("*"))
    lines = told(*words)
    assert sorted(tmp_path.rglob("*")) == before  # nothing is written
    assert lines[0].startswith("Times: 2 finished runs in results, 1 net guessed from the others")
    assert "adhoc on synthetic: 2 arms, 4 runs" in lines
    assert any(re.fullmatch(r" +2/2 +– +no norm", line) for line in lines)
    assert any(re.fullmatch(r" +0/2 +0:00 +BatchNorm", line) for line in lines)
    assert "2 arms, 4 runs: 2 done, 2 to train in 40 steps" in lines
    assert lines[-1].startswith("about 0:05 with ")  # the start of a worker


def test_an_arm_that_nothing_tells_from_the_default_has_words_too(told):
    lines = told(
        "model=residual_mlp", "model.order=original,norm_after_addition,full_preactivation"
    )
    assert [line.endswith("  as by default") for line in lines].count(True) == 1


def test_nothing_to_do(told, finish):
    finish("seeds=[0]")
    lines = told("seeds=[0]")
    assert lines[0] == "Times: none are needed"
    assert lines[-1] == "1 arm, 1 run: 1 done, 0 to train, nothing to do"


def test_a_long_list_is_cut_where_it_says_so(told):
    many = f"optim.lr_mult={','.join(map(str, range(1, 41)))}"
    lines = told(many, "seeds=[0]")
    assert len(lines) < 30
    assert any(re.fullmatch(r" +… +0:0\d +20 more arms \(--all lists them\)", x) for x in lines)
    assert sum("×" in line for line in told(many, "--all")) == 40


@pytest.mark.slow
def test_an_arm_of_two_experiments_is_counted_once(capsys, tmp_path):
    words = ["experiment=placement,lr_mult", f"results={tmp_path}/results", "--seconds=0"]
    assert plan.main(words) == 0
    out = capsys.readouterr().out
    # no norm and BN before the activation, as MLP and as VGG, at the base rate
    assert len(re.findall(r" above  ", out)) == 4
    assert "18 arms, 72 runs: 0 done, 72 to train" in out


def test_a_rate_that_is_to_be_found_is_a_line_with_all_its_runs(told):
    lines = told("tune.low=0.01", "tune.high=0.1", "tune.seeds=[109]", "seeds=[0,1]")
    # three half decades on one seed, then two seeds; one rate more at most at either end
    assert any(re.search(r" 0/5 .*rate to be found$", line) for line in lines)
    assert any(line.startswith("at most 4 runs more") for line in lines)


def test_a_bisection_is_counted_with_the_most_runs_that_each_seed_may_take(told, tmp_path):
    """Of 17 rates, of which some or none train, one is found by 5 runs, ⌈log2(17 + 1)⌉."""
    words = ("tune.find=stable", "tune.low=0.1", "tune.high=10", "seeds=[0,1,2]")
    lines = told(*words)
    assert any(re.search(r" 0/15 .*rate to be found$", line) for line in lines)
    assert any(line.endswith("15 runs: 0 done, 15 to train in 300 steps") for line in lines)
    assert not any("more" in line for line in lines)


def test_a_net_is_timed_once_for_all_of_its_rates(told):
    lines = told("optim.lr_mult=1,5", "norm=none,batchnorm", seconds=60)
    assert re.match(r"Times: 0 finished runs in results, 2 nets timed here for \d+ s$", lines[0])


def test_minutes_are_those_of_the_workers(told, monkeypatch):
    monkeypatch.setattr(plan.Estimate, "seconds", lambda self, load: 60.0)
    words = ("norm=none,layernorm,groupnorm", "model.widths=[8]", "seeds=[0,1]")
    assert told(*words, "hydra.launcher.n_jobs=2")[-1].startswith(
        "about 4:05 with 2 workers (6:00 of work)"
    )
    assert told(*words, "hydra.launcher.n_jobs=3")[-1].startswith("about 2:05 with 3 workers")
    assert START == 5


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["data=cifar"], "data=cifar: expected one of cifar10, "),
        (["claims=all", "data=digits,cifar10"], "data=digits,cifar10: expected one data set"),
        (["claims=C77"], "claims=C77: expected one of "),
        (["experiment=claim"], "experiment=claim: expected one of "),
        (["batch_size=0"], "batch_size=0: expected an integer >= 1"),
        (["--seconds", "-1"], "--seconds -1: expected at least 0"),
        (["--hours"], "unrecognized arguments: --hours"),
    ],
)
def test_bad_input_is_one_line(words, line, capsys):
    try:
        code = plan.main(words)
    except SystemExit as ending:
        code = ending.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith(f"bnbench: {line}")
    assert err.count("\n") == 1


def test_a_sweep_still_needs_its_data(read, tmp_path):
    with pytest.raises(RequestError, match="cifar10"):
        read("data=cifar10", f"data.root={tmp_path}", "model=vgg11")
