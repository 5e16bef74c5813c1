"""Data of one's own from the command line to the report, and beside digits to the byte."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from own_files import draw_photos, write_arrays
from sklearn.datasets import load_digits

from bnbench import ROOT, train
from bnbench.config.recipe import resolve
from bnbench.tracking.run_dir import RunFolder
from bnbench.train import train_arm


@pytest.fixture
def digits(tmp_path):
    """Scikit-learn's digits as a file of numpy."""
    pixels, labels = load_digits(return_X_y=True)
    images = np.asarray(pixels).reshape(-1, 8, 8) / 16
    return write_arrays(tmp_path / "mine.npz", images=images, labels=labels)


@pytest.fixture
def few(tmp_path):
    """Forty images of two classes."""
    return write_arrays(tmp_path / "few.npz")


def only(request):
    (arm,) = request.arms.values()
    return arm


def trained(request):
    """The folder of the one run of a request, which is trained here."""
    arm = only(request)
    (seed,) = arm.config.seeds
    assert train_arm(arm.config) == {seed: "done"}
    return RunFolder.of(Path(arm.config.results), arm.id, seed)


@pytest.mark.parametrize("split_seed", ["0", "per_seed"])
def test_digits_as_a_file_give_the_bytes_of_digits(read, digits, split_seed):
    common = [f"data.split_seed={split_seed}", "seeds=[3]", "track=csv", "device=cpu"]
    common += ["train.steps=20", "train.eval_points=4", "train.policies=[ema,precise,batch]"]
    mine = trained(read("data=npz", f"data.file={digits}", "optim.base_lr=0.1", *common))
    known = trained(read("data=digits", *common))
    assert mine.metrics.read_bytes() == known.metrics.read_bytes()
    one, other = (run.read_summary()["fingerprint"] for run in (mine, known))
    assert one == other
    assert mine.arm != known.arm


@pytest.mark.slow
def test_they_do_so_with_every_default(read, digits):
    common = ["data.split_seed=0", "seeds=[0]", "track=csv", "device=cpu", "norm=none"]
    mine = trained(read("data=npz", f"data.file={digits}", "optim.base_lr=0.1", *common))
    known = trained(read("data=digits", *common))
    assert mine.metrics.read_bytes() == known.metrics.read_bytes()


def of_few(few, *more):
    return ["data=npz", f"data.file={few}", "batch_size=8", "seeds=[0]", "track=csv",
            "device=cpu", "train.steps=4", "train.eval_points=2", *more]  # fmt: skip


def test_head_and_chance_follow_from_the_classes(read, few):
    run = trained(read(*of_few(few, "optim.base_lr=1e-9", "model.widths=[5]")))
    summary = run.read_summary()
    assert summary["parameters"] == 36 * 5 + 2 * 5 + 5 * 2 + 2
    # half of two balanced classes: chance, though far above that of ten
    assert summary["metrics"]["val/accuracy"] >= 0.25
    assert summary["stuck"] == (summary["metrics"]["val/accuracy"] <= 0.52)


@pytest.mark.parametrize(("loss", "diverged"), [(1.38, False), (1.39, True)])
def test_the_bound_of_divergence_follows_from_the_classes(read, few, monkeypatch, loss, diverged):
    """2 ln 2 = 1.386: for ten classes it would be 4.6."""
    recipe = resolve(only(read(*of_few(few, "optim.base_lr=0.1"))).config)
    run = train.build(recipe, 0)
    monkeypatch.setattr(train, "steps", lambda run: iter([torch.tensor(loss)] * 4))
    assert train.fit(run, lambda step, point: None) == diverged


@pytest.mark.parametrize("accuracy", [0.52, 0.53])
def test_stuck_is_two_points_above_the_chance_of_the_classes(read, few, accuracy):
    recipe = resolve(only(read(*of_few(few, "optim.base_lr=0.1"))).config)
    curve = [(4, {("val", "", "accuracy"): accuracy})]
    summary = train.summarise(train.build(recipe, 0), curve, diverged=False, seconds=1)
    assert summary["stuck"] == (accuracy == 0.52)


def test_images_that_have_changed_since_the_sweep_began_are_refused(read, few):
    arm = only(read(*of_few(few, "optim.base_lr=0.1")))
    write_arrays(few, num=41)
    (outcome,) = train_arm(arm.config).values()
    assert outcome.startswith("DataError: the images or their labels have changed: digest sha256:")


def test_a_table_of_runs_knows_the_epochs_of_own_data(make):
    from fake_results import config

    own = {"name": "mine-0000", "split_seed": "per_seed", "augment": "none"}
    own |= {"batches": "reshuffled", "digest": "sha256:0", "num_classes": 2}
    runs = make((config(data={**own, "shape": [1, 6, 6], "sizes": [640, 9, 9]}), 1, 0)).runs
    assert runs["epochs"].tolist() == [128 / 10]  # steps, of 64 images


@pytest.mark.slow
def test_a_folder_of_300_photos_from_tune_lr_to_a_report(warm, tmp_path, tmp_path_factory):
    draw_photos(tmp_path / "my photos", {"cats": 150, "dogs": 150}, side=20)

    def sweep(*words):
        argv = [str(ROOT / "scripts" / "sweep.py"), "data=folder", "data.root=my photos", *words]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return warm.run(argv, tmp_path, env, tmp_path_factory.mktemp("printed") / "lines.txt")

    short = ["train.steps=12", "train.eval_points=6", "track=csv", "device=cpu"]
    status, told = sweep("experiment=placement", "seeds=[0]", *short)
    assert status == 2
    assert told.startswith("bnbench: optim.base_lr: no rate is tuned for model=mlp data=my_photos-")
    assert len(told.splitlines()) == 1
    assert not (tmp_path / "results").exists()

    rates = ["optim.base_lr=0.01,0.1", "model=mlp,vgg", "seeds=[100]"]
    status, told = sweep("experiment=tune_lr", *rates, *short)
    assert status == 0, told
    assert "300 images of 3×32×32 in 2 classes (cats 150, dogs 150); 180 to train" in told
    (table,) = (tmp_path / "results" / "base_lr").iterdir()
    assert table.name in told
    (kept,) = (tmp_path / "results" / "data").iterdir()
    before = kept.stat().st_mtime_ns

    status, told = sweep("experiment=placement", "seeds=[0]", *short)
    assert status == 0, told
    (folder,) = (tmp_path / "results" / "experiments" / "placement").iterdir()
    assert folder.name.startswith("my_photos-")
    assert f"placement on {folder.name}: 10 arms, 10 runs" in told
    assert "try next:" in told
    assert "DATA=folder" in told
    assert folder.name in (folder / "report.html").read_text(encoding="utf-8")
    assert (tmp_path / "results" / "report.html").exists()
    runs = pd.read_csv(folder / "runs.csv")
    assert set(runs["status"]) == {"done"}
    assert runs["data.num_classes"].unique().tolist() == [2]
    assert kept.stat().st_mtime_ns == before  # not prepared again
    assert json.loads((folder / "experiment.json").read_text())["data"] == folder.name
