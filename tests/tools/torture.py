"""Kill a sweep at random moments, resume it, and count what was lost.

`python tests/tools/torture.py [--kills 50] [--single 20] [--seed 0]`. An undisturbed sweep gives
the files to compare with. Then the same sweep is killed in ever different ways and started again,
until it has been killed often enough and is done; one that finishes before that begins anew in
another folder. At last single workers are killed, each in a sweep of its own, which has to end as
if nothing had happened: while they train or as a run has just been finished, at once or after they
stood still; with one job the worker is the sweep itself, and is started again.
"""

import argparse
import csv
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from wandb.util import get_core_path

from bnbench import ROOT
from bnbench.tracking.meta import read_meta
from bnbench.tracking.run_dir import RunFolder, State
from bnbench.tracking.wandb_log import FAILED, INTERRUPTED

TRAIN = ROOT / "scripts" / "train.py"
REQUEST = (
    *("-m", "norm=none,batchnorm", "seeds=[0,1]", "data=digits"),
    *("train.steps=200", "shift=blur", "device=cpu"),
)
RUNS = 4
GONE_SECONDS = 20.0  # by then the workers of a leader that is no more must have ended
LOOK_SECONDS = 0.002  # between looks for a run that has just been finished


@dataclass
class Tally:
    """What was done to the sweeps and what became of them."""

    kills: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    runs: int = 0
    attempts: int = 0
    unfinished: int = 0  # W&B attempts that are marked as such
    empty: int = 0  # W&B attempts that ended before W&B had written anything
    problems: list[str] = field(default_factory=list)


def descendants(pid: int) -> list[int]:
    """The processes below a process, nearest first."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            children = [int(word) for word in (task / "children").read_text().split()]
        except OSError:  # it has ended
            continue
        for child in children:
            found += [child, *descendants(child)]
    return found


def command_line(pid: int) -> str:
    """How a process was started; empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def named(pid: int, word: str) -> list[int]:
    """The processes below a process that have a word in their command line."""
    return [child for child in descendants(pid) if word in command_line(child)]


