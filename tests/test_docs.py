"""The pages keep to the facts: tests, lines, sessions and links that they name are there."""

import ast
import doctest
import importlib
import re
import textwrap
from functools import cache

import pytest
from documents import FLAGS, blocks

from bnbench import ROOT
from bnbench.config.schema import Statistic
from bnbench.measured.exact import EXACT
from bnbench.probes import PROBES

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
READ = [page for page in PAGES if page.parent == DOCS]  # those in extend/ are for following
MARKDOWN = sorted(ROOT.glob("*.md"))
MYTHS = (ROOT / "docs" / "myths.md").read_text(encoding="utf-8")


def named_tests(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return [f"{path.stem}::{node.name}" for node in functions if node.name.startswith("test_")]


@cache
def all_tests():
    return {test for path in (ROOT / "tests").rglob("test_*.py") for test in named_tests(path)}


each_page = pytest.mark.parametrize("page", READ, ids=lambda page: page.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page):
    cited = re.findall(r"`(test_\w+::\w+)`", page.read_text(encoding="utf-8"))
    assert [test for test in cited if test not in all_tests()] == []


@pytest.mark.parametrize("page", [*PAGES, *MARKDOWN], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_and_module_that_a_page_names_exists(page):
    """Paths are from the root of the checkout, of the package, of its tests or of the page."""
    text = page.read_text(encoding="utf-8")
    made = set(re.findall(r"^`?([\w/]+\.(?:py|yaml))`? is new", text, re.M)) | {
        block.file for block in blocks(page) if block.file
    }
    named = re.findall(r"`((?:[\w-]+/)*\w+\.(?:py|cpp|j2|js|css))`", text)
    roots = (ROOT, ROOT / "bnbench", ROOT / "scripts", ROOT / "tests", page.parent)
    known = {path.name for path in (ROOT / "bnbench").rglob("*.*")}
    lost = [
        name
        for name in named
        if name not in made
        and not any((root / name).exists() for root in roots)
        and not ("/" not in name and name in known)
    ]
    assert not lost
    dotted = re.findall(r"`bnbench((?:\.[a-z_]+)+)", text)
    assert [name for name in dotted if not resolves(f"bnbench{name}")] == []


def resolves(dotted):
    """Whether a dotted name is a module, or a name in one."""
    module, _, name = dotted.rpartition(".")
    path = ROOT / dotted.replace(".", "/")
    if path.is_dir() or path.with_suffix(".py").exists():
        return True
    return hasattr(importlib.import_module(module), name)


def has_in_order(lines, wanted):
    """Whether the parts of `wanted`, at each "# …" in it, are runs of `lines`, in this order."""
    start = 0
    for part in re.split(r"^# …\n", textwrap.dedent(wanted), flags=re.M):
        part = textwrap.dedent(part).splitlines()
        for k in range(start, len(lines)):
            if textwrap.dedent("\n".join(lines[k : k + len(part)])).splitlines() == part:
                start = k + len(part)
                break
        else:
            return False
    return True


@each_page
def test_every_quoted_line_stands_in_its_file(page):
    for block in blocks(page):
        if block.file:
            lines = (ROOT / block.file).read_text(encoding="utf-8").splitlines()
            assert has_in_order(lines, block.text), f"{block.file} has no longer:\n{block.text}"


@pytest.mark.parametrize(
    ("quoted", "stands"),
    [
        ("b\n    c\n", True),
        ("    b\n        c\n", True),
        ("a\n# …\nc\n", True),
        ("a\n# …\n    d\n", True),
        ("c\n# …\na\n", False),
        ("a\nc\n", False),
        ("b\nc\n", False),
        ("b", True),
        ("e", False),
    ],
)
def test_a_quotation_is_of_whole_lines_in_their_order(quoted, stands):
    assert has_in_order(["a", "  b", "      c", "d"], quoted) == stands


@each_page
def test_a_session_gives_what_the_page_shows(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = "".join(block.text for block in blocks(page) if block.language == "pycon")
    session = doctest.DocTestParser().get_doctest(
        text.replace("…", "..."), {}, page.name, str(page), 0
    )
    runner, said = doctest.DocTestRunner(optionflags=FLAGS), []
    runner.run(session, out=said.append)
    assert not runner.failures, "".join(said)


def anchors(page):
    """The names that a code host gives to the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


LINKING = [*PAGES, *MARKDOWN]


@pytest.mark.parametrize("page", LINKING, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def test_the_index_has_every_page():
    index = DOCS / "README.md"
    linked = re.findall(r"\]\(([\w/]+\.md)\)", index.read_text(encoding="utf-8"))
    assert sorted(linked) == sorted(str(p.relative_to(DOCS)) for p in PAGES if p != index)


def test_readme_is_read_in_some_minutes():
    assert len((ROOT / "README.md").read_bytes()) <= 9_400


def test_every_statistic_of_answers_has_a_row():
    text = (DOCS / "answers.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.M)) == set(Statistic)


def test_every_probe_has_a_section():
    text = (DOCS / "probes.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^## (\w+)$", text, re.M)) == set(PROBES)


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
