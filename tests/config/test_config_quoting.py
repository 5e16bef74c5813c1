"""Texts that pass several readers: Hydra, bash, make and the shell that make starts."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from bnbench import ROOT
from bnbench.config.checks import RequestError
from bnbench.config.quoting import (
    command,
    elsewhere,
    folder,
    for_hydra,
    quoted,
    subcommand,
    typed_folder,
)

NASTY = [
    *("/tmp/my runs", "/tmp/it's", '/tmp/a"b', "/tmp/$HOME", "/tmp/$(touch x)", "/tmp/a`touch x`b"),
    *(
        "/tmp/a(1)",
        "/tmp/[x]",
        "/tmp/{x}",
        "/tmp/a=b",
        "/tmp/a,b",
        "/tmp/#x",
        "/tmp/a#b",
        "/tmp/ünï",
    ),
    *(
        "/tmp/日本",
        "/tmp/🙂",
        "/tmp/a;b&c|d",
        "/tmp/a!b",
        "/tmp/a?*",
        "/tmp/a\\b",
        "/tmp/a\\",
        "/tmp/%s",
    ),
    *("/tmp/:x:", "-x", "3", "1e3", "null", "true", "/tmp/$$", "/tmp/a\\'b", "/tmp/$(HOME)", "'a'"),
]
PRINTABLE = st.text(
    st.characters(exclude_categories=["C", "Z"], include_characters=" "), min_size=1
)
TEXTS = PRINTABLE.filter(lambda text: "${" not in text and text.strip())


@given(TEXTS)
@settings(deadline=None)
def test_hydra_reads_a_quoted_text_as_it_is(text):
    override = OverridesParser.create().parse_override(f"results={for_hydra(text)}")
    assert override.value() == text
    assert quoted(f"results={for_hydra(text)}") == f"results={for_hydra(text)}"


@pytest.mark.parametrize("path", [path for path in NASTY if path[0] != "'" and path != "null"])
def test_a_path_is_typed_as_it_is_but_for_a_comma(path):
    if "," in path:
        with pytest.raises(RequestError, match=r"\"results='/tmp/a,b'\""):
            typed_folder(path)
    else:
        assert typed_folder(path) == Path(path)


@pytest.mark.parametrize("path", NASTY)
def test_the_words_for_a_folder_are_read_as_that_folder(path):
    (word,) = elsewhere(Path(path))
    assert typed_folder(word.removeprefix("results=")) == Path(path)


@pytest.mark.parametrize("path", ["~root", "~/x", "$HOME/x", "~no one"])
def test_a_folder_is_no_home_for_its_name(path):
    (word,) = elsewhere(Path(path))
    assert typed_folder(word.partition("=")[2]) == Path(path)


@pytest.fixture(scope="module")
def pasted(tmp_path_factory):
    """Paste lines into bash, where make runs its recipes with a program that notes its words."""
    place = tmp_path_factory.mktemp("pasted")
    program = place / ".venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text(
        f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]), flush=True)\n"
    )
    program.chmod(0o755)
    for name in ("pyproject.toml", "requirements.lock", ".venv/ready", ".venv/ready-workspace"):
        (place / name).touch()  # in this order: nothing is to be set up
    shutil.copy(ROOT / "Makefile", place)
    there = sorted(place.iterdir())

    def paste(lines):
        shell = ["bash", "-c", "\n".join(lines)]
        answer = subprocess.run(shell, cwd=place, capture_output=True, encoding="utf-8", check=True)
        assert sorted(place.iterdir()) == there  # nothing was executed
        return [json.loads(line) for line in answer.stdout.splitlines()]

    paste.program = str(program)
    return paste


def test_a_pasted_command_has_the_words_that_were_meant(pasted):
    assert pasted([command([pasted.program, *NASTY])]) == [NASTY]


@given(st.lists(TEXTS, min_size=20, max_size=20))
@settings(deadline=None, max_examples=10)
def test_so_has_any_other(pasted, words):
    assert pasted([command([pasted.program, *words])]) == [words]


@pytest.mark.slow
@pytest.mark.parametrize("target", ["status", "report", "sync", "dashboard"])
def test_make_hands_a_folder_on_whole(pasted, target):
    """One line of bash with all the folders: each is read by bash, make and make's shell."""
    folders = NASTY if target == "status" else NASTY[:4]
    words = [elsewhere(Path(path)) for path in folders]
    told = pasted([subcommand(target, own) for own in words])
    assert told == [[f"scripts/{target}.py", *own] for own in words]


def test_make_hands_its_variables_on_whole(pasted):
    odd = "it's $x #1 (a) \\"
    words = ["track.project=it is mine", f"results={odd}"]
    line = subcommand("sweep", words, experiment=odd, seeds=odd, data=odd)
    (words,) = pasted([line + " JOBS="])
    assert words == [
        *("scripts/sweep.py", f"experiment={odd}", f"data={odd}", f"seeds={odd}"),
        *("track.project=it is mine", f"results={odd}"),
    ]


def test_a_path_that_no_shell_has_read(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder("~/bn") == f"{tmp_path}/bn"
    assert folder("~") == str(tmp_path)
    assert folder("./~/bn") == "./~/bn"
    assert folder("/a/$HOME") == "/a/$HOME"
    for text in ("$HOME/bn", "${HOME}/bn"):
        with pytest.raises(RequestError) as refusal:
            folder(text)
        assert str(refusal.value).endswith("expected ~/bn or ${oc.env:HOME}/bn")
    with pytest.raises(RequestError, match="there is no user nobody-here with a home"):
        folder("~nobody-here/x")
