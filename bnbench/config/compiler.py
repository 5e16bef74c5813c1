"""The C++ compiler of this machine, and folders that no other user can write to; without torch."""

import os
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

PATIENCE = 60  # seconds that a compiler may take to say its version or to read a header


class CompilerError(Exception):
    """There is no C++ compiler, or it does not work; the message says so in one line."""


def command() -> list[str]:
    """Split `CXX`, by default `c++`, into words, such as those of `ccache g++`.

    Raises:
        CompilerError: it names no program.
    """
    given = os.environ.get("CXX", "c++")
    try:
        words = shlex.split(given)
    except ValueError:  # a quote that is not closed
        words = []
    if not words or shutil.which(words[0]) is None:
        named = words[0] if words else repr(given)
        raise CompilerError(f"there is no C++ compiler {named} here")
    return words


def check() -> None:
    """Refuse a compiler that is not there or cannot read a header (`CompilerError`)."""
    words = command()
    try:
        answer = subprocess.run(
            [*words, "-x", "c++", "-fsyntax-only", "-"],
            input="#include <vector>\n",
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=PATIENCE,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CompilerError(f"the C++ compiler {shlex.join(words)} fails ({error})") from error
    if answer.returncode:
        said = answer.stderr.strip().partition("\n")[0] or f"exit status {answer.returncode}"
        raise CompilerError(f"the C++ compiler {shlex.join(words)} fails ({said})")


def library_folders() -> Iterator[Path]:
    """Yield the folders that may keep compiled libraries, the wanted one first.

    `TORCH_EXTENSIONS_DIR`, or `torch_extensions` in the user's cache, if he has one; one in the
    temporary folder for where that cannot be used.
    """
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.expanduser raises where there is none
    if own := os.environ.get("TORCH_EXTENSIONS_DIR"):
        yield Path(own)
    elif cache := os.environ.get("XDG_CACHE_HOME"):
        yield Path(cache) / "torch_extensions"
    elif home.is_absolute():
        yield home / ".cache" / "torch_extensions"
    yield Path(tempfile.gettempdir()) / f"torch_extensions_{os.geteuid()}"


def opened(folder: Path) -> Path:
    """Make a folder where there is none, and return its real path.

    Raises:
        OSError: it cannot be made, or other users can change what is in it.
    """
    folder = folder.resolve()
    for place in (*reversed(folder.parents), folder):
        if not place.exists():
            place.mkdir(mode=0o755, exist_ok=True)
        if flaw := exposure(place, shared=place != folder):
            raise PermissionError(f"{place} {flaw}")
    return folder


def exposure(path: Path, shared: bool = False) -> str:
    """Say why another user could change a file or the names in a folder; empty if none could.

    Who rules the machine can. With `shared`, a folder may be one like /tmp, in which each user has
    names of his own.
    """
    info = path.lstat()
    rulers = {os.geteuid(), 0}
    if shared:  # in some containers root has another id, and the folders above ours are his
        rulers.add(Path("/").stat().st_uid)
    if info.st_uid not in rulers:
        return "belongs to another user"
    if not (stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode)):
        return "is neither a file nor a folder"
    others = info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if others and not (shared and info.st_mode & stat.S_ISVTX):
        return "can be changed by other users (chmod go-w)"
    return ""
