"""What tests of requests share: composing in process, without a subprocess for each."""

from collections.abc import Callable, Iterator
from pathlib import Path

import hydra
import pytest

from bnbench import cli
from bnbench.sweep import CONFIGS
from bnbench.tracking.run_dir import PENDING, finish, write_summary

SUMMARY = {
    "status": "done",
    "stuck": False,
    "metrics": {"test/accuracy": 0.5, "val/loss": None},
    "steps_to": {"0.95": None, "0.5": 12.5},
    "samples_to": {"0.95": None, "0.5": 800.0},
    "steps": 20,
    "samples": 1280,
    "seconds": 0.1,
    "parameters": 7,
}


@pytest.fixture
def end() -> Callable[..., None]:
    """End a run as training does: with a summary, in which some keys may be others."""

    def write(path: Path, **changes: object) -> None:
        write_summary(path, {**SUMMARY, **changes}, PENDING)
        finish(path)

    return write


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., cli.Request]]:
    """Read a request as the command line does; results would go to a temporary folder."""
    for name in ("WANDB_MODE", "WANDB_PROJECT", "WANDB_ENTITY"):
        monkeypatch.delenv(name, raising=False)
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3", job_name="train"):
        yield lambda *overrides, multirun=False: cli.read(
            [f"results={tmp_path}/results", *overrides], multirun
        )
