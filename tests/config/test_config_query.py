"""The language of queries: what pandas means by them is the oracle, and nothing in them is run."""

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from bnbench import CONFIGS, cli
from bnbench.analysis.load import load_runs
from bnbench.config import query
from bnbench.config.arms import science
from bnbench.config.checks import RequestError
from bnbench.config.query import kind_of, parse
from bnbench.tracking.experiment_dir import experiment_path, write_arms

REFERENCE = CONFIGS.parent / "results" / "reference" / "experiments"
TABLE = pd.DataFrame(
    {
        "a": [1, 2, np.nan, 4],
        "b": [1, 1, 2, 4],
        "s": ["x", "y", None, "z"],
        "t": pd.Series(["x", "q", np.nan, "z"], dtype=object),
        "f": [True, False, True, True],
        "g": pd.Series([True, np.nan, False, True], dtype=object),
        "n": [np.nan] * 4,
        "d.e": [1, 2, 3, 4],
        "c": pd.Series(["x", "y", "x", "z"], dtype="category"),
        "end": [0, 1, 0, 1],
        "not in": [0, 0, 1, 1],
    }
)


def rows(text, table=TABLE):
    """The rows of a table that a query chooses, by number."""
    chosen = parse(text, table.columns).rows(table)
    assert chosen.dtype == bool
    return np.flatnonzero(chosen).tolist()


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("b == 1", [0, 1]),
        ("b==1or b==4", [0, 1, 3]),
        ("`d.e` > 2", [2, 3]),
        ("a != 1", [1, 2, 3]),  # a missing value is not 1
        ("a < 3", [0, 1]),
        ("s == 'x'", [0]),
        ('s == "x"', [0]),
        ("s != 'x'", [1, 2, 3]),
        ("t < 'y'", [0, 1]),
        ("c > 'x'", [1, 3]),
        ("1 < a <= 4", [1, 3]),
        ("b in [1, 4]", [0, 1, 3]),
        ("b in (4,)", [3]),
        ("b not in [1, 4]", [2]),
        ("b == [1, 4]", [0, 1, 3]),
        ("[1, 4] != b", [2]),
        ("a == 1 or b == 2 and f == False", [0]),
        ("(a == 1 or b == 2) and f", [0, 2]),
        ("a == 1 | b == 2 & f", [0, 2]),  # as in pandas, no tighter than the comparisons
        ("not a == 1", [1, 2, 3]),
        ("not not a == 1", [0]),
        ("~(a == 1) & ~f", [1]),
        ("f", [0, 2, 3]),
        ("g", [0, 3]),
        ("g != False", [0, 1, 3]),
        ("n == 1", []),
        ("n != n", [0, 1, 2, 3]),
        ("-1 < a and a > +1.5e0", [1, 3]),
        ("s == 3", []),
        ("end == 1", [1, 3]),
        ("`not in` == 1", [2, 3]),
        ("`end` == `end`", [0, 1, 2, 3]),
        (r"s == 'it\'s'", []),
        ("s != '`a` == 1 and ('", [0, 1, 2, 3]),
        ("b\n  == 1", [0, 1]),
    ],
)
def test_a_query_chooses_rows(text, chosen):
    assert rows(text) == chosen


BROKEN = "expected a query of columns: names, values, lists of values, comparisons such as ==, "
NO_VALUE = "expected a column, a value or a list of values, not "


