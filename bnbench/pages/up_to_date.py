"""The report and its figures, made where anything that they show has changed, and otherwise kept.

What was made is remembered in the user's own cache, never in the results: a page that came with
somebody's results is not known there, and is written anew. Nothing slow is imported to find out.
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from bnbench import CONFIGS
from bnbench.tracking.experiment_dir import read_arms
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.stored import DamagedError, content, file_digest
from bnbench.tracking.whole_files import write_whole

PAGE = "report.html"
READ = ("experiments", "claims", "runs")  # folders of the results that the report reads
LARGEST = 2**30  # bytes of a file; whether a report on more is up to date is not asked
DEEPEST = 4  # folders between the results folder and a file that the report reads
WRITTEN = re.compile(
    r"report\.html|claims/README\.md|(experiments/[^/]+/[^/]+|claims/[^/]+)"
    r"/(report\.html|runs\.csv|claims\.json|figures(/[^/]+)?)"
)
PACKAGES = ("jinja2", "matplotlib", "numpy", "omegaconf", "pandas", "pillow", "scipy", "seaborn")
KEPT = 200  # files of the cache, the last ones to be written


class Report(NamedTuple):
    """The page over all experiments, and a line for each experiment that could not be read."""

    page: Path
    problems: list[str]


def report(results: Path, write: Callable[[Path], Report]) -> Report:
    """Write the report unless it is the one that would be written.

    Args:
        results: the results folder.
        write: `report.write_report`, or what imports it late.

    Raises:
        ValueError: there is no experiment.
    """
    before = _files(results, (*READ, PAGE))
    if before and _remembered(results).get("digest") == _digest(before):
        return Report(results / PAGE, [])
    made = write(results)
    after = _files(results, (*READ, PAGE))
    if before is not None and after is not None and not made.problems:
        changed = {name for name, _ in before.items() ^ after.items()}
        if all(map(WRITTEN.fullmatch, changed)):  # nothing was trained meanwhile
            _remember(results, {"digest": _digest(after)})
    return made


def unless_known(folder: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Draw the figures of an experiment unless they are those that would be drawn.

    Args:
        folder: of the experiment.
        make: draws and saves the figures; gives what the templates say of them, as JSON can hold.
    """
    before = _of_experiment(folder)
    known = _remembered(folder)
    if before and known.get("digest") == _digest(before):
        return known["made"]
    made = make()
    after = _of_experiment(folder)
    if before is not None and after is not None:
        changed = {name for name, _ in before.items() ^ after.items()}
        if all(name.startswith("figures") for name in changed):
            _remember(folder, {"digest": _digest(after), "made": made})
    return made


def _of_experiment(folder: Path) -> dict[str, str] | None:
    """Digests of the files and the runs of an experiment; None where they hold anything odd."""
    own = _files(folder, ("arms.csv", "runs.csv", "experiment.json", "figures"))
    if own is None:
        return None
    results = folder.parents[2]
    try:
        asked = read_arms(folder) if os.path.lexists(folder / "arms.csv") else []
    except DamagedError:
        return None
    for run in asked:
        name = RunFolder.of(results, run["arm"], int(run["seed"])).path.relative_to(results)
        files = _files(results, (str(name),))
        if files is None:
            return None
        own |= files
    return own


def _files(root: Path, names: tuple[str, ...]) -> dict[str, str] | None:
    """Digests of some files and folders; None where they hold anything odd."""
    files: dict[str, str] = {}
    try:
        for name in names:
            if os.path.lexists(root / name):
                files |= _entries(root / name, len(Path(name).parts) - 1, name)
    except (OSError, DamagedError, RecursionError):
        return None
    return files


def _entries(path: Path, depth: int, name: str) -> Iterator[tuple[str, str]]:
    """The names below the results folder and the digests of a file, or of all in a folder."""
    if not path.is_dir() or path.is_symlink():  # what is no file raises
        yield name, file_digest(path, LARGEST, depth)
        return
    if depth > DEEPEST:
        raise DamagedError(f"{path}: deeper than any folder that the report reads")
    inside = {entry.name for entry in os.scandir(path)} - {"weights.pt"}
    is_held = {".lock"} == inside & {".lock", "summary.json"} and RunFolder(path).is_held()
    yield name, "a folder of a run in training" if is_held else "a folder"
    for one in inside:
        yield from _entries(path / one, depth + 1, f"{name}/{one}")


def _digest(files: dict[str, str]) -> str:
    """The digest of results and of all that makes a report of them."""
    text = json.dumps([sorted(files.items()), _made_by()])
    return hashlib.sha256(text.encode()).hexdigest()


def _made_by() -> list[str]:
    """Versions and sources of all that makes a report."""
    package = Path(__file__).parents[1]
    sources = [
        path
        for folder in (package, CONFIGS)
        for path in sorted(folder.rglob("*"))
        if "__pycache__" not in path.parts and path.is_file()
    ]
    return [
        sys.version,
        *(f"{name} {version(name)}" for name in PACKAGES),
        *(f"{path} {_source_digest(path)}" for path in sources),
    ]


def _source_digest(path: Path) -> str:
    """The digest of a source; empty for one that an editor took away meanwhile."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""


def _memory(folder: Path) -> Path:
    """The file that remembers what was made of a folder; nothing else of the user's reads it."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    place = given if given.is_absolute() else Path.home() / ".cache"
    name = hashlib.sha256(os.path.realpath(folder).encode(errors="surrogateescape")).hexdigest()
    return place / "bnbench" / "reports" / f"{name[:32]}.json"


def _remembered(folder: Path) -> dict[str, Any]:
    """What is remembered of a folder; {} where nothing is."""
    try:
        found = json.loads(content(_memory(folder), LARGEST, depth=0))
    except (OSError, RuntimeError, ValueError, RecursionError):  # no home, or no such file
        return {}
    return found if isinstance(found, dict) else {}


def _remember(folder: Path, facts: dict[str, Any]) -> None:
    """Keep what was made of a folder, and forget the oldest of many."""
    with suppress(OSError, RuntimeError, ValueError):
        file = _memory(folder)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(facts) + "\n", depth=0)
        files = sorted(file.parent.glob("*.json"), key=lambda one: one.stat().st_mtime_ns)
        for old in files[:-KEPT]:
            old.unlink()
