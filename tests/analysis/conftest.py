"""What tests of the analysis share: a folder for results, and experiments in it."""

from pathlib import Path

import pytest
from fake_results import write_experiment, write_run

from bnbench.analysis import load


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def make(results):
    """An experiment of arms given as (config, number of seeds, number of them that diverge)."""

    def experiment(*arms):
        rows = [
            write_run(results, tree, seed, diverges=seed < lost)
            for tree, num_seeds, lost in arms
            for seed in range(num_seeds)
        ]
        return load(write_experiment(results, "one", rows))

    return experiment