@pytest.mark.parametrize(
    ("text", "line"),
    [
        # what would run code, or never end
        ("@pd.io.common.os.system('true') == 0", "expected a query of columns, not @pd.io"),
        ("a.to_csv('x') == 0", "a.to_csv: expected a name with dots in backticks, `a.to_csv`"),
        ("a ** 10 ** 10 > 0", r"expected a query of columns, not \*\* 10"),
        ("d.e == 1", "d.e: expected a name with dots in backticks, `d.e`"),
        ("abs(a) > 1", "abs: expected a column, one of a, b, s,"),
        ("a[0] == 1", NO_VALUE + r"a\[0\]$"),
        ("'x'.upper() == s", "'x'.upper: expected a name with dots in backticks"),
        ("__import__('os')", "__import__: expected a column"),
        ("(lambda: 1)() == a", "expected a query of columns, not : 1"),
        ("(b := 2) == 2", "expected a query of columns, not := 2"),
        ("[b for b in [1]] == a", NO_VALUE + r"\[b for b in \[1\]\]$"),
        ("f'{a}' == s", "expected a query of columns, not '{a}' == s"),
        ("a if f else b", NO_VALUE + "a if f else b$"),
        ("a + 1 == 2", NO_VALUE + r"a \+ 1$"),
        ("a == -b", NO_VALUE + "-b$"),
        ("a; b", "expected a query of columns, not ; b"),
        ("a == 1 # or b", "expected a query of columns, not # or b"),
        # what is no condition
        ("", BROKEN + r".*\(invalid syntax"),
        ("a ==", BROKEN + r".*\(invalid syntax"),
        ("a = 1", BROKEN + r".*\(invalid syntax"),
        ("a", "expected a comparison such as batch_size == 64"),
        ("64", "expected a comparison such as batch_size == 64"),
        ("a and b == 1", "expected a comparison such as batch_size == 64"),
        ("not s", "expected a comparison such as batch_size == 64"),
        ("1 == 1", "expected a column on one side of =="),
        ("(a == 1) == f", NO_VALUE + "a == 1$"),
        ("a == 1)", BROKEN + r".*\(unmatched '\)'\)$"),
        ("(a == 1", BROKEN + r".*\('\(' was never closed\)$"),
        ("a not 1", BROKEN + r".*\(invalid syntax"),
        ("a == 'x", "expected a query of columns, not 'x"),
        ("`a == 1", "expected a query of columns, not `a == 1"),
        ("`x` == 1", "x: expected a column, one of a, b, s, t"),
        ("a is 1", "expected a comparison such as ==, not is"),
        ("`d.e` + 1 == 2", NO_VALUE + r"`d.e` \+ 1$"),
        ("`` == 1", NO_VALUE + "``$"),
        ("a == 1j", NO_VALUE + "1j$"),
        ("a == None", "None: a missing value equals nothing, not even itself: type x != x"),
        # what has no answer
        ("a < [1, 2]", "expected one value on each side of <"),
        ("s in 'xy'", r"expected a list such as \[2, 64\] behind in"),
        ("[1] in a", r"expected a list such as \[2, 64\] behind in"),
        ("a in [b]", NO_VALUE + r"\[b\]$"),
        ("a in [[1]]", NO_VALUE + r"\[\[1\]\]$"),
        ("s < 3", "s < 3: a text is neither less nor greater than a number"),
        ("1 < 'x' <= s", "expected a column on one side of <"),
        ("a >= 'x'", "a >= 'x': a text is neither less nor greater than a number"),
        ("t > f", "t > f: a text is neither less nor greater than a number"),
        # what is beyond the bounds
        (
            "a == 9223372036854775808",
            "9223372036854775808: expected a number that a column can hold",
        ),
        ("a == 1e999", "inf: expected a number that a column can hold"),
        ("a == " + "9" * 3000, "9{3000}: expected a number that a column can hold"),
        ("a == 1 " + "or a == 1 " * 500, "expected a query of at most 4000 characters"),
        ("a<1" + " or a<1" * 100, "expected a query of at most 100 comparisons"),
        ("a" + "<a" * 101, "expected a query of at most 100 comparisons"),
        ("(" * 300 + "a == 1" + ")" * 300, BROKEN + r".*too many nested"),
        ("[" * 3000, BROKEN + r".*too many nested"),
        ("s == '\ud800'", BROKEN + r".*a character that is none"),
        ("f and (" * 21 + "f" + ")" * 21, "expected a query of columns at most 20 levels deep"),
        ("-" * 3900 + "1", "expected a query of columns at most 20 levels deep"),
        ("not " * 900 + "f", "expected a query of columns at most 20 levels deep"),
        ("~" * 900 + "f", "expected a query of columns at most 20 levels deep"),
        ("a in [" + "1," * 501 + "]", "expected a list of at most 500 values"),
    ],
)
def test_what_is_no_query_is_refused_in_one_line(text, line):
    with pytest.raises(RequestError, match=f"^{line}") as refusal:
        rows(text)
    assert "\n" not in str(refusal.value)


def test_the_longest_queries_are_read():
    assert rows("f and (" * 20 + "a == 1" + ")" * 20) == [0]
    assert rows("a<1" + " or a<2" * 99) == [0]
    assert rows("a in [" + "1," * 499 + "2]") == [0, 1]
    assert rows("a == 1" + " " * 3994) == [0]
    assert rows(f"b <= {2**63 - 1}") == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([], None),
        ([None, float("nan")], None),
        ([True, None], "flag"),
        ([True, 1], "number"),
        ([0.5, None], "number"),
        (["x", 1], "text"),
        ([[1, 2]], "text"),
    ],
)
def test_what_values_hold(values, kind):
    assert kind_of(values) == kind


def declared():
    """Every query that ships or stands in the reference results, with where it stands."""
    found = []
    for path in sorted(CONFIGS.rglob("*.yaml")):
        content = OmegaConf.to_container(OmegaConf.load(path))
        for text in queries((content.get("report") or {}).get("figures") or []):
            data = path.parents[0].name if path.parents[1].name == "on_data" else "digits"
            found.append((path.stem, data, text))
    for path in sorted(REFERENCE.rglob("experiment.json")):
        report = json.loads(path.read_text(encoding="utf-8"))["report"]
        found += [(*path.parts[-3:-1], text) for text in queries(report["figures"])]
    return sorted(set(found))


def queries(figures):
    for figure in figures:
        parts = [figure, *(figure.get("panels") or [])]
        yield from (part["where"] for part in parts if part.get("where"))


DECLARED = declared()


@cache
def reference_tables():
    return {folder: load_runs(folder).runs for folder in sorted(REFERENCE.glob("*/*"))}


def same_as_pandas(text, table):
    """Choose rows by a query of ours; assert that pandas chooses the same."""
    ours = parse(text, table.columns).rows(table)
    pd.testing.assert_series_equal(ours, table.eval(text), check_names=False)
    return ours


