"""The one composer: how often Hydra composes, and that a copy has what Hydra would have made."""

import pickle
import shutil
from contextlib import suppress

import hydra
import pytest
from omegaconf import OmegaConf

from bnbench import CONFIGS, cli
from bnbench.config.checks import RequestError
from bnbench.pages import arm_command
from bnbench.request.compose import Composer
from bnbench.request.hydra_internals import Loader, make_loader, options_of


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


def test_a_choice_without_hydra_is_what_hydra_composes():
    """Of every file of the groups that the command of an arm chooses from."""
    compose, by_hydra = (Composer(make_loader(CONFIGS), []) for _ in range(2))
    files = {group: options_of(compose.loader, group) for group in arm_command.GROUPS}
    first = {group: names[0] for group, names in files.items()}
    for group, name in ((group, name) for group, names in files.items() for name in names):
        choices = tuple(f"{key}={value}" for key, value in (first | {group: name}).items())
        compose.choose(choices)
        with suppress(RequestError):  # the user's own data are not there: it is composed by then
            by_hydra(choices)
        one, other = (pickle.loads(each.composed[choices]) for each in (compose, by_hydra))
        assert OmegaConf.to_container(one) == OmegaConf.to_container(other)
        assert OmegaConf.is_struct(one) == OmegaConf.is_struct(other)
        assert list(one) == list(other)


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
