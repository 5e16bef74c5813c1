"""`bnbench compare`: two results side by side in a terminal, and how it refuses."""

import io
import math
import re
import shutil

import pandas as pd
import pytest
from fake_claims import part, view, write_folder
from fake_results import arm_of, config, row, write_experiment
from rich.console import Console
from scipy import stats

import bnbench as bn
from bnbench import ROOT
from bnbench.api.comparison import compare
from bnbench.commands.compare import chosen, interval_words, main, show

GAINS = (0.05, 0.06, 0.08, 0.05, 0.07)  # of side one, by seed
NONE, NORM = config(norm="none"), config()
REFERENCE = ROOT / "results" / "reference"


def results(folder, gains=(0.0,) * 5, seeds=range(5), trees=(NONE, NORM), **info):
    """A results folder in which BatchNorm has some gains in test accuracy; no norm has none."""
    rows = [
        row(
            tree,
            seed,
            **{
                "test/accuracy": 0.9 + seed / 100 + (gains[seed] if tree is NORM else 0),
                "test/loss": 0.5 - seed / 100,
            },
        )
        for tree in trees
        for seed in seeds
    ]
    write_experiment(folder, "placement", rows, **info)
    return folder


@pytest.fixture
def run(capsys):
    """Run the command: the exit code, stdout and stderr."""

    def run(*words):
        try:
            code = main([str(word) for word in words])
        except SystemExit as ending:
            code = ending.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def two(tmp_path):
    """Two results folders, the first with the planted gains, of other commits and versions."""
    one = results(tmp_path / "one", GAINS, versions={"torch": "2.14.1", "numpy": "2"})
    other = results(
        tmp_path / "other", git_commit="ff" * 20, git_dirty=False, versions={"torch": "2.15.0"}
    )
    return one, other


def test_a_planted_difference_has_its_sign_and_interval_in_points(run, two):
    code, out, err = run(*two)
    assert (code, err) == (0, "")
    mean = 100 * sum(GAINS) / len(GAINS)
    low, high = (100 * x for x in stats.ttest_1samp(GAINS, 0).confidence_interval(0.95))
    assert f"+{mean:.1f} [+{low:.1f}, +{high:.1f}]" in out
    (line,) = (line for line in out.splitlines() if line.startswith("BatchNorm"))
    assert line.split()[1:3] == [f"{92 + mean:.2f}", "92.00"]
    assert line.split()[-2:] == ["5", "higher"]
    assert "no norm" not in out
    assert "1 other arm: all pairs are equal" in out
    assert "10 paired runs, 5 of them equal in every metric." in out
    assert "1 other metric: --metric KEY shows one, --metric all each" in out
    (line,) = (line for line in run(*two[::-1])[1].splitlines() if line.startswith("BatchNorm"))
    assert f"−{mean:.1f} [−{high:.1f}, −{low:.1f}]" in line
    assert line.rstrip().endswith("lower")


def test_what_differs_of_machine_and_commit_stands_beside_each_other(run, two):
    told = {line.split("  ")[0]: line.split() for line in run(*two)[1].splitlines()}
    assert told["runs"][1:] == ["10", "10"]
    assert "0123456789ab with uncommitted changes" in " ".join(told["commit"])
    assert told["commit"][-1] == "f" * 12
    assert told["device"][1:] == ["cpu", "cpu"]
    assert told["torch"][1:] == ["2.14.1", "2.15.0"]
    assert told["numpy"][1:] == ["2", "not", "recorded"]


def test_equal_folders_are_said_to_be_equal(run, two, tmp_path):
    shutil.copytree(two[0], tmp_path / "copy")
    code, out, err = run(two[0], tmp_path / "copy")
    assert (code, err) == (0, "")
    assert "10 paired runs are all equal, in every metric: no difference at all." in out
    assert "one − other" not in out
    table = compare(two[0], tmp_path / "copy")
    assert table["difference"].eq(0).all()
    assert table.pairs["equal"].all()


