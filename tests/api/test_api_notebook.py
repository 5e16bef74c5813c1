"""The notebook: its cells run, and what is shown beneath them came from them."""

import json
import subprocess
import sys

import pytest

from bnbench import ROOT

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
SMOKE = '"train.steps=60", "hydra.launcher.n_jobs=1", "track=csv"'


@pytest.fixture(scope="module")
def cells():
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


@pytest.mark.slow
def test_the_cells_run_in_order(cells, tmp_path):
    sources = ["".join(cell["source"]).replace('"track=csv"', SMOKE) for cell in cells]
    # in their order, each as a cell, whose last line may be an expression
    script = "import matplotlib; matplotlib.use('agg')\n"
    script += "".join(f"exec(compile({s!r}, 'cell', 'exec'), globals())\n" for s in sources)
    script += "assert len(table) and len(curves) and axes.lines and run.status == 'done'"
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "\\begin{tabular}" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"results"}


def test_what_is_shown_has_no_error_and_a_picture(cells):
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
