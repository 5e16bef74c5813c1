"""Sweeps on Ray and SLURM: what is refused, what workers elsewhere are told, and what survives."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from bnbench import ROOT
from bnbench.config.checks import RequestError
from bnbench.config.schema import Config, DataName, ShippedDataConfig
from bnbench.request import clusters, preflight
from bnbench.running.clusters import attended
from bnbench.running.launch import as_job, launcher_config, of_job

TRAIN = [sys.executable, str(ROOT / "scripts" / "train.py")]
PATIENCE = 600  # seconds until a process counts as hung, on however busy a machine
KEY = "0123456789abcdef" * 2 + "bnbench0"  # of W&B: it is to stand in no file
RAY_LOG = re.compile(r"^\[[^]]+ E \d+ \d+\] \w+\.cc:\d+: Failed to push error to driver.*\n", re.M)
ARMS = ["-m", "norm=none,batchnorm,layernorm,torch_batchnorm", "seeds=[0,1]", "data=digits"]


@pytest.fixture
def installed(monkeypatch):
    """Both plugins, whether they are there or not."""
    monkeypatch.setattr(clusters, "find_spec", lambda name: name)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.parametrize("launcher", ["ray", "slurm"])
def test_a_launcher_that_is_not_installed_says_how_to_install_it(read, monkeypatch, launcher):
    monkeypatch.setattr(clusters, "find_spec", lambda name: None)
    with pytest.raises(RequestError) as refusal:
        read(f"hydra/launcher={launcher}")
    assert f"`make sweep LAUNCHER={launcher}` installs it" in str(refusal.value)
    assert f"-e '.[{launcher}]'" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["init.address=127.0.0.9:1"], "init.address=127.0.0.9:1: no cluster answers there"),
        (["init.address=nonsense"], "init.address=nonsense: no cluster answers there"),
        (["init.address=null"], "init.address=null: no cluster answers there"),
        (
            ["init.address=127.0.0.9:1", "init.num_cpus=2"],
            "init.num_cpus=2: expected null, the cluster at 127.0.0.9:1 has its own number",
        ),
        (["init.num_cpus=0"], "init.num_cpus=0: expected an integer >= 1, what one arm takes"),
        (["init.num_cpus=x"], "init.num_cpus=x: expected an integer >= 1, what one arm takes"),
        (
            ["init.num_cpus=2", "remote.num_cpus=3"],
            "init.num_cpus=2: expected an integer >= 3, what one arm takes",
        ),
        (["remote.num_cpus=0"], "remote.num_cpus=0: expected a number >= 1"),
        (["remote.num_gpus=-1"], "remote.num_gpus=-1: expected a number >= 0"),
        (["remote.max_retries=often"], "remote.max_retries=often: expected a number >= -1"),
    ],
)
def test_a_ray_cluster_on_which_nothing_would_run_is_refused(read, tmp_path, overrides, line):
    with pytest.raises(RequestError) as refusal:
        read("hydra/launcher=ray", *(f"hydra.launcher.ray.{o}" for o in overrides))
    assert str(refusal.value).startswith(f"hydra.launcher.ray.{line}")
    assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "device", "threads", "cpus"),
    [("local", "cuda", 1, 1), ("local", "cuda", 3, 3), ("head:6379", "cpu", 1, None)],
)
def test_a_cluster_of_its_own_has_room_for_every_worker(address, device, threads, cpus):
    assert preflight.ray_cpus(address, device, threads) == cpus


@pytest.mark.parametrize(
    ("variables", "installs", "override"),
    [
        (["JOBS=3"], "", "hydra.launcher.n_jobs=3"),
        (["LAUNCHER=ray", "JOBS=3"], ".[ray]", "hydra.launcher.ray.init.num_cpus=3"),
        (["LAUNCHER=slurm", "JOBS=3"], ".[slurm]", "hydra.launcher.array_parallelism=3"),
        (["LAUNCHER=submitit_local"], ".[slurm]", "hydra/launcher=submitit_local"),
    ],
)
def test_make_installs_the_launcher_and_tells_it_the_jobs(variables, installs, override):
    command = ["make", "--no-print-directory", "--dry-run", "--always-make", "sweep", *variables]
    # what a make that runs the tests says to those below it is not for this one
    own = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True, env=own)
    *lines, sweep = answer.stdout.splitlines()
    assert f"'{override}'" in sweep
    assert [e for e in (".[ray]", ".[slurm]") if f"-e '{e}'" in "".join(lines)] == [
        *([installs] if installs else [])
    ]


def test_no_launcher_is_imported_before_it_is_needed():
    code = (
        "import sys; from bnbench.commands.train import main;"
        "code = main(['norm=nope', 'hydra/launcher=ray']);"
        "sys.exit(code != 2 or bool({'ray', 'submitit', 'boto3'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


paths = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), min_size=1)


@given(folder=paths)
def test_any_folder_reaches_a_worker_whole(folder):
    where = str(Path("/", folder))
    data = ShippedDataConfig(name=DataName.digits, root=where)
    handed = json.loads(as_job(Config(results=where, data=data)))
    assert (handed["results"], handed["data"]["root"]) == (where, where)


def test_workers_do_not_depend_on_the_folder_they_start_in(read_afresh, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    request = read_afresh("""results="it's mine, Ω\"""", "data.root='a, b'")
    assert str(request.results) == "it's mine, Ω"
    (arm,) = request.arms.values()
    job, launcher = as_job(arm.config), launcher_config(request)
    monkeypatch.chdir("/")
    config = of_job(job)
    assert config.results == f"{tmp_path}/it's mine, Ω"
    assert config.data.root == f"{tmp_path}/a, b"
    assert launcher.hydra.sweep.dir == f"{tmp_path}/it's mine, Ω/runs"


