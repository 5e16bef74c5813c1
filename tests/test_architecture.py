"""The order of imports that keeps the house in one piece."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# what a module may import from bnbench; `schema` and the version are open to all
MAY_IMPORT = {
    "schema": set(),
    "checks": set(),
    "config": {"checks"},
    "compiler": set(),
    "norms": {"compiler", "config"},
    "fingerprint": set(),
    "data": {"config", "fingerprint"},
    "models": {"config", "norms"},
    "probes": set(),
    "exact": {"norms"},
    "problems": {"norms"},
    "tracking": {"config", "checks", "yaml_bounds"},
    "provenance": {"checks"},
    "streams": set(),
    "keys": {"checks"},
    "quoting": {"checks", "keys"},
    "refusal": {"checks", "clusters", "keys", "labels", "provenance", "quoting"},
    "arguments": {"checks", "quoting", "refusal"},
    "clusters": {"checks"},
    "grid": {"checks", "clusters", "keys", "quoting", "refusal"},
    "yaml_bounds": {"checks"},
    "query": {"checks"},
    "figures": {"checks", "query"},
    "preflight": {
        *("checks", "clusters", "compiler", "data", "keys", "provenance", "refusal", "tracking"),
    },
    "tuning": {"config", "checks", "tracking"},
    "cli": {
        *("config", "checks", "figures", "grid", "preflight", "provenance", "quoting", "refusal"),
        *("tuning", "tracking", "yaml_bounds"),
    },
    "loop": set(),
    "curves": set(),
    "evaluation": {"config", "norms"},
    "train": {
        *("config", "norms", "data", "models", "probes", "tracking"),
        *("loop", "evaluation", "curves", "fingerprint"),
    },
    "bench": {"config", "norms", "data", "models", "loop"},
    "bench_layer": {"bench", "norms"},
    "bench_gpu": {"norms"},
    "cost": {"config", "cli", "curves"},
    "bench_arms": {"config", "cost", "data", "evaluation", "train"},
    "measure": {"exact", "problems", "tracking"},
    "labels": set(),
    "live": {"labels"},
    "progress": {"live", "tracking"},
    "launch": {"config", "cli", "clusters", "refusal", "tracking"},
    "process": set(),
    "sweep": {
        *("config", "checks", "grid", "provenance", "refusal", "cli", "launch", "process"),
        *("tracking", "progress", "labels", "quoting", "streams", "yaml_bounds"),
    },
    "ending": {"analysis", "cli", "quoting", "refusal", "tracking"},
    "claims": {"analysis", "curves", "labels", "tracking", "tuning"},
    "analysis": {"config", "curves", "labels", "query", "quoting", "tracking"},
    "dashboard": {"analysis", "config", "labels", "tracking"},
    "gallery": {
        "analysis",
        "config",
        "labels",
        "models",
        "probes",
        "problems",
        "tracking",
        "train",
    },
}
LAZY = {("sweep", "train"), ("sweep", "ending")}  # in a worker only, and when all is trained


def modules():
    return sorted((ROOT / "bnbench").rglob("*.py"))


def part_of(path):
    return path.relative_to(ROOT / "bnbench").parts[0].removesuffix(".py")


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bnbench":
            names = [node.module.partition(".")[2]] if "." in node.module else []
            for name in names or [alias.name for alias in node.names]:
                yield name.split(".")[0]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                assert not alias.name.startswith("bnbench"), "write `from bnbench import …`"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path):
    part = part_of(path)
    if part == "__init__":
        return
    allowed = MAY_IMPORT[part] | {part, "schema", "__version__"}
    for imported in imports_of(path):
        assert imported in allowed or (part, imported) in LAZY, f"{part} imports {imported}"


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "module",
    [
        *("cli", "sweep", "ending", "tracking.wandb_log", "analysis.report", "data.files"),
        "dashboard.specification",
    ],
)
def test_the_light_half_imports_without_torch(module):
    code = f"import sys, bnbench.{module}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_sweep_starts_without_pandas():
    code = "import sys, bnbench.sweep; sys.exit('pandas' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("package", "importer"), [("wandb", "wandb_log.py"), ("wandb_workspaces", "workspace.py")]
)
def test_only_one_module_imports_wandb(package, importer):
    imports = re.compile(rf"^\s*(import|from) {package}\b", re.M)
    found = [p for p in modules() if imports.search(p.read_text(encoding="utf-8"))]
    assert [p.name for p in found] == [importer]


def test_only_blocks_read_the_placement():
    found = [
        p.name
        for p in modules()
        if part_of(p) == "models" and "PLACEMENTS[" in p.read_text(encoding="utf-8")
    ]
    assert found == ["blocks.py"]
