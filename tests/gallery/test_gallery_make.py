"""The whole way of `make gallery`: from nothing, and again; what is kept and what is refused."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from bnbench import ROOT
from bnbench.config.recipe import resolve
from bnbench.gallery import planes
from bnbench.gallery.make import GalleryPicture, by_norm, write_index
from bnbench.probes import Batch
from bnbench.probes.passes import loss_at, parameters
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.stored import file_digest
from bnbench.train import build, load_weights, train_arm

PICTURES = ["two-features", "activation-bands", "activations", "along-the-gradient",
            "loss-landscape"]  # fmt: skip


@pytest.fixture
def arm(read):
    """A tiny VGG with BN, trained for two steps."""
    request = read(
        "model=vgg", "model.widths=[2,2]", "model.depth=[1]", "data=synthetic", "seeds=[0]",
        "train.steps=2", "track=csv", "device=cpu", "batch_size=4",
    )  # fmt: skip
    (arm,) = request.arms.values()
    train_arm(arm.config)
    return arm


def measured(arm, folder, points=3):
    said: list[str] = []
    results = Path(arm.config.results)
    found = planes.measured_plane(folder, results, arm.id, arm.config, 0, points, said.append)
    return found, said


def test_the_middle_of_a_plane_is_the_trained_nets_loss(arm, tmp_path):
    found, said = measured(arm, tmp_path)
    run = build(resolve(arm.config), 0)
    assert load_weights(run, RunFolder.of(Path(arm.config.results), arm.id, 0).path / "weights.pt")
    images, labels = (x[: planes.IMAGES] for x in run.splits["train"])
    own = loss_at(run.model, Batch(images, labels, 0.0, images), parameters(run.model))
    assert found[1, 1] == own
    assert len(np.unique(found)) == 9
    assert said == [f"{arm.id} seed 0: 3×3 points of its plane"]


@pytest.mark.slow
def test_a_plane_is_kept_while_it_is_whole_and_of_these_weights(arm, tmp_path, monkeypatch):
    first, _ = measured(arm, tmp_path)
    (file,) = (tmp_path / "planes").iterdir()
    before = file.read_bytes()
    again, said = measured(arm, tmp_path)
    assert (said, again.tolist()) == ([], first.tolist())
    file.write_bytes(before[: len(before) // 2])  # torn
    assert measured(arm, tmp_path)[1]
    assert file.read_bytes() == before
    assert measured(arm, tmp_path, points=5)[1]  # another grid
    monkeypatch.setattr(planes, "VERSION", planes.VERSION + 1)
    assert measured(arm, tmp_path, points=5)[1]


def test_weights_that_the_run_did_not_write_are_not_drawn(arm, tmp_path):
    path = RunFolder.of(Path(arm.config.results), arm.id, 0).path / "weights.pt"
    weights = torch.load(path, weights_only=True)
    torch.save({name: tensor + 1 for name, tensor in weights.items()}, path)
    with pytest.raises(ValueError, match=r"weights\.pt: missing or damaged"):
        measured(arm, tmp_path)


def test_a_pair_is_one_net_with_bn_and_one_without(read):
    request = read("norm=batchnorm,none", "data=synthetic", multirun=True)
    configs = {arm.id: arm.config for arm in request.arms.values()}
    assert [configs[arm].norm.name for arm in by_norm(configs).values()] == ["none", "batchnorm"]
    configs.popitem()
    with pytest.raises(ValueError, match="expected one arm with BN and one without"):
        by_norm(configs)


def test_the_index_names_what_is_there(tmp_path):
    for file in ("x.gif", "x.png"):
        (tmp_path / file).write_bytes(file.encode())
    picture = GalleryPicture("x", "A title", "A caption.", ["x.gif", "x.png"])
    write_index(tmp_path, [picture], {"command": "python scripts/gallery.py", "git_commit": "abc"})
    index = (tmp_path / "index.md").read_text(encoding="utf-8")
    assert "![A title](x.gif)" in index
    assert "[x.png](x.png)" in index
    facts = json.loads((tmp_path / "gallery.json").read_text(encoding="utf-8"))
    assert facts["git_commit"] == "abc"
    (told,) = facts["pictures"]
    assert told["sha256"] == {file: file_digest(tmp_path / file) for file in ("x.gif", "x.png")}


SMALL = """
import sys
import warnings

warnings.simplefilter("error")
from bnbench.commands.gallery import main
from bnbench.gallery import make, slides

make.GRID, make.COARSE = 7, 5
whole = slides.film
slides.film = lambda figure, path, show, durations: whole(figure, path, show, durations[:3])
sys.exit(main())
"""


@pytest.fixture
def gallery(warm, tmp_path):
    """Run the command on tiny nets, planes of few points and films of three frames."""
    script = tmp_path / "small.py"
    script.write_text(SMALL)

    def run(results, *words):
        command = [
            *(str(script), f"results={results}", "data=synthetic", "device=cpu"),
            *("hydra.launcher.n_jobs=1", "model.widths=[3,2]", "train.steps=3"),
            *("train.eval_points=1", "batch_size=8", *words),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        return warm.run(command, tmp_path, environment, tmp_path / "printed.txt")

    return run


@pytest.mark.slow
def test_a_gallery_from_nothing_and_again(gallery, tmp_path):
    results = tmp_path / "results"
    calm = "optim.base_lr=0.001", "seeds=[0,1]"
    status, first = gallery(results, *calm)
    assert status == 0, first
    folder = results / "gallery" / "synthetic"
    facts = json.loads((folder / "gallery.json").read_text(encoding="utf-8"))
    assert [picture["name"] for picture in facts["pictures"]] == PICTURES
    assert {"command", "git_commit", "versions", "device", "started", "finished"} <= facts.keys()
    written = {file: h for picture in facts["pictures"] for file, h in picture["sha256"].items()}
    assert len(written) == 12
    assert all(file_digest(folder / file) == h for file, h in written.items())
    said = first.splitlines()
    assert said[-1] == f"gallery: {folder / 'index.md'}"
    assert [line.split()[1] for line in said if line.startswith("[") and "/5]" in line] == PICTURES
    status, second = gallery(results, *calm)
    assert status == 0, second
    assert "0 to train" in second
    assert "points of its plane" not in second
    again = json.loads((folder / "gallery.json").read_text(encoding="utf-8"))
    assert again["pictures"] == facts["pictures"]  # the same bytes
    # a bad request is one line, and no picture
    status, refused = gallery(tmp_path / "none", "batch_size=0")
    assert status == 2
    assert len(refused.splitlines()) == 1
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_pictures_of_runs_that_diverge_are_left_out(gallery, tmp_path):
    status, some = gallery(tmp_path / "results", "optim.base_lr=1e30", "seeds=[0]")
    assert status == 1
    left_out = [line for line in some.splitlines() if line.endswith("diverged, cannot be drawn")]
    assert len(left_out) == 3
    folder = tmp_path / "results" / "gallery" / "synthetic"
    facts = json.loads((folder / "gallery.json").read_text(encoding="utf-8"))
    assert [picture["name"] for picture in facts["pictures"]] == ["two-features"]
