"""What is private to Hydra and used: each test fails where an update takes away what it needs."""

import ast
import re
import types

import hydra
import pytest
from hydra import version
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import RunMode
from omegaconf import OmegaConf

from bnbench import CONFIGS, ROOT
from bnbench.request import hydra_internals
from bnbench.request.hydra_internals import JOB, Loader

PRIVATE = "hydra_internals.py"
OUR_OWN = {"self", "cls", "os"}  # whose underscored attributes are none of Hydra
KEYS = {"_target_"}  # keys of configurations


@pytest.fixture
def loader():
    """The loader of the shipped YAML files."""
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3", job_name="train"):
        yield hydra_internals.current_loader()


def parsed(*overrides):
    return OverridesParser.create().parse_overrides(list(overrides))


def test_one_module_alone_uses_what_is_private():
    found = []
    for path in [*(ROOT / "bnbench").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        if path.name == PRIVATE or not re.search(
            r"^\s*(import|from) (hydra|omegaconf)\b", text, re.M
        ):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute):
                owner = node.value.id if isinstance(node.value, ast.Name) else None
                is_private = node.attr[0] == "_" and node.attr[:2] != "__" and node.attr not in KEYS
                if (is_private and owner not in OUR_OWN) or node.attr in ("repository", "f_locals"):
                    found.append((path.name, node.attr))
            elif isinstance(node, ast.ImportFrom) and "hydra._" in str(node.module):
                found.append((path.name, node.module))
    assert not found


def test_the_loader_is_that_of_the_initialised_hydra(loader):
    assert isinstance(loader, hydra_internals.Loader)
    assert "mlp" in loader.get_group_options("model")


def test_a_loader_is_made_beside_the_initialised_hydra(loader, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("a: 1")
    assert hydra_internals.make_loader(tmp_path).get_group_options("model") == ["mine"]
    assert hydra_internals.current_loader() is loader


def test_a_group_is_a_folder(loader):
    groups = [hydra_internals.is_group(loader, key) for key in ("norm", "hydra/launcher", "seeds")]
    assert groups == [True, True, False]


def test_the_files_of_a_group_are_those_that_the_loader_lists(loader):
    for group in ("norm", "hydra/launcher", "on_data/fashion_mnist"):
        assert hydra_internals.options_of(loader, group) == loader.get_group_options(group) != []


def test_a_file_is_read_with_its_header(loader):
    found = hydra_internals.read_file(loader, "experiment/shift")
    assert found.header["package"] == "_global_"
    assert found.config.optim.schedule == "cosine"
    assert hydra_internals.read_file(loader, "experiment/nope") is None


def test_each_file_is_parsed_once_however_often_it_is_composed(loader, monkeypatch):
    def composed():
        return [
            loader.load_configuration("config", [f"norm={norm}", "optim=adam"], RunMode.RUN)
            for norm in ("none", "batchnorm", "none")
        ]

    (kind,) = {type(one) for one in loader.repository.sources if one.scheme() == "file"}
    load, asked = kind.load_config, []

    def watched(self, config_path):
        asked.append(config_path)
        return load(self, config_path)

    monkeypatch.setattr(kind, "load_config", watched)
    before = composed()
    assert asked.count("optim/adam") >= 3
    asked.clear()
    with hydra_internals.parsed_once(loader):
        assert composed() == before
    assert len(asked) == len({*asked})
    assert {"norm/none", "norm/batchnorm", "optim/adam"} <= {*asked}
    asked.clear()  # and what was kept is forgotten
    assert composed() == before
    assert asked.count("optim/adam") >= 3


def test_values_are_set_added_and_removed():
    config = OmegaConf.create({"a": {"b": 1, "c": 2}})
    OmegaConf.set_struct(config, True)
    hydra_internals.set_values(config, parsed("a.b=3", "+a.d=[4]", "~a.c"))
    assert config == {"a": {"b": 3, "d": [4]}}


def test_the_last_value_of_a_key_counts_in_a_product():
    assert hydra_internals.jobs_of_product(parsed("a=0", "b=1,2", "a='x y'")) == [
        ["a='x y'", "b=1"],
        ["a='x y'", "b=2"],
    ]


def test_a_launcher_runs_a_task_on_what_it_is_handed_and_composes_nothing(
    loader, tmp_path, monkeypatch
):
    words = [f"results={tmp_path}", "hydra/launcher=basic", f"hydra.sweep.dir={tmp_path}"]
    config = loader.load_configuration("config", words, RunMode.MULTIRUN)
    monkeypatch.setattr(Loader, "load_configuration", None)
    launcher = hydra_internals.make_launcher(config, lambda job: job[JOB])
    jobs = launcher.launch([["batch_size=8"], ["it's ${odd}, Ω"]], 0)
    assert [job.return_value.decode() for job in jobs] == ["batch_size=8", "it's ${odd}, Ω"]
    assert JOB not in config


def test_what_a_failed_job_raised_is_told_quietly(capsys):
    job = JobReturn(status=JobStatus.FAILED)
    job.return_value = error = ValueError("odd")
    assert hydra_internals.error_of(job) is error
    assert capsys.readouterr() == ("", "")


def test_a_list_is_found_in_the_frame_of_a_launcher_that_raised():
    def launch(jobs):
        raise RuntimeError

    plugin = {"__name__": "hydra_plugins.some_launcher", "RuntimeError": RuntimeError}
    with pytest.raises(RuntimeError) as raised:
        types.FunctionType(launch.__code__, plugin)([1, 2])
    assert hydra_internals.held_by_launcher(raised.value, "jobs") == [1, 2]
    assert hydra_internals.held_by_launcher(raised.value, "runs") == []
    with pytest.raises(RuntimeError) as raised:
        launch([1, 2])  # in no plugin
    assert hydra_internals.held_by_launcher(raised.value, "jobs") == []


def test_hydra_answers_a_command_line_of_its_own(capsys):
    version.setbase("1.3")
    parser = hydra_internals.argument_parser()
    args = parser.parse_args(["norm=lrn", "--cfg", "job", "--package", "norm"])
    assert args.overrides == ["norm=lrn"]
    hydra_internals.answer(args, parser, lambda job: None, CONFIGS)
    assert "name: lrn" in capsys.readouterr().out
