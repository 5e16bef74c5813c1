"""Whole runs in process: their files, their repeatability, and what each arm has in common."""

import csv
import dataclasses
import inspect
import json
import math
import re
import subprocess
import sys
import zipfile
from itertools import islice
from pathlib import Path
from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from bnbench.config import schema
from bnbench.config.arms import arm_id, flatten, science
from bnbench.config.points import SUBSET
from bnbench.config.recipe import resolve
from bnbench.config.schema import AT_END, PROBED, Probe
from bnbench.data.datasets import load
from bnbench.data.fingerprint import tensor_digest
from bnbench.models import freeze
from bnbench.norms.population import POLICIES
from bnbench.probes import PROBES
from bnbench.request.declared import probed as probe_keys
from bnbench.request.declared import tasked
from bnbench.tracking.experiment_dir import outcome
from bnbench.tracking.run_dir import RunFolder, State
from bnbench.train import (
    batches,
    build,
    fingerprint,
    fit,
    load_weights,
    statistics_source,
    steps,
    train_arm,
)
from bnbench.training.averages import checkpoints
from bnbench.training.evaluation import evaluating_with, scored

ALL = ",".join(Probe)
KEY = ("split", "metric", "layer")
CONFIGS = {name for name, thing in vars(schema).items() if dataclasses.is_dataclass(thing)}
CONFIGS |= {"DictConfig", "ListConfig", "OmegaConf", "Recipe"}
BEHIND_TRAIN = tuple(
    f"bnbench.{room}." for room in ("data", "models", "norms", "probes", "tracking", "training")
)
CSV = ["track=csv", "device=cpu", "seeds=[0]"]


def only(request):
    (arm,) = request.arms.values()
    return arm.config


def trained(config, seed=0):
    train_arm(config)
    path = RunFolder.of(Path(config.results), arm_id(science(config)), seed).path
    error = path / "error.txt"
    assert not error.exists(), error.read_text()
    return path


def summary(path):
    return json.loads((path / "summary.json").read_text())


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def configs_in(hint):
    """The dataclasses of the schema, and the nodes of OmegaConf, that a type hint mentions."""
    if isinstance(hint, str):  # a hint in quotes
        return {name for name in re.findall(r"\w+", hint) if name in CONFIGS}
    own = {hint.__name__} & CONFIGS if isinstance(hint, type) else set()
    return own.union(*map(configs_in, get_args(hint)))


def hints_of(thing):
    """The type hints of a function, or of a class with its fields and methods."""
    inside = list(vars(thing).values()) if isinstance(thing, type) else []
    methods = [getattr(member, "__func__", getattr(member, "fget", member)) for member in inside]
    for each in [thing, *filter(inspect.isfunction, methods)]:
        if isinstance(each, type) or inspect.isfunction(each := inspect.unwrap(each)):
            yield from inspect.get_annotations(each).values()


def test_nothing_that_training_calls_takes_a_configuration():
    """`train_arm` resolves it once; what stands behind takes plain values."""
    assert set().union(*map(configs_in, hints_of(train_arm))) == {"Config"}
    loaded = [m for name, m in sys.modules.items() if name.startswith(BEHIND_TRAIN)]
    assert len(loaded) > 30
    found = {
        f"{module.__name__}.{name}"
        for module in loaded
        for name, thing in vars(module).items()
        if getattr(thing, "__module__", None) == module.__name__
        for hint in hints_of(thing)
        if configs_in(hint)
    }
    assert not found


def test_a_run_leaves_its_files_and_learns(read):
    path = trained(only(read(*CSV, "train.epochs=5")))
    assert sorted(p.name for p in path.iterdir()) == [
        ".lock", "config.yaml", "meta.json", "metrics.csv", "summary.json", "weights.pt",
    ]  # fmt: skip
    result = summary(path)
    assert (result["status"], result["stuck"]) == ("done", False)
    assert (result["steps"], result["samples"]) == (80, 5120)
    # 64·100 + 2·100·100 weights without bias, 3·2·100 of the norms, 100·10 + 10 of the head
    assert result["parameters"] == 26400 + 600 + 1010
    assert result["metrics"]["test/accuracy"] > 0.9
    assert 0 < result["steps_to"]["0.5"] < result["steps_to"]["0.8"]
    assert result["samples_to"]["0.8"] == result["steps_to"]["0.8"] * 64
    metrics = rows(path / "metrics.csv")
    splits = {row["split"] for row in metrics}
    assert splits == {
        "train@batch", "train", "val", "val_all", "test",
        "train@precise", "val@precise", "val_all@precise", "test@precise",
    }  # fmt: skip
    last = {(r["split"], r["metric"]): float(r["value"]) for r in metrics if r["step"] == "80"}
    assert last["val", "accuracy"] == result["metrics"]["val/accuracy"]


