"""What 10,000 runs cost those who read them; CPU seconds, which no other process slows much."""

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_results import METRICS, arm_of, config

from bnbench.tracking.experiment_dir import experiment_path, write_arms, write_experiment
from bnbench.tracking.run_dir import run_path, write_summary

SCRIPTS = Path(__file__).parents[2] / "scripts"
STEPS = [1, 2, 3, 4, 6, 8, 11, *range(16, 801, 16)]
KEYS = ["train@batch/loss", "train/loss", "train/accuracy", "val/loss", "val/accuracy"]
FIGURES = [
    {"kind": "curves", "title": "By step", "col": "model.name"},
    {"kind": "curves", "title": "By samples", "x": "samples", "col": "model.name"},
]


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A sweep of 1,000 arms with ten seeds each."""
    monkeypatch.setattr("os.fsync", lambda file: None)
    rng = np.random.default_rng(0)
    trees = [
        config(model, norm, batch_size=64, optim__base_lr=0.001 * number)
        for model in ("mlp", "vgg")
        for norm in ("none", "batchnorm", "layernorm", "groupnorm")
        for number in range(1, 126)
    ]
    asked = [(arm_of(tree), seed, tree) for tree in trees for seed in range(10)]
    for arm, seed, tree in asked:
        keys = KEYS + [key.replace("/", "@precise/") for key in KEYS[1:]]
        keys = keys if tree["norm"]["name"] == "batchnorm" else KEYS
        lines = [",".join(METRICS)]
        for step, values in zip(STEPS, rng.random((len(STEPS), len(keys))).tolist(), strict=True):
            for key, value in zip(keys, values, strict=True):
                lines.append(f"{step},{64 * step},{key.replace('/', ',,')},{value!r}")
        folder = run_path(tmp_path, arm, seed)
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text("\n".join([*lines, ""]))
        summary = {
            "status": "done",
            "stuck": False,
            "metrics": dict(zip([*keys, "test/accuracy"], [*values, values[-1]], strict=True)),
            "steps_to": {"0.8": 40.0, "0.95": None},
            "samples_to": {"0.8": 2560.0, "0.95": None},
            "steps": 800,
            "samples": 51200,
            "seconds": 2.5,
            "parameters": 27710,
        }
        write_summary(folder, summary)
    folder = experiment_path(tmp_path, "large", "digits")
    write_arms(folder, asked)
    report = {"figures": FIGURES, "compare": [{"baseline": {"norm.name": "none"}}]}
    write_experiment(folder, {"question": "How long?", "report": report})
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(("script", "seconds"), [("report.py", 30), ("status.py", 5)])
def test_ten_thousand_runs(script, seconds, results):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, str(SCRIPTS / script), f"results={results}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < seconds
    assert after.ru_maxrss < 1_500_000  # kilobytes