def test_two_arms_and_the_settings_that_differ(run, two, tmp_path):
    ids = [arm_of(tree) for tree in (NORM, NONE)]
    code, out, err = run(*ids, f"results={two[0]}")
    assert (code, err) == (0, "")
    assert re.search(r"^norm +batchnorm +none *$", out, re.M)
    assert re.search(r"^placement +pre +none *$", out, re.M)
    mean = 100 * sum(GAINS) / 5
    (line,) = (line for line in out.splitlines() if line.startswith("BatchNorm"))
    assert re.search(rf" − no norm +{92 + mean:.2f} +92.00 +\+{mean:.1f} \[", line)
    begun = run("mlp-batchnorm", "mlp-none", f"results={two[0]}")[1]
    assert begun.splitlines()[2:] == out.splitlines()[2:]


def test_arms_of_one_side_alone_are_named(run, two, tmp_path):
    less = results(tmp_path / "less", trees=(NONE,))
    assert "1 arm in one alone: BatchNorm" in run(two[0], less)[1]
    assert "1 arm in other alone: BatchNorm" in run(less, two[0])[1]


@pytest.mark.parametrize("width", [80, 120])
def test_it_is_read_at_the_width_of_a_terminal(two, width):
    out = io.StringIO()
    table = compare(*two)
    console = Console(file=out, width=width)
    show(console, table, chosen(table, ["all"]), ["results", "elsewhere/results"])
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    (line,) = (line for line in lines if line.startswith("BatchNorm"))
    assert "higher" in line
    assert "…" not in line


def test_metrics_are_chosen(run, two):
    code, out, _ = run(*two, "--metric", "test/loss", "--csv")
    assert code == 0
    assert set(pd.read_csv(io.StringIO(out))["metric"]) == {"test/loss"}
    table = pd.read_csv(io.StringIO(run(*two, "--metric", "all", "--csv")[1]))
    assert set(table["metric"]) == {"test/accuracy", "test/loss"}
    assert list(table) == ["arm", *compare(*two).columns]
    assert len(pd.read_csv(io.StringIO(run(*two, "--csv")[1]))) == 2


def test_a_table_for_a_paper(run, two):
    out = run(*two, "--latex")[1]
    assert out.startswith("\\begin{tabular}")
    assert out == chosen(compare(*two), []).to_latex()
    (line,) = (line for line in out.splitlines() if line.startswith("BatchNorm"))
    assert line.endswith("& 5 & higher \\\\")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["{one}"], "expected two results folders, experiments or arms, got 1: {one}"),
        ([], "expected two results folders, experiments or arms, got 0"),
        (
            ["{one}", "nowhere"],
            "nowhere: expected a results folder, an experiment's folder, an arm",
        ),
        (
            ["{one}", "{other}", "--metric", "test/los"],
            "--metric test/los: expected one of test/acc",
        ),
        (
            ["{one}", "{other}", "data=digts"],
            "data=digts: expected one of digits (did you mean dig",
        ),
        (["{one}", "{other}", "experiment=shift"], "experiment shift: expected one of placement"),
        (["{one}", "{other}", "experiment="], "experiment=: expected a name"),
        (
            ["mlp", "{other}", "results={one}"],
            "mlp: 2 arms of {one} begin so, expected one of mlp-",
        ),
        (["{one}", "{seeds}"], "no seed in common"),
        (["{one}", "{arms}"], "no arm in common (2 finished arms and 3 finished arms)"),
        (["{one}", "{metrics}"], "no metric in common"),
        (["{one}", "{damaged}"], "{damaged}/experiments/placement/digits/runs.csv: "),
        (
            ["placement", "{one}", "experiment=placement", "results={one}"],
            "experiment=placement: p",
        ),
    ],
)
def test_what_cannot_be_compared_is_one_line(run, two, tmp_path, words, line):
    folders = {"one": two[0], "other": two[1]}
    folders["seeds"] = results(tmp_path / "seeds", {5: 0, 6: 0}, seeds=(5, 6))
    trees = [config(norm="none", batch_size=size) for size in (8, 16, 32)]
    folders["arms"] = results(tmp_path / "arms", trees=trees)
    folders["metrics"] = tmp_path / "metrics"
    write_experiment(folders["metrics"], "placement", [row(NORM, 0, **{"val/loss": 1.0})])
    folders["damaged"] = results(tmp_path / "damaged")
    (folders["damaged"] / "experiments/placement/digits/runs.csv").write_text("arm,seed\nx\n")
    code, out, err = run(*(word.format(**folders) for word in words))
    assert (code, out) == (2, "")
    assert err.startswith(f"bnbench: {line.format(**folders)}")
    assert err.count("\n") == 1


