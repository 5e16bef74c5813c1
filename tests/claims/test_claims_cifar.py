"""The claims on CIFAR-10: what has a form there, and that its nets train and record what is read.

That every arm which a claim names is one that its experiment trains: test_claims_registry.py.
"""

from pathlib import Path

import pytest

from bnbench import CONFIGS
from bnbench.claims.registry.table import PROBLEMS, claims_on, experiments
from bnbench.config.arms import arm_id, science
from bnbench.config.schema import BATCH_NORMS
from bnbench.tracking.csv_log import read_points, read_shifts
from bnbench.tracking.run_dir import RunFolder
from bnbench.train import train_arm

CIFAR, DIGITS = claims_on("cifar10"), claims_on("digits")
FORMS = [  # the claims that are judged here
    *("C3a", "C3b", "C3c", "C3d", "C3e", "C3f", "C6c", "M2a", "M2b", "M2c", "M2d", "M4a", "M4b"),
    *("M9a", "M9b", "B1b", "B1c", "D2"),
]
ACCURACIES = {f"{split}/accuracy" for split in ("train", "val", "val_all", "test")}
VGG_A = range(2, 9)  # its layers above the first
LANDSCAPE = ("smoothness", "predictiveness", "loss_range", "relative_change")
READ = {  # what the claims read of the runs of an experiment, beside accuracies
    "claim_rates": set(),
    "claim_accuracy": set(),
    "claim_ics": {f"train@batch/ics_{k}/{n}" for k in ("cosine", "relative") for n in VGG_A},
    "claim_landscape": {f"train@batch/{probe}" for probe in LANDSCAPE},
    "claim_ghost": set(),
    "claim_batch": set(),
    "claim_shift": {"test@adabn/accuracy", "test@batch/accuracy"},
}
OF_BN = {"claim_shift"}  # where that is of nets with BN alone
SHIFT_POLICIES = {True: {"ema", "adabn", "batch"}, False: {"none", "recalibrated"}}


def test_eighteen_claims_have_a_form_and_the_others_say_why_not():
    assert list(CIFAR) == list(DIGITS)
    for name, claim in CIFAR.items():
        here = DIGITS[name]
        assert (claim.id, claim.sentence) == (name, here.sentence)
        assert bool(claim.reason) == (not claim.experiments)
        if name in FORMS:
            assert claim.verdict_parts
            assert claim.protocol.startswith("VGG")
            assert "Few seeds: only large and steady effects pass." in claim.caveats
            assert claim != here
        elif set(here.experiments) - {"exact", *PROBLEMS}:
            assert (claim.experiments, dict(claim.parts), claim.overlay) == ((), {}, None)
            assert claim.reason.startswith("No form on CIFAR-10: ")
        else:
            assert claim is here


def test_targets_stand_in_the_text():
    targets = {
        "C3c": "2.1 M steps",
        "C6c": "80 to 83 %",
        "M2a": "80 % without BN and 83 %",
        "M4b": "two orders",
        "M9b": "92.83",
        "B1b": "34.7 at 2",
        "D2": "43.5 to 20.4 %",
    }
    for name, number in targets.items():
        assert number in CIFAR[name].says, name


def test_every_experiment_has_its_scale():
    forms = {path.stem for path in (CONFIGS / "on_data" / "cifar10").glob("*.yaml")}
    assert forms == set(experiments(CIFAR.values())) == READ.keys()


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
            assert "val/loss" in recorded  # until which M4b reads
        if experiment == "claim_shift":
            rows = read_shifts(RunFolder(path), RunFolder(path).read_summary())
            found = {(shift, policy) for shift, _, policy, _, _ in rows}
            shifts = ("contrast", "brightness", "gaussian_noise", "blur")
            assert found == {(s, p) for s in shifts for p in SHIFT_POLICIES[has_bn]}
