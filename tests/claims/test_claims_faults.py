"""The suite catches lies: a planted fault flips an exact claim, or stops the report."""

import dataclasses
import importlib
import shutil
from types import SimpleNamespace

import pytest
import torch

from bnbench import train
from bnbench.claims import files
from bnbench.claims.declarations import declaration
from bnbench.claims.judge import judge
from bnbench.claims.records import Above, Claim, ClaimPart, Sizing
from bnbench.claims.registry.exact import EXACT
from bnbench.claims.statistics import gap
from bnbench.claims.study import IntegrityError, Study, StudyArm
from bnbench.config.arms import science
from bnbench.data import datasets
from bnbench.measured import files as measure
from bnbench.norms import functional
from bnbench.tracking.experiment_dir import experiment_path, write_arms

batch_norm = functional.batch_norm


def affine(x, running_mean, running_var, weight=None, bias=None, *args, **options):
    """BN that does not normalise: gamma and beta alone."""
    shape = (1, -1, *[1] * (x.dim() - 2))
    return x if weight is None else x * weight.view(shape) + bias.view(shape)


def without_ema(x, running_mean, running_var, *args, **options):
    """Running statistics that are never updated."""
    copies = (t if t is None else t.clone() for t in (running_mean, running_var))
    return batch_norm(x, *copies, *args, **options)


def n0_moving_var(x, running_mean, running_var, weight, bias, training, momentum, *args, **options):
    """The formula of N0, with a product for the sum: m v (1 - m) σ²."""
    before = running_var.clone() if running_var is not None else None
    rest = (weight, bias, training, momentum, *args)
    y = batch_norm(x, running_mean, running_var, *rest, **options)
    if training and before is not None:
        keep = 1 - momentum
        variance = x.detach().var([0, *range(2, x.dim())], correction=0)
        running_var.copy_(keep * before * (1 - keep) * variance)
    return y


def verdicts_of_exact_claims(results):
    folder = results / "claims" / "digits" / "measured"
    folder.mkdir(parents=True)
    measure.measure_exact(folder)
    return {v.claim.id: v.verdict for v in judge(EXACT.values(), Study(results, "digits"))}


@pytest.mark.slow
def test_without_a_fault_every_exact_claim_is_confirmed(tmp_path):
    assert set(verdicts_of_exact_claims(tmp_path).values()) == {"confirmed"}


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("fault", "flipped"),
    [
        (affine, {"E1", "E2", "E5", "E8"}),
        (without_ema, {"E1", "E3", "E7"}),
        (n0_moving_var, {"E1", "E3", "E7"}),
    ],
)
def test_a_wrong_layer_breaks_exact_claims(fault, flipped, tmp_path, monkeypatch):
    monkeypatch.setattr(functional, "batch_norm", fault)
    verdicts = verdicts_of_exact_claims(tmp_path)
    assert flipped <= {claim for claim, verdict in verdicts.items() if verdict == "contrary"}


NONE = StudyArm("adhoc", {"norm.name": "none"}, 0.1)
BN = NONE.but(norm__name="batchnorm")
CLAIM = Claim(
    "C0",
    "BN is better.",
    "nobody",
    ("adhoc",),
    "",
    "",
    parts={"gap": ClaimPart("pp", gap(BN, NONE), Above(0.0))},
)


@pytest.fixture
def trained(read):
    """Train two arms for a few steps, as a sweep does, in this process: faults can be planted."""

    def run(*overrides):
        request = read(
            *("norm=none,batchnorm", "train=smoke", "track=csv", "device=cpu", "seeds=[0,1,2]"),
            *overrides,
            multirun=True,
        )
        runs = []
        for arm in request.arms.values():
            assert set(train.train_arm(arm.config).values()) == {"done"}
            runs += [(arm.id, seed, science(arm.config)) for seed in arm.config.seeds]
        write_arms(experiment_path(request.results, "adhoc", "digits"), runs)
        return Study(request.results, "digits")

    train.prepared.cache_clear()
    yield run
    train.prepared.cache_clear()


def test_without_a_fault_there_is_a_verdict(trained):
    (verdict,) = judge([CLAIM], trained())
    assert verdict.decisive.interval.n == 3


@pytest.mark.slow
def test_a_claim_repeated_from_scratch_is_the_same_to_the_byte(trained):
    files_of = []
    for _ in range(2):
        study = trained()
        files.write(judge([CLAIM], study), study.folder)
        found = [*study.results.rglob("metrics.csv"), *study.folder.rglob("*.csv")]
        files_of.append({path.relative_to(study.results): path.read_bytes() for path in found})
        shutil.rmtree(study.results)
    assert len(files_of[0]) == 6 + 4  # curves; scoreboard, parts, sensitivity and evidence
    assert files_of[0] == files_of[1]


@pytest.mark.slow
@pytest.mark.parametrize("split", ["0", "per_seed"])
def test_validation_images_among_the_test_images_stop_the_report(trained, monkeypatch, split):
    load = datasets.load

    def leaking(*args, **options):
        data = load(*args, **options)
        images, labels = (torch.cat([t, v[:9]]) for t, v in zip(data.test, data.val, strict=True))
        return dataclasses.replace(data, test=type(data.test)(images, labels))

    monkeypatch.setattr(train, "load", leaking)
    with pytest.raises(IntegrityError, match="9 images are in two of its splits"):
        judge([CLAIM], trained(f"data.split_seed={split}"))


