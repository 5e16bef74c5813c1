"""Throw random command lines at bnbench and check its answers: `python -m tests.tools.fuzz`.

Whatever is typed, the answer is one line and exit code 2; or what Hydra shows (--help, --cfg, …);
or a request whose every arm is checked and reaches a worker whole. Nothing is written, left
behind or trained: only `sweep.run` is replaced. Reading YAML takes Hydra most of its time: each
choice of files is composed once, and every hundredth command line also without that memory.
"""

import argparse
import contextlib
import io
import logging
import os
import random
import resource
import signal
import string
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf
from omegaconf.basecontainer import BaseContainer
from rich.console import Console
from rich.progress import track

from bnbench import cli, sweep
from bnbench.config.arms import arm_id, flatten, science
from bnbench.config.checks import as_typed, check
from bnbench.config.keys import TEXTS as TEXT_KEYS
from bnbench.request.hydra_internals import make_launcher
from bnbench.request.refusal import LONGEST
from bnbench.running.launch import as_job, launcher_config, of_job
from tests.remembering import remembering

WHOLE = 100  # one command line in so many is also asked without the memory of what was composed
HANG_SECONDS = 60  # of the processor; a sweep of a thousand arms is read in ten
GROWTH_MB = 300  # that one request may take; a configuration takes less than one

GROUPS = {
    folder.name: sorted(str(p.relative_to(folder).with_suffix("")) for p in folder.rglob("*.yaml"))
    for folder in sorted(sweep.CONFIGS.iterdir())
    if folder.is_dir() and folder.name != "hydra"
}


def keys() -> dict[str, str]:
    """Every key of the YAML files with a value that stands there."""
    found = {}
    for path in [*sweep.CONFIGS.glob("*.yaml"), *sweep.CONFIGS.glob("[!eh]*/*.yaml")]:
        content = OmegaConf.to_container(OmegaConf.load(path))
        assert isinstance(content, dict)
        group = "" if path.parent == sweep.CONFIGS else f"{path.parent.name}."
        for key, value in flatten({str(k): v for k, v in content.items()}).items():
            if not key.startswith(("defaults", "hydra", "tuned_lr.sgd")):
                found[group + key] = as_typed(value)
    return found