@pytest.mark.one_in(2)
@pytest.mark.parametrize("model", ["mlp", "vgg"])
def test_every_policy_has_its_rows(read, model):
    """All splits of metrics.csv and all rows of shifts.csv; images are tested in batches of 50."""
    policies = list(POLICIES)
    asked = [
        *CSV, f"model={model}", "train.steps=4", "train.eval_points=2", "shift=blur",
        "shift.severities=[3]", f"train.policies=[{','.join(policies)}]", "train.test_batch=50",
    ]  # fmt: skip
    path = trained(only(read(*asked)))
    metrics = rows(path / "metrics.csv")
    measured = [*policies[1:-2], "blend"]
    at = {(r["step"], r["split"], r["metric"]) for r in metrics}
    tested = {"test", *(f"test@{policy}" for policy in policies[1:])}
    names = ("val", "val_all", "test")
    splits = {split.replace("test", name) for split in tested for name in names}
    splits |= {"train", *(f"train@{policy}" for policy in measured)}
    for point in ("2", "4"):
        assert {s for step, s, m in at if (step, m) == (point, "accuracy")} == splits
    assert ("4", "train@batch", "loss") in at
    assert all(math.isfinite(float(r["value"])) for r in metrics)
    shifts = rows(path / "shifts.csv")
    assert {(r["policy"], r["metric"]) for r in shifts} == {
        (policy, metric) for policy in policies for metric in ("loss", "accuracy")
    }
    final = {(r["split"], r["metric"]): r["value"] for r in metrics if r["step"] == "4"}
    # statistics of other images, or of others beside, are other numbers
    assert len({final[split, "loss"] for split in tested}) == len(tested)
    run = build(resolve(only(read(*asked))), 0)
    assert load_weights(run, path / "weights.pt")
    for layer in (module for module in run.model.modules() if isinstance(module, _BatchNorm)):
        layer.running_mean = layer.running_var = None  # so torch normalises by the batch
    images, labels = run.splits["test"]
    with torch.no_grad():
        logits = torch.cat([run.model.eval()(x) for x in images.split(50)])
    by_hand = F.cross_entropy(logits, labels).item()
    assert float(final["test@batch", "loss"]) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.slow
def test_a_net_without_batchnorm_is_recalibrated(read, monkeypatch):
    """On the training images themselves, to rounding, it is as it was; blurred ones change it."""
    # as many are evaluated as statistics are measured on
    monkeypatch.setattr("bnbench.train.TRAIN_SUBSET", SUBSET)
    asked = ["shift=blur", "shift.severities=[5]", "train.policies=[ema,precise,recalibrated]"]
    path = trained(only(read(*CSV, "norm=none", "train.steps=60", *asked)))
    metrics, final = rows(path / "metrics.csv"), summary(path)["metrics"]
    plain = ("train", "val", "val_all", "test")
    splits = {"train@batch", *plain, *(f"{split}@recalibrated" for split in plain)}
    assert {row["split"] for row in metrics} == splits
    assert final["train@recalibrated/loss"] == pytest.approx(final["train/loss"], rel=1e-5)
    assert final["test@recalibrated/loss"] != pytest.approx(final["test/loss"], rel=1e-4)
    assert "test@recalibrated/accuracy" in final
    shifts = {(r["policy"], r["metric"]): float(r["value"]) for r in rows(path / "shifts.csv")}
    assert {policy for policy, _ in shifts} == {"none", "recalibrated"}
    # blur takes contrast from all layers, which recalibration gives back
    assert shifts["recalibrated", "loss"] < shifts["none", "loss"]


@pytest.mark.slow
def test_only_statistics_of_test_batches_see_the_order_of_images(read):
    policies = list(POLICIES)
    asked = [
        *("shift=class_sorted", "shift.severities=[1,5]", "train.test_batch=20"),
        f"train.policies=[{','.join(policies)}]",
    ]
    path = trained(only(read(*CSV, "train.steps=150", *asked)))
    final = summary(path)["metrics"]
    cells = [r for r in rows(path / "shifts.csv") if r["metric"] == "accuracy"]
    found = {(r["policy"], r["severity"]): float(r["value"]) for r in cells}
    assert len(found) == 2 * len(policies)
    for (policy, severity), accuracy in found.items():
        clean = final["test/accuracy" if policy == "ema" else f"test@{policy}/accuracy"]
        if policy not in ("batch", "blend"):
            assert accuracy == clean
        elif severity == "5":  # batches of one class or two
            assert accuracy < clean - 0.1
    assert found["batch", "5"] < found["batch", "1"] < final["test@batch/accuracy"]
    plain = trained(only(read(*CSV, "norm=none", "train.steps=20", *asked)))
    for row in rows(plain / "shifts.csv"):
        if row["metric"] == "accuracy":
            assert float(row["value"]) == summary(plain)["metrics"]["test/accuracy"]