class Job:
    """A job of submitit, as far as it is looked at."""

    def __init__(self, job_id, waited):
        self.job_id, self.waited = job_id, waited

    def wait(self):
        self.waited.append(self.job_id)


def raising(error, ids, waited):
    """A launcher that raises while it holds jobs, as the plugin's does."""

    def launch(jobs):
        raise error

    plugin = {"__name__": "hydra_plugins.hydra_submitit_launcher.submitit_launcher"}
    there = types.FunctionType(launch.__code__, plugin, closure=launch.__closure__)
    there([Job(job_id, waited) for job_id in ids])


SLURM = OmegaConf.create(
    {"_target_": "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"}
)


def test_the_other_jobs_of_a_launch_are_waited_for_when_one_is_lost():
    waited = []
    error = RuntimeError("Job 7_0 with path x\nhas not produced any output (state: NODE_FAIL)\n--")
    with pytest.raises(RuntimeError) as told, attended(SLURM):
        raising(error, ["7_0", "7_1"], waited)
    assert str(told.value) == "Job 7_0 with path x has not produced any output (state: NODE_FAIL)"
    assert waited == ["7_0", "7_1"]


def test_the_jobs_of_a_launch_are_cancelled_when_the_sweep_is_stopped(tmp_path, monkeypatch):
    waited = []
    scancel = tmp_path / "scancel"
    scancel.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/cancelled\n')
    scancel.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(KeyboardInterrupt), attended(SLURM):
        raising(KeyboardInterrupt(), ["7_0", "7_1", "8_0"], waited)
    assert (tmp_path / "cancelled").read_text() == "7 8\n"
    assert waited == []


