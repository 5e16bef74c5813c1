"""The stand-in for the W&B backend, and what wandb does when the server is not as it should be."""

import contextlib
import gzip
import http.client
import json
import os
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from wandb_server import KEY, WandbServer

pytestmark = pytest.mark.slow  # they ask wandb rather than bnbench

CLIENT = """
import contextlib, json, sys, time
import wandb

mode, results, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
outcome = {}


@contextlib.contextmanager
def tried(what):
    start = time.monotonic()
    try:
        yield
    except (wandb.Error, TimeoutError) as error:
        outcome[what] = type(error).__name__
    outcome[what + " seconds"] = time.monotonic() - start


def log(steps):
    for step in steps:
        run.log({"samples": 10 * step, "val/accuracy": step / 8}, step=step, commit=True)


run = None
with tried("init"):
    run = wandb.init(
        mode=mode, dir=results, id="one", resume="never", project="p", name="bn/seed-0", group="bn",
        tags=["mlp", "interrupted"], config={"arm": "bn", "norm": {"name": "bn"}, "seed": 0},
        settings=wandb.Settings(**settings),
    )
if run:
    log(range(3))
    print("half", flush=True)
    sys.stdin.readline()
    log(range(3, 6))
    run.tags = ("mlp",)
    run.summary.update({"val/accuracy": 0.75})
    with tried("finish"):
        run.finish(exit_code=7)
print(json.dumps(outcome), flush=True)
"""
LONG = 600  # seconds that no machine is busy for: what takes less did not wait as long as it may
SETTINGS = {  # as in bnbench/tracking/wandb_log.py, with less patience
    "reinit": "create_new",
    "silent": True,
    "console": "off",
    "finish_timeout": 1,
    "finish_timeout_raises": True,
    "x_transaction_log_flush_interval": 0.1,
    "host": "",
    "username": "",
    "disable_git": True,
    "save_code": False,
    "x_disable_stats": True,
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
}
ACCURACIES = [0, 0.125, 0.25, 0.375, 0.5, 0.625]


