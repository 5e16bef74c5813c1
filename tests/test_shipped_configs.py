"""Every shipped YAML composes and trains a few steps; every default is pinned to a schema version.

After a change of a default raise SCHEMA in config/schema.py, then run this file as a script. After
an addition only run it: what is new cannot be mistaken for what was there. The same goes for keys
that choose which runs are made, and are no part of what a run is (`CHOOSING`).
"""

import json
import sys
from itertools import zip_longest
from pathlib import Path

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf
from own_files import draw_photos, write_arrays
from remembering import remembering_files

from bnbench import CONFIGS
from bnbench.config.arms import arm_id, flatten, science
from bnbench.config.schema import SCHEMA, SPATIAL_NORMS
from bnbench.request import preflight
from bnbench.tracking.run_dir import RunFolder, State
from bnbench.train import train_arm

GROUPS = ("model", "norm", "data", "shift", "optim", "train", "track")
CHOOSING = ("tune.", "seeds", "threads")
GOLDEN = Path(__file__).parent / "golden" / "defaults.json"
TINY = ["data=synthetic", "seeds=[0]", "device=cpu", "track=csv", "train.eval_points=1"]
SMALL = ["batch_size=8"]  # for nets on few images
SHORT = [*TINY, "train.steps=2", "batch_size=4", "data.train_images=16"]  # for nets of any size


def options(group):
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


def trains(request):
    trains_each(request.arms.values())


def trains_each(arms):
    for arm in arms:
        train_arm(arm.config)
        for seed in arm.config.seeds:
            path = RunFolder.of(Path(arm.config.results), arm_id(science(arm.config)), seed).path
            error = path / "error.txt"
            assert not error.exists(), error.read_text()
            assert RunFolder(path).state() == State.done


def test_every_group_is_covered():
    folders = {*GROUPS, "experiment", "on_data", "hydra"}
    assert {p.name for p in CONFIGS.iterdir() if p.is_dir()} == folders


def test_every_file_of_on_data_is_of_an_experiment_and_a_data_set():
    folder = CONFIGS / "on_data"
    forms = [path.relative_to(folder) for path in folder.rglob("*.yaml")]
    assert forms
    assert {str(path.parent) for path in forms} <= set(options("data"))
    assert {path.stem for path in forms} <= set(options("experiment"))


# seconds each
SLOW = dict.fromkeys(
    [
        "vgg11",
        "vgg16",
        "tune_lr",
        "batch_size",
        "shift",
        "lr_mult",
        "placement",
        "gallery",
        "sigmoid",
    ],
    pytest.mark.slow,
)
IN_A_VGG = ("batchnorm", "instancenorm")  # what the others do there is slow to try


@pytest.mark.parametrize(
    "model", [pytest.param(m, marks=SLOW.get(m, ())) for m in options("model")]
)
def test_models_train(read, model):
    trains(read(*SHORT, f"model={model}"))


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    ("norm", "model"),
    [
        *((norm, "mlp") for norm in options("norm")),
        *(
            pytest.param(norm, "vgg", marks=[] if norm in IN_A_VGG else pytest.mark.slow)
            for norm in options("norm")
        ),
    ],
)
def test_norms_train(read, norm, model):
    if model == "mlp" and norm in SPATIAL_NORMS:
        with pytest.raises(ValueError, match="an MLP has one value per channel"):
            read(*TINY, f"norm={norm}")
        return
    trains(read(*SHORT, f"model={model}", f"norm={norm}", "placement=pre,post", multirun=True))


@pytest.mark.one_in(2)
@pytest.mark.parametrize("group", ["shift", "optim"])
def test_shifts_and_optimisers_train(read, group):
    for option in options(group):
        trains(read(*TINY, f"{group}={option}", "train.steps=2"))


@pytest.mark.parametrize("train", options("train"))
def test_budgets_train(read, train):
    trains(read(*TINY, f"train={train}", "train.steps=2"))


@pytest.mark.parametrize("data", options("data"))
def test_data_sets_compose(read, monkeypatch, tmp_path, data):
    """Those that are not embedded are read from small files of the true format in tests/data."""
    monkeypatch.setattr(preflight, "missing_files", lambda name, root: None)
    (arm,) = read(f"data={data}", *own_data(tmp_path, data)).arms.values()
    assert arm.config.data.name.partition("-")[0] == data


def own_data(tmp_path, data):
    """What the data of one's own need to be told."""
    if data == "folder":
        return [f"data.root={draw_photos(tmp_path / 'folder')}", "optim.base_lr=0.1", *SMALL]
    if data == "npz":
        return [f"data.file={write_arrays(tmp_path / 'npz.npz')}", "optim.base_lr=0.1", *SMALL]
    return []


