"""What `import bnbench as bn` gives, through the same doors as the command line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

import bnbench as bn
from bnbench import cli
from bnbench.analysis.load import load as load_experiment
from bnbench.config.arms import arm_id, science
from bnbench.request.hydra_internals import initialised
from bnbench.tracking.run_dir import RunFolder

SMOKE = ("train=smoke", "track=csv", "hydra.launcher.n_jobs=1")
COLUMNS = ["metric", "one", "other", "difference", "ci_low", "ci_high", "n", "verdict"]


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep of two arms with three seeds: its folder, and what it returned."""
    folder = tmp_path_factory.mktemp("swept") / "results"
    return folder, bn.sweep("norm=none,batchnorm", "seeds=[0,1,2]", f"results={folder}", *SMOKE)


@pytest.fixture
def copy(swept, tmp_path):
    """A copy of the sweep's results, whose summaries a test may change."""
    target = tmp_path / "copy"
    shutil.copytree(swept[0], target)

    def change(summary_of):
        for path in target.glob("runs/*/seed-*/summary.json"):
            run = RunFolder(path.parent)
            told = dict(run.read_summary())
            summary_of(told, run.arm, run.seed)
            run.write_summary(told)
        return target

    return change


def test_the_import_is_quick_and_imports_nothing_slow():
    code = "import sys, bnbench as bn; dir(bn); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"torch", "numpy", "pandas", "hydra", "omegaconf", "scipy", "rich"}


def test_every_public_name_is_there_and_no_other():
    assert {"load", "run", "sweep", "compare", "norms"} <= {*bn.PUBLIC}
    for name in bn.PUBLIC:
        assert getattr(bn, name) is not None
        assert name in dir(bn)
    assert bn.norms.BatchNorm1d is sys.modules["bnbench.norms"].BatchNorm1d
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        bn.lod  # noqa: B018


@pytest.mark.parametrize("first", ["import bnbench.sweep", "bn.run", "bn.load", "pass"])
def test_the_sweep_can_be_called_whatever_was_imported_before(first):
    code = f"import bnbench as bn; {first}; from bnbench import sweep; sweep.sweep; bn.run"
    code += "; assert callable(bn.sweep); assert bn.sweep is sweep"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_sweep_gives_what_the_command_line_writes(swept):
    folder, found = swept
    with initialised(bn.CONFIGS):
        request = cli.read(["norm=none,batchnorm", "seeds=[0,1,2]", *SMOKE], multirun=True)
    assert {*found.runs["arm"]} == {*request.arms}
    written = load_experiment(folder / "experiments" / "adhoc" / "digits")
    pd.testing.assert_frame_equal(found.runs, written.runs)
    pd.testing.assert_frame_equal(found.curves, written.curves)
    assert len(found.runs) == 6
    assert found.runs["status"].eq("done").all()
    lines = sum(
        len(path.read_text().splitlines()) - 1 for path in folder.glob("runs/*/seed-*/metrics.csv")
    )
    assert len(found.curves) == lines
    assert list(found.curves) == [
        "arm",
        "seed",
        "step",
        "samples",
        "split",
        "layer",
        "metric",
        "value",
    ]


def test_loading_finds_the_same_runs_whoever_asked_for_them(swept):
    folder, found = swept
    everything = bn.load(folder)
    key = ["arm", "seed"]
    one, other = (t.sort_values(key).reset_index(drop=True) for t in (everything.runs, found.runs))
    same = [column for column in one if column in other]
    assert {"test/accuracy", "norm.name", "optim.lr", "seconds", "stuck"} <= {*same}
    pd.testing.assert_frame_equal(one[same], other[same], check_dtype=False)
    assert len(everything.curves) == len(found.curves)
    assert len(bn.load(folder, "adhoc", "digits").runs) == 6
    assert len(bn.load(str(folder), data="digits").runs) == 6


def test_committed_results_can_be_loaded_too():
    found = bn.load(bn.REFERENCE, "placement", "digits")
    assert len(found.runs) > 20
    everything = bn.load(bn.REFERENCE)
    assert {*found.runs["arm"]} < {*everything.runs["arm"]}
    assert not everything.runs.duplicated(["arm", "seed"]).any()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ({"experiment": "adhok"}, "experiment adhok: expected one of adhoc (did you mean adhoc?)"),
        ({"experiment": "adhoc", "data": "mnist"}, "data mnist: expected one of digits"),
        ({"data": "mnist"}, "data mnist: expected one of digits"),
    ],
)
def test_what_is_not_there_is_one_line(swept, words, line):
    with pytest.raises(ValueError, match="expected one of") as refused:
        bn.load(swept[0], **words)
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)


