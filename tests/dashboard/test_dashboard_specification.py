"""What a dashboard holds: sections by what was varied, groups that are arms, the golden file."""

from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("wandb_workspaces", reason="the extra `workspace` is not installed")

from bnbench import ROOT
from bnbench.analysis.load import ExperimentData, load
from bnbench.dashboard.specification import keys_logged, specify
from bnbench.dashboard.workspace import viewspec
from bnbench.tracking.whole_files import as_json

GOLDEN = ROOT / "tests" / "golden" / "dashboard.json"
REFERENCE = ROOT / "results" / "reference" / "experiments"
ANSWER = ["Test accuracy with BatchNorm: 0.5 points higher.", "It holds under blur."]
SHIFTED = [("blur", 1), ("blur", 5), ("invert", 1), ("invert", 5)]


def made() -> ExperimentData:
    """Two norms in both placements, two rates and two batch sizes, under two shifts."""
    arms = [("none", "none", 1.0, 64), ("none", "none", 5.0, 64)]
    arms += [("batchnorm", p, m, 64) for p in ("pre", "post") for m in (1.0, 5.0)]
    arms += [(norm, p, 1.0, 16) for norm, p in (("none", "none"), ("batchnorm", "pre"))]
    runs, shifts = [], []
    for number, (norm, placement, lr_mult, batch_size) in enumerate(arms):
        arm = f"mlp-{norm}-{placement}-{number:08x}"
        for seed in (0, 1):
            accuracy = 0.9 + 0.01 * number + 0.002 * seed
            runs.append(
                {
                    "arm": arm,
                    "seed": seed,
                    "status": "done",
                    "stuck": False,
                    "model.name": "mlp",
                    "norm.name": norm,
                    "placement": placement,
                    "optim.base_lr": 0.1,
                    "optim.lr_mult": lr_mult,
                    "batch_size": batch_size,
                    "norm.eps": 1e-5 if norm == "batchnorm" else None,
                    "train.steps": 320,
                    "test/accuracy": accuracy,
                    "optim.lr": 0.1 * lr_mult,
                    "test@precise/accuracy": accuracy if norm == "batchnorm" else None,
                }
            )
            for policy in ("ema", "precise") if norm == "batchnorm" else ("none",):
                for shift, severity in SHIFTED:
                    value = accuracy - 0.1 * severity
                    shifts.append((arm, seed, shift, severity, policy, "accuracy", value))
    columns = ["arm", "seed", "shift", "severity", "policy", "metric", "value"]
    shown = ["train/loss", "val/loss", "test/loss", "val/accuracy", "test/accuracy"]
    curves = [(*name.split("/"), "") for name in (*shown, "val@precise/accuracy")]
    info = {"question": "Which layer is best?", "command": "python of somebody"}
    return ExperimentData(
        "made", "digits", Path("nowhere"), info, pd.DataFrame(runs),
        pd.DataFrame(curves, columns=["split", "metric", "layer"]),
        pd.DataFrame(shifts, columns=columns),
    )  # fmt: skip


def specified(experiment: ExperimentData) -> dict:
    return viewspec(specify(experiment, keys_logged(experiment), ANSWER))


def sections(spec: dict) -> dict:
    """The settings of the panels, by section."""
    found = spec["section"]["panelBankConfig"]["sections"]
    return {part["name"]: [panel["config"] for panel in part["panels"]] for part in found}


def shipped(name: str) -> dict:
    """An experiment that the suite ships; its curves are not kept, so their keys are added."""
    experiment = load(REFERENCE / name / "digits").reporting()
    curves = {key for key in keys_logged(made()) if not key.startswith("summary:shift")}
    return viewspec(specify(experiment, keys_logged(experiment) | curves, []))


def golden() -> str:
    return as_json(specified(made()))


def test_the_specification_is_that_of_the_golden_file():
    """What changes it on purpose writes it anew: `python <this file>`."""
    assert golden() == GOLDEN.read_text(encoding="utf-8")


def test_the_same_dashboard_is_the_same_bytes():
    assert golden() == golden()


def test_nothing_of_the_machine_is_in_it():
    """The command of experiment.json may hold paths, and with them a user's name."""
    assert "somebody" not in golden()


def test_the_description_opens_with_the_question_and_its_answer():
    (about,) = sections(specified(made()))["About"]
    _, *told = about["value"].split("\n\n")
    assert told[:3] == ["Which layer is best?", *ANSWER]


