"""How a program begins and ends where its output may be closed, full or left by its reader."""

import errno
import io
import os
import sys
from collections.abc import Callable
from typing import Any

GONE = (errno.EPIPE, errno.ECONNRESET, errno.EIO)  # a reader that has left, a terminal that is shut


class Output(io.FileIO):
    """A stream that goes on when nobody takes what is written: its rest goes to nowhere.

    A sweep of hours outlives the terminal that it was started from, and `| head`.
    """

    def write(self, data: Any) -> int:
        """Write, or from the first failure on discard; a full disk is told on stderr, once."""
        try:
            return super().write(data)
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if error.errno not in GONE and self.fileno() != 2:
                os.write(
                    2, f"bnbench: the output is lost from here on: {error.strerror}\n".encode()
                )
            return len(data)


def secure() -> None:
    """Make stdin, stdout and stderr ones that a program can rely on, in a worker as in its leader.

    What the shell closed (`>&-`) is opened to nowhere, or the next file that is opened would take
    its number, and what is printed would go into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # takes the lowest number that is free; workers and W&B's service start with it too
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is not getattr(sys, f"__{name}__"):
            continue  # somebody else's, as in a test
        raw = Output(number, "w", closefd=False)
        secured = io.TextIOWrapper(
            io.BufferedWriter(raw),
            encoding=stream.encoding if stream else "utf-8",
            errors=stream.errors if stream else "replace",
            line_buffering=number == 2 or raw.isatty(),
            write_through=bool(stream and stream.write_through),
        )
        setattr(sys, name, secured)


def enter(main: Callable[[], int]) -> int:
    """Run an entry point on secured streams; its exit code.

    Ctrl-C and what the machine refuses (a full disk, a folder that is gone) are one line on stderr,
    with 130 and 1, where the entry point has no better one.
    """
    secure()
    try:
        return main()
    except KeyboardInterrupt:
        print("\ninterrupted; the same command finishes what is missing", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"bnbench: {error}", file=sys.stderr)
        return 1
