"""Which YAML file a refusal names: the last one in the order of composition that set the value."""

import shutil

import hydra
import pytest
from remembering import remembering_files

from bnbench import CONFIGS, cli, sweep
from bnbench.config.checks import RequestError

ON_DATA = "on_data/fashion_mnist/claim_ics.yaml"
ICS = ("experiment=claim_ics", "data=fashion_mnist")
SHIFT = ("experiment=shift",)


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """A copy of configs/ to be damaged; the images of ON_DATA count as being there."""
    shutil.copytree(CONFIGS, tmp_path / "configs")
    monkeypatch.setattr(sweep, "CONFIGS", tmp_path / "configs")
    monkeypatch.setattr("bnbench.request.preflight.missing_files", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "configs"


def refusal(configs, *overrides):
    with (
        remembering_files(),
        hydra.initialize_config_dir(str(configs), version_base="1.3", job_name="train"),
        pytest.raises(RequestError) as refused,
    ):
        cli.read(list(overrides), multirun=False)
    return str(refused.value)


@pytest.mark.one_in(4)  # about half a second each
@pytest.mark.parametrize(
    ("file", "old", "new", "overrides"),
    [
        # a null takes away what a file before it has set
        (ON_DATA, "train: {steps: 781}", "optim:", ICS),
        (ON_DATA, "train: {steps: 781}", "norm: null", ICS),
        ("experiment/claim_ics.yaml", "seeds:", "model: null\nseeds:", ICS[:1]),
        ("config.yaml", "threads: 1 ", "threads: 1\ntrain: null\n#", ()),
        # what no file sets is lacking in the one that is chosen, or in config.yaml
        ("optim/sgd.yaml", "name: sgd", "", ()),
        ("norm/batchnorm.yaml", "eps:", "epz:", ()),
        ("config.yaml", "placement: pre", "", ()),
        # a sub-grid's value, in whichever file its grid stands
        (ON_DATA, "0.01,0.03", "0&01,0.03", ICS),
        (ON_DATA, "0.01,0.03", "0.01,[", ICS),
        ("experiment/tune_lr.yaml", "norm: none", "norm: 3", ("experiment=tune_lr",)),
        # keys that there are none of
        (ON_DATA, "steps: 781", 'steps" 781', ICS),
        (ON_DATA, "# @package _global_", "# @package _globa", ICS),
        (ON_DATA, "# @package _global_", "", ICS),
        ("experiment/claim_ics.yaml", "# @package _global_", "", ICS[:1]),
        ("track/csv.yaml", "mode: csv", "mode: csv\nmoed: csv", ("track=csv",)),
        ("track/csv.yaml", "tags: []", "tags: [a, a]", ("track=csv",)),
        ("track/default.yaml", "notes: null", "notes: [a]", ()),
        # a value that a later file sets again
        (ON_DATA, "train: {steps: 781}", "train: {steps: -1}", ICS),
        ("train/default.yaml", "eval_points: 50", "eval_points: 0", ()),
        # the file that chooses another, and the one that is chosen
        ("config.yaml", "- norm: batchnorm", "- norm: batchmorm", ()),
        ("config.yaml", "- norm: batchnorm", "- norm: lrn", ()),
        ("experiment/shift.yaml", "shift: suite", "shift: suit", ("experiment=shift",)),
        ("norm/batchnorm.yaml", "name: batchnorm", "name: lrn", ()),
        # the looked-up rate: the table, or what looks it up
        ("base_lr.yaml", "{digits: 0.1,", "{digits: -0.1,", ()),
        ("base_lr.yaml", "{digits: 0.1,", "{digits: fast,", ()),
        ("base_lr.yaml", "cifar10: 0.01,", "cifar10:0.01,", ()),
        ("optim/sgd.yaml", "base_lr: $", "base_lr: -1 #", ()),
        ("optim/sgd.yaml", ".${data.name}}", "}", ()),
        # what Hydra cannot read or merge
        (ON_DATA, "# @package _global_", "# @package _global_: {a: 1}", ICS),
        ("experiment/claim_ics.yaml", "@package _global_", "@package", ICS[:1]),
        ("experiment/shift.yaml", "  - override /shift: suite", "  3", SHIFT),
        ("experiment/shift.yaml", "override /shift", "override /shiff", SHIFT),
        ("config.yaml", "- override hydra/launcher: local", "- override hydra/lau: local", ()),
        ("config.yaml", "- data: digits", "- data:", ()),
        ("config.yaml", "defaults:", "defaults: 3\nx:", ()),
        # a list of defaults that cannot be followed, or that puts a file in another's place
        ("config.yaml", "  - data: digits", "  - _self_\n  - _self_", ()),
        ("config.yaml", "  - data: digits", "  - data: digits\n  - data: synthetic", ()),
        ("config.yaml", "  - data: digits", "  - override /norm: none\n  - data: digits", ()),
        ("config.yaml", "  - data: digits", "  - data: ${nope}", ()),
        ("config.yaml", "  - data: digits", "  - ???\n  - data: digits", ()),
        ("config.yaml", "  - data: digits", "  - data@foo: digits", ()),
        ("experiment/shift.yaml", "  - override", "  - nope: x\n  - override", SHIFT),
        ("experiment/shift.yaml", "  - override", "  - norm: ???\n  - override", SHIFT),
        ("experiment/shift.yaml", "override /shift", "/shift@foo", SHIFT),
        (ON_DATA, "train:", "defaults: [norm: none]\ntrain:", ICS),
        (ON_DATA, "train:", "defaults: [override /norm: none]\ntrain:", ICS),
        (ON_DATA, "train: {steps: 781}", "hydra: 3", ICS),
        ("experiment/claim_ics.yaml", "sweeper:", "launcher: [1]\n  sweeper:", ICS[:1]),
    ],
)
def test_a_refusal_names_the_file_that_set_the_value(configs, file, old, new, overrides):
    path = configs / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert f"configs/{file}" in refusal(configs, *overrides)


@pytest.mark.parametrize("content", ["", "seeds: [0]", "null", "# seeds\nseeds: [0]"])
def test_an_experiment_without_its_first_line_says_which(configs, content):
    (configs / "experiment" / "mine.yaml").write_text(content)
    assert refusal(configs, "experiment=mine") == (
        "experiment: expected `# @package _global_` as its file's first line "
        "(configs/experiment/mine.yaml)"
    )


def test_what_is_typed_has_no_file(configs):
    for line in ("norm=lrn", "seeds=[x]", "optim.base_lr=-1", "train=nope", "optim={name: 3}"):
        assert "configs/" not in refusal(configs, line), line


def test_of_two_values_that_do_not_fit_the_file_of_the_first_is_named(configs):
    path = configs / "model" / "mlp.yaml"
    path.write_text(path.read_text().replace("[100, 100, 100]", "[30, 30, 30]"))
    line = refusal(configs, "norm=groupnorm")
    assert line.startswith("norm.groups=4: expected a divisor of every entry of model.widths=[30,")
    assert line.endswith(" (configs/norm/groupnorm.yaml)")
