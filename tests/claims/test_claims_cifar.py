"""The claims on CIFAR-10: what has a form there, and that its nets train and record what is read.

That every arm which a claim names is one that its experiment trains: test_claims_registry.py.
"""

from pathlib import Path

import pytest
from bnbench.claims.registry.fashion import FASHION

from bnbench import CONFIGS
from bnbench.claims.registry.cifar import FORMS
from bnbench.claims.registry.table import CLAIMS, PROBLEMS, claims_on, experiments
from bnbench.config.arms import TUNING_SEEDS, arm_id, num_steps, science
from bnbench.config.schema import BATCH_NORMS
from bnbench.tracking.csv_log import read_points, read_shifts
from bnbench.tracking.run_dir import RunFolder
from bnbench.train import train_arm

CIFAR = claims_on("cifar10")
ACCURACIES = {f"{split}/accuracy" for split in ("train", "val", "test")}
VGG_A = range(2, 9)  # its layers above the first
READ = {  # what the claims read of the runs of an experiment, beside accuracies
    "claim_rates": set(),
    "claim_accuracy": {"test@precise/accuracy"},
    "claim_ics": {f"train@batch/ics_{k}/{n}" for k in ("cosine", "relative") for n in VGG_A},
    "claim_landscape": {
        f"train@batch/{k}"
        for k in ("smoothness", "predictiveness", "loss_range", "relative_change")
    },
    "claim_ghost": set(),
    "claim_batch": {"test@precise/accuracy"},
    "claim_shift": {"test@adabn/accuracy"},
}
OF_BN = {"claim_accuracy", "claim_batch", "claim_shift"}  # where that is of nets with BN alone
SHIFT_POLICIES = {True: {"ema", "adabn", "batch"}, False: {"none", "recalibrated"}}


def test_seven_claims_have_a_form_and_the_others_say_why_not():
    assert list(FORMS) == ["C3", "C6", "M2", "M4", "M9", "B1", "D2"]
    assert list(CIFAR) == list(CLAIMS)
    for name, claim in CIFAR.items():
        here = CLAIMS[name]
        assert (claim.id, claim.sentence) == (name, here.sentence)
        assert bool(claim.reason) == (not claim.experiments)
        needs_runs = set(here.experiments) - {"exact", *PROBLEMS}
        if name in FORMS:
            assert claim.verdict_parts
            assert "seeds 0-" in claim.protocol
            assert claim != FASHION[name] != here
        elif needs_runs:
            assert (claim.experiments, dict(claim.parts), claim.overlay) == ((), {}, None)
            assert claim.reason.startswith("No form on CIFAR-10: ")
        else:
            assert claim is here


def test_targets_stand_in_the_text():
    targets = {
        "C3": "2.1 M steps",
        "C6": "80 to 83 %",
        "M2": "80 % without BN and 83 %",
        "M4": "two orders",
        "M9": "92.83",
        "B1": "34.7 at 2",
        "D2": "43.5 to 20.4 %",
    }
    for name, number in targets.items():
        assert number in CIFAR[name].says, name


def test_every_experiment_has_its_scale():
    forms = {path.stem for path in (CONFIGS / "on_data" / "cifar10").glob("*.yaml")}
    assert forms == set(experiments(CIFAR.values())) == READ.keys()


@pytest.mark.slow
@pytest.mark.parametrize("experiment", READ)
def test_the_budgets_are_those_of_the_protocols(read, monkeypatch, experiment):
    monkeypatch.setattr("bnbench.request.preflight.missing_files", lambda name, root: None)
    arms = list(read(f"experiment={experiment}", "data=cifar10").arms.values())
    claims = [claim for claim in FORMS.values() if experiment in claim.experiments]
    for protocol in (claim.protocol for claim in claims):
        for steps in {num_steps(arm.config) for arm in arms} - {100_000, 25_000}:
            assert f"{steps:,} steps" in protocol or f"{steps:,} at 64" in protocol
        for size in {arm.config.batch_size for arm in arms} - {2, 4, 16}:
            assert f"{size:,}" in protocol
    assert {arm.config.data.train_images for arm in arms} == {None}
    reporting = [
        seed for arm in arms for seed in arm.config.seeds if seed not in TUNING_SEEDS
    ]  # those of rates that are to be found come later
    assert not reporting or len(set(reporting)) >= 5


def metrics(path):
    """The keys of all points, and those of the start."""
    points = [
        {"/".join(filter(None, (split, metric, layer))) for split, layer, metric in point}
        for _, _, point in read_points(RunFolder(path), RunFolder(path).read_summary())
    ]
    return set().union(*points), points[0]


@pytest.mark.slow
@pytest.mark.parametrize("experiment", READ)
def test_every_net_trains_and_records_what_is_read(read, small_root, experiment):
    """Two steps of each distinct net, thin and at one rate, on small files of the true format."""
    size = 16 if experiment == "claim_ghost" else 4  # two ghosts of 8
    request = read(
        f"experiment={experiment}", "data=cifar10", f"data.root={small_root}", "seeds=[0]",
        "device=cpu", "track=csv", "tune.low=null", "tune.high=null", "optim.base_lr=0.01",
        "model.widths=[32,32,32,32,32]", f"batch_size={size}", "train.epochs=null",
        "train.steps=2", "train.eval_points=1",
        *(["shift.severities=[5]"] if experiment == "claim_shift" else []),
    )  # fmt: skip
    nets = {}
    for arm in request.arms.values():
        part = science(arm.config)
        keys = ("model", "norm", "data", "probes", "train")
        nets.setdefault(str([part[key] for key in keys]), arm.config)
    assert len(nets) == {"claim_accuracy": 4, "claim_ghost": 5}.get(experiment, 2)
    for config in nets.values():
        assert config.model.name in ("vgg11", "vgg16")
        assert train_arm(config) == {0: "done"}
        path = RunFolder.of(Path(config.results), arm_id(science(config)), 0).path
        recorded, at_start = metrics(path)
        has_bn = config.norm.name in BATCH_NORMS
        wanted = READ[experiment] if has_bn or experiment not in OF_BN else set()
        assert ACCURACIES | wanted <= recorded
        if config.probes:
            assert wanted <= at_start
        if experiment == "claim_shift":
            rows = read_shifts(RunFolder(path), RunFolder(path).read_summary())
            found = {(shift, policy) for shift, _, policy, _, _ in rows}
            shifts = ("contrast", "brightness", "gaussian_noise", "blur")
            assert found == {(s, p) for s in shifts for p in SHIFT_POLICIES[has_bn]}
