"""Conditions on the columns of a table, which say what rows a figure or a panel shows.

    batch_size in [2, 64] and (epochs != 4 or `optim.lr_scaling` == 'linear')

A query has names of columns (in backticks where they have dots), numbers, texts, True and False,
comparisons, `in` and `not in` with lists of constants, `and`, `or` and `not` (also &, | and ~). It
means what it means to `pandas.DataFrame.eval`, which however runs any code that stands in it: here
there are no calls, no attributes and no arithmetic, and how long a query takes is bounded.

Nothing here imports pandas. A query is checked before training by the settings of the arms, and by
the same rules again when it is asked of a table.
"""

import operator
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any, Literal

from bnbench.config.checks import RequestError

if TYPE_CHECKING:
    from pandas import DataFrame, Series

MAX_LENGTH = 4000  # characters of a query
MAX_DEPTH = 20  # of parentheses and negations
MAX_TERMS = 100  # comparisons
MAX_LIST = 500  # constants of a list
MAX_INTEGER = 2**63 - 1  # what a column of integers holds

TOKEN = re.compile(
    r"""(?P<quoted>`[^`]*`)
    | (?P<name>[^\W\d][\w.]*)
    | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<text>'(?:[^'\\]|\\['"\\])*'|"(?:[^"\\]|\\['"\\])*")
    | (?P<sign>==|!=|<=|>=|[<>()\[\],&|~+-])""",
    re.VERBOSE,
)
WORDS = {"and": "and", "&": "and", "or": "or", "|": "or", "not": "not", "in": "in"}
CONSTANTS = {"True": True, "False": False}
EQUAL: dict[str, Callable[[Any, Any], Any]] = {"==": operator.eq, "!=": operator.ne}
ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
JOINED: dict[str, Callable[[Any, Any], Any]] = {"and": operator.and_, "or": operator.or_}
OF_LISTS = {"==": "in", "!=": "not in", "in": "in", "not in": "not in"}
EXAMPLE = "expected a comparison such as batch_size == 64"

Kind = Literal["number", "flag", "text"]  # what a column holds; None where that is nothing


@dataclass(frozen=True)
class Column:
    """The name of a column."""

    name: str


@dataclass(frozen=True)
class Term:
    """A condition: `and`, `or` and `not` of others, a comparison, or a column of True and False."""

    op: str
    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Query:
    """A query as it was read: which columns it names, and the condition on them."""

    names: frozenset[str]
    condition: Term

    def check(self, kinds: Mapping[str, Kind | None]) -> None:
        """Refuse comparisons that have no answer (`RequestError`): `model.name < 3`.

        Args:
            kinds: what each named column holds.
        """
        _check(self.condition, kinds)

    def rows(self, frame: "DataFrame") -> "Series":
        """The condition in every row of a table that has the named columns, as booleans.

        A comparison with a missing value is false, but for `!=` and `not in`.

        Raises:
            RequestError: a comparison has no answer, given what the columns hold.
        """
        columns = {name: frame[name] for name in self.names}
        columns = {n: c.astype(object) if c.dtype == "category" else c for n, c in columns.items()}
        self.check({name: _kind_of_column(column) for name, column in columns.items()})
        try:
            return _rows(self.condition, columns)
        except TypeError as error:  # a column that holds numbers and texts
            raise RequestError(f"values that cannot be compared ({error})") from None


def parse(text: str, columns: Collection[str]) -> Query:
    """Read a query over some columns.

    Raises:
        RequestError: it is no query, it is longer or deeper than one may be, or it names a column
            that there is not; what to type instead.
    """
    if len(text) > MAX_LENGTH:
        raise RequestError(f"expected a query of at most {MAX_LENGTH} characters")
    parser = QueryParser(text, columns)
    condition = parser.condition(parser.either())
    parser.expect("end")
    return Query(frozenset(parser.names), condition)


def kind_of(values: Iterable[Any]) -> Kind | None:
    """Tell what values hold, missing ones aside; None where there is no other. Lists are texts."""
    there = [v for v in values if v is not None and not (isinstance(v, float) and isnan(v))]
    if all(isinstance(value, bool) for value in there):
        return "flag" if there else None
    return "number" if all(isinstance(value, int | float) for value in there) else "text"


