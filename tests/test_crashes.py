"""Whatever kills a sweep, and whenever: nothing is lost, nothing wrong, nothing done twice."""

import importlib.util
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from bnbench import ROOT
from bnbench.tracking.run_dir import RunFolder, State

TRAIN = [sys.executable, str(ROOT / "scripts" / "train.py")]
TORTURE = str(ROOT / "tests" / "tools" / "torture.py")
SMOKE = ["data=synthetic", "train=smoke", "track=csv", "device=cpu", "hydra.launcher.n_jobs=2"]
ENV = {**os.environ, "OMP_NUM_THREADS": "1"}


def torture():
    spec = importlib.util.spec_from_file_location(
        "torture", ROOT / "tests" / "tools" / "torture.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["torture"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def files(path):
    return sorted(p.name for p in path.iterdir())


def numbers(path):
    summary = json.loads((path / "summary.json").read_text())
    return {key: value for key, value in summary.items() if key not in ("seconds", "checksum")}


def killed_everywhere(folder, *overrides):
    command = [sys.executable, str(ROOT / "tests" / "crash_points.py"), str(folder)]
    answer = subprocess.run(
        [*command, "data=synthetic", "train=smoke", "seeds=[0]", "device=cpu", *overrides],
        capture_output=True,
        text=True,
        env=ENV,
    )
    assert answer.returncode == 0, answer.stderr
    number = int(answer.stdout)
    (calm,) = (folder / "calm").glob("runs/*/seed-0")
    for k in range(1, number + 1):
        (path,) = (folder / str(k)).glob("runs/*/seed-0")
        assert RunFolder(path).state() == State.done
        assert files(path) == files(calm)
        for name in ("metrics.csv", "shifts.csv", "weights.pt", "config.yaml"):
            assert (path / name).read_bytes() == (calm / name).read_bytes(), (k, name)
        assert numbers(path)["metrics"] == numbers(calm)["metrics"]
    return number


@pytest.mark.slow
def test_a_run_killed_before_any_of_its_file_operations_ends_the_same(tmp_path):
    # lock, summary, metrics, weights, shifts, meta, config: none is left out
    assert killed_everywhere(tmp_path, "track=csv", "shift=blur") > 20


@pytest.mark.slow
def test_such_a_run_stands_in_wandb_whole_and_once(tmp_path):
    number = killed_everywhere(tmp_path, "track=default", "shift=blur")
    assert number > 5  # of meta.json and summary.json
    script = torture()
    tally = script.Tally()
    for k in range(1, number + 1):
        script.compare_wandb(tmp_path / str(k), tally)
    assert tally.problems == []
    assert tally.unfinished + tally.empty > 0  # some were killed after W&B had begun


@pytest.mark.slow
def test_a_tormented_sweep_ends_as_a_calm_one():
    """Killed as a whole, its leader alone, and one of two workers; the tool has more ways."""
    answer = subprocess.run(
        [sys.executable, TORTURE, "--kills", "2", "--single", "1"],
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "2 kills at random moments (seed 0)" in answer.stdout
    assert "1 single workers killed, each in a sweep of its own" in answer.stdout
    assert answer.stdout.endswith("\n0 problems\n")


def start(*arguments, **options):
    return subprocess.Popen(
        [*TRAIN, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENV,
        **options,
    )


def wait_for(condition, *processes):
    while not condition():
        for process in processes:
            assert process.poll() is None, process.communicate()
        time.sleep(0.05)


@pytest.mark.slow
def test_two_sweeps_at_once_share_the_work(tmp_path):
    """Each run is trained by one of them: it has one W&B run, which is finished."""
    arguments = [
        f"results={tmp_path}/results", "-m", "norm=none,batchnorm", "optim.lr_mult=1,2",
        "seeds=[0]", "data=digits", "train.steps=300", "hydra.launcher.n_jobs=1",
    ]  # fmt: skip
    sweeps = [start(*arguments) for _ in range(2)]
    answers = [sweep.communicate() for sweep in sweeps]
    assert [sweep.returncode for sweep in sweeps] == [0, 0], answers
    runs = list((tmp_path / "results").glob("runs/*/seed-*"))
    assert len(runs) == 4
    assert {RunFolder(path).state() for path in runs} == {State.done}
    script = torture()
    tally = script.Tally()
    script.compare_wandb(tmp_path / "results", tally)
    assert (tally.problems, tally.attempts, tally.unfinished) == ([], 4, 0)


@pytest.mark.slow
@pytest.mark.parametrize("to_all", [False, True])
def test_an_interrupted_sweep_closes_what_it_had_begun(tmp_path, to_all):
    """SIGTERM to the leader, or Ctrl-C, which reaches every process: W&B has the points."""
    process = start(
        f"results={tmp_path}/results", "-m", "norm=none,batchnorm", "seeds=[0]", "data=digits",
        "train.steps=30000", "hydra.launcher.n_jobs=2",
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    curves = lambda: [  # noqa: E731
        path
        for path in tmp_path.glob("results/runs/*/seed-0/metrics.csv")
        if path.read_bytes().count(b"\n") > 50
    ]
    wait_for(lambda: len(curves()) == 2, process)
    if to_all:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGTERM)
    output, errors = process.communicate()
    assert process.returncode == 130, (output, errors)
    assert errors == "\ninterrupted; the same command finishes what is missing\n"
    script = torture()
    for path in curves():
        assert RunFolder(path.parent).state() == State.interrupted
        wandb_id = json.loads((path.parent / "meta.json").read_text())["wandb_id"]
        (file,) = tmp_path.glob(f"results/wandb/offline-run-*-{wandb_id}/*.wandb")
        records = script.read_wandb(file)
        logged, written = script.points_of(records), script.points_in(path)
        # the signal may have come after a point was written and before it was logged
        assert logged == [point for point in written if point[0] <= logged[-1][0]]
        assert len({step for step, _, _ in written} - {step for step, _, _ in logged}) <= 1
        assert records[-1]["exit"]["exit_code"] == 1
        assert "interrupted" in [r["run"] for r in records if r["type"] == "run"][-1]["tags"]


@pytest.mark.slow
def test_a_worker_that_is_told_to_stop_is_replaced(tmp_path):
    """SIGTERM to one worker is not the user's wish to end the sweep."""
    process = start(
        f"results={tmp_path}/results", "-m", "norm=none,batchnorm", "seeds=[0,1]", "data=digits",
        "train.steps=500", "track=csv", "hydra.launcher.n_jobs=2",
    )  # fmt: skip
    script = torture()
    wait_for(lambda: len(list(tmp_path.glob("results/runs/*/seed-0/metrics.csv"))) == 2, process)
    assert script.send(script.named(process.pid, "LokyProcess")[:1], signal.SIGTERM)
    output, errors = process.communicate()
    assert process.returncode == 0, (output, errors)
    assert len(list(tmp_path.glob("results/runs/*/seed-*/summary.json"))) == 4


@pytest.mark.slow
def test_a_worker_that_dies_before_its_first_run_is_replaced(tmp_path):
    process = start(f"results={tmp_path}/results", "-m", "norm=none,layernorm", *SMOKE)
    script = torture()
    wait_for(lambda: script.named(process.pid, "LokyProcess"), process)
    script.send(script.named(process.pid, "LokyProcess")[:1], signal.SIGKILL)
    output, errors = process.communicate()
    assert process.returncode == 0, (output, errors)
    assert len(list(tmp_path.glob("results/runs/*/seed-*/summary.json"))) == 6


@pytest.mark.slow
def test_a_net_that_does_not_fit_in_memory_fails_alone(tmp_path):
    """The second layer has 9e8 weights, 3.6 GB; the process gets 4 GiB of addresses."""
    # it trains both by itself, the large one first: what a worker does is no other
    answer = subprocess.run(
        [*TRAIN, f"results={tmp_path}/results", "-m", "model.widths=[30000,30000],[20]",
         "norm=none", "seeds=[0]", "optim.base_lr=0.1", *SMOKE[:-1], "hydra.launcher.n_jobs=1"],
        capture_output=True,
        text=True,
        env=ENV,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)),
    )  # fmt: skip
    assert answer.returncode == 1, answer.stderr
    assert answer.stdout.count("FAILED") == 1
    assert "memory" in answer.stdout
    assert "1 of 2 runs failed" in answer.stdout
    states = Counter(
        RunFolder(path).state() for path in (tmp_path / "results").glob("runs/*/seed-0")
    )
    assert states == {State.done: 1, State.failed: 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kilobytes", "file"), [(0, "config.yaml"), (1, "metrics.csv"), (100, "weights.pt")]
)
def test_a_disk_that_is_full_fails_the_runs_and_says_so(tmp_path, warm, kilobytes, file):
    """No file may grow beyond a limit, which stands for the end of the disk."""
    arguments = [*TRAIN, f"results={tmp_path}/results", "-m", "norm=none", "seeds=[0,1]", *SMOKE]
    (tmp_path / "results" / "experiments").mkdir(parents=True)
    limit = kilobytes * 1024 or 600  # config.yaml has 700 bytes
    answer = subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        env=ENV,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert answer.returncode == 1
    told = answer.stdout + answer.stderr
    assert "Traceback" not in told
    assert "File too large (a file may not grow so large: ulimit -f)" in told
    if kilobytes == 100:  # with less there is no place for the experiment's own files either
        assert f"seed-0/{file}'" in told
    assert not list(tmp_path.glob("results/runs/*/seed-*/summary.json"))
    command = [*arguments[1:-1], "hydra.launcher.n_jobs=1"]
    status, printed = warm.run(
        command, tmp_path, ENV | {"PYTHONPATH": str(ROOT)}, tmp_path / "printed.txt"
    )
    assert status == 0, printed
    assert len(list(tmp_path.glob("results/runs/*/seed-*/summary.json"))) == 2


@pytest.mark.slow
def test_a_home_that_is_not_there_costs_nothing(tmp_path):
    """Nor one that cannot be written: no log of W&B's own, no file beside the results."""
    for environment in (
        {"HOME": None, "TMPDIR": None, "XDG_CACHE_HOME": None},
        dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), "/proc/nobody"),
    ):
        given = {key: value for key, value in (ENV | environment).items() if value is not None}
        answer = subprocess.run(
            [*TRAIN, f"results={tmp_path}/results", "data=synthetic", "train=smoke", "seeds=[0]",
             "device=cpu", "track=default"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=given,
        )  # fmt: skip
        assert answer.returncode == 0, answer.stderr
        assert answer.stderr == ""
        assert not re.search(r"(?m)^\d{4}/\d\d/\d\d ", answer.stdout)  # a line of Go's logger
        shutil.rmtree(tmp_path / "results")
