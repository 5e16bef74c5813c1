"""What a YAML file of the configuration may do: be composed soon, and run nothing."""

import shutil

import hydra
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bnbench import CONFIGS, cli, sweep
from bnbench.config import yaml_bounds
from bnbench.config.checks import RequestError
from bnbench.config.yaml_bounds import (
    MAX_BYTES,
    MAX_INTERPOLATIONS,
    MAX_VALUES,
    num_values,
    unbounded,
)
from bnbench.request.hydra_internals import Loader

PACKAGE = "# @package _global_\n"


def levels(number, width=9):
    """Aliases of aliases: `width` to the power of `number` values, and the lists around them."""
    lists = [f"x{n}: &a{n} [{','.join([f'*a{n - 1}'] * width)}]" for n in range(1, number + 1)]
    return "\n".join(["x0: &a0 1", *lists])


def chained(number, key="tuned_lr"):
    """Interpolations that name each other twice."""
    twice = "\n".join(f"  a{n}: ${{{key}.a{n + 1}}}${{{key}.a{n + 1}}}" for n in range(number))
    return f"{key}:\n{twice}\n  a{number}: x"


UNBOUNDED = {
    "aliases": (levels(9), "its aliases stand for too much, expected at most 10,000 values in all"),
    "merged": (
        "a0: &a0 {x: 1, y: 2}\n" + levels(9).replace("x1: ", "x1: &m {<<: *a0}\ny: "),
        "its",
    ),
    "endless": ("x: &a [*a]", "its aliases stand for too much"),
    "interpolations": (chained(22), "expected at most 20 interpolations ${…}"),
    "long": ("x: " + "1" * MAX_BYTES, "expected at most 100,000 bytes"),
    "wide": ("x: [" + "1," * 60_000 + "]", "expected at most 100,000 bytes"),
}


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """A copy of configs/ that a test may change, read as the shipped one."""
    shutil.copytree(CONFIGS, tmp_path / "configs")
    monkeypatch.setattr(sweep, "CONFIGS", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "configs"


def read(configs, *overrides):
    with hydra.initialize_config_dir(str(configs), version_base="1.3", job_name="train"):
        return cli.read([*overrides, "data=synthetic"], multirun=False)


@pytest.mark.parametrize("name", UNBOUNDED)
@pytest.mark.parametrize("file", ["experiment/mine.yaml", "on_data/synthetic/mine.yaml"])
def test_a_file_without_end_is_named_before_it_is_composed(configs, monkeypatch, name, file):
    content, complaint = UNBOUNDED[name]
    path = configs / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(PACKAGE + content)
    monkeypatch.setattr(Loader, "load_configuration", None)  # nothing is composed
    with pytest.raises(RequestError) as refusal:
        read(configs, "experiment=mine")
    assert str(refusal.value).startswith(f"configs/{file}: {complaint}")


@pytest.mark.parametrize("option", ["--cfg=job", "--info=defaults", "--help"])
def test_hydra_itself_is_not_asked_about_it_either(configs, capsys, option):
    (configs / "experiment/mine.yaml").write_text(PACKAGE + levels(9))
    assert sweep.sweep(["experiment=mine", option]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("bnbench: configs/experiment/mine.yaml: its aliases stand for too much")
    assert err.count("\n") == 1


def test_what_is_within_the_bounds_is_composed(configs):
    seeds = "seeds: &few [101, 102]\ntune: {seeds: *few}\n"
    question = "report:\n  question: " + "${report.figures[0].x} " * MAX_INTERPOLATIONS
    (configs / "experiment/mine.yaml").write_text(PACKAGE + seeds + question)
    request = read(configs, "experiment=mine")
    (experiment,) = request.experiments
    assert [*experiment.runs.values()] == [[101, 102]]
    assert experiment.report["question"] == " ".join(["step"] * MAX_INTERPOLATIONS)


def test_every_shipped_file_is_far_within_the_bounds():
    files = list(CONFIGS.rglob("*.yaml"))
    assert len(files) > 70
    for path in files:
        content = path.read_bytes()
        assert len(content) < MAX_BYTES / 10
        assert content.count(b"${") <= MAX_INTERPOLATIONS / 2
        assert num_values(content) < MAX_VALUES / 10


@pytest.mark.parametrize("content", [b"\0", b"x: [", b"*a", b"x: *a\ny: &a 1", b"\xff\xfe*&", b"["])
def test_what_is_no_yaml_is_left_to_who_composes_it(tmp_path, content):
    (tmp_path / "odd.yaml").write_bytes(content)
    assert unbounded(tmp_path / "odd.yaml") is None


def size(value):
    """The same count of the values themselves."""
    if isinstance(value, dict):
        return 1 + sum(size(key) + size(part) for key, part in value.items())
    return 1 + sum(map(size, value)) if isinstance(value, list) else 1


nested = st.recursive(
    st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)


@settings(max_examples=60, derandomize=True, database=None, deadline=None)
@given(st.lists(nested, min_size=1, max_size=3), st.lists(st.integers(0, 2), max_size=6))
def test_the_count_is_that_of_what_pyyaml_makes_of_it(parts, again):
    value = [*parts, *(parts[place % len(parts)] for place in again)]  # the same object: an alias
    assert num_values(yaml.safe_dump(value).encode()) == size(value)


def test_the_slower_loader_counts_the_same(monkeypatch):
    content = levels(3).encode()
    fast = num_values(content)
    monkeypatch.setattr(yaml_bounds, "LOADER", yaml.SafeLoader)
    assert fast == num_values(content) > 9**3


CODE = {
    "hydra: {callbacks: {x: {_target_: pathlib.Path.touch, self: ran}}}": "hydra.callbacks={'x'",
    "hydra: {job_logging: {handlers: {x: {(): pathlib.Path.touch, self: ran}}}}": "hydra.job_logg",
    "hydra: {hydra_logging: {root: {handlers: [x]}}}": "hydra.hydra_logging={'version': 1, 'root':",
    "hydra: {job: {env_set: {LD_PRELOAD: ./x.so}}}": "hydra.job.env_set={'LD_PRELOAD'",
    "hydra: {job: {env_copy: [HOME]}}": "hydra.job.env_copy=['HOME']: expected []",
    "hydra: {job: {chdir: true}}": "hydra.job.chdir=true",
    "hydra: {searchpath: [file:///tmp]}": "configs/experiment/mine.yaml: Overriding hydra.searchp",
    "hydra: {launcher: {_target_: os.system}}": "hydra.launcher._target_=os.system: expected one",
    "hydra: {launcher: {backend: {_target_: os.system}}}": "hydra.launcher.backend",
    "hydra: {launcher: {backend: '${tuned_lr}'}}\ntuned_lr: {_target_: x}": "hydra.launcher.",
    "hydra: {output_subdir: x}": "hydra.output_subdir=x: expected null",
    "hydra: {run: {dir: /tmp}}": "hydra.run.dir=/tmp: expected",
    "hydra: {sweep: {dir: /tmp}}": "hydra.sweep.dir=/tmp: expected",
    "model: {_target_: os.system}": "model._target_: no such key",
    "report: {question: !!python/object/apply:os.system [touch ran]}": "configs/experiment/mine.y",
    "report: {question: '${nope:touch ran}'}": "configs/experiment/mine.yaml",
}


@pytest.mark.one_in(4)
@pytest.mark.parametrize("content", CODE)
def test_an_experiment_runs_no_code(configs, tmp_path, content):
    (configs / "experiment/mine.yaml").write_text(PACKAGE + content)
    with pytest.raises(RequestError) as refusal:
        read(configs, "experiment=mine")
    assert CODE[content] in str(refusal.value)
    assert [path.name for path in tmp_path.iterdir()] == ["configs"]


def test_a_group_that_a_job_chooses_runs_no_code_either(configs):
    (configs / "track/mine.yaml").write_text(
        "# @package _global_\nhydra: {job: {env_set: {LD_PRELOAD: x}}}\ntrack: {mode: csv}\n"
    )
    (configs / "experiment/mine.yaml").write_text(PACKAGE + "arms: [{track: mine}]\n")
    with pytest.raises(RequestError, match=r"^hydra\.job\.env_set="):
        read(configs, "experiment=mine")


def test_an_interpolation_reads_the_environment(configs, monkeypatch):
    """As Hydra's users expect; docs/strangers.md says so."""
    monkeypatch.setenv("BNBENCH_SECRET", "of mine")
    (configs / "experiment/mine.yaml").write_text(
        PACKAGE + "report: {question: 'What is ${oc.env:BNBENCH_SECRET}?'}"
    )
    (experiment,) = read(configs, "experiment=mine").experiments
    assert experiment.report["question"] == "What is of mine?"


def test_a_byte_order_mark_would_hide_the_first_line(configs):
    file = configs / "experiment" / "shift.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    line = (
        "configs/experiment/shift.yaml: begins with a byte order mark, expected UTF-8 without one"
    )
    with pytest.raises(RequestError, match=f"^{line}"):
        yaml_bounds.check_folders([configs])