@pytest.mark.slow
def test_batches_that_differ_between_arms_stop_the_report(trained, monkeypatch):
    batches = train.batches
    monkeypatch.setattr(
        train,
        "batches",
        lambda run, num: batches(dataclasses.replace(run, seed=hash(run.recipe.norm)), num),
    )
    with pytest.raises(IntegrityError, match="share the seed 0 but not their batches: unpaired"):
        judge([CLAIM], trained())


@pytest.mark.slow
def test_first_weights_that_differ_between_arms_stop_the_report(trained, monkeypatch):
    initialise = train.initialise

    def by_size(model, scheme, seed, scale):
        initialise(model, scheme, seed + sum(p.numel() for p in model.parameters()), scale)

    monkeypatch.setattr(train, "initialise", by_size)
    with pytest.raises(IntegrityError, match="not their weights: unpaired"):
        judge([CLAIM], trained())


@pytest.mark.slow
def test_evaluation_on_other_images_stops_the_report(trained, monkeypatch):
    load = datasets.load

    def by_norm(name, root, split_seed, *args, **options):
        return load(name, root, split_seed + len(monkeypatch.norms), *args, **options)

    monkeypatch.norms = []
    build = train.build
    monkeypatch.setattr(train, "load", by_norm)

    def building(recipe, seed):
        monkeypatch.norms[:] = [recipe.norm] if recipe.norm == "none" else []
        train.prepared.cache_clear()
        return build(recipe, seed)

    monkeypatch.setattr(train, "build", building)
    with pytest.raises(IntegrityError, match="not their splits: unpaired"):
        judge([CLAIM], trained())


@pytest.mark.slow
def test_rates_that_were_tuned_on_reporting_seeds_are_not_read(trained):
    study = trained("optim.base_lr=0.1,0.3")  # a grid of rates, on seeds that report
    claim = dataclasses.replace(
        CLAIM, parts={"gap": ClaimPart("pp", gap(BN.but(rate="tuned"), NONE), Above(0.0))}
    )
    (verdict,) = judge([claim], study)
    assert (verdict.verdict, verdict.reason.partition(": ")[2]) == (
        "not run here",
        "norm.name=batchnorm: no such runs",
    )


def test_a_bound_or_a_threshold_that_was_moved_is_another_declaration():
    part = CLAIM.parts["gap"]
    moved = [
        dataclasses.replace(part, target=Above(-1.0)),
        dataclasses.replace(part, choices={"threshold 0.9": part}),
        dataclasses.replace(part, interest=2.0),
        dataclasses.replace(part, sizing=Sizing(1.0, 1.0, 3, "nobody")),
    ]
    digests = {
        declaration(dataclasses.replace(CLAIM, parts={"gap": one}), {"adhoc": []})
        for one in (part, *moved)
    }
    assert len(digests) == 1 + len(moved)


@pytest.mark.slow
def test_a_report_that_is_stopped_leaves_no_scoreboard(trained, monkeypatch, capsys):
    script = importlib.import_module("bnbench.commands.claims")
    study = trained()
    monkeypatch.setattr(Study, "fingerprint", lambda self, arm, seed: {"overlap": 3, "splits": ""})
    monkeypatch.setattr(script, "claims_on", lambda data: {"C0": CLAIM})
    request = SimpleNamespace(results=study.results, experiments=[SimpleNamespace(data="digits")])
    monkeypatch.setattr(script, "device", lambda request: "cpu")
    outcome = SimpleNamespace(exit_code=0, request=request)
    monkeypatch.setattr(script, "sweep", lambda argv, fresh: outcome)
    monkeypatch.setattr(measure, "measure", lambda *args: None)
    monkeypatch.setattr("sys.argv", ["claims.py", "claims=C0", f"results={study.results}"])
    monkeypatch.setattr(script, "experiments", lambda wanted: ["adhoc"])
    assert script.main() == 1
    assert "no scoreboard" in capsys.readouterr().err
    assert not (study.folder / "scoreboard.csv").exists()


def test_an_unknown_claim_is_one_line(monkeypatch, capsys):
    script = importlib.import_module("bnbench.commands.claims")
    monkeypatch.setattr("sys.argv", ["claims.py", "claims=C1a,M66"])
    assert script.main() == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "claims=M66: " in line
    assert "M6" in line.partition("claims=M66: ")[2]


def test_a_bad_override_is_one_line_even_where_nothing_is_to_be_run(monkeypatch, capsys, tmp_path):
    script = importlib.import_module("bnbench.commands.claims")
    argv = ["claims.py", "claims=E1", "data=nonsense", f"results={tmp_path}/r"]
    monkeypatch.setattr("sys.argv", argv)
    assert script.main() == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "data=nonsense" in line
    assert not (tmp_path / "r").exists()


def test_options_are_refused_and_help_is_shown(monkeypatch, capsys):
    script = importlib.import_module("bnbench.commands.claims")
    monkeypatch.setattr("sys.argv", ["claims.py", "claims=C1", "--cfg", "job"])
    assert script.main() == 2
    line = "bnbench: --cfg: no such option, expected claims=<ids> or an override\n"
    assert capsys.readouterr() == ("", line)
    monkeypatch.setattr("sys.argv", ["claims.py", "--help"])
    assert script.main() == 0
    assert "claims=C1a,M6a" in capsys.readouterr().out
