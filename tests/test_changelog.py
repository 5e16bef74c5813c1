"""What CHANGELOG.md tells scripts of 0.1 to change: the new names are there, the old ones gone."""

import re

from bnbench import ROOT, __version__
from bnbench.analysis.verdict_columns import EXACT, PARTS, SCOREBOARD
from bnbench.analysis.verdict_table import VERDICTS
from bnbench.claims.registry.table import claims_on
from bnbench.commands.dispatch import COMMANDS

TEXT = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
TABLE = TEXT.partition("### For scripts of 0.1")[2].partition("###")[0]
ROWS = [tuple(line.strip("| ").split(" | ")) for line in TABLE.splitlines() if "`" in line]
SPLIT = {"B1", "B2", "B4", "B5", "C1", "C2", "C3", "C6", "C7", "C8", "D3"}
SPLIT |= {"M1", "M2", "M3", "M4", "M5", "M6", "M9", "P1", "P2"}


def words(text):
    return set(re.findall(r"`([\w.=,/ -]+)`", text))


def row(start):
    ((old, new),) = (cells for cells in ROWS if cells[0].startswith(start))
    return words(old), words(new)


def test_the_part_belongs_to_this_version():
    assert f"({__version__}, " in TEXT.partition("### For scripts")[0]
    assert len(ROWS) >= 15


def test_old_commands_are_gone_and_new_ones_there():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for old, new in ROWS:
        for word in words(new):
            if word.startswith("make "):
                assert f"\n{word.split()[1]}: " in makefile
            if word.startswith("bnbench ") and word != "bnbench as bn":
                assert word.split()[1] in COMMANDS
            if word.startswith("scripts/"):
                assert (ROOT / word).exists()
        for script in re.findall(
            r"scripts/\w+\.py", old if "/cost" in old or "/fuzz" in old else ""
        ):
            assert not (ROOT / script).exists()
        for word in words(old):
            assert not word.startswith("make ") or f"\n{word.split()[1]}: " not in makefile
    for name in row("the experiments")[0]:
        assert not (ROOT / "configs" / "experiment" / f"{name}.yaml").exists()


def test_split_claims_are_gone_and_their_parts_there():
    claims = claims_on("digits")
    assert not SPLIT & {*claims}
    _, new = row("`claims=C3`")
    (parts,) = (word.removeprefix("claims=").split(",") for word in new)
    assert parts == [name for name in claims if name.startswith("C3")]


def test_columns_and_verdicts_are_those_of_the_files():
    for start, columns in (("scoreboard.csv:", SCOREBOARD), ("parts.csv:", PARTS)):
        old, new = row(start)
        assert not old & {*columns}
        assert new <= {*columns}
    assert not row("measured/exact.csv:")[0] & {*EXACT}
    old, new = row("the verdicts")
    assert new < {*VERDICTS}
    assert not old & {*VERDICTS}
