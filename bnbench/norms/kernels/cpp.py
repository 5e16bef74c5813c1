"""The C++ kernel for float32 on the CPU, compiled by torch's extension builder when first used.

The library is kept in torch's extension folder (`TORCH_EXTENSIONS_DIR`, by default in the user's
cache) under a key of all that its machine code depends on.
"""

import fcntl
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from bnbench.norms import kernels

SOURCE = Path(__file__).with_name("batch_norm.cpp")
FLAGS = ["-O3", "-march=native", "-fopenmp", "-fno-math-errno", "-fno-trapping-math"]
WIDE = ["-mprefer-vector-width=512"]  # where the CPU has such vectors; GCC prefers shorter ones


def forward(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, relu: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See `kernels.Kernel`."""
    return torch.ops.bnbench.forward(x, weight, bias, eps, relu)


def backward(
    dy: Tensor,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    shift: Tensor,
    residual: Tensor,
    sigma2: Tensor,
    eps: float,
    relu: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """See `kernels.Kernel`."""
    if dy.stride() != x.stride():
        dy = torch.empty_like(x).copy_(dy)
    return torch.ops.bnbench.backward(dy, x, weight, bias, shift, residual, sigma2, eps, relu)


def evaluate(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    var: Tensor,
    eps: float,
    relu: bool,
) -> Tensor:
    """See `kernels.Kernel`."""
    return torch.ops.bnbench.evaluate(x, weight, bias, mean, var, eps, relu)


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
    compiler = shlex.split(os.environ.get("CXX", "c++"))  # such as `ccache g++`
    if not compiler or shutil.which(compiler[0]) is None:
        raise kernels.UnavailableError(f"there is no C++ compiler {' '.join(compiler)}")
    flags = [*FLAGS, *(WIDE if platform.machine() == "x86_64" else [])]
    name = f"bnbench_batch_norm_{key(compiler, flags)}"
    try:
        folder = extensions_folder()
        folder.mkdir(parents=True, exist_ok=True)
        library = folder / f"{name}.so"
        # a lock that a killed process does not hold: the builder's own would stop all others
        with (folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not library.exists():
                build(name, flags, library)
        torch.ops.load_library(str(library))
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise kernels.UnavailableError(f"cannot be compiled ({reason})") from error


def key(compiler: list[str], flags: list[str]) -> str:
    """What the machine code depends on: source, flags, compiler, torch and the CPU's abilities."""
    version = subprocess.run(
        [*compiler, "--version"], capture_output=True, text=True, check=True
    ).stdout
    cpu = Path("/proc/cpuinfo")
    abilities = sorted(
        {line for line in cpu.read_text().splitlines() if line.startswith(("flags", "Features"))}
        if cpu.exists()
        else platform.processor()
    )
    facts = [SOURCE.read_text(), *flags, version, torch.__version__, *abilities]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


def extensions_folder() -> Path:
    """Where torch keeps extensions that are compiled when they are used."""
    own = os.environ.get("TORCH_EXTENSIONS_DIR")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(cache) / "torch_extensions"


def build(name: str, flags: list[str], library: Path) -> None:
    """Compile in a folder of its own, then move the library to its place in one step."""
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it misses CUDA
    from torch.utils import cpp_extension

    # the builder calls ninja, which pip puts beside a Python that may not be on the path
    os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], sysconfig.get_path("scripts")])
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        cpp_extension.load(
            name,
            [str(SOURCE)],
            extra_cflags=flags,
            extra_ldflags=["-fopenmp"],
            build_directory=folder,
            is_python_module=False,
        )
        Path(folder, f"{name}.so").replace(library)