def test_a_folder_without_results_is_empty(tmp_path):
    found = bn.load(tmp_path / "nowhere")
    assert found.runs.empty
    assert found.curves.empty
    assert found.to_latex().count("\\\\") == 1


def test_a_run_is_trained_once_and_found_again(tmp_path):
    words = ("norm=none", f"results={tmp_path / 'results'}", *SMOKE)
    run = bn.run(*words, seed=7)
    with initialised(bn.CONFIGS):
        request = cli.read([*words, "seeds=[7]"], multirun=False)
    (arm,) = request.arms.values()
    assert (run.arm, run.seed, run.status) == (arm_id(science(arm.config)), 7, "done")
    assert run.path == tmp_path / "results" / "runs" / run.arm / "seed-7"
    written = json.loads((run.path / "summary.json").read_text())
    assert run.summary.items() <= written.items()
    assert "test/accuracy" in run.summary["metrics"]
    assert len(run.curves) == len((run.path / "metrics.csv").read_text().splitlines()) - 1
    before = (run.path / "summary.json").stat().st_mtime_ns
    again = bn.run(*words, seed=7)
    assert again.summary == run.summary
    assert (run.path / "summary.json").stat().st_mtime_ns == before
    assert "test/accuracy" in run.to_latex()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("norm=batchnrom",), "norm=batchnrom: expected one of "),
        (("seeds=[1]",), "seeds=[1]: expected seed=0"),
        (("experiment=sigmoid",), "14 arms are asked for, expected one"),
        (("norm=none,batchnorm",), "norm=none,batchnorm: several values need -m"),
    ],
)
def test_a_bad_request_is_the_line_of_the_command_line(words, line, tmp_path):
    with pytest.raises(bn.RequestError) as refused:
        bn.run(*words, f"results={tmp_path / 'results'}")
    assert str(refused.value).startswith(line)
    assert not (tmp_path / "results").exists()


def test_a_failed_run_is_told(tmp_path, monkeypatch):
    def fail(*_):
        raise ValueError("a planted failure")

    monkeypatch.setattr("bnbench.train.build", fail)
    words = ("norm=none", f"results={tmp_path / 'results'}", *SMOKE)
    with pytest.raises(RuntimeError, match="a planted failure"):
        bn.run(*words)
    with pytest.warns(RuntimeWarning, match="seed 0 failed: .*a planted failure"):
        found = bn.sweep(*words, "seeds=[0]")
    assert list(found.runs["status"]) == ["failed"]


def test_equal_results_are_equal(swept, copy):
    table = bn.compare(swept[0], copy(lambda *_: None))
    assert list(table.columns) == COLUMNS
    assert table["difference"].eq(0).all()
    assert table["verdict"].eq("equal").all()
    assert {*table["n"]} <= {1, 2, 3}
    assert set(table.index) == {"no norm", "BatchNorm"}
    assert table.settings.empty


def test_a_planted_difference_has_its_sign_and_interval(swept, copy):
    gains = {0: 0.05, 1: 0.06, 2: 0.08}

    def lower(summary, arm, seed):
        if "batchnorm" in arm:
            summary["metrics"]["test/accuracy"] -= gains[seed]

    table = bn.compare(swept[0], copy(lower))
    own = table[table["metric"] == "test/accuracy"]
    planted, untouched = own.loc["BatchNorm"], own.loc["no norm"]
    mean = sum(gains.values()) / 3
    expected = stats.ttest_1samp(list(gains.values()), 0).confidence_interval(0.95)
    assert planted["difference"] == pytest.approx(mean, abs=1e-12)
    assert planted["one"] - planted["other"] == pytest.approx(mean, abs=1e-12)
    assert (planted["ci_low"], planted["ci_high"]) == pytest.approx(tuple(expected), abs=1e-12)
    assert (planted["n"], planted["verdict"]) == (3, "higher")
    assert (untouched["difference"], untouched["verdict"]) == (0, "equal")
    backwards = bn.compare(copy(lambda *_: None), swept[0])
    own = backwards[backwards["metric"] == "test/accuracy"].loc["BatchNorm"]
    assert own["difference"] == pytest.approx(-mean, abs=1e-12)
    assert own["verdict"] == "lower"


