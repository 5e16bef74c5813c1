"""Programs whose output is closed, full or left by its reader."""

import subprocess
import sys

import pytest

from bnbench import ROOT

TRAIN = ROOT / "scripts" / "train.py"

PROGRAM = """
import sys
from bnbench import ROOT
from bnbench.running.streams import enter

def main():
    for number in range(20_000):
        print("line", number)
        print("told", number, file=sys.stderr)
    with open("done", "w") as file:
        file.write("all of it")
    {ending}
    return 3

sys.exit(enter(main))
"""


@pytest.fixture
def shell(tmp_path):
    """Run the program as bash would with some redirections; its exit code, stdout and stderr."""

    def run(redirected, ending="pass"):
        (tmp_path / "program.py").write_text(PROGRAM.format(ending=ending))
        line = f"set -o pipefail; {sys.executable} program.py {redirected}"
        return subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)

    return run


@pytest.mark.parametrize(
    "redirected",
    [
        *(">&- 2>/dev/null", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/null | head -1"),
        *("2>&1 | head -1", "2>&1 >/dev/null | head -1", ">/dev/full 2>&-", "2>/dev/full >&-"),
    ],
)
def test_the_work_is_done_whoever_reads(shell, tmp_path, redirected):
    answer = shell(redirected)
    assert answer.returncode == 3
    assert "Traceback" not in answer.stdout + answer.stderr
    assert (tmp_path / "done").read_text() == "all of it"


def test_output_that_a_full_disk_loses_is_told_once(shell):
    answer = shell(">/dev/full")
    told = [line for line in answer.stderr.splitlines() if not line.startswith("told")]
    assert told == ["bnbench: the output is lost from here on: No space left on device"]


def test_what_the_machine_refuses_is_one_line(shell):
    answer = shell(">/dev/null", "raise OSError(28, 'No space left', 'x')")
    assert answer.returncode == 1
    assert answer.stderr.splitlines()[-1] == "bnbench: [Errno 28] No space left: 'x'"
    assert "Traceback" not in answer.stderr
    answer = shell(">/dev/null", "raise KeyboardInterrupt")
    assert answer.returncode == 130
    assert answer.stderr.splitlines()[-1].startswith("interrupted; the same command")


@pytest.mark.slow
def test_workers_and_wandb_start_with_what_was_closed(tmp_path):
    arm = "data=synthetic train=smoke seeds=[0] device=cpu track=default results=results"
    line = f"{sys.executable} {TRAIN} -m norm=none,batchnorm {arm} <&- >&- 2>&-"
    answer = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout
    assert len(list(tmp_path.glob("results/runs/*/seed-*/summary.json"))) == 2
    assert len(list(tmp_path.glob("results/wandb/offline-run-*"))) == 2
