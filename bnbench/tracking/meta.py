"""The circumstances of a run: code, versions, device. No host or user name, no key."""

import importlib.metadata
import os
import shutil
import signal
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from bnbench import ROOT
from bnbench.config.schema import SCHEMA
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.shapes import META
from bnbench.tracking.stored import DamagedError
from bnbench.tracking.whole_files import read_object

PACKAGES = ("torch", "torchvision", "hydra-core", "wandb", "numpy", "scikit-learn", "pandas")
GIT_SECONDS = 60  # a network disk may be slow


@cache
def circumstances(results: Path) -> dict[str, Any]:
    """The schema version, what git says of the code, and the versions of packages."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"schema": SCHEMA, **git_facts(ROOT, results), "versions": versions}


def git_facts(root: Path, results: Path) -> dict[str, Any]:
    """Tell which commit the code in a folder is of, and whether it has been changed since.

    Args:
        root: the folder of the code.
        results: the results folder, which may lie in it.

    Returns:
        `git_commit` and `git_dirty`: changed or new files, results aside, that git does not ignore.
        Both are null where the folder is not a checkout of its own; `git_note` says why.
    """
    try:
        # a repository around the folder, for which it is a part or a stranger, is not asked further
        prefix, commit = git(root, "rev-parse", "--show-prefix", "HEAD").split("\n")
        if prefix:
            raise ValueError(f"the repository around it has it in {prefix}")
        git(root, "ls-files", "--error-unmatch", "bnbench/__init__.py")
        shown = ("--porcelain", "--untracked-files=normal", "--ignore-submodules=none")
        aside = [":(exclude)results"]
        if root.resolve() in (place := results.resolve()).parents:
            aside.append(f":(exclude,literal){place.relative_to(root.resolve())}")
        changed = git(root, "status", *shown, "--", ".", *aside)
    except (OSError, ValueError) as error:
        return {"git_commit": None, "git_dirty": None, "git_note": f"no git commit: {error}"}
    return {"git_commit": commit, "git_dirty": bool(changed)}


def git(root: Path, *arguments: str) -> str:
    """What git answers in a folder, whatever repository or options its environment names.

    It takes no lock, so that nobody who uses git beside a sweep finds one, and starts no program
    that the repository's configuration names to watch its files. Who runs the code of a folder
    trusts its owner already.

    Raises:
        OSError: it cannot be started, or does not answer.
        ValueError: it refuses; the text is its own line.
    """
    if shutil.which("git") is None:
        raise FileNotFoundError("git is not installed")
    trusted = ("-c", f"safe.directory={root.resolve()}", "-c", "core.fsmonitor=false")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    with subprocess.Popen(
        ["git", "-C", str(root), "--no-optional-locks", *trusted, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**environment, "LC_ALL": "C"},
        start_new_session=True,
    ) as process:
        try:
            answer, complaint = process.communicate(timeout=GIT_SECONDS)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)  # what it has started too
            if isinstance(error, subprocess.TimeoutExpired):
                raise TimeoutError(f"git does not answer in {GIT_SECONDS} s") from error
            raise
    if process.returncode:
        lines = complaint.strip().splitlines() or [f"git ended with {process.returncode}"]
        fatal = [line for line in lines if line.startswith(("fatal: ", "error: "))]
        raise ValueError((fatal or lines)[0].partition(": ")[2] or lines[0])
    return answer.removesuffix("\n")


def read_meta(run: RunFolder) -> dict[str, Any]:
    """The circumstances of a run; empty where it has none yet.

    Raises:
        DamagedError: they are not what a run writes.
    """
    try:
        return read_object(run.meta, META)
    except FileNotFoundError:
        return {}


def known_meta(run: RunFolder) -> dict[str, Any]:
    """The circumstances of a run; empty where they cannot be read."""
    try:
        return read_meta(run)
    except DamagedError:
        return {}
