"""The command `bnbench`: its subcommands, what it prints of itself, and TAB."""

import re
import sys
from importlib import import_module

import pytest
from omegaconf import OmegaConf

from bnbench import CONFIGS, ROOT, __version__
from bnbench.commands import dispatch


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `bnbench` with some words: the exit code, stdout and stderr."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["bnbench", *words])
        try:
            code = dispatch.main()
        except SystemExit as ending:
            code = ending.code
        return code, *capsys.readouterr()

    return run


def test_a_script_is_a_subcommand_and_no_more():
    modules = {name.replace("-", "_") for name in dispatch.COMMANDS}
    assert modules == {path.stem for path in (ROOT / "scripts").glob("*.py")}


def test_the_help_lists_every_subcommand_after_what_bnbench_is():
    told = OmegaConf.load(CONFIGS / "hydra" / "help" / "bnbench.yaml")
    assert told.header.count("\n") == 3
    assert "Example: bnbench sweep " in told.header
    template = OmegaConf.to_container(told)["template"]
    assert template.startswith("${hydra.help.header}")
    listed = template.partition("==\n")[2].partition("\n\n")[0]
    assert set(re.findall(r"^([a-z-]+)  ", listed, re.M)) == {*dispatch.COMMANDS}


def test_no_words_are_a_question_for_help(run):
    code, out, err = run()
    assert (code, err) == (0, "")
    first = "bnbench finds out what Batch Normalization does"
    assert out.startswith(first)
    assert out.index("\nmodel:\n") < out.index("\ntuned_lr:\n")  # keys before sixty lines of rates


def test_the_version(run):
    assert run("--version") == (0, f"bnbench {__version__}\n", "")


def test_a_subcommand_that_is_none(run):
    code, out, err = run("swep", "experiment=placement")
    assert (code, out) == (2, "")
    assert err.startswith("bnbench: swep: expected one of sweep, plan, ")
    assert err.endswith("(did you mean sweep?), or key=value\n")
    assert "did you mean wandb-upload?" in run("wandb-uplod")[2]


@pytest.mark.parametrize("name", ["sweep", "plan", "claims", "wandb-upload", "train"])
def test_a_subcommand_gets_the_other_words(run, monkeypatch, name):
    seen = []
    module = import_module(dispatch.module_of(name))
    monkeypatch.setattr(module, "main", lambda: seen.append(sys.argv) or 3)
    assert run(name, "seeds=[0]", "-m")[0] == 3
    assert seen == [[f"bnbench {name}", "seeds=[0]", "-m"]]


@pytest.mark.parametrize("name", ["sweep", "plan"])
def test_the_five_experiments_are_meant_where_none_is_named(run, monkeypatch, name):
    seen = []
    module = import_module(f"bnbench.commands.{name}")
    monkeypatch.setattr(module, "main", lambda: seen.append(sys.argv[1:]) or 0)
    run(name, "seeds=[0]")
    assert seen == [["experiment=placement,lr_mult,batch_size,shift,sigmoid", "seeds=[0]"]]


def test_words_without_a_subcommand_are_those_of_train(run, monkeypatch):
    seen = []
    module = import_module("bnbench.commands.train")
    monkeypatch.setattr(module, "main", lambda: seen.append(sys.argv[1:]) or 0)
    for words in (["model=vgg"], ["-m", "norm=none,batchnorm"], ["--cfg", "job"]):
        run(*words)
    assert seen == [["model=vgg"], ["-m", "norm=none,batchnorm"], ["--cfg", "job"]]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("bnbench sy", "sync"),
        ("bnbench sweep experiment=pl", "experiment=placement"),
        ("bnbench plan model=vgg1", "model=vgg11 model=vgg16"),
        ("bnbench norm=ba", "norm=batch_renorm norm=batchnorm norm=batchnorm_lrn"),
    ],
)
def test_tab_completes_subcommands_and_overrides(run, monkeypatch, line, offered):
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    code, out, err = run("-sc", "query=bash")
    assert (code, err) == (0, "")
    assert out.split() == offered.split()
