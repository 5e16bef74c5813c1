"""Random command lines and damaged YAML files: one line and nothing done, or a sound request."""

import importlib.util
import os
import random
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bnbench import cli, sweep
from bnbench.models import MODELS
from bnbench.norms import NORMS
from bnbench.schema import DATA_SHAPES, NUM_CLASSES

SCRIPT = Path(__file__).parents[1] / "scripts" / "fuzz.py"
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
    for name in ("WANDB_MODE", "WANDB_PROJECT", "WANDB_ENTITY", "HYDRA_FULL_ERROR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return tmp_path / "empty"


def examples(number):
    return settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # a seed has no smaller one
        suppress_health_check=[HealthCheck.too_slow],
    )


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


@pytest.mark.parametrize("number", [15, pytest.param(200, marks=pytest.mark.slow)])
def test_random_command_lines_are_refused_or_sound(fuzz, folder, number):
    kinds = set()

    @examples(number)
    @given(st.randoms(use_true_random=True))
    def is_answered(rng):
        argv = fuzz.command_line(rng)
        answer = fuzz.ask(argv)
        kinds.add(answer.kind)
        assert not answer.breaches, argv
        for request in answer.requests:
            for arm in request.arms.values():
                assert forward(arm.config).shape == (arm.config.batch_size, NUM_CLASSES)

    is_answered()
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
    if file.parents[1].name == "scale":
        return [f"experiment={file.stem}", f"data={group}"]
    fitting = {"instancenorm": "model=vgg", "lrn": "model=vgg", "vgg11": "data=synthetic"}
    fitting["batchnorm_lrn"] = fitting["lrn"]
    fitting["vgg16"] = fitting["vgg11"]
    return [f"{group}={file.stem}", *([fitting[file.stem]] if file.stem in fitting else [])]


@pytest.fixture
def configs(folder, monkeypatch):
    """A copy of the YAML files, to be damaged."""
    copy = folder.parent / "configs"
    shutil.copytree(sweep.CONFIGS, copy)
    monkeypatch.setattr(sweep, "CONFIGS", copy)
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("number", [200])
def test_damaged_yaml_is_named_in_the_line_or_harmless(fuzz, folder, configs, number, monkeypatch):
    # the images that some scales are for; a request is refused without them, whatever it says
    monkeypatch.setattr("bnbench.preflight.missing_files", lambda *_: None)
    files = [file for file in sorted(configs.rglob("*.yaml")) if file.stem not in ELSEWHERE]
    kinds = set()

    @examples(number)
    @given(st.randoms(use_true_random=True))
    def is_named(rng):
        file = rng.choice(files)
        whole = file.read_bytes()
        try:
            file.write_bytes(damaged(rng, whole, fuzz.mutated))
            answer = fuzz.ask(asking_for(file))
            kinds.add(answer.kind)
            assert not answer.breaches, file.read_bytes()
            name = str(file.relative_to(configs.parent))
            assert answer.kind == "accepted" or name in answer.line, file.read_bytes()
        finally:
            file.write_bytes(whole)

    is_named()
    assert kinds == {"refused", "accepted"}
    assert list(folder.iterdir()) == []


def test_what_a_sub_grid_adds_is_blamed_on_its_file(fuzz, folder, configs):
    path = configs / "experiment" / "tune_lr.yaml"
    path.write_text(path.read_text().replace("norm: none", "norm: 3"))
    answer = fuzz.ask(["experiment=tune_lr", "seeds=[0]"])
    assert not answer.breaches
    assert answer.line.startswith("bnbench: configs/experiment/tune_lr.yaml: ")


@pytest.mark.parametrize(
    ("lost", "line"),
    [
        ("  output_subdir: null      # ", "hydra.output_subdir=.hydra: expected null"),
        ("  sweep: {dir: ", "hydra.sweep.dir=multirun/"),
        ("  - override hydra/job_logging", "hydra.job_logging.root={"),
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


def leaks(asked, multirun):
    os.environ["LEAK"] = "1"


def writes(asked, multirun):
    Path("left").write_text("x")
    Path("left").unlink()


@pytest.mark.parametrize(
    ("read", "breach"),
    [
        (lambda *_: {}["a"], "KeyError escaped: 'a'"),
        (lambda *_: print("hello"), "code 0, out 'hello"),
        (writes, "wrote left"),
        (leaks, "the environment changed"),
        (lambda *_: sweep.task(None), "training was started"),
        (lambda *_: os.system("true"), "os.system"),
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
        (["--resolve"], "--resolve: expected only with --cfg"),
        (["--package", "optim"], "--package: expected only with --cfg"),
        (["--run", "-m"], "--run --multirun: expected one of the two"),
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


def test_what_hangs_is_ended(fuzz, folder, monkeypatch):
    def hang(*_):
        while True:
            pass

    monkeypatch.setattr(cli, "read", hang)
    monkeypatch.setattr(fuzz, "HANG_SECONDS", 0.1)
    assert any("HangError" in found for found in fuzz.ask([]).breaches)


def test_a_worker_that_would_train_another_arm_is_seen(fuzz, folder, monkeypatch):
    right = cli.final_overrides
    monkeypatch.setattr(cli, "final_overrides", lambda arm: [*right(arm), "batch_size=8"])
    assert any("a worker trains" in found for found in fuzz.ask([]).breaches)
