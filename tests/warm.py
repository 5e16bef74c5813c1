"""Python commands without their cold start: forks of a process that has imported the libraries.

Nothing of bnbench is imported before the fork. What is about starting a process, about signals or
about what is imported when, is no business of this file.
"""

import gc
import json
import os
import runpy
import subprocess
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, Self

LIBRARIES = (
    *("torch._dynamo", "torch.utils.data", "numpy", "pandas", "scipy.stats", "sklearn.datasets"),
    *("joblib", "rich.progress", "seaborn", "jinja2", "pytest"),
)  # neither hydra nor hypothesis: they are plugins of pytest, which rewrites them


class Warm:
    """A process that runs commands one at a time."""

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def run(
        self, arguments: list[str], cwd: Path, env: dict[str, str], printed: Path
    ) -> tuple[int, str]:
        """Run Python with arguments: its exit status, and what it printed.

        Args:
            arguments: a script, or -m and a module, and what it is called with.
            cwd: where it runs.
            env: its environment.
            printed: a file for what it prints.
        """
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps([arguments, str(cwd), env, str(printed)]), file=self.process.stdin)
        self.process.stdin.flush()
        status = int(self.process.stdout.readline())
        return status, printed.read_text(encoding="utf-8")


def become(arguments: list[str], cwd: str, env: dict[str, str], printed: str) -> NoReturn:
    """Be the process of a command, as if Python had been started with it."""
    os.chdir(cwd)
    # on one core a sweep trains its runs here, and starts no cold workers
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})
    os.environ.clear()
    os.environ.update(env)
    output = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, source in ((0, nothing), (1, output), (2, output)):
        os.dup2(source, number)
    is_module = arguments[0] == "-m"
    first = cwd if is_module else str(Path(arguments[0]).parent.absolute())
    sys.path[:] = [first, *env["PYTHONPATH"].split(os.pathsep), *sys.path[1:]]
    sys.argv[:] = arguments[is_module:]
    try:
        if is_module:
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(arguments[0], run_name="__main__")
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    sys.exit(0)


def main() -> None:
    """Fork for each command that is asked for on stdin; answer with its exit status."""
    for library in LIBRARIES:
        import_module(library)
    gc.freeze()  # else each command looks for garbage among a million objects, again and again
    for line in sys.stdin:
        request: list[Any] = json.loads(line)
        if not (child := os.fork()):
            become(*request)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