@pytest.mark.parametrize(("name", "data", "text"), DECLARED)
def test_every_query_of_the_reference_results_means_what_it_meant_to_pandas(name, data, text):
    for folder, runs in reference_tables().items():
        if set(re.findall("`(.*?)`", text)) <= {*runs}:
            chosen = same_as_pandas(text, runs)
            assert folder != REFERENCE / name / data or 0 < chosen.sum() < len(runs)


@pytest.mark.slow
@pytest.mark.usefixtures("read")
@pytest.mark.parametrize(("name", "data"), sorted({entry[:2] for entry in DECLARED}))
def test_every_shipped_query_means_what_it_meant_to_pandas(tmp_path, name, data):
    """On the arms of its own experiment, as its table of runs has them."""
    request = cli.read([f"experiment={name}", f"data={data}"], multirun=False, needs_data=False)
    (experiment,) = request.experiments
    path = experiment_path(tmp_path, name, data)
    write_arms(path, ((arm, 0, science(request.arms[arm].config)) for arm in experiment.runs))
    runs = load_runs(path).runs
    for text in {text for *place, text in DECLARED if place == [name, data]}:
        assert same_as_pandas(text, runs).any()


numbers = st.integers(-3, 5) | st.sampled_from([0.5, -1.5, 2.0, 1e3])
texts = st.sampled_from(["x", "y", "q", "", "True", "1", "a b", "`"])
flags = st.booleans()
NUMBERS, FLAGS, TEXTS = ("a", "b", "n", "`d.e`", "end"), ("f", "g"), ("s", "t")
cells = st.fixed_dictionaries(
    {
        **dict.fromkeys(("a", "n"), st.none() | numbers),
        **dict.fromkeys(("b", "d.e", "end"), st.integers(-3, 5)),
        **dict.fromkeys(("s", "t"), st.none() | texts),
        "f": flags,
        "g": st.none() | flags,
    }
)


@st.composite
def tables(draw):
    table = pd.DataFrame(draw(st.lists(cells, min_size=1, max_size=6)))
    table[["a", "n"]] = table[["a", "n"]].astype(float)
    table["s"] = table["s"].astype("str")
    return table.astype({"t": object, "g": object})


def one_of(*names):
    return st.sampled_from(names)


EQUALS, ORDERS = one_of("==", "!="), one_of("<", "<=", ">", ">=")
any_column = one_of(*NUMBERS, *FLAGS, *TEXTS)
constants = (numbers | texts | flags).map(repr)
ordered = st.tuples(one_of(*NUMBERS, "f"), ORDERS, one_of(*NUMBERS) | numbers.map(repr))
comparisons = st.one_of(
    st.tuples(any_column, EQUALS, any_column | constants),
    st.tuples(constants, EQUALS, any_column),
    ordered,
    st.tuples(numbers.map(repr), ORDERS, one_of(*NUMBERS)),
    st.tuples(one_of("s"), ORDERS, texts.map(repr)),
    st.tuples(numbers.map(repr), ORDERS, one_of(*NUMBERS), ORDERS, numbers.map(repr)),
    st.tuples(any_column, one_of("in", "not in", "==", "!="), st.lists(numbers | texts).map(repr)),
).map(" ".join)
conditions = st.recursive(
    comparisons | one_of("f"),
    lambda inner: st.one_of(
        st.tuples(inner, one_of("and", "or", "&", "|"), inner).map(" ".join),
        inner.map("({})".format),
        inner.map("not ({})".format),
        inner.map("~({})".format),
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("number", [20, pytest.param(300, marks=pytest.mark.slow)])
def test_random_queries_mean_what_they_mean_to_pandas(number):
    @settings(max_examples=number, derandomize=True, database=None, deadline=None)
    @given(conditions, tables())
    def agree(text, table):
        same_as_pandas(text, table)

    agree()


STRANGE = ("None", "1", "2.5", "1e3", "'x'", "`d.e`", "__import__", "lambda", "is", "=", "if", "\\")
WORDS = ("and", "&", "or", "|", "not", "in")
LANGUAGE = (*WORDS, *query.EQUAL, *query.ORDER, "True", "False", *TABLE.columns)
pieces = st.sampled_from([*STRANGE, *LANGUAGE, *"()[],.`'\"~+-@*"])
noise = st.lists(pieces | st.characters(), max_size=12)


@pytest.mark.parametrize("number", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_random_strings_are_queries_or_refused_in_one_line(number):
    kinds = set()

    @settings(max_examples=number, derandomize=True, database=None, deadline=None)
    @given(noise.map(" ".join) | noise.map("".join))
    def is_answered(text):
        try:
            kinds.add(rows(text) is None)
        except RequestError as error:
            kinds.add(type(error))

    is_answered()
    assert kinds == {False, RequestError}


def test_the_page_of_the_module_names_every_word_of_the_language():
    assert all(word in query.__doc__ for word in WORDS)
    assert Path(query.__file__).read_text(encoding="utf-8").count("eval(") == 1  # literal_eval