class Train:
    """A process that logs six rows of the run `one`, and waits in the middle."""

    def __init__(
        self, server: WandbServer, results: Path, mode: str = "online", init_timeout: float = 30
    ):
        settings = SETTINGS | {"init_timeout": init_timeout}
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, mode, str(results), json.dumps(settings)],
            env={**os.environ, **server.env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def half(self) -> None:
        """Wait until it has logged three rows."""
        assert self.process.stdout
        assert self.process.stdout.readline() == "half\n"

    def end(self) -> dict[str, Any]:
        """Let it log the rest; what it says of how wandb's calls ended, and stderr."""
        out, err = self.process.communicate("\n")
        assert self.process.returncode == 0, err
        return json.loads(out.splitlines()[-1]) | {"stderr": err}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of our own: no key of the user is read, nothing is written to their folders."""
    for name in os.environ:
        if name.startswith(("WANDB_", "XDG_")) or name == "NETRC":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")  # else the process's end waits for it


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "results").mkdir()
    return tmp_path / "results"


def sync(server: WandbServer, results: Path, *options: str) -> str:
    """What `wandb sync` says of a results folder. It exits with 0 also where it failed."""
    command = [sys.executable, "-m", "wandb", "sync", "--yes", *options]
    answer = subprocess.run(
        command, cwd=results, env={**os.environ, **server.env}, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stderr


def file_of(results: Path) -> Path:
    """W&B's file of the only run."""
    [path] = (results / "wandb").glob("*run-*-one/run-one.wandb")
    return path


def is_marked(results: Path) -> bool:
    """Whether `wandb sync` takes the run for uploaded."""
    return file_of(results).with_suffix(".wandb.synced").exists()


def wait_until(condition: Callable[[], object]) -> None:
    while not condition():  # a test that waits for good is told by pytest's faulthandler
        time.sleep(0.01)


def post(server: WandbServer, path: str, content: Any) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    with contextlib.closing(connection):
        connection.request("POST", path, json.dumps(content))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def rows(offset: int, *values: int) -> dict[str, Any]:
    content = [json.dumps({"value": value}) for value in values]
    return {"files": {"wandb-history.jsonl": {"offset": offset, "content": content}}}


@pytest.mark.parametrize("encode", [bytes, gzip.compress, zlib.compress])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_are_decoded(encode: Callable[[bytes], bytes], chunked: bool) -> None:
    """Every way that HTTP clients send a body, twice over one connection."""
    coding = {bytes: "identity", gzip.compress: "gzip", zlib.compress: "deflate"}[encode]
    with WandbServer() as server:
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
        for offset in (0, 1):
            body = encode(json.dumps(rows(offset, 10 + offset)).encode())
            pieces = iter([body[:7], body[7:]]) if chunked else body
            headers = {"Content-Encoding": coding}
            connection.request("POST", "/files/e/p/one/file_stream", pieces, headers)
            assert connection.getresponse().read() == b'{"limits": {}}'
        connection.close()
    assert [row["value"] for row in server.runs["one"].points] == [10, 11]
    assert not server.unknown


@pytest.mark.parametrize(
    "start",
    [
        b"Content-Length: 9\r\n\r\n{",
        b"Transfer-Encoding: chunked\r\n\r\n9\r\n{",
        b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1",
    ],
)
def test_a_client_that_is_killed_in_mid_request_says_nothing(start: bytes) -> None:
    with WandbServer() as server:
        with socket.create_connection(("127.0.0.1", server.http.server_port)) as client:
            client.sendall(b"POST /graphql HTTP/1.1\r\n" + start)
            wait_until(lambda: server.http.connections)
        wait_until(lambda: not server.http.connections)
    assert not server.unknown


def test_rows_are_kept_by_offset() -> None:
    with WandbServer() as server:
        for given in (rows(2, 2, 3), rows(0, 0, 1), rows(1, 11, 12)):
            assert post(server, "/files/e/p/one/file_stream", given)[0] == 200
    run = server.runs["one"]
    assert [row["value"] for row in run.points] == [0, 11, 12, 3]
    assert run.sent == 6


def test_the_unknown_is_told() -> None:
    with WandbServer() as server:
        for query in ("query Known { x }", "mutation More($a: Int) { x }"):
            assert post(server, "/graphql", {"query": query})[0] == 404
        assert post(server, "/elsewhere", {})[0] == 404
        with pytest.raises(http.client.RemoteDisconnected):
            post(server, "/graphql", [])
    assert server.unknown[:3] == ["Known", "More", "POST /elsewhere"]
    assert server.unknown[3].startswith("TypeError")


def test_a_dead_server_cuts_and_refuses() -> None:
    with WandbServer("silent") as server:
        address = ("127.0.0.1", server.http.server_port)
        with socket.create_connection(address) as waiting:
            waiting.sendall(b"GET / HTTP/1.1\r\n\r\n")
            wait_until(lambda: server.http.connections)
            server.die()
            assert waiting.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        with pytest.raises(ConnectionAbortedError):  # what was on its way is not taken in
            server.answer("GET", "/", b"")
    assert not server.unknown


def test_a_server_dies_of_a_row_and_keeps_it() -> None:
    with WandbServer(after_rows=3) as server:
        post(server, "/files/e/p/one/file_stream", rows(0, 0, 1))
        with pytest.raises(http.client.RemoteDisconnected):
            post(server, "/files/e/p/two/file_stream", rows(0, 2))
        with pytest.raises(ConnectionRefusedError):
            post(server, "/files/e/p/two/file_stream", rows(1, 3))
    assert [len(run.rows) for run in server.runs.values()] == [2, 1]


def assert_whole(server: WandbServer, run_id: str = "one") -> None:
    """The run is there as it was logged, every row once, with what was changed last."""
    run = server.runs[run_id]
    assert [row["_step"] for row in run.points] == [0, 1, 2, 3, 4, 5]
    assert [row["val/accuracy"] for row in run.points] == ACCURACIES
    assert (run.sent, run.complete, run.exit_code) == (6, True, 7)
    assert (run.name, run.group, run.tags) == ("bn/seed-0", "bn", ["mlp"])
    assert run.config == {"arm": "bn", "norm": {"name": "bn"}, "seed": 0}
    assert run.summary["val/accuracy"] == 0.75
    assert not server.unknown


def test_an_online_run_arrives(results: Path) -> None:
    with WandbServer() as server:
        train = Train(server, results)
        train.half()
        assert server.runs["one"].tags == ["mlp", "interrupted"]
        assert not server.runs["one"].complete
        outcome = train.end()
    assert not {"init", "finish"} & set(outcome)
    assert_whole(server)
    assert not any(KEY.encode() in path.read_bytes() for path in files(results))


def files(folder: Path) -> Iterator[Path]:
    """All files below a folder; there are some."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    assert found
    yield from found


def test_an_offline_run_is_uploaded_once(results: Path) -> None:
    with WandbServer() as server:
        train = Train(server, results, "offline")
        train.half()
        train.end()
        assert not server.runs
        assert "Finished syncing" in sync(server, results)
        assert_whole(server)
        assert is_marked(results)
        assert "No runs to sync" in sync(server, results)
        assert_whole(server)


@pytest.mark.slow
def test_an_upload_that_is_repeated_appends_unless_it_gets_a_new_id(results: Path) -> None:
    """The client counts on from the rows that the server says it has, whatever they are."""
    with WandbServer() as server:
        train = Train(server, results, "offline")
        train.half()
        train.end()
        sync(server, results)
        mark = file_of(results).with_suffix(".wandb.synced")
        mark.unlink()
        sync(server, results, "--id", "two", str(mark.parent))
        assert_whole(server)
        assert_whole(server, "two")
        mark.unlink()
        sync(server, results)
    assert [row["val/accuracy"] for row in server.runs["one"].points] == 2 * ACCURACIES


@pytest.mark.parametrize(
    "fault", ["silent", "refuses", pytest.param("dead", marks=pytest.mark.slow)]
)
def test_a_run_cannot_start_online(fault: str, results: Path) -> None:
    with WandbServer() as server:
        if fault == "dead":
            server.die()
        else:
            server.behaviour = fault
        timeout = LONG if fault == "refuses" else 1
        outcome = Train(server, results, init_timeout=timeout).end()
    assert outcome["init"] == "CommError"
    assert outcome["init seconds"] < LONG  # where it is refused, wandb does not wait
    assert not server.runs


@pytest.mark.parametrize(
    "fault",
    [
        "dead",
        pytest.param("silent", marks=pytest.mark.slow),
        pytest.param("refuses", marks=pytest.mark.slow),
        pytest.param("dies of the last rows", marks=pytest.mark.slow),
    ],
)
def test_a_server_is_lost_in_mid_run(fault: str, results: Path) -> None:
    """Logging goes on and nothing is lost on disk; only a timeout is an exception."""
    with WandbServer(after_rows=6 if fault == "dies of the last rows" else 99) as server:
        train = Train(server, results)
        train.half()
        if fault == "dead":
            server.die()
        elif fault != "dies of the last rows":
            server.behaviour = fault
        outcome = train.end()
    assert "init" not in outcome
    assert outcome.get("finish") == (None if fault == "refuses" else "TimeoutError")
    assert outcome["finish seconds"] < LONG
    assert "WARNING Fatal error while uploading data" in outcome["stderr"]
    assert len(server.runs["one"].rows) == (6 if fault == "dies of the last rows" else 0)
    assert not is_marked(results)

    with WandbServer() as server:
        sync(server, results, "--include-online")
    assert_whole(server)
    assert is_marked(results)


@pytest.mark.slow
def test_a_torn_file_is_uploaded_but_not_marked(results: Path) -> None:
    with WandbServer() as server:
        train = Train(server, results, "offline")
        train.half()
        train.end()
        whole = file_of(results).read_bytes()
        file_of(results).write_bytes(whole[: whole.index(b"0.625")])
        assert "ends with an incomplete record" in sync(server, results)
        run = server.runs["one"]
        assert [row["val/accuracy"] for row in run.points] == ACCURACIES[:5]
        assert (run.tags, run.complete, run.exit_code) == (["mlp", "interrupted"], True, 1)
        assert not is_marked(results)


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 7, 100])
def test_a_file_without_a_run_keeps_all_others_from_being_uploaded(
    size: int, results: Path
) -> None:
    with WandbServer() as server:
        train = Train(server, results, "offline")
        train.half()
        train.end()
        other = results / "wandb" / "offline-run-20000101_000000-two"
        other.mkdir()
        (other / "run-two.wandb").write_bytes(file_of(results).read_bytes()[:size])
        assert "ERROR Failed to" in sync(server, results)
    assert not server.runs
    assert not is_marked(results)


@pytest.mark.slow
def test_a_run_that_is_uploaded_before_its_end_is_taken_for_whole(results: Path) -> None:
    """Its later rows never arrive: nobody may sync a run that still trains."""
    with WandbServer() as server:
        train = Train(server, results, "offline")
        train.half()
        wait_until(lambda: b"0.25" in file_of(results).read_bytes())
        sync(server, results)
        assert is_marked(results)
        train.end()
        assert "No runs to sync" in sync(server, results)
    run = server.runs["one"]
    assert [row["val/accuracy"] for row in run.points] == ACCURACIES[:3]
    assert (run.tags, run.complete, run.exit_code) == (["mlp", "interrupted"], True, 1)


@pytest.mark.slow
def test_online_runs_are_uploaded_on_request_only_and_also_where_they_arrived(
    results: Path,
) -> None:
    """An online run gets no mark when it has arrived: a request uploads it again, and appends."""
    with WandbServer() as server:
        train = Train(server, results)
        train.half()
        train.end()
        assert not is_marked(results)
        assert "Skipped 1 online run(s)" in sync(server, results)
        assert_whole(server)
        sync(server, results, "--include-online")
        assert is_marked(results)
    assert [row["val/accuracy"] for row in server.runs["one"].points] == 2 * ACCURACIES
