"""Run the tests in many environments: `python tests/tools/environments.py [ROW …]`.

Prints a row of a table for each: what was run, how many tests passed, failed and were skipped. The
environments restrict the instructions that torch's kernels, MKL and OpenBLAS choose, shuffle the
order, keep every core busy with something else, set what users have set, and run a random third
of the test files each by itself. Exit code 1 if a test failed.
"""

import argparse
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

TESTS = Path(__file__).parents[1]
BUSY = 4  # processes beside the tests, on whatever cores there are
# the files whose tests assert bits or numbers
NUMBERS = (
    *("analysis", "bench", "claims", "config", "data", "drawing", "gallery", "measured", "models"),
    *("norms", "pages", "probes", "training"),
    *("test_findings.py", "test_shipped_configs.py", "test_train.py"),
)
# what a user may have set, and no test may see
USERS = {
    "WANDB_MODE": "online",
    "WANDB_PROJECT": "mine",
    "WANDB_TAGS": "a,b",
    "FORCE_COLOR": "1",
    "COLUMNS": "40",
    "TERM": "dumb",
    "TZ": "Pacific/Apia",
    "LC_ALL": "C",
    "GIT_DIR": "/nowhere",
    "MPLBACKEND": "nonsense",
    "HYDRA_FULL_ERROR": "1",
}


@dataclass(frozen=True)
class Row:
    """One environment."""

    name: str
    environment: dict[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()  # all by default
    shuffle: int | None = None
    busy: bool = False
    alone: bool = False  # each file by a process of its own

    @property
    def arguments(self) -> list[str]:
        """Those of pytest."""
        shuffle = [] if self.shuffle is None else [f"--shuffle={self.shuffle}"]
        return [*shuffle, *(str(TESTS / file) for file in self.files)]


def rows(seed: int) -> dict[str, Row]:
    """All environments by a short name; `seed` chooses the third of the files, and the orders."""
    every = sorted(str(path.relative_to(TESTS)) for path in TESTS.rglob("test_*.py"))
    third = tuple(sorted(random.Random(seed).sample(every, round(len(every) / 3))))
    return {
        "plain": Row("as is"),
        "default": Row("torch without AVX", {"ATEN_CPU_CAPABILITY": "default"}),
        "load": Row(f"shuffled, {BUSY} busy processes", shuffle=seed, busy=True),
        "users": Row("what users have set", USERS),
        "mkl": Row("MKL up to AVX2", {"MKL_ENABLE_INSTRUCTIONS": "AVX2"}, NUMBERS),
        "aten": Row("torch up to AVX2", {"ATEN_CPU_CAPABILITY": "avx2"}, NUMBERS),
        "openblas": Row("OpenBLAS for Haswell", {"OPENBLAS_CORETYPE": "Haswell"}, NUMBERS),
        "order": Row("shuffled", {}, NUMBERS, shuffle=seed + 1),
        "order2": Row("shuffled otherwise", {}, NUMBERS, shuffle=seed + 2),
        "alone": Row(f"{len(third)} files, each by itself", {}, third, alone=True),
    }


@contextmanager
def busy() -> Iterator[None]:
    """Keep processes busy beside what runs inside."""
    spinning = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])  # until they are killed
        for _ in range(BUSY)
    ]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def run(row: Row, workers: int, log: Path) -> Counter[str]:
    """Run the tests of a row; how many passed, failed, ….

    Args:
        row: the environment.
        workers: processes of pytest.
        log: a file that takes what pytest prints.
    """
    each = [[file] for file in row.arguments] if row.alone else [row.arguments]
    spread = [] if row.alone else ["-n", str(workers), "--dist", "worksteal"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | row.environment
    counts: Counter[str] = Counter()
    with busy() if row.busy else nullcontext(), log.open("w") as output:
        for arguments in each:
            command = [sys.executable, "-m", "pytest", "-q", *spread, *arguments]
            answer = subprocess.run(
                command, env=environment, cwd=TESTS.parent, capture_output=True, text=True
            )
            output.write(answer.stdout + answer.stderr)
            output.flush()
            ending = next(reversed(answer.stdout.strip().splitlines()), "")
            found = {
                word: int(n)
                for n, word in re.findall(r"(\d+) (passed|failed|skipped|error)", ending)
            }
            counts.update(found)
            if answer.returncode not in (0, 5) and not found.get("failed"):  # 5: all are slow
                counts["error"] += 1
    return counts


def processor() -> str:
    """The name of this machine's CPU and the widest of its instruction sets."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    name = re.search(r"model name\s*: (.*)", text)
    flags = set(re.search(r"flags\s*: (.*)", text)[1].split()) if "flags" in text else set()
    widest = next((s for s in ("avx512f", "avx2", "avx", "sse2") if s in flags), "")
    return f"{name[1] if name else platform.machine()} ({widest})"


def main() -> int:
    """Run what is asked for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help="all by default")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--logs", type=Path, help="a folder for what pytest prints")
    args = parser.parse_args()
    known = rows(args.seed)
    if unknown := [name for name in args.rows if name not in known]:
        parser.error(f"{unknown[0]}: expected rows of {', '.join(known)}")
    logs = args.logs or Path(tempfile.mkdtemp(prefix="environments-"))
    logs.mkdir(parents=True, exist_ok=True)
    print(f"{processor()}, Python {platform.python_version()}, seed {args.seed}, logs: {logs}")
    print("| environment | set | passed | failed | skipped | minutes |\n|---|---|---|---|---|---|")
    is_good = True
    for name in args.rows or known:
        row, started = known[name], time.monotonic()
        counts = run(row, args.workers, logs / f"{name}.txt")
        failed = counts["failed"] + counts["error"]
        is_good &= not failed
        variables = " ".join(f"{key}={value}" for key, value in row.environment.items())
        minutes = (time.monotonic() - started) / 60
        print(
            f"| {row.name} | {variables} | {counts['passed']} | {failed} | {counts['skipped']} "
            f"| {minutes:.1f} |",
            flush=True,
        )
    return not is_good


if __name__ == "__main__":
    sys.exit(main())