KEYS = keys()
HYDRA_KEYS = (
    *("hydra", "hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.mode"),
    *("hydra.launcher", "hydra.launcher.n_jobs", "hydra.launcher._target_", "hydra.verbose"),
    *("hydra.launcher.temp_folder", "hydra.launcher.foo", "hydra.callbacks", "hydra.callbacks.a"),
    *("hydra.job.env_set.X", "hydra.job.env_copy", "hydra.job.chdir", "hydra.job.name"),
    *("hydra.searchpath", "hydra.output_subdir", "hydra.runtime.cwd", "hydra.overrides.task"),
    *("hydra.sweeper._target_", "hydra.sweeper.max_batch_size", "hydra.sweeper.params"),
    *("hydra.sweeper.params.norm", "hydra.sweeper.params.seeds", "hydra.help.template"),
    *("hydra/launcher", "hydra/sweeper", "hydra/job_logging", "hydra/hydra_logging"),
    *("hydra/callbacks", "hydra/output", "hydra/env", "hydra/help", "hydra/nope"),
)
HYDRA_VALUES = (
    *("basic", "local", "joblib", "ray", "slurm", "default", "MULTIRUN", "RUN", "1,2", "[a]"),
    *(
        "submitit_local",
        "submitit_slurm",
        "ray_aws",
        "loky",
        "rq",
        "colorlog",
        "none",
        "null",
        "???",
    ),
    *("{a:{_target_:os.system}}", "os.system", "[file:///tmp]", "3", "true"),
)
NUMBERS = (
    *(
        "0",
        "1",
        "-1",
        "2",
        "3",
        "7",
        "64",
        "1000",
        "1e3",
        "0.5",
        "-0.0",
        "1e-320",
        "1e308",
        "1e309",
    ),
    *("nan", "inf", "-inf", "1" + "0" * 30, "9" * 5000, "0x10", "1_000", "٣", "1.", ".5", "1e"),
    *("9223372036854775807", "9223372036854775808", "true", "false", "null"),
)
TEXTS = (
    *(
        "",
        " ",
        "''",
        '""',
        "'",
        '"',
        "\\",
        "a b",
        "a=b",
        "=",
        "ü",
        "日本",
        "🙂",
        "\u202e",
        "\u2028",
    ),
    *("\x00", "\n", "a\nb", "\t", "\r", "\x1b[31m", "\udcff", "a" * 300, "a/" * 2500, "../x", "~"),
    *("/dev/null/x", "/proc/x", "$HOME", "%s", "{}", "{", "[", "]", "()", ",", ":", "#", "???"),
    *("!!python/object:os.system", "*a", "&a", "<<", "_self_", "_target_", ".", "..", "a.b", "@"),
    *("none", "null", "'null'", "batchnorm", "pre", "[pre]", "{norm: none}", "{name:mlp}"),
)
PATHS = (
    *(
        "/tmp/a=b",
        "/tmp/ünï",
        "/tmp/#x",
        "/tmp/it's",
        "~/x",
        "~",
        "~root/x",
        "~nobody-here/x",
        "'~/x'",
    ),
    *("/tmp/my runs", "/tmp/a,b", "/tmp/[x]", "/tmp/{x}", "/tmp/a(1)", "/tmp/a:b", "/tmp/$HOME"),
    *("$HOME/x", "${HOME}/x", "/tmp/%s", "/tmp/a\\b", "/tmp/a\\", "/tmp/a/", "/tmp/🙂", "-x", "--"),
    *(
        "/tmp/a;b",
        "/tmp/a&b",
        '/tmp/a"b',
        "/tmp/a?*",
        "/tmp/a!b",
        "/tmp/a`b`",
        "/tmp/$(x)",
        "a\u00a0b",
    ),
    *(
        "'/tmp/a\\'b'",
        "'a",
        "b'",
        "./~x",
        ":smile:",
        "[red]x[/red]",
        "/tmp/a//b/../c",
        "1e3",
        "007",
    ),
)
INTERPOLATIONS = (
    *("${batch_size}", "${seeds}", "${optim}", "${a.b}", "${.x}", "${..x}", "${", "${}", "${${}}"),
    *("${oc.env:HOME}", "${oc.env:NOPE}", "${oc.env:NOPE,3}", "${oc.decode:'['}", "${nope:1}"),
    *("${oc.create:{a:1}}", "${now:%f}", "${hydra:runtime.cwd}", "${default_jobs:cpu}"),
    *("'${batch_size}'", "a${batch_size}b", "${oc.select:nope,3}", "${oc.dict.keys:model}"),
)
SWEEPS = (
    *("{0},{1}", "choice({0},{1})", "choice()", "range({0},{1})", "range({0},{1},{2})"),
    *("range(0,1e9)", "range(0,1000000000)", "range(1,1e18)", "range(0,1,0)", "range(0,1,1e-300)"),
    *("range(1e17,1e17,1)", "range(0,inf)", "range(nan,1)", "shuffle(range(0,1e9))", "range(3)"),
    *("sort(range(0,1e9),reverse=true)", "sort({0},{1})", "shuffle({0},{1})", "interval({0},{1})"),
    *("glob(*)", "glob([a*,b*],exclude=*)", "glob({0})", "tag(a,choice({0},{1}))", "int({0})"),
    *("float({0},{1})", "str([{0}])", "bool({0})", "nope({0})", "choice({0},[{1}])"),
    *("shuffle([{0},{1}])", "sort([{0},{1}])"),
)
FLAGS = (
    *("-m", "-m", "-m", "--multirun", "--cfg", "--cfg=job", "--cfg=all", "--cf=hydra", "--resolve"),
    *("--package", "-p", "--info", "--info=defaults", "--info=nope", "--info=plugins", "--help"),
    *(
        "-h",
        "--hydra-help",
        "--version",
        "--run",
        "-r",
        "-sc",
        "--shell-completion",
        "-cn",
        "-cd=x",
    ),
    *("--config-path=x", "--experimental-rerun=x", "--", "-", "---", "-x", "--nope\n", "-mm"),
)
REAL = (
    "norm=batchnorm placement=post optim.lr_mult=5",
    "-m norm=none,batchnorm tune.low=0.01 tune.high=1 seeds=[0,1]",
    "model=vgg norm=batchnorm placement=post optim.lr_mult=5 seeds=[0,1]",
    "-m norm=batchnorm,layernorm batch_size=2,8,32",
    "-m norm=none,batchnorm placement=pre,post model=mlp,vgg",
    "experiment=placement data=digits seeds=[0] hydra.launcher.n_jobs=2",
    "experiment=placement,shift model=mlp batch_size=128",
    "experiment=glob(sh*) seeds=[7]",
    "experiment=shift shift.severities=[1,3] train.policies=[ema,precise]",
    "data=synthetic model=vgg16 train=smoke track=csv device=cpu",
    "optim=adam optim.base_lr=0.003 optim.schedule=cosine train.epochs=2",
    "-m model.widths=[64],[64,64] model.depth=[1],[2] optim.base_lr=range(0.01,0.05,0.01)",
    "arms=[{norm:none},{norm:'batchnorm,groupnorm',placement:'pre,post'}]",
    "hydra/launcher=basic norm=lrn model=sigmoid_vgg norm.size=3",
    "report.question='What is it?' report.compare=[{baseline:{norm.name:none}}]",
    "report.figures=[{kind:versus,title:T,x:batch_size,y:test/loss,where:'batch_size > 2'}]",
    "results=here track.project='my project' data.root=there threads=2 probes=[]",
    "experiment=shift track.tags=[paper,'a,b'] track.notes=why seeds=[0]",
)


