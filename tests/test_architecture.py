"""The order of imports that keeps the house in one piece."""

import ast
import json
import re
import subprocess
import sys

import pytest

from bnbench import ROOT
from bnbench.commands.dispatch import module_of

# rooms and doors, and what of bnbench they may import: what stands above them; `__init__` is open
# to all
MAY_IMPORT = {
    ("config", "probes"): set(),
    ("data", "norms", "tracking"): {"config"},
    ("models", "training"): {"config", "norms"},
    ("measured",): {"norms", "tracking"},
    ("analysis",): {"config", "tracking"},
    ("request",): {"config", "data", "tracking"},
    ("train",): {"config", "data", "models", "norms", "probes", "tracking", "training"},
    ("cli",): {"config", "request", "tracking"},
    ("drawing", "dashboard"): {"analysis", "config", "tracking"},
    ("pages",): {"analysis", "config", "drawing", "request", "tracking"},
    ("gallery",): {
        *("analysis", "config", "drawing", "measured", "models", "probes", "tracking", "train"),
    },
    ("bench",): {"cli", "config", "data", "models", "norms", "request", "train", "training"},
    ("claims",): {"analysis", "config", "drawing", "pages", "request", "tracking"},
    ("running",): {"analysis", "cli", "config", "pages", "request", "tracking"},
    ("sweep",): {"cli", "config", "request", "running", "tracking", "train"},
    ("api",): {"analysis", "cli", "config", "request", "sweep", "tracking"},
    ("commands",): {
        *("analysis", "api", "bench", "claims", "cli", "config", "dashboard", "data", "drawing"),
        *("gallery", "measured", "models", "norms", "pages", "request", "running", "sweep"),
        "tracking",
    },
}
OPEN = {"BIN", "CALL", "CONFIGS", "IS_CHECKOUT", "REFERENCE", "ROOT", "__version__"}
LATE = {"train"}  # imported by `sweep` in a worker
MAX_ROWS = 20
MAX_MODULES = 15  # in a folder
LIGHT = (*("sweep", "cli", "running.ending", "tracking.wandb_log", "pages.report", "data.files"),)


def modules():
    return sorted((ROOT / "bnbench").rglob("*.py"))


def part_of(path):
    return path.relative_to(ROOT / "bnbench").parts[0].removesuffix(".py")


def imports_of(path):
    """The modules of bnbench that a file imports, as dotted names below it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bnbench":
            base = node.module.partition(".")[2]
            for alias in node.names:
                if base or alias.name not in OPEN:
                    name = f"{base}.{alias.name}".strip(".")
                    is_module = (ROOT / "bnbench" / f"{name.replace('.', '/')}.py").exists()
                    is_room = (ROOT / "bnbench" / name.replace(".", "/")).is_dir()
                    yield name if is_module or is_room else base
        elif isinstance(node, ast.Import):
            for alias in node.names:
                assert not alias.name.startswith("bnbench"), "write `from bnbench import …`"


def test_imports_run_one_way():
    may_import = {part: allowed for row, allowed in MAY_IMPORT.items() for part in row}
    wrong = []
    for path in modules():
        part = part_of(path)
        if part == "__init__":  # which says what is public, for type checkers, and imports nothing
            body = ast.parse(path.read_text(encoding="utf-8")).body
            imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
            assert {ast.unparse(node).split()[1] for node in imports} == {
                *("importlib", "pathlib", "typing")
            }
            continue
        for name in imports_of(path):
            is_late = path.name == "sweep.py" and name in LATE
            if name.split(".")[0] not in may_import[part] | {part} and not is_late:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


def test_the_table_of_imports_is_short_exact_and_without_a_circle():
    assert len(MAY_IMPORT) <= MAX_ROWS
    above: set[str] = set()
    for row, allowed in MAY_IMPORT.items():
        assert allowed <= above, f"{row} imports what stands below it"
        above |= {*row}
    found = {part: set() for part in above}
    for path in modules():
        if part_of(path) in found:
            found[part_of(path)] |= {name.split(".")[0] for name in imports_of(path)}
    assert {part: names - {part} for part, names in found.items()} == {
        part: allowed for row, allowed in MAY_IMPORT.items() for part in row
    }


def test_scripts_are_thin():
    for path in (ROOT / "scripts").glob("*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 7, path
        module = module_of(path.stem.replace("_", "-")).removeprefix("bnbench.")
        assert set(imports_of(path)) == {module, "running.streams"}


def test_no_module_imports_itself_by_a_detour():
    names = {
        path: ".".join(path.relative_to(ROOT / "bnbench").with_suffix("").parts).removesuffix(
            ".__init__"
        )
        for path in modules()
    }
    imports = {name: set(imports_of(path)) for path, name in names.items() if name != "__init__"}
    while leaves := {n for n, ms in imports.items() if not ms & imports.keys() - {n}}:
        imports = {n: ms for n, ms in imports.items() if n not in leaves}
    assert not imports


def test_four_doors_and_rooms_behind_them():
    package = ROOT / "bnbench"
    doors = {path.name for path in package.glob("*.py")}
    assert doors == {"__init__.py", "cli.py", "train.py", "sweep.py"}
    for folder in {path.parent for path in modules()} - {package}:
        inside = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(inside) <= MAX_MODULES, folder
        text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
        assert text, folder
        if folder.parent == package:
            assert "Begin with " in " ".join(text.split()), f"{folder.name}: where to begin?"


def loaded_by(names):
    """The packages that importing some modules loads, one module after the other."""
    code = "import json, sys\n" + "".join(
        f"import bnbench.{name}\n"
        f"print(json.dumps([{name!r}, sorted({{'torch', 'pandas'}} & set(sys.modules))]))\n"
        for name in names
    )
    answer = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE)
    return dict(map(json.loads, answer.stdout.splitlines()))


@pytest.mark.slow
def test_the_light_half_imports_without_torch_and_a_sweep_starts_without_pandas():
    loaded = loaded_by(LIGHT)
    assert loaded["sweep"] == loaded["cli"] == []
    assert {name: ["torch"] for name, those in loaded.items() if "torch" in those} == {}


@pytest.mark.parametrize(
    ("package", "importer"), [("wandb", "wandb_log.py"), ("wandb_workspaces", "workspace.py")]
)
def test_only_one_module_imports_wandb(package, importer):
    imports = re.compile(rf"^\s*(import|from) {package}\b", re.M)
    found = [p for p in modules() if imports.search(p.read_text(encoding="utf-8"))]
    assert [p.name for p in found] == [importer]


def test_no_two_classes_share_a_name():
    files: dict[str, set[str]] = {}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                files.setdefault(node.name, set()).add(place)
    assert {name: sorted(places) for name, places in files.items() if len(places) > 1} == {}


def test_only_blocks_read_the_placement():
    found = [
        p.name
        for p in modules()
        if part_of(p) == "models" and "PLACEMENTS[" in p.read_text(encoding="utf-8")
    ]
    assert found == ["blocks.py"]
