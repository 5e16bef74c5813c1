"""Mutate results folders as a stranger might, and look what readers make of each.

    python -m tests.tools.mutate [--examples 5000] [--seed 0] [--first 0]

A small finished folder (runs with shifts and W&B, a committed experiment, claims) is changed in a
few places: JSON, CSV and YAML to the leaves, with code in strings; bytes; links, pipes and devices
in the place of files; odd names. Half of the time hashes are made to fit again. Then the report,
status, sync, dashboard and what a sweep asks first look at it in this process, without drawing. A
breach is a traceback, a hang, anything run, connected to or written outside, or another folder's
page missing.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import hydra

from bnbench import ROOT, cli, sweep
from bnbench.analysis.load import ExperimentData
from bnbench.commands import report as report_script
from bnbench.commands import status
from bnbench.commands.wandb import dashboard, sync
from bnbench.config.schema import Figure
from bnbench.drawing import frames
from bnbench.pages import claims as claim_report
from bnbench.pages import report
from bnbench.running.launch import Work
from bnbench.running.streams import enter
from bnbench.tracking import upload
from bnbench.tracking.experiment_dir import write_experiment, write_runs
from bnbench.tracking.run_dir import State
from bnbench.tracking.whole_files import checksum

REFERENCE = ROOT / "results" / "reference"
REQUEST = (
    *("data=synthetic", "train=smoke", "device=cpu", "norm=none,batchnorm", "seeds=[0]"),
    "track=default",
)
SHIFTS = ("shift=blur", "shift.severities=[1]")
FIGURES = [
    {"kind": "curves", "title": "Curves", "where": "`norm.name` == 'none' or seed >= 0"},
    {"kind": "versus", "title": "Accuracy", "x": "batch_size", "y": "test/accuracy"},
    {"kind": "severity", "title": "Shift", "y": "test/accuracy"},
]
OTHER = Path("experiments", "shift", "digits")  # an experiment of which no runs are kept
CLAIMS = ("E1", "C1", "B1", "P4")
NAMES = (
    *(b"\xff\xfe", b"a\nb", b"\x1b[31m", b"x" * 250, b"-rf", b" ", b"<b>", b"%2e%2e"),
    b"a'b\"$(x)",
)
CPU_SECONDS, HANG_SECONDS = 20, 300  # for an example; on a busy machine waiting is no hang
CANARY = "canary"  # what code in a string would make
UNFORESEEN = re.compile(r"\b(Key|Type|Attribute|Index|Assertion|Recursion|Memory|Name)Error\b")


class HangError(BaseException):
    """A reader took too long; no `except Exception` may take it for a damaged file."""


@dataclass
class Tally:
    """What came of the examples: how many of each kind, and what broke the rules."""

    examples: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    exits: Counter[str] = field(default_factory=Counter)
    breaches: list[str] = field(default_factory=list)
    slowest: float = 0.0


@dataclass(frozen=True)
class Place:
    """Where examples are made: `whole` is copied to `results`; `outside` belongs to others."""

    folder: Path

    @property
    def whole(self) -> Path:
        """The results as they were."""
        return self.folder / "whole"

    @property
    def results(self) -> Path:
        """Those that are mutated."""
        return self.folder / "results"

    @property
    def outside(self) -> Path:
        """A folder that nothing may be written to."""
        return self.folder / "outside"

    @property
    def cache(self) -> Path:
        """The user's cache, where reports are remembered."""
        return self.folder / "cache"


def build(folder: Path) -> Place:
    """Make the finished results folder, and what lies beside it."""
    place = Place(folder)
    with hydra.initialize_config_dir(str(sweep.CONFIGS), version_base="1.3", job_name="train"):
        request = cli.read([*REQUEST, *SHIFTS, f"results={place.whole}"], True)
    from bnbench.train import train_arm

    for arm in request.arms.values():
        assert set(train_arm(arm.config).values()) == {State.done}
    request.experiments[0].report["figures"] = FIGURES
    request.experiments[0].report["compare"] = [{"baseline": {"norm.name": "none"}}]
    sweep.write_tables(request)
    now = sweep.datetime.now(sweep.UTC)
    sweep.describe_experiments(request, "python scripts/train.py", now, now)
    for experiment in request.experiments:
        write_runs(place.whole, experiment.name, experiment.data)
    record(REFERENCE / "experiments" / "shift" / "digits", place.whole / OTHER)
    claims(REFERENCE / "claims" / "digits", place.whole / "claims" / "digits")
    for file in place.whole.rglob("*.lock"):
        file.chmod(0o644)
    shutil.copytree(place.whole, place.outside, symlinks=True)
    return place


