"""What to type next: commands that can be typed."""

import io
import shlex
from pathlib import Path

import pytest
from rich.console import Console

from bnbench.cli import read as read_request
from bnbench.running.ending import by_hand_next, by_make_next, commands, end

EXPERIMENTS = ("lr_mult", "shift", "tune_lr")
VARIABLES = {"EXP": "experiment", "DATA": "data", "SEEDS": "seeds"}


def overrides(command):
    """The overrides of a `make sweep` or of a `scripts/train.py`."""
    words = shlex.split(command)
    if words[0] != "make":
        return [word for word in words[2:] if word != "-m"], "-m" in words
    given = dict(word.split("=", 1) for word in words[2:])
    args = shlex.split(given.pop("ARGS", ""))
    return [f"{VARIABLES[key]}={value}" for key, value in given.items()] + args, True


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_next_sweep_of_an_experiment_is_a_new_one(read, name):
    argv = [f"experiment={name}"]
    request = read(*argv)
    command = by_make_next(request, argv)
    assert command.startswith(f"make sweep EXP={name} ")
    asked = {(arm, seed) for arm, own in request.arms.items() for seed in own.config.seeds}
    other = read_request(*overrides(command))
    assert asked < {(a, s) for a, own in other.arms.items() for s in own.config.seeds} or not (
        set(request.arms) & set(other.arms)
    )


@pytest.mark.slow
def test_what_was_typed_is_kept(read):
    typed = ["seeds=[0,1,2]", "train.steps=9"]
    argv = ["experiment=lr_mult,shift", *typed, "hydra.launcher.n_jobs=1"]
    assert by_make_next(read(*argv), argv) == (
        "make sweep EXP=lr_mult SEEDS='[0,1,2]' ARGS=\"train.steps=9 optim.schedule=cosine\""
    )
    argv = ["experiment=lr_mult", "seeds=[0]", "optim.schedule=cosine"]
    assert by_make_next(read(*argv), argv) == (
        "make sweep EXP=lr_mult SEEDS='[0,1,2]' ARGS=optim.schedule=cosine"
    )


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["model=vgg"], "-m model=vgg norm=none,batchnorm"),
        (["norm=groupnorm", "seeds=[0]"], "-m 'seeds=[0]' norm=none,groupnorm"),
        (["norm=none"], "-m norm=none,batchnorm"),
        (["norm.eps=0.1"], "norm.eps=0.1 optim.schedule=cosine"),
        (["-m", "norm=none,layernorm"], "-m norm=none,layernorm optim.schedule=cosine"),
        (["-m", "norm=none,layernorm", "seeds=[0,1]"], "-m norm=none,layernorm 'seeds=[0,1,2]'"),
        (["experiment=shift"], "experiment=shift data.augment=light"),
    ],
)
def test_the_next_command_by_hand(read, argv, command):
    multirun, words = "-m" in argv, [word for word in argv if word != "-m"]
    request = read(*words, multirun=multirun)
    told = by_hand_next(request, argv)
    assert told == f".venv/bin/python scripts/train.py {command}"
    assert read_request(*overrides(told)).arms


@pytest.mark.slow
def test_a_failure_is_tried_again_by_the_same_command(read):
    argv = ["experiment=shift", "seeds=[0,1]"]
    told = commands(read(*argv), argv, failed=True, report=Path("page.html"))
    assert told["try again"] == ".venv/bin/python scripts/sweep.py experiment=shift 'seeds=[0,1]'"
    assert list(told)[-3:] == ["report", "try next", "compare"]
    assert told["report"] == "page.html"
    assert "try again" not in commands(read(*argv), argv, failed=False, report=Path("page.html"))


def test_other_folders_and_other_tracking_are_minded(read, tmp_path):
    results = tmp_path / "results"
    told = commands(read(), [], failed=False, report=None)
    assert told["status"] == f"make status ARGS=results={results}"
    assert told["report"] == f"make report ARGS=results={results}"
    assert f".venv/bin/wandb leet {results}/wandb" in told["compare"]
    told = commands(read("track=csv"), [], failed=False, report=None)
    assert told["compare"] == f".venv/bin/python scripts/wandb_upload.py results={results}"
    request = read()
    request.results = Path("results")
    assert commands(request, [], failed=False, report=None)["status"] == "make status"


def test_results_that_cannot_be_read_do_not_hide_the_commands(read, tmp_path, capsys):
    request, out = read(), io.StringIO()
    end(request, [], False, Console(file=out, markup=False), None)  # there is no arms.csv
    assert "arms.csv: missing" in capsys.readouterr().err
    assert "make status" in out.getvalue()