def send(pids: list[int], number: int) -> bool:
    """Signal processes; whether there were any."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
    return bool(pids)


# the first are tried in `make check`; of the others it has tests of their own
WAYS: dict[str, Callable[[int, random.Random], bool]] = {
    "SIGKILL to all": lambda pid, _: send([*descendants(pid), pid], signal.SIGKILL),
    "SIGKILL to the leader": lambda pid, _: send([pid], signal.SIGKILL),
    "SIGKILL to a wandb-core": lambda pid, rng: send(
        rng.sample(w := named(pid, "wandb-core"), min(1, len(w))), signal.SIGKILL
    ),
    "SIGKILL to a worker": lambda pid, rng: send(
        rng.sample(w := named(pid, "LokyProcess"), min(1, len(w))), signal.SIGKILL
    ),
    "SIGTERM to a worker": lambda pid, rng: send(
        rng.sample(w := named(pid, "LokyProcess"), min(1, len(w))), signal.SIGTERM
    ),
    "SIGTERM to the leader": lambda pid, _: send([pid], signal.SIGTERM),
    "SIGINT to the leader": lambda pid, _: send([pid], signal.SIGINT),
    "Ctrl-C (SIGINT to all)": lambda pid, _: send([pid, *descendants(pid)], signal.SIGINT),
}


def start(results: Path, jobs: int = 2) -> subprocess.Popen[bytes]:
    """Start the sweep, or what is missing of it."""
    return subprocess.Popen(
        [
            sys.executable,
            str(TRAIN),
            *REQUEST,
            f"hydra.launcher.n_jobs={jobs}",
            f"results={results}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "WANDB_MODE": "offline", "OMP_NUM_THREADS": "1"},
        # a shell may have started us with SIGINT ignored, which is inherited
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def torment(folder: Path, kills: int, horizon: float, rng: random.Random, tally: Tally) -> int:
    """Kill and resume sweeps until the kills are used up; returns in how many folders.

    A kill comes within the time that a sweep takes. Where it was measured on a busier machine, the
    first sweep that ends before its kill tells the time anew: else most would.
    """
    laps, process = 0, start(folder / "storm-0")
    begun, is_new = time.monotonic(), True
    tally.starts += 1
    ways = list(WAYS)
    while sum(tally.kills.values()) < kills:
        try:
            code = process.wait(timeout=rng.uniform(0, horizon))
        except subprocess.TimeoutExpired:
            code = None
        if code is None:
            below = descendants(process.pid)
            # every way in turn, in an order of its own, so that none is left out
            way = ways[sum(tally.kills.values()) % len(ways)]
            if not WAYS[way](process.pid, rng):
                continue  # there is no such process yet
            tally.kills[way] += 1
            if "leader" in way or "all" in way:
                process.wait()
                if left := survivors(below):
                    tally.problems.append(f"{way}: {len(left)} processes went on: {left}")
        elif code == 0:
            laps += 1
            horizon = min(horizon, time.monotonic() - begun) if is_new else horizon
        if process.poll() is not None:
            process = start(folder / f"storm-{laps}")
            begun, is_new = time.monotonic(), code == 0
            tally.starts += 1
    process.wait()
    for _ in range(3):  # an arm whose worker was killed twice has failed and is asked for again
        if start_and_wait(folder / f"storm-{laps}", tally) == 0:
            return laps + 1
    tally.problems.append("the last sweep does not come to its end")
    return laps + 1


def start_and_wait(results: Path, tally: Tally, jobs: int = 2) -> int:
    """Run the sweep to its end; its exit code."""
    tally.starts += 1
    return start(results, jobs).wait()


def kill_single(
    folder: Path, number: int, horizon: float, pause: float, rng: random.Random, tally: Tally
) -> str:
    """Kill one worker of a sweep of its own and let the sweep end; returns a line about it."""
    jobs, between, stands = 2 - number % 2, bool(number // 2 % 2), bool(number // 4 % 2)
    for lap in itertools.count():  # a sweep may be over before its moment comes
        results, begun = folder / f"single-{number}-{lap}", time.monotonic()
        process = start(results, jobs)
        tally.starts += 1
        at, runs = begun + rng.uniform(0, horizon), rng.randrange(1, RUNS)
        at, runs = (0.0, runs) if between else (at, 0)
        if found := workers_at(process, jobs, results, at, runs):
            break
    worker = rng.choice(found)
    moment = f"after {time.monotonic() - begun:.1f} s, {finished(results)} runs finished"
    if stands:
        send([worker], signal.SIGSTOP)
        time.sleep(pause)
    send([worker], signal.SIGKILL)
    code = process.wait()
    if jobs == 1:
        code = start_and_wait(results, tally, jobs)
    before = len(tally.problems)
    if code:
        tally.problems.append(f"{results.name}: exit code {code}")
    compare(folder / "calm", results, tally)
    way = f"SIGSTOP, {pause:g} s later SIGKILL" if stands else "SIGKILL"
    ended = "; ".join(tally.problems[before:]) or "as the calm one"
    shutil.rmtree(results)
    return f"  {number:2d} | n_jobs={jobs} | {way} | {moment} | {ended}"


def workers_at(
    process: subprocess.Popen[bytes], jobs: int, results: Path, at: float, runs: int
) -> list[int]:
    """Who trains when a moment has come and so many runs are finished; none where all is over."""
    while process.poll() is None:
        if time.monotonic() >= at and finished(results) >= runs:
            # with one job the sweep trains by itself
            found = named(process.pid, "LokyProcess") if jobs > 1 else [process.pid]
            if found:
                return found
        time.sleep(LOOK_SECONDS)
    return []


def finished(results: Path) -> int:
    """How many runs have their summary."""
    return len(list(results.glob("runs/*/seed-*/summary.json")))


def survivors(pids: list[int]) -> list[str]:
    """The processes that are alive when they have had their time to go."""
    deadline = time.monotonic() + GONE_SECONDS
    while left := [line for pid in pids if (line := command_line(pid))]:
        if time.monotonic() > deadline:
            return left
        time.sleep(0.1)
    return []


def compare(calm: Path, storm: Path, tally: Tally) -> None:
    """Check the files of a sweep that was killed against those of one that was not."""
    names = {str(p.relative_to(calm)) for p in calm.glob("runs/*/seed-*")}
    found = {str(p.relative_to(storm)) for p in storm.glob("runs/*/seed-*")}
    if names != found:
        tally.problems.append(f"{storm.name}: other runs: {sorted(names ^ found)}")
    for name in sorted(names & found):
        tally.runs += 1
        if RunFolder(storm / name).state() != State.done:
            tally.problems.append(f"{storm.name}/{name}: {RunFolder(storm / name).state()}")
            continue
        for file in ("metrics.csv", "shifts.csv", "weights.pt", "config.yaml"):
            if (calm / name / file).read_bytes() != (storm / name / file).read_bytes():
                tally.problems.append(f"{storm.name}/{name}/{file}: other bytes")
        ours, theirs = (
            sorted(path.name for path in (root / name).iterdir()) for root in (storm, calm)
        )
        if ours != theirs:
            tally.problems.append(f"{storm.name}/{name}: other files: {ours}")
        if lasting(storm / name) != lasting(calm / name):
            tally.problems.append(f"{storm.name}/{name}/summary.json: other content")
    for file in ("arms.csv", "runs.csv"):
        ours, theirs = (table(root / "experiments/adhoc/digits" / file) for root in (storm, calm))
        if ours != theirs:
            tally.problems.append(f"{storm.name}/{file}: other rows")
    compare_wandb(storm, tally)


def table(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, without how long a run took."""
    with file.open(newline="") as lines:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(lines)]


