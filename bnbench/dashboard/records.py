"""What a dashboard is made of: plain panels in sections, and the keys that they show."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

STEP = "Step"  # W&B's own count, which is the training step: not a key of ours


@dataclass(frozen=True)
class Logged:
    """The keys under which W&B runs have something: of the history, summary and configuration."""

    history: set[str]
    summary: set[str]
    config: set[str]


@dataclass(frozen=True)
class Key:
    """Something that W&B has of a run: a curve, a final value or a setting."""

    kind: Literal["history", "summary", "config"]
    name: str


@dataclass(frozen=True)
class Text:
    """Words in Markdown, and the keys whose values it tells."""

    title: str
    markdown: str
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True)
class Curves:
    """A line per group of runs: its mean, and a band of one standard deviation around it."""

    title: str
    x: str
    y: str
    log_y: bool = False

    @property
    def keys(self) -> tuple[Key, ...]:
        """The curve, and its x-axis where that is one of ours."""
        return tuple(Key("history", name) for name in (self.x, self.y) if name != STEP)


@dataclass(frozen=True)
class Points:
    """A point per group of runs."""

    title: str
    x: Key
    y: Key
    log_x: bool = False

    @property
    def keys(self) -> tuple[Key, ...]:
        """Both axes."""
        return self.x, self.y


@dataclass(frozen=True)
class Bars:
    """A bar per group of runs and key: the mean, with one standard deviation."""

    title: str
    keys: tuple[Key, ...]


@dataclass(frozen=True)
class Parallel:
    """An axis per key and a line per group of runs; `log` are the keys of logarithmic axes."""

    title: str
    keys: tuple[Key, ...]
    log: tuple[Key, ...] = ()


Panel = Text | Curves | Points | Bars | Parallel


@dataclass(frozen=True)
class Section:
    """Panels under one heading."""

    name: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Dashboard:
    """The dashboard of an experiment on a data set.

    Attributes:
        arms: what it shows the runs of.
        seeds: and of which seeds.
        groups: settings that tell the arms apart, so that a group of runs is an arm's seeds.
        columns: of the table of runs.
        order: what the table is sorted by, largest first.
    """

    experiment: str
    data: str
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    groups: tuple[Key, ...]
    columns: tuple[Key, ...]
    order: Key
    sections: tuple[Section, ...]

    @property
    def name(self) -> str:
        """What people find it by."""
        return f"{self.experiment} on {self.data}"

    def shown(self) -> Iterator[tuple[str, Key]]:
        """Every key that is referred to, with where."""
        for section in self.sections:
            for panel in section.panels:
                yield from ((f"panel {panel.title!r}", key) for key in panel.keys)
        table = (*self.groups, *self.columns, self.order)
        yield from (("the table of runs", key) for key in table)
        yield from (("the filter", Key("config", name)) for name in ("arm", "seed"))


def check(dashboard: Dashboard, logged: Logged) -> None:
    """See to it that no panel is empty for a key that no run has.

    Raises:
        ValueError: one line that names the panel and the key.
    """
    for where, key in dashboard.shown():
        if key.name not in getattr(logged, key.kind):
            raise ValueError(
                f"{dashboard.name}: {where} shows the {key.kind} key {key.name}, "
                "which no run of it has"
            )
