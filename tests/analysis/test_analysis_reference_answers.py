"""The answers of the five experiments, calculated by hand from the committed runs.csv."""

import csv
import math
from statistics import fmean, stdev

import pytest

from bnbench import ROOT
from bnbench.analysis.summary import summarise

REFERENCE = ROOT / "results" / "reference" / "experiments"
README = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
T = {3: 4.302652729911275, 5: 2.7764451051977987}  # the 97.5 % quantile of Student's t, n - 1


def rows(name, **wanted):
    """The rows of runs.csv that have some values; in the names of columns `__` is the dot."""
    with (REFERENCE / name / "digits" / "runs.csv").open(newline="", encoding="utf-8") as file:
        return [
            row
            for row in csv.DictReader(file)
            if all(row[key.replace("__", ".")] == value for key, value in wanted.items())
        ]


def by_seed(runs, value=lambda run: 100 * float(run["test/accuracy"])):
    found = {int(run["seed"]): value(run) for run in runs}
    assert len(found) == len(runs)
    return found


def interval(one, other):
    differences = [one[seed] - other[seed] for seed in sorted(one)]
    mean, n = fmean(differences), len(differences)
    half = T[n] * stdev(differences) / math.sqrt(n)
    return mean, mean - half, mean + half, n


def trained(runs):
    return [run["status"] == "done" and run["stuck"] == "False" for run in runs]


def numbers(low, high, decimals=2):
    return f"95 % interval {low:.{decimals}f} to {high:.{decimals}f}, n = "


@pytest.fixture
def told():
    """What answers an experiment, as text."""

    def tell(name):
        return [str(answer) for answer in summarise(REFERENCE / name / "digits").answers]

    return tell


@pytest.mark.parametrize("name", ["placement", "lr_mult", "batch_size", "shift", "sigmoid"])
def test_readme_tells_the_same_sentences(told, name):
    for sentence in told(name):
        assert sentence.rstrip(".") in README


def test_placement(told):
    (sentence,) = told("placement")
    for model in ("mlp", "vgg"):
        own = {"model__name": model, "norm__name": "batchnorm"}
        post, pre = (by_seed(rows("placement", placement=p, **own)) for p in ("post", "pre"))
        mean, low, high, n = interval(post, pre)
        shown = low > 0 or high < 0
        words = f"{abs(mean):.2f} points {'higher' if mean > 0 else 'lower'}"
        words = words if shown else "no difference shown"
        averages = f"{fmean(post.values()):.1f} % against {fmean(pre.values()):.1f} %"
        expected = f"{model.upper()}: {words} ({averages}; {numbers(low, high)}{n})"
        assert expected in sentence


def test_lr_mult(told):
    trains, speed = told("lr_mult")
    for model in ("mlp", "vgg"):
        for norm, words in (("batchnorm", "with BatchNorm"), ("none", "without a norm")):
            own = {"model__name": model, "norm__name": norm}
            at = {m: rows("lr_mult", optim__lr_mult=f"{m}.0", **own) for m in (1, 5, 30)}
            part = trains.partition(f"{model.upper()} {words}: ")[2].partition(";")[0]
            for mult in (5, 30):
                done = trained(at[mult])
                if all(done):
                    _, low, high, n = interval(by_seed(at[mult]), by_seed(at[1]))
                    assert f"×{mult} trains, " in part
                    assert f"({numbers(low, high)}{n})" in part
                elif any(done):
                    assert f"×{mult} trains in {sum(done)} of {len(done)} runs" in part
                else:
                    assert f"×{mult} does not train (n = {len(done)})" in part
    for model in ("mlp", "vgg"):
        own = {"model__name": model, "norm__name": "batchnorm"}
        five, one = (
            by_seed(
                rows("lr_mult", optim__lr_mult=m, **own),
                lambda run: math.log(float(run["steps_to/0.9"])),
            )
            for m in ("5.0", "1.0")
        )
        mean, low, high, n = interval(one, five)
        assert f"{numbers(math.exp(low), math.exp(high))}{n})" in speed
        assert (f"{math.exp(mean):.2f} times as fast" in speed) == (low > 0 or high < 0)


def test_batch_size(told):
    (sentence,) = told("batch_size")
    for budget, steps in (("equal epochs", False), ("equal steps", True)):
        for scaling, words in (("none", "rate fixed"), ("linear", "rate ∝ batch")):
            good = []
            for size in (2, 4, 16, 64, 256):
                # at 64 both budgets and both rates are the same runs
                own = {"batch_size": str(size)}
                own |= {} if size == 64 else {"optim__lr_scaling": scaling}
                sides = {}
                for norm in ("batchnorm", "groupnorm"):
                    found = rows("batch_size", norm__name=norm, **own)
                    if size != 64:
                        epochs = [float(r["train.steps"]) / (1078 // size) for r in found]
                        found = [r for r, e in zip(found, epochs, strict=True) if (e != 4) == steps]
                    sides[norm] = found
                _, low, _, n = interval(*map(by_seed, sides.values()))
                assert n == 5
                if all(trained(sides["batchnorm"])) and low > -1:
                    good.append(size)
            part = sentence.partition(f"{budget}, {words}: ")[2].partition(")")[0]
            assert part.startswith(f"{good[0]}, "), (budget, words, good)


def test_shift(told):
    (sentence,) = told("shift")
    columns = [key for key in rows("shift")[0] if key.startswith("shift/accuracy/")]
    shifts = {key for key in columns if key.endswith("-5")}
    assert len(shifts) >= 4
    for model in ("mlp", "vgg"):
        found = {}
        for shift in shifts:
            bn, none = (
                by_seed(
                    rows("shift", model__name=model, norm__name=norm),
                    lambda run, key=shift: 100 * float(run[key]) / float(run["test/accuracy"]),
                )
                for norm in ("batchnorm", "none")
            )
            found[shift] = (interval(bn, none), fmean(bn.values()), fmean(none.values()))
        worst = min(found, key=lambda shift: found[shift][0][0])
        (_, low, high, n), bn, none = found[worst]
        name = worst.removeprefix("shift/accuracy/").removesuffix("-5")
        kept = f"{bn:.1f} % with BatchNorm and {none:.1f} % without a norm"
        assert f"{model.upper()}: {kept} under {name}" in sentence
        assert f"{numbers(low, high, 1)}{n})" in sentence


def test_sigmoid(told):
    (sentence,) = told("sigmoid")
    for mult in ("1.0", "5.0"):
        greatest = {}
        for norm in ("batchnorm", "none"):
            own = {"model__name": "sigmoid_mlp", "norm__name": norm, "optim__lr_mult": mult}
            runs = {k: rows("sigmoid", model__depth=str([1] * k), **own) for k in (3, 6, 10)}
            deep = [k for k, found in runs.items() if all(trained(found))]
            greatest[norm] = max(deep, default="none")
        words = f"{greatest['batchnorm']} with BatchNorm and {greatest['none']} without a norm"
        assert f"×{float(mult):g}: {words}" in sentence
