"""Random command lines and damaged YAML files: one line and nothing done, or a sound request."""

import importlib.util
import os
import random
import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest import mock

import hydra
import pytest
import torch
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig
from remembering import file_source, remembering, remembering_files

from bnbench import cli, sweep
from bnbench.config.schema import DATA_SHAPES, NUM_CLASSES
from bnbench.models import MODELS
from bnbench.norms import NORMS
from bnbench.request.hydra_internals import current_loader

SCRIPT = Path(__file__).parent / "tools" / "fuzz.py"
ODD = (
    *("null", "[]", "{}", "-1", "nan", "abc", "[1, x]", "{a: 1}", "???", "${nope}", "1e400", "'"),
    *("!!python/object:os.system x", "*a", "&a b", "\0", "1" + "0" * 25, "true", "2020-01-01"),
)
WHOLE = (
    b"",
    b"\n",
    b"# x\n",
    b"---\n",
    b"null\n",
    b"[1,2]\n",
    b"3\n",
    b"text\n",
    b"- a: 1\n",
    b"{}",
)
ANEW = 40  # one request in so many is also asked without a memory of YAML files
ELSEWHERE = ("mnist", "fashion_mnist", "cifar10", "ray", "slurm")  # need files or a cluster


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("fuzz_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for argv in ([], ["--help"], ["--info"], ["-sc", "install=bash"]):  # imports, once
        module.ask(argv)
    return module


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to be in; the environment says nothing about W&B."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # no request writes a file
    for name in ("WANDB_MODE", "WANDB_PROJECT", "WANDB_ENTITY", "HYDRA_FULL_ERROR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return tmp_path / "empty"


def forward(config):
    """The logits of a batch, of a net without numbers: shapes alone decide whether it can train."""
    net, kind = config.model, MODELS[config.model.name]
    options = {key: value for key, value in vars(config.norm).items() if key != "name"}
    norm = partial(NORMS[config.norm.name], spatial_dims=kind.spatial_dims, **options)
    with torch.device("meta"):
        model = kind(
            DATA_SHAPES[config.data.name],
            NUM_CLASSES,
            widths=net.widths,
            depth=net.depth,
            activation=net.activation,
            norm=None if config.norm.name == "none" else norm,
            placement=config.placement,
        )
        return model(torch.empty(config.batch_size, *DATA_SHAPES[config.data.name]))


@pytest.mark.slow
@pytest.mark.parametrize("number", [60])
def test_random_command_lines_are_refused_or_sound(fuzz, folder, number):
    kinds = set()
    for seed in range(number):
        argv = fuzz.command_line(random.Random(seed))
        with remembering_files(), remembering():
            answer = fuzz.ask(argv)
        if seed % ANEW == 0:
            assert fuzz.differences(answer, fuzz.ask(argv)) == [], argv
        kinds.add(answer.kind)
        assert not answer.breaches, argv
        for request in answer.requests:
            for arm in request.arms.values():
                assert forward(arm.config).shape == (arm.config.batch_size, NUM_CLASSES)
    assert kinds >= {"refused", "accepted"}
    assert list(folder.iterdir()) == []


def damaged(rng: random.Random, content: bytes, mutated) -> bytes:
    """What a crash, a disk, an editor or another program may make of a YAML file."""
    lines = content.split(b"\n")
    place, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    line, before, after = lines[place], lines[:place], lines[place + 1 :]
    flipped = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        flipped[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    swapped = [*lines]
    swapped[place], swapped[other] = swapped[other], line
    odd = line.partition(b":")[0] + b": " + rng.choice(ODD).encode()
    slip = mutated(rng, line.decode()).encode("utf-8", "replace")
    return rng.choice(
        (
            content[: rng.randrange(len(content))],
            bytes(flipped),
            rng.randbytes(rng.randint(1, 200)),
            rng.choice(WHOLE),
            b"\0" * len(content),
            content + content[: len(content) // 2],
            content.decode().encode(rng.choice(("utf-8-sig", "utf-16", "utf-32"))),
            content.replace(b"\n", b"\r\n"),
            content.replace(b"  ", b"\t"),
            b"\n".join([*before, *after]),
            b"\n".join([*before, line, line, *after]),
            b"\n".join(swapped),
            b"\n".join([*before, odd, *after]),
            b"\n".join([*before, odd, *after]),
            b"\n".join([*before, slip, *after]),
            b"\n".join([*before, b" " * rng.randint(1, 4) + line, *after]),
        )
    )


def asking_for(file: Path) -> list[str]:
    """A command line that reads a YAML file."""
    group = file.parent.name
    if group in ("configs", "launcher"):
        return []
    if file.parents[1].name == "on_data":
        return [f"experiment={file.stem}", f"data={group}"]
    fitting = {"instancenorm": "model=vgg", "lrn": "model=vgg", "vgg11": "data=synthetic"}
    fitting["batchnorm_lrn"] = fitting["lrn"]
    fitting["vgg16"] = fitting["vgg11"]
    return [f"{group}={file.stem}", *([fitting[file.stem]] if file.stem in fitting else [])]


@pytest.fixture
def copied(folder, monkeypatch):
    """A copy of the YAML files, to be damaged."""
    copy = folder.parent / "configs"
    shutil.copytree(sweep.CONFIGS, copy)
    monkeypatch.setattr(sweep, "CONFIGS", copy)
    return copy


@pytest.fixture
def configs(copied):
    """Such a copy; a content that was parsed before is not parsed again."""
    with remembering_files():
        yield copied


@pytest.mark.slow
@pytest.mark.parametrize("number", [28])
def test_damaged_yaml_is_named_in_the_line_or_harmless(fuzz, folder, copied, number, monkeypatch):
    # the images that files of on_data/ are for; a request is refused without them, whatever it says
    monkeypatch.setattr("bnbench.request.preflight.missing_files", lambda *_: None)
    files = [file for file in sorted(copied.rglob("*.yaml")) if file.stem not in ELSEWHERE]
    kinds, unnamed = set(), []
    for seed in range(number):
        rng = random.Random(seed)
        file = rng.choice(files)
        whole = file.read_bytes()
        file.write_bytes(damaged(rng, whole, fuzz.mutated))
        with remembering_files():
            answer = fuzz.ask(asking_for(file))
        if seed % ANEW == 0:
            assert fuzz.differences(answer, fuzz.ask(asking_for(file))) == [], file.read_bytes()
        kinds.add(answer.kind)
        assert not answer.breaches, file.read_bytes()
        name = str(file.relative_to(copied.parent))
        if answer.kind != "accepted" and name not in answer.line:
            unnamed.append((seed, answer.line))
        file.write_bytes(whole)
    assert not unnamed
    assert kinds == {"refused", "accepted"}
    assert list(folder.iterdir()) == []


@pytest.mark.slow
@pytest.mark.one_in(4)
@pytest.mark.parametrize("file", ["experiment/placement", "on_data/fashion_mnist/claim_ema"])
@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("hydra: null", "hydra=null: expected keys and values"),
        ("hydra: [a]", "hydra=[a]: expected keys and values"),
        ("hydra: ${nope}", "hydra=${nope}: expected keys and values"),
        ("hydra: {launcher: 3}", "hydra.launcher=3: expected keys and values"),
        ("optim: true", "optim=true: expected keys and values"),
        ("norm: [a]", "norm=[a]: expected keys and values"),
        ("hydra: ???\nmodel: 3", "model=3: expected keys and values"),
        ("nope: ???", "nope: no such key, expected one of arms, "),
        (
            "hydra: {sweeper: {params: {nope: 3}}}",
            "nope: no such key, expected one of batch_size, ",
        ),
        ("device: ${nope}", "hydra.launcher.n_jobs: Interpolation key 'nope' not found"),
    ],
)
def test_what_a_file_puts_in_the_place_of_keys_or_makes_up(fuzz, configs, file, content, line):
    path = configs / f"{file}.yaml"
    path.write_text(f"# @package _global_\n{content}\n")
    answer = fuzz.ask(asking_for(path))
    assert not answer.breaches
    told = answer.line.removeprefix("bnbench: ").removeprefix(f"configs/{file}.yaml: ")
    assert told.startswith(line)
    assert f"configs/{file}.yaml" in answer.line


def test_what_a_sub_grid_adds_is_blamed_on_its_file(fuzz, folder, configs):
    path = configs / "experiment" / "tune_lr.yaml"
    path.write_text(path.read_text().replace("norm: none", "norm: 3"))
    answer = fuzz.ask(["experiment=tune_lr", "seeds=[0]"])
    assert not answer.breaches
    assert answer.line.startswith("bnbench: norm=3: expected one of batch_renorm, ")
    assert answer.line.endswith("(configs/experiment/tune_lr.yaml)\n")


def test_a_lost_interpolation_is_blamed_on_its_file_whatever_else_is_typed(fuzz, configs):
    path = configs / "experiment" / "placement.yaml"
    path.write_text("# @package _global_\ndevice: ${size}\n")
    answer = fuzz.ask(["experiment=placement", "batch_size=8"])
    assert "Interpolation key 'size' not found" in answer.line
    assert answer.line.endswith("(configs/experiment/placement.yaml)\n")
    path.write_text("# @package _global_\n")
    answer = fuzz.ask(["experiment=placement", "device=${size}"])
    assert "Interpolation key 'size' not found" in answer.line
    assert "configs/" not in answer.line


def test_an_option_of_a_launcher_without_a_value_is_told(fuzz, folder, configs):
    path = configs / "hydra" / "launcher" / "local.yaml"
    path.write_text(path.read_text().replace("backend: null", "backend: ???"))
    answer = fuzz.ask([])
    assert not answer.breaches
    assert answer.line.startswith("bnbench: hydra.launcher.backend=???: ??? is no value, expected")
    assert answer.line.endswith("(configs/hydra/launcher/local.yaml)\n")


@pytest.mark.parametrize(
    ("lost", "line"),
    [
        ("  output_subdir: null      # ", "hydra.output_subdir=.hydra: expected null"),
        ("  sweep: {dir: ", "hydra.sweep.dir=multirun/"),
        ("  - override hydra/job_logging", "hydra.job_logging={"),
    ],
)
def test_hydra_that_would_write_files_is_refused(fuzz, folder, configs, lost, line):
    path = configs / "config.yaml"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(row for row in lines if not row.startswith(lost)))
    answer = fuzz.ask([])
    assert not answer.breaches
    assert answer.line.startswith(f"bnbench: {line}")
    assert answer.line.endswith("(configs/config.yaml)\n")


def leaks(asked, multirun, fresh):
    os.environ["LEAK"] = "1"


def writes(asked, multirun, fresh):
    Path("left").write_text("x")
    Path("left").unlink()


@pytest.mark.parametrize(
    ("read", "breach"),
    [
        (lambda *_, fresh: {}["a"], "KeyError escaped: 'a'"),
        (lambda *_, fresh: print("hello"), "code 0, out 'hello"),
        (writes, "wrote left"),
        (leaks, "the environment changed"),
        (lambda *_, fresh: sweep.task(None), "training was started"),
        (lambda *_, fresh: os.system("true"), "os.system"),
    ],
)
def test_a_breach_of_the_contract_is_seen(fuzz, folder, monkeypatch, read, breach):
    monkeypatch.setattr(cli, "read", read)
    monkeypatch.setattr(fuzz, "faults", lambda request: [])
    monkeypatch.setenv("LEAK", "0")
    assert any(breach in found for found in fuzz.ask(["norm=none"]).breaches)


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--multirun", "--info"], "--multirun --info: expected only one of them"),
        (["--cfg", "job", "-m", "--run"], "--run --multirun --cfg: expected only one of them"),
        (["--package", "x", "--info"], "--package: expected only with --cfg"),
        (["--shell-completion"], "--shell-completion: expected install=bash"),
        (["--cfg", "job", "train=???"], "train=???: ??? is no value, expected one of default"),
        (["--cfg", "job", "results=a,b=c"], "results=a,b=c: expected one text"),
        (["--resolve"], "--resolve: expected only with --cfg"),
        (["--package", "optim"], "--package: expected only with --cfg"),
        (["--run", "-m"], "--run --multirun: expected only one of them"),
        (
            ["-r", "-m", "-i", "-c", "job", "-sc"],
            "--run --multirun --cfg --info --shell-completion:",
        ),
        (["--cfg", "hydra", "--resolve"], "--cfg hydra --resolve: expected --cfg job"),
        (["--config-name="], "--config-name: expected overrides of configs/ instead"),
        (["--nope\nx"], "unrecognized arguments: --nope\\nx"),
        (["--cfg", "job", "hydra.searchpath=[x]"], "hydra.searchpath=[x]: expected no more of"),
        (["--cfg", "job", "--package", "nope"], "package 'nope' not found in config"),
        (["norm=nope", "--info"], "norm=nope: expected one of batch_renorm, batchnorm"),
        (["-sc", "a=%s"], "a=%s: "),
        (["--help", "-m", "--cfg", "x"], "argument --cfg/-c: invalid choice: 'x'"),
    ],
)
def test_what_hydra_cannot_answer_is_one_line(fuzz, folder, argv, line):
    answer = fuzz.ask(argv)
    assert not answer.breaches
    assert answer.line.startswith(f"bnbench: {line}")


