"""YAML files of a user's own, beside those that ship (`--config-dir`)."""

import pytest

from bnbench import CONFIGS, ROOT, cli
from bnbench.commands import plan
from bnbench.commands.arguments import DEFAULT_EXPERIMENTS, joined, with_experiments
from bnbench.config.checks import RequestError
from bnbench.request.hydra_internals import initialised
from bnbench.sweep import sweep
from bnbench.tracking.experiment_dir import read_arms

OWN = """# @package _global_
arms:
  - {model: shallow, norm: "none,batchnorm"}
report:
  question: Do fewer units need a norm?
"""
SHALLOW = """name: mlp
widths: [8]
depth: [1]
activation: relu
init: he
dropout: 0
"""


@pytest.fixture
def mine(tmp_path):
    """A folder with an experiment and a model."""
    folder = tmp_path / "mine"
    for name, text in (("experiment/own", OWN), ("model/shallow", SHALLOW)):
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return folder


@pytest.fixture
def read(mine, tmp_path):
    def read(*overrides):
        with initialised(CONFIGS, str(mine)):
            return cli.read([f"results={tmp_path / 'results'}", *overrides], multirun=False)

    return read


def test_they_compose_like_those_that_ship(read):
    request = read("experiment=own", "seeds=[0]")
    configs = [arm.config for arm in request.arms.values()]
    assert [c.norm.name for c in configs] == ["none", "batchnorm"]
    assert all(c.model.widths == [8] for c in configs)
    (experiment,) = request.experiments
    assert experiment.name == "own"
    assert experiment.report["question"] == "Do fewer units need a norm?"
    assert read("experiment=sigmoid").arms  # which stay


@pytest.mark.parametrize(
    ("file", "text", "line"),
    [
        ("experiment/own.yaml", "arms: [{nrom: none}]", "mine/experiment/own.yaml"),
        ("experiment/own.yaml", "a: [", "mine/experiment/own.yaml: "),
        ("model/shallow.yaml", "name: mlp\nwidths: [-1]\n", "mine/model/shallow.yaml"),
        ("experiment/own.yaml", "x: " + "${batch_size}" * 21, "at most 20 interpolations"),
        ("experiment/placement.yaml", OWN, "mine/experiment/placement.yaml: bnbench has a file"),
    ],
)
def test_what_is_wrong_is_said_with_its_file(read, mine, file, text, line):
    (mine / file).write_text(f"# @package _global_\n{text}" if "experiment" in file else text)
    with pytest.raises(RequestError) as refused:
        read("experiment=own")
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("command", [sweep, plan.main])
def test_a_folder_that_is_none_is_refused(command, capsys, tmp_path):
    nowhere = tmp_path / "nowhere"
    assert command(["--config-dir", str(nowhere), "experiment=sigmoid"]) == 2
    told = f"bnbench: --config-dir {nowhere}: expected a folder of YAML files\n"
    assert capsys.readouterr().err == told


@pytest.mark.slow
def test_workers_compose_them_too(mine, tmp_path):
    results = tmp_path / "results"
    words = ["experiment=own", "train=smoke", "seeds=[0]", "track=csv", f"results={results}"]
    outcome = sweep(["--config-dir", str(mine), *words])
    assert outcome.exit_code == 0
    assert len(read_arms(results / "experiments" / "own" / "digits")) == 2


def test_an_option_and_its_value_are_one_word():
    words = ["--config-dir", "my dir", "experiment=own", "-m"]
    assert joined(words) == ["--config-dir=my dir", "experiment=own", "-m"]
    assert joined(joined(words)) == joined(words)
    assert joined(["-cd", "mine"]) == ["--config-dir=mine"]


def test_the_default_experiments_are_asked_for_where_none_is():
    assert with_experiments(["seeds=[0]"]) == [DEFAULT_EXPERIMENTS, "seeds=[0]"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"DEFAULT_EXP := {DEFAULT_EXPERIMENTS.partition('=')[2]}\n" in makefile
    for words in (["experiment=shift"], ["claims=all"], ["-m", "norm=none,batchnorm"]):
        assert with_experiments(words) == words
