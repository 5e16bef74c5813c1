"""The circumstances of a run: code, versions, device. No host or user name, no key."""

import importlib.metadata
import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from bnbench.schema import SCHEMA

ROOT = Path(__file__).parents[2]
PACKAGES = ("torch", "torchvision", "hydra-core", "wandb", "numpy", "scikit-learn", "pandas")


@cache
def circumstances() -> dict[str, Any]:
    """The schema version, git commit, whether the tree was dirty, and the versions of packages."""
    commit = git("rev-parse", "HEAD")
    return {
        "schema": SCHEMA,
        "git_commit": commit,
        "git_dirty": None if commit is None else bool(git("status", "--porcelain")),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def read_meta(path: Path) -> dict[str, Any]:
    """The circumstances of a run; empty where they cannot be read."""
    try:
        meta = json.loads((path / "meta.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return meta if isinstance(meta, dict) else {}


def git(*arguments: str) -> str | None:
    """What git answers about the repository of this code; None outside a repository."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