def is_slow(experiment):
    """`make claims` runs those of the claims in the end; many of them have more than 50 arms."""
    return [pytest.mark.slow] if experiment.startswith("claim_") else SLOW.get(experiment, ())


def words(arm):
    """The settings of an arm that are no numbers: they choose the code that runs."""
    settings = flatten(science(arm.config))
    numbers = (int, float)
    return str({k: v for k, v in settings.items() if type(v) not in numbers and not is_sizes(v)})


def shape(arm):
    """Those settings, and the numbers that the net and its batches are made of."""
    settings = flatten(science(arm.config))
    kept = ("model.", "norm.", "batch_size", "train.test_batch", "data.")
    return words(arm) + str({k: v for k, v in settings.items() if k.startswith(kept)})


trained = set()  # the shapes of arms that some experiment has trained


def is_sizes(value):
    return isinstance(value, list) and all(type(item) in (int, float) for item in value)


@pytest.mark.parametrize(
    "experiment", [pytest.param(e, marks=is_slow(e)) for e in options("experiment")]
)
def test_experiments_train(read, experiment):
    """All arms of every experiment compose; of those that differ in numbers alone one is trained.

    One step each, or one for each of its tasks: the data set is small, not the nets. One like that
    of another experiment in all but rates, budgets and the like is trained there.
    """
    # the batches of some claims are larger than the synthetic data set
    data = ["data=digits"] if experiment.startswith("claim_") else []
    steps = 5 if experiment == "claim_tasks" else 1
    request = read(
        f"experiment={experiment}", *TINY, *data, "train.epochs=null", f"train.steps={steps}",
        f"train.eval_points={steps}", "shift.severities=[5]", "tune.seeds=[100]",
    )  # fmt: skip
    for arm in {words(arm): arm for arm in request.arms.values()}.values():
        if shape(arm) not in trained:
            trains_each([arm])
            trained.add(shape(arm))
    (asked,) = request.experiments
    assert asked.report["question"]
    assert asked.report["figures"]


def defaults():
    """Every default that can reach a number: the root keys and each option of each group."""
    loader = GlobalHydra.instance().config_loader()
    root = loader.load_configuration("config", [], RunMode.RUN)
    keys = ("placement", "batch_size", "tune", "probes", "seeds", "threads")
    found = {key: root[key] for key in keys}
    names = {group: options(group) for group in GROUPS}
    composed = {}
    # composing is slow, and an option does not depend on those of other groups: one of each at once
    for chosen in zip_longest(*names.values()):
        words = [f"{group}={option}" for group, option in zip(names, chosen, strict=True) if option]
        config = loader.load_configuration("config", words, RunMode.RUN)
        composed |= {word: config[word.partition("=")[0]] for word in words}
    found |= {f"{g}={option}": composed[f"{g}={option}"] for g in GROUPS for option in names[g]}
    found["tuned_lr"] = root["tuned_lr"]
    plain = {
        k: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for k, v in found.items()
    }
    return {"schema": SCHEMA, **plain}


def changed_defaults(golden, current):
    """The keys of the golden file that are gone or have another value now."""
    golden, current = flatten(golden), flatten(current)
    return [
        key
        for key in golden
        if (key not in current or golden[key] != current[key]) and not key.startswith(CHOOSING)
    ]


@pytest.mark.slow
def test_a_changed_default_needs_a_new_schema_version(read):
    golden, current = json.loads(GOLDEN.read_text()), defaults()
    assert changed_defaults(golden, current) == []
    assert golden == current, "run this file as a script: it adds what is new"


def test_a_default_that_is_changed_or_gone_is_told_from_a_new_one():
    golden = {"norm=x": {"eps": 1, "momentum": None}}
    assert changed_defaults(golden, {"norm=x": {"eps": 1, "momentum": None, "new": 1}}) == []
    assert changed_defaults(golden, {"norm=x": {"eps": 2, "momentum": None}}) == ["norm=x.eps"]
    assert changed_defaults(golden, {"norm=x": {"eps": 1}}) == ["norm=x.momentum"]
    assert changed_defaults({"seeds": [1], "tune": {"seeds": [9]}}, {"seeds": [2]}) == []


if __name__ == "__main__":
    with (
        remembering_files(),
        hydra.initialize_config_dir(str(CONFIGS), version_base="1.3", job_name="train"),
    ):
        golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
        current = defaults()
        changed = changed_defaults(golden, current)
        if changed and "schema" not in changed:
            sys.exit(f"{', '.join(changed)} changed: raise SCHEMA in config/schema.py first")
        GOLDEN.write_text(json.dumps(current, indent=1) + "\n")
