"""`bnbench cite`."""

import sys

import pytest

from bnbench import ROOT
from bnbench.commands.cite import main
from bnbench.tracking.citation import bibtex, citation
from bnbench.tracking.meta import git_facts


def test_it_prints_text_and_bibtex(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["bnbench cite"])
    assert main() == 0
    info = git_facts(ROOT, tmp_path)
    assert capsys.readouterr().out == f"{citation(info)}\n\n{bibtex(info)}\n"


def test_it_takes_nothing_else(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bnbench cite", "results"])
    with pytest.raises(SystemExit) as ending:
        main()
    assert ending.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