@pytest.mark.parametrize("setting", ["results: x", "results: x/../results"])
def test_a_sub_grid_does_not_move_the_results(fuzz, folder, setting):
    answer = fuzz.ask([f"arms=[{{{setting}}}]"])
    assert not answer.breaches
    assert answer.line.startswith("bnbench: results=x")


@pytest.mark.slow
def test_a_memory_of_what_was_composed_changes_no_answer(fuzz, folder):
    for argv in (
        ["norm=none", "batch_size=32", "seeds=[3]"],
        ["-m", "norm=none,lrn", "model=vgg", "placement=post"],
        ["batch_size=[1]", "norm=layernorm"],
        ["~placement"],
        ["norm=nope", "+a=1"],
    ):
        whole = fuzz.ask(argv)
        for _ in range(2):
            with remembering():
                assert fuzz.differences(fuzz.ask(argv), whole) == []
    assert fuzz.differences(fuzz.ask(["norm=none"]), fuzz.ask(["norm=lrn"]))


def nodes(config):
    """Every node of a configuration: its place, its value and what OmegaConf knows of it."""
    known = {key: value for key, value in vars(config._metadata).items() if key != "resolver_cache"}
    found = [(config._get_full_key(None), known)]
    if isinstance(config, ListConfig | DictConfig) and not isinstance(config._content, str | None):
        listed = isinstance(config, ListConfig)
        for one in config._content if listed else config._content.values():
            assert one._get_parent() is config
            found += nodes(one)
        return found
    return [*found, config._value()]


