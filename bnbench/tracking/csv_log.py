"""metrics.csv and shifts.csv: the record of a run, in long form."""

import csv
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bnbench.config.schema import ShiftName
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.stored import DEPTH, TABLE, DamagedError, content, opened
from bnbench.tracking.whole_files import naming, replacing

METRICS = ("step", "samples", "split", "layer", "metric", "value")
SEVERITY_DIGITS = set("12345")
SHIFTS = ("shift", "severity", "policy", "metric", "value")
TAIL = 16_384  # bytes at the end of a metrics.csv that hold the last evaluation

Point = Mapping[tuple[str, str, str], float]  # (split, layer or "", metric) -> value


class CsvLog:
    """Appends the points of a run to metrics.csv; each point is on disk when `write` returns."""

    def __init__(self, path: Path):
        self.path = path
        with naming(path):
            self.file = path.open("w", newline="", encoding="utf-8")
        self.writer = csv.writer(self.file, lineterminator="\n")
        self.writer.writerow(METRICS)

    def write(self, step: int, samples: int, point: Point) -> None:
        """Append one evaluation point: all its values at one step."""
        with naming(self.path):
            self.writer.writerows(
                (step, samples, *names, repr(float(value))) for names, value in point.items()
            )
            self.file.flush()

    def close(self) -> None:
        """Flush the file to the disk and close it."""
        if not self.file.closed:
            with naming(self.path), self.file:
                os.fsync(self.file)


def read_points(
    run: RunFolder, summary: Mapping[str, Any]
) -> list[tuple[int, int, dict[tuple[str, str, str], float]]]:
    """Read the points (step, samples, values) of the metrics.csv of a trained run.

    Raises:
        DamagedError: the file is not what the run wrote; one line that names the file.
    """
    points: list[tuple[int, int, dict[tuple[str, str, str], float]]] = []
    for line in run.proved(summary, run.metrics).decode().splitlines()[1:]:
        step, samples, split, layer, metric, value = line.split(",")
        if not points or points[-1][0] != int(step):
            points.append((int(step), int(samples), {}))
        points[-1][2][split, layer, metric] = float(value)
    return points


def read_curves(
    run: RunFolder, summary: Mapping[str, Any], keys: Iterable[tuple[str, str]]
) -> list[tuple[list[int], list[float]]]:
    """Read the curves of some (split, metric) of the whole net from a trained run's metrics.csv.

    Returns:
        The steps and the values of each; none of either where the run did not measure it.

    Raises:
        DamagedError: the file is not what the run wrote; one line that names the file.
    """
    lines = run.proved(summary, run.metrics).splitlines()
    curves = []
    for split, metric in keys:
        mark = f",{split},,{metric},".encode()
        rows = [line.split(b",") for line in lines if mark in line]
        curves.append(([int(row[0]) for row in rows], [float(row[-1]) for row in rows]))
    return curves


def latest(path: Path, key: tuple[str, str, str]) -> tuple[int, float] | None:
    """Find the last step at which a metrics.csv has (split, layer, metric), and the value.

    For progress of a run in training: only the end of the file is read, and a line that is half
    written or malformed is skipped. None without such a line.
    """
    try:
        with opened(path, TABLE) as file:
            start = max(0, file.seek(0, os.SEEK_END) - TAIL)
            file.seek(start)
            whole = file.read().split(b"\n")[1 if start else 0 : -1]
    except (OSError, DamagedError):
        return None
    for line in reversed(whole):
        fields = line.decode(errors="replace").split(",")
        if len(fields) == len(METRICS) and tuple(fields[2:5]) == key:
            with suppress(ValueError):
                return int(fields[0]), float(fields[5])
    return None


def write_table(
    path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]], depth: int = DEPTH
) -> None:
    """Write a whole CSV file by rename, so that no reader sees half of it."""
    with replacing(path, depth) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def read_shifts(run: RunFolder, summary: Mapping[str, Any]) -> list[tuple[str, int, str, str, str]]:
    """Read the rows of a run's shifts.csv; [] without one that the run wrote."""
    try:
        text = run.proved(summary, run.shifts).decode()
    except DamagedError:
        return []
    rows = [line.split(",") for line in text.splitlines()[1:]]
    return [(s, int(n), policy, metric, repr(float(v))) for s, n, policy, metric, v in rows]


def named_shifts(run: RunFolder) -> set[tuple[str, int, str]]:
    """List the (name, severity, policy) in a run's shifts.csv, without a check of its numbers."""
    try:
        lines = content(run.shifts, TABLE).decode(errors="replace").splitlines()
    except (FileNotFoundError, DamagedError):
        return set()
    fields = [line.split(",") for line in lines]
    found = [(f[0], int(f[1]), f[2]) for f in fields if len(f) > 2 and f[1] in SEVERITY_DIGITS]
    return {key for key in found if key[0] in set(ShiftName)}
