"""A made-up results folder with the files that training writes, for tests of what reads them."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bnbench.config.arms import flatten
from bnbench.config.schema import BATCH_NORMS

POINTS = [1, 2, 4, 8, 16, 32, 64, 96, 128]
WORTH = {"none": 0.90, "batchnorm": 0.96, "torch_batchnorm": 0.96}  # final accuracy


def config(model="mlp", norm="batchnorm", placement="pre", **changes: Any) -> dict[str, Any]:
    """The canonical science config of an arm; in the names of changes `__` is the dot."""
    layer: dict[str, Any] = {} if norm == "none" else {"eps": 1e-5, "affine": True}
    if norm in BATCH_NORMS:
        layer["momentum"] = 0.1
    tree: dict[str, Any] = {
        "model": {"name": model, "widths": [100, 100], "depth": [1, 1], "activation": "relu"},
        "norm": {"name": norm, **layer},
        "placement": "none" if norm == "none" else placement,
        "data": {"name": "digits", "split_seed": 0, "augment": "none", "batches": "reshuffled"},
        "optim": {"name": "sgd", "base_lr": 0.1, "lr_mult": 1.0, "lr_scaling": "none"},
        "batch_size": 64,
        "train": {"steps": POINTS[-1], "eval_points": 50, "thresholds": [0.8, 0.95]},
        "probes": [],
    }
    tree["train"]["policies"] = ["ema", "precise"] if norm in BATCH_NORMS else ["ema"]
    for name, value in changes.items():
        *path, last = name.split("__")
        node = tree
        for part in path:
            node = node[part]
        node[last] = value
    return tree


def arm_of(tree: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:8]
    return f"{tree['model']['name']}-{tree['norm']['name']}-{tree['placement']}-{digest}"


def row(tree: dict[str, Any], seed: int, status: str = "done", **measured: Any) -> dict[str, Any]:
    """A row of runs.csv."""
    columns = {
        key: json.dumps(value) if isinstance(value, list) else value
        for key, value in flatten(tree).items()
    }
    stuck = False if status in ("done", "diverged") else ""
    return (
        {"arm": arm_of(tree), "seed": seed, "status": status, "stuck": stuck} | columns | measured
    )


def write_run(results: Path, tree: dict[str, Any], seed: int, diverges=False) -> dict[str, Any]:
    """The metrics.csv of a run that learns, or that diverges; returns its row of runs.csv."""
    norm, batch = tree["norm"]["name"], tree["batch_size"]
    rng = np.random.default_rng([seed, *arm_of(tree).encode()])
    top = WORTH.get(norm, 0.94) + rng.normal(0, 0.005)
    lines = []
    for step in POINTS[:4] if diverges else POINTS:
        accuracy = 0.1 if diverges else 0.1 + (top - 0.1) * (1 - np.exp(-step / 20))
        loss = float(2.3 * np.exp(step)) if diverges else 2.3 * (1 - accuracy)
        where = (step, step * batch)
        lines.append((*where, "train@batch", "", "loss", loss))
        for split in ("val", "val@precise") if norm in BATCH_NORMS else ("val",):
            noisy = accuracy + rng.normal(0, 0.01) if not diverges else accuracy
            lines += [(*where, split, "", "loss", loss), (*where, split, "", "accuracy", noisy)]
    write_csv(run_folder(results, tree, seed) / "metrics.csv", METRICS, lines)
    precise = {"test@precise/accuracy": top} if norm in BATCH_NORMS else {}
    measured = {"val/accuracy": top, "test/accuracy": top, **precise, "steps_to/0.8": 40.0}
    if diverges:
        measured = dict.fromkeys(measured)
    measured |= {"steps": POINTS[-1], "samples": POINTS[-1] * batch, "seconds": 2.5}
    return row(tree, seed, "diverged" if diverges else "done", **measured)


def write_probes(results: Path, tree: dict[str, Any], seed: int) -> None:
    """Rows of probes in a run's metrics.csv, from step 0 on: the norm of layer k is k + step."""
    path = run_folder(results, tree, seed) / "metrics.csv"
    with path.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(
            (step, 64 * step, "train@batch", layer, metric, value + step)
            for step in (0, *POINTS)
            for layer, metric, value in (
                *((str(k), "gradient_norm", k) for k in range(1, 13)),
                ("head", "gradient_norm", 100),
                ("", "gradient_growth", 1000),
            )
        )


def write_shifts(results: Path, tree: dict[str, Any], seed: int, policies=("ema",)) -> None:
    """The shifts.csv of a run: blur costs 2 points a step of severity, precise half of it."""
    lines = [
        ("blur", severity, policy, "accuracy", 0.9 - 0.02 * severity / (1 + (policy == "precise")))
        for severity in range(1, 6)
        for policy in policies
    ]
    write_csv(run_folder(results, tree, seed) / "shifts.csv", SHIFTS, lines)


METRICS = ("step", "samples", "split", "layer", "metric", "value")
SHIFTS = ("shift", "severity", "policy", "metric", "value")


def write_csv(path: Path, header: tuple[str, ...], lines: list[tuple]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *lines])


def run_folder(results: Path, tree: dict[str, Any], seed: int) -> Path:
    return results / "runs" / arm_of(tree) / f"seed-{seed}"


def write_experiment(results: Path, name: str, rows: list[dict], **info: Any) -> Path:
    """The runs.csv and experiment.json of an experiment on digits; returns its folder."""
    folder = results / "experiments" / name / "digits"
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(folder / "runs.csv", index=False)
    facts = {"name": name, "data": "digits", "question": f"What does {name} change?"}
    facts |= {"command": f"python scripts/train.py experiment={name}", "device": "cpu"}
    facts |= {"git_commit": "0123456789abcdef" * 2, "git_dirty": True, "versions": {"torch": "2"}}
    facts |= {"started": "2025-06-01T10:00:00+00:00", "finished": "2025-06-01T10:12:30+00:00"}
    (folder / "experiment.json").write_text(json.dumps(facts | info), encoding="utf-8")
    return folder