def test_a_key_means_the_same_images_from_the_first_point_to_the_last(read, monkeypatch):
    """The whole sets have keys of their own, at the last five points."""
    sizes = {"train": 40, "val": 50, "val_all": 359, "test": 360}
    monkeypatch.setattr("bnbench.train.SUBSET", sizes["val"])
    monkeypatch.setattr("bnbench.train.TRAIN_SUBSET", sizes["train"])
    config = only(read(*CSV, "train.steps=40", "train.policies=[ema,precise,batch]"))
    path, points = trained(config), [*resolve(config).evaluation_points]
    seen: dict[str, list[int]] = {}
    for row in rows(path / "metrics.csv"):
        if row["metric"] == "accuracy":
            size = sizes[row["split"].partition("@")[0]]
            assert float(row["value"]) * size == pytest.approx(round(float(row["value"]) * size))
            seen.setdefault(row["split"], []).append(int(row["step"]))
    assert seen["val"] == seen["val@batch"] == points
    for split in ("val_all", "test"):
        for policy in ("", "@precise", "@batch"):
            assert seen[split + policy] == points[-5:]
    few = [p for p in points if p in (1, 4, 16, *points[-5:])]
    assert seen["train"] == seen["train@precise"] == seen["val@precise"] == few
    every = only(read(*CSV, "train.steps=40", "train.policy_points=all"))
    steps = [r["step"] for r in rows(trained(every) / "metrics.csv") if r["split"] == "val@precise"]
    assert [int(step) for step in steps[::2]] == points


def test_damaged_weights_are_trained_again(read):
    path = trained(only(read(*CSV, "train.steps=5")))
    before = (path / "metrics.csv").read_bytes()
    (path / "weights.pt").write_bytes(b"PK damaged")
    trained(only(read(*CSV, "train.steps=5", "shift=blur", "shift.severities=[5]")))
    assert (path / "metrics.csv").read_bytes() == before
    assert len(rows(path / "shifts.csv")) == 4


@pytest.mark.slow
def test_the_same_run_writes_the_same_bytes(read, tmp_path):
    arguments = [
        *(*CSV, "train.steps=40"),
        *("norm=noisy_batchnorm", "model.dropout=0.3", "data.augment=light"),
    ]
    path = trained(only(read(*arguments)))
    first, weights = ((path / name).read_bytes() for name in ("metrics.csv", "weights.pt"))
    torch.manual_seed(99)  # what else goes on in the process must not matter
    again = trained(only(read(*arguments, f"results={tmp_path}/again")))
    assert again.joinpath("metrics.csv").read_bytes() == first
    assert again.joinpath("weights.pt").read_bytes() == weights
    other = trained(only(read(*arguments, "seeds=[1]")), seed=1)
    assert other.joinpath("metrics.csv").read_bytes() != first


def test_weights_hold_no_name_of_a_file_and_older_ones_are_read(read):
    """Older ones have in them the random name of the file that they were written to."""
    config = only(read(*CSV, "train.steps=2"))
    path = trained(config) / "weights.pt"
    with zipfile.ZipFile(path) as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == {"archive"}
    old = path.with_name(".weights.pt.0123abcd.part")
    torch.save(torch.load(path, weights_only=True), old)
    run = build(resolve(config), 0)
    assert load_weights(run, old)
    assert tensor_digest(run.model.state_dict().values()) == tensor_digest(
        torch.load(path, weights_only=True).values()
    )


def test_averages_of_weights_are_evaluated_and_change_nothing(read):
    """Each at the last five points, with the statistics of the last net and with exact ones."""
    asked = [*CSV, "model.widths=[8]", "model.depth=[1]", "train.steps=40", "train.eval_points=8"]
    names = ("train.averages=[]", "train.averages=[swa,weight_ema]")
    plain, averaged = (only(read(*asked, name)) for name in names)
    paths = [trained(config) for config in (plain, averaged)]
    without, found = (rows(path / "metrics.csv") for path in paths)
    assert [row for row in found if not row["split"].startswith("test_")] == without
    own = {(row["split"], row["step"], row["metric"]): float(row["value"]) for row in found}
    last = ["20", "25", "30", "35", "40"]
    for kind in ("swa", "weight_ema"):
        for policy in ("", "@precise"):
            split = f"test_{kind}{policy}"
            assert [step for one, step, metric in own if (one, metric) == (split, "loss")] == last
    # the average of a run, by hand, with the statistics of its last net
    run = build(resolve(averaged), 0)
    kept = []
    for step, _ in enumerate(steps(run), 1):
        if step in checkpoints(40):
            kept.append([p.detach().clone().double() for p in run.model.parameters()])
    with torch.no_grad():
        for p, *values in zip(run.model.parameters(), *kept, strict=True):
            p.copy_(torch.stack(values).mean(0))
    images, labels = run.splits["test"]
    for policy in ("ema", "precise"):
        with evaluating_with(run.model, policy, statistics_source(run), images):
            loss, accuracy = (scored(run.model(images), labels).sum(1) / len(labels)).tolist()
        split = "test_swa" if policy == "ema" else "test_swa@precise"
        assert own[split, "40", "loss"] == pytest.approx(loss, rel=1e-4)
        assert own[split, "40", "accuracy"] == pytest.approx(accuracy, abs=1.5 / len(labels))
    assert own["test_swa", "40", "loss"] != pytest.approx(own["test", "40", "loss"], rel=1e-3)