class QueryParser:
    """Reads a query from left to right, each method what binds tighter than the one before."""

    def __init__(self, text: str, columns: Collection[str]):
        self.columns, self.names = columns, set[str]()
        self.tokens = [*tokens(text), ("end", "its end")]
        self.depth = self.terms = 0

    def take(self, *wanted: str) -> str | None:
        """The next sign or word if it is one of these, and go on behind it."""
        kind, token = self.tokens[0]
        words = {"name": WORDS.get(token), "sign": WORDS.get(token, token), "end": kind}
        word = words.get(kind)
        return word if word in wanted and self.next() else None

    def next(self) -> tuple[str, str]:
        """The next token, and go on behind it; the end stays."""
        return self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]

    def expect(self, wanted: str) -> None:
        """Go on behind a sign, or refuse what stands in its place."""
        if not self.take(wanted):
            words = "a comparison, and, or" if wanted == "end" else wanted
            raise self.unexpected(words)

    def unexpected(self, wanted: str) -> RequestError:
        """The line for a token in the wrong place."""
        return RequestError(f"expected {wanted} at {self.tokens[0][1]}, in a query of columns")

    def deeper(self, read: Callable[[], Any]) -> Any:
        """Read what stands one level deeper."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise RequestError(f"expected a query of columns at most {MAX_DEPTH} levels deep")
        inner = read()
        self.depth -= 1
        return inner

    def condition(self, node: Any) -> Term:
        """A condition, or refuse what is none."""
        if isinstance(node, Column):
            return Term("flag", (node,))
        if not isinstance(node, Term):
            raise RequestError(EXAMPLE)
        return node

    def either(self) -> Any:
        """Read conditions with `or` between them."""
        return self.joined("or", lambda: self.joined("and", self.negation))

    def joined(self, word: str, read: Callable[[], Any]) -> Any:
        """Read conditions with one word between them."""
        parts = [read()]
        while self.take(word):
            parts.append(read())
        return parts[0] if len(parts) == 1 else Term(word, tuple(map(self.condition, parts)))

    def negation(self) -> Any:
        """Read a comparison, perhaps behind `not`."""
        if self.take("not"):
            return Term("not", (self.condition(self.deeper(self.negation)),))
        return self.comparison()

    def comparison(self) -> Any:
        """Read a value, or several with comparisons between: `1 < a <= 3` is two comparisons."""
        left, terms = self.value(), []
        while op := self.take(*EQUAL, *ORDER, "in", "not"):
            if op == "not":
                self.expect("in")
                op = "not in"
            right = self.value()
            terms.append(compared(left, op, right))
            left = right
        self.terms += len(terms)
        if self.terms > MAX_TERMS:
            raise RequestError(f"expected a query of at most {MAX_TERMS} comparisons")
        return Term("and", tuple(terms)) if len(terms) > 1 else (terms or [left])[0]

    def value(self) -> Any:
        """Read a column, a constant, a list of constants, or what stands in parentheses."""
        if self.take("("):
            return self.deeper(self.enclosed)
        if self.take("["):
            return self.deeper(lambda: self.constants("]", []))
        if self.take("~"):
            return Term("not", (self.condition(self.deeper(self.value)),))
        sign = self.take("+", "-")
        kind, token = self.tokens[0]
        if kind == "number":
            self.next()
            return number(f"{sign or ''}{token}")
        if sign or kind in ("sign", "end") or (kind == "name" and token in WORDS):
            raise self.unexpected("a number" if sign else "a column or a value")
        self.next()
        if kind == "text":
            return re.sub(r"\\(.)", r"\1", token[1:-1])
        if kind == "name" and token in CONSTANTS:
            return CONSTANTS[token]
        return self.column(token.strip("`"), kind == "quoted")

    def enclosed(self) -> Any:
        """Read the rest of a condition, a value or a list in parentheses."""
        inner = self.either()
        if self.take(","):
            return self.constants(")", [inner])
        self.expect(")")
        return inner

    def constants(self, end: str, values: list[Any]) -> tuple[Any, ...]:
        """Read the rest of a list of constants."""
        while not self.take(end):
            values.append(self.value())
            if not self.take(","):
                self.expect(end)
                break
        if any(isinstance(value, Column | Term | tuple) for value in values):
            raise RequestError("expected a list of numbers and texts such as [2, 64]")
        if len(values) > MAX_LIST:
            raise RequestError(f"expected a list of at most {MAX_LIST} values")
        return tuple(values)

    def column(self, name: str, is_quoted: bool) -> Column:
        """A name, or refuse what is no column."""
        if name == "None" and not is_quoted:
            raise RequestError("None: a missing value equals nothing, not even itself: type x != x")
        if "." in name and not is_quoted:
            raise RequestError(f"{name}: expected a name with dots in backticks, `{name}`")
        if name not in self.columns:
            known = ", ".join(column for column in map(str, self.columns) if "/" not in column)
            raise RequestError(f"{name}: expected a column, one of {known}")
        self.names.add(name)
        return Column(name)


def tokens(text: str) -> Iterable[tuple[str, str]]:
    """The words, values and signs of a query, each with its kind.

    Raises:
        RequestError: with the first characters that are none.
    """
    place = 0
    while text[place:].strip():
        place += len(text[place:]) - len(text[place:].lstrip())
        found = TOKEN.match(text, place)
        if not found:
            raise RequestError(
                f"expected a query of columns, not {text[place : place + 20]}: names, values, "
                "comparisons such as ==, and, or, not, in"
            )
        yield str(found.lastgroup), found[0]
        place = found.end()


def number(token: str) -> int | float:
    """A number of a query; refuses what no column holds (`RequestError`)."""
    value = int(token) if token.lstrip("+-").isdecimal() else float(token)
    if not (isfinite(value) if isinstance(value, float) else abs(value) <= MAX_INTEGER):
        raise RequestError(f"{token}: expected a number that a column can hold, less than 2^63")
    return value


def compared(left: Any, op: str, right: Any) -> Term:
    """A comparison of two values; refuses what can have no answer in any table (`RequestError`)."""
    if any(isinstance(side, Term) for side in (left, right)):
        raise RequestError(f"expected values on both sides of {op}, not conditions")
    if not any(isinstance(side, Column) for side in (left, right)):
        raise RequestError(f"expected a column on one side of {op}")
    if isinstance(left, tuple) and op in EQUAL:
        left, right = right, left
    has_list, wants_list = isinstance(right, tuple), op in ("in", "not in")
    if isinstance(left, tuple) or (has_list != wants_list and op not in EQUAL):
        needs = "a list such as [2, 64] behind" if wants_list else "one value on each side of"
        raise RequestError(f"expected {needs} {op}")
    return Term(OF_LISTS[op] if has_list else op, (left, right))


def _check(term: Term, kinds: Mapping[str, Kind | None]) -> None:
    if term.op in ("and", "or", "not"):
        for part in term.parts:
            _check(part, kinds)
    elif term.op == "flag" and kinds[term.parts[0].name] not in ("flag", None):
        raise RequestError(EXAMPLE)
    elif term.op in ORDER:
        sides = [_kind_of_side(side, kinds) for side in term.parts]
        if len({kind == "text" for kind in sides if kind}) > 1:
            words = f" {term.op} ".join(map(_shown, term.parts))
            raise RequestError(f"{words}: a text is neither less nor greater than a number")


def _kind_of_side(side: Any, kinds: Mapping[str, Kind | None]) -> Kind | None:
    return kinds[side.name] if isinstance(side, Column) else kind_of([side])


def _kind_of_column(column: "Series") -> Kind | None:
    """`kind_of` the cells of a table, without looking at each where the type of all is known."""
    there = column.dropna()
    if column.dtype.kind in "iuf" and len(there):
        return "number"
    return kind_of(there.unique().tolist())


def _shown(side: Any) -> str:
    return side.name if isinstance(side, Column) else repr(side)


def _rows(term: Term, columns: Mapping[str, "Series"]) -> Any:
    if term.op in ("and", "or", "not"):
        first, *others = (_rows(part, columns) for part in term.parts)
        return ~first if term.op == "not" else reduce(JOINED[term.op], others, first)
    left, *rest = (columns[s.name] if isinstance(s, Column) else s for s in term.parts)
    if term.op == "flag":
        return left == True  # noqa: E712  it is a column
    (right,) = rest
    if isinstance(right, tuple):
        found = left.isin(list(right))
        return found if term.op == "in" else ~found
    if term.op in EQUAL:
        return EQUAL[term.op](left, right)
    sides = [columns[side.name] for side in term.parts if isinstance(side, Column)]
    there = reduce(operator.and_, (side.notna() for side in sides))
    answer = there.copy()
    answer[there] = ORDER[term.op](
        *(side[there] if hasattr(side, "notna") else side for side in (left, right))
    )
    return answer