def lasting(run: Path) -> dict[str, object]:
    """What a summary says, without how long the run took."""
    return {key: value for key, value in RunFolder(run).read_summary().items() if key != "seconds"}


def compare_wandb(results: Path, tally: Tally) -> None:
    """Check that W&B has every run whole and once, and all else marked as unfinished."""
    runs = {read_meta(RunFolder(path))["wandb_id"]: path for path in results.glob("runs/*/seed-*")}
    ended = Counter()
    for file in results.glob("wandb/*run-*/run-*.wandb"):
        tally.attempts += 1
        records = read_wandb(file)
        facts = [record["run"] for record in records if record["type"] == "run"]
        if not facts:
            tally.empty += 1
            continue
        tags = set(facts[-1].get("tags", ()))
        wandb_id = facts[-1]["run_id"]
        if {INTERRUPTED, FAILED} & tags:
            tally.unfinished += 1
            if wandb_id in runs:
                tally.problems.append(f"{runs[wandb_id]}: its W&B run is marked {sorted(tags)}")
            continue
        ended[wandb_id] += 1
        if wandb_id not in runs:
            tally.problems.append(f"{file.parent.name}: {facts[-1]['display_name']} once more")
        elif points_of(records) != points_in(runs[wandb_id] / "metrics.csv"):
            tally.problems.append(f"{runs[wandb_id]}: W&B has other points")
    if ended != Counter(list(runs)):
        tally.problems.append(f"{results.name}: {len(runs)} runs, in W&B {ended}")


def read_wandb(file: Path) -> list[dict]:
    """The records of a W&B file, by the reader behind `wandb leet inspect --json`."""
    command = [get_core_path(), "leet", "inspect", "--no-observability", "--json"]
    answer = subprocess.run(
        [*command, "--run-file", str(file), str(file.parent)], capture_output=True, check=False
    )
    return [json.loads(line) for line in answer.stdout.splitlines()]


def points_of(records: list[dict]) -> list[tuple[int, str, str]]:
    """The points that W&B has, as often as it has them."""
    rows = [record["history"]["item"] for record in records if record["type"] == "history"]
    return sorted((r["_step"], k, repr(float(v))) for r in rows for k, v in r.items() if "/" in k)


def points_in(file: Path) -> list[tuple[int, str, str]]:
    """The points of a metrics.csv."""
    with file.open(newline="") as lines:
        return sorted(
            (int(r["step"]), f"{r['split']}/{r['metric']}", repr(float(r["value"])))
            for r in csv.DictReader(lines)
        )


def main() -> int:
    """Torment a sweep and print the tally; 0 when nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--single", type=int, default=20, help="kills of single workers")
    parser.add_argument("--pause", type=float, default=30, help="seconds that one stands still")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args = parser.parse_args()
    tally, rng = Tally(), random.Random(args.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begun = time.monotonic()
        if start_and_wait(folder / "calm", tally):
            print("the undisturbed sweep failed", file=sys.stderr)
            return 1
        horizon = time.monotonic() - begun
        laps = torment(folder, args.kills, horizon, rng, tally) if args.kills else 0
        for lap in range(laps):
            compare(folder / "calm", folder / f"storm-{lap}", tally)
        for number in range(args.single):
            print(kill_single(folder, number, horizon, args.pause, rng, tally), flush=True)
    print(f"{args.single} single workers killed, each in a sweep of its own")
    print(f"{sum(tally.kills.values())} kills at random moments (seed {args.seed}):")
    for way, count in sorted(tally.kills.items()):
        print(f"  {count:3d} {way}")
    print(f"{tally.starts} starts, {laps} sweeps finished, {horizon:.0f} s each when undisturbed")
    print(f"{tally.runs} runs: curves, shifts and weights byte for byte those of the calm sweep")
    print(
        f"{tally.attempts} W&B runs: {tally.attempts - tally.unfinished - tally.empty} whole and "
        f"once, {tally.unfinished} marked unfinished, {tally.empty} killed before W&B wrote"
    )
    for problem in tally.problems:
        print(f"PROBLEM {problem}")
    print(f"{len(tally.problems)} problems")
    return int(bool(tally.problems))


if __name__ == "__main__":
    sys.exit(main())
