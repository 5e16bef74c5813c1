"""Plugins from the command line to the report, which needs none, and in a worker."""

import json
import os
import re

import pandas as pd
import pytest
from omegaconf import OmegaConf
from plugin_files import MEDIAN, MODEL, NAME, PAGE, SHIFT, planted

import bnbench as bn
from bnbench import CONFIGS, ROOT, cli, sweep
from bnbench.commands import check
from bnbench.data import shifts
from bnbench.drawing.style import NORM_COLOURS, OTHER_COLOURS, markers, norm_colour
from bnbench.models import MODELS
from bnbench.norms import NORMS
from bnbench.request.hydra_internals import JOB, initialised
from bnbench.running.launch import as_job

DOC = '    """A perceptron."""\n'
SHORT = ["train.steps=12", "train.eval_points=3", "track=csv", "device=cpu"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for part, text in {"norm": MEDIAN, "model": MODEL, "shift": SHIFT}.items():
        (tmp_path / f"my_{part}.py").write_text(text)
    return tmp_path


ALL = "plugins=[my_norm.py,my_model.py,my_shift.py]"
OWN = [ALL, f"norm={NAME}", "model=wide", "shift=fog", "optim.base_lr=0.1"]


def test_a_worker_trains_with_the_rows_of_a_plugin_and_refuses_another_text(here, monkeypatch):
    monkeypatch.setattr(sweep, "parent", os.getpid())
    tables = [dict(table) for table in (NORMS, MODELS, shifts.SHIFTS, shifts.SEVERITIES)]
    with initialised(CONFIGS):
        request = cli.read([*OWN, *SHORT, "seeds=[0]", "shift.severities=[1]"], False)
        (arm,) = request.arms.values()
    job = OmegaConf.create({JOB: as_job(arm.config).encode()})
    assert sweep.task(job) == {0: "done"}
    (here / "my_norm.py").write_text(MEDIAN + "\n")
    told = sweep.task(job)[0]
    assert told.startswith(f"norm={NAME}: plugins=")
    assert "has another text than when the request was read" in told
    assert tables == [dict(t) for t in (NORMS, MODELS, shifts.SHIFTS, shifts.SEVERITIES)]
    (run,) = (here / "results" / "runs").glob("wide-*/seed-0")
    rows = pd.read_csv(run / "shifts.csv")
    assert rows["shift"].unique().tolist() == arm.config.shift.own


def test_a_plugin_that_fails_in_training_fails_its_run_in_a_line(here, monkeypatch):
    (here / "my_norm.py").write_text(MEDIAN.replace("column = (1,", "column = (1 / 0,"))
    with pytest.raises(RuntimeError, match="ZeroDivisionError: division by zero"):
        bn.run("plugins=[my_norm.py]", f"norm={NAME}", *SHORT)


def test_python_has_plugins_too(here):
    found = bn.run("plugins=[my_norm.py]", f"norm={NAME}", *SHORT)
    assert found.status == "done"
    assert NAME not in NORMS
    assert bn.load("results").runs["norm.name"].tolist() == [NAME]


def test_a_norm_of_a_plugin_has_a_look_that_follows_from_its_name():
    names = [NAME, "fog_norm", "mine"]
    assert {norm_colour(name) for name in names} <= {*OTHER_COLOURS}
    assert not {*OTHER_COLOURS} & {*NORM_COLOURS.values()}
    assert markers("norm.name", names) == markers("norm.name", names[::-1])
    assert norm_colour("batchnorm") == NORM_COLOURS["batchnorm"]


@pytest.mark.slow
def test_a_plugin_is_swept_with_two_jobs_and_reported_without_it(warm, here, tmp_path_factory):
    def run(script, *words):
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        argv = [str(ROOT / "scripts" / f"{script}.py"), *words]
        return warm.run(argv, here, env, tmp_path_factory.mktemp("printed") / "lines.txt")

    words = [ALL, "-m", f"norm=batchnorm,{NAME}", "shift.names=[fog,contrast]", "seeds=[0,1]"]
    status, told = run("sweep", *words, *SHORT, "hydra.launcher.n_jobs=2")
    assert status == 0, told
    assert "2 arms, 4 runs" in told
    assert "median batchnorm" in told
    folder = here / "results" / "experiments" / "adhoc" / "digits"
    runs = pd.read_csv(folder / "runs.csv")
    assert set(runs["status"]) == {"done"}
    assert sorted(runs["norm.name"].unique()) == ["batchnorm", NAME]
    assert runs["norm.plugin"].notna().tolist() == (runs["norm.name"] == NAME).tolist()
    asked = json.loads((folder / "experiment.json").read_text())["shifts"]
    (fog,) = {shift.rpartition("-")[0] for shift in asked} - {"contrast"}
    assert runs[f"shift/accuracy/{fog}-5"].notna().all()
    pages = [folder / "report.html", here / "results" / "report.html"]
    before = [page.read_bytes() for page in pages]
    for page in before:
        text = page.decode()
        assert "median batchnorm" in text
        assert norm_colour(NAME) in text
    for file in here.glob("my_*.py"):
        file.unlink()
    for page in (folder / "figures", *pages):
        if page.is_dir():
            for figure in page.iterdir():
                figure.unlink()
        else:
            page.unlink()
    status, told = run("report")
    assert status == 0, told
    clock = re.compile(rb"\d\d:\d\d(:\d\d)?")
    assert [clock.sub(b"", p.read_bytes()) for p in pages] == [clock.sub(b"", p) for p in before]
    status, told = run("status")
    assert status == 0, told


@pytest.mark.parametrize("fault", ["evaluation", "state", "gradient"])
def test_check_names_a_planted_fault(here, capsys, fault):
    (here / "my_norm.py").write_text(planted(fault))
    assert check.main(["my_norm.py"]) == 1
    told = capsys.readouterr().out
    assert [line.split()[1] for line in told.splitlines() if "✗" in line] == [fault]
    assert "10 of 11 contracts hold" in told
    if fault == "evaluation":  # which the page quotes
        (line,) = (line.strip() for line in told.splitlines() if "✗" in line)
        assert f"`{line}`" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["layernorm", "lrn"])
