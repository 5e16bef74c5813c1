"""metrics.csv and shifts.csv: the record of a run, in long form."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bnbench.tracking.run_dir import replacing

METRICS = ("step", "samples", "split", "layer", "metric", "value")
SHIFTS = ("shift", "severity", "policy", "metric", "value")

Point = Mapping[tuple[str, str, str], float]  # (split, layer or "", metric) -> value


class CsvLog:
    """Appends the points of a run to metrics.csv; each point is on disk when `write` returns."""

    def __init__(self, path: Path):
        self.file = path.open("w", newline="", encoding="utf-8")
        self.writer = csv.writer(self.file, lineterminator="\n")
        self.writer.writerow(METRICS)

    def write(self, step: int, samples: int, point: Point) -> None:
        """Append one evaluation point: all its values at one step."""
        self.writer.writerows(
            (step, samples, *names, repr(float(value))) for names, value in point.items()
        )
        self.file.flush()

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def write_table(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a whole CSV file by rename, so that no reader sees half of it."""
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def read_shifts(path: Path) -> list[dict[str, str]]:
    """The rows of a run's shifts.csv; none where there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
