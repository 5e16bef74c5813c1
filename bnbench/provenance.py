"""Where a value of a request comes from: the command line, the environment or a YAML file."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import DictConfig, OmegaConf

from bnbench.schema import Config

KNOWN = {"hydra", *(f.name for f in fields(Config))}
VARIABLES = {f"track.{name}": f"WANDB_{name.upper()}" for name in ("mode", "project", "entity")}


@dataclass
class Asked:
    """How far a request has been read: what is wrong with it is explained from here.

    Attributes:
        loader: Hydra's, to ask which groups and keys there are.
        overrides: the request as it was typed.
        bases: what has been composed of it, one for each experiment.
        job: the overrides of the job that is being read, those of sub-grids among them.
    """

    loader: ConfigLoaderImpl
    overrides: Sequence[str]
    bases: list[DictConfig] = field(default_factory=list)
    job: Sequence[str] = ()

    @property
    def folder(self) -> Path:
        """The folder of the YAML files."""
        sources = self.loader.get_search_path().get_path()
        return Path(next(s.path for s in sources if s.provider == "main").removeprefix("file://"))

    def is_typed(self, key: str) -> bool:
        """Whether the command line sets a key, what the key stands in, or a part of it."""
        return self._is_set(key, self.overrides)

    def origin(self, line: str) -> str:
        """Where the value that a line complains of comes from, unless it has just been typed.

        Args:
            line: `key=value: …` where the choice of a value is bad, `key: …` where its content is.
        """
        match = re.match(r"([^\s=:]+)([=:])", line)
        if match is None:
            return ""
        key, is_choice = match[1], match[2] == "="
        # the scale is composed behind the groups that are chosen, and may spoil their content
        is_spoilt = (self.folder / key).is_dir() and ": expected one of" not in line
        if is_spoilt and sets(self.scale_file, key):
            return f" ({self.named(self.scale_file)})"
        is_chosen = is_choice and key in map(key_of, self.overrides)
        if is_chosen or self.is_typed(key) or self.is_typed("arms"):  # arms set any key
            return ""
        if os.environ.get(VARIABLES.get(key, "")):
            return f" (from {VARIABLES[key]})"
        names = {*KNOWN, *map(str, self.bases[-1] if self.bases else ())}
        if not any(name.startswith(root_of(key)) for name in names):
            return ""
        return f" ({self.named(self.file_of(key, is_choice))})"

    def file_of(self, key: str, is_choice: bool) -> Path:
        """The YAML file that a key has its value from.

        Args:
            key: with dots; of a group, such as `norm`, too.
            is_choice: of a group: the file that chooses it is meant, not the one that is chosen.
        """
        if root_of(key) == "scale":  # where its values land when the file has lost its first line
            return self.scale_file
        if (
            self._is_set(key, self.job)
            or (is_choice and key in map(key_of, self.job))
            or sets(self.grid_file, key.partition("[")[0])
            or root_of(key) not in KNOWN
        ):
            return self.grid_file
        if sets(self.scale_file, key.partition("[")[0]):
            return self.scale_file
        group = "hydra/launcher" if key.startswith("hydra.launcher.") else root_of(key)
        chosen = self.folder / group / f"{self._choices().get(group)}.yaml"
        looked_up = key == "optim.base_lr" and sets(chosen, "base_lr")
        if looked_up or root_of(key) == "tuned_lr":
            return self.folder / "base_lr.yaml"
        if chosen.exists() and not (is_choice and key == group):
            return chosen
        return self.folder / "config.yaml"

    @property
    def grid_file(self) -> Path:
        """The YAML file of the experiment that is being read, with its sub-grids."""
        if sets(self.scale_file, "arms"):
            return self.scale_file
        path = self.folder / "experiment" / f"{self._choices().get('experiment')}.yaml"
        return path if path.exists() else self.folder / "config.yaml"

    @property
    def scale_file(self) -> Path:
        """The YAML file of the experiment's scale on the data set; it need not be there."""
        choices = self._choices()
        return self.folder / "scale" / f"{choices.get('data')}/{choices.get('experiment')}.yaml"

    def named(self, path: Path) -> str:
        """A YAML file as the user knows it."""
        return str(path.relative_to(self.folder.parent))

    def _choices(self) -> dict[str, str]:
        choices = dict(self.bases[-1].hydra.runtime.choices) if self.bases else {}
        lines = self.job or self.overrides
        return choices | {key_of(line): line.partition("=")[2] for line in lines}

    def _is_set(self, key: str, overrides: Iterable[str]) -> bool:
        # what stands in a group is set by the file that an override chooses
        given = {key_of(line) for line in overrides}
        parts = [split(g) for g in given if not (self.folder / g).is_dir()]
        return any(all(a == b for a, b in zip(split(key), part, strict=False)) for part in parts)


def split(key: str) -> list[str]:
    """The parts of a key: `shift.names[0]` is `shift`, `names` and `0]`."""
    return re.split(r"[.[/]", key)


def root_of(key: str) -> str:
    """The part of the configuration that a key stands in."""
    return split(key)[0]


def key_of(override: str) -> str:
    """The key or group of an override."""
    return override.partition("=")[0].lstrip("+~")


def sets(path: Path, key: str) -> bool:
    """Whether a file gives a key a value of its own, or chooses it among its defaults."""
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(path))
        if f"/{key}" in re.findall(r"[\w/]+", str(content.get("defaults"))):
            return True
        for part in key.split("."):
            content = content[part]
    except Exception:  # the key is not there, or the file is damaged
        return False
    return True
