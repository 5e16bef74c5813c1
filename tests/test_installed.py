"""The built wheel: what is in it, and that it works where no checkout is in sight."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bnbench import ROOT, __version__

# what pip writes to bin/bnbench
SCRIPT = "from bnbench.commands.dispatch import command; raise SystemExit(command())"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (file,) = folder.iterdir()
    return file


@pytest.fixture(scope="module")
def run(wheel, tmp_path_factory):
    """Run `bnbench` as it was installed, in an empty folder."""
    site, home = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("home")
    zipfile.ZipFile(wheel).extractall(site)

    def run(*words):
        command = [sys.executable, "-c", SCRIPT, *words]
        env = {**os.environ, "PYTHONPATH": str(site)}
        return subprocess.run(command, cwd=home, env=env, capture_output=True, text=True)

    run.home, run.site = home, site
    return run


def tracked(*folders):
    listed = subprocess.run(
        ["git", "ls-files", "-z", *folders], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return {name for name in listed.stdout.split("\0") if name}


def test_it_holds_the_package_its_configs_and_the_reference_boards(wheel):
    beside = ("configs/", "results/reference/claims/")
    expected = {
        f"bnbench/{name}" if name.startswith(beside) else name
        for name in tracked("bnbench", *beside)
    }
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert found == expected
    assert wheel.name == f"bnbench-{__version__}-py3-none-any.whl"


def test_a_sweep_ends_with_commands_that_work_there(run):
    words = ["norm=none,batchnorm", "train=smoke", "seeds=[0]", "track=csv"]
    done = run("sweep", "-m", *words, "hydra.launcher.n_jobs=1")
    assert done.returncode == 0, done.stderr
    told = dict(line.split(":", 1) for line in done.stdout.splitlines()[-4:])
    assert [*told] == ["status", "report", "try next", "compare"]
    assert {told[word].split()[0] for word in ("status", "try next", "compare")} == {"bnbench"}
    assert "make " not in done.stdout
    assert ".venv" not in done.stdout
    assert (run.home / told["report"].strip()).exists()
    assert {path.name for path in run.home.iterdir()} == {"results"}
    (facts,) = run.home.glob("results/experiments/adhoc/digits/experiment.json")
    known = json.loads(facts.read_text())
    assert known["command"].startswith("bnbench -m norm=none,batchnorm")
    assert known["git_commit"] is None  # the code is no checkout's
    assert str(ROOT) not in done.stdout + facts.read_text()


def test_a_refusal_names_commands_that_work_there(run):
    done = run("sweep", "experiment=placement", "data=mnist")
    assert done.returncode == 2
    assert done.stderr.endswith("get it with: bnbench data mnist\n")
    assert not Path(run.home / "results" / "experiments" / "placement").exists()


def test_the_published_boards_are_known_there(run):
    code = "from bnbench import REFERENCE; print(*REFERENCE.glob('claims/*/scoreboard.csv'))"
    env = {**os.environ, "PYTHONPATH": str(run.site)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=run.home, env=env, capture_output=True, text=True
    )
    boards = {Path(path).parent.name for path in done.stdout.split()}
    assert boards == {
        path.parent.name for path in (ROOT / "results/reference/claims").glob("*/scoreboard.csv")
    }
    assert done.stdout.startswith(str(run.site))
