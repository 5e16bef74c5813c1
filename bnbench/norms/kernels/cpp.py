"""The C++ kernel for float32 on the CPU, compiled against torch's headers when first used.

The library is kept in torch's extension folder (`TORCH_EXTENSIONS_DIR`, by default in the user's
cache) under a key of all that its machine code depends on and the digest of its content. A torn one
is compiled again, and one that another user could have written is not loaded.
"""

import fcntl
import hashlib
import platform
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any
from warnings import warn

import torch
from torch import Tensor

from bnbench.config import compiler
from bnbench.norms import kernels

SOURCE = Path(__file__).with_name("batch_norm.cpp")
CPUINFO = Path("/proc/cpuinfo")  # of Linux
# no contraction of products and sums, which only some CPUs have: the same bits on all
FLAGS = ["-O3", "-fopenmp", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
FLAGS += ["-std=c++20", "-shared", "-fPIC"]
CPU = ["-march=native"]
if platform.machine() == "x86_64":
    CPU.append("-mprefer-vector-width=512")  # where it has such vectors; GCC prefers shorter ones


def forward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See `kernels.Kernel`."""
    return torch.ops.bnbench.forward(*arguments)


def backward(dy: Tensor, x: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    """See `kernels.Kernel`."""
    if dy.stride() != x.stride():
        dy = torch.empty_like(x).copy_(dy)
    return torch.ops.bnbench.backward(dy, x, *arguments)


def evaluate(*arguments: Any) -> Tensor:
    """See `kernels.Kernel`."""
    return torch.ops.bnbench.evaluate(*arguments)


def supports(x: Tensor, *vectors: Tensor | None) -> bool:
    """Float32 on the CPU, contiguous or channels_last, with at least one value."""
    return (
        all(t is None or (t.dtype, t.device.type) == (torch.float32, "cpu") for t in (x, *vectors))
        and x.numel() > 0
        and (
            x.is_contiguous()
            or (x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last))
            or (x.dim() == 5 and x.is_contiguous(memory_format=torch.channels_last_3d))
        )
    )


@cache
def prepare() -> None:
    """Load the library, compiled before or now (some twenty seconds).

    Raises:
        kernels.UnavailableError: there is no compiler here, or it fails.
    """
    try:
        load(f"bnbench_batch_norm_{key(compiler.command())}")
    except compiler.CompilerError as error:
        raise kernels.UnavailableError(str(error)) from error
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reason = next((line for line in lines if "error:" in line), lines[0])
        raise kernels.UnavailableError(f"cannot be compiled ({reason})") from error


def key(command: list[str]) -> str:
    """Hash all that the machine code depends on: source, flags, compiler, torch, C library, CPU.

    A folder may serve several machines, and code for one CPU may crash on another.
    """
    version = subprocess.run(
        [*command, "--version"],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=True,
        timeout=compiler.PATIENCE,
    ).stdout
    abilities = {platform.processor()}
    if CPUINFO.exists():
        lines = CPUINFO.read_text().splitlines()
        abilities |= {line for line in lines if line.startswith(("flags", "Features"))}
    torches = (torch.__version__, torch.version.git_version, torch.compiled_with_cxx11_abi())
    pythons = (sys.implementation.cache_tag, platform.machine(), platform.libc_ver())
    facts = [SOURCE.read_text(), *FLAGS, *CPU, *command, version, *torches, *pythons]
    digest = hashlib.sha256("\n".join(map(str, [*facts, *sorted(abilities)])).encode())
    return digest.hexdigest()[:12]


def load(name: str) -> Path:
    """Load the library of that name from the first folder that can be used; return its path.

    Raises:
        OSError: no folder can be used.
        RuntimeError: the library cannot be compiled.
    """
    problem: OSError | None = None
    for wanted in compiler.library_folders():
        try:
            folder = compiler.opened(wanted)
            path = kept = intact(folder, name)
            if not path:
                # a lock that dies with its process: the builder's own would stop all others
                with (folder / f"{name}.lock").open("w") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    path = intact(folder, name) or build(name, folder)
            torch.ops.load_library(str(path))  # which a folder mounted with noexec forbids
        except OSError as error:
            problem = problem or error
            continue
        if problem and not kept:
            warn(f"BatchNorm backend cpp is kept in {folder}: {problem}", stacklevel=2)
        return path
    raise problem or FileNotFoundError("no folder for it")


def intact(folder: Path, name: str) -> Path | None:
    """Find a library whose content has the hash in its name and that only we can write."""
    for path in folder.glob(f"{name}-*.so"):
        try:
            if path.is_file() and not compiler.exposure(path) and path.name == kept_as(name, path):
                return path
        except FileNotFoundError:  # a build removed it meanwhile, and puts a new one there
            continue
    return None


def kept_as(name: str, path: Path) -> str:
    """Name a library by the hash of its content."""
    return f"{name}-{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}.so"


def build(name: str, folder: Path) -> Path:
    """Compile in a folder of its own, then move the library to its place in one step."""
    workshop = folder / f"{name}.build"  # always the same, so that killed builds do not pile up
    shutil.rmtree(workshop, ignore_errors=True)
    workshop.mkdir(mode=0o700)
    try:
        made = workshop / "library.so"
        compile_to(made)
        made.chmod(0o755)
        for torn in folder.glob(f"{name}-*.so"):
            if torn.is_dir() and not torn.is_symlink():
                shutil.rmtree(torn)
            else:
                torn.unlink()
        return made.replace(folder / kept_as(name, made))
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def compile_to(library: Path) -> None:
    """Compile the kernel; `RuntimeError` with what the compiler says if that fails."""
    torch_folder = Path(torch.__file__).parent
    answer = subprocess.run(
        [
            *compiler.command(),
            *(*FLAGS, *CPU, "-isystem", str(torch_folder / "include"), str(SOURCE)),
            *("-o", str(library), f"-L{torch_folder / 'lib'}", "-lc10", "-ltorch_cpu"),
        ],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if answer.returncode:
        raise RuntimeError(answer.stderr)
