"""The measurements that claims need and that are no runs: exact claims and small problems, as CSV.

`results/claims/<data>/measured/` gets `exact.csv`, one row for each part of an exact claim, and for
each problem `<problem>.csv` in long form, `<problem>_<table>.csv` for its tables, and
`<problem>.json`: the version that made them and their hashes, written last. A problem is kept where
these agree with what is there, and measured anew where they do not.
"""

from collections.abc import Callable
from pathlib import Path

import joblib
import torch

from bnbench.measured import exact
from bnbench.measured.problems import PROBLEMS, Problem
from bnbench.tracking.csv_log import write_table
from bnbench.tracking.shapes import PROBLEM
from bnbench.tracking.stored import DamagedError, file_digest, make_folder
from bnbench.tracking.whole_files import as_json, checksum, matches, read_object, write_whole

EXACT = ("claim", "part", "statistic", "estimate", "direction", "bound", "holds")
LONG = ("seed", "quantity", "value")


def measure(results: Path, data: str, jobs: int, say: Callable[[str], None] = print) -> Path:
    """Measure what is missing, in `jobs` processes of one thread, and all exact claims.

    Args:
        results: the results folder.
        data: the data set whose claims get the files; the numbers do not depend on it.
        jobs: how many processes; 1 is this one.
        say: is told a line for each measurement, as it ends.

    Returns:
        The folder of the files.
    """
    folder = results / "claims" / data / "measured"
    make_folder(folder)
    wanted = {name: p for name, p in PROBLEMS.items() if not is_current(folder, name, p)}
    total = len(PROBLEMS) + 1
    lines = [f"{name}  kept" for name in PROBLEMS if name not in wanted]
    for number, line in enumerate(lines, 1):
        say(f"[{number}/{total}] {line}")
    work = [
        *(joblib.delayed(measure_problem)(folder, name, p) for name, p in wanted.items()),
        joblib.delayed(measure_exact)(folder),
    ]
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        parallel = joblib.Parallel(min(jobs, len(work)), return_as="generator_unordered")
        for number, line in enumerate(parallel(work), len(lines) + 1):
            say(f"[{number}/{total}] {line}")
    return folder


def is_current(folder: Path, name: str, problem: Problem) -> bool:
    """Whether the files of a problem are whole, and of this version and these seeds."""
    try:
        facts = read_object(folder / f"{name}.json", PROBLEM)
    except (FileNotFoundError, DamagedError):
        return False
    want = {"version": problem.version, "seeds": list(problem.seeds)}
    hashes = facts.pop("sha256")
    return (
        facts == want
        and hashes.keys() == {f"{name}.csv", *table_files(name, problem)}
        and all(matches(folder / file, sha256) for file, sha256 in hashes.items())
    )


def table_files(name: str, problem: Problem) -> dict[str, str]:
    """The file of each of a problem's tables -> the name of the table."""
    return {f"{name}_{table}.csv": table for table in problem.tables}


def measure_problem(folder: Path, name: str, problem: Problem) -> str:
    """Measure all seeds of a problem and write its files; what was done, in a few words."""
    torch.set_num_threads(1)
    numbers = problem.measure(problem.seeds)
    rows = [
        (seed, quantity, float(value))
        for seed, record in zip(problem.seeds, numbers, strict=True)
        for quantity, value in record.items()
    ]
    write_table(folder / f"{name}.csv", LONG, rows)
    tables = table_files(name, problem)
    for file, table in tables.items():
        write_table(folder / file, *problem.tables[table]())
    facts = {
        "version": problem.version,
        "seeds": list(problem.seeds),
        "sha256": {file: file_digest(folder / file) for file in (f"{name}.csv", *tables)},
    }
    write_whole(folder / f"{name}.json", as_json({**facts, "checksum": checksum(facts)}))
    return f"{name}  {len(numbers[0])} quantities, {len(numbers)} seeds"


def measure_exact(folder: Path) -> str:
    """Measure the exact claims and write exact.csv; what was found, in a few words."""
    torch.set_num_threads(1)
    results = [exact.run(claim) for claim in exact.EXACT]
    rows = [
        (
            *(result.claim, part.name, part.statistic, float(part.estimate)),
            *(part.direction, float(part.bound), part.holds),
        )
        for result in results
        for part in result.parts
    ]
    write_table(folder / "exact.csv", EXACT, rows)
    return f"exact  {sum(result.holds for result in results)} of {len(results)} claims hold"
