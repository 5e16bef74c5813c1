"""What all tests share: an environment that is nobody's, an order, and composing in process."""

import gc
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra
import pytest
from fake_results import write_experiment, write_run
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from remembering import remembering, remembering_files
from warm import Warm

from bnbench import CONFIGS, cli
from bnbench.analysis.load import ExperimentData, load
from bnbench.tracking.run_dir import RunFolder

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


# Whoever runs the tests has an environment of their own, and no test is to see it.
OWN = (
    *("FORCE_COLOR", "NO_COLOR", "COLUMNS", "LINES", "TERM", "TZ", "DO_NOT_TRACK", "MFLAGS"),
    "PYTHONDONTWRITEBYTECODE",  # else each of hundreds of processes compiles the package anew
)
FAMILIES = ("WANDB_", "HYDRA_", "GIT_", "MPL", "MATPLOTLIB", "RAY_", "SLURM_", "TTY_", "MAKE")

# The same examples everywhere, and none is timed. `--hypothesis-profile=explore` draws new ones.
settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")
# It mixes in constants of the modules that happen to be imported: others where a file runs alone.
providers._get_local_constants = lambda: providers._local_constants


def pytest_configure() -> None:
    """Take out of the environment what tests would see, before anything reads it."""
    for name in list(os.environ):
        if name in OWN or name.startswith(FAMILIES):
            del os.environ[name]
    sys.dont_write_bytecode = False
    # a configuration is thousands of objects, and to look for reference cycles at every 700th takes
    # a sixth of the time of tests that compose
    gc.set_threshold(100_000, 50, 100)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--shuffle SEED` runs the tests in another order, the same for the same seed."""
    parser.addoption("--shuffle", type=int, metavar="SEED", help="run the tests in another order")


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before and after the slow ones are deselected
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Iterator[None]:
    """`one_in(n)`: of a test's cases the first and every n-th behind it are quick, others slow."""
    seen: Counter[str] = Counter()
    for item in items:
        if marker := item.get_closest_marker("one_in"):
            name = item.nodeid.partition("[")[0]
            if seen[name] % marker.args[0]:
                item.add_marker(pytest.mark.slow)
            seen[name] += 1
    yield
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    if (seed := config.getoption("--shuffle")) is not None:
        draw = random.Random(seed).random
        of_file = {path: draw() for path in sorted({item.path for item in items})}
        # file by file, so that what a file's tests share is made once
        items.sort(key=lambda item: (of_file[item.path], draw()))
    elif workers > 1:
        items[:] = dealt(items, workers)


# half of the time of all tests: these files, and in them first what takes a minute
LONG = (
    *("test_extend", "test_crashes", "test_fuzz", "test_norms_triton", "test_sweep"),
    *("test_mutate", "test_running_clusters", "test_gallery_make", "test_claims_cifar"),
    *("test_claims_registry", "test_norms_kernels", "test_drawing_matplotlib_import"),
    *("test_pages_in_browser", "test_training_no_waits"),
)
MINUTES = (
    *("tormented_sweep", "interpreter_at_length", "damaged_yaml", "mutated_results"),
    *("gallery_from_nothing", "two_sweeps", "random_command_lines", "every_part_of_every_claim"),
)


def dealt(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Deal the slow tests of long files to the workers of xdist, so that none is last with them.

    Each worker begins with an equal part of the list, and takes of another's when it has done its
    own.
    """
    parts: list[list[pytest.Item]] = [[] for _ in range(workers)]
    others = []
    for item in items:
        if item.path.stem in LONG and item.get_closest_marker("slow"):
            parts[LONG.index(item.path.stem) % workers].append(item)
        else:
            others.append(item)
    order: list[pytest.Item] = []
    for number, part in enumerate(parts):
        part.sort(key=lambda item: not any(words in item.name for words in MINUTES))
        room = (len(items) - len(order)) // (workers - number) - len(part)
        order += part + others[: max(0, room)]
        others = others[max(0, room) :]
    return order + others


@pytest.fixture
def end() -> Callable[..., None]:
    """End a run as training does: with a summary, in which some keys may be others."""

    def write(path: Path, **changes: object) -> None:
        RunFolder(path).write_summary({**SUMMARY, **changes}, pending=True)
        RunFolder(path).finish()

    return write


@pytest.fixture
def read_afresh(tmp_path: Path) -> Iterator[Callable[..., cli.Request]]:
    """Read a request as the command line does; results would go to a temporary folder."""
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3", job_name="train"):
        yield lambda *overrides, multirun=False: cli.read(
            [f"results={tmp_path}/results", *overrides], multirun
        )


@pytest.fixture
def read(read_afresh: Callable[..., cli.Request]) -> Iterator[Callable[..., cli.Request]]:
    """Read a request alike, of shipped files that were composed for a test before this one."""
    with remembering_files(), remembering():
        yield read_afresh


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """A process that runs Python commands without their cold start."""
    with Warm() as process:
        yield process


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder for results, not there yet."""
    return tmp_path / "results"


@pytest.fixture
def make(results: Path) -> Callable[..., ExperimentData]:
    """Make an experiment of arms given as (config, number of seeds, of them that diverge)."""

    def experiment(*arms: tuple[dict[str, Any], int, int]) -> ExperimentData:
        rows = [
            write_run(results, tree, seed, diverges=seed < lost)
            for tree, num_seeds, lost in arms
            for seed in range(num_seeds)
        ]
        return load(write_experiment(results, "one", rows))

    return experiment
