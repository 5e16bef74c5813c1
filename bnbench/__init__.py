"""bnbench: experiments that find out what Batch Normalization really does.

What is public stands in `PUBLIC`, for `import bnbench as bn`; a name is resolved on first use, so
that the import itself is quick.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnbench import norms as norms
    from bnbench.api.comparison import ComparisonTable as ComparisonTable
    from bnbench.api.comparison import compare as compare
    from bnbench.api.results import Results as Results
    from bnbench.api.results import load as load
    from bnbench.api.running import TrainedRun as TrainedRun
    from bnbench.api.running import run as run
    from bnbench.api.running import sweep as sweep
    from bnbench.config.checks import RequestError as RequestError

__version__ = "0.2.0"

# a wheel holds the configs and the reference boards in the package, a checkout beside it
IS_CHECKOUT = not (Path(__file__).parent / "configs").exists()
ROOT = Path(__file__).parents[1 if IS_CHECKOUT else 0]
CONFIGS = ROOT / "configs"
REFERENCE = ROOT / "results" / "reference"
CALL = "make" if IS_CHECKOUT else "bnbench"  # what a subcommand is typed after
BIN = ".venv/bin/" if IS_CHECKOUT else ""  # where programs lie, as typed

PUBLIC = {  # name -> the module that has it
    "load": "api.results",
    "run": "api.running",
    "sweep": "api.running",
    "compare": "api.comparison",
    "norms": "norms",
    "Results": "api.results",
    "TrainedRun": "api.running",
    "ComparisonTable": "api.comparison",
    "RequestError": "config.checks",
}


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'bnbench' has no attribute {name!r}")
    module = import_module(f"bnbench.{PUBLIC[name]}")
    # `norms` is a module, and so is `sweep`, which api.running has made one that can be called
    return globals().get(name) or getattr(module, name)


def __dir__() -> list[str]:
    return [*globals(), *PUBLIC]