def record(source: Path, folder: Path) -> None:
    """Copy a few rows of an experiment of which no runs are kept."""
    folder.mkdir(parents=True)
    for name in ("arms.csv", "runs.csv"):
        lines = (source / name).read_text().splitlines(keepends=True)
        (folder / name).write_text("".join([lines[0], *lines[1:7]]))
    facts = json.loads((source / "experiment.json").read_text())
    write_experiment(folder, {k: v for k, v in facts.items() if k not in ("sha256", "checksum")})


def claims(source: Path, folder: Path) -> None:
    """Copy a few claims with their evidence."""
    (folder / "evidence").mkdir(parents=True)
    for name in ("scoreboard.csv", "parts.csv", "sensitivity.csv"):
        head, *rows = (source / name).read_text().splitlines(keepends=True)
        kept = [row for row in rows if row.startswith(tuple(f"{claim}," for claim in CLAIMS))]
        (folder / name).write_text("".join([head, *kept]))
    for claim in CLAIMS:
        if (evidence := source / "evidence" / f"{claim}.csv").exists():
            shutil.copy(evidence, folder / "evidence")
    views = json.loads((source / "claims.json").read_text())
    kept = [view for view in views if view["id"] in CLAIMS]
    (folder / "claims.json").write_text(json.dumps(kept))
    shutil.copy(source / "judged.json", folder)


def payloads(place: Place) -> list[Any]:
    """Values that a leaf may take: of other types and sizes, and code in the languages at hand."""
    canary = place.folder / CANARY
    code = f"__import__('os').system('touch {canary}')"
    return [
        *(None, True, False, 0, -1, 1, 2.5, -0.0, 10**30, 10**400, 1e308, float("nan")),
        *([], {}, [[]], {"": {}}, [None], {"a": [1]}, "", "x", "nan", "-1", "1e999", "0x10"),
        *("done", "../../../outside", "/etc/passwd", "..", "a/b", "\0", "\n", "\ud800"),
        *("é" * 300, "a" * 5000, "9" * 400, "\x1b]0;x\x07", "\u202e", "2025-06-01"),
        *(code, f"@{code}", f"seed.to_csv('{canary}') == 0", "seed ** 10 ** 10 ** 10 > 0"),
        *(f"(@pd.io.common.os.system('touch {canary}') == 0) | (seed >= 0)", "(" * 400 + "seed"),
        *("${oc.env:HOME}", "${now:%Y}", "???", "{{ 7*7 }}"),
        *("{% for x in range(10**9) %}{% endfor %}", "<script>alert(1)</script>", "%s%n"),
        *(f"`touch {canary}`", f"$(touch {canary})", "$\\frac{1}{", "$" * 50),
        f"!!python/object/apply:os.system ['touch {canary}']",
    ]


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in nested JSON."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], (*path, key))


def mutate_json(file: Path, rng: random.Random, values: list[Any]) -> None:
    """Change one value, key or the layout of a JSON file."""
    content = json.loads(file.read_text())
    path = rng.choice(list(leaves(content))[1:] or [()])
    node = content
    for key in path[:-1]:
        node = node[key]
    way = rng.choice(["put"] * 6 + ["delete", "rename", "twice", "deep", "wrap", "more"])
    match way:
        case "put" | "twice" | "deep" if path:
            node[path[-1]] = rng.choice(values) if way != "deep" else "@deep@"
        case "delete" if path:
            del node[path[-1]]
        case "rename" if path and isinstance(node, dict):
            node[rng.choice([v for v in values if isinstance(v, str)])] = node.pop(path[-1])
        case "wrap":
            content = [content]
        case _ if isinstance(node, dict):
            node[str(rng.choice(values))[:40]] = rng.choice(values)
    if isinstance(content, dict) and rng.random() < 0.5:
        sign(content, rng)
    text = json.dumps(content, indent=rng.choice([None, 2]))
    if way == "twice" and path and isinstance(node, dict):
        text = text.replace("{", f"{{{json.dumps(path[-1])}: 1, ", 1)
    text = text.replace('"@deep@"', "[" * 5000 + "]" * 5000)
    file.write_text(text, encoding="utf-8")


