"""The pages in docs/ name tests that exist, and docs/myths.md all of the myths."""

import ast
import re
import textwrap
from pathlib import Path

import pytest

from bnbench.claims import records, statistics, study
from bnbench.claims.judge import judge
from bnbench.exact import EXACT

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
MYTHS = (ROOT / "docs" / "myths.md").read_text(encoding="utf-8")


def named_tests(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return [f"{path.stem}::{node.name}" for node in functions if node.name.startswith("test_")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page):
    cited = re.findall(r"`(test_\w+::\w+)`", page.read_text(encoding="utf-8"))
    there = {test for path in (ROOT / "tests").rglob("test_*.py") for test in named_tests(path)}
    assert [test for test in cited if test not in there] == []


def test_every_myth_has_a_paragraph_and_its_own_test():
    paragraphs = dict(re.findall(r"^\*\*(N\d-\d+): .*?`test_myths::(\w+)`$", MYTHS, re.M | re.S))
    tests = [test.partition("::")[2] for test in named_tests(ROOT / "tests/norms/test_myths.py")]
    assert list(paragraphs.values()) == tests
    for myth, test in paragraphs.items():
        assert test.startswith(f"test_{myth.lower().replace('-', '_')}_")


def test_the_page_of_myths_leaves_none_out():
    counts = {"N0": 11, "N1": 7, "N2": 5, "N3": 5, "N4": 3}  # errors found in each note
    listed = re.findall(r"^(?:\*\*|\| )(N\d-\d+)\b", MYTHS, re.M)
    assert sorted(listed) == sorted(f"{n}-{k + 1}" for n, c in counts.items() for k in range(c))


def test_exact_claims_on_the_page_of_myths_exist():
    assert set(re.findall(r"`(E\d+)`", MYTHS)) <= EXACT.keys()


def test_the_claim_that_is_shown_as_an_example_is_one():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.S)
    names = {**vars(records), **vars(statistics), **vars(study)}
    exec(textwrap.dedent(example), names)
    (verdict,) = judge([names["M10"]], study.Study(ROOT / "nowhere", "digits"))
    assert (verdict.verdict, verdict.reason) == (
        "not run here",
        "no runs of the experiment claim_norms",
    )