def test_a_comparison_tells_where_its_runs_came_from(swept, copy):
    def lower(summary, arm, seed):
        if "batchnorm" in arm and seed == 1:
            summary["metrics"]["val/loss"] += 1e-12

    other = copy(lower)
    for path in other.glob("runs/*/seed-*/meta.json"):
        told = json.loads(path.read_text())
        told |= {"git_commit": "f" * 40, "git_dirty": path.parent.name == "seed-2"}
        told["versions"]["torch"] = "9.9"
        path.write_text(json.dumps(told))
    table = bn.compare(swept[0], other)
    facts = table.facts.set_index("fact")
    assert list(facts.loc["runs"]) == ["6", "6"]
    assert facts.loc["commit", "other"] == f"{'f' * 12}, {'f' * 12} with uncommitted changes"
    assert facts.loc["torch", "other"] == "9.9"
    (meta, *_) = swept[0].glob("runs/*/seed-0/meta.json")
    own = json.loads(meta.read_text())
    assert facts.loc["torch", "one"] == own["versions"]["torch"]
    assert facts.loc["device", "one"] == own["device"]
    unequal = table.pairs[~table.pairs["equal"].astype(bool)]
    assert [*unequal["seed"]] == [1]
    assert len(table.pairs) == 6
    assert table.alone.empty
    assert table.claims.empty
    tables = bn.compare(swept[1], swept[1])
    assert [*tables.facts["fact"]] == ["runs"]
    one = swept[1].where(swept[1].runs[swept[1].runs["norm.name"] == "none"])
    alone = bn.compare(swept[1], one).alone
    assert [*alone["side"]] == ["one"]
    assert [*alone["label"]] == ["BatchNorm"]


def test_a_run_is_compared_with_its_arm(swept):
    folder = swept[0]
    run = bn.run("norm=none", f"results={folder}", *SMOKE[:2], seed=1)
    table = bn.compare(run, run.arm[:-3], results=folder)
    assert table["verdict"].eq("equal").all()
    assert table["n"].eq(1).all()
    assert [*table.pairs["seed"]] == [1]


def test_two_arms_are_paired_by_seed(swept):
    folder, found = swept
    none, norm = (
        found.runs.loc[found.runs["norm.name"] == name, "arm"].iloc[0]
        for name in ("none", "batchnorm")
    )
    table = bn.compare(norm, none, results=folder)
    pairs = found.runs.pivot_table(index="seed", columns="arm", values="test/accuracy")
    assert set(table.index) == {"BatchNorm − no norm"}
    own = table[table["metric"] == "test/accuracy"].iloc[0]
    assert own["difference"] == pytest.approx((pairs[norm] - pairs[none]).mean(), abs=1e-12)
    assert own["n"] == 3
    assert "norm.name" in set(table.settings["key"])
    assert bn.compare(norm, norm, results=folder)["verdict"].eq("equal").all()


def test_experiments_and_what_was_loaded_are_sides_too(swept):
    folder, found = swept
    for side in ("adhoc", folder / "experiments" / "adhoc" / "digits", bn.load(folder)):
        assert bn.compare(found, side, results=folder)["verdict"].eq("equal").all()


def test_few_seeds_have_no_interval(swept):
    found = swept[1]
    two = found.where(found.runs[found.runs["seed"] < 2])
    table = bn.compare(found, two)
    assert set(table["n"]) <= {1, 2}
    assert table["ci_low"].isna().all()


@pytest.mark.parametrize("side", ["nowhere", "mlp-none-none-00000000"])
def test_a_side_that_is_not_there(swept, side):
    with pytest.raises(ValueError, match=f"^{side}: expected a results folder, .*adhoc") as refused:
        bn.compare(side, swept[1], results=swept[0])
    assert "\n" not in str(refused.value)


def test_sides_without_anything_in_common(swept):
    runs = swept[1].runs
    none, norm = (swept[1].where(runs[runs["seed"] == seed]) for seed in (0, 1))
    with pytest.raises(ValueError, match="no seed in common"):
        bn.compare(none, norm)
    other = bn.load(bn.REFERENCE, "placement", "digits")
    with pytest.raises(ValueError, match=r"no arm in common \(2 finished arms and "):
        bn.compare(swept[1], other)


def test_tables_for_a_paper(swept):
    found = swept[1]
    text = found.to_latex()
    assert text.startswith("\\begin{tabular}{lrrr}\n\\toprule\n")
    mean = 100 * found.runs[found.runs["norm.name"] == "none"]["test/accuracy"].mean()
    (row,) = (line for line in text.splitlines() if line.startswith("no norm &"))
    cells = row.removesuffix(" \\\\").split(" & ")
    assert float(cells[1].split("$")[1]) == pytest.approx(mean, abs=0.06)
    assert cells[2:] == ["3", "0"]
    table = bn.compare(found, found).to_latex()
    assert table.count(" & ") == 6 * table.count("\\\\")
    assert "test/accuracy" in table


def test_names_are_escaped_for_latex():
    from bnbench.api.results import escaped

    assert escaped("50 % of a_b & ×2 {x}") == r"50 \% of a\_b \& $\times$2 \{x\}"


def test_relative_folders_are_relative_to_here(swept, monkeypatch):
    monkeypatch.chdir(swept[0].parent)
    assert len(bn.load().runs) == 6
    assert Path("results").exists()
