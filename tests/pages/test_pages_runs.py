"""What a number rests on: the values of its runs, and a command that asks for the same arm."""

import shlex

import pytest
from fake_results import arm_of, config, write_experiment, write_run

from bnbench.analysis.load import load
from bnbench.config.arms import science
from bnbench.pages.arm_command import arm_command
from bnbench.pages.runs import run_details
from bnbench.tracking.experiment_dir import columns

REQUESTS = [
    (),
    ("norm=none", "optim.lr_mult=5", "seeds=[3]"),
    ("norm=batchnorm", "norm.momentum=null", "norm.scale=false", "placement=post"),
    ("norm=batchnorm", "norm.scale=false", "norm.bias=false"),
    ("norm=ghost_batchnorm", "norm.ghost_size=8", "train.policies=[batch,ema]", "batch_size=32"),
    ("model=vgg", "data=synthetic", "optim=adam", "optim.schedule=cosine", "train.steps=7"),
    ("model=mlp", "model.widths=[64,32]", "model.depth=[2,1]", "train.trainable=head"),
    ("train.thresholds=[]", "probes=[drift,gradients]", "data.train_images=500", "batch_size=2"),
    ("optim.base_lr=0.003", "optim.lr_scaling=sqrt", "batch_size=16", "train.epoch_batch=64"),
]


@pytest.mark.one_in(4)
@pytest.mark.parametrize("overrides", REQUESTS, ids=" ".join)
def test_the_command_asks_for_the_same_arm(read, overrides):
    (arm,) = read(*overrides).arms.values()
    seeds = arm.config.seeds
    command = arm_command(arm.id, columns(science(arm.config)), seeds)
    python, script, *words = shlex.split(command)
    assert (python, script) == (".venv/bin/python", "scripts/train.py")
    (again,) = read(*(word for word in words if not word.startswith("results="))).arms.values()
    assert (again.id, again.config.seeds) == (arm.id, seeds)


def test_what_is_as_ever_is_not_said(read):
    (arm,) = read("norm=none", "optim.lr_mult=5").arms.values()
    assert arm_command(arm.id, columns(science(arm.config)), [0, 1]) == (
        ".venv/bin/python scripts/train.py model=mlp norm=none data=digits optim=sgd "
        "optim.lr_mult=5 'seeds=[0,1]' results=results/again"
    )


@pytest.mark.slow
def test_an_arm_of_another_version_has_no_command(read):
    (arm,) = read().arms.values()
    settings = columns(science(arm.config))
    assert arm_command(arm.id, settings, [0])
    assert arm_command("mlp-batchnorm-pre-00000000", settings, [0]) is None
    assert arm_command(arm.id, settings | {"norm.name": "unheard_of"}, [0]) is None
    assert arm_command(arm.id, settings | {"norm.unheard_of": 1.0}, [0]) is None


@pytest.mark.parametrize(
    "setting",
    [
        *({"results": "/tmp/x"}, {"track.entity": "x"}, {"hydra.launcher.n_jobs": "2"}),
        *({"model.name": "../model/mlp"}, {"model.name": "mlp,vgg"}, {"optim.lr_mult": "1,2"}),
        *({"optim.lr_mult": "[" * 100_000}, {"model.widths": "[" + "1," * 10_000 + "1]"}),
        *({"optim.lr_mult": "${oc.env:NOPE}"}, {"optim.lr_mult": "'"}, {"": "x"}, {"a b": "c"}),
    ],
    ids=lambda setting: f"{setting}"[:40],
)
def test_a_setting_that_no_sweep_wrote_stands_in_no_command(read, setting):
    (arm,) = read().arms.values()
    assert arm_command(arm.id, columns(science(arm.config)) | setting, [0]) is None


def test_the_runs_of_an_arm_have_their_numbers(results):
    trees = config(norm="none"), config()
    rows = [write_run(results, tree, seed) for tree in trees for seed in (1, 0)]
    rows[0] |= {"test/accuracy": 0.9123, "stuck": True, "steps_to/0.8": None}
    rows[3]["status"] = "failed"
    details = run_details(load(write_experiment(results, "one", rows)).runs, results)
    assert details["columns"] == [
        "test accuracy (%)",
        "with precise statistics (%)",
        "steps to 0.8",
        "seconds",
    ]
    none, bn = (details["arms"][arm_of(tree)] for tree in trees)
    assert [run[:2] for run in none["runs"]] == [[0, "done"], [1, "stuck"]]
    assert none["runs"][1][2:] == [91.23, None, None, 2.5]
    assert (none["folders"], none["command"]) == (True, None)
    assert [run[:2] for run in bn["runs"]] == [[1, "done"]]
    assert not run_details(load(write_experiment(results, "one", rows)).runs, results / "else")[
        "arms"
    ][arm_of(trees[0])]["folders"]