def test_the_table_of_runs_shows_their_tags_and_notes_and_selects_by_arm():
    (runset,) = specified(made())["section"]["runSets"]
    assert runset["runFeed"]["columnOrder"][-2:] == ["tags:__ALL__", "run:notes"]
    first, seeds, marks = runset["filters"]["filters"]
    assert [part["key"]["name"] for part in (first, seeds, marks)] == [
        *("arm.value", "seed.value", "tags")
    ]
    assert marks["value"] == ["interrupted", "failed"]


def test_convergence_is_by_images_and_by_step():
    panels = sections(specified(made()))["Convergence"]
    for key in ("val/accuracy", "val/loss", "train/loss", "val@precise/accuracy"):
        assert [panel["xAxis"] for panel in panels if panel["metrics"] == [key]] == [
            *("samples", "_step")
        ]


def test_the_table_of_shifts_by_hand():
    """The severities 1 and 5 take 0.1 and 0.5 off 0.90 and 0.902: 60.1 ± 0.14."""
    table, *_ = sections(specified(made()))["Shift"]
    header, _, first, *rest = table["value"].splitlines()[4:]
    assert header == "| arm | statistics | no shift | blur | invert |"
    name = "no norm · ×1 · batch size 64"
    assert first == f"| {name} | as trained | 90.1 ± 0.1 | 60.1 ± 0.1 | 60.1 ± 0.1 |"
    assert [line.split(" | ")[1] for line in rest if "BatchNorm" in line] == [
        *("as trained", "precise statistics") * 5
    ]


@pytest.mark.parametrize(
    ("name", "varied"),
    [
        ("placement", []),
        ("lr_mult", ["Learning rate"]),
        ("batch_size", ["Learning rate", "Batch size"]),
        ("sigmoid", ["Learning rate"]),
        ("shift", []),
    ],
)
def test_the_default_experiments_show_what_they_varied(name, varied):
    others = {"About", "Convergence", "Parallel coordinates"}
    found = sections(shipped(name))
    assert [part for part in found if part not in others] == varied


@pytest.mark.parametrize("name", ["placement", "lr_mult", "batch_size", "sigmoid", "shift"])
def test_a_group_of_runs_is_an_arm(name):
    """Else a band would be the spread over arms and not over seeds."""
    runs = load(REFERENCE / name / "digits").reporting().runs
    spec = shipped(name)
    (runset,) = spec["section"]["runSets"]
    groups = [key["name"].replace(".value", "") for key in runset["grouping"]]
    assert groups[:2] == ["norm.name", "placement"]
    assert (runs.astype(str).groupby(groups)["arm"].nunique() == 1).all()
    first, *_ = runset["filters"]["filters"]
    assert set(first["value"]) == set(runs["arm"])


@pytest.mark.parametrize(
    ("kind", "key", "where"),
    [
        ("history", "val/loss", "panel 'Validation loss, by training images seen'"),
        ("summary", "learning_rate", "panel 'Test accuracy against the learning rate'"),
        ("summary", "parameters", "the table of runs"),
        ("config", "seed", "the table of runs"),
        ("config", "arm", "the filter"),
    ],
)
def test_a_key_that_no_run_has_is_refused(kind, key, where):
    experiment = made()
    logged = keys_logged(experiment) - {f"{kind}:{key}"}
    with pytest.raises(ValueError, match="which no run of it has") as refused:
        specify(experiment, logged, [])
    assert str(refused.value) == (
        f"made on digits: {where} shows the {kind} key {key}, which no run of it has"
    )


def test_a_filter_of_many_arms_is_kept_whole():
    experiment = made()
    arms = [f"mlp-none-none-{number:08x}" for number in range(600)]
    runs = pd.concat([experiment.runs.iloc[:1]] * 600).assign(
        arm=arms, **{"train.steps": range(600)}
    )
    many = ExperimentData(
        "made", "digits", Path(), {}, runs, experiment.curves, experiment.shifts[:0]
    )
    spec = specified(many)
    first, *_ = spec["section"]["runSets"][0]["filters"]["filters"]
    assert (first["key"]["name"], first["op"]) == ("arm.value", "IN")
    assert first["value"] == arms
    assert spec["section"]["settings"]["maxRuns"] == 100


if __name__ == "__main__":
    GOLDEN.write_text(golden(), encoding="utf-8")
    print("written to", GOLDEN)
