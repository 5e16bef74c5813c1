"""What tests of requests share: composing in process, without a subprocess for each."""

from collections import Counter
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


@pytest.hookimpl(tryfirst=True)  # before the slow ones are deselected
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`one_in(n)`: of a test's cases the first and every n-th behind it are quick, others slow."""
    seen: Counter[str] = Counter()
    for item in items:
        if marker := item.get_closest_marker("one_in"):
            name = item.nodeid.partition("[")[0]
            if seen[name] % marker.args[0]:
                item.add_marker(pytest.mark.slow)
            seen[name] += 1


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
