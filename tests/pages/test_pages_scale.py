"""What thousands of runs cost those who read them, in work that is counted: no clock, no memory.

`python tests/tools/scale.py` measures seconds and megabytes.
"""

import os
import runpy
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_results import METRICS, arm_of, config

from bnbench import ROOT
from bnbench.pages import report
from bnbench.tracking.experiment_dir import experiment_path, write_arms, write_experiment
from bnbench.tracking.run_dir import RunFolder

SCRIPTS = ROOT / "scripts"
STEPS = [1, 2, 3, 4, 6, 8, 11, *range(16, 801, 16)]
KEYS = ["train@batch/loss", "train/loss", "train/accuracy", "val/loss", "val/accuracy"]
FIGURES = [
    {"kind": "curves", "title": "By step", "col": "model.name"},
    {"kind": "curves", "title": "By samples", "x": "samples", "col": "model.name"},
]


def write_sweep(results, num_arms):
    """A sweep of so many arms with ten seeds each."""
    rng = np.random.default_rng(0)
    trees = [
        config(model, norm, batch_size=64, optim__base_lr=0.001 * number)
        for model in ("mlp", "vgg")
        for norm in ("none", "batchnorm")
        for number in range(1, num_arms // 4 + 1)
    ]
    asked = [(arm_of(tree), seed, tree) for tree in trees for seed in range(10)]
    for arm, seed, tree in asked:
        keys = KEYS + [key.replace("/", "@precise/") for key in KEYS[1:]]
        keys = keys if tree["norm"]["name"] == "batchnorm" else KEYS
        lines = [",".join(METRICS)]
        for step, values in zip(STEPS, rng.random((len(STEPS), len(keys))).tolist(), strict=True):
            for key, value in zip(keys, values, strict=True):
                lines.append(f"{step},{64 * step},{key.replace('/', ',,')},{value!r}")
        folder = RunFolder.of(results, arm, seed).path
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
        RunFolder(folder).write_summary(summary)
    folder = experiment_path(results, "large", "digits")
    write_arms(folder, asked)
    report = {"figures": FIGURES, "compare": [{"baseline": {"norm.name": "none"}}]}
    write_experiment(folder, {"question": "How long?", "report": report})


def work(script, results, monkeypatch):
    """What a script does with a results folder: files opened, tables parsed, figures drawn."""
    count = Counter()
    opens, parse = os.open, pd.read_csv

    def counted_open(path, *args, **options):
        count["opened"] += Path(os.fsdecode(path)).is_relative_to(results / "runs")
        return opens(path, *args, **options)

    def counted_parse(*args, **options):
        count["parsed"] += 1
        return parse(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", counted_open)
        patch.setattr(pd, "read_csv", counted_parse)
        patch.setattr(report, "draw", lambda *_: count.update(["drawn"]))
        patch.setattr("sys.argv", [script, f"results={results}"])
        assert runpy.run_path(str(SCRIPTS / script))["main"]() == 0
    return count


@pytest.mark.slow
@pytest.mark.parametrize(("script", "each"), [("report.py", 14), ("status.py", 2)])
def test_work_grows_with_the_number_of_runs_and_no_faster(script, each, tmp_path, monkeypatch):
    """A summary and a curve are opened for runs.csv, for the page's table and for its curves.

    Before and after a report is written, and before and after its figures are drawn, both are
    opened to see whether they changed.
    """
    monkeypatch.setattr("os.fsync", lambda file: None)
    few, many = (tmp_path / name for name in ("few", "many"))
    write_sweep(few, 4)
    write_sweep(many, 16)
    one, other = (work(script, results, monkeypatch) for results in (few, many))
    assert (one.pop("opened"), other.pop("opened")) == (each * 40, each * 160)
    assert one == other  # tables are parsed, and figures drawn, once for all runs
