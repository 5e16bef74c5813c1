"""The one composer: how often Hydra composes, and that a copy has what Hydra would have made."""

import shutil
import sys

import hydra
import pytest

from bnbench import CONFIGS, cli
from bnbench.config.checks import RequestError
from bnbench.request.hydra_internals import Loader


@pytest.fixture
def composed(monkeypatch):
    """The overrides of everything that Hydra composes."""
    calls = []
    whole = Loader.load_configuration

    def counted(self, config_name, overrides, *args, **options):
        calls.append(overrides)
        return whole(self, config_name, overrides, *args, **options)

    monkeypatch.setattr(Loader, "load_configuration", counted)
    return calls


@pytest.mark.parametrize(
    ("overrides", "times"),
    [
        (["model=mlp", "batch_size=8", "hydra.launcher.n_jobs=1"], 1),
        (["norm=lrn", "model=vgg", "optim.lr_mult=1,2", "seeds=[0],[1]"], 1),
        (["norm=none,layernorm", "optim.lr_mult=1,2"], 3),  # what they have in common, and each
    ],
)
def test_hydra_composes_once_per_choice_of_groups(read, composed, overrides, times):
    read(*overrides, multirun=True)
    assert len(composed) == times


def test_a_process_that_has_loaded_hydras_plugins_twice_composes_too(monkeypatch, read_afresh):
    """The plugin's configuration is then of a class that its module no longer has."""
    core = sys.modules["hydra._internal.core_plugins.basic_sweeper"]
    other = type("BasicSweeperConf", (core.BasicSweeperConf,), {})
    monkeypatch.setattr(core, "BasicSweeperConf", other)
    assert len(read_afresh("norm=none,layernorm", multirun=True).arms) == 2


def test_a_value_is_set_once(read):
    """What is removed by an override cannot be so a second time."""
    with pytest.raises(RequestError, match=r"^placement: missing"):
        read("~placement")
    arms = read("tune={extend:3}", "tune.low=0.01", "tune.high=0.1").arms
    assert {arm.config.tune.extend for arm in arms.values()} == {3}


@pytest.mark.slow
def test_a_group_may_be_missing_where_each_job_chooses_one(tmp_path):
    shutil.copytree(CONFIGS, tmp_path / "configs")
    file = tmp_path / "configs" / "config.yaml"
    file.write_text(file.read_text().replace("- norm: batchnorm", "- norm: ???"))
    with hydra.initialize_config_dir(str(file.parent), version_base="1.3", job_name="train"):
        request = cli.read([f"results={tmp_path}/results", "norm=none,lrn", "model=vgg"], True)
        assert [arm.config.norm.name for arm in request.arms.values()] == ["none", "lrn"]
        with pytest.raises(RequestError, match=r"^configs/config\.yaml: You must specify 'norm'"):
            cli.read([f"results={tmp_path}/results"], False)
