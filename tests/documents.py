"""What the pages of docs/ show, as tests can use it: quoted code, edits of files, commands.

A line that ends in a file's name and a colon, `bnbench/training/loop.py`:, says of the fenced block
below it

    diff      an edit of that file: hunks, parted by lines that begin with @@. What a hunk leaves
              and takes away stands in the file once, word for word; there are no line numbers
    another   in docs/extend/ the whole of a new file; elsewhere lines of one that is there, in
              which a line `# …` stands for others

and by itself a block is

    console   commands behind $, each followed by what it prints, where that is promised; … is
              anything
    pycon     a Python session, as doctest reads it
"""

import re
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path
from typing import NamedTuple

BLOCK = re.compile(r"(?:^([^\n]+)\n\n?)?^```(\w*)\n(.*?)^```$", re.M | re.S)
NAMED = re.compile(r"`([\w-]*[./][\w./-]*)`:$")
FLAGS = ELLIPSIS | NORMALIZE_WHITESPACE


class Block(NamedTuple):
    """A fenced block: the file that the line above it names, its language and its text."""

    file: str | None
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page in order."""
    found = []
    for above, language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        named = NAMED.search(above)
        found.append(Block(named and named[1], language, text))
    return found


def edit(block: Block, root: Path) -> None:
    """Do to the files below `root` what a block with a file shows.

    Raises:
        AssertionError: a hunk does not apply, or a new file is there already.
    """
    assert block.file
    path = root / block.file
    if block.language != "diff":
        assert not path.exists(), f"{block.file} is not new"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    for hunk in re.split(r"^@@.*\n", block.text, flags=re.M):
        shown = hunk.splitlines()
        assert all(line[:1] in ("", " ", "+", "-") for line in shown), hunk
        old, new = ([line[1:] for line in shown if line[:1] != other] for other in "+-")
        assert old != new, f"a hunk for {block.file} changes nothing:\n{hunk}"
        places = [k for k in range(len(lines)) if lines[k : k + len(old)] == old]
        assert len(places) == 1, f"a hunk does not apply to {block.file}:\n{hunk}"
        lines[places[0] : places[0] + len(old)] = new
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def commands(block: Block) -> list[tuple[str, str]]:
    """The commands of a console block, each with what it is said to print."""
    parts = re.split(r"^\$ ", block.text, flags=re.M)
    assert not parts[0], "a console block begins with a command"
    return [(line, said) for line, _, said in (part.partition("\n") for part in parts[1:])]


def prints(said: str, printed: str) -> bool:
    """Whether what was printed is what the page says, white space and … aside."""
    return OutputChecker().check_output(said.replace("…", "..."), printed, FLAGS)
