"""What meta.json says of a run: code, versions, device, what asks for it. No host, no key."""

import importlib.metadata
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from bnbench import ROOT
from bnbench.config.schema import SCHEMA
from bnbench.tracking.run_dir import RunBusyError, RunFolder
from bnbench.tracking.shapes import META
from bnbench.tracking.stored import DamagedError
from bnbench.tracking.whole_files import as_json, read_object, write_whole

PACKAGES = ("torch", "torchvision", "hydra-core", "wandb", "numpy", "scikit-learn", "pandas")
GIT_SECONDS = 60  # a network disk may be slow


@cache
def circumstances(results: Path) -> dict[str, Any]:
    """Collect the schema version, the git commit of the code, and the versions of packages."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"schema": SCHEMA, **git_facts(ROOT, results), "versions": versions}


def git_facts(root: Path, results: Path) -> dict[str, Any]:
    """Find the git commit of the code in a folder, and whether the code has changed since.

    Args:
        root: the folder of the code.
        results: the results folder, which may lie in it.

    Returns:
        `git_commit` and `git_dirty`: changed or new files, results aside, that git does not ignore.
        Both are null where the folder is not a checkout of its own; `git_note` says why.
    """
    try:
        # a repository around the folder says nothing of the code's own commit
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


def commit_words(info: Mapping[str, Any]) -> str | None:
    """Write the commit that some circumstances name, and whether the code had changed since.

    >>> commit_words({"git_commit": "0123456789abcdef", "git_dirty": True})
    '0123456789ab with uncommitted changes'
    """
    commit = info.get("git_commit")
    return (
        f"{commit[:12]}{' with uncommitted changes' * bool(info.get('git_dirty'))}"
        if commit
        else None
    )


def git(root: Path, *arguments: str) -> str:
    """Call git in a folder, without the repository and options that the environment names.

    git takes no lock, so that it can be used beside a sweep, and starts no file watcher that the
    repository's configuration names. Whoever runs the code of a folder trusts its owner already.

    Returns:
        The output of git.

    Raises:
        OSError: git cannot be started, or does not answer.
        ValueError: git ends with an error; the text is git's own line.
    """
    if shutil.which("git") is None:
        raise FileNotFoundError("git is not installed")
    trusted = ("-c", f"safe.directory={root.resolve()}", "-c", "core.fsmonitor=false")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), "--no-optional-locks", *trusted, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**environment, "LC_ALL": "C"},
            timeout=GIT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"git does not answer in {GIT_SECONDS} s") from error
    if answer.returncode:
        lines = answer.stderr.strip().splitlines() or [f"git ended with {answer.returncode}"]
        fatal = [line for line in lines if line.startswith(("fatal: ", "error: "))]
        raise ValueError((fatal or lines)[0].partition(": ")[2] or lines[0])
    return answer.stdout.removesuffix("\n")


def read_meta(run: RunFolder) -> dict[str, Any]:
    """Read meta.json, the circumstances of a run; {} without one.

    Raises:
        DamagedError: meta.json is not what a run writes.
    """
    try:
        return read_object(run.meta, META)
    except FileNotFoundError:
        return {}


def known_meta(run: RunFolder) -> dict[str, Any]:
    """Read meta.json, the circumstances of a run; {} if it cannot be read."""
    try:
        return read_meta(run)
    except DamagedError:
        return {}


def united(one: Iterable[str], other: Iterable[str]) -> list[str]:
    """Unite two lists of names, each name once."""
    return list(dict.fromkeys([*one, *other]))


def note_experiments(run: RunFolder, names: Sequence[str]) -> None:
    """Add experiments that ask for a run to its meta.json, if it was trained without them.

    `wandb_lacks` lists those that its W&B run is to be tagged with at the next `sync`. A run that
    another process trains or evaluates now is left alone.
    """
    meta = known_meta(run)
    if not meta or {*names} <= {*meta.get("experiments", [])}:
        return
    with suppress(RunBusyError, DamagedError), run.locked():
        meta = read_meta(run)
        known = meta.get("experiments", [])
        lacks = united(meta.get("wandb_lacks", []), [name for name in names if name not in known])
        facts = {**meta, "experiments": united(known, names), "wandb_lacks": lacks}
        write_whole(run.meta, as_json(facts))


def forget_lacking(run: RunFolder, names: Sequence[str]) -> None:
    """Take experiments that a W&B run is tagged with out of what it lacks."""
    with suppress(RunBusyError, DamagedError), run.locked():
        meta = read_meta(run)
        lacks = [name for name in meta.get("wandb_lacks", []) if name not in names]
        write_whole(run.meta, as_json({**meta, "wandb_lacks": lacks}))