def command_line(rng: random.Random) -> list[str]:
    """A random command line: a real one with something changed, or one put together from words."""
    if rng.random() < 0.35:
        argv: list[str] = [*rng.choice(REAL).split(" ")]
        for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
            place = rng.randrange(len(argv))
            argv[place] = mutated(rng, argv[place])
    else:
        argv = [override(rng) for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5)))]
    if rng.random() < 0.25:
        for _ in range(rng.choice((1, 1, 1, 2))):
            argv.insert(rng.randint(0, len(argv)), rng.choice(FLAGS))
    return argv


def override(rng: random.Random) -> str:
    """One random override, or something that is none."""
    kind = rng.random()
    if kind < 0.06:
        noise = bytes(rng.randrange(256) for _ in range(rng.randint(1, 30)))
        return noise.decode("utf-8", "surrogateescape")
    if kind < 0.1:
        return "".join(rng.choice(string.printable) for _ in range(rng.randint(1, 30)))
    if kind < 0.15:
        key = rng.choice(TEXT_KEYS)
        content = mutated(rng, rng.choice(PATHS)) if rng.random() < 0.3 else rng.choice(PATHS)
    elif kind < 0.25:
        key = rng.choice(sorted(GROUPS))
        other = rng.choice(sorted(GROUPS))
        content = rng.choice((rng.choice(GROUPS[key]), rng.choice(GROUPS[other]), value(rng)))
    elif kind < 0.4:
        key, content = rng.choice(HYDRA_KEYS), rng.choice((rng.choice(HYDRA_VALUES), value(rng)))
    else:
        key = rng.choice(sorted(KEYS))
        content = KEYS[key] if rng.random() < 0.2 else value(rng)
    if rng.random() < 0.15:
        key = mutated(rng, key)
    if rng.random() < 0.08:
        key += rng.choice(("@foo", "@hydra", "@hydra.run", "@_global_", "@", "@:x", "@a:b"))
    sign = rng.choice(("", "", "", "", "", "", "", "+", "++", "~", "+++"))
    return f"{sign}{key}" if sign == "~" and rng.random() < 0.5 else f"{sign}{key}={content}"


def value(rng: random.Random, depth: int = 0) -> str:
    """A random value, odd more often than not."""
    kind = rng.random()
    if kind < 0.35 or depth > 3:
        return rng.choice(NUMBERS)
    if kind < 0.5:
        return rng.choice(TEXTS)
    if kind < 0.6:
        return rng.choice(sorted(KEYS.values()))
    if kind < 0.7:
        return rng.choice(INTERPOLATIONS)
    parts = [value(rng, depth + 1) for _ in range(3)]
    if kind < 0.83:
        return rng.choice(SWEEPS).format(*parts)
    if kind < 0.91:
        return f"[{','.join(parts[: rng.randint(0, 3)])}]"
    if kind < 0.95:
        return "{" + ",".join(f"{rng.choice(sorted(KEYS))}:{part}" for part in parts) + "}"
    if kind < 0.97:
        deep = rng.choice((10, 100, 1000))
        return "[" * deep + parts[0] + "]" * rng.choice((deep, deep - 1))
    return rng.choice(("'{}'", '"{}"', "\\{}", "{} ", " {}")).format(parts[0])