def board(folder, verdict="confirmed", mean=3.0, name="C1"):
    """A results folder with a scoreboard of three claims, the second with a chosen verdict."""
    claims = [
        (view("E1", "Exact"), "confirmed", [("y", "largest error", 4e-16, "<=", 1e-10)], None),
        (view("C2"), "undecided", [part("a", "undecided", 0.2, sesoi=(1, None))], 0.4),
        (view(name), verdict, [part("b", verdict, mean, sesoi=(1, None), unit="pp")], 0.9),
        (view("P4", "Placement"), "not run here", [], None),
    ]
    write_folder(folder / "claims" / "digits", claims)
    return folder


def test_verdicts_stand_beside_each_other(run, tmp_path):
    one, other = board(tmp_path / "one"), board(tmp_path / "other", "contrary", -3.0)
    code, out, err = run(one, other)
    assert (code, err) == (0, "")
    (line,) = (line for line in out.splitlines() if line.startswith("C1"))
    table = compare(one, other).claims.set_index("claim")
    own = table.loc["C1"]
    error = math.hypot(
        *((own[f"{s}_high"] - own[f"{s}_low"]) / 2 / 2.262 for s in ("one", "other"))
    )
    apart = abs(own["one_estimate"] - own["other_estimate"]) / error
    assert own["distance"] == pytest.approx(apart, rel=1e-3)
    assert line.split() == ["C1", "✓", "confirmed", "✗", "contrary", f"{own['distance']:.1f}"]
    assert "1 of 2 verdicts are the same; 1 is decided otherwise (C1)." in out
    assert "E1" not in out
    assert "P4" not in out
    assert list(compare(one, other)) == list(bn.compare(one, other))


def test_a_verdict_that_one_side_alone_decides(run, tmp_path):
    one, other = board(tmp_path / "one"), board(tmp_path / "other", "undecided", 1.2)
    assert "1 is decided in the first alone (C1)" in run(one, other)[1]
    assert "1 is decided in the other alone (C1)" in run(other, one)[1]


def test_equal_scoreboards_are_said_to_be_equal(run, tmp_path):
    out = run(board(tmp_path / "one"), board(tmp_path / "other"))[1]
    assert "2 of 2 verdicts are the same." in out
    assert "All estimates are equal too." in out
    assert "s.e. apart" not in out


def test_claims_alone_make_no_table_for_a_paper(run, tmp_path):
    code, out, err = run(board(tmp_path / "one"), board(tmp_path / "other"), "--latex")
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_a_damaged_scoreboard_is_one_line(run, tmp_path):
    one, other = board(tmp_path / "one"), board(tmp_path / "other")
    (other / "claims/digits/parts.csv").write_text("claim\n")
    code, out, err = run(one, other)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "other/claims/digits/parts.csv" in err


def test_the_published_board_beside_its_replication(run, tmp_path):
    """As `findings.md` and README tell it."""
    for name, source in (("one", "digits"), ("other", "digits/replication")):
        (tmp_path / name / "claims" / "digits").mkdir(parents=True)
        for file in ("scoreboard.csv", "parts.csv"):
            place = tmp_path / name / "claims" / "digits" / file
            shutil.copy(REFERENCE / "claims" / source / file, place)
    out = run(tmp_path / "one", tmp_path / "other")[1]
    assert "61 of 69 verdicts are the same; 5 are decided in the other alone (C6b, C8a, C8b" in out
    assert "1 is decided otherwise (M2b)" in out
    known = pd.read_csv(REFERENCE / "claims/digits/replication.csv").set_index("claim")
    told = compare(tmp_path / "one", tmp_path / "other").claims.set_index("claim")
    pd.testing.assert_series_equal(told["distance"], known["distance"], check_names=False)
    assert (told["agree"] == known["replicated"].fillna("")).all()


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((5.0, 3.1, 6.9), "+5.0 [+3.1, +6.9]"),
        ((0.04, math.nan, math.nan), "+0.0400"),
        ((-1.0, -1.0, -1.0), "−1.00"),
        ((0.0, 0.0, 0.0), "0"),
    ],
)
def test_a_difference_in_words(numbers, words):
    assert interval_words(numbers) == words
