"""The WANDB_ variables of the environment: which are followed, and which W&B is not to see.

What describes a run comes from its configuration alone: WANDB_RUN_ID would give all of them one id.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bnbench.config.checks import RequestError
from bnbench.config.schema import TrackMode

MODES = {  # of WANDB_MODE; wandb keeps the last two for programs from before 2020
    "online": TrackMode.online,
    "offline": TrackMode.offline,
    "disabled": TrackMode.csv,
    "run": TrackMode.online,
    "dryrun": TrackMode.offline,
}
YES, NO = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")
FOLLOWED = (
    *("WANDB_MODE", "WANDB_DISABLED", "WANDB_PROJECT", "WANDB_ENTITY"),
    *("WANDB_TAGS", "WANDB_NOTES"),
)
# whom to talk to and with which key, and where W&B keeps what is of no run
KEPT = {
    "WANDB_API_KEY",
    "WANDB_BASE_URL",
    "WANDB_CACHE_DIR",
    "WANDB_CONFIG_DIR",
    "WANDB_CREDENTIALS_FILE",
    "WANDB_DATA_DIR",
    "WANDB_IDENTITY_TOKEN_FILE",
}
# what they ask for is so already, or W&B has set them for itself
SILENT = {
    "WANDB_CONSOLE",
    "WANDB_DISABLE_CODE",
    "WANDB_DISABLE_GIT",
    "WANDB_ERROR_REPORTING",
    "WANDB_QUIET",
    "WANDB_SERVICE",
    "WANDB_SILENT",
}


def asked_mode() -> TrackMode | None:
    """What the environment says of tracking; None where it is silent.

    Raises:
        RequestError: WANDB_DISABLED or WANDB_MODE has a value that W&B does not know; one line.
    """
    disabled = os.environ.get("WANDB_DISABLED", "")
    if disabled.lower() in YES:
        return TrackMode.csv
    if disabled.lower() not in NO:
        raise RequestError(f"WANDB_DISABLED={disabled}: expected true or false")
    mode = os.environ.get("WANDB_MODE", "")
    if mode and mode not in MODES:
        raise RequestError(f"WANDB_MODE={mode}: expected one of {', '.join(MODES)}")
    return MODES[mode] if mode else None


def asked(name: str) -> str | list[str]:
    """Read what the environment says of `track.<name>`; nothing where it is silent."""
    text = os.environ.get(f"WANDB_{name.upper()}", "")
    if name != "tags":
        return text
    return [tag for piece in text.split(",") if (tag := piece.strip())]


def check_server() -> None:
    """Refuse a WANDB_BASE_URL that is no address (`RequestError`)."""
    url = os.environ.get("WANDB_BASE_URL", "")
    if url and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", url):
        raise RequestError(f"WANDB_BASE_URL={url}: expected http:// or https:// and a host")


def not_followed(environment: Mapping[str, str]) -> list[str]:
    """One line for each variable that asks W&B for something which a run does not do."""
    known = {*FOLLOWED, *KEPT, *SILENT}
    return [
        f"{name}: not followed; what describes a W&B run comes from its configuration alone"
        for name, value in sorted(environment.items())
        if name.startswith("WANDB_") and value and name not in known
    ]


@contextmanager
def own_environment(results: Path | None = None, folder: str | None = None) -> Iterator[None]:
    """Hide from W&B the variables that would describe a run.

    W&B's own error reports are off: they hold a process up for seconds where nobody answers. Where
    its cache cannot be written, it would log to the terminal instead: there is one in the results.

    Args:
        results: the results folder, where a run is logged.
        folder: for the folders that W&B makes of a run that it is asked about.
    """
    hidden = {k: v for k, v in os.environ.items() if k.startswith("WANDB_") and k not in KEPT}
    own = {"WANDB_ERROR_REPORTING": "false", **({"WANDB_DIR": folder} if folder else {})}
    if results and not has_cache():
        own["WANDB_CACHE_DIR"] = str((results / "wandb" / ".cache").absolute())
        hidden |= {k: v for k, v in os.environ.items() if k == "WANDB_CACHE_DIR"}
    for name in hidden:
        del os.environ[name]
    os.environ.update(own)
    try:
        yield
    finally:
        for name in own:
            del os.environ[name]
        os.environ.update(hidden)


def has_cache() -> bool:
    """Whether the folder that W&B would log its own doings to can be written."""
    home = os.environ.get("HOME") or "/dev/null"  # W&B asks nobody else for it
    caches = os.environ.get("XDG_CACHE_HOME") or f"{home}/.cache"
    folder = Path(os.environ.get("WANDB_CACHE_DIR") or caches)
    try:
        (folder / "wandb").mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder / "wandb", os.W_OK)
