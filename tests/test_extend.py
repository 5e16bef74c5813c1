"""The pages of docs/extend/, followed to the letter in a copy of the tree, keep their word."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from documents import Block, blocks, commands, edit, prints

from bnbench import ROOT

PAGES = sorted((ROOT / "docs" / "extend").glob("*.md"))
FOLDERS = ("bnbench", "configs", "scripts", "tests", "docs")
MEASURED = "claims/digits/measured"  # problems, which take minutes and no page is about
AFTER = re.compile(r"^It goes on where \[[^]]*\]\((\w+\.md)\) ends", re.M)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def followed(page):
    """The page and those that it goes on from, the first of all first."""
    before = AFTER.search(page.read_text(encoding="utf-8"))
    return [*(followed(page.parent / before[1]) if before else []), page]


def edits(page):
    return [block for block in blocks(page) if block.file]


@pytest.fixture
def tree(tmp_path):
    """A copy of what a contributor has, with the problems measured."""
    for name in FOLDERS:  # with what is compiled already
        shutil.copytree(ROOT / name, tmp_path / name)
    for file in (*ROOT.glob("*.md"), ROOT / "pyproject.toml"):
        shutil.copy(file, tmp_path / file.name)
    reference = ROOT / "results" / "reference"
    shutil.copytree(reference / MEASURED, tmp_path / "results" / MEASURED)
    (tmp_path / "results" / "reference").symlink_to(reference)
    return tmp_path


def environment(tree):
    env = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    env.pop("PYTEST_ADDOPTS", None)
    return env


def run(tree, *argv):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(argv, cwd=tree, env=environment(tree), **options)
    return done.returncode, done.stdout


@each_page
def test_what_a_page_edits_is_there_and_clean_by_the_rules_of_the_house(page, tree):
    touched = []
    for one in followed(page):
        touched = edits(one)
        assert touched
        for block in touched:
            edit(block, tree)
    files = sorted({block.file for block in touched if block.file.endswith(".py")})
    for rule in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        status, said = run(tree, sys.executable, "-m", "ruff", *rule, *files) if files else (0, "")
        assert status == 0, said


@pytest.mark.slow
@each_page
def test_a_page_does_what_it_says(page, tree, warm):
    def python(*arguments):
        return warm.run([*arguments], tree, environment(tree), tree / "printed.txt")

    for one in followed(page)[:-1]:
        for block in edits(one):
            edit(block, tree)
    told = 0
    for block in blocks(page):
        if block.file:
            edit(block, tree)
        elif block.language == "pycon":
            session = tree / "session.txt"
            session.write_text(block.text.replace("…", "..."), encoding="utf-8")
            options = ["-o", "ELLIPSIS", "-o", "NORMALIZE_WHITESPACE"]
            status, printed = python("-m", "doctest", *options, str(session))
            assert status == 0, printed
        else:
            assert block.language == "console", block
            for command, said in commands(block):
                program, *arguments = shlex.split(command)
                assert program == ".venv/bin/python", command
                status, printed = python(*arguments)
                assert status == 0, f"$ {command}\n{printed}"
                assert not said or prints(said, printed), f"$ {command}\n{printed}"
        told += not block.file
    assert told, "nothing shows that it works"


@pytest.mark.slow
def test_the_pages_go_together_and_their_types_are_right(tree):
    files = set()
    for page in PAGES:
        for block in edits(page):
            edit(block, tree)
            files |= {block.file} if re.match(r"bnbench/.*\.py$", block.file) else set()
    (tree / ".venv").symlink_to(sys.prefix)  # where pyproject.toml says that it is
    status, said = run(tree, sys.executable, "-m", "basedpyright", *sorted(files))
    assert status == 0, said


FILE = "one = 1\n\ntwo = 2\ntwo = 2\n"


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (" one = 1\n+three = 3\n", "one = 1\nthree = 3\n\ntwo = 2\ntwo = 2\n"),
        ("-one = 1\n+one = 4\n\n two = 2\n", "one = 4\n\ntwo = 2\ntwo = 2\n"),
        ("+zero = 0\n one = 1\n@@\n\n+half = 2\n two = 2\n", None),
        (" two = 2\n+three = 3\n", "does not apply"),  # where of the two?
        (" wo = 2\n+three = 3\n", "does not apply"),
        (" one = 2\n+three = 3\n", "does not apply"),
        (" one = 1\n", "changes nothing"),
    ],
)
def test_a_hunk_applies_to_the_one_place_that_it_shows(text, after, tmp_path):
    (tmp_path / "a.py").write_text(FILE)
    block = Block("a.py", "diff", text)
    if after and after.startswith(("does", "changes")):
        with pytest.raises(AssertionError, match=after):
            edit(block, tmp_path)
        return
    edit(block, tmp_path)
    expected = after or "zero = 0\none = 1\n\nhalf = 2\ntwo = 2\ntwo = 2\n"
    assert (tmp_path / "a.py").read_text() == expected


def test_a_new_file_is_new(tmp_path):
    block = Block("new/a.yaml", "yaml", "a: 1\n")
    edit(block, tmp_path)
    assert (tmp_path / "new" / "a.yaml").read_text() == "a: 1\n"
    with pytest.raises(AssertionError, match="is not new"):
        edit(block, tmp_path)


def test_what_a_page_shows_is_read_as_it_stands(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "Its row, in `a/b.py`:\n\n```diff\n one\n+```\n```\n\nThen `a/b.py` is run:\n\n"
        "```console\n$ one two\nsaid\nmore\n$ three\n```\nNo file, `x.py`.\n\n```\nplain\n```\n"
    )
    first, second, third = blocks(page)
    assert first == ("a/b.py", "diff", " one\n+```\n")
    assert commands(second) == [("one two", "said\nmore\n"), ("three", "")]
    assert third == (None, "", "plain\n")
    assert prints("said …\nmore\n", "said this\nmore\n")
    assert not prints("said …\nmore\n", "said this\nless\n")
