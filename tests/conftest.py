"""What tests of requests share: composing in process, without a subprocess for each."""

from collections.abc import Callable, Iterator
from pathlib import Path

import hydra
import pytest

from bnbench import cli
from bnbench.sweep import CONFIGS


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., cli.Request]]:
    """Read a request as the command line does; results would go to a temporary folder."""
    for name in ("WANDB_MODE", "WANDB_PROJECT", "WANDB_ENTITY"):
        monkeypatch.delenv(name, raising=False)
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3", job_name="train"):
        yield lambda *overrides, multirun=False: cli.read(
            [f"results={tmp_path}/results", *overrides], multirun
        )
