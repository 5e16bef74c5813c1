"""The report, written where anything that it shows has changed, and otherwise left as it is.

What was written is remembered in the user's own cache, never in the results: a page that came with
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
from typing import NamedTuple

from bnbench import CONFIGS
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.stored import DamagedError, content, file_digest
from bnbench.tracking.whole_files import write_whole

PAGE = "report.html"
READ = ("experiments", "claims", "runs")  # folders of the results that the report reads
LARGEST = 2**30  # bytes of a file; whether a report on more is up to date is not asked
DEEPEST = 4  # folders between the results folder and a file that the report reads
WRITTEN = re.compile(
    r"report\.html|(experiments/[^/]+/[^/]+|claims/[^/]+)"
    r"/(report\.html|runs\.csv|claims\.json|figures(/[^/]+)?)"
)
PACKAGES = ("jinja2", "matplotlib", "numpy", "omegaconf", "pandas", "pillow", "scipy", "seaborn")


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
    before = _files(results)
    if before and _remembered().get(_key(results)) == _digest(before):
        return Report(results / PAGE, [])
    made = write(results)
    after = _files(results)
    if before is not None and after is not None and not made.problems:
        changed = {name for name, _ in before.items() ^ after.items()}
        if all(map(WRITTEN.fullmatch, changed)):  # nothing was trained meanwhile
            _remember(results, _digest(after))
    return made


def _files(results: Path) -> dict[str, str] | None:
    """Digests of what the report reads and writes; None where that holds anything odd."""
    files: dict[str, str] = {}
    try:
        for name in (*READ, PAGE):
            if os.path.lexists(results / name):
                files |= _entries(results / name, 0, name)
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
    package = Path(__file__).parents[1]
    sources = [
        path
        for folder in (package, CONFIGS)
        for path in sorted(folder.rglob("*"))
        if "__pycache__" not in path.parts and path.is_file()
    ]
    made_by = [
        sys.version,
        *(f"{name} {version(name)}" for name in PACKAGES),
        *(f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in sources),
    ]
    text = json.dumps([sorted(files.items()), made_by])
    return hashlib.sha256(text.encode()).hexdigest()


def _memory() -> Path:
    """The file that remembers reports; nothing else of the user's reads it."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    cache = given if given.is_absolute() else Path.home() / ".cache"
    return cache / "bnbench" / "reports.json"


def _key(results: Path) -> str:
    return os.path.realpath(results)


def _remembered() -> dict[str, str]:
    """The digest by results folder; {} where nothing is remembered."""
    try:
        found = json.loads(content(_memory(), depth=0))
    except (OSError, RuntimeError, ValueError, RecursionError):  # no home, or no such file
        return {}
    return found if isinstance(found, dict) else {}


def _remember(results: Path, digest: str) -> None:
    """Keep the digest of a report that is whole; results that are gone are forgotten."""
    kept = {folder: value for folder, value in _remembered().items() if Path(folder).is_dir()}
    with suppress(OSError, RuntimeError, ValueError):
        file = _memory()
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(kept | {_key(results): digest}, indent=2) + "\n", depth=0)
