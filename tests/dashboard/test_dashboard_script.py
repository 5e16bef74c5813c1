"""Requests that `scripts/dashboard.py` refuses, each with one line."""

import shutil
import sys
from pathlib import Path

import pytest

from bnbench import ROOT
from bnbench.commands.wandb.dashboard import logged_in, main

REFERENCE = ROOT / "results" / "reference" / "experiments"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two experiments of which there are tables and no runs."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("placement", "shift"):
        shutil.copytree(REFERENCE / name / "digits", tmp_path / "experiments" / name / "digits")
    return tmp_path


def refused(monkeypatch, capsys, results, *options: str) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["dashboard.py", *options, f"results={results}"])
    try:
        code = main()
    except SystemExit as error:
        code = error.code
    out, err = capsys.readouterr()
    assert out == ""
    assert not (results / "dashboards").exists()
    return code, err


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--exp", "shft"], "--exp shft: expected one of placement, shift (did you mean shift?)"),
        (["--exp", "shift,"], "--exp : expected one of placement, shift"),
        (["--data", "mnist"], "--data mnist: expected one of digits"),
        (["--what"], "unrecognized arguments: --what"),
        (["data=digits"], "data=digits: expected results=PATH and nothing else"),
    ],
)
def test_a_bad_request_is_one_line(options, line, results, monkeypatch, capsys):
    assert refused(monkeypatch, capsys, results, *options) == (2, f"bnbench: {line}\n")


def test_an_empty_folder_is_one_line(tmp_path, monkeypatch, capsys):
    line = f"bnbench: {tmp_path}: no experiment was run there yet (make sweep)\n"
    assert refused(monkeypatch, capsys, tmp_path) == (2, line)


def test_each_experiment_that_cannot_be_shown_is_one_line(results, monkeypatch, capsys):
    pytest.importorskip("wandb_workspaces", reason="the extra `workspace` is not installed")
    (results / "experiments" / "shift" / "digits" / "runs.csv").write_text("arm\n")
    code, err = refused(monkeypatch, capsys, results)
    first, second = err.splitlines()
    assert code == 1
    assert first.startswith("bnbench: placement on digits: no run was logged to W&B here (")
    assert second.startswith(f"bnbench: {results}/experiments/shift/digits/runs.csv: expected the")


def test_a_missing_extra_is_one_line(results, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("bnbench.dashboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    code, err = refused(monkeypatch, capsys, results)
    assert (code, err.count("\n")) == (2, 1)
    assert "`make dashboard` does it, or the extra workspace" in err


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("WANDB_MODE", "offline", "WANDB_MODE=offline"),
        ("WANDB_MODE", "dryrun", "WANDB_MODE=dryrun"),
        ("WANDB_DISABLED", "True", "WANDB_MODE=offline WANDB_DISABLED=True"),
        ("WANDB_MODE", "run", ""),
    ],
)
def test_the_modes_are_those_of_training(results, monkeypatch, name, value, reason):
    monkeypatch.setenv(name, value)
    monkeypatch.setattr("bnbench.commands.wandb.dashboard.account", lambda: ("server", "entity"))
    login, why = logged_in()
    assert sorted(why.split()) == sorted(reason.split())
    assert login == (None if reason else ("server", "entity"))


def test_an_unknown_mode_is_one_line(results, monkeypatch, capsys):
    pytest.importorskip("wandb_workspaces", reason="the extra `workspace` is not installed")
    monkeypatch.setenv("WANDB_MODE", "ofline")
    line = "bnbench: WANDB_MODE=ofline: expected one of online, offline, disabled, run, dryrun\n"
    assert refused(monkeypatch, capsys, results) == (2, line)