# what follows needs the extras: `make check` installs them


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of the test's own, for what Ray writes; its sockets need short paths."""
    temporary = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    for name in [name for name in os.environ if name.startswith(("RAY_", "WANDB_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(temporary))
    monkeypatch.setenv("RAY_TMPDIR", str(temporary))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    yield temporary
    while left := processes(f"HOME={temporary}"):  # Ray's agents outlive a killed sweep by a minute
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    written = [p for folder in (tmp_path, temporary) for p in folder.rglob("*") if p.is_file()]
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []
    shutil.rmtree(temporary)


@pytest.fixture
def cluster(home):
    """Start a cluster with a command before it; its address and the process that holds it."""
    started = []

    def start(*prefix):
        command = [*prefix, sys.executable, str(ROOT / "tests" / "ray_cluster.py")]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        started.append(process)
        return process.stdout.readline().strip(), process

    yield start
    for process in started:
        process.communicate()


def sweep(tmp_path, *arguments, **options):
    """Start the command line with a results folder of the test's own."""
    return subprocess.Popen(
        [*TRAIN, "results=results", "device=cpu", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        **options,
    )


def training(tmp_path):
    """The curves that have points and no end yet."""
    curves = tmp_path.glob("results/runs/*/seed-*/metrics.csv")
    begun = [path for path in curves if path.read_bytes().count(b"\n") > 1]
    return [path for path in begun if not (path.parent / "summary.json").exists()]


def trainer(curve):
    """The process that has a curve open."""
    for file in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if file.readlink() == curve:
                return int(file.parts[2])
    raise AssertionError(f"nobody trains {curve}")


def wait_for(condition, process):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def curves(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.glob("results/runs/*/seed-*/metrics.csv")
    }


def attempts(tmp_path):
    """How often each run was begun: every attempt has a W&B run of its own."""
    return len(list(tmp_path.glob("results/wandb/offline-run-*")))


@pytest.mark.slow
def test_a_node_of_a_ray_cluster_that_dies_costs_no_run(cluster, tmp_path):
    quiet = tmp_path / "quiet"
    quiet.mkdir()
    arguments = ["-m", "norm=none,batchnorm", *ARMS[2:], "train.steps=500", "track=default"]
    undisturbed = sweep(quiet, *arguments, "hydra.launcher.n_jobs=2")
    output, errors = undisturbed.communicate()
    assert undisturbed.returncode == 0, (output, errors)

    address, nodes = cluster()
    where = ["hydra/launcher=ray", f"hydra.launcher.ray.init.address={address}"]
    process = sweep(tmp_path, *arguments, *where)
    # a node may take longer to begin than the other takes for its job, which is held until then
    wait_for(lambda: training(tmp_path), process)
    first = trainer(training(tmp_path)[0])
    os.kill(first, signal.SIGSTOP)
    wait_for(lambda: len(training(tmp_path)) == 2, process)
    os.kill(first, signal.SIGCONT)
    print("kill", file=nodes.stdin, flush=True)
    assert nodes.stdout.readline() == "killed\n"
    output, errors = process.communicate()
    assert process.returncode == 0, (output, errors)
    assert "4 runs finished" in output
    # Ray says so, and that it gives the node up where that came first; but it dumps no stack
    assert "the node it was running on is dead" in output
    assert 1 <= output.count("(raylet)") <= 3
    assert "Traceback" not in output
    assert errors == ""
    assert curves(tmp_path) == curves(quiet)
    # only what the dead node was training, if it was in a run, was begun again
    assert attempts(quiet) == 4
    assert attempts(tmp_path) in (4, 5)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_sweep_trains_nothing_on_ray_any_more(home, tmp_path, number):
    arguments = [*ARMS, "train.steps=4000", "track=csv", "hydra/launcher=ray"]
    process = sweep(tmp_path, *arguments, "hydra.launcher.ray.init.num_cpus=2")
    wait_for(lambda: len(training(tmp_path)) == 2, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE)
    if number == signal.SIGTERM:
        assert process.returncode == 130
        # Ray's own log may tell that a driver which is gone hears no more of a task
        own = RAY_LOG.sub("", errors)
        assert own == "\ninterrupted; the same command finishes what is missing\n"
    deadline = time.monotonic() + PATIENCE
    while any(b"_run_job" in command for command in processes(f"HOME={home}").values()):
        assert time.monotonic() < deadline, "a worker goes on training"
        time.sleep(0.1)
    assert not list(tmp_path.glob("results/runs/*/seed-*/summary.json"))


def processes(variable):
    """The commands of the living processes that have a variable in their environment."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            zombie = (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            if not zombie and variable.encode() in (process / "environ").read_bytes().split(b"\0"):
                found[int(process.name)] = (process / "cmdline").read_bytes().rstrip(b"\0")
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_results_that_are_not_shared_are_said_to_be_elsewhere(cluster, tmp_path):
    """The nodes have a disk of their own there; once it is copied, all is done."""
    results = tmp_path / "results"
    results.mkdir()
    own_disk = f'mount -t tmpfs none "{results}" && exec "$@"'
    address, nodes = cluster("unshare", "--map-root-user", "--mount", "sh", "-c", own_disk, "sh")
    code = (
        "import sys, bnbench.running.launch; bnbench.running.launch.VISIBLE_SECONDS = 1;"
        "from bnbench.commands.train import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["-m", "norm=none,batchnorm", "seeds=[0,1]", "data=synthetic", "train=smoke"]
    where = ["hydra/launcher=ray", f"hydra.launcher.ray.init.address={address}"]
    command = [
        *[sys.executable, "-c", code, f"results={results}", "track=csv", "device=cpu"],
        *[*arguments, *where],
    ]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE)
    assert answer.returncode == 1, answer.stderr
    told = [line for line in answer.stdout.splitlines() if line.startswith("FAILED ")]
    assert len(told) == 4
    assert all("in a results folder that is not this one" in line for line in told)
    shutil.copytree(f"/proc/{nodes.pid}/root{results}", results, dirs_exist_ok=True)
    again = sweep(tmp_path, *arguments, "track=csv")
    assert "4 done already, 0 to train" in again.communicate()[0]
    assert again.returncode == 0


@pytest.mark.slow
def test_a_killed_job_of_submitit_costs_no_run(home, tmp_path):
    arms = ["-m", "norm=none,batchnorm", "seeds=[0,1]", "data=digits", "train.steps=1000"]
    process = sweep(tmp_path, *arms, "track=csv", "hydra/launcher=submitit_local")
    wait_for(lambda: len(training(tmp_path)) == 2, process)
    lock = training(tmp_path)[0].parent / ".lock"
    (holder,) = [pid for pid in jobs() if lock in open_files(pid)]
    os.kill(holder, signal.SIGKILL)
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, (output, errors)
    assert "4 runs finished" in output
    assert len(list(tmp_path.glob("results/runs/*/seed-*/summary.json"))) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    assert {p.name for p in (tmp_path / "results").iterdir()} == {"experiments", "runs"}
    assert list(home.iterdir()) == []


def jobs():
    """The processes in which submitit runs something."""
    commands = Path("/proc").glob("[0-9]*/cmdline")
    return [int(path.parent.name) for path in commands if b"submitit.core" in path.read_bytes()]


def open_files(pid):
    return [path.readlink() for path in Path(f"/proc/{pid}/fd").iterdir()]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["ray", "slurm", "submitit_local"])
def test_what_a_launcher_costs_before_it_is_used(tmp_path, launcher):
    """Both extras are installed; help, configuration and refusals stay quick and to the point."""
    before = os.times()
    requests = [["--help"], ["--cfg", "hydra"], ["norm=nope"], ["-m", "norm=nope,none"]]
    for request in requests:
        answer = subprocess.run(
            [*TRAIN, f"hydra/launcher={launcher}", *request],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        lines = answer.stderr.count("\n")
        assert (answer.returncode, lines) == ((2, 1) if "nope" in request[-1] else (0, 0))
    after = os.times()
    assert after.children_user - before.children_user < 2 * len(requests)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("timeout_min=soon", "hydra.launcher.timeout_min=soon: Value 'soon' of type 'str' could"),
        ("timeout_min=0", "hydra.launcher.timeout_min=0: expected an integer >= 1"),
        ("array_parallelism=0", "hydra.launcher.array_parallelism=0: expected an integer >= 1"),
        ("typo=1", "hydra.launcher.typo: no such key, expected one of"),
        ("name=bnbench", "hydra/launcher=slurm: there is no sbatch here"),
    ],
)
def test_bad_options_of_slurm_are_refused_in_one_line(read, monkeypatch, option, line):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RequestError) as refusal:
        read("hydra/launcher=slurm", f"hydra.launcher.{option}")
    assert str(refusal.value).startswith(line)
    assert "\n" not in str(refusal.value)


def test_slurm_by_the_name_of_its_plugin_wants_slurm_too(read, monkeypatch):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    monkeypatch.setenv("PATH", "")
    line = r"^hydra/launcher=submitit_slurm: there is no sbatch here"
    with pytest.raises(RequestError, match=line):
        read("hydra/launcher=submitit_slurm")


def test_bad_options_of_submitit_are_refused_without_slurm_too(read):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    with pytest.raises(
        RequestError, match=r"^hydra\.launcher\.timeout_min=-1: expected an integer"
    ):
        read("hydra/launcher=submitit_local", "hydra.launcher.timeout_min=-1")
    assert read("hydra/launcher=submitit_local", "hydra.launcher.timeout_min=1").arms