@pytest.mark.slow
def test_of_files_in_memory_is_made_what_hydra_makes_of_files(monkeypatch):
    for name in ("parsed_files", "placed_files", "heads"):
        monkeypatch.setattr(f"remembering.{name}", {})
    requests = (
        ["experiment=claim_ghost", "data=fashion_mnist"],
        ["norm=lrn", "model=vgg", "hydra/launcher=joblib", "optim.momentum=0.5"],
    )
    with hydra.initialize_config_dir(str(sweep.CONFIGS), version_base="1.3", job_name="train"):
        for asked in requests:
            compose = partial(current_loader().load_configuration, "config", asked, RunMode.RUN)
            made = nodes(compose())
            assert len(made) > 200
            for _ in range(2):
                with remembering_files():
                    assert nodes(compose()) == made


def test_each_content_of_a_file_is_parsed_once(fuzz, folder, monkeypatch):
    source = file_source()
    monkeypatch.setattr("remembering.parsed_files", {})
    with mock.patch.object(
        source, "load_config", autospec=True, side_effect=source.load_config
    ) as parse:
        with remembering_files():
            first = fuzz.ask(["norm=none"])
            number = parse.call_count
            assert fuzz.differences(fuzz.ask(["norm=none"]), first) == []
        assert parse.call_count == number > 5
        assert fuzz.differences(fuzz.ask(["norm=none"]), first) == []
        assert parse.call_count >= 2 * number  # without the memory


def test_what_hangs_is_ended(fuzz, folder, monkeypatch):
    def hang(*_, fresh):
        while True:
            pass

    monkeypatch.setattr(cli, "read", hang)
    monkeypatch.setattr(fuzz, "HANG_SECONDS", 0.1)
    assert any("HangError" in found for found in fuzz.ask([]).breaches)


def test_a_worker_that_would_train_another_arm_is_seen(fuzz, folder, monkeypatch):
    as_job = fuzz.as_job
    monkeypatch.setattr(fuzz, "as_job", lambda config: as_job(replace(config, batch_size=8)))
    assert any("a worker trains" in found for found in fuzz.ask([]).breaches)


@pytest.mark.parametrize("name", ["x" * 121, "two\nlines"])
def test_an_experiment_with_a_name_that_no_report_would_find_is_refused(
    fuzz, folder, configs, name
):
    shutil.copy(configs / "experiment" / "shift.yaml", configs / "experiment" / f"{name}.yaml")
    answer = fuzz.ask([f"experiment='{name}'", "seeds=[0]"])
    assert not answer.breaches
    assert "expected a name of one line in UTF-8, of at most 120 characters" in answer.line