def test_rescaled_weights_have_the_norms_of_the_run_that_decays_after_each_epoch(read):
    """Of one seed, with dropout too; in between they have others, and the head's decay in both."""
    asked = [
        *CSV, "model.widths=[8]", "model.depth=[2]", "model.dropout=0.2", "optim.base_lr=0.3",
        "train.steps=40", "train.eval_points=5", "probes=[weights]", "optim.weight_decay=0.01",
    ]  # fmt: skip
    norms = []
    for by in ("penalty", "rescaling"):
        table = rows(trained(only(read(*asked, f"optim.decay_by={by}"))) / "metrics.csv")
        norms.append(
            {
                (int(row["step"]), row["layer"]): float(row["value"])
                for row in table
                if row["metric"] == "weight_norm"
            }
        )
    penalty, rescaling = norms
    epoch = 1078 // 64
    for layer in ("1", "2"):
        for step in (0, epoch, 2 * epoch):
            assert rescaling[step, layer] == pytest.approx(penalty[step, layer], rel=1e-6), step
        for step in (epoch // 2, 3 * epoch // 2, 40):
            assert rescaling[step, layer] > 1.01 * penalty[step, layer], step
    assert rescaling[40, "head"] == pytest.approx(penalty[40, "head"], rel=0.05)


@pytest.mark.parametrize("model", ["mlp", pytest.param("vgg", marks=pytest.mark.slow)])
def test_probes_are_recorded_and_change_nothing(read, model):
    """With all probes a run has the weights, and beside their rows the rows, of one without."""
    asked = [
        *CSV, f"model={model}", "model.widths=[8,12]", "model.depth=[1]", "model.dropout=0.3",
        "norm=noisy_batchnorm", "train.steps=30", "train.eval_points=3",
    ]  # fmt: skip
    plain, probed = (only(read(*asked, probes)) for probes in ("probes=[]", f"probes=[{ALL}]"))
    paths = [trained(config) for config in (plain, probed)]
    weights = [torch.load(path / "weights.pt", weights_only=True) for path in paths]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    without, found = (rows(path / "metrics.csv") for path in paths)
    metrics = {metric for each in PROBED.values() for metric in each}
    assert [row for row in found if row["metric"] not in metrics] == without
    rest = [row for row in found if row["metric"] in metrics]
    last_alone = {metric for probe in AT_END for metric in PROBED[probe]}
    at_end = [row for row in rest if row["metric"] in last_alone]
    assert {(row["split"], row["step"]) for row in at_end} == {("test", "30")}
    rest = [row for row in rest if row not in at_end]
    assert {row["split"] for row in rest} == {"train@batch"}
    assert {row["step"] for row in rest} == {"0"} | {row["step"] for row in without}
    rest += at_end
    at_ends = {row["step"] for row in rest if row["metric"] in PROBED["curvature"]}
    assert at_ends == {"0", "30"}
    assert {row["samples"] for row in rest if row["step"] == "0"} == {"0"}
    assert all(math.isfinite(float(row["value"])) for row in rest)
    layers = {}
    for row in rest:
        if row["step"] == "30":
            layers.setdefault(row["metric"], []).append(row["layer"])
    of_net = [""]
    expected = {metric: ["1", "2"] if own else of_net for each in PROBED.values()
                for metric, own in each.items()}  # fmt: skip
    expected["gradient_norm"] = expected["weight_norm"] = ["1", "2", "head"]
    expected |= {metric: ["2", "head"] for metric in (*PROBED["ics"], *PROBED["conditioning"])}
    assert layers == expected
    keys = {
        "/".join(filter(None, ("test" if m in last_alone else "train@batch", m, layer)))
        for m in layers
        for layer in layers[m]
    }
    assert keys <= set(probe_keys(flatten(science(probed))))
    numbers = summary(paths[1])["metrics"]
    assert keys <= numbers.keys()
    last = {(r["metric"], r["layer"]): float(r["value"]) for r in rest if r["step"] == "30"}
    assert numbers["train@batch/gradient_norm/2"] == last["gradient_norm", "2"]
    same = ("stuck", "steps_to", "samples_to")
    assert [summary(paths[0])[k] for k in same] == [summary(paths[1])[k] for k in same]
    # at the start there is nothing to have drifted from
    started = {r["metric"] for r in rest if r["step"] == "0"}
    assert started == metrics - set(PROBED["drift"]) - last_alone


def test_probes_take_the_rate_of_the_step_to_come(read, monkeypatch):
    """And the first images of the training set, in batches of the training's size."""
    seen = []
    probe = lambda model, batch: seen.append(batch) or {("", "smoothness"): 1.0}  # noqa: E731
    monkeypatch.setitem(PROBES, "landscape", lambda: probe)
    monkeypatch.setitem(PROBES, "ablation", lambda: lambda model, batch: {})  # asks for test images
    asked = [
        *CSV, "probes=[landscape,ablation]", "train.steps=4", "train.eval_points=4",
        "optim.schedule=cosine",
        "optim.base_lr=1", "optim.lr_end=0.25", "batch_size=32", "optim.lr_mult=0.5",
    ]  # fmt: skip
    run = build(resolve(only(read(*asked))), 0)
    fit(run, lambda step, point: None)
    # (1 + cos) / 2 at 0, 1/3, 2/3 and 1, between 1/2 and 1/8; there is no fifth step
    assert [batch.rate for batch in seen] == pytest.approx([1 / 2, 13 / 32, 7 / 32, 1 / 8, 1 / 8])
    images, labels = run.splits["train"]
    for batch in seen:
        assert torch.equal(batch.images, images[:32])
        assert torch.equal(batch.labels, labels[:32])
        assert torch.equal(batch.reference, images[:1000])
        assert torch.equal(batch.unseen.images, run.splits["test"][0][:500])
        assert torch.equal(batch.unseen.labels, run.splits["test"][1][:500])
        pixels = batch.unseen.images * batch.unseen.std + batch.unseen.mean
        assert torch.allclose(pixels, run.dataset.test.images[:500], atol=1e-6)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("model", ["mlp", "vgg"])
def test_arms_share_weights_and_batches(read, model):
    """Arms that differ in norm or placement start from bit-equal weights and see equal batches."""
    request = read(
        *CSV, "norm=none,batchnorm,torch_batchnorm,layernorm,groupnorm", "placement=pre,post",
        f"model={model}", multirun=True,
    )  # fmt: skip
    weights, batches = [], []
    for arm in request.arms.values():
        run = build(resolve(arm.config), seed=3)
        weights.append([p.detach().clone() for p in run.model.parameters() if p.ndim > 1])
        seen: list[torch.Tensor] = []
        run.model.register_forward_pre_hook(lambda _, x, seen=seen: seen.append(x[0].clone()))
        list(islice(steps(run), 3))
        batches.append(seen)
    assert len(weights) == 9
    assert all(torch.equal(a, b) for w in weights for a, b in zip(w, weights[0], strict=True))
    assert all(torch.equal(a, b) for s in batches for a, b in zip(s, batches[0], strict=True))
    assert not torch.equal(batches[0][0], batches[0][1])


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mlp", pytest.param("vgg", marks=pytest.mark.slow)])
def test_fingerprints_are_equal_where_arms_share_and_only_there(read, model):
    one_step = [*CSV, f"model={model}", "train.steps=1", "train.policies=[ema]"]
    request = read(*one_step, "norm=none,batchnorm,layernorm", "placement=pre,post", multirun=True)
    prints = [summary(trained(arm.config))["fingerprint"] for arm in request.arms.values()]
    assert len(prints) == 5
    assert all(other == prints[0] for other in prints)
    assert set(prints[0]) == {"weights", "batches", "splits", "overlap"}
    assert prints[0]["overlap"] == 0
    assert all(len(prints[0][key]) == 16 for key in ("weights", "batches", "splits"))
    for change, differing in (
        ("seeds=[1]", {"weights", "batches"}),
        ("data.split_seed=1", {"splits"}),
        ("model.init=gaussian", {"weights"}),
        ("data.batches=frozen", {"batches"}),
        ("batch_size=32", {"batches"}),
        ("train.steps=2", set()),
        ("train.trainable=head", set()),
    ):
        config = only(read(*one_step, change))
        other = summary(trained(config, config.seeds[0]))["fingerprint"]
        assert {key for key in other if other[key] != prints[0][key]} == differing, change


def test_runs_draw_their_splits_from_their_seeds_where_asked_and_arms_share_them(read):
    """Training, validation and test images, and the shifts of these, are others for each seed."""
    asked = [*CSV, "train.steps=1", "data.split_seed=per_seed", "seeds=[3,4]", "shift=invert"]
    request = read(*asked, "norm=none,batchnorm", "shift.severities=[1]", multirun=True)
    prints = []
    for arm in request.arms.values():
        assert arm.config.data.split_seed == "per_seed"
        for seed in (3, 4):
            path = trained(arm.config, seed)
            prints.append(summary(path)["fingerprint"]["splits"])
            run = build(resolve(arm.config), seed)
            drawn = load("digits", Path(), seed, stratified=True)
            assert drawn.fingerprint["splits"] == prints[-1]
            assert torch.equal(run.dataset.test.images, drawn.test.images)
            images, labels = run.splits["test"]
            assert torch.equal(images, drawn.normalise(drawn.test.images))
            assert torch.equal(labels, drawn.test.labels)
    assert prints[:2] == prints[2:]
    assert prints[0] != prints[1]


def test_tasks_are_trained_on_in_a_row_and_measured_at_their_ends(read):
    """Two times the same bytes; the accuracies are those of the net after each task, by hand."""
    asked = [
        *CSV, "model.widths=[8]", "model.depth=[1]", "data.tasks=5", "train.steps=20",
        "train.eval_points=10", "optim.base_lr=0.1",
    ]  # fmt: skip
    config = only(read(*asked))
    path = trained(config)
    first = (path / "metrics.csv").read_bytes()
    path.rename(path.with_name("before"))
    assert (trained(config) / "metrics.csv").read_bytes() == first
    found = {
        (r["split"], int(r["step"]), r["metric"]): r["value"] for r in rows(path / "metrics.csv")
    }
    run = build(resolve(config), 0)
    classes = run.splits["train"][1]
    seen = [set(classes[batch].tolist()) for batch in batches(run, 10**9)]
    assert [len(own) for own in seen] == [2] * 20
    assert [own for own in seen if own == seen[0]] == [{0, 1}] * 4
    assert seen[-4:] == [{8, 9}] * 4
    assert len(list(batches(run, 7))) == 7
    images, labels = run.splits["test"]
    for step, _ in enumerate(steps(run), 1):
        if step % 4 == 0:
            for policy in ("ema", "precise"):
                suffix = "" if policy == "ema" else f"@{policy}"
                with (
                    torch.no_grad(),
                    evaluating_with(run.model, policy, statistics_source(run), images),
                ):
                    logits = run.model(images)
                for task in range(5):
                    own = labels // 2 == task
                    pair = logits[own][:, 2 * task : 2 * task + 2]
                    right = (pair.argmax(1) == labels[own] % 2).double().mean().item()
                    key = f"test_task_{task + 1}{suffix}", step, "accuracy"
                    assert float(found[key]) == pytest.approx(right, abs=1.5 / int(own.sum()))
    assert {step for split, step, _ in found if split == "test_tasks"} == {4, 8, 12, 14, 16, 18, 20}
    assert {step for split, step, _ in found if split == "val_task_1"} == {*range(2, 21, 2)}
    known = {*tasked(flatten(science(config)))}
    own = {f"{split}/{metric}" for split, _, metric in found if "_task" in split}
    assert own == {key for key in known if "@" not in key or "@precise" in key}


def test_nets_see_the_pixels_that_are_asked_for(read):
    normalised, unit, numbers = (
        build(resolve(only(read(f"data.pixels={pixels}"))), seed=0)
        for pixels in ("normalised", "unit", "bytes")
    )
    for split in ("train", "val", "test"):
        raw = getattr(normalised.dataset, split).images
        assert torch.equal(unit.splits[split][0], raw)
        torch.testing.assert_close(numbers.splits[split][0], 255 * raw, rtol=3e-7, atol=0)
        assert not torch.equal(normalised.splits[split][0], raw)
    marks = [fingerprint(run) for run in (normalised, unit, numbers)]
    assert marks[0] == marks[1] == marks[2]


def test_the_fingerprint_is_of_what_training_starts_from(read):
    """The weights before the first step, and the batches that the steps then see."""
    run = build(resolve(only(read(*CSV, "data.batches=two_classes", "norm=none"))), seed=0)
    expected = fingerprint(run)
    labels, seen = run.splits["train"][1], []
    images = run.splits["train"][0].flatten(1)
    run.model.register_forward_pre_hook(lambda _, x: seen.append(x[0].flatten(1).clone()))
    assert fingerprint(run) == expected
    list(islice(steps(run), 100))
    rows = [torch.cdist(batch, images).argmin(1) for batch in seen]
    assert tensor_digest(rows) == expected["batches"]
    assert {len(labels[batch].unique()) for batch in rows} == {2}
    assert fingerprint(run)["weights"] != expected["weights"]


def test_a_run_from_before_fingerprints_is_done(read):
    arguments = [*CSV, "train.steps=2", "train.policies=[ema]"]
    config = only(read(*arguments))
    path = trained(config)
    old = {
        key: value for key, value in RunFolder(path).read_summary().items() if key != "fingerprint"
    }
    RunFolder(path).write_summary(old)
    before = (path / "summary.json").read_bytes()
    assert RunFolder(path).state() == State.done
    assert trained(config) == path
    assert (path / "summary.json").read_bytes() == before
    cells = outcome(RunFolder(path))
    RunFolder(path).write_summary({**old, "fingerprint": {"weights": "0" * 16}})
    assert outcome(RunFolder(path)) == cells  # no table shows it
    RunFolder(path).write_summary({**old, "fingerprint": "0" * 16})
    assert RunFolder(path).state() != State.done


@pytest.mark.one_in(3)
@pytest.mark.parametrize("model", ["mlp", "vgg"])
@pytest.mark.parametrize("trainable", ["head", "norm", "random"])
def test_a_run_keeps_what_it_does_not_train(read, model, trainable):
    asked = [*CSV, f"model={model}", "train.steps=5", "optim.weight_decay=0.01"]
    config = only(read(*asked, f"train.trainable={trainable}"))
    trained_weights = torch.load(trained(config) / "weights.pt", weights_only=True)
    run = build(resolve(config), 0)
    masks = freeze(run.model, trainable, 0)
    chosen = {id(p): mask for p, mask in masks.items()}
    for name, p in run.model.named_parameters():
        changed = trained_weights[name] != p
        if id(p) in chosen:
            assert torch.equal(changed, chosen[id(p)])
        else:
            is_trained = "head" in name or ("norm" in name and trainable == "norm")
            assert bool(changed.any()) == is_trained, name


def first_losses(config, double=False):
    run = build(resolve(config), seed=0)
    if double:
        run.model.double()
        run.splits = {split: (x.double(), y) for split, (x, y) in run.splits.items()}
    return torch.stack(list(islice(steps(run), 100))).double()


@pytest.mark.slow
def test_our_layer_trains_as_torch_does(read):
    """The loss of each of the first 100 steps, on digits.

    In the VGG the rounding of float32 flips a ReLU within 100 steps, at which step depends on the
    CPU; so both are in float64 there.
    """
    ours, torchs = (only(read(*CSV, f"norm={norm}")) for norm in ("batchnorm", "torch_batchnorm"))
    assert (first_losses(ours) - first_losses(torchs)).abs().max() < 1e-5
    ours, torchs = (
        only(read(*CSV, "model=vgg", f"norm={norm}")) for norm in ("batchnorm", "torch_batchnorm")
    )
    losses = [first_losses(config, double=True) for config in (ours, torchs)]
    assert (losses[0] - losses[1]).abs().max() < 1e-9


def test_a_diverged_run_is_a_result(read):
    path = trained(only(read(*CSV, "norm=none", "optim.base_lr=1e6", "train.steps=60")))
    result = summary(path)
    assert result["status"] == "diverged"
    assert not result["stuck"]
    assert result["steps_to"]["0.95"] is None
    assert result["metrics"]["train@batch/loss"] is None  # not a number
    assert result["metrics"]["test/accuracy"] == 0.0  # no answer is no right answer
    assert result["steps"] < 60  # it stops at the evaluation that finds out
    last = {(r["split"], r["metric"]): float(r["value"]) for r in rows(path / "metrics.csv")}
    assert not math.isfinite(last["train@batch", "loss"])


@pytest.mark.slow
def test_a_stuck_run_is_flagged(read):
    result = summary(trained(only(read(*CSV, "model=sigmoid_vgg", "norm=none", "train.steps=30"))))
    assert (result["status"], result["stuck"]) == ("done", True)


@pytest.mark.slow
def test_shifts_are_evaluated_without_training_again(read):
    path = trained(only(read(*CSV, "train.steps=20", "train.policies=[ema,precise]")))
    before = (path / "metrics.csv").stat().st_mtime_ns
    blur = only(read(*CSV, "train.steps=20", "shift=blur", "shift.severities=[1,5]"))
    assert trained(blur) == path
    first = rows(path / "shifts.csv")
    assert {(r["shift"], r["severity"], r["policy"]) for r in first} == {
        ("blur", s, p) for s in "15" for p in ("ema", "precise")
    }
    both = only(read(*CSV, "train.steps=20", "shift=suite", "shift.severities=[5]"))
    trained(both)
    assert len(rows(path / "shifts.csv")) == 2 * (4 + 5 * 2)
    assert rows(path / "shifts.csv")[: len(first)] == first
    assert (path / "metrics.csv").stat().st_mtime_ns == before


@pytest.mark.slow
def test_shifts_of_earlier_requests_are_never_lost(read):
    """Damage to their file, or to the curve, has them evaluated again, whoever asks."""
    arguments = [*CSV, "train.steps=5", "shift.severities=[2]"]
    path = trained(only(read(*arguments, "shift=suite")))
    curve, shifts = ((path / name).read_bytes() for name in ("metrics.csv", "shifts.csv"))
    (path / "shifts.csv").write_bytes(shifts.replace(b"0.", b"1.", 1))
    trained(only(read(*arguments, "shift=blur")))
    assert (path / "shifts.csv").read_bytes() == shifts
    (path / "metrics.csv").write_bytes(curve[:-1])
    trained(only(read(*CSV, "train.steps=5")))
    assert (path / "shifts.csv").read_bytes() == shifts
    assert (path / "metrics.csv").read_bytes() == curve


@pytest.mark.slow
def test_shifts_asked_for_at_once_are_those_asked_for_later(read, tmp_path):
    asked = [*CSV, "train.steps=20", "shift=gaussian_noise", "shift.severities=[3]"]
    once = trained(only(read(*asked, f"results={tmp_path}/once")))
    trained(only(read(*CSV, "train.steps=20")))
    later = trained(only(read(*asked)))
    assert (later / "shifts.csv").read_bytes() == (once / "shifts.csv").read_bytes()


def test_weights_are_kept_as_asked(read):
    assert not (
        trained(only(read(*CSV, "train.steps=2", "train.save_weights=never"))) / "weights.pt"
    ).exists()
    kept = trained(only(read(*CSV, "train.steps=2", "batch_size=32", "train.save_weights=always")))
    weights = torch.load(kept / "weights.pt", weights_only=True)
    assert weights.keys() == build(resolve(only(read(*CSV))), 0).model.state_dict().keys()


def test_an_exception_fails_one_run_and_spares_the_rest(read, monkeypatch):
    config = only(read("track=csv", "seeds=[0,1]", "train.steps=2"))

    def broken(run, record, fit=fit):
        if run.seed == 0:
            raise MemoryError("no memory left")
        return fit(run, record)

    monkeypatch.setattr("bnbench.train.fit", broken)
    train_arm(config)
    first, second = (
        RunFolder.of(Path(config.results), arm_id(science(config)), s).path for s in (0, 1)
    )
    assert (RunFolder(first).state(), RunFolder(second).state()) == (State.failed, State.done)
    assert "MemoryError: no memory left" in (first / "error.txt").read_text()


@pytest.mark.slow
def test_wandb_holds_the_points_of_metrics_csv(read, monkeypatch):
    """The same set of (step, key, value) in both, read back by W&B's own reader."""
    # what others keep in their environment must not describe, or merge, our runs
    for name, value in (("RUN_ID", "leak"), ("RUN_GROUP", "leak"), ("CONFIG_PATHS", "")):
        monkeypatch.setenv(f"WANDB_{name}", value)
    config = only(read("seeds=[0]", "train.steps=30", "train.eval_points=5", "probes=[gradients]"))
    path = trained(config)
    results = Path(config.results)
    run_id = json.loads((path / "meta.json").read_text())["wandb_id"]
    assert run_id != "leak"
    (record,) = results.glob(f"wandb/offline-run-*-{run_id}/run-{run_id}.wandb")
    leet = Path(sys.executable).with_name("wandb")
    answer = subprocess.run(
        [leet, "leet", "inspect", "--json", record],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(results)},
    )
    entries = [json.loads(line) for line in answer.stdout.splitlines()]
    logged, samples = set(), set()
    for row in (e["history"]["item"] for e in entries if e["type"] == "history"):
        samples.add((row["_step"], row["samples"]))
        logged |= {(row["_step"], k, v) for k, v in row.items() if "/" in k}
    facts = [entry["run"] for entry in entries if entry["type"] == "run"][-1]
    expected = {
        (int(r["step"]), "/".join(filter(None, map(r.get, KEY))), float(r["value"]))
        for r in rows(path / "metrics.csv")
    }
    assert logged == expected
    assert samples == {(step, 64 * step) for step, _, _ in expected}
    arm = arm_id(science(config))
    assert (facts["display_name"], facts["run_group"]) == (f"{arm}/seed-0", arm)
    assert (facts["project"], facts["job_type"]) == ("bnbench", "train")
    assert facts["tags"] == ["mlp", "batchnorm", "pre", "digits"]
    assert not facts.get("host")
    assert "leak" not in answer.stdout
    logged_config = facts["config"]["update"]
    assert (logged_config["arm"], logged_config["seed"]) == (arm, 0)
    assert logged_config["optim"]["lr_mult"] == 1
    assert [e["exit"]["exit_code"] for e in entries if e["type"] == "exit"] == [0]
