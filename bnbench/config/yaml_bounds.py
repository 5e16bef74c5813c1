"""Bounds on the YAML files that are composed, counted before they are: a small one can be endless.

Nine levels of nine aliases stand for 10^9 values in 300 bytes, and thirty interpolations that name
each other twice for 10^9 letters. PyYAML and OmegaConf would write all of them out.
"""

import codecs
from collections.abc import Sequence
from pathlib import Path

import yaml
from yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent

from bnbench.config.checks import RequestError

MAX_BYTES = 100_000  # 35 times the longest that ships
MAX_VALUES = 10_000  # with what aliases stand for
MAX_INTERPOLATIONS = 20  # of a file; chained they stand for 1,500 times what they name
MAX_LEVELS = 16  # of nesting in a run's config.yaml; what training writes has 4
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is there


def check_folders(folders: Sequence[Path]) -> None:
    """Refuse folders of YAML files that cannot be composed, or would take forever to.

    Args:
        folders: bnbench's own, and one of the user's if any.

    Raises:
        RequestError: a folder is none, a file is beyond the bounds, or is in two folders.
    """
    found: set[Path] = set()
    for folder in folders:
        if not folder.is_dir():
            raise RequestError(f"--config-dir {folder}: expected a folder of YAML files")
        for path in sorted(folder.rglob("*.yaml")):
            shown, name = path.relative_to(folder.parent), path.relative_to(folder)
            if path.is_file() and (problem := unbounded(path)):  # Hydra offers no pipes either
                raise RequestError(f"{shown}: {problem}")
            if name in found:
                raise RequestError(f"{shown}: bnbench has a file of that name, expected another")
            found.add(name)


def unbounded(path: Path) -> str | None:
    """What of a YAML file goes beyond the bounds, and by how much it may; None where nothing does.

    A file that cannot be read, or is no YAML, is left to whoever composes it.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            return f"expected at most {MAX_BYTES:,} bytes"
        content = path.read_bytes()
        if content.startswith(codecs.BOM_UTF8):  # Hydra would miss a @package on the first line
            return "begins with a byte order mark, expected UTF-8 without one"
        if content.count(b"${") > MAX_INTERPOLATIONS:
            return f"expected at most {MAX_INTERPOLATIONS} interpolations ${{…}}"
        if b"*" in content and b"&" in content and num_values(content) > MAX_VALUES:
            return f"its aliases stand for too much, expected at most {MAX_VALUES:,} values in all"
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        pass
    return None


def num_values(content: bytes) -> float:
    """How many values a YAML file has once every alias is what it stands for.

    An alias within what it stands for has no end.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    sizes: dict[str | None, float] = {}  # by anchor
    open_ones: list[tuple[str | None, float]] = [(None, 0)]  # what is being read, and its size yet
    for event in yaml.parse(content, LOADER):
        if isinstance(event, CollectionStartEvent):
            sizes[event.anchor] = float("inf")  # until it ends
            open_ones.append((event.anchor, 1))
            continue
        if isinstance(event, AliasEvent):
            size = sizes.get(event.anchor, 1)
        elif isinstance(event, ScalarEvent):
            size = sizes[event.anchor] = 1
        elif isinstance(event, CollectionEndEvent):
            anchor, size = open_ones.pop()
            sizes[anchor] = size
        else:  # where a document begins or ends
            continue
        above, before = open_ones[-1]
        open_ones[-1] = (above, before + size)
    return open_ones[0][1]


def check_flat(text: str) -> None:
    """Refuse YAML that the config.yaml of no run is: with aliases, or nested too deep.

    Raises:
        ValueError: it has them, or is.
        YAMLError: it is no YAML.
    """
    level = 0
    for event in yaml.parse(text, LOADER):
        if isinstance(event, AliasEvent):
            raise ValueError("expected no aliases")
        level += isinstance(event, CollectionStartEvent)
        level -= isinstance(event, CollectionEndEvent)
        if level > MAX_LEVELS:
            raise ValueError("nested too deep")