def sign(content: dict[str, Any], rng: random.Random) -> None:
    """Make the checksum fit what was changed, or leave it out, as older versions did."""
    with contextlib.suppress(TypeError, ValueError, RecursionError):
        content.pop("checksum", None)
        if rng.random() < 0.5:
            content.pop("sha256", None)
        else:
            content["checksum"] = checksum(content)


def mutate_csv(file: Path, rng: random.Random, values: list[Any]) -> None:
    """Change a cell, a column or a line of a CSV file; half of the time its hash follows."""
    rows = [line.split(",") for line in file.read_text().splitlines()] or [[""]]
    row = rng.choice(rows)
    column = rng.randrange(len(row))
    match rng.choice(["cell"] * 5 + ["head", "drop", "double", "swap", "widen", "column"]):
        case "cell":
            row[column] = str(rng.choice(values))
        case "head":
            rows[0][column % len(rows[0])] = str(rng.choice(values))
        case "drop":
            rows.remove(row)
        case "double":
            rows.append(row)
        case "swap":
            row.reverse()
        case "widen":
            row.append(str(rng.choice(values)))
        case "column":
            rows = [line[:column] + line[column + 1 :] for line in rows]
    text = "\n".join(map(",".join, rows)) + "\n"
    file.write_bytes(text.encode(errors="surrogatepass"))
    follow(file, rng)


