"""A stand-in for the W&B backend on the loopback address: it keeps what clients send, to count.

It answers what wandb 0.31 asks for a run: GraphQL, the file stream, uploads of files, telemetry;
what its public API asks to change one; and what wandb-workspaces 0.4 asks for a saved workspace.
"""

import contextlib
import gzip
import json
import re
import socket
import sys
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import quote, unquote

KEY = "0123456789abcdef" * 2 + "beefcafe"  # 40 characters: wandb refuses less
ENTITY = "someone"

Behaviour = Literal["answers", "silent", "refuses"]


@dataclass
class Received:
    """What the server holds of one run."""

    name: str = ""
    group: str = ""
    notes: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    internal: dict[str, Any] = field(default_factory=dict)  # of W&B's own, such as defined metrics
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)  # by offset: re-sent, replaced
    sent: int = 0  # row lines received at all: more than rows where an offset came twice
    summary: dict[str, Any] = field(default_factory=dict)
    complete: bool = False
    exit_code: int | None = None

    @property
    def points(self) -> list[dict[str, Any]]:
        """The rows in their order."""
        return [self.rows[offset] for offset in sorted(self.rows)]


class WandbServer:
    """A W&B server for the length of a `with` block.

    Attributes:
        behaviour: whether it answers, accepts connections but is silent, or refuses every request
            as that of a bad key; may be set while it runs, for the requests that follow.
        after_rows: how many rows it lives for; it dies before it confirms the last of them.
        url: where it listens.
        env: what a process needs to log to it.
        runs: what it received, by run id; still there when it is dead.
        views: the workspaces that were saved, by id: what was sent of each, the last time.
        unknown: what it had no answer to.
        asked: how many requests it has taken in.
    """

    def __init__(self, behaviour: Behaviour = "answers", after_rows: float = float("inf")):
        self.behaviour: Behaviour = behaviour
        self.after_rows = after_rows
        self.runs: dict[str, Received] = {}
        self.views: dict[str, dict[str, Any]] = {}
        self.unknown: list[str] = []
        self.asked = 0
        self.dead = threading.Event()
        self.lock = threading.Lock()
        self.http = Http(self)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.env = {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": KEY, "WANDB_MODE": "online"}

    def __enter__(self) -> Self:
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.die()

    def die(self) -> None:
        """Close the listening socket and all connections at once, as a killed process does."""
        self.dead.set()
        self.http.close()

    def answer(self, method: str, path: str, body: bytes) -> dict[str, Any] | None:
        """Take one request in; None for an unknown one."""
        with self.lock:
            if self.dead.is_set():
                raise ConnectionAbortedError
            self.asked += 1
            if path == "/graphql":
                return self.graphql(json.loads(body))
            if stream := re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", path):
                return self.file_stream(unquote(stream[1]), json.loads(body))
            if path.startswith(("/uploads/", "/sdk/otel/v1/")):
                return {}
            self.unknown.append(f"{method} {path}")
            return None

    def graphql(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Answer a GraphQL operation with the least that satisfies the client."""
        named = re.search(r"\b(?:query|mutation)\s+(\w+)", request["query"])
        operation = request.get("operationName") or (named[1] if named else request["query"])
        given = request.get("variables") or {}
        match operation:
            case "Viewer" | "GetDefaultEntity":
                viewer = {"id": "user", "entity": ENTITY, "username": ENTITY, "email": ""}
                data = {"viewer": viewer | {"flags": "{}", "teams": {"edges": []}}}
            case "ServerFeaturesQuery":
                data = {"serverInfo": {"features": []}}
            case "UpsertView2":
                if given.get("id") not in (None, *self.views):
                    return {"data": None, "errors": [{"message": "no such view"}]}
                data = {"upsertView": self.save_view(given)}
            case "Run":
                found = given["name"] in self.runs
                run = {"projectId": "1", **self.bucket(given)} if found else None
                data = {"project": {"run": run}}
            case "UpsertBucket":
                data = {"upsertBucket": self.upsert(given)}
            case "RunResumeStatus":
                data = {"model": self.resume(given)}
            case "CreateRunFiles":
                url = f"{self.url}/uploads/"
                files = [{"name": name, "uploadUrl": url + quote(name)} for name in given["files"]]
                data = {"createRunFiles": {"runID": given["run"], "uploadHeaders": []}}
                data["createRunFiles"]["files"] = files
            case _:
                self.unknown.append(operation)
                return None
        return {"data": data}

    def save_view(self, given: dict[str, Any]) -> dict[str, Any]:
        """Keep a workspace: a new one, or that of an id."""
        inserted = "id" not in given
        name = given.get("id") or f"view-{len(self.views)}"
        self.views[name] = given
        return {"view": {"id": name, "name": given["name"]}, "inserted": inserted}

    def upsert(self, given: dict[str, Any]) -> dict[str, Any]:
        """Make a run, or change what describes it; what is not given stays."""
        # the public API knows a run by its id, which is here its name
        given = {"name": given.get("id"), **given}
        inserted = given["name"] not in self.runs
        run = self.runs.setdefault(given["name"], Received())
        run.name = given.get("displayName") or given.get("display_name") or run.name
        run.group = given.get("groupName") or run.group
        run.notes = given.get("notes") or run.notes
        if given.get("tags") is not None:
            run.tags = given["tags"]
        if given.get("summaryMetrics"):
            run.summary = json.loads(given["summaryMetrics"])
        if given.get("config"):
            items = json.loads(given["config"]).items()
            run.config = {key: item["value"] for key, item in items if key != "_wandb"}
            run.internal = {key: item["value"] for key, item in items if key == "_wandb"}
        return {"bucket": self.bucket(given), "inserted": inserted}

    def resume(self, given: dict[str, Any]) -> dict[str, Any] | None:
        """What a client needs to go on with a run; None for one that is not there."""
        if given["name"] not in self.runs:
            return None
        run = self.runs[given["name"]]
        rest = {
            "summaryMetrics": json.dumps(run.summary),
            "historyTail": json.dumps([json.dumps(row) for row in run.points[-1:]]),
            "eventsLineCount": 0,
            "eventsTail": "[]",
            "logLineCount": 0,
        }
        return {"id": "project", "name": given["project"], "bucket": self.bucket(given) | rest}

    def bucket(self, given: dict[str, Any]) -> dict[str, Any]:
        """A run as GraphQL has it. The client goes on counting its rows from historyLineCount."""
        run = self.runs[given["name"]]
        entity = {"id": "entity", "name": given.get("entity") or ENTITY}
        config = {key: {"value": value} for key, value in (run.config | run.internal).items()}
        return {
            "id": given["name"],
            "name": given["name"],
            "displayName": run.name,
            "config": json.dumps(config),
            "tags": run.tags,
            "notes": run.notes,
            "group": run.group,
            "jobType": "train",
            "description": None,
            "state": "finished" if run.complete else "running",
            "summaryMetrics": json.dumps(run.summary),
            "project": {"id": "project", "name": given.get("project"), "entity": entity},
            "historyLineCount": len(run.rows),
        }

    def file_stream(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        """Take in rows, summary and end of a run."""
        run = self.runs.setdefault(name, Received())
        files = given.get("files") or {}
        if history := files.get("wandb-history.jsonl"):
            rows = [json.loads(line) for line in history["content"]]
            run.rows.update(enumerate(rows, start=history["offset"]))
            run.sent += len(rows)
        if summary := files.get("wandb-summary.json"):
            run.summary = json.loads(summary["content"][-1])
        if given.get("complete"):
            run.complete, run.exit_code = True, given["exitcode"]
        if sum(run.sent for run in self.runs.values()) >= self.after_rows:
            self.die()
        return {"limits": {}}


class Http(ThreadingHTTPServer):
    """The sockets of a server: one thread a connection."""

    def __init__(self, wandb: WandbServer):
        self.wandb = wandb
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def close(self) -> None:
        """Refuse new connections, then cut the open ones, also under threads that wait on them."""
        self.shutdown()
        self.server_close()
        for connection in tuple(self.connections):
            with contextlib.suppress(OSError):  # ended before
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if not isinstance(error, ConnectionError):  # clients may leave as they like
            self.wandb.unknown.append(repr(error))


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    server: Http
    protocol_version = "HTTP/1.1"

    def handle_request_of_any_kind(self) -> None:
        """Read one request, then do as the server behaves just now."""
        wandb, body = self.server.wandb, self.body()
        if wandb.behaviour == "silent":
            wandb.dead.wait()
        if wandb.behaviour == "refuses":
            self.reply(401, {"errors": [{"message": "user is not logged in"}]})
        else:
            answer = wandb.answer(self.command, self.path, body)
            self.reply(404 if answer is None else 200, answer or {})

    do_GET = do_POST = do_PUT = handle_request_of_any_kind  # noqa: N815

    def body(self) -> bytes:
        """The whole body as it was before it was encoded for the way."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(self.chunks())
        else:
            body = self.read(int(self.headers.get("Content-Length", 0)))
        match self.headers.get("Content-Encoding"):
            case "gzip":
                return gzip.decompress(body)
            case "deflate":
                return zlib.decompress(body)
        return body

    def chunks(self) -> Iterator[bytes]:
        """The chunks of a body, each of which comes after its length in hexadecimal."""
        while size := int(self.line().split(b";")[0], 16):
            yield self.read(size)
            self.line()
        while self.line().strip():
            pass  # trailers say nothing of the body

    def read(self, size: int) -> bytes:
        """So many bytes; a client that is killed sends fewer."""
        content = self.rfile.read(size)
        if len(content) < size:
            raise ConnectionAbortedError
        return content

    def line(self) -> bytes:
        """The next line; a client that is killed sends none."""
        line = self.rfile.readline()
        if not line.endswith(b"\n"):
            raise ConnectionAbortedError
        return line

    def reply(self, status: int, answer: dict[str, Any]) -> None:
        """Send an answer as JSON."""
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: stderr is that of the test."""