def mutated(rng: random.Random, text: str) -> str:
    """A text with a few characters lost, doubled, swapped, inserted or replaced."""
    for _ in range(rng.randint(1, 2)):
        place = rng.randrange(len(text) + 1)
        head, tail = text[:place], text[place:]
        changed = (
            head,
            head + tail[1:],
            head + tail[:1] + tail,
            head + tail[1:2] + tail[:1] + tail[2:],
            head + rng.choice("=,.[]{}'$~+@/-é") + tail,
            head + rng.choice(string.printable) + tail[1:],
        )
        text = rng.choice(changed)
    return text


class HangError(BaseException):
    """A request took too long; no handler of exceptions catches it."""


@dataclass
class Answer:
    """What a command line was answered, and how the answer breaks the contract."""

    kind: str = "refused"
    line: str = ""
    seconds: float = 0.0  # of the processor: unlike the clock, no other process slows it
    breaches: list[str] = field(default_factory=list)
    requests: list[cli.Request] = field(default_factory=list)


def ask(argv: list[str]) -> Answer:
    """Put a command line to `sweep.sweep` with nothing but the training replaced."""
    answer, before, code = Answer(), state(), None
    out, err = io.StringIO(), io.StringIO()

    def run(read: Callable[[], cli.Request], *_: object) -> int:
        request = read()
        answer.requests.append(request)
        answer.breaches += faults(request)
        return 0

    def task(_: object) -> None:
        answer.breaches.append("training was started")

    started, memory = time.process_time(), peak_mb()
    with (
        watched() as traces,
        mock.patch.multiple(sweep, run=run, task=task),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            code = sweep.sweep(list(argv))
        except SystemExit as ending:
            code = ending.code
        except (Exception, HangError) as error:
            answer.breaches.append(f"{type(error).__name__} escaped: {error}")
    answer.seconds = time.process_time() - started
    answer.breaches += traces
    answer.breaches += [f"{what} changed" for what, now in state().items() if now != before[what]]
    if peak_mb() - memory > GROWTH_MB:
        answer.breaches.append(f"memory grew by {peak_mb() - memory:.0f} MB")
    answer.line = err.getvalue()
    if answer.requests:
        answer.kind = "accepted"
        kept = code == 0 and not out.getvalue() and not answer.line
    elif code == 0:
        answer.kind = "shown"
        kept = bool(out.getvalue()) and not answer.line
    else:
        line = answer.line.removeprefix("bnbench: ").removesuffix("\n")
        is_line = answer.line == f"bnbench: {line}\n" and line.isprintable() and len(line) > 3
        kept = code == 2 and not out.getvalue() and is_line and len(line) < LONGEST + 9
    if not kept:
        answer.breaches.append(f"code {code}, out {out.getvalue()!r}, err {answer.line!r}")
    return answer


def faults(request: cli.Request) -> list[str]:
    """What is wrong with a request that was accepted."""
    found = []
    for arm in request.arms.values():
        check(arm.config)
    for arm in list(request.arms.values())[:: max(1, len(request.arms) - 1)]:  # first and last
        config = of_job(as_job(arm.config))
        if arm_id(science(config)) != arm.id:
            found.append(f"{arm.id}: a worker trains {arm_id(science(config))}")
        if Path(config.results) != Path(arm.config.results).absolute():
            found.append(f"{arm.id}: a worker writes in {config.results}")
        for key in ("seeds", "shift", "track", "device", "threads"):
            if getattr(config, key) != getattr(arm.config, key):
                found.append(f"{arm.id}: {key} of a worker is {getattr(config, key)}")
    config = launcher_config(request)
    writes = (config.hydra.sweep.dir, config.hydra.sweep.subdir, config.hydra.output_subdir)
    if writes != (f"{request.results.absolute()}/runs", ".", None):
        found.append(f"Hydra would write in {writes}")
    make_launcher(config, sweep.task)
    return found


def peak_mb() -> float:
    """The most memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def state() -> dict[str, Any]:
    """What one request must not leave behind for the next."""
    plugins = Plugins.instance().plugin_type_to_subclass_list
    return {
        "the environment": dict(os.environ),
        "sys.argv": list(sys.argv),
        "sys.path": list(sys.path),
        "the folder": Path.cwd(),
        "Hydra": GlobalHydra.instance().is_initialized(),
        "resolvers": sorted(BaseContainer._resolvers),
        "plugins": {kind.__name__: len(names) for kind, names in plugins.items()},
        "threads": threading.active_count(),
    }


seen: list[str] | None = None  # what the audit hook has noted, while it looks


@cache
def listen() -> None:
    """Have Python tell of every file, process and connection; an audit hook stays for good."""
    sys.addaudithook(note)


def note(event: str, args: tuple[Any, ...]) -> None:
    """Note what is written, made, removed or begun."""
    if seen is None:
        return
    if event == "open":
        path = None if isinstance(args[0], int) else Path(os.fsdecode(args[0]))
        # a file without a name is opened by its folder's, and below a file there is none
        is_file = path is not None and not path.is_dir() and path.parent.is_dir()
        if is_file and args[2] & (os.O_WRONLY | os.O_RDWR) and path != Path(os.devnull):
            seen.append(f"wrote {path}")
    elif event in (
        *("os.mkdir", "os.rename", "os.symlink", "os.link", "os.remove", "os.rmdir", "os.chmod"),
        *("os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen"),
        *("socket.connect", "socket.bind"),
    ):
        seen.append(f"{event} {args}")


@contextlib.contextmanager
def watched() -> Iterator[list[str]]:
    """Note what is done to the machine, end what hangs, and put signals and logging back."""
    global seen

    def hang(*_: object) -> None:
        raise HangError(f"it took longer than {HANG_SECONDS} s")

    listen()
    numbers = (signal.SIGALRM, signal.SIGPROF, signal.SIGTERM, signal.SIGINT)
    handlers = {number: signal.getsignal(number) for number in numbers}
    level, loggers = logging.root.level, list(logging.root.handlers)
    signal.signal(signal.SIGPROF, hang)
    signal.setitimer(signal.ITIMER_PROF, HANG_SECONDS)
    signal.signal(signal.SIGALRM, hang)  # it waits for something, or for a very busy machine
    signal.setitimer(signal.ITIMER_REAL, 10 * HANG_SECONDS)
    seen = traces = []
    try:
        with warnings.catch_warnings():
            yield traces
    finally:
        seen = None
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        logging.root.handlers[:] = loggers
        logging.root.setLevel(level)


def differences(quick: Answer, whole: Answer) -> list[str]:
    """How the answer differs that was composed without a memory."""
    said = [
        (answer.kind, answer.line, [sorted(request.arms) for request in answer.requests])
        for answer in (quick, whole)
    ]
    return [*whole.breaches, *([] if said[0] == said[1] else [f"{said[0]} but whole {said[1]}"])]


def main() -> int:
    """Ask, print every breach and the tally; 1 when there is a breach."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    console = Console(markup=False, highlight=False, soft_wrap=True)
    sys.dont_write_bytecode = True
    rng, tally, started = random.Random(args.seed), Counter[str](), time.monotonic()
    slowest: dict[str, tuple[float, list[str]]] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for argv in ([], ["--help"], ["--info"], ["-sc", "install=bash"]):  # imports, once
            ask(argv)
        for number in track(range(args.number), console=console, transient=True):
            argv = command_line(rng)
            with remembering():
                answer = ask(argv)
            if number % WHOLE == 0:
                tally["whole"] += 1
                answer.breaches += differences(answer, ask(argv))
            tally[answer.kind] += 1
            slowest[answer.kind] = max(slowest.get(answer.kind, (0.0, [])), (answer.seconds, argv))
            for breach in answer.breaches:
                tally["breaches"] += 1
                console.print(f"{argv!r}: {breach}")
    minutes = (time.monotonic() - started) / 60
    console.print(f"{args.number} command lines, seed {args.seed}, in {minutes:.1f} minutes")
    for kind, (seconds, argv) in slowest.items():
        console.print(f"{kind}: {tally[kind]}, slowest {seconds:.2f} CPU s: {argv!r}"[:300])
    console.print(f"also composed whole: {tally['whole']}; breaches: {tally['breaches']}")
    return int(tally["breaches"] > 0)


if __name__ == "__main__":
    sys.exit(main())