def test_check_takes_a_norm_that_ships(capsys, name):
    assert check.main([name]) == 0
    assert "all 11 contracts hold" in capsys.readouterr().out


def test_check_takes_models_and_shifts(here, capsys):
    assert check.main(["my_model.py"]) == 0
    assert check.main(["my_shift.py"]) == 0
    told = capsys.readouterr().out
    assert "wide, a model" in told
    assert "fog, a shift; results call it fog_" in told


INIT = "    def __init__(self, *args, {}**options):\n        super().__init__(*args, **options)\n"
SCALE = INIT.format("") + "        self.scale = nn.Parameter({})\n"
FORWARD = "    def forward(self, x):\n        y = super().forward(x)\n        return {}\n"


@pytest.mark.parametrize(
    ("contract", "body"),
    [
        ("norms", INIT.format("norm=None, ")),
        ("weights", SCALE.format("torch.rand(1)") + FORWARD.format("self.scale * y")),
        ("gradients", SCALE.format("torch.ones(1)")),
        ("evaluation", FORWARD.format("y - y.mean(0)")),
        ("logits", FORWARD.format("y / 0")),
        ("head", INIT.format("") + "        self.last = nn.Linear(3, 3)\n"),
    ],
)
def test_check_finds_what_is_wrong_with_a_model(here, capsys, contract, body):
    (here / "my_model.py").write_text(f"import torch\n{MODEL}".replace(DOC, f"{DOC}\n{body}"))
    assert check.main(["my_model.py"]) == 1
    told = capsys.readouterr().out
    assert contract in [line.split()[1] for line in told.splitlines() if "✗" in line]


@pytest.mark.parametrize(
    ("contract", "new"),
    [
        ("shape", "images[:, :, 1:] + level"),
        ("images", "images.add_(level)"),
        ("seed", "images + level * __import__('torch').rand(images.shape)"),
        ("mates", "images + level * images.mean()"),
        ("severity", "images + 0.1 * (1 - images)"),
    ],
)
def test_check_finds_what_is_wrong_with_a_shift(here, capsys, contract, new):
    (here / "my_shift.py").write_text(SHIFT.replace("images + level * (1 - images)", new))
    assert check.main(["my_shift.py"]) == 1
    told = capsys.readouterr().out
    assert contract in [line.split()[1] for line in told.splitlines() if "✗" in line]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["gone.py"], "plugins=[gone.py]: there is no such file, expected the path of a .py file"),
        (["batchnrm"], "batchnrm: not the path of a .py file, expected one of batch_renorm, "),
        (["lrn", "norm.k=1"], "norm.k=1: expected the file of a plugin before it"),
        (["my_norm.py", "momentum=1"], "momentum=1: expected norm.<option>=<value>"),
        (["my_norm.py", "norm.momentum=2"], "norm.momentum=2: expected a number > 0 and <= 1"),
        (["my_shift.py", "norm.k=1"], "norm.k=1: my_shift.py has no norm, expected no options"),
    ],
)
def test_check_refuses_what_it_cannot_check(here, capsys, words, told):
    assert check.main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"bnbench: {told}")
    assert len(said.splitlines()) == 1
