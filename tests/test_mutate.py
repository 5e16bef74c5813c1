"""Results folders of strangers, mutated to the leaves: refused in lines, and nothing is run."""

import importlib.util
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parent / "tools" / "mutate.py"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of what pandas thinks of the numbers in such a folder
def test_mutated_results_folders_are_data(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # no reader writes a file
    specification = importlib.util.spec_from_file_location("mutate", TOOL)
    mutate = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "mutate", mutate)
    specification.loader.exec_module(mutate)
    tally = mutate.run(tmp_path, examples=range(24), seed=13)
    assert tally.breaches == []
    assert tally.examples == 24
    assert tally.exits["report 1"] > 4  # most mutations are seen
    assert tally.exits["report 0"] > 4  # and many are no harm