def follow(file: Path, rng: random.Random) -> None:
    """Half of the time, let the summary or experiment.json beside a file have its new hash."""
    for beside in ("summary.json", "experiment.json"):
        record = file.with_name(beside)
        if rng.random() < 0.5 and record in files(file.parent):
            content = json.loads(record.read_text())
            if isinstance(content, dict) and file.name in (content.get("sha256") or {}):
                content["sha256"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
                content.pop("checksum", None)
                content["checksum"] = checksum(content)
                record.write_text(json.dumps(content))


def mutate_yaml(file: Path, rng: random.Random, values: list[Any]) -> None:
    """Change a line of a YAML file, or make it a bomb."""
    lines = file.read_text().splitlines()
    place = rng.randrange(len(lines))
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n"
    for one, other in pairwise("abcdefghi"):
        bomb += f"{other}: &{other} [{','.join([f'*{one}'] * 9)}]\n"
    match rng.choice(["value"] * 4 + ["bomb", "deep", "line"]):
        case "value":
            lines[place] = f"{lines[place].partition(':')[0]}: {rng.choice(values)}"
        case "bomb":
            lines = [bomb]
        case "deep":
            lines.append("x: " + "[" * 3000)
        case "line":
            lines[place] = str(rng.choice(values))
    file.write_bytes("\n".join(lines).encode(errors="surrogatepass"))


def mutate_bytes(file: Path, rng: random.Random, values: list[Any]) -> None:
    """Do to a file what an editor, a disk or a crash does; half of the time its hash follows."""
    content = file.read_bytes()
    place = rng.randrange(len(content) + 1)
    junk = rng.choice([b"\0", b"\xff\xfe", b'"', b"\n\n", b"\r", b",,,,", b"{", b"\xed\xa0\x80"])
    changed = {
        "flip": content[:place] + content[place : place + 1].swapcase() + content[place + 1 :],
        "bit": bytes(b ^ (1 << 3) if k == place else b for k, b in enumerate(content)),
        "cut": content[:place],
        "insert": content[:place] + junk + content[place:],
        "append": content + junk,
        "bom": b"\xef\xbb\xbf" + content,
        "crlf": content.replace(b"\n", b"\r\n"),
        "editor": b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"),
        "no end": content.rstrip(b"\n"),
        "torn": content[: content[:-1].rfind(b"\n") + 5],
        "empty": b"",
        "utf16": content.decode(errors="replace").encode("utf-16"),
        "long": content + b"x" * 300_000,
    }  # fmt: skip
    file.write_bytes(changed[rng.choice(list(changed))])
    follow(file, rng)


def mutate_node(file: Path, rng: random.Random, values: list[Any], place: Place) -> None:
    """Put something else in the place of a file."""
    ways = ["zero", "link", "copy", "pipe", "folder", "socket", "nowhere", "loop", "sparse", "up"]
    way = rng.choice([*ways, "gone"])
    file.unlink()
    match way:
        case "zero":
            file.symlink_to("/dev/zero")
        case "link":
            file.symlink_to(place.outside / file.relative_to(place.results))
        case "copy":  # inside of the results
            file.symlink_to(rng.choice(files(place.results) or [file]))
        case "pipe":
            os.mkfifo(file)
        case "folder":
            file.mkdir()
        case "socket":
            bound(file)
        case "nowhere":
            file.symlink_to(place.outside / "new")
        case "loop":
            file.symlink_to(file)
        case "sparse":
            with file.open("wb") as stream:
                stream.truncate(2**40)
        case "up":
            file.symlink_to("..")


def bound(file: Path) -> None:
    """Make a socket, whose path may be longer than an address can be."""
    with socket.socket(socket.AF_UNIX) as one, contextlib.chdir(file.parent):
        one.bind(file.name)


def mutate_folder(file: Path, rng: random.Random, values: list[Any], place: Place) -> None:
    """Rename a folder, replace it, or put another one beside it."""
    folder = file.parent
    while rng.random() < 0.5 and folder.parent.parent != place.results:
        folder = folder.parent
    name = os.fsencode(folder.parent) + b"/" + rng.choice(NAMES)
    match rng.choice(["rename", "beside", "link", "pipe", "inner", "top"]):
        case "rename":
            os.rename(folder, name)  # noqa: PTH104 - no UTF-8
        case "beside":
            shutil.copytree(folder, os.fsdecode(name), symlinks=True)
        case "link":
            shutil.rmtree(folder)
            folder.symlink_to(place.outside / folder.relative_to(place.results))
        case "pipe":
            shutil.rmtree(folder)
            os.mkfifo(folder)
        case "inner":  # where something is going to be written
            inner = folder / rng.choice(["figures", "report.html", "evidence", "runs.csv", ".lock"])
            if not inner.exists():
                inner.symlink_to(place.outside)
        case "top":
            top = place.results / folder.relative_to(place.results).parts[0]
            shutil.rmtree(top)
            top.symlink_to(place.outside / top.name)


def files(folder: Path) -> list[Path]:
    """The regular files of a folder, by name; none that an earlier change has made enormous."""
    found = (Path(base) / name for base, _, names in os.walk(folder) for name in names)
    regular = [file for file in found if file.is_file() and not file.is_symlink()]
    return sorted(file for file in regular if file.stat().st_size < 2**24)


def mutate(place: Place, rng: random.Random) -> str:
    """Make the results whole again and change one to three of their files; what was done."""
    shutil.rmtree(place.results, ignore_errors=True)
    shutil.copytree(place.whole, place.results, symlinks=True)
    if rng.random() < 0.7:  # a page of claims is written where there is none
        (place.results / "claims" / "digits" / "report.html").write_text("")
    values, done = payloads(place), []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        there = files(place.results)
        # each kind of file as often, however many there are
        name = rng.choice(sorted({file.name for file in there}))
        file = rng.choice([file for file in there if file.name == name])
        of_kind = {".json": mutate_json, ".csv": mutate_csv, ".yaml": mutate_yaml}
        ways: list[Callable[..., None]] = [
            *[of_kind.get(file.suffix, mutate_bytes)] * 6, mutate_bytes, mutate_bytes,
            partial(mutate_node, place=place), partial(mutate_folder, place=place),
        ]  # fmt: skip
        way = rng.choice(ways)
        what = getattr(way, "func", way).__name__
        done.append(f"{what} {os.fsencode(file.relative_to(place.results))!r}")
        with contextlib.suppress(ValueError, OSError, RecursionError, KeyError, TypeError):
            way(file, rng, values)
    return "; ".join(done)


def panels(spec: Figure, experiment: ExperimentData) -> None:
    """Choose what a figure shows, its `where` too, without drawing it."""
    spec = frames.effective(spec)
    frames.panels(experiment.tuning() if spec.tuning else experiment.reporting(), spec)


def sent(group: list[upload.Attempt]) -> list[str]:
    """Upload to nobody, and say that all has arrived."""
    for attempt in group:
        attempt.mark()
    return []


@contextlib.contextmanager
def undrawn(place: Place) -> Iterator[None]:
    """Leave out what draws, and what talks to a server."""
    with (
        mock.patch.object(report, "draw", panels),
        mock.patch.object(claim_report, "forest", return_value=None),
        mock.patch.object(upload, "wandb_sync", sent),
        mock.patch.object(upload, "mark_interrupted"),
        mock.patch.object(upload, "rebuild", return_value=True),
        # one process, since only what this one opens is seen
        mock.patch.dict(os.environ, {"WANDB_MODE": "offline", "LOKY_MAX_CPU_COUNT": "1"}),
        mock.patch.dict(os.environ, {"XDG_CACHE_HOME": str(place.cache)}),
    ):
        yield


def script(main: Callable[[], int], results: Path) -> tuple[int, str]:
    """Run a script here: its exit code and what it complains of."""
    out, err = io.StringIO(), io.StringIO()
    argv = ["script", f"results={results}"]
    with (
        mock.patch.object(sys, "argv", argv),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        return enter(main), err.getvalue()


def look(place: Place, request: cli.Request, tally: Tally, done: str) -> list[str]:
    """Let every reader look at the results; what breaks the rules."""
    found = []
    readers = {"report": report_script.main, "status": status.main, "sync": sync.main}
    if tally.examples % 5 == 0:  # slow, and it reads what the report has read
        readers["dashboard"] = dashboard.main
    for name, main in readers.items():
        code, err = script(main, place.results)
        tally.exits[f"{name} {code}"] += 1
        lines = err.splitlines()
        if code not in (0, 1, 2) or (code and not lines):
            found.append(f"{name}: exit code {code} and {len(lines)} lines")
        found += [f"{name}: {line[:200]}" for line in lines if not line.startswith("bnbench: ")]
        found += [f"{name}: {line[:200]}" for line in lines if UNFORESEEN.search(line)]
    if all(run.state() == State.done for run in Work(request).arm_of) == bool(
        Work(request).lacking()
    ):
        found.append("status and sweep do not agree on which runs are done")
    for run in upload.trained(place.results):
        with contextlib.suppress(ValueError):
            upload.read_science(run)
    other = place.results / OTHER / "report.html"
    runs = place.results / "runs"
    is_odd = runs.is_symlink() or not runs.is_dir()  # then every experiment says so
    if "experiments" not in done and not is_odd and not other.is_file():
        found.append("the report of another experiment is missing")
    return found


def example(place: Place, request: cli.Request, rng: random.Random, tally: Tally) -> None:
    """Make one example, look at it, and count."""
    done = mutate(place, rng)
    tally.examples += 1
    tally.kinds.update(word.split()[0] for word in done.split("; "))
    before, started = snapshot(place.outside), time.monotonic()
    breaches: list[str] = []
    with watched(place) as seen:
        try:
            breaches += look(place, request, tally, done)
        except HangError:
            breaches.append(f"it took longer than {CPU_SECONDS} CPU s, or {HANG_SECONDS} s")
        except Exception:
            breaches.append(traceback.format_exc(limit=-4))
    tally.slowest = max(tally.slowest, time.monotonic() - started)
    breaches += seen
    if snapshot(place.outside) != before:
        breaches.append("something outside was changed")
        shutil.rmtree(place.outside)
        shutil.copytree(place.whole, place.outside, symlinks=True)
    if (canary := place.folder / CANARY).exists():
        breaches.append("code of a file was run")
        canary.unlink()
    tally.breaches += [f"{done}: {one}" for one in breaches]


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """The files of a folder with what changes when they are written."""
    there = ((Path(base), name) for base, dirs, names in os.walk(folder) for name in dirs + names)
    found = [base / name for base, name in there]
    return {str(path): ((facts := path.lstat()).st_mtime_ns, facts.st_size) for path in found}


# where may be written, and what the hook has noted
watch: tuple[tuple[str, ...], list[str]] | None = None
WRITES = os.O_WRONLY | os.O_RDWR
CHANGES = ("os.mkdir", "os.rename", "os.symlink", "os.link", "os.remove", "os.rmdir", "os.chmod")
RUNS = (
    *("os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen", "os.truncate"),
    *("socket.connect", "socket.bind", "ctypes.dlopen", "pickle.find_class"),
)
CONFIGURATIONS = {
    *(("builtins", name) for name in ("bool", "dict", "float", "int", "list", "str")),
    *(("typing", "Any"), ("collections", "defaultdict")),
}


@cache
def listen() -> None:
    """Have Python tell of every file, process and connection; an audit hook stays for good."""
    sys.addaudithook(note)


def is_ours(module: str, name: str) -> bool:
    """Whether a pickle asks for what copies of configurations hold, which are made in memory."""
    return module.split(".")[0] == "omegaconf" or (module, name) in CONFIGURATIONS


def note(event: str, args: tuple[Any, ...]) -> None:
    """Note what is written outside, run or connected to."""
    if watch is None:
        return
    inside, seen = watch
    if event == "open" and not isinstance(args[0], int) and args[2] & WRITES:
        path = os.path.realpath(os.fsdecode(args[0]))
        if not path.startswith(inside) and path != os.devnull:
            seen.append(f"opened {path!r} for writing")
    elif event in CHANGES:
        head, tail = os.path.split(os.fsdecode(args[0]))  # of a link, not of what it leads to
        if not os.path.join(os.path.realpath(head), tail).startswith(inside):  # noqa: PTH118
            seen.append(f"{event} {args!r}")
    elif event in RUNS and not (event == "pickle.find_class" and is_ours(*args)):
        seen.append(f"{event} {args!r}"[:300])
    elif event == "compile" and CANARY in str(args[0]):
        seen.append(f"compiled {args[0]!r}"[:300])


@contextlib.contextmanager
def watched(place: Place) -> Iterator[list[str]]:
    """Note what is done to the machine, and end what hangs."""
    global watch

    def hang(*_: object) -> None:
        raise HangError

    listen()
    handlers = {number: signal.signal(number, hang) for number in (signal.SIGALRM, signal.SIGPROF)}
    signal.setitimer(signal.ITIMER_REAL, HANG_SECONDS)
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    seen: list[str] = []
    watch = (tuple(map(os.path.realpath, (place.results, place.cache))), seen)
    try:
        with warnings.catch_warnings(), undrawn(place):
            yield seen
    finally:
        watch = None
        for timer in (signal.ITIMER_REAL, signal.ITIMER_PROF):
            signal.setitimer(timer, 0)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def run(
    folder: Path, examples: range, seed: int, say: Callable[[str], None] = lambda line: None
) -> Tally:
    """Build a folder, and look at mutations of it by their numbers."""
    place, tally = build(folder), Tally()
    with hydra.initialize_config_dir(str(sweep.CONFIGS), version_base="1.3", job_name="train"):
        request = cli.read([*REQUEST, f"results={place.results}"], True)
    shutil.copytree(place.whole, place.results, symlinks=True)
    with undrawn(
        place
    ):  # what is imported and cached at the first call would count as the second's
        look(place, request, Tally(), "")
    for number in examples:
        told = len(tally.breaches)
        example(place, request, random.Random(f"{seed} {number}"), tally)
        for breach in tally.breaches[told:]:
            say(f"example {number}: {breach}")
        if (number + 1) % 100 == 0:
            say(f"{number + 1} examples, {len(tally.breaches)} breaches")
    return tally


def main() -> int:
    """Mutate and look; print every breach and the counts; 1 when there is a breach."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--examples", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first, %(default)s")
    args = parser.parse_args()
    started = time.monotonic()
    numbers = range(args.first, args.first + args.examples)
    with tempfile.TemporaryDirectory() as folder:
        tally = run(Path(folder), numbers, args.seed, partial(print, flush=True))
    minutes = (time.monotonic() - started) / 60
    print(f"{tally.examples} examples, seed {args.seed}, in {minutes:.1f} minutes")
    print(", ".join(f"{name}: {number}" for name, number in sorted(tally.kinds.items())))
    print(", ".join(f"{name}: {number}" for name, number in sorted(tally.exits.items())))
    print(f"slowest: {tally.slowest:.1f} s; breaches: {len(tally.breaches)}")
    return int(bool(tally.breaches))


if __name__ == "__main__":
    sys.exit(main())
