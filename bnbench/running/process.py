"""How the processes of a sweep end: told by a signal, or because their leader is gone.

SIGTERM, which clusters send before they take a machine away, is treated like Ctrl-C. The leader
passes it on to its workers and waits while they write what they hold.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from pathlib import Path

LEADER = "BNBENCH_LEADER"  # environment of workers: the process that leads their sweep
SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS = 15  # for workers to write what they hold; W&B may take ten
WATCH_SECONDS = 0.5
STOPPED = 128 + signal.SIGTERM  # the exit code of a worker that was told to stop


@contextmanager
def leading() -> Iterator[None]:
    """Lead a sweep: its workers know this process, and signals stop them before it."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    os.environ[LEADER] = process(os.getpid()) or ""
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # as for a job that a shell started in the background
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop(*_: object) -> None:
    """Stop the workers, wait for them, raise KeyboardInterrupt; a second signal does not wait."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    workers = multiprocessing.active_children()
    for worker in workers:
        with suppress(OSError):
            worker.terminate()
    sentinels, deadline = [worker.sentinel for worker in workers], time.monotonic() + GRACE_SECONDS
    with suppress(OSError, ValueError):  # the launcher may close what it finds dead
        while sentinels and (left := deadline - time.monotonic()) > 0:
            ended = wait(sentinels, left)
            sentinels = [sentinel for sentinel in sentinels if sentinel not in ended]
    raise KeyboardInterrupt


def follow() -> None:
    """Make this process a worker: a signal raises KeyboardInterrupt once, and no orphan trains on.

    A worker ends with the process that started it and, where that is on the same machine, with the
    leader of its sweep.
    """
    if "bnbench-watch" in (thread.name for thread in threading.enumerate()):
        return
    starter, leader = os.getppid(), os.environ.get(LEADER, "")
    *machine, pid, _ = leader.split() or ("", "", "")
    here = machine == (process(os.getpid()) or "").split()[:-2]

    def watch() -> None:
        while os.getppid() == starter and (not here or process(int(pid)) == leader):
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="bnbench-watch", daemon=True).start()
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            # where the launcher has a handler of its own, it knows what the cluster means
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, stop_once)


def stop_once(*_: object) -> None:
    """Raise KeyboardInterrupt, and ignore the signals that come while the run is closed."""
    for number in SIGNALS:
        signal.signal(number, ignore)
    raise KeyboardInterrupt


def ignore(*_: object) -> None:
    """Do nothing; SIG_IGN in its place would be reported for a signal that has already come."""


def process(pid: int) -> str | None:
    """What tells a living process from every other: boot, namespace, pid and time of start.

    None where there is no such process, or no Linux /proc to ask.
    """
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return None
    return None if state == "Z" else f"{boot} {namespace} {pid} {rest[18]}"
