"""README.zh.md says what README.md says: the same sections, commands, links and numbers.

What README.md has in digits has digits there too, and what it has in words is in words (五, 十倍).
Then the numbers of a section can be compared, and so can none drift from those that are tested.
"""

import re
from collections import Counter
from itertools import zip_longest

from documents import blocks

from bnbench import ROOT

ENGLISH = ROOT / "README.md"
CHINESE = ROOT / "README.zh.md"
HAN = r"[\u4e00-\u9fff]"
HEADING = re.compile(r"^(#+) (.+)$", re.M)
KEY = re.compile(r"`[^`]+`")
NUMBER = re.compile(r"[−+-]?\d[\d,.]*\d|[−+-]?\d")


def prose(page):
    """The text of a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def sections(page):
    """The text of a page, cut before each heading."""
    return re.split(r"^(?=#+ )", prose(page), flags=re.M)[1:]


def cells(line):
    """The columns of a line of code, which two blanks part, without the comment at its end."""
    return re.split(r" {2,}", re.sub(r"(?:^|\s+)# .*$", "", line))


def says_the_same(english, chinese):
    """Whether two lines of code are equal but for comments and descriptions in later columns."""
    pairs = list(zip_longest(cells(english), cells(chinese)))
    return pairs[0][0] == pairs[0][1] and all(
        b is not None and (a == b or (a is not None and re.search(HAN, b))) for a, b in pairs[1:]
    )


def links(page):
    """Where the links of a page lead, with the file that they name.

    One to a section of the page itself leads to its number.
    """
    text = prose(page)
    anchors = [
        "#" + re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for _, title in HEADING.findall(text)
    ]
    return {
        (
            label if label.endswith(".md") else None,
            anchors.index(link) if link.startswith("#") else link,
        )
        for label, link in re.findall(r"\[([^]]*)\]\(([^)\s]+)\)", text)
    }


def test_the_sections_are_the_same():
    english, chinese = ([mark for mark, _ in HEADING.findall(prose(p))] for p in (ENGLISH, CHINESE))
    assert len(english) >= 7
    assert chinese == english


def test_the_commands_are_the_same():
    english, chinese = blocks(ENGLISH), blocks(CHINESE)
    assert len(english) >= 2
    assert [block.language for block in chinese] == [block.language for block in english]
    for block, other in zip(english, chinese, strict=True):
        lines = zip_longest(block.text.splitlines(), other.text.splitlines(), fillvalue="")
        assert [pair for pair in lines if not says_the_same(*pair)] == []


def test_what_counts_as_the_same_command():
    assert says_the_same("make test  # two minutes", "make test  # 两分钟")
    assert says_the_same("x/<a>/   a.csv  all of it", "x/<a>/   a.csv  全部")
    assert not says_the_same("make test  # two minutes", "make tests  # 两分钟")
    assert not says_the_same("make test", "make 测试")
    assert not says_the_same("x/<a>/   a.csv  b.csv", "x/<a>/   a.csv  c.csv")
    assert not says_the_same("x/<a>/   a.csv  b.csv", "x/<a>/   a.csv")
    assert not says_the_same("x/<a>/   a.csv", "x/<a>/   a.csv  全部")


def test_the_links_are_the_same():
    here, there = (None, "README.md"), (None, "README.zh.md")
    assert there in links(ENGLISH)
    assert here in links(CHINESE)
    assert links(CHINESE) - {here} == links(ENGLISH) - {there}


def test_every_section_has_the_same_numbers_keys_and_files():
    for english, chinese in zip(sections(ENGLISH), sections(CHINESE), strict=True):
        for kind in (NUMBER, KEY):
            told, due = (Counter(kind.findall(text)) for text in (chinese, english))
            assert told == due, chinese.partition("\n")[0]


def test_every_row_of_a_table_has_the_same_numbers():
    english, chinese = (re.findall(r"^\|.*$", prose(page), re.M) for page in (ENGLISH, CHINESE))
    assert len(english) >= 9
    for row, other in zip(english, chinese, strict=True):
        assert NUMBER.findall(other) == NUMBER.findall(row), other


def test_chinese_stands_apart_from_latin_letters_and_has_its_own_punctuation():
    text = re.sub(r"\]\([^)\s]+\)", "]", prose(CHINESE))
    close = rf"{HAN}[A-Za-z0-9`]|[A-Za-z0-9`]{HAN}"
    narrow = rf"{HAN}[,.;:!?()]|[,;:!?()]{HAN}"
    for wrong in (close, narrow):
        assert [text[m.start() - 10 : m.end() + 10] for m in re.finditer(wrong, text)] == []
